package spec

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/actors/retry"
	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/understudytest"
)

const orderServiceIsDown = `{"message":"Order service is down, please try again later."}`

// handler is an endpoint that is a function: a Request reaches it without a socket.
func handler(id string, h understudy.Handler) understudy.Endpoint {
	return understudy.Endpoint{ID: id, Handler: h}
}

func answering(status int) understudy.Handler {
	return func(context.Context, *messages.Request) (*messages.Response, error) {
		return &messages.Response{Status: status}, nil
	}
}

// "9. Attempt timeout 5 s, the service stalls 6 s then says 503, 3 attempts, waits 2 s
// then 4 s (exponential, 2..10 s), breaker threshold above 3: exactly 3 hits, then the
// fallback at 5+2+5+4+5 = 21 s, body `{"message":"Order service is down, please try
// again later."}`, and no raw retry error."
func TestRetry09(t *testing.T) {
	stalls := taking(6*time.Second, nil)
	var hits []time.Time
	c := understudy.ServiceConfig{
		Endpoints: []understudy.Endpoint{handler("order-service", func(ctx context.Context, _ *messages.Request) (*messages.Response, error) {
			hits = append(hits, time.Now())
			if err := stalls(ctx); err != nil {
				return nil, err
			}
			return &messages.Response{Status: 503}, nil
		})},
		AttemptTimeout: 5 * time.Second,
		Breaker:        understudy.Breaker{FailureThreshold: 4},
		Retry:          understudy.Retry{MaxAttempts: 3, Backoff: understudy.Exponential(2*time.Second, 10*time.Second), Jitter: understudy.Off},
		Fallback:       &understudy.Fallback{Status: 200, Body: orderServiceIsDown},
	}
	virtually(t, c, func(t *testing.T, s *understudy.Service) {
		began := time.Now()
		resp, err := s.Request(t.Context(), &messages.Request{Path: "/orders?user=7"})
		require.NoError(t, err, "no raw retry error")
		require.Equal(t, 21*time.Second, time.Since(began))
		require.Equal(t, orderServiceIsDown, string(resp.Body))
		require.Equal(t, 200, resp.Status)
		require.True(t, resp.Fallback)
		require.Nil(t, resp.Err)
		var at []time.Duration
		for _, h := range hits {
			at = append(at, h.Sub(began))
		}
		require.Equal(t, []time.Duration{0, 7 * time.Second, 16 * time.Second}, at, "exactly 3 hits")
		st := s.Stats()
		require.EqualValues(t, 1, st.Fallbacks)
		require.Zero(t, st.Succeeded, "a fallback is no success")
		require.EqualValues(t, 3, status(t, s, "order-service").Timeouts)
	})
}

// "9. […] waits 2 s then 4 s (exponential, 2..10 s) […]": they begin at 2 s, double, and
// end at 10 s.
func TestRetry09Waits(t *testing.T) {
	c := understudy.ServiceConfig{Endpoints: named("a"), Breaker: understudy.Breaker{Disabled: true}, Timeout: understudy.Off,
		Retry: understudy.Retry{MaxAttempts: 6, Backoff: understudy.Exponential(2*time.Second, 10*time.Second), Jitter: understudy.Off}}
	virtually(t, c, func(t *testing.T, s *understudy.Service) {
		var at []time.Time
		_, err := understudy.Do(t.Context(), s, func(context.Context, understudy.Target) (int, error) {
			at = append(at, time.Now())
			return 0, errBroken
		})
		coded(t, err, messages.CodeRetryExhausted)
		var waits []time.Duration
		for i := range at[1:] {
			waits = append(waits, at[i+1].Sub(at[i])/time.Second)
		}
		require.Equal(t, []time.Duration{2, 4, 8, 10, 10}, waits)
	})
}

// "10. A service that fails half the time, breaker off: mean hits 1.75, fallback rate
// 12.5 % ± 1 point over 10,000 requests."
func TestRetry10(t *testing.T) {
	const requests = 10_000
	coin := rand.New(rand.NewPCG(1, 2))
	hits := 0
	c := understudy.ServiceConfig{
		Endpoints: []understudy.Endpoint{handler("a", func(context.Context, *messages.Request) (*messages.Response, error) {
			hits++
			return &messages.Response{Status: []int{200, 503}[coin.IntN(2)]}, nil
		})},
		Breaker:  understudy.Breaker{Disabled: true},
		Retry:    understudy.Retry{MaxAttempts: 3, Budget: understudy.RetryBudget{Ratio: understudy.Off}},
		Fallback: &understudy.Fallback{Body: orderServiceIsDown},
	}
	virtually(t, c, func(t *testing.T, s *understudy.Service) {
		fallbacks := 0
		for range requests {
			resp, err := s.Request(t.Context(), &messages.Request{})
			require.NoError(t, err)
			if resp.Fallback {
				fallbacks++
			}
		}
		require.InDelta(t, 1.75, float64(hits)/requests, 0.03)
		require.InDelta(t, 0.125, float64(fallbacks)/requests, 0.01)
		require.EqualValues(t, fallbacks, s.Stats().Fallbacks)
		require.EqualValues(t, hits, s.Stats().Attempts)
	})
}

// "11. Breaker open: the fallback at once, 0 hits."
func TestRetry11(t *testing.T) {
	hits := 0
	c := understudy.ServiceConfig{
		Endpoints: []understudy.Endpoint{handler("a", func(context.Context, *messages.Request) (*messages.Response, error) {
			hits++
			return &messages.Response{Status: 503}, nil
		})},
		Breaker:  fixed(3, time.Minute),
		Fallback: &understudy.Fallback{Body: orderServiceIsDown},
	}
	virtually(t, c, func(t *testing.T, s *understudy.Service) {
		_, err := s.Request(t.Context(), &messages.Request{}) // its 3 attempts open it
		require.NoError(t, err)
		require.Equal(t, "open", status(t, s, "a").Breaker)
		hits = 0
		began := time.Now()
		resp, err := s.Request(t.Context(), &messages.Request{})
		require.NoError(t, err)
		require.True(t, resp.Fallback)
		require.Equal(t, orderServiceIsDown, string(resp.Body))
		require.Zero(t, time.Since(began), "at once")
		require.Zero(t, hits)
	})
}

// "12. Base 1.0 s doubling, jitter up to 0.5 s: wait 1 in [1.0, 1.5], wait 2 in [2.0,
// 2.5], none after the third attempt."
func TestRetry12(t *testing.T) {
	c := understudy.ServiceConfig{Endpoints: named("a"), Breaker: understudy.Breaker{Disabled: true},
		Retry: understudy.Retry{MaxAttempts: 3, Backoff: understudy.Exponential(time.Second, 0), Jitter: retry.Jitter(500 * time.Millisecond)}}
	virtually(t, c, func(t *testing.T, s *understudy.Service) {
		lowest, highest := [2]float64{9, 9}, [2]float64{}
		for range 200 {
			var at []time.Time
			_, err := understudy.Do(t.Context(), s, func(context.Context, understudy.Target) (int, error) {
				at = append(at, time.Now())
				return 0, errBroken
			})
			coded(t, err, messages.CodeRetryExhausted)
			require.Len(t, at, 3)
			for i := range 2 {
				wait := at[i+1].Sub(at[i]).Seconds()
				lowest[i], highest[i] = min(lowest[i], wait), max(highest[i], wait)
			}
			require.Equal(t, at[2], time.Now(), "none after the third attempt")
		}
		for i, base := range []float64{1, 2} {
			require.GreaterOrEqual(t, lowest[i], base)
			require.LessOrEqual(t, highest[i], base+0.5)
			require.Greater(t, highest[i]-lowest[i], 0.4, "the jitter uses its room")
		}
	})
}

// "13. Always failing, 3 attempts: attempts = 3, `RETRY_EXHAUSTED`, the last cause
// unwraps, distinct endpoints while there are any. Success at once: attempts = 1."
func TestRetry13(t *testing.T) {
	for _, endpoints := range [][]string{{"a"}, {"a", "b"}, {"a", "b", "c"}, {"a", "b", "c", "d"}} {
		distinct := len(endpoints)
		t.Run(fmt.Sprint(distinct), func(t *testing.T) {
			c := understudy.ServiceConfig{Endpoints: named(endpoints...), Strategy: inOrder, Retry: understudy.Retry{MaxAttempts: 3}}
			virtually(t, c, func(t *testing.T, s *understudy.Service) {
				causes := []error{errors.New("first"), errors.New("second"), errors.New("third")}
				var report understudy.Report
				calls := 0
				_, err := understudy.Do(t.Context(), s, func(context.Context, understudy.Target) (int, error) {
					calls++
					return 0, causes[calls-1]
				}, understudy.Into(&report))
				e := coded(t, err, messages.CodeRetryExhausted)
				require.Len(t, e.Attempts, 3)
				require.Equal(t, endpoints[:min(distinct, 3)], tried(e.Attempts)[:min(distinct, 3)], "distinct while there are any")
				require.Len(t, report.Attempts, 3)
				require.ErrorIs(t, err, messages.ErrRetryExhausted)
				require.ErrorIs(t, err, causes[2], "the last cause")
				require.NotErrorIs(t, err, causes[0])

				var ok understudy.Report
				_, err = understudy.Do(t.Context(), s, new(backend).call, understudy.Into(&ok))
				require.NoError(t, err)
				require.Len(t, ok.Attempts, 1)
			})
		})
	}
}

// "14. Configuration with only a strategy: the call still runs once, defaults filled
// in."
func TestRetry14(t *testing.T) {
	virtually(t, understudy.ServiceConfig{Strategy: inOrder}, func(t *testing.T, s *understudy.Service) {
		require.NoError(t, s.Register(understudy.Endpoint{ID: "a"}))
		calls := 0
		_, err := understudy.Do(t.Context(), s, func(ctx context.Context, _ understudy.Target) (int, error) {
			calls++
			deadline, ok := ctx.Deadline()
			require.True(t, ok)
			require.Equal(t, 2*time.Second, time.Until(deadline), "attempt_timeout")
			return 0, nil
		})
		require.NoError(t, err)
		require.Equal(t, 1, calls, "once")

		var b backend
		b.set(broken, "a")
		require.Len(t, coded(t, do(t, s, &b, 1), messages.CodeRetryExhausted).Attempts, 3, "retry.max_attempts")
		_ = do(t, s, &b, 1)
		require.Equal(t, 5, b.total(), "breaker.failure_threshold")
		require.Equal(t, "open", status(t, s, "a").Breaker)

		c := s.Config().WithDefaults()
		require.Equal(t, 30*time.Second, c.Timeout)
		require.Equal(t, 5*time.Second, c.Breaker.OpenTimeout)
		require.Equal(t, 25*time.Millisecond, c.Retry.Backoff.Initial)
	})
}

// "15. 429 with `Retry-After: 2` cools that endpoint 2 s; without the header 60 s; an
// HTTP date works; […] meanwhile others serve."
func TestRetry15(t *testing.T) {
	for name, tc := range map[string]struct {
		header func() messages.Header
		pause  time.Duration
	}{
		"seconds":   {func() messages.Header { return messages.Header{"Retry-After": {"2"}} }, 2 * time.Second},
		"no header": {func() messages.Header { return nil }, time.Minute},
		"a date": {func() messages.Header {
			return messages.Header{"Retry-After": {time.Now().Add(7 * time.Second).UTC().Format(http.TimeFormat)}}
		}, 7 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			busy := false
			hits := 0
			c := understudy.ServiceConfig{Strategy: inOrder, Endpoints: []understudy.Endpoint{
				handler("a", func(context.Context, *messages.Request) (*messages.Response, error) {
					hits++
					if busy {
						return &messages.Response{Status: 429, Header: tc.header()}, nil
					}
					return &messages.Response{Status: 200}, nil
				}),
				handler("b", answering(200)),
			}}
			virtually(t, c, func(t *testing.T, s *understudy.Service) {
				ask := func() string {
					resp, err := s.Request(t.Context(), &messages.Request{})
					require.NoError(t, err)
					require.Equal(t, 200, resp.Status)
					return resp.Endpoint
				}
				busy = true
				require.Equal(t, "b", ask(), "the request itself goes on at b")
				require.Equal(t, 1, hits)
				busy = false
				for range 20 {
					require.Equal(t, "b", ask(), "meanwhile others serve")
				}
				pass(tc.pause - 1)
				require.Equal(t, "b", ask())
				require.Equal(t, 1, hits)
				require.Equal(t, "closed", status(t, s, "a").Breaker)
				pass(1)
				require.ElementsMatch(t, []string{"a", "b"}, []string{ask(), ask()}, "its turn comes again")
			})
		})
	}
}

// "15. […] method, parameters and body are kept […]"
func TestRetry15SameRequest(t *testing.T) {
	busy, idle := understudytest.Faulty(t, 429, 1), understudytest.Good(t)
	s := add(t, start(t), "svc", understudy.ServiceConfig{Strategy: inOrder,
		Endpoints: []understudy.Endpoint{busy.Endpoint("busy"), idle.Endpoint("idle")}})
	resp, err := s.Request(t.Context(), &messages.Request{Method: "PUT", Path: "/orders/7?color=red&size=%C3%A4", Body: []byte(`{"n":1}`),
		Header: messages.Header{"Content-Type": {"application/json"}, "X-Two": {"1", "2"}}})
	require.NoError(t, err)
	require.Equal(t, "idle", resp.Endpoint)
	require.Equal(t, []string{"busy", "idle"}, tried(resp.Attempts))
	require.Len(t, busy.Requests(), 1)
	require.Len(t, idle.Requests(), 1)
	for _, got := range []understudytest.Request{busy.Requests()[0], idle.Requests()[0]} {
		require.Equal(t, "PUT", got.Method)
		require.Equal(t, "/orders/7?color=red&size=%C3%A4", got.URI)
		require.Equal(t, `{"n":1}`, string(got.Body))
		require.Equal(t, "application/json", got.Header.Get("Content-Type"))
		require.Equal(t, []string{"1", "2"}, got.Header["X-Two"])
	}
}

// "16. A database pair: threshold 3, open 60 s, 2 retries, 5 s apart: 3 attempts, 2
// waits of 5 s."
//
// While the other one of the pair is there, a retry goes to it at once: waits are
// between two tries of one endpoint. So the sentence is that of the last one left.
func TestRetry16(t *testing.T) {
	c := understudy.ServiceConfig{Endpoints: named("primary", "replica"), Strategy: understudy.Strategy{Pick: "health_based"},
		Breaker: understudy.Breaker{FailureThreshold: 3, OpenTimeout: time.Minute, OpenTimeoutMax: time.Minute, Jitter: understudy.Off},
		Retry:   understudy.Retry{MaxAttempts: 3, Backoff: understudy.Constant(5 * time.Second)}}
	virtually(t, c, func(t *testing.T, s *understudy.Service) {
		require.NoError(t, s.Operate(t.Context(), understudy.Order{Endpoint: "primary", Verb: understudy.VerbMaint}))
		var b backend
		b.set(broken, "replica")
		began := time.Now()
		e := coded(t, do(t, s, &b, 1), messages.CodeRetryExhausted)
		require.Len(t, e.Attempts, 3)
		require.Equal(t, 10*time.Second, time.Since(began), "2 waits of 5 s")
		require.Equal(t, "open", status(t, s, "replica").Breaker, "threshold 3")
		require.Equal(t, time.Minute, coded(t, do(t, s, &b, 1), messages.CodeCircuitOpen).RetryAfter, "open 60 s")

		// Automatic failover: the pair is whole again, and the primary serves at once.
		require.NoError(t, s.Operate(t.Context(), understudy.Order{Endpoint: "primary", Verb: understudy.VerbReady}))
		began = time.Now()
		require.NoError(t, do(t, s, &b, 10))
		require.Equal(t, 10, b.of("primary"))
		require.Zero(t, time.Since(began))
	})
}

// "16. A database pair […]": when one of the two fails, the other one has the
// request without a wait.
func TestRetry16Failover(t *testing.T) {
	c := understudy.ServiceConfig{Endpoints: named("primary", "replica"), Strategy: inOrder,
		Retry: understudy.Retry{MaxAttempts: 3, Backoff: understudy.Constant(5 * time.Second)}}
	virtually(t, c, func(t *testing.T, s *understudy.Service) {
		var b backend
		b.set(broken, "primary")
		began := time.Now()
		got, err := understudy.Do(t.Context(), s, b.call)
		require.NoError(t, err)
		require.Equal(t, "replica", got)
		require.Zero(t, time.Since(began))
		require.Equal(t, []string{"primary", "replica"}, b.hits)
	})
}

// "17. Custom error handlers per service: one service counts 404 as failure, another
// does not."
func TestRetry17(t *testing.T) {
	is404 := func(r understudy.Result) understudy.Verdict {
		if r.Status == 404 {
			return understudy.Failure
		}
		return understudy.Auto
	}
	for name, strict := range map[string]understudy.ServiceConfig{
		"by rule": {ErrorRules: []understudy.ErrorRule{{Status: 404, Outcome: "failure"}}},
		"by hook": {Hooks: understudy.Hooks{Classify: is404}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				us := start(t)
				mild := understudy.ServiceConfig{}
				for _, c := range []*understudy.ServiceConfig{&strict, &mild} {
					c.Endpoints = []understudy.Endpoint{handler("a", answering(404))}
				}
				one, other := add(t, us, "strict", strict), add(t, us, "mild", mild)
				for range 5 {
					resp, err := one.Request(t.Context(), &messages.Request{})
					require.Error(t, err)
					require.Equal(t, 404, resp.Status, "the answer is handed on")
					resp, err = other.Request(t.Context(), &messages.Request{})
					require.NoError(t, err)
					require.Equal(t, 404, resp.Status)
				}
				require.Equal(t, "open", status(t, one, "a").Breaker)
				require.Equal(t, "closed", status(t, other, "a").Breaker)
				require.Zero(t, other.Stats().Failed)
			})
		})
	}
}
