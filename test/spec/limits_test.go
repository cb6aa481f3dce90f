package spec

import (
	"context"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/understudytest"
)

// fivePerSecond is the limit of sentence 29: "5 per 1.0 s, `mode: wait`".
var fivePerSecond = understudy.RateLimit{Limit: 5, Per: time.Second, Mode: "wait"}

// arrivals are the moments at which an endpoint was asked.
type arrivals struct {
	mu    sync.Mutex
	began time.Time
	at    []time.Duration
}

func (a *arrivals) add() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at = append(a.at, time.Since(a.began))
}

// rateEntrances are the ways in which an attempt comes out of a service; each tells
// the arrivals.
var rateEntrances = map[string]func(ctx context.Context, s *understudy.Service, a *arrivals) error{
	"Do": func(ctx context.Context, s *understudy.Service, a *arrivals) error {
		_, err := understudy.Do(ctx, s, func(context.Context, understudy.Target) (int, error) { a.add(); return 0, nil })
		return err
	},
	"Request": func(ctx context.Context, s *understudy.Service, _ *arrivals) error {
		_, err := s.Request(ctx, &messages.Request{})
		return err
	},
	"Acquire": func(ctx context.Context, s *understudy.Service, a *arrivals) error {
		l, err := s.Acquire(ctx)
		if err == nil {
			a.add()
			l.Done(nil)
		}
		return err
	},
}

func rateLimited(a *arrivals, answer int) understudy.ServiceConfig {
	c := understudy.ServiceConfig{RateLimit: fivePerSecond}
	for _, id := range []string{"a", "b"} { // the limit is the service's, not an endpoint's
		c.Endpoints = append(c.Endpoints, handler(id, func(context.Context, *messages.Request) (*messages.Response, error) {
			a.add()
			return &messages.Response{Status: answer}, nil
		}))
	}
	return c
}

// "29. 5 per 1.0 s, `mode: wait`: the 6th waits until 1.0 s after the first, […]"
func TestLimits29Sixth(t *testing.T) {
	for name, call := range rateEntrances {
		t.Run(name, func(t *testing.T) {
			var a arrivals
			virtually(t, rateLimited(&a, 200), func(t *testing.T, s *understudy.Service) {
				a.began = time.Now()
				var all sync.WaitGroup
				ms := func(n ...int) (out []time.Duration) {
					for _, n := range n {
						out = append(out, time.Duration(n)*time.Millisecond)
					}
					return out
				}
				for _, at := range ms(0, 200, 400, 600, 800, 900, 900) {
					all.Go(func() {
						<-time.After(at)
						if err := call(t.Context(), s, &a); err != nil {
							t.Error(err)
						}
					})
				}
				all.Wait()
				require.Equal(t, ms(0, 200, 400, 600, 800, 1000, 1200), a.at,
					"the 6th 1.0 s after the first, whenever it came; the 7th 1.0 s after the second")
			})
		})
	}
}

// "29. […] never more than 5 in any second. […]"
func TestLimits29AnySecond(t *testing.T) {
	check := func(t *testing.T, a *arrivals) {
		require.True(t, slices.IsSorted(a.at))
		for i := range a.at[min(5, len(a.at)):] {
			require.GreaterOrEqual(t, a.at[i+5]-a.at[i], time.Second, "the %dth came %v after the one 5 before", i+5, a.at[i+5]-a.at[i])
		}
	}
	for name, call := range rateEntrances {
		t.Run(name+", a hundred at once", func(t *testing.T) {
			var a arrivals
			virtually(t, rateLimited(&a, 200), func(t *testing.T, s *understudy.Service) {
				a.began = time.Now()
				var all sync.WaitGroup
				for range 100 {
					all.Go(func() {
						if err := call(t.Context(), s, &a); err != nil {
							t.Error(err)
						}
					})
				}
				all.Wait()
				require.Len(t, a.at, 100)
				check(t, &a)
				require.Equal(t, 19*time.Second, a.at[99], "and no slower than that")
			})
		})
		t.Run(name+", at any time", func(t *testing.T) {
			dice := rand.New(rand.NewPCG(3, 4))
			var a arrivals
			virtually(t, rateLimited(&a, 200), func(t *testing.T, s *understudy.Service) {
				a.began = time.Now()
				var all sync.WaitGroup
				for range 300 {
					pass(time.Duration(dice.ExpFloat64() * float64(180*time.Millisecond)))
					all.Go(func() {
						if err := call(t.Context(), s, &a); err != nil {
							t.Error(err)
						}
					})
				}
				all.Wait()
				require.Len(t, a.at, 300)
				check(t, &a)
			})
		})
	}
	t.Run("retries count too", func(t *testing.T) {
		var a arrivals
		c := rateLimited(&a, 503)
		c.Breaker.Disabled = true
		c.Retry = understudy.Retry{MaxAttempts: 3, Budget: understudy.RetryBudget{Ratio: understudy.Off}}
		virtually(t, c, func(t *testing.T, s *understudy.Service) {
			a.began = time.Now()
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					if _, err := s.Request(t.Context(), &messages.Request{}); err == nil {
						t.Error("no error")
					}
				})
			}
			all.Wait()
			require.Len(t, a.at, 60)
			check(t, &a)
		})
	})
}

// "29. […] Pool of 10: the 11th concurrent call waits."
func TestLimits29Pool(t *testing.T) {
	var inflight, most atomic.Int32
	release := make(chan struct{})
	server := understudytest.Serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		n := inflight.Add(1)
		defer inflight.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	s := add(t, start(t), "svc", understudy.ServiceConfig{Endpoints: []understudy.Endpoint{server.Endpoint("a")},
		AttemptTimeout: understudy.Off, Pool: understudy.Pool{Max: 10}})
	var all sync.WaitGroup
	for range 30 {
		all.Go(func() {
			resp, err := s.Request(t.Context(), &messages.Request{})
			if err != nil || resp.Status != 200 {
				t.Error(resp, err)
			}
		})
	}
	server.AwaitHits(10)
	for status(t, s, "a").Inflight < 30 || inflight.Load() < 10 {
		runtime.Gosched() // until every call is on its way
	}
	require.EqualValues(t, 10, inflight.Load())
	require.Equal(t, 10, server.Hits(), "the 11th waits")
	release <- struct{}{}
	server.AwaitHits(11) // one answer lets one in
	for range 29 {
		release <- struct{}{}
	}
	all.Wait()
	require.EqualValues(t, 10, most.Load(), "never more than 10")
	require.Equal(t, 30, server.Hits())
}

// "31. Dynamic rate limit: while the service fails or slows, the admitted rate falls;
// when it is well again, it returns."
func TestLimits31(t *testing.T) {
	const limit = 50
	well := taking(20*time.Millisecond, nil)
	for name, tc := range map[string]struct {
		ill  func(context.Context) error
		back int // s until it has returned: 9 steps of a second once the service is seen to be well
	}{
		"fails":     {taking(20*time.Millisecond, errBroken), 12},
		"times out": {stalled, 12},
		"slows":     {taking(300*time.Millisecond, nil), 45}, // the latency average forgets in tens of seconds
	} {
		for _, mode := range []string{"wait", "reject"} {
			for kind, dynamic := range map[string]bool{"dynamic": true, "static": false} {
				t.Run(name+", "+mode+", "+kind, func(t *testing.T) {
					c := understudy.ServiceConfig{Endpoints: named("a", "b"), Retry: once, Breaker: understudy.Breaker{Disabled: true},
						Timeout: understudy.Off, AttemptTimeout: 400 * time.Millisecond, Concurrency: understudy.Concurrency{Max: understudy.Off},
						RateLimit: understudy.RateLimit{Limit: limit, Per: time.Second, Mode: mode, Dynamic: dynamic}}
					virtually(t, c, func(t *testing.T, s *understudy.Service) {
						var b backend
						ctx, giveUp := context.WithCancel(t.Context())
						defer giveUp()                            // those who still wait
						seconds := func(n int) (admitted []int) { // in each of n; twice the limit is offered
							for range n {
								before := b.total()
								for range 2 * limit {
									go func() { _, _ = understudy.Do(ctx, s, b.call) }()
									pass(time.Second / (2 * limit))
								}
								admitted = append(admitted, b.total()-before)
							}
							return admitted
						}
						full := func(admitted []int) {
							t.Helper()
							for _, n := range admitted {
								require.InDelta(t, limit, n, 1, "%v", admitted)
							}
						}
						b.set(well, "a", "b")
						full(seconds(5))

						b.set(tc.ill, "a", "b")
						admitted := seconds(20)
						if !dynamic { // else it is something other that falls
							full(admitted)
							return
						}
						require.Less(t, admitted[4], limit/2, "it falls: %v", admitted)
						for _, n := range admitted[10:] {
							require.InDelta(t, limit/10, n, 1, "to a tenth: %v", admitted)
						}

						b.set(well, "a", "b")
						admitted = seconds(tc.back + 10)
						full(admitted[tc.back:])
						for _, n := range admitted {
							require.LessOrEqual(t, n, limit+1, "%v", admitted)
						}
					})
				})
			}
		}
	}
}
