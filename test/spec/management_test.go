package spec

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/config"
	"github.com/understudy-go/understudy/messages"
)

// "35. Endpoint register, update (no gap: never out of the list), deregister, get,
// list; tags, metadata, weight, priority. Returned values are copies."
func TestManagement35(t *testing.T) {
	virtually(t, understudy.ServiceConfig{}, func(t *testing.T, s *understudy.Service) {
		registered := time.Now()
		given := understudy.Endpoint{ID: "a", URL: "http://a:1", Tags: []string{"api"}, Metadata: map[string]string{"version": "1"},
			Weight: 3, Priority: 2, Zone: "eu-1a", Health: &understudy.Health{Fall: 7, HTTP: &understudy.HTTPCheck{Path: "/up", Headers: map[string]string{"K": "v"}}, InitialDelay: time.Hour}}
		require.NoError(t, s.Register(given))
		require.NoError(t, s.Register(understudy.Endpoint{ID: "b"}))
		a, err := s.Endpoint("a")
		require.NoError(t, err)
		want := given
		want.CreatedAt, want.UpdatedAt = a.CreatedAt, a.UpdatedAt
		require.Equal(t, want, a)
		require.True(t, a.CreatedAt.Equal(registered))

		// What was given and what was got are copies.
		scribble := func(e understudy.Endpoint) {
			e.Tags[0], e.Metadata["version"], e.Weight = "scribbled", "scribbled", 99
			e.Health.Fall, e.Health.HTTP.Path, e.Health.HTTP.Headers["K"] = 99, "/scribbled", "scribbled"
		}
		again := func() understudy.Endpoint {
			e, err := s.Endpoint("a")
			require.NoError(t, err)
			return e
		}
		scribble(given)
		scribble(a)
		scribble(s.Endpoints()[0])
		scribble(s.Config().Endpoints[0])
		require.Equal(t, []string{"api"}, again().Tags)
		require.Equal(t, "1", again().Metadata["version"])
		require.Equal(t, 3, again().Weight)
		require.Equal(t, 7, again().Health.Fall)
		require.Equal(t, understudy.HTTPCheck{Path: "/up", Headers: map[string]string{"K": "v"}}, *again().Health.HTTP)

		pass(time.Minute)
		changed := again()
		changed.Tags, changed.Metadata["version"], changed.Weight, changed.Priority = []string{"api", "new"}, "2", 5, 0
		require.NoError(t, s.Update(changed))
		a = again()
		require.Equal(t, []string{"api", "new"}, a.Tags)
		require.Equal(t, "2", a.Metadata["version"])
		require.Equal(t, []int{5, 0}, []int{a.Weight, a.Priority})
		require.True(t, a.CreatedAt.Equal(registered))
		require.True(t, a.UpdatedAt.Equal(registered.Add(time.Minute)))
		shown := status(t, s, "a")
		require.Equal(t, []string{"api", "new"}, shown.Tags)
		require.Equal(t, []int{5, 0}, []int{shown.Weight, shown.Priority})

		var ids []string
		for _, e := range s.Endpoints() {
			ids = append(ids, e.ID)
		}
		require.Equal(t, []string{"a", "b"}, ids, "in its place")
		require.NoError(t, s.Deregister("a"))
		require.Len(t, s.Endpoints(), 1)
		_, err = s.Endpoint("a")
		coded(t, err, messages.CodeNotFound)
		target, err := s.Select(t.Context())
		require.NoError(t, err)
		require.Equal(t, "b", target.ID())
	})
}

// "35. […] update (no gap: never out of the list) […]"
func TestManagement35NoGap(t *testing.T) {
	s := add(t, start(t), "svc", understudy.ServiceConfig{Endpoints: []understudy.Endpoint{{ID: "a", URL: "http://a:1"}}})
	var stop atomic.Bool
	var all sync.WaitGroup
	var calls atomic.Int64
	for range 4 {
		all.Go(func() {
			for !stop.Load() {
				if _, err := understudy.Do(t.Context(), s, new(backend).call); err != nil {
					t.Error(err)
					return
				}
				if len(s.Endpoints()) != 1 {
					t.Error("out of the list")
					return
				}
				calls.Add(1)
			}
		})
	}
	urls := []string{"http://a:1", "http://a:2"} // the same endpoint changed, and one at a new address
	for i := range 100 {
		require.NoError(t, s.Update(understudy.Endpoint{ID: "a", URL: urls[i/2%2], Weight: 1 + i%5}))
		for seen := calls.Load(); calls.Load() < seen+2 && !t.Failed(); {
			runtime.Gosched() // calls go on meanwhile
		}
	}
	stop.Store(true)
	all.Wait()
}

// "36. Errors of management: nil "cannot be nil", empty "cannot be empty", twice
// "already registered", "not found"."
func TestManagement36(t *testing.T) {
	us := start(t)
	s := add(t, us, "svc", understudy.ServiceConfig{Endpoints: named("a")})
	_, twice := us.AddService("svc", understudy.ServiceConfig{})
	_, nameless := us.AddService("", understudy.ServiceConfig{})
	_, idless := us.AddService("other", understudy.ServiceConfig{Endpoints: named("")})
	_, same := us.AddService("other", understudy.ServiceConfig{Endpoints: named("x", "x")})
	_, noSuch := s.Endpoint("b")
	_, noRequest := s.Request(t.Context(), nil)
	for _, tc := range []struct {
		err   error
		code  messages.Code
		words string
	}{
		{noRequest, messages.CodeInvalidRequest, "cannot be nil"},
		{nameless, messages.CodeInvalidConfig, "cannot be empty"},
		{idless, messages.CodeInvalidConfig, "cannot be empty"},
		{s.Register(understudy.Endpoint{}), messages.CodeInvalidConfig, "cannot be empty"},
		{s.Update(understudy.Endpoint{URL: "http://a:1"}), messages.CodeInvalidConfig, "cannot be empty"},
		{s.Register(understudy.Endpoint{ID: "a"}), messages.CodeConflict, "already registered"},
		{twice, messages.CodeConflict, "already registered"},
		{same, messages.CodeInvalidConfig, "already registered"},
		{noSuch, messages.CodeNotFound, "not found"},
		{s.Update(understudy.Endpoint{ID: "b"}), messages.CodeNotFound, "not found"},
		{s.Deregister("b"), messages.CodeNotFound, "not found"},
		{s.Check(t.Context(), "b"), messages.CodeNotFound, "not found"},
		{s.Operate(t.Context(), understudy.Order{Endpoint: "b", Verb: understudy.VerbDrain}), messages.CodeNotFound, "not found"},
	} {
		coded(t, tc.err, tc.code)
		require.Contains(t, tc.err.Error(), tc.words)
	}
	require.Len(t, s.Endpoints(), 1, "nothing was done")
	require.Equal(t, []string{"svc"}, us.Services())
}

// "37. `Configure` then `Config` round-trips; a change in mid-run applies to the next
// request."
func TestManagement37(t *testing.T) {
	s := add(t, start(t), "svc", understudy.ServiceConfig{Endpoints: named("a", "b")})
	c := understudy.ServiceConfig{
		Metadata:       map[string]string{"team": "shop"},
		Strategy:       understudy.Strategy{Pick: "weighted", Weights: map[string]int{"a": 3}},
		Endpoints:      []understudy.Endpoint{{ID: "a", Tags: []string{"x"}}, {ID: "b"}, {ID: "c"}},
		Timeout:        10 * time.Second,
		AttemptTimeout: understudy.Off,
		SlowStart:      understudy.SlowStart{Window: understudy.Off},
		Breaker:        understudy.Breaker{FailureThreshold: 2, OpenTimeout: time.Minute},
		Retry:          understudy.Retry{MaxAttempts: 1, Backoff: understudy.Constant(time.Second)},
		ErrorRules:     []understudy.ErrorRule{{Status: 404, Outcome: "failure"}},
		Headers:        map[string]string{"X-A": "b"},
	}
	require.NoError(t, s.Configure(c))
	got := s.Config()
	for i := range got.Endpoints { // the only thing that is added
		require.False(t, got.Endpoints[i].CreatedAt.IsZero())
		got.Endpoints[i].CreatedAt, got.Endpoints[i].UpdatedAt = time.Time{}, time.Time{}
	}
	require.Equal(t, c, got)
	require.NoError(t, s.Configure(s.Config()), "and round again")
	for _, mine := range []understudy.ServiceConfig{c, got} { // copies, both ways
		mine.Metadata["team"], mine.Strategy.Weights["a"], mine.Headers["X-A"] = "scribbled", 9, "scribbled"
		mine.ErrorRules[0].Status, mine.Endpoints[0].ID, mine.Endpoints[0].Tags[0] = 500, "scribbled", "scribbled"
	}
	kept := s.Config()
	require.Equal(t, map[string]string{"team": "shop"}, kept.Metadata)
	require.Equal(t, map[string]int{"a": 3}, kept.Strategy.Weights)
	require.Equal(t, map[string]string{"X-A": "b"}, kept.Headers)
	require.Equal(t, 404, kept.ErrorRules[0].Status)
	require.Equal(t, []string{"a", "x"}, []string{kept.Endpoints[0].ID, kept.Endpoints[0].Tags[0]})

	var b backend
	require.NoError(t, do(t, s, &b, 5))
	require.Equal(t, []int{3, 1, 1}, []int{b.of("a"), b.of("b"), b.of("c")})

	// Read, change, write: the next request goes by it.
	c = s.Config()
	c.Strategy.Weights["a"] = 1
	c.Strategy.Weights["c"] = 3
	require.NoError(t, s.Configure(c))
	b.hits = nil
	require.NoError(t, do(t, s, &b, 5))
	require.Equal(t, []int{1, 1, 3}, []int{b.of("a"), b.of("b"), b.of("c")})

	c.Retry.MaxAttempts = 2
	require.NoError(t, s.Configure(c))
	b.set(broken, "a", "b", "c")
	require.Len(t, coded(t, do(t, s, &b, 1), messages.CodeRetryExhausted).Attempts, 2)

	// What is wrong changes nothing.
	bad := s.Config()
	bad.Retry.MaxAttempts, bad.Timeout = -7, -7
	coded(t, s.Configure(bad), messages.CodeInvalidConfig)
	require.Equal(t, 2, s.Config().Retry.MaxAttempts)
}

// "38. Statistics: requests and attempts apart: one success and one exhausted call of
// 3 attempts: requests 2 = 1 + 1, attempts 4, retries 2; failovers = attempts on
// another endpoint; recoveries; average response time of calls only; last success and
// failure."
func TestManagement38(t *testing.T) {
	c := understudy.ServiceConfig{Endpoints: named("a", "b", "c"), Strategy: inOrder}
	virtually(t, c, func(t *testing.T, s *understudy.Service) {
		var b backend
		b.set(taking(100*time.Millisecond, nil), "a", "b", "c")
		require.NoError(t, do(t, s, &b, 1))
		succeeded := time.Now()
		b.set(taking(200*time.Millisecond, errBroken), "a", "b", "c")
		coded(t, do(t, s, &b, 1), messages.CodeRetryExhausted)
		failed := time.Now()

		st := s.Stats()
		require.EqualValues(t, 2, st.Requests)
		require.EqualValues(t, 1, st.Succeeded)
		require.EqualValues(t, 1, st.Failed)
		require.EqualValues(t, 4, st.Attempts)
		require.EqualValues(t, 2, st.Retries)
		require.EqualValues(t, 2, st.Failovers, "each retry was on another endpoint")
		require.Zero(t, st.Recoveries)
		require.Equal(t, 175*time.Millisecond, st.AverageTime, "(100 + 3 × 200) / 4")
		require.True(t, st.LastSuccess.Equal(succeeded), "%v", st.LastSuccess)
		require.True(t, st.LastFailure.Equal(failed), "%v", st.LastFailure)

		// A retry on the same endpoint is no failover, waits and refusals are no calls.
		for _, id := range []string{"b", "c"} {
			require.NoError(t, s.Operate(t.Context(), understudy.Order{Endpoint: id, Verb: understudy.VerbMaint}))
		}
		fails := taking(175*time.Millisecond, errBroken)
		b.set(func(ctx context.Context) error { b.set(taking(175*time.Millisecond, nil), "a"); return fails(ctx) }, "a")
		require.NoError(t, do(t, s, &b, 1))
		require.NoError(t, s.Operate(t.Context(), understudy.Order{Endpoint: "a", Verb: understudy.VerbMaint}))
		coded(t, do(t, s, &b, 1), messages.CodeNoEndpoints)
		st = s.Stats()
		require.EqualValues(t, 4, st.Requests)
		require.EqualValues(t, 6, st.Attempts)
		require.EqualValues(t, 3, st.Retries)
		require.EqualValues(t, 2, st.Failovers)
		require.EqualValues(t, 1, st.Recoveries)
		require.EqualValues(t, 1, st.Refusals)
		require.Equal(t, st.Requests, st.Succeeded+st.Failed)
		require.Equal(t, 175*time.Millisecond, st.AverageTime)
	})
}

// "39. `History(10)`: the newest 10 events in order, `circuit_open` among them; kinds:
// health check, endpoint down/up, circuit open/half-open/closed, failover, recovery,
// retry, timeout."
func TestManagement39(t *testing.T) {
	var checks, calls backend
	c := understudy.ServiceConfig{Endpoints: named("a", "b"), Strategy: inOrder, Breaker: fixed(3, 10*time.Second),
		Health: understudy.Health{Interval: time.Second, IdleInterval: understudy.Off},
		Hooks: understudy.Hooks{Check: func(ctx context.Context, target understudy.Target) error {
			_, err := checks.call(ctx, target)
			return err
		}}}
	virtually(t, c, func(t *testing.T, s *understudy.Service) {
		calls.set(stalled, "a") // until its breaker opens
		for status(t, s, "a").Breaker != "open" {
			require.NoError(t, do(t, s, &calls, 1))
			pass(time.Second)
		}
		newest := s.History(10)
		require.Len(t, newest, 10)
		all := s.History(1000)
		require.Greater(t, len(all), 10)
		require.Equal(t, all[len(all)-10:], newest)
		opened := 0
		for i, e := range newest {
			if i > 0 {
				require.Greater(t, e.Sequence, newest[i-1].Sequence)
				require.False(t, e.Time.Before(newest[i-1].Time))
			}
			if e.Kind == messages.KindCircuitOpened {
				opened++
				require.Equal(t, "a", e.Endpoint)
				require.Contains(t, e.Cause.Words, "3 failures in a row")
			}
		}
		require.Equal(t, 1, opened)

		calls.set(nil, "a")
		checks.set(broken, "a")
		pass(5 * time.Second)
		checks.set(nil, "a")
		pass(10 * time.Second)
		require.NoError(t, do(t, s, &calls, 10))
		seen := make(map[messages.Kind]bool)
		for _, e := range s.History(1000) {
			seen[e.Kind] = true
			require.NotEmpty(t, e.Cause.Words, e.Kind)
			require.Equal(t, "svc", e.Service)
			require.Equal(t, "spec", e.Node)
		}
		for _, kind := range []messages.Kind{
			messages.KindHealthCheckFailed, messages.KindHealthCheckPassed, messages.KindEndpointDown, messages.KindEndpointUp,
			messages.KindCircuitOpened, messages.KindCircuitHalfOpened, messages.KindCircuitClosed,
			messages.KindFailover, messages.KindRecovery, messages.KindRetry, messages.KindTimeout,
		} {
			require.True(t, seen[kind], kind)
		}
		require.Empty(t, s.History(0))
	})
}

// "40. File with environment override; every mistake named."
func TestManagement40(t *testing.T) {
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "understudy.yaml")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	path := write(`
services:
  orders:
    strategy: round_robin
    timeout: 20s
    endpoints: [{id: a, url: "http://${HOST:-localhost}:9001"}]
    breaker: {failure_threshold: 7}
`)
	f, err := config.Load([]string{path}, []string{"HOST=10.0.0.1", "UNDERSTUDY_CFG__SERVICES__ORDERS__TIMEOUT=10s",
		"UNDERSTUDY_CFG__SERVICES__ORDERS__RETRY__MAX_ATTEMPTS=4"})
	require.NoError(t, err)
	orders := f.Services["orders"]
	require.Equal(t, 10*time.Second, orders.Timeout, "the environment overrides")
	require.Equal(t, 4, orders.Retry.MaxAttempts, "and adds")
	require.Equal(t, 7, orders.Breaker.FailureThreshold, "and leaves the rest")
	require.Equal(t, "http://10.0.0.1:9001", orders.Endpoints[0].URL)
	s := add(t, start(t), "orders", orders)
	require.Equal(t, "round_robin", s.Status().Strategy)

	path = write(`
services:
  orders:
    strategy: round_robbin
    timeuot: 20s
    attempt_timeout: 2
    endpoints: [{id: a, url: "ftp://a"}, {id: a}]
    breaker: {failure_threshold: -5}
`)
	_, err = config.Load([]string{path}, []string{"UNDERSTUDY_CFG__SERVICES__ORDERS__RETRY__MAX_ATTEMPTS=many"})
	var mistakes config.Mistakes
	require.ErrorAs(t, err, &mistakes)
	named := make(map[string]config.Mistake)
	for _, m := range mistakes {
		named[m.Key] = m
	}
	for key, want := range map[string]struct {
		line  int
		words string
	}{
		"services.orders.strategy.pick":             {4, "round_robin"},
		"services.orders.timeuot":                   {5, "timeout"},
		"services.orders.attempt_timeout":           {6, "unit"},
		"services.orders.endpoints[0].url":          {7, "ftp"},
		"services.orders.endpoints[1].id":           {7, "already registered"},
		"services.orders.breaker.failure_threshold": {8, "-5"},
	} {
		m, ok := named[key]
		require.True(t, ok, "%s is not named in:\n%v", key, err)
		require.Equal(t, want.line, m.Line, m)
		require.Equal(t, path, m.File)
		require.Contains(t, m.Words+m.Hint, want.words)
	}
	env := named["services.orders.retry.max_attempts"]
	require.Equal(t, "UNDERSTUDY_CFG__SERVICES__ORDERS__RETRY__MAX_ATTEMPTS", env.File)
	require.Len(t, mistakes, 7, "%v", err)
}
