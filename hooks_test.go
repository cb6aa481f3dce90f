package understudy_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/understudytest"
)

func TestHookPick(t *testing.T) {
	var keys []string
	s := service(t, understudy.ServiceConfig{Endpoints: []understudy.Endpoint{{ID: "a"}, {ID: "b", Weight: 3}, {ID: "c"}},
		Hooks: understudy.Hooks{Pick: func(key string, candidates []understudy.Candidate) int {
			keys = append(keys, key)
			for i, c := range candidates {
				if c.ID == key {
					return i
				}
			}
			return len(candidates)
		}}})
	for _, key := range []string{"b", "a", "c", "b"} {
		got, err := understudy.Do(t.Context(), s, say, understudy.Key(key))
		require.NoError(t, err)
		require.Equal(t, key, got)
	}
	require.Equal(t, []string{"b", "a", "c", "b"}, keys)

	_, err := understudy.Do(t.Context(), s, say, understudy.Key("nobody"))
	require.Equal(t, "web", coded(t, err, messages.CodeInvalidStrategy).Service)
}

// A panic costs the request in which it happens and nothing else.
func TestHookPickThatPanics(t *testing.T) {
	us := start(t)
	s := add(t, us, "web", understudy.ServiceConfig{Endpoints: named("a", "b"), Hooks: understudy.Hooks{
		Pick: func(key string, _ []understudy.Candidate) int {
			if key == "bad" {
				panic("boom")
			}
			return 0
		}}})
	_, err := understudy.Do(t.Context(), s, say, understudy.Key("bad"))
	require.Contains(t, coded(t, err, messages.CodeInternal).Error(), "boom")
	got, err := understudy.Do(t.Context(), s, say)
	require.NoError(t, err)
	require.Equal(t, "a", got)
	for _, e := range s.History(100) {
		require.NotEqual(t, messages.KindActorRestarted, e.Kind)
	}
}

func TestHookClassify(t *testing.T) {
	var verdict understudy.Verdict
	var judged []understudy.Result
	s := service(t, understudy.ServiceConfig{Endpoints: named("a", "b"), Strategy: inOrder, Breaker: understudy.Breaker{Disabled: true},
		Hooks: understudy.Hooks{Classify: func(r understudy.Result) understudy.Verdict {
			judged = append(judged, r)
			return verdict
		}}})
	failures := func() uint64 { return status(t, s, "a").Failures + status(t, s, "b").Failures }
	do := func(v understudy.Verdict, fn func(context.Context, understudy.Target) (string, error)) (string, int, uint64, error) {
		verdict = v
		before := failures()
		var report understudy.Report
		got, err := understudy.Do(t.Context(), s, fn, understudy.Into(&report))
		return got, len(report.Attempts), failures() - before, err
	}

	_, attempts, failed, err := do(understudy.Ignore, fail)
	require.Equal(t, errBroken, err, "as the function gave it")
	require.Equal(t, 1, attempts)
	require.Zero(t, failed)
	require.Equal(t, "a", judged[0].Endpoint)
	require.Equal(t, errBroken, judged[0].Err)

	_, attempts, failed, err = do(understudy.Success, fail)
	require.Equal(t, errBroken, err, "it counts for the endpoint and is still an error")
	require.Equal(t, 1, attempts)
	require.Zero(t, failed)

	_, attempts, failed, err = do(understudy.Auto, fail)
	coded(t, err, messages.CodeRetryExhausted)
	require.EqualValues(t, attempts, failed)
	require.Equal(t, 3, attempts)

	_, attempts, failed, err = do(understudy.Failure, fail)
	coded(t, err, messages.CodeRetryExhausted)
	require.EqualValues(t, attempts, failed)

	_, attempts, failed, err = do(understudy.Retryable, say)
	coded(t, err, messages.CodeRetryExhausted)
	require.Equal(t, 3, attempts, "a value that is no good")
	require.EqualValues(t, 3, failed)

	got, attempts, failed, err := do(understudy.Success, say)
	require.NoError(t, err)
	require.NotEmpty(t, got)
	require.Equal(t, 1, attempts)
	require.Zero(t, failed)
	requireIdle(t, s)
}

// A service decides what its statuses mean, each for itself.
func TestHookClassifyByStatus(t *testing.T) {
	server := understudytest.Good(t)
	server.Break(404)
	us := start(t)
	strict := add(t, us, "strict", understudy.ServiceConfig{Endpoints: []understudy.Endpoint{server.Endpoint("a")},
		Hooks: understudy.Hooks{Classify: func(r understudy.Result) understudy.Verdict {
			if r.Status == 404 {
				return understudy.Failure
			}
			return understudy.Auto
		}}})
	mild := add(t, us, "mild", understudy.ServiceConfig{Endpoints: []understudy.Endpoint{server.Endpoint("a")}})
	_, err := strict.Request(t.Context(), &messages.Request{})
	require.Error(t, err)
	require.EqualValues(t, 1, status(t, strict, "a").Failures)
	resp, err := mild.Request(t.Context(), &messages.Request{})
	require.NoError(t, err)
	require.Equal(t, 404, resp.Status)
	require.Zero(t, status(t, mild, "a").Failures)
}

func TestHookClassifyThatPanics(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a", "b"), Strategy: inOrder, Hooks: understudy.Hooks{
		Classify: func(r understudy.Result) understudy.Verdict {
			if r.Endpoint == "b" {
				panic("boom")
			}
			return understudy.Auto
		}}})
	_, err := understudy.Do(t.Context(), s, failOn("a")) // a fails, b is judged in a panic
	require.Contains(t, coded(t, err, messages.CodeInternal).Error(), "boom")
	requireIdle(t, s)
	require.Zero(t, status(t, s, "b").Failures, "not the endpoint's fault")
	got, err := understudy.Do(t.Context(), s, say)
	require.NoError(t, err)
	require.Equal(t, "a", got)
}

func TestHookTrip(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a"), Retry: understudy.Retry{MaxAttempts: 1},
		Hooks: understudy.Hooks{Trip: func(c understudy.Counts) bool { return c.Consecutive >= 7 }}})
	for range 6 {
		_, err := understudy.Do(t.Context(), s, fail)
		require.ErrorIs(t, err, errBroken)
	}
	require.Equal(t, "closed", status(t, s, "a").Breaker, "in place of failure_threshold")
	_, _ = understudy.Do(t.Context(), s, fail)
	require.Equal(t, "open", status(t, s, "a").Breaker)
}

func TestHookTripThatPanics(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a"), Retry: understudy.Retry{MaxAttempts: 1},
		Hooks: understudy.Hooks{Trip: func(understudy.Counts) bool { panic("boom") }}})
	for range 3 {
		_, err := understudy.Do(t.Context(), s, fail)
		require.ErrorIs(t, err, errBroken, "the answer was there before")
	}
	a := status(t, s, "a")
	require.Equal(t, "closed", a.Breaker)
	require.EqualValues(t, 3, a.Failures)
	for _, e := range s.History(100) {
		require.NotEqual(t, messages.KindActorRestarted, e.Kind)
	}
}

func TestHookFallback(t *testing.T) {
	server := understudytest.Faulty(t, 500, 1)
	var asked *messages.Request
	var cause error
	answer := func() (*messages.Response, error) {
		return &messages.Response{Status: 203, Body: []byte("instead")}, nil
	}
	s := service(t, understudy.ServiceConfig{Endpoints: []understudy.Endpoint{server.Endpoint("a")},
		Hooks: understudy.Hooks{Fallback: func(_ context.Context, m *messages.Request, err error) (*messages.Response, error) {
			asked, cause = m, err
			return answer()
		}}})
	request := &messages.Request{Path: "/orders?id=7"}
	resp, err := s.Request(t.Context(), request)
	require.NoError(t, err)
	require.Equal(t, 203, resp.Status)
	require.Equal(t, "instead", string(resp.Body))
	require.True(t, resp.Fallback)
	require.Len(t, resp.Attempts, 1)
	require.Equal(t, request.Path, asked.Path)
	require.Error(t, cause)
	require.EqualValues(t, 1, s.Stats().Fallbacks)
	require.Zero(t, s.Stats().Succeeded)

	answer = func() (*messages.Response, error) { return nil, errors.New("nothing in the cache") }
	resp, err = s.Request(t.Context(), request)
	require.Error(t, err, "the first error stays")
	require.NotContains(t, err.Error(), "cache")
	require.Equal(t, 500, resp.Status)

	answer = func() (*messages.Response, error) { panic("boom") }
	_, err = s.Request(t.Context(), request)
	require.Contains(t, coded(t, err, messages.CodeInternal).Error(), "boom")
}

func TestHookCheckOnDemand(t *testing.T) {
	verdict := map[string]error{"b": errBroken}
	s := service(t, understudy.ServiceConfig{Endpoints: named("a", "b"), PanicThreshold: understudy.Off,
		Health: understudy.Health{InitialDelay: time.Hour, Fall: 2, Rise: 1},
		Hooks: understudy.Hooks{Check: func(_ context.Context, target understudy.Target) error {
			return verdict[target.ID()]
		}}})
	require.Equal(t, "unknown", status(t, s, "a").Health)
	require.NoError(t, s.Check(t.Context(), "a"))
	require.Equal(t, "healthy", status(t, s, "a").Health)

	err := s.Check(t.Context(), "b")
	e := coded(t, err, messages.CodeHealthCheckFailed)
	require.Equal(t, "b", e.Endpoint)
	require.Contains(t, err.Error(), "broken")

	failed, err := s.CheckAll(t.Context())
	require.NoError(t, err)
	require.Len(t, failed, 1)
	require.ErrorIs(t, failed["b"], messages.ErrHealthCheckFailed)
	require.Equal(t, "unhealthy", status(t, s, "b").Health)
	b := status(t, s, "b")
	require.EqualValues(t, 2, b.Checks)
	require.EqualValues(t, 2, b.CheckFailures)
	checks, err := s.Checks("b", 10)
	require.NoError(t, err)
	require.Len(t, checks, 2)
	require.False(t, checks[0].OK)

	_, err = s.Select(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.Operate(t.Context(), understudy.Order{Endpoint: "a", Verb: understudy.VerbMaint}))
	_, err = s.Select(t.Context())
	coded(t, err, messages.CodeAllEndpointsDown)
	require.ErrorIs(t, err, messages.ErrNoEndpoints)
}

func TestHookCheckThatPanics(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a"), Health: understudy.Health{InitialDelay: time.Hour, Fall: 1},
		Hooks: understudy.Hooks{Check: func(context.Context, understudy.Target) error { panic("boom") }}})
	err := s.Check(t.Context(), "a")
	require.Contains(t, coded(t, err, messages.CodeHealthCheckFailed).Error(), "boom")
	require.Equal(t, "unhealthy", status(t, s, "a").Health)
}

// The check runs by itself, at its times.
func TestHookCheckPeriodically(t *testing.T) {
	clock := understudytest.NewClock()
	began := clock.Now()
	at := make(chan time.Duration)
	s := service(t, understudy.ServiceConfig{Endpoints: named("a"),
		Health: understudy.Health{InitialDelay: 3 * time.Second, Interval: 5 * time.Second, IdleInterval: understudy.Off, Jitter: understudy.Off},
		Hooks: understudy.Hooks{Check: func(context.Context, understudy.Target) error {
			at <- clock.Now().Sub(began)
			return nil
		}}}, understudy.WithClock(clock))
	clock.BlockUntilDue(3 * time.Second)
	clock.Advance(3 * time.Second)
	require.Equal(t, 3*time.Second, <-at)
	for want := 8 * time.Second; want <= 23*time.Second; want += 5 * time.Second {
		clock.BlockUntilDue(5 * time.Second)
		clock.Advance(5 * time.Second)
		require.Equal(t, want, <-at)
	}
	require.Equal(t, "healthy", status(t, s, "a").Health)
}

// A check that runs is asked by what is in force: another hook, other headers.
func TestChecksFollowTheConfiguration(t *testing.T) {
	clock := understudytest.NewClock()
	asked := make(chan string)
	check := func(name string) understudy.Hooks {
		return understudy.Hooks{Check: func(context.Context, understudy.Target) error { asked <- name; return nil }}
	}
	server := understudytest.Serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Get("Authorization")
	}))
	us := start(t, understudy.WithClock(clock))
	s := add(t, us, "web", understudy.ServiceConfig{Endpoints: []understudy.Endpoint{server.Endpoint("a")}, Hooks: check("first"),
		Health: understudy.Health{InitialDelay: 4 * time.Second, Interval: 5 * time.Second, IdleInterval: understudy.Off, Jitter: understudy.Off}})
	after := func(d time.Duration, want string) {
		t.Helper()
		clock.BlockUntilDue(d)
		clock.Advance(d)
		for deadline := time.After(10 * time.Second); ; {
			select {
			case got := <-asked:
				if got == want { // what is on its way out may ask once more
					return
				}
			case <-deadline:
				t.Fatalf("%q never asked", want)
			}
		}
	}
	after(4*time.Second, "first")
	after(5*time.Second, "first")
	clock.BlockUntilDue(5 * time.Second)
	require.NoError(t, us.SetHooks("web", check("second")))
	after(5*time.Second, "second")

	require.NoError(t, us.SetHooks("web", understudy.Hooks{}))
	for i, key := range []string{"old", "new"} {
		require.NoError(t, s.Configure(understudy.ServiceConfig{Endpoints: []understudy.Endpoint{server.Endpoint("a")},
			Headers: map[string]string{"Authorization": key},
			Health: understudy.Health{HTTP: &understudy.HTTPCheck{}, InitialDelay: 6 * time.Second,
				Interval: 7 * time.Second, IdleInterval: understudy.Off, Jitter: understudy.Off}}))
		after(6*time.Second, key)
		if i == 0 {
			clock.BlockUntilDue(7 * time.Second)
		}
	}
}

// pool is what the hook Open makes in these tests.
type pool struct {
	id     string
	closed chan string
}

func TestHooksOpenAndClose(t *testing.T) {
	closed := make(chan string, 10)
	var opened sync.Map
	us, err := understudy.New(understudy.Config{})
	require.NoError(t, err)
	defer us.Close()
	s := add(t, us, "db", understudy.ServiceConfig{Endpoints: named("a", "b"), Strategy: inOrder, Hooks: understudy.Hooks{
		Open: func(_ context.Context, e understudy.Endpoint) (any, error) {
			_, twice := opened.LoadOrStore(e.ID, true)
			require.False(t, twice, "opened twice")
			return &pool{e.ID, closed}, nil
		},
		Close: func(v any) error {
			p := v.(*pool)
			p.closed <- p.id
			return nil
		}}})
	_, early := opened.Load("a")
	require.False(t, early, "before its first use")

	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			_, err := understudy.Do(t.Context(), s, func(_ context.Context, target understudy.Target) (string, error) {
				if target.Value().(*pool).id != target.ID() {
					return "", errors.New("the pool of another endpoint")
				}
				return "", nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	lease, err := s.Acquire(t.Context())
	require.NoError(t, err)
	held := lease.Target().ID()
	require.Equal(t, held, lease.Target().Value().(*pool).id)
	require.NoError(t, s.Deregister(held))
	require.Empty(t, closed, "it has a lease out")
	lease.Done(nil)
	require.Equal(t, held, <-closed)

	require.NoError(t, us.Close())
	require.NotEqual(t, held, <-closed, "the other one is closed with the system")
}

func TestHookOpenThatFails(t *testing.T) {
	var tries int
	s := service(t, understudy.ServiceConfig{Endpoints: named("a", "b"), Strategy: inOrder, Hooks: understudy.Hooks{
		Open: func(_ context.Context, e understudy.Endpoint) (any, error) {
			if e.ID == "b" {
				return "b's", nil
			}
			if tries++; tries == 1 {
				return nil, errBroken
			}
			return "a's", nil
		}}})
	value := func(_ context.Context, target understudy.Target) (any, error) { return target.Value(), nil }
	got, err := understudy.Do(t.Context(), s, value, understudy.NotIdempotent())
	require.NoError(t, err, "nothing was sent, so another endpoint gets it")
	require.Equal(t, "b's", got)
	require.EqualValues(t, 1, status(t, s, "a").Failures)

	require.NoError(t, s.Deregister("b"))
	got, err = understudy.Do(t.Context(), s, value)
	require.NoError(t, err)
	require.Equal(t, "a's", got, "tried again at the next use")
	requireIdle(t, s)
}

// Hooks that come later, for services from a file, open what is there already.
func TestHookOpenThatComesLater(t *testing.T) {
	us := start(t)
	s := add(t, us, "db", understudy.ServiceConfig{Endpoints: named("a")})
	value := func(_ context.Context, target understudy.Target) (any, error) { return target.Value(), nil }
	got, err := understudy.Do(t.Context(), s, value)
	require.NoError(t, err)
	require.Nil(t, got)
	require.NoError(t, us.SetHooks("db", understudy.Hooks{
		Open: func(_ context.Context, e understudy.Endpoint) (any, error) { return "pool of " + e.ID, nil }}))
	got, err = understudy.Do(t.Context(), s, value)
	require.NoError(t, err)
	require.Equal(t, "pool of a", got)
	target, err := s.Select(t.Context())
	require.NoError(t, err)
	require.Equal(t, "pool of a", target.Value())
}

func TestHookOpenThatFailsForALease(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a"), Hooks: understudy.Hooks{
		Open: func(context.Context, understudy.Endpoint) (any, error) { return nil, errBroken }}})
	_, err := s.Acquire(t.Context())
	require.Equal(t, "a", coded(t, err, messages.CodeRetryExhausted).Endpoint)
	require.ErrorIs(t, err, errBroken)
	require.EqualValues(t, 1, s.Stats().Failed)
	requireIdle(t, s)
}

// A check is a use too: what Open makes is there for it.
func TestHooksOpenAndCheck(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a"), Health: understudy.Health{InitialDelay: time.Hour},
		Hooks: understudy.Hooks{
			Open:  func(_ context.Context, e understudy.Endpoint) (any, error) { return "pool of " + e.ID, nil },
			Check: func(_ context.Context, target understudy.Target) error { return errors.New(target.Value().(string)) }}})
	require.ErrorContains(t, s.Check(t.Context(), "a"), "pool of a")
}

// Whoever waits for another's Open waits no longer than its own context.
func TestHookOpenThatHangs(t *testing.T) {
	opening, open := make(chan struct{}), make(chan struct{})
	s := service(t, understudy.ServiceConfig{Endpoints: named("a"), Hooks: understudy.Hooks{
		Open: func(context.Context, understudy.Endpoint) (any, error) {
			close(opening)
			<-open
			return 1, nil
		}}})
	first := make(chan error)
	go func() { _, err := understudy.Do(t.Context(), s, say); first <- err }()
	<-opening
	ctx, cancel := context.WithCancel(t.Context())
	second := make(chan error)
	go func() { _, err := understudy.Do(ctx, s, say); second <- err }()
	for status(t, s, "a").Inflight < 2 {
	}
	cancel()
	select {
	case err := <-second:
		coded(t, err, messages.CodeCanceled)
	case <-time.After(10 * time.Second):
		t.Error("it still waits")
	}
	close(open)
	require.NoError(t, <-first)
	requireIdle(t, s)
}

func TestHookOpenThatPanics(t *testing.T) {
	first := true
	s := service(t, understudy.ServiceConfig{Endpoints: named("a"), Hooks: understudy.Hooks{
		Open: func(context.Context, understudy.Endpoint) (any, error) {
			if first {
				first = false
				panic("boom")
			}
			return 1, nil
		}}})
	_, err := understudy.Do(t.Context(), s, say)
	require.Contains(t, coded(t, err, messages.CodeInternal).Error(), "boom")
	requireIdle(t, s)
	_, err = understudy.Do(t.Context(), s, say)
	require.NoError(t, err)
	first = true
	require.NoError(t, s.Register(understudy.Endpoint{ID: "b"}))
	require.NoError(t, s.Deregister("a"))
	_, err = s.Acquire(t.Context())
	coded(t, err, messages.CodeInternal)
	requireIdle(t, s)
}

// Listeners hear everything in order and hold nobody up.
func TestHookOnTransition(t *testing.T) {
	heard := make(chan messages.Event) // unbuffered: it blocks the listener
	s := service(t, understudy.ServiceConfig{Endpoints: named("a"), Retry: understudy.Retry{MaxAttempts: 1},
		Breaker: understudy.Breaker{FailureThreshold: 2},
		Hooks: understudy.Hooks{OnTransition: func(e understudy.Event) {
			heard <- e
			if e.Kind == messages.KindEndpointSuspected {
				panic("boom")
			}
		}}})
	for range 2 {
		_, _ = understudy.Do(t.Context(), s, fail)
	}
	require.Equal(t, "open", status(t, s, "a").Breaker, "though nobody has listened yet")
	last := uint64(0)
	for kind := messages.Kind(""); kind != messages.KindCircuitOpened; {
		e := <-heard
		require.Greater(t, e.Sequence, last)
		require.Equal(t, "web", e.Service)
		kind, last = e.Kind, e.Sequence
	}
}

func TestHookOnAttempt(t *testing.T) {
	var heard []messages.Attempt
	s := service(t, understudy.ServiceConfig{Endpoints: named("a", "b"), Strategy: inOrder, Hooks: understudy.Hooks{
		OnAttempt: func(a messages.Attempt) {
			heard = append(heard, a)
			if len(heard) > 2 {
				panic("boom")
			}
		}}})
	_, err := understudy.Do(t.Context(), s, failOn("a"))
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, tried(heard))
	require.NotEmpty(t, heard[0].Code)
	require.Equal(t, "broken", heard[0].Words)
	require.Empty(t, heard[1].Code)

	_, _ = understudy.Do(t.Context(), s, say) // its panic stays inside
	require.Len(t, heard, 3)
	requireIdle(t, s)
}

// Hooks given to a service that came from a file outlive its reloads.
func TestSetHooks(t *testing.T) {
	us := start(t)
	s := add(t, us, "web", understudy.ServiceConfig{Endpoints: named("a")})
	var heard int
	require.NoError(t, us.SetHooks("web", understudy.Hooks{OnAttempt: func(messages.Attempt) { heard++ }}))
	_, err := understudy.Do(t.Context(), s, say)
	require.NoError(t, err)
	require.Equal(t, 1, heard)

	require.NoError(t, s.Configure(understudy.ServiceConfig{Endpoints: named("a", "b"), Timeout: time.Second}))
	_, err = understudy.Do(t.Context(), s, say)
	require.NoError(t, err)
	require.Equal(t, 2, heard)
	require.Equal(t, time.Second, s.Config().Timeout)
	require.NotNil(t, s.Config().Hooks.OnAttempt)

	coded(t, us.SetHooks("nobody", understudy.Hooks{}), messages.CodeNotFound)
}

// In one service a hook of another is never heard.
func TestHooksAreTheServices(t *testing.T) {
	us := start(t)
	heard := map[string]int{}
	hook := func(name string) understudy.Hooks {
		return understudy.Hooks{OnAttempt: func(messages.Attempt) { heard[name]++ }}
	}
	for i, name := range []string{"one", "two"} {
		s := add(t, us, name, understudy.ServiceConfig{Endpoints: named("a"), Hooks: hook(name)})
		for range i + 1 {
			_, err := understudy.Do(t.Context(), s, say)
			require.NoError(t, err)
		}
	}
	require.Equal(t, map[string]int{"one": 1, "two": 2}, heard)
}
