package spec

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/messages"
)

// badKey, errBad and badPath mark a request over which a user's function goes wrong.
const badKey, badPath = "bad", "/bad"

var errBad = errors.New("bad")

// byKey, byError and byPath make a request, a bad one or one like any other.
func byKey(ctx context.Context, s *understudy.Service, bad bool) error {
	key := "good"
	if bad {
		key = badKey
	}
	_, err := understudy.Do(ctx, s, new(backend).call, understudy.Key(key))
	return err
}

func byError(ctx context.Context, s *understudy.Service, bad bool) error {
	_, err := understudy.Do(ctx, s, func(context.Context, understudy.Target) (int, error) {
		if bad {
			return 0, errBad
		}
		return 0, nil
	})
	return err
}

func byPath(ctx context.Context, s *understudy.Service, bad bool) error {
	m := &messages.Request{Path: "/"}
	if bad {
		m.Path = badPath
	}
	_, err := s.Request(ctx, m)
	return err
}

// "A custom strategy, classifier or fallback function that panics, or returns an
// endpoint that is not there, costs that one request an error and nothing else."
func TestBadInputCostsOneRequest(t *testing.T) {
	picks := func(i func(n int) int) understudy.Hooks {
		return understudy.Hooks{Pick: func(key string, candidates []understudy.Candidate) int {
			if key == badKey {
				return i(len(candidates))
			}
			return 0
		}}
	}
	at := func(i int) func(int) int { return func(int) int { return i } }
	classifies := func(verdict func() understudy.Verdict) understudy.Hooks {
		return understudy.Hooks{Classify: func(r understudy.Result) understudy.Verdict {
			if errors.Is(r.Err, errBad) || r.Status == http.StatusTeapot {
				return verdict()
			}
			return understudy.Auto
		}}
	}
	fallsBack := func(answer func() (*messages.Response, error)) understudy.Hooks {
		return understudy.Hooks{Fallback: func(context.Context, *messages.Request, error) (*messages.Response, error) { return answer() }}
	}
	doOr := func(fallback func() (int, error)) func(context.Context, *understudy.Service, bool) error {
		return func(ctx context.Context, s *understudy.Service, bad bool) error {
			_, err := understudy.DoOr(ctx, s, func(context.Context, understudy.Target) (int, error) {
				if bad {
					return 0, errBad
				}
				return 0, nil
			}, func(context.Context, error) (int, error) { return fallback() })
			return err
		}
	}
	teapotFails := []understudy.ErrorRule{{Status: http.StatusTeapot, Outcome: "failure"}}
	noBreaker := understudy.Breaker{Disabled: true}
	for name, tc := range map[string]struct {
		config understudy.ServiceConfig
		call   func(ctx context.Context, s *understudy.Service, bad bool) error
		code   messages.Code // what the one request gets; "": no error
		words  string
	}{
		"Pick panics":             {understudy.ServiceConfig{Hooks: picks(func(int) int { panic("boom") })}, byKey, messages.CodeInternal, "boom"},
		"Pick panics with nil":    {understudy.ServiceConfig{Hooks: picks(func(int) int { panic(nil) })}, byKey, messages.CodeInternal, "nil"},
		"Pick crashes":            {understudy.ServiceConfig{Hooks: picks(func(n int) int { return make([]int, n)[n] })}, byKey, messages.CodeInternal, "out of range"},
		"Pick returns none":       {understudy.ServiceConfig{Hooks: picks(at(-1))}, byKey, messages.CodeInvalidStrategy, "-1"},
		"Pick returns the next":   {understudy.ServiceConfig{Hooks: picks(func(n int) int { return n })}, byKey, messages.CodeInvalidStrategy, "2 of 2"},
		"Pick returns too much":   {understudy.ServiceConfig{Hooks: picks(at(math.MaxInt))}, byKey, messages.CodeInvalidStrategy, ""},
		"Pick returns too little": {understudy.ServiceConfig{Hooks: picks(at(math.MinInt))}, byKey, messages.CodeInvalidStrategy, ""},
		"Classify panics":         {understudy.ServiceConfig{Hooks: classifies(func() understudy.Verdict { panic("boom") })}, byError, messages.CodeInternal, "boom"},
		"Classify panics over an answer": {understudy.ServiceConfig{Hooks: classifies(func() understudy.Verdict { panic("boom") })},
			byPath, messages.CodeInternal, "boom"},
		"Classify says what there is not": {understudy.ServiceConfig{Hooks: classifies(func() understudy.Verdict { return 200 }), Breaker: noBreaker},
			byError, messages.CodeRetryExhausted, "bad"}, // as if it had no opinion
		"Trip panics": {understudy.ServiceConfig{Retry: once, Hooks: understudy.Hooks{Trip: func(understudy.Counts) bool { panic("boom") }}},
			byError, messages.CodeRetryExhausted, "bad"}, // its own error: the breaker has no say in it
		"Fallback panics": {understudy.ServiceConfig{ErrorRules: teapotFails, Breaker: noBreaker,
			Hooks: fallsBack(func() (*messages.Response, error) { panic("boom") })}, byPath, messages.CodeInternal, "boom"},
		"Fallback returns nothing": {understudy.ServiceConfig{ErrorRules: teapotFails, Breaker: noBreaker,
			Hooks: fallsBack(func() (*messages.Response, error) { return nil, nil })}, byPath, messages.CodeRetryExhausted, ""},
		"DoOr's fallback panics": {understudy.ServiceConfig{Breaker: noBreaker}, doOr(func() (int, error) { panic("boom") }), messages.CodeInternal, "boom"},
		"OnAttempt panics":       {understudy.ServiceConfig{Hooks: understudy.Hooks{OnAttempt: func(messages.Attempt) { panic("boom") }}}, byKey, "", ""},
		"OnTransition panics":    {understudy.ServiceConfig{Hooks: understudy.Hooks{OnTransition: func(messages.Event) { panic("boom") }}}, byKey, "", ""},
		"the function itself does": {understudy.ServiceConfig{Breaker: noBreaker}, func(ctx context.Context, s *understudy.Service, bad bool) (err error) {
			defer func() {
				if p := recover(); p != nil { // it goes on in its caller
					err = &messages.Error{Code: messages.CodeInternal, Words: fmt.Sprint(p)}
				}
			}()
			_, err = understudy.Do(ctx, s, func(context.Context, understudy.Target) (int, error) {
				if bad {
					panic("boom")
				}
				return 0, nil
			})
			return err
		}, messages.CodeInternal, "boom"},
	} {
		t.Run(name, func(t *testing.T) {
			us := start(t)
			c := tc.config
			for _, id := range []string{"a", "b"} {
				c.Endpoints = append(c.Endpoints, handler(id, func(_ context.Context, m *messages.Request) (*messages.Response, error) {
					if m.Path == badPath {
						return &messages.Response{Status: http.StatusTeapot}, nil
					}
					return &messages.Response{Status: 200}, nil
				}))
			}
			c.Retry.Budget.Ratio, c.Retry.Backoff = understudy.Off, understudy.Constant(time.Millisecond)
			s, neighbour := add(t, us, "svc", c), add(t, us, "neighbour", understudy.ServiceConfig{Endpoints: named("a")})
			bad := func() {
				err := tc.call(t.Context(), s, true)
				if tc.code == "" {
					require.NoError(t, err)
					return
				}
				coded(t, err, tc.code)
				require.Contains(t, err.Error(), tc.words)
			}
			bad()
			require.NoError(t, tc.call(t.Context(), s, false), "the next one")
			for range 30 { // more than any threshold of breakers and restarts
				bad()
			}
			require.NoError(t, tc.call(t.Context(), s, false))

			var all sync.WaitGroup // and those beside it
			var failed atomic.Int64
			for i := range 100 {
				all.Go(func() {
					if err := tc.call(t.Context(), s, i%2 == 0); err != nil {
						failed.Add(1)
						if i%2 == 1 {
							t.Error(err)
						}
					}
					if _, err := understudy.Do(t.Context(), neighbour, new(backend).call); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			want := int64(50)
			if tc.code == "" {
				want = 0
			}
			require.Equal(t, want, failed.Load())
			unharmed(t, s)
			unharmed(t, neighbour)
		})
	}
}

// unharmed checks that nobody was restarted, opened, ejected or kept busy.
func unharmed(t *testing.T, s *understudy.Service) {
	t.Helper()
	require.Empty(t, happened(s, messages.KindActorRestarted, messages.KindEndpointParked, messages.KindCircuitOpened,
		messages.KindEndpointDown, messages.KindEndpointEjected, messages.KindPanicStarted))
	for _, e := range s.Status().Endpoints {
		require.True(t, e.Eligible, e.ID)
		require.Equal(t, "closed", e.Breaker)
		require.Equal(t, "healthy", e.Health)
		require.Zero(t, e.Inflight, e.ID)
	}
}

// "A custom strategy, classifier or fallback function that panics […] costs that one
// request an error and nothing else." So does one that opens an endpoint's value, and
// a check that panics is a check that failed.
func TestBadInputOpenAndCheck(t *testing.T) {
	t.Run("Open", func(t *testing.T) {
		var opened atomic.Int32
		s := add(t, start(t), "svc", understudy.ServiceConfig{Endpoints: named("a", "b"), Hooks: understudy.Hooks{
			Open: func(context.Context, understudy.Endpoint) (any, error) {
				if opened.Add(1) == 1 {
					panic("boom")
				}
				return 1, nil
			}}})
		require.ErrorContains(t, coded(t, byKey(t.Context(), s, false), messages.CodeInternal), "boom")
		for range 20 {
			require.NoError(t, byKey(t.Context(), s, false))
		}
		unharmed(t, s)
	})
	t.Run("Check", func(t *testing.T) {
		var bad atomic.Bool
		c := understudy.ServiceConfig{Endpoints: named("a", "b"), Health: understudy.Health{Interval: time.Hour},
			Hooks: understudy.Hooks{Check: func(_ context.Context, target understudy.Target) error {
				if target.ID() == "a" && bad.CompareAndSwap(true, false) { // once: it is looked at again at once
					panic("boom")
				}
				return nil
			}}}
		virtually(t, c, func(t *testing.T, s *understudy.Service) {
			bad.Store(true)
			e := coded(t, s.Check(t.Context(), "a"), messages.CodeHealthCheckFailed)
			require.ErrorContains(t, e, "boom")
			require.NoError(t, do(t, s, new(backend), 20))
			pass(time.Minute)
			require.EqualValues(t, 1, status(t, s, "a").CheckFailures)
			require.EqualValues(t, 1, status(t, s, "b").Checks, "nor was another one checked")
			require.NoError(t, s.Check(t.Context(), "a"))
			unharmed(t, s)
		})
	})
	t.Run("Close", func(t *testing.T) {
		s := add(t, start(t), "svc", understudy.ServiceConfig{Endpoints: named("a", "b"), Hooks: understudy.Hooks{
			Open:  func(context.Context, understudy.Endpoint) (any, error) { return 1, nil },
			Close: func(any) error { panic("boom") }}})
		require.NoError(t, do(t, s, new(backend), 10))
		require.NoError(t, s.Deregister("a"))
		require.NoError(t, do(t, s, new(backend), 10))
		unharmed(t, s)
	})
}
