package actors

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy/actors/limit"
	"github.com/understudy-go/understudy/actors/retry"
	"github.com/understudy-go/understudy/messages"
)

// workshop is an endpoint as a queue before some workers, who take that long for one.
type workshop struct {
	workers chan struct{}
	takes   time.Duration
}

func newWorkshop(workers int, takes time.Duration) *workshop {
	return &workshop{make(chan struct{}, workers), takes}
}

func (w *workshop) work(ctx context.Context, _ Target) (int, error) {
	select {
	case w.workers <- struct{}{}:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	<-time.After(w.takes) // who has begun ends: nobody hears of a context
	<-w.workers
	return 0, ctx.Err()
}

// flow is what came of some calls.
type flow struct {
	mu                    sync.Mutex
	good, refused, others int
	slowest               time.Duration // of the refusals
}

// flood has requests come at even intervals whether or not the others have ended.
func flood(t *testing.T, s *Service, d, every time.Duration, f func(context.Context, Target) (int, error)) *flow {
	t.Helper()
	n, callers := &flow{}, sync.WaitGroup{}
	for end := time.Now().Add(d); time.Now().Before(end); <-time.After(every) {
		callers.Go(func() {
			began := time.Now()
			_, err := Do(t.Context(), s, f)
			n.mu.Lock()
			defer n.mu.Unlock()
			switch {
			case err == nil:
				n.good++
			case errors.Is(err, messages.ErrOverloaded):
				n.refused++
				n.slowest = max(n.slowest, time.Since(began))
			default:
				n.others++
			}
		})
	}
	callers.Wait()
	synctest.Wait()
	return n
}

func adapting(n int, c limit.ConcurrencyConfig) ServiceConfig {
	c.Adaptive = true
	return ServiceConfig{Endpoints: endpoints(n), Concurrency: c, Retry: retry.Config{MaxAttempts: 1}}
}

func TestTheAdaptiveLimitKeepsTheGoodputUpUnderOverload(t *testing.T) {
	const workers, takes = 4, 10 * time.Millisecond // 400 a second
	virtual(t, adapting(1, limit.ConcurrencyConfig{}), func(t *testing.T, s *Service) {
		require.Equal(t, 20, status(t, s, "e0").Limit, "as it begins")
		w := newWorkshop(workers, takes)
		flood(t, s, 5*time.Second, 250*time.Microsecond, w.work) // 4000 a second
		n := flood(t, s, 5*time.Second, 250*time.Microsecond, w.work)
		require.GreaterOrEqual(t, n.good, 2000*8/10)
		require.Zero(t, n.others)
		require.Positive(t, n.refused)
		require.Zero(t, n.slowest, "refused at once")
		e := status(t, s, "e0")
		require.GreaterOrEqual(t, e.Limit, 2)
		require.LessOrEqual(t, e.Limit, 3*workers)
		require.Equal(t, "closed", e.Breaker)
		require.Zero(t, e.Failures)
		settled(t, s)

		calm := flood(t, s, 2*time.Second, 5*time.Millisecond, w.work) // half of what it can
		require.Equal(t, 400, calm.good)
	})
}

// The limit grows with what the endpoint can do.
func TestTheAdaptiveLimitGrows(t *testing.T) {
	virtual(t, adapting(1, limit.ConcurrencyConfig{Initial: 2, Max: 12}), func(t *testing.T, s *Service) {
		require.Equal(t, 2, status(t, s, "e0").Limit)
		w := newWorkshop(100, 10*time.Millisecond)
		flood(t, s, 8*time.Second, 500*time.Microsecond, w.work)
		require.Equal(t, 12, status(t, s, "e0").Limit, "and no further")
	})
}

// A black hole lets the limit fall, and 429 does.
func TestTheAdaptiveLimitFallsByDrops(t *testing.T) {
	for name, f := range map[string]func(context.Context, Target) (*http.Response, error){
		"timeouts": func(ctx context.Context, _ Target) (*http.Response, error) { <-ctx.Done(); return nil, ctx.Err() },
		"429": func(context.Context, Target) (*http.Response, error) {
			<-time.After(10 * time.Millisecond)
			return &http.Response{StatusCode: 429, Header: http.Header{"Retry-After": {"1"}}, Body: http.NoBody}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := adapting(1, limit.ConcurrencyConfig{})
			c.Breaker.Disabled, c.AttemptTimeout = true, 200*time.Millisecond
			virtual(t, c, func(t *testing.T, s *Service) {
				for range 60 {
					var callers sync.WaitGroup
					for range 30 {
						callers.Go(func() { _, _ = Do(t.Context(), s, f) })
					}
					callers.Wait()
					advance(time.Second)
				}
				require.LessOrEqual(t, status(t, s, "e0").Limit, 4)
				settled(t, s)
			})
		})
	}
}

// A reload changes the bounds, turns it on, and off.
func TestAReloadOfTheConcurrencyLimit(t *testing.T) {
	c := adapting(1, limit.ConcurrencyConfig{})
	virtual(t, c, func(t *testing.T, s *Service) {
		for _, x := range []struct {
			c    limit.ConcurrencyConfig
			want int
		}{
			{limit.ConcurrencyConfig{}, 1024},
			{limit.ConcurrencyConfig{Max: 3}, 3},
			{limit.ConcurrencyConfig{Max: Off}, 0},
			{limit.ConcurrencyConfig{Adaptive: true, Initial: 7}, 7},
			{limit.ConcurrencyConfig{Adaptive: true, Max: 5}, 5},
		} {
			c.Concurrency = x.c
			require.NoError(t, s.Configure(c))
			synctest.Wait()
			require.Equal(t, x.want, status(t, s, "e0").Limit)
		}
		release := make(chan struct{})
		var callers sync.WaitGroup
		for range 5 {
			callers.Go(func() {
				_, _ = Do(t.Context(), s, func(context.Context, Target) (int, error) { <-release; return 0, nil })
			})
		}
		synctest.Wait()
		_, err := Do(t.Context(), s, good)
		require.Equal(t, messages.CodeOverloaded, code(err))
		close(release)
		callers.Wait()
		settled(t, s)
	})
}

// limit.Adaptive.Observe: "Other failures … are not for Observe unless their latency is
// an answer's." A refused connection is none, nor is a panic; what they take is taken for
// the endpoint's own time, and the limit falls to nothing.
func TestARefusedConnectionSaysNothingOfTheLatency(t *testing.T) {
	c := adapting(1, limit.ConcurrencyConfig{Initial: 20})
	c.Breaker.Disabled = true
	virtual(t, c, func(t *testing.T, s *Service) {
		w := newWorkshop(20, 20*time.Millisecond) // 1000 a second
		const every = 250 * time.Microsecond      // 4000 a second
		before := flood(t, s, 4*time.Second, every, w.work)
		require.GreaterOrEqual(t, before.good, 3200, "limit %d", status(t, s, "e0").Limit)
		flood(t, s, 2*time.Second, every, func(context.Context, Target) (int, error) { return 0, errRefused })
		advance(time.Second)
		after := flood(t, s, 4*time.Second, every, w.work)
		require.GreaterOrEqual(t, after.good, 3200, "of 4000, limit %d", status(t, s, "e0").Limit)
	})
}

// A reload that leaves the limit adaptive, with another bound, keeps what was found
// (limit.Adaptive.Configure: "What was found stays, within the new bounds").
func TestAReloadKeepsTheLimitThatWasFound(t *testing.T) {
	c := adapting(1, limit.ConcurrencyConfig{Initial: 2})
	virtual(t, c, func(t *testing.T, s *Service) {
		w := newWorkshop(100, 10*time.Millisecond)
		flood(t, s, 10*time.Second, 200*time.Microsecond, w.work)
		found := status(t, s, "e0").Limit
		require.Greater(t, found, 20)
		c.Concurrency.Max = 500
		require.NoError(t, s.Configure(c))
		synctest.Wait()
		require.Equal(t, found, status(t, s, "e0").Limit)
	})
}
