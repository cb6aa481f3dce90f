package understudy_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/understudytest"
)

func TestNewAddsServices(t *testing.T) {
	us, err := understudy.New(understudy.Config{Node: "n1", Services: map[string]understudy.ServiceConfig{
		"web": {Endpoints: named("a")}, "db": {Endpoints: named("b")}}})
	require.NoError(t, err)
	defer us.Close()
	require.Equal(t, []string{"db", "web"}, us.Services())
	got, err := understudy.Do(t.Context(), us.Service("db"), say)
	require.NoError(t, err)
	require.Equal(t, "b", got, "a request for one never reaches the other")
	require.Equal(t, "n1", us.Service("db").History(1)[0].Node)
}

func TestNewNamesEveryFault(t *testing.T) {
	us, err := understudy.New(understudy.Config{Services: map[string]understudy.ServiceConfig{
		"web":  {Endpoints: named("a", "a", ""), Timeout: -2, Breaker: understudy.Breaker{FailureThreshold: -7}},
		"db":   {Strategy: understudy.Strategy{Pick: "round_robbin"}},
		"good": {}}})
	require.Nil(t, us)
	require.ErrorIs(t, err, messages.ErrInvalidConfig)
	require.ErrorIs(t, err, messages.ErrInvalidStrategy)
	for _, words := range []string{"web", "already registered", "cannot be empty", "timeout", "failure_threshold", "round_robbin", `"round_robin"`} {
		require.ErrorContains(t, err, words)
	}
	_, err = understudy.New(understudy.Config{Node: "no spaces"})
	require.ErrorIs(t, err, messages.ErrInvalidConfig)
}

func TestServicesNeedAName(t *testing.T) {
	us := start(t)
	for name, words := range map[string]string{"": "cannot be empty", "a.b": "only letters", strings.Repeat("x", 65): "too long"} {
		_, err := us.AddService(name, understudy.ServiceConfig{})
		require.ErrorIs(t, err, messages.ErrInvalidConfig)
		require.ErrorContains(t, err, words)
	}
	add(t, us, "web", understudy.ServiceConfig{})
	_, err := us.AddService("web", understudy.ServiceConfig{})
	require.ErrorIs(t, err, messages.ErrConflict)
	require.ErrorContains(t, err, "already registered")
}

// A handle is good before its service is there, while it is, and after.
func TestAServiceIsNeverNil(t *testing.T) {
	us := start(t)
	s := us.Service("web")
	require.NotNil(t, s)
	require.Same(t, s, us.Service("web"))
	missing(t, s, messages.CodeNotFound)

	require.Same(t, s, add(t, us, "web", understudy.ServiceConfig{Endpoints: named("a")}))
	got, err := understudy.Do(t.Context(), s, say)
	require.NoError(t, err)
	require.Equal(t, "a", got)
	require.NotNil(t, s.PID())

	require.NoError(t, us.RemoveService("web"))
	missing(t, s, messages.CodeNotFound)
	require.ErrorIs(t, us.RemoveService("web"), messages.ErrNotFound)

	add(t, us, "web", understudy.ServiceConfig{Endpoints: named("b")})
	got, err = understudy.Do(t.Context(), s, say)
	require.NoError(t, err)
	require.Equal(t, "b", got)

	require.NoError(t, us.Close())
	missing(t, s, messages.CodeClosed)
}

// missing asks everything of a service that is not there.
func missing(t *testing.T, s *understudy.Service, code messages.Code) {
	t.Helper()
	ctx := t.Context()
	_, err := understudy.Do(ctx, s, say)
	require.Equal(t, "web", coded(t, err, code).Service)
	_, err = understudy.DoOr(ctx, s, say, func(_ context.Context, err error) (string, error) { return "", err })
	coded(t, err, code)
	_, err = s.Select(ctx)
	coded(t, err, code)
	_, err = s.Acquire(ctx)
	coded(t, err, code)
	_, err = s.Request(ctx, &messages.Request{})
	coded(t, err, code)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://web/", nil)
	require.NoError(t, err)
	_, err = s.RoundTripper().RoundTrip(req)
	coded(t, err, code)
	coded(t, s.Register(understudy.Endpoint{ID: "a"}), code)
	coded(t, s.Update(understudy.Endpoint{ID: "a"}), code)
	coded(t, s.Deregister("a"), code)
	coded(t, s.Configure(understudy.ServiceConfig{}), code)
	coded(t, s.SetHooks(understudy.Hooks{}), code)
	coded(t, s.Check(ctx, "a"), code)
	_, err = s.CheckAll(ctx)
	coded(t, err, code)
	_, err = s.Endpoint("a")
	coded(t, err, code)
	coded(t, s.Operate(ctx, understudy.Order{Endpoint: "a", Verb: understudy.VerbDrain}), code)
	if code == messages.CodeNotFound {
		require.Nil(t, s.PID())
		require.Empty(t, s.Endpoints())
		require.Empty(t, s.Config().Endpoints)
		require.Zero(t, s.Stats())
	}
	require.Equal(t, "web", s.Name())
	require.Equal(t, "web", s.Status().Service)
}

func TestARemovedServiceFinishesWhatItHas(t *testing.T) {
	us := start(t)
	s := add(t, us, "web", understudy.ServiceConfig{Endpoints: named("a")})
	got, err := understudy.Do(t.Context(), s, func(context.Context, understudy.Target) (string, error) {
		if err := us.RemoveService("web"); err != nil {
			return "", err
		}
		_, err := understudy.Do(t.Context(), s, say)
		require.ErrorIs(t, err, messages.ErrNotFound)
		return "finished", nil
	})
	require.NoError(t, err)
	require.Equal(t, "finished", got)
}

// Who waits when the system closes hears of it at once.
func TestCloseReleasesWhoWaits(t *testing.T) {
	clock := understudytest.NewClock()
	us := start(t, understudy.WithClock(clock))
	s := add(t, us, "web", understudy.ServiceConfig{Endpoints: named("a"), Timeout: understudy.Off,
		Retry: understudy.Retry{Backoff: understudy.Constant(time.Hour)}})
	const callers = 4
	done := make(chan error)
	for range callers {
		go func() { _, err := understudy.Do(t.Context(), s, fail); done <- err }()
	}
	clock.BlockUntil(callers + 1) // the endpoint has one too
	require.NoError(t, us.Close())
	for range callers {
		coded(t, <-done, messages.CodeClosed)
	}
	require.NoError(t, us.Close(), "again")
	_, err := us.AddService("other", understudy.ServiceConfig{})
	coded(t, err, messages.CodeClosed)
	coded(t, us.RemoveService("web"), messages.CodeClosed)
	require.Empty(t, us.Services())
	require.NoError(t, us.Shutdown(t.Context()))
}

// What is under way when the system closes ends by itself.
func TestCloseUnderACall(t *testing.T) {
	us := start(t)
	s := add(t, us, "web", understudy.ServiceConfig{Endpoints: named("a", "b")})
	got, err := understudy.Do(t.Context(), s, func(context.Context, understudy.Target) (string, error) {
		return "finished", us.Close()
	})
	require.NoError(t, err)
	require.Equal(t, "finished", got)

	us = start(t)
	s = add(t, us, "web", understudy.ServiceConfig{Endpoints: named("a", "b")})
	_, err = understudy.Do(t.Context(), s, func(context.Context, understudy.Target) (string, error) {
		require.NoError(t, us.Close())
		return "", errBroken
	})
	require.Error(t, err, "there is nobody to try next")
	require.ErrorIs(t, err, errBroken)
}

func TestShutdownDrains(t *testing.T) {
	us := start(t)
	s := add(t, us, "web", understudy.ServiceConfig{Endpoints: named("a"), AttemptTimeout: understudy.Off})
	under, finish := make(chan struct{}), make(chan struct{})
	done := make(chan error)
	go func() {
		_, err := understudy.Do(t.Context(), s, func(context.Context, understudy.Target) (string, error) {
			close(under)
			<-finish
			return "", nil
		})
		done <- err
	}()
	<-under
	down := make(chan error, 1)
	go func() { down <- us.Shutdown(t.Context()) }()
	for !s.Status().Draining {
	}
	_, err := understudy.Do(t.Context(), s, say)
	coded(t, err, messages.CodeServiceUnavailable)
	require.Empty(t, down, "it waits for what is under way")
	close(finish)
	require.NoError(t, <-done)
	require.NoError(t, <-down)
	_, err = understudy.Do(t.Context(), s, say)
	coded(t, err, messages.CodeClosed)
}

// A request that waits for its next try is under way too.
func TestShutdownLetsRetriesFinish(t *testing.T) {
	clock := understudytest.NewClock()
	us := start(t, understudy.WithClock(clock))
	s := add(t, us, "web", understudy.ServiceConfig{Endpoints: named("a"),
		Retry: understudy.Retry{Backoff: understudy.Constant(5 * time.Second)}})
	calls := 0
	done := make(chan error)
	go func() {
		_, err := understudy.Do(t.Context(), s, func(context.Context, understudy.Target) (string, error) {
			if calls++; calls == 1 {
				return "", errBroken
			}
			return "", nil
		})
		done <- err
	}()
	clock.BlockUntilDue(5 * time.Second)
	down := make(chan error, 1)
	go func() { down <- us.Shutdown(t.Context()) }()
	for !s.Status().Draining {
	}
	clock.Advance(5 * time.Second)
	require.NoError(t, <-done)
	require.NoError(t, <-down)
	require.Equal(t, 2, calls)
}

func TestShutdownThatMayNotWait(t *testing.T) {
	us := start(t)
	s := add(t, us, "web", understudy.ServiceConfig{Endpoints: named("a")})
	lease, err := s.Acquire(t.Context())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, us.Shutdown(ctx), context.Canceled)
	_, err = s.Acquire(t.Context())
	coded(t, err, messages.CodeClosed)
	lease.Done(nil) // too late, and harmless
}

// actors returns an actor system of a user's.
func actors(t *testing.T) *actor.ActorSystem {
	quiet := func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }
	own := actor.NewActorSystem(actor.WithLoggerFactory(quiet),
		actor.WithDeadLetterThrottleInterval(time.Millisecond)) // how long a goroutine outlives a dead letter
	t.Cleanup(own.Shutdown)
	return own
}

// A user's actor system stays the user's.
func TestWithActorSystem(t *testing.T) {
	own := actors(t)
	echo := own.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		if s, ok := c.Message().(string); ok {
			c.Respond(s)
		}
	}))
	for range 2 { // also one after the other
		first, second := start(t, understudy.WithActorSystem(own)), start(t, understudy.WithActorSystem(own))
		for _, us := range []*understudy.System{first, second} {
			s := add(t, us, "web", understudy.ServiceConfig{Endpoints: named("a")})
			_, err := understudy.Do(t.Context(), s, say)
			require.NoError(t, err)
		}
		require.NoError(t, first.Close())
		_, err := understudy.Do(t.Context(), second.Service("web"), say)
		require.NoError(t, err)
		require.NoError(t, second.Close())
	}
	answer, err := own.Root.RequestFuture(echo, "still here", 5*time.Second).Result()
	require.NoError(t, err)
	require.Equal(t, "still here", answer)
	own.Root.Stop(echo)
}

// However services and endpoints come and go, nothing of them stays in the actor
// system.
func TestNothingStaysInTheActorSystem(t *testing.T) {
	own := actors(t)
	before := processes(own)
	us := start(t, understudy.WithActorSystem(own))
	keep := add(t, us, "keep", understudy.ServiceConfig{})
	for range 200 {
		s := add(t, us, "web", understudy.ServiceConfig{Endpoints: named("a", "b")})
		require.NoError(t, s.Deregister("a"))
		require.NoError(t, s.Register(understudy.Endpoint{ID: "a"}))
		require.NoError(t, us.RemoveService("web"))
		require.NoError(t, keep.Register(understudy.Endpoint{ID: "a"}))
		_, err := understudy.Do(t.Context(), keep, say)
		require.NoError(t, err)
		require.NoError(t, keep.Deregister("a"))
	}
	s := add(t, us, "web", understudy.ServiceConfig{Endpoints: named("a")})
	require.NoError(t, us.Close())
	_, err := understudy.Do(t.Context(), s, say)
	coded(t, err, messages.CodeClosed)
	require.ElementsMatch(t, before, processes(own))
}

// processes returns what runs in an actor system.
func processes(s *actor.ActorSystem) (ids []string) {
	for _, bucket := range s.ProcessRegistry.LocalPIDs.LocalPIDs {
		ids = append(ids, bucket.Keys()...)
	}
	return ids
}

// Another actor asks by message and is answered by message, whatever happens.
func TestRequestsFromActors(t *testing.T) {
	own := actors(t)
	us := start(t, understudy.WithActorSystem(own))
	server := understudytest.Good(t)
	s := add(t, us, "web", understudy.ServiceConfig{Endpoints: []understudy.Endpoint{server.Endpoint("a")}, Retry: understudy.Retry{MaxAttempts: 1}})
	ask := func(m *messages.Request) *messages.Response {
		got, err := own.Root.RequestFuture(s.PID(), m, 10*time.Second).Result()
		require.NoError(t, err)
		return got.(*messages.Response)
	}
	resp := ask(&messages.Request{Path: "/orders", Body: []byte("two")})
	require.Nil(t, resp.Err)
	require.Equal(t, 200, resp.Status)
	require.Equal(t, "ok", string(resp.Body))
	require.Equal(t, "a", resp.Endpoint)
	require.Equal(t, "POST", server.Requests()[0].Method)

	server.Break(500)
	resp = ask(&messages.Request{})
	require.Equal(t, 500, resp.Status)
	require.Equal(t, messages.CodeRetryExhausted, resp.Err.Code)

	resp = ask(&messages.Request{Path: "no slash"})
	require.Equal(t, messages.CodeInvalidRequest, resp.Err.Code)

	understudytest.Trip(t, s, "a")
	resp = ask(&messages.Request{})
	require.Equal(t, messages.CodeCircuitOpen, resp.Err.Code)
	require.Zero(t, resp.Status)
}

// An endpoint may be a Go function.
func TestHandlers(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Strategy: inOrder, Endpoints: []understudy.Endpoint{
		{ID: "bad", Handler: func(context.Context, *messages.Request) (*messages.Response, error) { return nil, errBroken }},
		{ID: "good", Handler: func(_ context.Context, m *messages.Request) (*messages.Response, error) {
			return &messages.Response{Body: []byte("hello " + m.Path)}, nil
		}}}, Retry: understudy.Retry{On: []string{"error"}}})
	resp, err := s.Request(t.Context(), &messages.Request{Path: "/you"})
	require.NoError(t, err)
	require.Equal(t, 200, resp.Status)
	require.Equal(t, "hello /you", string(resp.Body))
	require.Equal(t, "good", resp.Endpoint)
	require.Equal(t, []string{"bad", "good"}, tried(resp.Attempts))
	require.EqualValues(t, 1, status(t, s, "bad").Failures)
}

func TestRequestDeadlines(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a")})
	_, err := s.Request(t.Context(), &messages.Request{Deadline: time.Now().Add(-time.Second)})
	coded(t, err, messages.CodeTimeout)
	require.Zero(t, s.Stats().Attempts, "dropped before work")
}

// What the endpoints are: management returns copies, with dates.
func TestEndpointsAreCopies(t *testing.T) {
	clock := understudytest.NewClock()
	s := service(t, understudy.ServiceConfig{Endpoints: []understudy.Endpoint{{ID: "a", Tags: []string{"x"}, Metadata: map[string]string{"k": "v"}}}},
		understudy.WithClock(clock))
	began := clock.Now()
	a, err := s.Endpoint("a")
	require.NoError(t, err)
	require.True(t, a.CreatedAt.Equal(began))
	a.Tags[0], a.Metadata["k"] = "changed", "changed"
	s.Endpoints()[0].Tags[0] = "changed"
	s.Config().Endpoints[0].Metadata["k"] = "changed"
	clock.Advance(time.Second)
	require.NoError(t, s.Update(understudy.Endpoint{ID: "a", Weight: 7}))
	again, err := s.Endpoint("a")
	require.NoError(t, err)
	require.True(t, again.CreatedAt.Equal(began))
	require.True(t, again.UpdatedAt.Equal(clock.Now()))
	require.Equal(t, 7, again.Weight)

	require.ErrorIs(t, s.Register(understudy.Endpoint{ID: "a"}), messages.ErrConflict)
	require.ErrorIs(t, s.Update(understudy.Endpoint{ID: "b"}), messages.ErrNotFound)
	require.ErrorIs(t, s.Deregister("b"), messages.ErrNotFound)
	require.ErrorContains(t, s.Register(understudy.Endpoint{}), "cannot be empty")
	_, err = s.Endpoint("b")
	require.ErrorIs(t, err, messages.ErrNotFound)
}

func TestConfigureThenConfig(t *testing.T) {
	s := service(t, understudy.ServiceConfig{})
	c := understudy.ServiceConfig{Timeout: time.Second, Endpoints: named("a"), Breaker: understudy.Breaker{FailureThreshold: 9},
		Headers: map[string]string{"X": "y"}, Strategy: understudy.Strategy{Pick: "random"}}
	require.NoError(t, s.Configure(c))
	got := s.Config()
	require.Equal(t, "a", got.Endpoints[0].ID)
	got.Endpoints = c.Endpoints
	require.Equal(t, c, got)

	err := s.Configure(understudy.ServiceConfig{Timeout: -2})
	require.ErrorIs(t, err, messages.ErrInvalidConfig)
	require.Equal(t, time.Second, s.Config().Timeout, "a fault changes nothing")
}

// A change of the configuration leaves what it does not name alone.
func TestConfigureKeepsStates(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a", "b")})
	for range 5 {
		_, _ = understudy.Do(t.Context(), s, fail)
	}
	before := status(t, s, "a")
	require.Equal(t, "open", before.Breaker)
	require.NoError(t, s.Configure(understudy.ServiceConfig{Endpoints: named("a", "c"), Timeout: time.Minute}))
	after := status(t, s, "a")
	require.Equal(t, "open", after.Breaker)
	require.Equal(t, before.Attempts, after.Attempts)
	require.Equal(t, "closed", status(t, s, "c").Breaker)
	require.Len(t, s.Endpoints(), 2)
}

// The process belongs to whoever embeds the library: no global is touched and
// nothing is printed.
func TestNoGlobals(t *testing.T) {
	type globals struct {
		logger, tracers, meters, texts, transport, client any
		writer                                            io.Writer
		flags                                             int
		prefix                                            string
	}
	take := func() globals {
		return globals{slog.Default(), otel.GetTracerProvider(), otel.GetMeterProvider(), otel.GetTextMapPropagator(),
			http.DefaultTransport, *http.DefaultClient, log.Writer(), log.Flags(), log.Prefix()}
	}
	before := take()
	printed := capture(t, func() {
		us, err := understudy.New(understudy.Config{})
		require.NoError(t, err)
		server := understudytest.Faulty(t, 503, 2)
		s := add(t, us, "web", understudy.ServiceConfig{
			Endpoints: []understudy.Endpoint{server.Endpoint("a"), {ID: "b", URL: understudytest.Dead(t)}},
			Hooks:     understudy.Hooks{OnAttempt: func(messages.Attempt) { panic("boom") }, Pick: func(string, []understudy.Candidate) int { panic("boom") }}})
		_, err = s.Request(t.Context(), &messages.Request{})
		require.Error(t, err)
		require.NoError(t, s.SetHooks(understudy.Hooks{}))
		for range 10 {
			_, _ = s.Request(t.Context(), &messages.Request{})
		}
		require.NoError(t, us.Close())
		_, err = s.Request(t.Context(), &messages.Request{})
		require.Error(t, err)
	})
	require.Equal(t, before, take())
	require.Empty(t, printed)
	handler, pattern := http.DefaultServeMux.Handler(&http.Request{Method: "GET", URL: mustURL(t, "http://x/")})
	require.Empty(t, pattern, "%T", handler)
}

// capture returns what f prints.
func capture(t *testing.T, f func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	stdout, stderr := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = w, w
	restore := func() { os.Stdout, os.Stderr = stdout, stderr }
	defer restore()
	printed := make(chan string)
	go func() {
		var b bytes.Buffer
		_, _ = io.Copy(&b, r)
		printed <- b.String()
	}()
	f()
	restore()
	require.NoError(t, w.Close())
	return <-printed
}

// What goes wrong out of sight of any caller is logged.
func TestWithLogger(t *testing.T) {
	var out bytes.Buffer
	s := service(t, understudy.ServiceConfig{Endpoints: named("a"),
		Hooks: understudy.Hooks{OnAttempt: func(messages.Attempt) { panic("boom") }}},
		understudy.WithLogger(slog.New(slog.NewTextHandler(&out, nil))))
	_, err := understudy.Do(t.Context(), s, say)
	require.False(t, errors.Is(err, messages.ErrRetryExhausted))
	require.Contains(t, out.String(), "boom")
	require.Contains(t, out.String(), "service=web")
}

// Ready waits for the first result of every check, and for nothing else.
func TestReadyWaitsForTheFirstChecks(t *testing.T) {
	us, err := understudy.New(understudy.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = us.Close() })
	_, err = us.AddService("unchecked", understudy.ServiceConfig{Endpoints: named("a")})
	require.NoError(t, err)
	require.NoError(t, us.Ready(t.Context()))

	release := make(chan struct{})
	s, err := us.AddService("checked", understudy.ServiceConfig{Endpoints: named("a"), Hooks: understudy.Hooks{
		Check: func(context.Context, understudy.Target) error { <-release; return nil }}})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, us.Ready(ctx), context.Canceled)
	close(release)
	require.NoError(t, us.Ready(t.Context()))
	require.Equal(t, "healthy", s.Status().Endpoints[0].Health)

	require.NoError(t, us.Close())
	require.ErrorIs(t, us.Ready(t.Context()), messages.ErrClosed)
}
