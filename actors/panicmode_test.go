package actors

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy/actors/balance"
	"github.com/understudy-go/understudy/actors/breaker"
	"github.com/understudy-go/understudy/actors/health"
	"github.com/understudy-go/understudy/actors/retry"
	"github.com/understudy-go/understudy/messages"
)

// errRefused is how a dialer says that nobody listens.
var errRefused = fmt.Errorf("ask the page: %w", &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)})

// errStatus is how the check of a page says that the answer is bad.
var errStatus = errors.New("status 503")

// pages are what checks find, by endpoint; nil is good.
type pages struct {
	mu   sync.Mutex
	errs map[string]error
}

func (p *pages) set(err error, ids ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		p.errs[id] = err
	}
}

func (p *pages) check(_ context.Context, t Target) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.errs[t.ID()]
}

// checking is a service of n endpoints that are checked each second, of which one bad
// check is enough, as one good one is.
func checking(n int) (ServiceConfig, *pages) {
	p := &pages{errs: make(map[string]error)}
	c := ServiceConfig{Endpoints: endpoints(n), Strategy: balance.Config{Pick: "round_robin"}, Retry: retry.Config{MaxAttempts: 1}}
	c.Health.Interval, c.Health.IdleInterval, c.Health.Fall, c.Health.Rise, c.Health.Jitter = time.Second, time.Second, 1, 1, Off
	c.Hooks.Check, c.SlowStart.Window = p.check, Off
	return c, p
}

// serving are the endpoints that answer some requests, in order of their numbers.
func serving(t *testing.T, s *Service) (ids []string, err error) {
	t.Helper()
	seen := make(map[string]bool)
	for range 20 {
		id, e := Do(t.Context(), s, good)
		seen[id], err = true, e
	}
	synctest.Wait()
	for _, e := range s.Endpoints() {
		if seen[e.ID] {
			ids = append(ids, e.ID)
		}
	}
	return ids, err
}

func TestPanicModeServesThoseThatAreSaidToBeIll(t *testing.T) {
	c, p := checking(2)
	virtual(t, c, func(t *testing.T, s *Service) {
		advance(500 * time.Millisecond)
		p.set(errStatus, "e0")
		advance(time.Second)
		ids, err := serving(t, s)
		require.NoError(t, err)
		require.Equal(t, []string{"e1"}, ids)
		require.False(t, s.Status().Panic, "one is left")

		p.set(errStatus, "e1")
		advance(time.Second)
		require.True(t, s.Status().Panic)
		require.False(t, status(t, s, "e0").Eligible)
		started := events(s, messages.KindPanicStarted)
		require.Len(t, started, 1)
		require.Equal(t, "0 of 2 ready endpoints are eligible: health and ejections are ignored", started[0].Cause.Words)
		ids, err = serving(t, s)
		require.NoError(t, err)
		require.Equal(t, []string{"e0", "e1"}, ids)
		settled(t, s)

		p.set(nil, "e1")
		advance(time.Second)
		require.False(t, s.Status().Panic)
		require.Len(t, events(s, messages.KindPanicStarted), 1)
		require.Len(t, events(s, messages.KindPanicEnded), 1)
		ids, err = serving(t, s)
		require.NoError(t, err)
		require.Equal(t, []string{"e1"}, ids)
	})
}

// An ejection is ignored as health is.
func TestPanicModeServesTheEjected(t *testing.T) {
	c, p := checking(2)
	c.Outlier.Consecutive = 1
	virtual(t, c, func(t *testing.T, s *Service) {
		drive(t, s, time.Second, 100*time.Millisecond, failing("e1"))
		require.Equal(t, []string{"e1"}, out(s))
		p.set(errStatus, "e0")
		advance(time.Second)
		ids, err := serving(t, s)
		require.NoError(t, err)
		require.Equal(t, []string{"e0", "e1"}, ids)
		require.True(t, s.Status().Panic)
	})
}

func TestWhoPanicModeNeverTakesIn(t *testing.T) {
	order := func(verb Verb, ids ...string) func(*testing.T, *Service, *pages) {
		return func(t *testing.T, s *Service, p *pages) {
			for _, id := range ids {
				require.NoError(t, s.Operate(t.Context(), Order{Endpoint: id, Verb: verb}))
			}
		}
	}
	finds := func(err error, ids ...string) func(*testing.T, *Service, *pages) {
		return func(_ *testing.T, _ *Service, p *pages) { p.set(err, ids...) }
	}
	answers := func(status int) func(*testing.T, *Service, *pages) {
		return func(t *testing.T, s *Service, _ *pages) {
			for range 2 {
				_, _ = s.Request(t.Context(), &messages.Request{Header: messages.Header{"Want": {fmt.Sprint(status)}}})
			}
		}
	}
	both := []string{"e0", "e1"}
	for name, x := range map[string]struct {
		change func(*ServiceConfig)
		before func(*testing.T, *Service, *pages) // while all are well
		code   messages.Code
		serve  []string // who serves when all checks answer 503
	}{
		"off":                               {change: func(c *ServiceConfig) { c.PanicThreshold = Off }, code: messages.CodeAllEndpointsDown},
		"readiness":                         {change: func(c *ServiceConfig) { c.Health.Readiness = true }, code: messages.CodeAllEndpointsDown},
		"readiness of one":                  {change: func(c *ServiceConfig) { h := c.Health; h.Readiness = true; c.Endpoints[0].Health = &h }, serve: []string{"e1"}},
		"open breakers":                     {before: answers(500), change: func(c *ServiceConfig) { c.Breaker = breaker.Config{FailureThreshold: 1, OpenTimeout: time.Minute} }, code: messages.CodeAllEndpointsDown},
		"forced open":                       {before: order(VerbForceOpen, both...), code: messages.CodeAllEndpointsDown},
		"one forced open":                   {before: order(VerbForceOpen, "e0"), serve: []string{"e1"}},
		"no connection":                     {before: finds(errRefused, both...), code: messages.CodeAllEndpointsDown},
		"no connection to one":              {before: finds(errRefused, "e0"), serve: []string{"e1"}},
		"a check that times out is no word": {before: finds(context.DeadlineExceeded, "e0"), serve: both},
		"maint":                             {before: order(VerbMaint, both...), code: messages.CodeNoEndpoints},
		"one in drain":                      {before: order(VerbDrain, "e0"), serve: []string{"e1"}},
		"cooling":                           {before: answers(429), code: messages.CodeAllEndpointsDown},
	} {
		t.Run(name, func(t *testing.T) {
			c, p := checking(2)
			for i := range c.Endpoints {
				c.Endpoints[i].Handler = func(_ context.Context, m *messages.Request) (*messages.Response, error) {
					want := 200
					_, _ = fmt.Sscan(m.Header.Get("Want"), &want)
					return &messages.Response{Status: want}, nil
				}
			}
			if x.change != nil {
				x.change(&c)
			}
			virtual(t, c, func(t *testing.T, s *Service) {
				advance(500 * time.Millisecond)
				if x.before != nil {
					x.before(t, s, p)
				}
				for _, id := range both {
					if p.check(t.Context(), Target{s.endpointCell(t, id).target.Load()}) == nil {
						p.set(errStatus, id)
					}
				}
				advance(3 * time.Second)
				ids, err := serving(t, s)
				require.Equal(t, x.code, code(err), "%v", err)
				if x.code != "" {
					require.Empty(t, ids)
				} else {
					require.Equal(t, x.serve, ids)
				}
				require.Equal(t, x.code == "", s.Status().Panic)
				settled(t, s)
			})
		})
	}
}

// Before its first check nobody knows whether an endpoint can be reached at all.
func TestPanicModeWaitsForTheFirstCheck(t *testing.T) {
	c, p := checking(2)
	c.Health.InitialDelay, c.Health.Readiness = 5*time.Second, false
	late := c.Health
	late.InitialDelay, late.Readiness = 10*time.Second, true
	c.Endpoints[1].Health = &late
	p.set(errStatus, "e0", "e1")
	virtual(t, c, func(t *testing.T, s *Service) {
		advance(6 * time.Second)
		ids, err := serving(t, s)
		require.NoError(t, err)
		require.Equal(t, []string{"e0"}, ids, "e1 is unknown")
		require.Equal(t, "unknown", status(t, s, "e1").Health)
	})
}

func TestPanicModeByShare(t *testing.T) {
	c, p := checking(4)
	c.PanicThreshold = 0.5
	virtual(t, c, func(t *testing.T, s *Service) {
		for _, x := range []struct {
			ill   string
			panic bool
			serve []string
		}{
			{"e0", false, []string{"e1", "e2", "e3"}},
			{"e1", false, []string{"e2", "e3"}}, // half is not below half
			{"e2", true, []string{"e0", "e1", "e2", "e3"}},
			{"e3", true, []string{"e0", "e1", "e2", "e3"}},
		} {
			p.set(errStatus, x.ill)
			advance(1500 * time.Millisecond)
			ids, err := serving(t, s)
			require.NoError(t, err)
			require.Equal(t, x.serve, ids)
			require.Equal(t, x.panic, s.Status().Panic)
		}
		require.NoError(t, s.Operate(t.Context(), Order{Endpoint: "e0", Verb: VerbMaint}))
		ids, err := serving(t, s)
		require.NoError(t, err)
		require.Equal(t, []string{"e1", "e2", "e3"}, ids, "an operator's word stands")
		require.Equal(t, 1, count(s, messages.KindPanicStarted))

		c.PanicThreshold = Off // by a reload
		require.NoError(t, s.Configure(c))
		_, err = serving(t, s)
		require.Equal(t, messages.CodeAllEndpointsDown, code(err))
		require.False(t, s.Status().Panic)
		require.Equal(t, 1, count(s, messages.KindPanicEnded))
	})
}

// A failure in panic mode opens the breaker as any other does; then nobody is left.
func TestPanicModeEndsWhereBreakersOpen(t *testing.T) {
	c, p := checking(2)
	c.Breaker.FailureThreshold, c.Breaker.OpenTimeout = 2, time.Minute
	p.set(errStatus, "e0", "e1")
	virtual(t, c, func(t *testing.T, s *Service) {
		for range 4 {
			_, err := Do(t.Context(), s, bad)
			require.Equal(t, messages.CodeRetryExhausted, code(err))
		}
		_, err := Do(t.Context(), s, good)
		require.Equal(t, messages.CodeAllEndpointsDown, code(err))
		require.False(t, s.Status().Panic)
		settled(t, s)
	})
}

// "an endpoint to which no connection can be made by latest evidence": a check that got
// an answer, be it 503, is the latest evidence. httpCheck words it as this error, whose
// outcome is Ignored, so Suspicion.CheckOutcome does not hear of it.
func TestABadAnswerIsAConnection(t *testing.T) {
	c, p := checking(1)
	p.set(errRefused, "e0")
	virtual(t, c, func(t *testing.T, s *Service) {
		_, err := serving(t, s)
		require.Equal(t, messages.CodeAllEndpointsDown, code(err))
		p.set(&messages.Error{Code: messages.CodeHealthCheckFailed, Words: "status 503"}, "e0")
		advance(3 * time.Second)
		_, err = serving(t, s)
		require.NoError(t, err, "%+v", status(t, s, "e0"))
	})
}

// The same through sockets: down, then up with a page that says 503.
func TestABadAnswerIsAConnectionThroughSockets(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	c := ServiceConfig{Endpoints: []Endpoint{{ID: "e0", URL: "http://" + addr}}}
	c.Health = health.Config{HTTP: &health.HTTPCheck{Path: "/health"}, Interval: 20 * time.Millisecond, IdleInterval: 20 * time.Millisecond}
	s := start(t, Options{}, c)
	for status(t, s, "e0").Health != "unhealthy" {
		<-time.After(5 * time.Millisecond)
	}
	_, err = get(s, "/")
	require.Equal(t, messages.CodeAllEndpointsDown, code(err))
	l, err = net.Listen("tcp", addr)
	require.NoError(t, err)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	srv.Listener = l
	srv.Start()
	defer srv.Close()
	<-time.After(300 * time.Millisecond)
	resp, err := get(s, "/")
	require.NoError(t, err, "%+v", status(t, s, "e0"))
	_ = resp.Body.Close()
}

// Without endpoints there is nobody to be ill.
func TestPanicModeEndsWithTheLastEndpoint(t *testing.T) {
	c, p := checking(1)
	p.set(errStatus, "e0")
	virtual(t, c, func(t *testing.T, s *Service) {
		require.True(t, s.Status().Panic)
		require.NoError(t, s.Deregister("e0"))
		require.False(t, s.Status().Panic)
		require.Equal(t, 1, count(s, messages.KindPanicEnded))
	})
}

// A reload that leaves somebody well is no panic, in between neither.
func TestAReloadTellsOfNoPanicThatIsNone(t *testing.T) {
	for name, reload := range map[string]func(*testing.T, *Service, ServiceConfig){
		"another strategy": func(t *testing.T, s *Service, c ServiceConfig) {
			c.Strategy = balance.Config{Pick: "random"}
			require.NoError(t, s.Configure(c))
		},
		"another endpoint": func(t *testing.T, s *Service, c ServiceConfig) {
			c.Endpoints = []Endpoint{{ID: "e0"}, {ID: "e2"}}
			require.NoError(t, s.Configure(c))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, p := checking(2)
			p.set(errStatus, "e0")
			virtual(t, c, func(t *testing.T, s *Service) {
				advance(time.Second)
				require.Zero(t, count(s, messages.KindPanicStarted))
				reload(t, s, c)
				advance(time.Second)
				require.Zero(t, count(s, messages.KindPanicStarted), "%v", kinds(s))
			})
		})
	}
}
