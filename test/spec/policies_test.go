package spec

// What the policies around an attempt owe to one another.

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/understudytest"
)

// "31. Dynamic rate limit: while the service fails […], the admitted rate falls": where
// callers wait with a deadline, too. And who is let out has time left for the call: an
// overload costs those over the limit, not all.
func TestLimits31WaitWithDeadline(t *testing.T) {
	const limit = 100
	c := understudy.ServiceConfig{Endpoints: named("a", "b"), Retry: once, Breaker: understudy.Breaker{Disabled: true}, Timeout: time.Second,
		RateLimit: understudy.RateLimit{Limit: limit, Per: time.Second, Mode: "wait", Dynamic: true}}
	virtually(t, c, func(t *testing.T, s *understudy.Service) {
		var b backend
		var good atomic.Int64
		seconds := func(n int) (admitted []int) { // twice the limit is offered
			for range n {
				before := b.total()
				for range 2 * limit {
					go func() {
						if _, err := understudy.Do(context.Background(), s, b.call); err == nil {
							good.Add(1)
						}
					}()
					pass(time.Second / (2 * limit))
				}
				admitted = append(admitted, b.total()-before)
			}
			return admitted
		}
		b.set(taking(20*time.Millisecond, nil), "a", "b")
		seconds(10)
		assert.Greater(t, good.Load(), int64(9*limit), "a healthy service at twice its limit serves the limit")
		b.set(taking(20*time.Millisecond, errBroken), "a", "b")
		admitted := seconds(20)
		pass(10 * time.Second)
		require.Less(t, admitted[10], limit/2, "%v", admitted)
	})
}

// "30. […] POST always hits […]", and what it changed is not served from before it:
// by RoundTripper as by Request.
func TestCache30WriteForgets(t *testing.T) {
	server := understudytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Method) }))
	s := add(t, start(t), "svc", understudy.ServiceConfig{Endpoints: []understudy.Endpoint{server.Endpoint("a")}, Cache: cached()})
	client := &http.Client{Transport: s.RoundTripper()}
	for name, send := range map[string]func(method string) messages.Cache{
		"Request": func(method string) messages.Cache {
			resp, err := s.Request(t.Context(), &messages.Request{Method: method, Path: "/request"})
			require.NoError(t, err)
			return resp.Cache
		},
		"RoundTripper": func(method string) messages.Cache {
			req, err := http.NewRequestWithContext(t.Context(), method, "http://svc/client", nil)
			require.NoError(t, err)
			resp, err := client.Do(req)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			return messages.Cache(resp.Header.Get(messages.HeaderCache))
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, write := range []string{"POST", "PUT", "PATCH", "DELETE"} {
				send("GET")
				require.Equal(t, messages.CacheHit, send("GET"))
				send(write)
				require.Equal(t, messages.CacheMiss, send("GET"), "after a %s", write)
			}
		})
	}
}

// "A […] fallback function that panics […] costs that one request an error": by
// RoundTripper too, and where a custom strategy panics at the retry.
func TestBadInputByRoundTripper(t *testing.T) {
	server := understudytest.Faulty(t, 503, 1)
	s := add(t, start(t), "svc", understudy.ServiceConfig{Endpoints: []understudy.Endpoint{server.Endpoint("a")},
		Hooks: understudy.Hooks{Fallback: func(context.Context, *messages.Request, error) (*messages.Response, error) { panic("boom") }}})
	resp, err := (&http.Client{Transport: s.RoundTripper()}).Get("http://svc/")
	if resp != nil {
		_ = resp.Body.Close()
	}
	require.ErrorContains(t, coded(t, err, messages.CodeInternal), "boom")
}

// "Defects […]: […] secrets in debug logs; […]": nor where a user's function fails or
// panics with one.
func TestDefectSecretsOfHooks(t *testing.T) {
	const secret = "hunter2"
	careless := fmt.Errorf("get http://user:%s@db/x?token=%s", secret, secret)
	opened := func(context.Context, understudy.Endpoint) (any, error) { return 1, nil }
	for name, h := range map[string]understudy.Hooks{
		"Fallback fails":      {Fallback: func(context.Context, *messages.Request, error) (*messages.Response, error) { return nil, careless }},
		"Fallback panics":     {Fallback: func(context.Context, *messages.Request, error) (*messages.Response, error) { panic(careless) }},
		"Classify panics":     {Classify: func(understudy.Result) understudy.Verdict { panic(careless) }},
		"Pick panics":         {Pick: func(string, []understudy.Candidate) int { panic(careless) }},
		"Trip panics":         {Trip: func(understudy.Counts) bool { panic(careless) }},
		"OnAttempt panics":    {OnAttempt: func(messages.Attempt) { panic(careless) }},
		"OnTransition panics": {OnTransition: func(messages.Event) { panic(careless) }},
		"Check fails":         {Check: func(context.Context, understudy.Target) error { return careless }},
		"Check panics":        {Check: func(context.Context, understudy.Target) error { panic(careless) }},
		"Open fails":          {Open: func(context.Context, understudy.Endpoint) (any, error) { return nil, careless }},
		"Open panics":         {Open: func(context.Context, understudy.Endpoint) (any, error) { panic(careless) }},
		"Close fails":         {Open: opened, Close: func(any) error { return careless }},
		"Close panics":        {Open: opened, Close: func(any) error { panic(careless) }},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var log bytes.Buffer
			us, err := understudy.New(understudy.Config{Node: "spec"}, understudy.WithLogger(slog.New(slog.NewTextHandler(
				writer(func(p []byte) (int, error) { mu.Lock(); defer mu.Unlock(); return log.Write(p) }), &slog.HandlerOptions{Level: slog.LevelDebug - 10}))))
			require.NoError(t, err)
			s := add(t, us, "svc", understudy.ServiceConfig{Hooks: h, Endpoints: []understudy.Endpoint{handler("a", func(context.Context, *messages.Request) (*messages.Response, error) { return nil, careless })}})
			for range 3 {
				_, _ = s.Request(t.Context(), &messages.Request{})
			}
			_, _ = s.CheckAll(t.Context())
			shown := fmt.Sprintf("%+v\n%+v", s.Status(), s.History(1000))
			require.NoError(t, us.Close())
			require.NotContains(t, shown, secret, "status, events")
			mu.Lock()
			defer mu.Unlock()
			require.NotContains(t, log.String(), secret, "log")
		})
	}
}
