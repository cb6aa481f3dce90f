package actors

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/understudy-go/understudy/actors/balance"
	"github.com/understudy-go/understudy/actors/hedge"
	"github.com/understudy-go/understudy/actors/limit"
	"github.com/understudy-go/understudy/actors/transport"
	"github.com/understudy-go/understudy/messages"
)

// taking answers after the endpoint's time, or when the context ends.
func taking(times map[string]time.Duration) func(context.Context, Target) (string, error) {
	return func(ctx context.Context, t Target) (string, error) {
		select {
		case <-time.After(times[t.ID()]):
			return t.ID(), nil
		case <-ctx.Done():
			return t.ID(), ctx.Err()
		}
	}
}

// hedging asks e0 first, and another one after 50 ms.
func hedging(n int) ServiceConfig {
	return ServiceConfig{Endpoints: endpoints(n), Strategy: balance.Config{Pick: "round_robin"}, Hedge: &hedge.Config{Delay: 50 * time.Millisecond}}
}

func TestHedgeWinsAndTheLoserIsNoFailure(t *testing.T) {
	c := hedging(2)
	c.Breaker.FailureThreshold = 1
	virtual(t, c, func(t *testing.T, s *Service) {
		began := time.Now()
		var r Report
		got, err := Do(t.Context(), s, taking(map[string]time.Duration{"e0": time.Second, "e1": 10 * time.Millisecond}), Hedged(), Into(&r))
		require.NoError(t, err)
		require.Equal(t, "e1", got)
		require.Equal(t, 60*time.Millisecond, time.Since(began))
		settled(t, s)

		loser := status(t, s, "e0")
		require.Equal(t, "closed", loser.Breaker)
		require.Zero(t, loser.Failures)
		require.False(t, loser.Suspect)
		require.Equal(t, 60*time.Millisecond, loser.Latency.Round(time.Millisecond), "its time so far is a lower bound")
		n := s.Stats()
		require.Equal(t, []uint64{1, 1, 0, 2, 1, 0, 0}, []uint64{n.Requests, n.Succeeded, n.Failed, n.Attempts, n.Hedges, n.Retries, n.Failovers})
		require.Equal(t, 1, count(s, messages.KindHedge))
		require.Zero(t, count(s, messages.KindRetry))
		require.Equal(t, "e1", r.Endpoint)
		require.Len(t, r.Attempts, 2)
		require.Equal(t, messages.CodeCanceled, r.Attempts[0].Code)
	})
}

func TestNoHedge(t *testing.T) {
	quick := map[string]time.Duration{"e0": 40 * time.Millisecond, "e1": 40 * time.Millisecond}
	slow := map[string]time.Duration{"e0": time.Second, "e1": time.Second}
	for name, x := range map[string]struct {
		c     ServiceConfig
		times map[string]time.Duration
		opts  []CallOption
	}{
		"answered in time":  {hedging(2), quick, []CallOption{Hedged()}},
		"not asked for":     {hedging(2), slow, nil},
		"not idempotent":    {hedging(2), slow, []CallOption{Hedged(), NotIdempotent()}},
		"one attempt":       {hedging(2), slow, []CallOption{Hedged(), MaxAttempts(1)}},
		"nobody else":       {hedging(1), slow, []CallOption{Hedged()}},
		"nothing known yet": {ServiceConfig{Endpoints: endpoints(2)}, slow, []CallOption{Hedged()}},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, x.c, func(t *testing.T, s *Service) {
				_, err := Do(t.Context(), s, taking(x.times), x.opts...)
				require.NoError(t, err)
				settled(t, s)
				n := s.Stats()
				require.Equal(t, []uint64{1, 1, 1, 0}, []uint64{n.Requests, n.Succeeded, n.Attempts, n.Hedges})
			})
		})
	}
}

// The retry budget pays for hedges too.
func TestHedgesCountAgainstTheBudget(t *testing.T) {
	c := hedging(2)
	c.Retry.Budget.Ratio, c.Retry.Budget.MinPerSecond = 0.001, 0.2 // 2 in 10 s
	virtual(t, c, func(t *testing.T, s *Service) {
		slow := taking(map[string]time.Duration{"e0": 100 * time.Millisecond, "e1": 100 * time.Millisecond})
		for range 6 {
			_, err := Do(t.Context(), s, slow, Hedged())
			require.NoError(t, err)
		}
		settled(t, s)
		require.EqualValues(t, 2, s.Stats().Hedges)
	})
}

func TestHedgeAtTheLive95thPercentile(t *testing.T) {
	c := hedging(2)
	c.Hedge = &hedge.Config{}
	virtual(t, c, func(t *testing.T, s *Service) {
		for i := range 100 {
			d := time.Duration(i+1) * time.Millisecond
			_, err := Do(t.Context(), s, taking(map[string]time.Duration{"e0": d, "e1": d}), Hedged(), MaxAttempts(1))
			require.NoError(t, err)
		}
		advance(time.Second)
		var second time.Duration
		began := time.Now()
		_, err := Do(t.Context(), s, func(ctx context.Context, _ Target) (string, error) {
			if at := time.Since(began); at > 0 {
				second = at
				return "", nil
			}
			<-ctx.Done()
			return "", ctx.Err()
		}, Hedged())
		require.NoError(t, err)
		require.InDelta(t, 95, second.Milliseconds(), 1)
	})
}

func TestHedgeWhereBothFail(t *testing.T) {
	virtual(t, hedging(3), func(t *testing.T, s *Service) {
		var r Report
		_, err := Do(t.Context(), s, func(_ context.Context, target Target) (string, error) {
			if target.ID() != "e2" {
				<-time.After(time.Second)
				return "", errBoom
			}
			return "", errBoom
		}, Hedged(), Into(&r))
		require.Equal(t, messages.CodeRetryExhausted, code(err))
		require.ErrorIs(t, err, errBoom)
		var asked []string
		for _, a := range r.Attempts {
			asked = append(asked, a.Endpoint)
		}
		require.Equal(t, []string{"e0", "e1", "e2"}, asked, "the hedge is one of the three attempts")
		settled(t, s)
		n := s.Stats()
		require.Equal(t, []uint64{1, 1, 3, 1, 1}, []uint64{n.Requests, n.Failed, n.Attempts, n.Hedges, n.Retries})
	})
}

func TestTheFirstFailsAndItsHedgeAnswers(t *testing.T) {
	virtual(t, hedging(2), func(t *testing.T, s *Service) {
		got, err := Do(t.Context(), s, func(_ context.Context, target Target) (string, error) {
			<-time.After(100 * time.Millisecond)
			if target.ID() == "e0" {
				return "", errBoom
			}
			return target.ID(), nil
		}, Hedged())
		require.NoError(t, err)
		require.Equal(t, "e1", got)
		settled(t, s)
		n := s.Stats()
		require.Equal(t, []uint64{1, 1, 2, 0}, []uint64{n.Requests, n.Succeeded, n.Attempts, n.Retries})
		require.EqualValues(t, 1, status(t, s, "e0").Failures, "a failure of its own counts")
	})
}

func TestTheHedgeFailsAndTheFirstAnswers(t *testing.T) {
	virtual(t, hedging(2), func(t *testing.T, s *Service) {
		var r Report
		got, err := Do(t.Context(), s, func(_ context.Context, target Target) (string, error) {
			if target.ID() == "e1" {
				return "", errBoom
			}
			<-time.After(100 * time.Millisecond)
			return target.ID(), nil
		}, Hedged(), Into(&r))
		require.NoError(t, err)
		require.Equal(t, "e0", got)
		settled(t, s)
		require.Len(t, r.Attempts, 2)
		require.Equal(t, []uint64{1, 1}, []uint64{s.Stats().Succeeded, s.Stats().Hedges})
	})
}

// A loser that does not honour its context neither holds the call up nor counts as
// a timeout when its deadline passes.
func TestALoserThatStaysIsNotOverdue(t *testing.T) {
	c := hedging(2)
	c.AttemptTimeout, c.Breaker.FailureThreshold = 200*time.Millisecond, 1
	virtual(t, c, func(t *testing.T, s *Service) {
		left := make(chan struct{})
		_, err := Do(t.Context(), s, func(_ context.Context, target Target) (string, error) {
			if target.ID() == "e1" { // the hedge: the first answers before it
				<-left
				return "", errBoom
			}
			<-time.After(100 * time.Millisecond)
			return "", nil
		}, Hedged())
		require.NoError(t, err)
		advance(time.Second)
		require.Equal(t, "closed", status(t, s, "e1").Breaker)
		require.Equal(t, 1, status(t, s, "e1").Inflight, "it holds its slot")
		close(left)
		settled(t, s)
		require.Zero(t, status(t, s, "e1").Failures)
	})
}

func TestPanicsInHedges(t *testing.T) {
	t.Run("in the second, while the caller waits", func(t *testing.T) {
		virtual(t, hedging(2), func(t *testing.T, s *Service) {
			require.PanicsWithValue(t, "boom", func() {
				_, _ = Do(t.Context(), s, func(ctx context.Context, target Target) (string, error) {
					if target.ID() == "e1" {
						<-time.After(100 * time.Millisecond)
						panic("boom")
					}
					<-time.After(60 * time.Millisecond)
					return "", errBoom
				}, Hedged())
			})
			settled(t, s)
		})
	})
	t.Run("in the second, when it has lost", func(t *testing.T) {
		virtual(t, hedging(2), func(t *testing.T, s *Service) {
			_, err := Do(t.Context(), s, func(ctx context.Context, target Target) (string, error) {
				if target.ID() == "e1" {
					<-ctx.Done()
					panic("boom")
				}
				<-time.After(60 * time.Millisecond)
				return "", nil
			}, Hedged())
			require.NoError(t, err)
			settled(t, s)
		})
	})
	t.Run("in the first, with the second under way", func(t *testing.T) {
		virtual(t, hedging(2), func(t *testing.T, s *Service) {
			require.PanicsWithValue(t, "boom", func() {
				_, _ = Do(t.Context(), s, func(ctx context.Context, target Target) (string, error) {
					if target.ID() == "e0" {
						<-time.After(60 * time.Millisecond)
						panic("boom")
					}
					<-ctx.Done()
					return "", ctx.Err()
				}, Hedged())
			})
			synctest.Wait()
			settled(t, s)
			require.EqualValues(t, 1, s.Stats().Failed)
		})
	})
}

// By configuration a GET is hedged and a POST is not, and the loser's answer is let go.
func TestHedgedRequests(t *testing.T) {
	var sent, cancelled atomic.Int32
	c := hedging(2)
	for i := range c.Endpoints {
		c.Endpoints[i].Handler = func(ctx context.Context, m *messages.Request) (*messages.Response, error) {
			if sent.Add(1) == 1 {
				select {
				case <-ctx.Done():
					cancelled.Add(1)
					return nil, ctx.Err()
				case <-time.After(time.Second):
				}
			}
			return &messages.Response{Body: []byte("ok")}, nil
		}
	}
	virtual(t, c, func(t *testing.T, s *Service) {
		resp, err := s.Request(t.Context(), &messages.Request{})
		require.NoError(t, err)
		require.Equal(t, "e1", resp.Endpoint)
		require.Len(t, resp.Attempts, 2)
		settled(t, s)
		require.EqualValues(t, 1, cancelled.Load())

		sent.Store(0)
		resp, err = s.Request(t.Context(), &messages.Request{Method: "POST"})
		require.NoError(t, err)
		require.Len(t, resp.Attempts, 1)
		require.EqualValues(t, 1, sent.Load())
	})
}

// The answer of a round trip that lost is closed, and its lease comes back.
func TestAHedgedRoundTripLeavesNothingBehind(t *testing.T) {
	c := hedging(2)
	virtual(t, c, func(t *testing.T, s *Service) {
		bodies := map[string]*closes{"e0": {Reader: strings.NewReader("ok")}, "e1": {Reader: strings.NewReader("ok")}}
		_, err := Do(t.Context(), s, func(_ context.Context, target Target) (*http.Response, error) {
			body := bodies[target.ID()]
			if target.ID() == "e0" {
				<-time.After(100 * time.Millisecond) // it does not honour its context
			}
			return &http.Response{StatusCode: 200, Body: body}, nil
		}, Hedged())
		require.NoError(t, err)
		settled(t, s)
		require.True(t, bodies["e0"].closed)
		require.False(t, bodies["e1"].closed)
	})
}

type closes struct {
	*strings.Reader
	closed bool
}

func (c *closes) Close() error {
	c.closed = true
	return nil
}

// H1: the hedge's 500 came before the first's 200: its body and lease are never let go.
func TestAFailedHedgesBodyIsClosed(t *testing.T) {
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-time.After(300 * time.Millisecond) }))
	defer slow.Close()
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500); io.WriteString(w, "no") }))
	defer broken.Close()
	sys := New(Options{})
	c := hedging(2)
	c.Endpoints[0].URL, c.Endpoints[1].URL = slow.URL, broken.URL
	s, err := sys.AddService("svc", c)
	require.NoError(t, err)
	resp, err := (&http.Client{Transport: s.RoundTripper()}).Get("http://x/")
	require.NoError(t, err)
	require.Equal(t, 200, resp.StatusCode)
	resp.Body.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	require.NoError(t, sys.Shutdown(ctx))
}

func TestAFailedHedgesBodyIsClosedInDo(t *testing.T) {
	virtual(t, hedging(2), func(t *testing.T, s *Service) {
		bodies := map[string]*closes{"e0": {Reader: strings.NewReader("ok")}, "e1": {Reader: strings.NewReader("no")}}
		_, err := Do(t.Context(), s, func(_ context.Context, target Target) (*http.Response, error) {
			st := 500
			if target.ID() == "e0" {
				<-time.After(100 * time.Millisecond)
				st = 200
			}
			return &http.Response{StatusCode: st, Body: bodies[target.ID()]}, nil
		}, Hedged())
		require.NoError(t, err)
		settled(t, s)
		require.True(t, bodies["e1"].closed, "the hedge's 500 is nobody's")
	})
}

// H2: the hedge begins to read the request after Request has returned.
func TestAHedgeLeavesTheRequestAloneAfterwards(t *testing.T) {
	c := hedging(2)
	c.Hedge.Delay = time.Millisecond
	for i := range c.Endpoints {
		c.Endpoints[i].Handler = func(ctx context.Context, m *messages.Request) (*messages.Response, error) {
			if i == 0 {
				<-time.After(time.Millisecond)
			}
			for range 1000 {
				_ = m.Header.Get("X")
			}
			return &messages.Response{}, nil
		}
	}
	sys := New(Options{})
	defer sys.Close()
	s, err := sys.AddService("svc", c)
	require.NoError(t, err)
	m := &messages.Request{Header: messages.Header{"X": {"1"}}}
	for range 300 {
		_, err := s.Request(t.Context(), m)
		require.NoError(t, err)
		m.Header.Set("Y", "2") // mine again
	}
}

func TestAHedgedRoundTripLeavesTheRequestAloneAfterwards(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-time.After(time.Millisecond) }))
	defer srv.Close()
	sys := New(Options{})
	defer sys.Close()
	c := hedging(2)
	c.Hedge.Delay = time.Millisecond
	c.Endpoints[0].URL, c.Endpoints[1].URL = srv.URL, srv.URL+"/b"
	s, err := sys.AddService("svc", c)
	require.NoError(t, err)
	m := &messages.Request{Header: messages.Header{"X": {"1"}}}
	for range 2000 {
		_, _ = s.Request(t.Context(), m)
		m.Header.Set("Y", "2") // mine again
	}
}

// H3: the hedge panicked, then the first fails and could be tried again: counted never.
func TestAPanicInAHedgeCountsTheRequest(t *testing.T) {
	virtual(t, hedging(3), func(t *testing.T, s *Service) {
		require.PanicsWithValue(t, "boom", func() {
			_, _ = Do(t.Context(), s, func(ctx context.Context, target Target) (string, error) {
				if target.ID() == "e1" {
					panic("boom")
				}
				<-time.After(100 * time.Millisecond)
				return "", errBoom
			}, Hedged())
		})
		settled(t, s)
	})
}

// H4: the hedge wins, and the first panics over its ended context: the hedge's answer stays open.
func TestTheWinnersBodyIsClosedWhereTheFirstPanics(t *testing.T) {
	virtual(t, hedging(2), func(t *testing.T, s *Service) {
		body := &closes{Reader: strings.NewReader("ok")}
		require.Panics(t, func() {
			_, _ = Do(t.Context(), s, func(ctx context.Context, target Target) (*http.Response, error) {
				if target.ID() == "e0" {
					<-ctx.Done()
					panic(http.ErrAbortHandler)
				}
				return &http.Response{StatusCode: 200, Body: body}, nil
			}, Hedged())
		})
		settled(t, s)
		require.True(t, body.closed)
	})
}

// H5: the hedge panicked before the first answered: nobody hears of it.
func TestAPanicInAHedgeIsNotSwallowed(t *testing.T) {
	virtual(t, hedging(2), func(t *testing.T, s *Service) {
		require.Panics(t, func() {
			_, _ = Do(t.Context(), s, func(ctx context.Context, target Target) (string, error) {
				if target.ID() == "e1" {
					panic("boom")
				}
				<-time.After(100 * time.Millisecond)
				return "ok", nil
			}, Hedged())
		})
		settled(t, s)
	})
}

// H6: the first panics; before its end is told, the hedge fails and could be tried again.
func TestAPanicBesideAFailedHedgeCountsTheRequest(t *testing.T) {
	c := hedging(3)
	failed := make(chan struct{})
	c.Hooks.OnAttempt = func(a messages.Attempt) {
		if a.Endpoint == "e0" { // slow to hear
			<-failed
		}
	}
	synctest.Test(t, func(t *testing.T) {
		failed = make(chan struct{})
		sys := New(Options{})
		s, err := sys.AddService("svc", c)
		require.NoError(t, err)
		defer func() { sys.Close(); advance(2 * time.Second) }()
		require.Panics(t, func() {
			_, _ = Do(t.Context(), s, func(ctx context.Context, target Target) (string, error) {
				if target.ID() == "e0" {
					<-time.After(60 * time.Millisecond)
					panic("boom")
				}
				<-time.After(60 * time.Millisecond)
				defer time.AfterFunc(time.Millisecond, func() { close(failed) })
				return "", errBoom
			}, Hedged())
		})
		settled(t, s)
	})
}

// H7: a hedge that was not begun counts as one.
func TestALosersAnswerMayHaveNoBody(t *testing.T) {
	virtual(t, hedging(2), func(t *testing.T, s *Service) {
		_, err := Do(t.Context(), s, func(ctx context.Context, target Target) (*http.Response, error) {
			if target.ID() == "e0" {
				<-ctx.Done()
				return &http.Response{}, ctx.Err()
			}
			return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
		}, Hedged())
		require.NoError(t, err)
		settled(t, s)
	})
}

// H8: after an attempt of which nothing was sent, the hedge costs no budget.
func TestAHedgeOfAnUnsentAttemptPaysToo(t *testing.T) {
	c := hedging(3)
	c.Strategy.Pick = "custom"
	c.Hooks.Pick = func(string, []balance.Candidate) int { return 0 }
	c.Retry.Budget.Ratio, c.Retry.Budget.MinPerSecond = 0.001, 0.1 // 1 in 10 s
	virtual(t, c, func(t *testing.T, s *Service) {
		for range 5 {
			first := ""
			Do(t.Context(), s, func(ctx context.Context, target Target) (string, error) {
				if first == "" {
					first = target.ID()
					return "", transport.MarkUnsent(errors.New("x"))
				}
				<-time.After(100 * time.Millisecond)
				return "", nil
			}, Hedged())
		}
		advance(time.Second)
		require.LessOrEqual(t, s.Stats().Hedges, uint64(1))
	})
}

// H9: a hedge that was never made counts as one and costs a slot of the rate limit.
func TestAHedgeThatCameTooLateIsNone(t *testing.T) {
	c := hedging(2)
	c.RateLimit = limit.RateConfig{Limit: 2, Per: time.Hour}
	c.Strategy.Pick = "custom"
	picks := 0
	c.Hooks.Pick = func(string, []balance.Candidate) int {
		if picks++; picks == 2 {
			<-time.After(100 * time.Millisecond)
		}
		return 0
	}
	virtual(t, c, func(t *testing.T, s *Service) {
		reconf(t, s, c)
		_, err := Do(t.Context(), s, taking(map[string]time.Duration{"e0": 60 * time.Millisecond, "e1": time.Second}), Hedged())
		require.NoError(t, err)
		advance(time.Second)
		n := s.Stats()
		require.EqualValues(t, 1, n.Attempts)
		require.EqualValues(t, 0, n.Hedges)
	})
}

// H10: the loser's span is an error.
func TestALosersSpanIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := tracetest.NewSpanRecorder()
		sys := New(Options{TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(rec))})
		defer func() { sys.Close(); advance(2 * time.Second) }()
		s, err := sys.AddService("svc", hedging(2))
		require.NoError(t, err)
		_, err = Do(t.Context(), s, taking(map[string]time.Duration{"e0": time.Second, "e1": 10 * time.Millisecond}), Hedged())
		require.NoError(t, err)
		synctest.Wait()
		for _, sp := range rec.Ended() {
			require.NotEqual(t, codes.Error, sp.Status().Code, "%v", sp.Attributes())
		}
	})
}

type tracked struct {
	*strings.Reader
	open *atomic.Int32
	once sync.Once
}

func (b *tracked) Close() error { b.once.Do(func() { b.open.Add(-1) }); return nil }

// S1: random hedged calls with a rate limit and reconfiguration; everything adds up.
func TestHedgedCallsAddUp(t *testing.T) {
	for seed := range uint64(150) {
		c := hedging(4)
		c.Timeout = 2 * time.Second
		c.AttemptTimeout = 300 * time.Millisecond
		c.Breaker.OpenTimeout = 200 * time.Millisecond
		rnd := rand.New(rand.NewPCG(seed, 1))
		if seed%2 == 0 {
			c.RateLimit = limit.RateConfig{Limit: 5 + rnd.IntN(10), Per: 100 * time.Millisecond, Dynamic: seed%4 == 0}
			c.Concurrency.Max = 2
		}
		virtual(t, c, func(t *testing.T, s *Service) {
			reconf(t, s, c)
			var wg sync.WaitGroup
			var open atomic.Int32
			for i := range 100 {
				r := rand.New(rand.NewPCG(seed, uint64(i)+2))
				var mu sync.Mutex
				x := func(n int) int { mu.Lock(); defer mu.Unlock(); return r.IntN(n) }
				wg.Go(func() {
					<-time.After(time.Duration(x(1000)) * time.Millisecond)
					ctx, cancel := context.WithCancel(t.Context())
					if x(4) == 0 {
						time.AfterFunc(time.Duration(x(400))*time.Millisecond, cancel)
					}
					defer cancel()
					var rep Report
					resp, err := Do(ctx, s, func(ctx context.Context, _ Target) (*http.Response, error) {
						d := time.Duration(x(200)) * time.Millisecond
						if x(3) == 0 {
							<-time.After(d)
						} else {
							select {
							case <-time.After(d):
							case <-ctx.Done():
								return nil, ctx.Err()
							}
						}
						switch x(6) {
						case 0:
							return nil, errors.New("x")
						default:
							open.Add(1)
							return &http.Response{StatusCode: 200, Body: &tracked{Reader: strings.NewReader("x"), open: &open}}, nil
						}
					}, Hedged(), Into(&rep))
					if err == nil {
						resp.Body.Close()
					}
				})
			}
			wg.Wait()
			advance(time.Second)
			settled(t, s)
			n := s.Stats()
			require.Equal(t, n.Requests, n.Succeeded+n.Failed+n.Canceled, "%+v", n)
			require.Zero(t, open.Load())
			synctest.Wait()
		})
	}
}
func reconf(t *testing.T, s *Service, c ServiceConfig) {
	t.Helper()
	require.NoError(t, s.Configure(c))
	synctest.Wait()
}
