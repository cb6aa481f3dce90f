package spec

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/understudytest"
)

// "18. Endpoints 1–3 cannot be resolved, 4 is well: `GET /products/search?q=phone` is
// answered by 4. After the first checks there are no attempts on 1–3."
func TestFailover18(t *testing.T) {
	var b backend
	c := understudy.ServiceConfig{
		Retry:  understudy.Retry{MaxAttempts: 4}, // whoever is asked first, the fourth is reached
		Health: understudy.Health{InitialDelay: time.Second},
		Hooks: understudy.Hooks{Check: func(_ context.Context, target understudy.Target) error {
			if target.ID() != "4" {
				return noSuchHost
			}
			return nil
		}},
	}
	unresolved := func(context.Context) error { return noSuchHost }
	b.set(unresolved, "1", "2", "3")
	for _, id := range []string{"1", "2", "3", "4"} {
		c.Endpoints = append(c.Endpoints, handler(id, func(ctx context.Context, m *messages.Request) (*messages.Response, error) {
			b.mu.Lock()
			b.hits = append(b.hits, id)
			does := b.does[id]
			b.mu.Unlock()
			if does != nil {
				return nil, does(ctx)
			}
			return &messages.Response{Status: 200, Body: []byte(m.Method + " " + m.Path)}, nil
		}))
	}
	virtually(t, c, func(t *testing.T, s *understudy.Service) {
		search := func() {
			resp, err := s.Request(t.Context(), &messages.Request{Method: "GET", Path: "/products/search?q=phone"})
			require.NoError(t, err)
			require.Equal(t, "4", resp.Endpoint)
			require.Equal(t, "GET /products/search?q=phone", string(resp.Body))
		}
		search() // before any check
		pass(time.Second)
		before := b.total()
		for range 60 {
			search()
			pass(time.Second)
		}
		require.Equal(t, before+60, b.total(), "60 attempts for 60 requests")
		require.Equal(t, "unhealthy", status(t, s, "1").Health)
		require.Contains(t, status(t, s, "1").HealthReason, "no such host")
	})
}

// "19. Threshold 3: after 3 failed attempts an endpoint is untouched for 60 s, then
// gets one trial."
func TestFailover19(t *testing.T) {
	c := understudy.ServiceConfig{Endpoints: named("a", "b"), Strategy: inOrder, Breaker: fixed(3, time.Minute),
		SlowStart: understudy.SlowStart{Window: understudy.Off}}
	virtually(t, c, func(t *testing.T, s *understudy.Service) {
		var b backend
		b.set(broken, "a")
		for b.of("a") < 3 {
			require.NoError(t, do(t, s, &b, 1), "b answers")
			pass(time.Second)
		}
		require.Equal(t, "open", status(t, s, "a").Breaker)
		pass(58 * time.Second) // 59 s since the third
		require.NoError(t, do(t, s, &b, 100))
		require.Equal(t, 3, b.of("a"), "untouched")
		pass(time.Second)
		require.NoError(t, do(t, s, &b, 100))
		require.Equal(t, 4, b.of("a"), "one trial")

		pass(time.Minute)
		b.set(nil, "a")
		require.NoError(t, do(t, s, &b, 100))
		require.InDelta(t, 4+50, b.of("a"), 1, "it is back")
	})
}

// "20. One transient failure must not eject. `fall: 3` ejects; back after it
// recovers."
func TestFailover20(t *testing.T) {
	var calls, checks backend
	c := understudy.ServiceConfig{Endpoints: named("a", "b"), Strategy: inOrder,
		Health: understudy.Health{Interval: 2 * time.Second, Fall: 3, Rise: 2, Jitter: understudy.Off, IdleInterval: understudy.Off},
		Hooks: understudy.Hooks{Check: func(ctx context.Context, target understudy.Target) error {
			_, err := checks.call(ctx, target)
			return err
		}}}
	virtually(t, c, func(t *testing.T, s *understudy.Service) {
		serves := func(id string) bool {
			before := calls.of(id)
			require.NoError(t, do(t, s, &calls, 10))
			return calls.of(id) > before
		}
		// A call that fails once.
		calls.set(func(context.Context) error { calls.set(nil, "a"); return noSuchHost }, "a")
		require.NoError(t, do(t, s, &calls, 1))
		require.Equal(t, []string{"a", "b"}, calls.hits)
		require.True(t, status(t, s, "a").Eligible)
		pass(2 * time.Second)
		require.True(t, serves("a"))

		// A check that fails once.
		checks.set(func(context.Context) error { checks.set(nil, "a"); return errBroken }, "a")
		pass(2 * time.Second)
		require.EqualValues(t, 1, status(t, s, "a").CheckFailures)
		require.Equal(t, "healthy", status(t, s, "a").Health)
		require.True(t, serves("a"))
		require.Empty(t, happened(s, messages.KindEndpointDown))

		// Three in a row.
		checks.set(broken, "a")
		for !serves("b") || status(t, s, "a").Health == "healthy" {
			pass(10 * time.Millisecond)
		}
		require.EqualValues(t, 1+3, status(t, s, "a").CheckFailures, "fall: 3")
		require.Equal(t, []string{"endpoint_down a"}, happened(s, messages.KindEndpointDown))
		for range 30 {
			require.False(t, serves("a"), "ejected")
			pass(time.Second)
		}
		checks.set(nil, "a")
		for !serves("a") {
			pass(100 * time.Millisecond)
		}
		require.Equal(t, "healthy", status(t, s, "a").Health)
	})
}

// "21. None eligible, panic off: `ALL_ENDPOINTS_DOWN`, which also is `NO_ENDPOINTS`,
// "no healthy endpoints"; none registered: `NO_ENDPOINTS`."
func TestFailover21(t *testing.T) {
	c := understudy.ServiceConfig{Endpoints: named("a", "b"), PanicThreshold: understudy.Off,
		Hooks: understudy.Hooks{Check: func(context.Context, understudy.Target) error { return errBroken }}}
	virtually(t, c, func(t *testing.T, s *understudy.Service) {
		var b backend
		err := do(t, s, &b, 1)
		coded(t, err, messages.CodeAllEndpointsDown)
		require.ErrorIs(t, err, messages.ErrAllEndpointsDown)
		require.ErrorIs(t, err, messages.ErrNoEndpoints)
		require.Contains(t, err.Error(), "no healthy endpoints")

		require.NoError(t, s.Deregister("a"))
		require.NoError(t, s.Deregister("b"))
		err = do(t, s, &b, 1)
		coded(t, err, messages.CodeNoEndpoints)
		require.ErrorIs(t, err, messages.ErrNoEndpoints)
		require.NotErrorIs(t, err, messages.ErrAllEndpointsDown)
		require.Contains(t, err.Error(), "no healthy endpoints")
		require.Zero(t, b.total())
	})
}

// "21. None eligible, panic off: `ALL_ENDPOINTS_DOWN`, which also is `NO_ENDPOINTS`,
// "no healthy endpoints" […]": to everybody who asks, and where some are open and the
// rest unhealthy too.
func TestFailover21Everybody(t *testing.T) {
	for name, mixed := range map[string]bool{"all unhealthy": false, "one open, one unhealthy": true} {
		t.Run(name, func(t *testing.T) {
			var sick sync.Map
			c := understudy.ServiceConfig{Endpoints: named("a", "b"), PanicThreshold: understudy.Off,
				Health: understudy.Health{InitialDelay: time.Hour, Fall: 1},
				Hooks: understudy.Hooks{Check: func(_ context.Context, target understudy.Target) error {
					if _, ill := sick.Load(target.ID()); ill {
						return errBroken
					}
					return nil
				}}}
			s := add(t, start(t), "svc", c)
			require.NoError(t, do(t, s, new(backend), 1))
			sick.Store("b", true)
			if mixed {
				understudytest.Trip(t, s, "a")
			} else {
				sick.Store("a", true)
			}
			_, err := s.CheckAll(t.Context())
			require.NoError(t, err)
			require.False(t, status(t, s, "a").Eligible)
			require.False(t, status(t, s, "b").Eligible)

			var b backend
			_, byRequest := s.Request(t.Context(), &messages.Request{})
			_, bySelect := s.Select(t.Context())
			_, byAcquire := s.Acquire(t.Context())
			_, byClient := (&http.Client{Transport: s.RoundTripper()}).Get("http://svc/")
			for by, err := range map[string]error{"Do": do(t, s, &b, 1), "Request": byRequest, "Select": bySelect, "Acquire": byAcquire, "RoundTripper": byClient} {
				require.ErrorIs(t, err, messages.ErrNoEndpoints, by)
				coded(t, err, messages.CodeAllEndpointsDown)
				require.ErrorContains(t, err, "no healthy endpoints", by)
			}
			require.Zero(t, b.total())
		})
	}
}

// "21. None eligible, panic off: `ALL_ENDPOINTS_DOWN` […]": with panic on, as it is by
// default, who is only said to be ill is asked as a last resort, and it is said aloud.
// An open breaker and an operator's word hold even then.
func TestFailover21Panic(t *testing.T) {
	var sick atomic.Bool
	c := understudy.ServiceConfig{Endpoints: named("a", "b", "c", "d"), Strategy: inOrder, SlowStart: understudy.SlowStart{Window: understudy.Off},
		Health: understudy.Health{InitialDelay: time.Hour, Fall: 1, Rise: 1},
		Hooks: understudy.Hooks{Check: func(context.Context, understudy.Target) error {
			if sick.Load() {
				return errBroken
			}
			return nil
		}}}
	virtually(t, c, func(t *testing.T, s *understudy.Service) {
		var b backend
		check := func() {
			_, err := s.CheckAll(t.Context())
			require.NoError(t, err)
			synctest.Wait()
		}
		understudytest.Trip(t, s, "c")
		operate(t, s, "d", understudy.VerbMaint)
		require.NoError(t, do(t, s, &b, 10))
		require.Equal(t, []int{5, 5, 0, 0}, []int{b.of("a"), b.of("b"), b.of("c"), b.of("d")})
		require.False(t, s.Status().Panic)
		require.Empty(t, happened(s, messages.KindPanicStarted))

		sick.Store(true)
		check()
		for _, id := range []string{"a", "b", "c", "d"} {
			require.False(t, status(t, s, id).Eligible, id)
		}
		require.True(t, s.Status().Panic)
		require.Len(t, happened(s, messages.KindPanicStarted), 1)
		require.NoError(t, do(t, s, &b, 10))
		require.Equal(t, []int{10, 10, 0, 0}, []int{b.of("a"), b.of("b"), b.of("c"), b.of("d")}, "no open breaker, no operator's word")

		off := s.Config()
		off.PanicThreshold = understudy.Off
		require.NoError(t, s.Configure(off))
		coded(t, do(t, s, &b, 1), messages.CodeAllEndpointsDown)
		require.Equal(t, 20, b.total())

		sick.Store(false)
		off.PanicThreshold = 0
		require.NoError(t, s.Configure(off))
		check()
		require.False(t, s.Status().Panic)
		require.NotEmpty(t, happened(s, messages.KindPanicEnded))
		require.NoError(t, do(t, s, &b, 10))
		require.Equal(t, []int{15, 15, 0, 0}, []int{b.of("a"), b.of("b"), b.of("c"), b.of("d")})
	})
}

// "22. Register without any health known, select at once: succeeds."
func TestFailover22(t *testing.T) {
	t.Run("no check", func(t *testing.T) {
		s := add(t, start(t), "svc", understudy.ServiceConfig{})
		require.NoError(t, s.Register(understudy.Endpoint{ID: "a"}))
		target, err := s.Select(t.Context())
		require.NoError(t, err)
		require.Equal(t, "a", target.ID())
	})
	t.Run("the first check is still out", func(t *testing.T) {
		c := understudy.ServiceConfig{Hooks: understudy.Hooks{Check: func(ctx context.Context, _ understudy.Target) error { return stalled(ctx) }}}
		virtually(t, c, func(t *testing.T, s *understudy.Service) {
			require.NoError(t, s.Register(understudy.Endpoint{ID: "a"}))
			target, err := s.Select(t.Context())
			require.NoError(t, err)
			require.Equal(t, "a", target.ID())
			require.Equal(t, "unknown", status(t, s, "a").Health)
			require.NoError(t, do(t, s, new(backend), 1))
		})
	})
}

// "23. Two services: a request for one never reaches the other, and metrics keep them
// apart."
func TestFailover23(t *testing.T) {
	bubble(t, func(t *testing.T) {
		us := start(t)
		// The same ids in both, so that a mix-up would not be seen by the id.
		users, orders := named("1", "2"), named("1", "2")
		one := add(t, us, "users", understudy.ServiceConfig{Endpoints: users, Strategy: inOrder, Retry: once})
		two := add(t, us, "orders", understudy.ServiceConfig{Endpoints: orders, Strategy: inOrder})
		var b1, b2 backend
		b2.set(broken, "1", "2")
		require.NoError(t, do(t, one, &b1, 7))
		require.Error(t, do(t, two, &b2, 2))
		require.Equal(t, 7, b1.total())
		require.Equal(t, 6, b2.total())
		require.EqualValues(t, 7, one.Stats().Requests)
		require.EqualValues(t, 7, one.Stats().Attempts)
		require.EqualValues(t, 7, one.Stats().Succeeded)
		require.Zero(t, one.Stats().Failed)
		require.EqualValues(t, 2, two.Stats().Requests)
		require.EqualValues(t, 6, two.Stats().Attempts)
		require.Zero(t, two.Stats().Succeeded)
		for _, e := range one.Status().Endpoints {
			require.Zero(t, e.Failures)
			require.Equal(t, "closed", e.Breaker)
		}
		for _, e := range one.History(100) {
			require.Equal(t, "users", e.Service)
		}

		// Nor does it when its own service has nobody left.
		require.NoError(t, two.Deregister("1"))
		require.NoError(t, two.Deregister("2"))
		require.ErrorIs(t, do(t, two, &b2, 1), messages.ErrNoEndpoints)
		require.Equal(t, 7, b1.total())
	})
}
