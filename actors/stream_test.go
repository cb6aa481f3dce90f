package actors

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy/actors/balance"
	"github.com/understudy-go/understudy/actors/retry"
	"github.com/understudy-go/understudy/messages"
)

// A service without any other timeout still gives up on a body that stops coming.
func TestIdleTimeoutHoldsWithoutOtherTimeouts(t *testing.T) {
	for name, call := range map[string]func(*testing.T, *Service) error{
		"RoundTripper": func(_ *testing.T, s *Service) error {
			resp, err := get(s, "/")
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				_ = resp.Body.Close()
			}
			return err
		},
		"Request": func(t *testing.T, s *Service) error {
			_, err := s.Request(t.Context(), &messages.Request{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, Options{}, ServiceConfig{Endpoints: []Endpoint{{ID: "e0", URL: serve(t, stall(200))}}, Retry: retry.Config{MaxAttempts: 1},
				Timeout: Off, AttemptTimeout: Off, IdleTimeout: 20 * time.Millisecond})
			got := make(chan error, 1)
			go func() { got <- call(t, s) }()
			if err := await(t, got); code(err) != messages.CodeTimeout {
				t.Errorf("got %v", err)
			}
		})
	}
}

// An answer that is to be tried again is kept only if its body comes at once.
func TestAStalledBodyDoesNotHoldUpTheNextTry(t *testing.T) {
	for _, timeout := range []time.Duration{Off, time.Hour} {
		t.Run(fmt.Sprint("attempt_timeout ", timeout), func(t *testing.T) {
			good := serve(t, func(http.ResponseWriter, *http.Request) {})
			s := start(t, Options{}, ServiceConfig{Strategy: balance.Config{Pick: "round_robin"}, Timeout: Off, AttemptTimeout: timeout,
				Endpoints: []Endpoint{{ID: "e0", URL: serve(t, stall(503))}, {ID: "e1", URL: good}}})
			got := make(chan error, 1)
			go func() {
				resp, err := get(s, "/")
				if err == nil {
					_ = resp.Body.Close()
				}
				got <- err
			}()
			if err := await(t, got); err != nil {
				t.Error(err)
			}
			if n := s.Stats().Retries; n != 1 {
				t.Errorf("%d retries", n)
			}
		})
	}
}

// A trial whose body streams for hours is judged by its head: others need not wait for its end.
func TestATrialIsJudgedByItsHead(t *testing.T) {
	clock := newHandClock()
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/bad":
			w.WriteHeader(500)
		case "/stream":
			stall(200)(w, r)
		}
	})
	c := ServiceConfig{Endpoints: []Endpoint{{ID: "e0", URL: url}}, Retry: retry.Config{MaxAttempts: 1}}
	c.Breaker.FailureThreshold, c.Breaker.OpenTimeout, c.Breaker.Jitter = 1, 5*time.Second, Off
	s := start(t, Options{Clock: clock}, c)
	_ = mustGet(t, s, "/bad").Body.Close()
	if b := status(t, s, "e0").Breaker; b != "open" {
		t.Fatalf("breaker is %s", b)
	}
	clock.advance(5 * time.Second)
	stream := mustGet(t, s, "/stream")
	defer stream.Body.Close()
	if e := status(t, s, "e0"); e.Breaker != "closed" || e.Inflight != 1 {
		t.Errorf("in mid-stream: %+v", e)
	}
	_ = mustGet(t, s, "/").Body.Close()
}

// Who waited for a connection of our own pool until its time was up says nothing of the endpoint.
func TestWaitingForThePoolIsNoFailureOfTheEndpoint(t *testing.T) {
	clock := newHandClock()
	c := ServiceConfig{Endpoints: []Endpoint{{ID: "e0", URL: serve(t, stall(200))}}, AttemptTimeout: time.Minute, Timeout: Off, Retry: retry.Config{MaxAttempts: 1}}
	c.Pool.Max = 1
	s := start(t, Options{Clock: clock}, c)
	stream := mustGet(t, s, "/") // has the only connection
	defer stream.Body.Close()
	const callers = 8
	before := clock.set()
	got := make(chan error, callers)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() { _, err := get(s, "/"); got <- err })
	}
	clock.awaitSet(before + callers) // each is in the transport and has its deadline
	clock.advance(time.Minute)
	all.Wait()
	clock.advance(time.Second)
	for range callers {
		if err := <-got; code(err) != messages.CodeOverloaded {
			t.Errorf("got %v", err)
		}
	}
	if e := status(t, s, "e0"); e.Failures != 0 || e.Timeouts != 0 || e.Breaker != "closed" {
		t.Errorf("it counts against the endpoint: %+v", e)
	}
}

// A good answer speaks for the time at which its call began, however long its body took.
func TestAStreamFromBeforeTheFailuresClearsNoSuspicion(t *testing.T) {
	clock := newHandClock()
	finish := make(chan struct{})
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad" {
			w.WriteHeader(500)
			return
		}
		_ = http.NewResponseController(w).Flush()
		<-finish
	})
	s := start(t, Options{Clock: clock}, ServiceConfig{Endpoints: []Endpoint{{ID: "e0", URL: url}}, Retry: retry.Config{MaxAttempts: 1}})
	stream := mustGet(t, s, "/stream")
	clock.advance(10 * time.Millisecond)
	for range 2 {
		_ = mustGet(t, s, "/bad").Body.Close()
	}
	if !status(t, s, "e0").Suspect {
		t.Fatal("not suspect")
	}
	clock.advance(10 * time.Millisecond)
	close(finish)
	_, _ = io.ReadAll(stream.Body)
	_ = stream.Body.Close()
	if e := status(t, s, "e0"); !e.Suspect || e.Inflight != 0 {
		t.Errorf("%+v", e)
	}
}

// Whoever has the response has the report, before the body is read.
func TestTheReportIsThereWithTheHead(t *testing.T) {
	s := start(t, Options{}, ServiceConfig{Endpoints: []Endpoint{{ID: "e0", URL: serve(t, stall(200))}}})
	var report Report
	resp, err := get(s, "/", Into(&report))
	if err != nil {
		t.Fatal(err)
	}
	if report.Endpoint != "e0" || len(report.Attempts) != 1 || report.Attempts[0].Status != 200 {
		t.Errorf("at the head: %+v", report)
	}
	_ = resp.Body.Close()
	if len(report.Attempts) != 1 {
		t.Errorf("told twice: %+v", report)
	}
}

// Connections made under the old configuration serve those who have them: a
// reload between the choice and the request cuts nothing.
func TestAReloadCutsNoRequest(t *testing.T) {
	c := ServiceConfig{Endpoints: []Endpoint{{ID: "e0", URL: serve(t, func(http.ResponseWriter, *http.Request) {})}}}
	var s *Service
	c.Hooks.Open = func(context.Context, Endpoint) (any, error) { // it runs between the two
		c.Headers = map[string]string{"X-Key": "new"}
		return nil, s.Configure(c)
	}
	s = start(t, Options{}, c)
	resp, err := get(s, "/")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if h := s.Config().Headers["X-Key"]; resp.StatusCode != 200 || h != "new" {
		t.Errorf("status %d under %q", resp.StatusCode, h)
	}
}

// closable is a body that knows whether it was closed.
type closable struct {
	io.Reader
	closed bool
}

func (b *closable) Close() error { b.closed = true; return nil }

// An answer that is tried again is nobody's, also where no timeout bounds the attempt.
func TestARetriedAnswersBodyIsClosed(t *testing.T) {
	for _, timeout := range []time.Duration{0, Off} {
		c := ServiceConfig{Endpoints: endpoints(2), Timeout: timeout, AttemptTimeout: timeout}
		virtual(t, c, func(t *testing.T, s *Service) {
			var bodies []*closable
			resp, err := Do(t.Context(), s, func(context.Context, Target) (*http.Response, error) {
				bodies = append(bodies, &closable{Reader: strings.NewReader("x")})
				status := http.StatusOK
				if len(bodies) == 1 {
					status = http.StatusServiceUnavailable
				}
				return &http.Response{StatusCode: status, Body: bodies[len(bodies)-1]}, nil
			})
			require.NoError(t, err)
			require.Len(t, bodies, 2)
			require.True(t, bodies[0].closed)
			require.False(t, bodies[1].closed, "it is the caller's")
			require.NoError(t, resp.Body.Close())
		})
	}
}
