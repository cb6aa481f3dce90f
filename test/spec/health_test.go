package spec

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/messages"
)

// "32. First probe after the initial delay, then every period (3 s, 5 s); […]"
func TestHealth32Period(t *testing.T) {
	probed := make(chan time.Time, 10)
	c := understudy.ServiceConfig{Endpoints: named("a"),
		Health: understudy.Health{InitialDelay: 3 * time.Second, Interval: 5 * time.Second, Jitter: understudy.Off, IdleInterval: understudy.Off},
		Hooks:  understudy.Hooks{Check: func(context.Context, understudy.Target) error { probed <- time.Now(); return nil }}}
	virtually(t, c, func(t *testing.T, s *understudy.Service) {
		began := time.Now() // no time has passed since the start
		pass(24 * time.Second)
		require.Len(t, probed, 5)
		for after := 3 * time.Second; after <= 23*time.Second; after += 5 * time.Second {
			require.Equal(t, after, (<-probed).Sub(began))
		}
	})
}

// "32. […] readiness failing takes traffic away, it does not restart; traffic comes
// only after ready (`readiness: true`)."
func TestHealth32Readiness(t *testing.T) {
	var ready atomic.Bool
	var opened, closed atomic.Int32
	c := understudy.ServiceConfig{Endpoints: named("a"),
		Health: understudy.Health{Readiness: true, Interval: time.Second, Jitter: understudy.Off, IdleInterval: understudy.Off},
		Hooks: understudy.Hooks{
			Check: func(ctx context.Context, _ understudy.Target) error {
				if !ready.Load() {
					return errBroken
				}
				return nil
			},
			Open:  func(context.Context, understudy.Endpoint) (any, error) { return opened.Add(1), nil },
			Close: func(any) error { closed.Add(1); return nil },
		}}
	c.Health.InitialDelay = 2 * time.Second
	virtually(t, c, func(t *testing.T, s *understudy.Service) {
		var b backend
		coded(t, do(t, s, &b, 1), messages.CodeAllEndpointsDown)
		pass(time.Second)
		coded(t, do(t, s, &b, 1), messages.CodeAllEndpointsDown)
		pass(5 * time.Second) // checks came, and were bad
		coded(t, do(t, s, &b, 1), messages.CodeAllEndpointsDown)
		require.Zero(t, b.total(), "traffic comes only after ready")

		ready.Store(true)
		pass(2 * time.Second)
		require.NoError(t, do(t, s, &b, 10))
		created := status(t, s, "a").CreatedAt

		ready.Store(false)
		pass(3 * time.Second)
		coded(t, do(t, s, &b, 1), messages.CodeAllEndpointsDown)
		require.Equal(t, 10, b.total(), "it takes traffic away")
		require.Empty(t, happened(s, messages.KindActorRestarted, messages.KindEndpointRemoved))
		require.Zero(t, closed.Load(), "it does not restart")
		require.Equal(t, created, status(t, s, "a").CreatedAt)

		ready.Store(true)
		pass(2 * time.Second)
		require.NoError(t, do(t, s, &b, 10))
		require.EqualValues(t, 1, opened.Load())
	})
}

// "33. 120 checks: 100 kept; the last 10 can be asked for. […]"
func TestHealth33History(t *testing.T) {
	count := 0
	c := understudy.ServiceConfig{Endpoints: named("a"),
		Health: understudy.Health{InitialDelay: time.Hour},
		Hooks: understudy.Hooks{Check: func(context.Context, understudy.Target) error {
			count++
			if count%2 == 0 {
				return fmt.Errorf("no %d", count%14)
			}
			return nil
		}}}
	virtually(t, c, func(t *testing.T, s *understudy.Service) {
		for range 120 {
			_ = s.Check(t.Context(), "a")
			pass(time.Second)
		}
		require.EqualValues(t, 120, status(t, s, "a").Checks)
		all, err := s.Checks("a", 1000)
		require.NoError(t, err)
		require.Len(t, all, 100)
		last, err := s.Checks("a", 10)
		require.NoError(t, err)
		require.Len(t, last, 10)
		require.Equal(t, all[90:], last)
		for i, r := range last { // the 111th to the 120th
			require.Equal(t, (111+i)%2 == 1, r.OK)
			if !r.OK {
				require.Equal(t, fmt.Sprintf("no %d", (111+i)%14), r.Words)
			}
		}
	})
}

// "33. […] Slow answers above the threshold give `degraded`, not `unhealthy`."
func TestHealth33Degraded(t *testing.T) {
	var latency atomic.Int64
	c := understudy.ServiceConfig{Endpoints: named("a"),
		Health: understudy.Health{Interval: time.Second, DegradedAbove: 200 * time.Millisecond, Jitter: understudy.Off, IdleInterval: understudy.Off},
		Hooks: understudy.Hooks{Check: func(ctx context.Context, _ understudy.Target) error {
			return taking(time.Duration(latency.Load())*time.Millisecond, nil)(ctx)
		}}}
	virtually(t, c, func(t *testing.T, s *understudy.Service) {
		pass(5500 * time.Millisecond)
		require.Equal(t, "healthy", status(t, s, "a").Health)
		latency.Store(201)
		pass(10 * time.Second)
		a := status(t, s, "a")
		require.Equal(t, "degraded", a.Health)
		require.Contains(t, a.HealthReason, "201ms")
		require.Zero(t, a.CheckFailures)
		require.NoError(t, do(t, s, new(backend), 1), "it still serves")
		latency.Store(200)
		pass(time.Second)
		require.Equal(t, "healthy", status(t, s, "a").Health)
		require.Empty(t, happened(s, messages.KindEndpointDown))
	})
}

// "34. Check one, check all, on demand."
func TestHealth34(t *testing.T) {
	var checks backend
	c := understudy.ServiceConfig{Endpoints: named("a", "b", "c"), Health: understudy.Health{InitialDelay: time.Hour},
		Hooks: understudy.Hooks{Check: func(ctx context.Context, target understudy.Target) error {
			_, err := checks.call(ctx, target)
			return err
		}}}
	virtually(t, c, func(t *testing.T, s *understudy.Service) {
		checks.set(broken, "b")
		require.Zero(t, checks.total())
		require.NoError(t, s.Check(t.Context(), "a"))
		require.Equal(t, []string{"a"}, checks.hits, "one")
		require.Equal(t, "healthy", status(t, s, "a").Health)
		require.Equal(t, "unknown", status(t, s, "b").Health)

		err := s.Check(t.Context(), "b")
		e := coded(t, err, messages.CodeHealthCheckFailed)
		require.Equal(t, "b", e.Endpoint)
		require.Contains(t, err.Error(), "broken")
		require.Equal(t, "unhealthy", status(t, s, "b").Health, "it counts")

		failed, err := s.CheckAll(t.Context())
		require.NoError(t, err)
		require.Equal(t, []int{2, 2, 1}, []int{checks.of("a"), checks.of("b"), checks.of("c")}, "all")
		require.Len(t, failed, 1)
		require.ErrorIs(t, failed["b"], messages.ErrHealthCheckFailed)

		coded(t, s.Check(t.Context(), "nobody"), messages.CodeNotFound)
	})
}
