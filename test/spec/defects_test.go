package spec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/understudytest"
)

// "Defects of those systems that must not come back: one failure ejects for ever; […]"
func TestDefectOneFailureEjectsForEver(t *testing.T) {
	for name, fails := range map[string]error{"an error": errBroken, "no connection": noSuchHost} {
		t.Run(name, func(t *testing.T) {
			c := understudy.ServiceConfig{Endpoints: named("a", "b"), Strategy: inOrder}
			virtually(t, c, func(t *testing.T, s *understudy.Service) {
				var b backend
				b.set(func(context.Context) error { b.set(nil, "a"); return fails }, "a")
				require.NoError(t, do(t, s, &b, 1))
				require.Equal(t, []string{"a", "b"}, b.hits)
				require.True(t, status(t, s, "a").Eligible)
				pass(time.Second)
				require.NoError(t, do(t, s, &b, 10))
				require.Equal(t, 1+5, b.of("a"), "its whole share, without anybody's help")
			})
		})
	}
	t.Run("the breaker, on a quiet endpoint", func(t *testing.T) {
		c := understudy.ServiceConfig{Endpoints: named("a"), Breaker: fixed(1, 5*time.Second), Retry: once}
		virtually(t, c, func(t *testing.T, s *understudy.Service) {
			var b backend
			b.set(broken, "a")
			_ = do(t, s, &b, 1)
			b.set(nil, "a")
			pass(24 * time.Hour)
			require.NoError(t, do(t, s, &b, 1))
			require.Equal(t, "closed", status(t, s, "a").Breaker)
		})
	})
}

// refusals are services that refuse every request, each for another reason.
var refusals = map[string]func(t *testing.T, s *understudy.Service){
	"none registered": func(t *testing.T, s *understudy.Service) {
		require.NoError(t, s.Deregister("a"))
	},
	"breaker open":   func(t *testing.T, s *understudy.Service) { understudytest.Trip(t, s, "a") },
	"in maintenance": func(t *testing.T, s *understudy.Service) { operate(t, s, "a", understudy.VerbMaint) },
	"draining":       func(t *testing.T, s *understudy.Service) { operate(t, s, "a", understudy.VerbDrain) },
	"unhealthy": func(t *testing.T, s *understudy.Service) {
		c := s.Config()
		c.Health.Fall, c.PanicThreshold = 1, understudy.Off
		c.Hooks.Check = func(context.Context, understudy.Target) error { return errBroken }
		require.NoError(t, s.Configure(c))
		_, err := s.CheckAll(t.Context())
		require.NoError(t, err)
	},
	"full": func(t *testing.T, s *understudy.Service) {
		c := s.Config()
		c.Concurrency.Max = 1
		require.NoError(t, s.Configure(c))
		l, err := s.Acquire(t.Context())
		require.NoError(t, err)
		t.Cleanup(func() { l.Done(nil) })
	},
}

func operate(t *testing.T, s *understudy.Service, id string, verb understudy.Verb) {
	t.Helper()
	require.NoError(t, s.Operate(t.Context(), understudy.Order{Endpoint: id, Verb: verb}))
}

// "Defects […]: […] a success reported though nothing ran; […]"
func TestDefectSuccessThoughNothingRan(t *testing.T) {
	for name, refuse := range refusals {
		t.Run(name, func(t *testing.T) {
			s := add(t, start(t), "svc", understudy.ServiceConfig{Endpoints: []understudy.Endpoint{handler("a", answering(200))}})
			require.NoError(t, do(t, s, new(backend), 1))
			refuse(t, s)
			var b backend
			before := s.Stats()
			require.Error(t, do(t, s, &b, 1))
			require.Zero(t, b.total())
			_, err := s.Request(t.Context(), &messages.Request{})
			require.Error(t, err)
			_, err = s.Acquire(t.Context())
			require.Error(t, err)
			_, err = (&http.Client{Transport: s.RoundTripper()}).Get("http://svc/")
			require.Error(t, err)
			after := s.Stats()
			require.Equal(t, before.Succeeded, after.Succeeded)
			require.Equal(t, before.Attempts, after.Attempts)
			require.Equal(t, before.Failed+4, after.Failed)
		})
	}
	t.Run("no service", func(t *testing.T) {
		us := start(t)
		var b backend
		coded(t, do(t, us.Service("nowhere"), &b, 1), messages.CodeNotFound)
		require.Zero(t, b.total())
	})
	t.Run("nobody to answer", func(t *testing.T) {
		s := add(t, start(t), "svc", understudy.ServiceConfig{Endpoints: named("a")})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var b backend
		_, err := understudy.Do(ctx, s, b.call)
		require.ErrorIs(t, err, context.Canceled)
		require.Zero(t, b.total())
	})
	t.Run("closed", func(t *testing.T) {
		us := start(t)
		s := add(t, us, "svc", understudy.ServiceConfig{Endpoints: named("a")})
		require.NoError(t, us.Close())
		var b backend
		coded(t, do(t, s, &b, 1), messages.CodeClosed)
		require.Zero(t, b.total())
	})
}

// "Defects […]: […] a failure returned as nil error; […]"
func TestDefectFailureAsNilError(t *testing.T) {
	server := understudytest.Faulty(t, 503, 1)
	for name, c := range map[string]understudy.ServiceConfig{
		"one endpoint, one attempt": {Endpoints: []understudy.Endpoint{server.Endpoint("a")}, Retry: once},
		"retries":                   {Endpoints: []understudy.Endpoint{server.Endpoint("a"), server.Endpoint("b")}},
		"no budget for retries": {Endpoints: []understudy.Endpoint{server.Endpoint("a"), server.Endpoint("b")},
			Retry: understudy.Retry{Budget: understudy.RetryBudget{MinPerSecond: understudy.Off, Ratio: 0.0001}}},
		"a fallback that fails": {Endpoints: []understudy.Endpoint{server.Endpoint("a")},
			Hooks: understudy.Hooks{Fallback: func(context.Context, *messages.Request, error) (*messages.Response, error) { return nil, errBroken }}},
	} {
		t.Run(name, func(t *testing.T) {
			c.Breaker.Disabled = true
			s := add(t, start(t), "svc", c)
			_, err := understudy.Do(t.Context(), s, func(context.Context, understudy.Target) (int, error) { return 7, errBroken })
			require.ErrorIs(t, err, errBroken)
			resp, err := understudy.Do(t.Context(), s, func(ctx context.Context, target understudy.Target) (*http.Response, error) {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.URL(), nil)
				if err != nil {
					return nil, err
				}
				return http.DefaultTransport.RoundTrip(req)
			})
			require.Error(t, err, "a final 503")
			if resp != nil {
				require.NoError(t, resp.Body.Close())
			}
			answer, err := s.Request(t.Context(), &messages.Request{})
			require.Error(t, err)
			require.Equal(t, 503, answer.Status, "both")
			require.ErrorIs(t, answer.Err, err)
			_, err = understudy.DoOr(t.Context(), s, func(context.Context, understudy.Target) (int, error) { return 7, errBroken },
				func(context.Context, error) (int, error) { return 0, errors.New("no fallback") })
			require.ErrorContains(t, err, "no fallback")
			require.Zero(t, s.Stats().Succeeded)

			// net/http says a status by the response, and so do we.
			client := &http.Client{Transport: s.RoundTripper()}
			got, err := client.Get("http://svc/")
			require.NoError(t, err)
			require.NoError(t, got.Body.Close())
			require.Equal(t, 503, got.StatusCode)
			require.Equal(t, string(messages.CodeRetryExhausted), got.Header.Get(messages.HeaderError))
		})
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// "Defects […]: […] the failing endpoint retried until exhaustion before another is
// tried; […]"
func TestDefectFailingEndpointRetriedFirst(t *testing.T) {
	for _, name := range available {
		t.Run(name, func(t *testing.T) {
			c := understudy.ServiceConfig{Endpoints: named("a", "b", "c"), Strategy: understudy.Strategy{Pick: name},
				Breaker: understudy.Breaker{Disabled: true}, Retry: understudy.Retry{Backoff: understudy.Constant(time.Hour)}, Timeout: understudy.Off}
			virtually(t, c, func(t *testing.T, s *understudy.Service) {
				var b backend
				b.set(broken, "a", "c")
				began := time.Now()
				for range 50 {
					b.hits = nil
					got, err := understudy.Do(t.Context(), s, b.call)
					require.NoError(t, err)
					require.Equal(t, "b", got)
					require.LessOrEqual(t, b.of("a"), 1)
					require.LessOrEqual(t, b.of("c"), 1)
				}
				require.Zero(t, time.Since(began), "and without a wait")
			})
		})
	}
}

// "Defects […]: […] waits that ignore the context; […]"
func TestDefectWaitsIgnoreTheContext(t *testing.T) {
	c := understudy.ServiceConfig{Endpoints: named("a"), Retry: understudy.Retry{Backoff: understudy.Constant(10 * time.Second)}}
	virtually(t, c, func(t *testing.T, s *understudy.Service) {
		var b backend
		b.set(broken, "a")
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		time.AfterFunc(3*time.Second, cancel)
		_, err := understudy.Do(ctx, s, b.call)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, 3*time.Second, time.Since(began), "at once")

		ctx, cancel = context.WithTimeout(t.Context(), 9*time.Second)
		defer cancel()
		began = time.Now()
		_, err = understudy.Do(ctx, s, b.call)
		require.ErrorIs(t, err, errBroken)
		require.Zero(t, time.Since(began), "a wait that would outlast the deadline is not begun")
		require.Equal(t, 2, b.total())
	})
}

// "Defects […]: […] a wait after the last try; […]"
func TestDefectWaitAfterTheLastTry(t *testing.T) {
	first := func(string, []understudy.Candidate) int { return 0 }
	for name, hooks := range map[string]understudy.Hooks{"by default": {}, "own strategy": {Pick: first}} {
		for attempts := 1; attempts <= 4; attempts++ {
			t.Run(fmt.Sprintf("%s, %d", name, attempts), func(t *testing.T) {
				c := understudy.ServiceConfig{Endpoints: named("a"), Hooks: hooks,
					Retry: understudy.Retry{MaxAttempts: attempts, Backoff: understudy.Constant(5 * time.Second)}}
				virtually(t, c, func(t *testing.T, s *understudy.Service) {
					var b backend
					b.set(broken, "a")
					began := time.Now()
					require.ErrorIs(t, do(t, s, &b, 1), errBroken)
					require.Equal(t, attempts, b.total())
					require.Equal(t, time.Duration(attempts-1)*5*time.Second, time.Since(began), "only between two tries")
				})
			})
		}
	}
}

// "Defects […]: […] unlimited half-open; […]"
func TestDefectUnlimitedHalfOpen(t *testing.T) {
	virtually(t, understudy.ServiceConfig{Endpoints: named("a")}, func(t *testing.T, s *understudy.Service) {
		var b backend
		b.set(broken, "a")
		for status(t, s, "a").Breaker != "open" {
			_ = do(t, s, &b, 1)
		}
		pass(time.Minute)
		before := b.total()
		b.set(stalled, "a")
		answers := callTogether(t, s, &b, 100)
		synctest.Wait()
		require.Equal(t, before+1, b.total(), "on the defaults too")
		require.Len(t, answers, 99)
		pass(2 * time.Second)
		require.Len(t, answers, 100)
		require.Equal(t, "open", status(t, s, "a").Breaker)
	})
}

// "Defects […]: […] a caller's own mistake tripping breakers; […]"
func TestDefectCallersMistakeTripsBreakers(t *testing.T) {
	status4xx := 400
	c := understudy.ServiceConfig{Breaker: understudy.Breaker{FailureThreshold: 1}, Endpoints: []understudy.Endpoint{
		handler("a", func(ctx context.Context, m *messages.Request) (*messages.Response, error) {
			if m.Path == "/stall" {
				return nil, stalled(ctx)
			}
			return &messages.Response{Status: status4xx}, taking(time.Millisecond, nil)(ctx)
		})}}
	virtually(t, c, func(t *testing.T, s *understudy.Service) {
		well := func() {
			t.Helper()
			synctest.Wait()
			a := status(t, s, "a")
			require.Equal(t, "closed", a.Breaker)
			require.Equal(t, "healthy", a.Rank)
			require.Zero(t, a.Failures)
		}
		for status4xx = 400; status4xx < 500; status4xx++ {
			if status4xx == 429 {
				continue // asks for a pause, and is no mistake
			}
			resp, err := s.Request(t.Context(), &messages.Request{})
			require.NoError(t, err)
			require.Equal(t, status4xx, resp.Status)
			require.Len(t, resp.Attempts, 1, "and nobody tries again")
		}
		well()
		for range 20 { // callers that go away
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			_, err := s.Request(ctx, &messages.Request{Path: "/stall"})
			require.ErrorIs(t, err, context.Canceled)
		}
		well()
		for range 20 { // callers that are impatient
			_, err := s.Request(t.Context(), &messages.Request{Path: "/stall", Timeout: time.Millisecond})
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		well()
		for _, bad := range []messages.Request{{Method: "G T"}, {Path: "no-slash"}, {Path: "/a b"}, {Header: messages.Header{"A B": {"c"}}}, {Timeout: -1}} {
			_, err := s.Request(t.Context(), &bad)
			coded(t, err, messages.CodeInvalidRequest)
		}
		well()
	})
}

// "Defects […]: […] secrets in debug logs; […]"
func TestDefectSecretsInLogs(t *testing.T) {
	const secret = "hunter2"
	var log bytes.Buffer
	var mu sync.Mutex
	logger := slog.New(slog.NewTextHandler(writer(func(p []byte) (int, error) { mu.Lock(); defer mu.Unlock(); return log.Write(p) }),
		&slog.HandlerOptions{Level: slog.LevelDebug - 10}))
	us, err := understudy.New(understudy.Config{Node: "spec"}, understudy.WithLogger(logger))
	require.NoError(t, err)
	url := func(base string) string { return strings.Replace(base, "http://", "http://user:"+secret+"@", 1) }
	bad := understudytest.Faulty(t, 503, 1)
	s := add(t, us, "svc", understudy.ServiceConfig{
		Endpoints: []understudy.Endpoint{
			{ID: "dead", URL: url(understudytest.Dead(t))}, {ID: "bad", URL: url(bad.URL)}, {ID: "lost", URL: url("http://nowhere.invalid")}},
		Strategy: inOrder,
		Headers:  map[string]string{"Authorization": "Bearer " + secret},
		Health:   understudy.Health{InitialDelay: time.Hour, HTTP: &understudy.HTTPCheck{Path: "/health?token=" + secret, Headers: map[string]string{"X-Key": secret}}},
		Hooks: understudy.Hooks{
			Close:     func(any) error { return errBroken },
			OnAttempt: func(messages.Attempt) { panic("in a hook") }, // has it log
		},
	})
	var said strings.Builder
	for range 3 {
		_, err := s.Request(t.Context(), &messages.Request{Path: "/orders?password=" + secret, Header: messages.Header{"X-Api-Key": {secret}}, Body: []byte(secret)})
		require.Error(t, err)
		fmt.Fprintln(&said, err)
		var e *understudy.Error
		require.ErrorAs(t, err, &e)
		fmt.Fprintf(&said, "%+v\n", e.Attempts)
	}
	_, err = understudy.Do(t.Context(), s, func(context.Context, understudy.Target) (int, error) {
		return 0, fmt.Errorf("get %s: token=%s", url("http://db"), secret) // careless, and its caller's to see
	})
	var own *understudy.Error
	require.ErrorAs(t, err, &own)
	fmt.Fprintf(&said, "%+v\n", own.Attempts)
	failed, err := s.CheckAll(t.Context())
	require.NoError(t, err)
	require.Len(t, failed, 3)
	fmt.Fprintln(&said, failed)
	_, err = us.AddService("wrong", understudy.ServiceConfig{Endpoints: []understudy.Endpoint{{ID: "a", URL: "http://user:" + secret + "@%zz"}},
		Headers: map[string]string{"A B": secret}})
	require.Error(t, err)
	fmt.Fprintln(&said, err)
	fmt.Fprintf(&said, "%+v\n%+v\n", s.Status(), s.History(1000))
	require.NoError(t, us.Close())

	require.NotContains(t, said.String(), secret, "errors, status, events")
	mu.Lock()
	defer mu.Unlock()
	require.NotEmpty(t, log.String())
	require.NotContains(t, log.String(), secret)
	require.NotEmpty(t, bad.Requests())
	require.Equal(t, "Bearer "+secret, bad.Requests()[0].Header.Get("Authorization"), "the endpoint has it")
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// "Defects […]: […] statistics counted twice; […]"
func TestDefectStatisticsCountedTwice(t *testing.T) {
	c := understudy.ServiceConfig{Endpoints: named("a", "b"), Strategy: inOrder, Breaker: understudy.Breaker{Disabled: true}}
	virtually(t, c, func(t *testing.T, s *understudy.Service) {
		// Overdue, and then it returns; one that succeeded late, one that failed late,
		// and a lease that is returned again and again.
		for _, late := range []error{nil, errBroken} {
			_, _ = understudy.Do(t.Context(), s, func(context.Context, understudy.Target) (int, error) {
				pass(time.Minute) // it does not look at its context
				return 0, late
			}, understudy.MaxAttempts(1))
		}
		l, err := s.Acquire(t.Context())
		require.NoError(t, err)
		for range 5 {
			l.Done(errBroken)
		}
		synctest.Wait()
		st := s.Stats()
		require.EqualValues(t, 3, st.Requests)
		require.EqualValues(t, 3, st.Attempts)
		require.Equal(t, st.Requests, st.Succeeded+st.Failed+st.Canceled)
		var attempts, failures uint64
		for _, e := range s.Status().Endpoints {
			attempts, failures = attempts+e.Attempts, failures+e.Failures
			require.Zero(t, e.Inflight)
		}
		require.EqualValues(t, 3, attempts)
		require.EqualValues(t, 3, failures)
	})
}

// "Defects […]: […] a strategy that silently becomes round robin."
func TestDefectStrategyBecomesRoundRobin(t *testing.T) {
	us := start(t)
	all := append([]string{"geographic", "ip_hash", "consistent_hash", "sticky"}, available...)
	for _, name := range all { // there under its name, or refused by it
		s, err := us.AddService(name, understudy.ServiceConfig{Endpoints: named("a"), Strategy: understudy.Strategy{Pick: name}})
		if err != nil {
			coded(t, err, messages.CodeInvalidStrategy)
			require.Contains(t, err.Error(), name)
			continue
		}
		require.Contains(t, s.Status().Strategy, name)
	}
	s := us.Service("random")
	for _, wrong := range []string{"round-robin", "ROUND_ROBIN", "fastest", "weigthed"} {
		_, err := us.AddService("wrong", understudy.ServiceConfig{Endpoints: named("a"), Strategy: understudy.Strategy{Pick: wrong}})
		coded(t, err, messages.CodeInvalidStrategy)
		require.Contains(t, err.Error(), wrong)

		c := s.Config()
		c.Strategy.Pick = wrong
		coded(t, s.Configure(c), messages.CodeInvalidStrategy)
		require.Contains(t, s.Status().Strategy, "random", "the good one stays")
	}
	_, err := us.AddService("tier", understudy.ServiceConfig{Strategy: understudy.Strategy{Tier: "fastest"}})
	coded(t, err, messages.CodeInvalidStrategy)

	// A custom one without its function says so at the call, rather than choose.
	s, err = us.AddService("custom", understudy.ServiceConfig{Endpoints: named("a"), Strategy: understudy.Strategy{Pick: "custom"}})
	require.NoError(t, err)
	var b backend
	coded(t, do(t, s, &b, 1), messages.CodeInvalidStrategy)
	require.Zero(t, b.total())
}

// "Defects […]: […] a strategy that silently becomes round robin.": none of the others
// behaves like it where the two differ.
func TestDefectStrategyBehavesLikeRoundRobin(t *testing.T) {
	slow := func(b *backend) { b.set(taking(100*time.Millisecond, nil), "c") }
	share := func(b *backend) []int { return []int{b.of("a"), b.of("b"), b.of("c")} }
	const calls = 300 // round robin: 100 each, one after the other
	for name, tc := range map[string]struct {
		config understudy.ServiceConfig
		set    func(b *backend)
		check  func(t *testing.T, b *backend)
	}{
		"weighted": {understudy.ServiceConfig{Strategy: understudy.Strategy{Weights: map[string]int{"a": 4}}}, nil,
			func(t *testing.T, b *backend) { require.Equal(t, []int{200, 50, 50}, share(b)) }},
		"random": {understudy.ServiceConfig{}, nil, func(t *testing.T, b *backend) {
			again := 0
			for i := range b.hits[1:] {
				if b.hits[i] == b.hits[i+1] {
					again++
				}
			}
			require.InDelta(t, 100, again, 50, "as often as chance has it, the same twice")
			for _, n := range share(b) {
				require.InDelta(t, 100, n, 50)
			}
		}},
		"p2c_ewma":     {understudy.ServiceConfig{}, slow, func(t *testing.T, b *backend) { require.Less(t, b.of("c"), 30, share(b)) }},
		"":             {understudy.ServiceConfig{}, slow, func(t *testing.T, b *backend) { require.Less(t, b.of("c"), 30, share(b)) }}, // p2c_ewma
		"health_based": {understudy.ServiceConfig{}, slow, func(t *testing.T, b *backend) { require.Less(t, b.of("c"), 30, share(b)) }},
		"priority": {understudy.ServiceConfig{Endpoints: []understudy.Endpoint{{ID: "a", Priority: 1}, {ID: "b"}, {ID: "c", Priority: 1}}}, nil,
			func(t *testing.T, b *backend) { require.Equal(t, []int{0, calls, 0}, share(b)) }},
		"custom": {understudy.ServiceConfig{Hooks: understudy.Hooks{Pick: func(_ string, c []understudy.Candidate) int { return len(c) - 1 }}}, nil,
			func(t *testing.T, b *backend) { require.Equal(t, []int{0, 0, calls}, share(b)) }},
	} {
		t.Run("pick: "+name, func(t *testing.T) {
			c := tc.config
			c.Strategy.Pick = name
			if c.Endpoints == nil {
				c.Endpoints = named("a", "b", "c")
			}
			virtually(t, c, func(t *testing.T, s *understudy.Service) {
				if name == "" {
					name = "p2c_ewma"
				}
				require.Contains(t, s.Status().Strategy, name)
				var b backend
				b.set(taking(time.Millisecond, nil), "a", "b", "c")
				if tc.set != nil {
					tc.set(&b)
				}
				require.NoError(t, do(t, s, &b, calls))
				tc.check(t, &b)
			})
		})
	}
	t.Run("pick: least_connections", func(t *testing.T) {
		s := add(t, start(t), "svc", understudy.ServiceConfig{Endpoints: named("a", "b", "c"), Strategy: understudy.Strategy{Pick: "least_connections"}})
		idle := map[string]bool{"a": true, "b": true, "c": true}
		for range 2 {
			l, err := s.Acquire(t.Context())
			require.NoError(t, err)
			t.Cleanup(func() { l.Done(nil) })
			delete(idle, l.Target().ID())
		}
		require.Len(t, idle, 1)
		var b backend
		require.NoError(t, do(t, s, &b, calls))
		for id := range idle {
			require.Equal(t, calls, b.of(id))
		}
	})
	for alias, name := range map[string]string{"least_conn": "least_connections", "least_request": "least_connections"} {
		s := add(t, start(t), "svc", understudy.ServiceConfig{Endpoints: named("a"), Strategy: understudy.Strategy{Pick: alias}})
		require.Contains(t, s.Status().Strategy, name)
	}
}

// "Defects […]: […] statistics counted twice; […]": nor where two attempts run beside
// each other, the cache answers, or a fallback does.
func TestDefectStatisticsCountedTwiceByPolicies(t *testing.T) {
	t.Run("hedge", func(t *testing.T) {
		for name, first := range map[string]error{"overtaken": nil, "overtaken, and fails": errBroken} {
			t.Run(name, func(t *testing.T) {
				c := understudy.ServiceConfig{Endpoints: named("a", "b"), Strategy: inOrder, Hedge: &understudy.Hedge{Delay: 50 * time.Millisecond}}
				virtually(t, c, func(t *testing.T, s *understudy.Service) {
					var b backend
					b.set(taking(time.Second, first), "a")
					got, err := understudy.Do(t.Context(), s, b.call, understudy.Hedged())
					require.NoError(t, err)
					require.Equal(t, "b", got)
					pass(2 * time.Second)
					require.Equal(t, []string{"a", "b"}, b.hits)
					st := s.Stats()
					require.Equal(t, []uint64{1, 1, 0, 0}, []uint64{st.Requests, st.Succeeded, st.Failed, st.Canceled})
					require.Equal(t, []uint64{2, 1, 0, 0, 0}, []uint64{st.Attempts, st.Hedges, st.Retries, st.Failovers, st.Recoveries})
					for _, id := range []string{"a", "b"} {
						require.EqualValues(t, 1, status(t, s, id).Attempts, id)
						require.Zero(t, status(t, s, id).Failures, id)
						require.Zero(t, status(t, s, id).Inflight, id)
					}
				})
			})
		}
	})
	t.Run("cache", func(t *testing.T) {
		hits := 0
		virtually(t, understudy.ServiceConfig{Endpoints: []understudy.Endpoint{counting("a", &hits)}, Cache: cached()}, func(t *testing.T, s *understudy.Service) {
			for range 5 {
				_, err := s.Request(t.Context(), &messages.Request{})
				require.NoError(t, err)
			}
			st := s.Stats()
			require.EqualValues(t, 1, st.Attempts)
			require.EqualValues(t, 4, st.Cached)
			require.Equal(t, st.Requests, st.Succeeded+st.Failed+st.Canceled)
		})
	})
	t.Run("fallback", func(t *testing.T) {
		c := understudy.ServiceConfig{Endpoints: []understudy.Endpoint{handler("a", answering(503))}, Fallback: &understudy.Fallback{Body: "instead"}}
		virtually(t, c, func(t *testing.T, s *understudy.Service) {
			resp, err := s.Request(t.Context(), &messages.Request{})
			require.NoError(t, err)
			require.True(t, resp.Fallback)
			st := s.Stats()
			require.Equal(t, []uint64{1, 0, 1, 1}, []uint64{st.Requests, st.Succeeded, st.Failed, st.Fallbacks})
			require.EqualValues(t, 3, st.Attempts)
			require.EqualValues(t, 3, status(t, s, "a").Failures)
		})
	})
}
