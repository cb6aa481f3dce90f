package actors

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/actors/balance"
	"github.com/understudy-go/understudy/actors/retry"
	"github.com/understudy-go/understudy/messages"
)

func ids(s *Service) []string {
	var out []string
	for _, e := range s.Endpoints() {
		out = append(out, e.ID)
	}
	return out
}

func TestRegisterUpdateDeregister(t *testing.T) {
	virtual(t, ServiceConfig{Endpoints: endpoints(1)}, func(t *testing.T, s *Service) {
		if err := s.Register(Endpoint{ID: "e1", Metadata: map[string]string{"k": "v"}}); err != nil {
			t.Fatal(err)
		}
		if err := s.Register(Endpoint{ID: "e1"}); code(err) != messages.CodeConflict {
			t.Errorf("twice: %v", err)
		}
		if err := s.Register(Endpoint{}); code(err) != messages.CodeInvalidConfig {
			t.Errorf("empty: %v", err)
		}
		if err := s.Deregister("e9"); !errors.Is(err, messages.ErrNotFound) {
			t.Errorf("unknown: %v", err)
		}
		e, err := s.Endpoint("e1")
		if err != nil || e.CreatedAt.IsZero() {
			t.Fatal(e, err)
		}
		e.Metadata["k"] = "changed"
		if again, _ := s.Endpoint("e1"); again.Metadata["k"] != "v" {
			t.Error("a returned endpoint is no copy")
		}
		advance(time.Second)
		if err := s.Update(Endpoint{ID: "e1", Weight: 3}); err != nil {
			t.Fatal(err)
		}
		after, _ := s.Endpoint("e1")
		if after.Weight != 3 || !after.CreatedAt.Equal(e.CreatedAt) || !after.UpdatedAt.After(e.UpdatedAt) {
			t.Errorf("%+v", after)
		}
		if err := s.Deregister("e0"); err != nil {
			t.Fatal(err)
		}
		if got := ids(s); !slices.Equal(got, []string{"e1"}) {
			t.Error(got)
		}
		for range 5 {
			if id, err := Do(t.Context(), s, good); id != "e1" || err != nil {
				t.Fatal(id, err)
			}
		}
	})
}

// Taken out, an endpoint finishes what it has; back under the same address, it
// has its state, under another one a fresh breaker.
func TestWhoComesBackTakesUpItsState(t *testing.T) {
	c := ServiceConfig{Endpoints: endpoints(1), Retry: retry.Config{MaxAttempts: 1}}
	c.Endpoints[0].URL = "http://127.0.0.1:1"
	c.Breaker.FailureThreshold = 1
	virtual(t, c, func(t *testing.T, s *Service) {
		_, _ = Do(t.Context(), s, bad)
		open := func() bool { return status(t, s, "e0").Breaker == "open" }
		if !open() {
			t.Fatal("not open")
		}
		out := func() {
			if err := s.Deregister("e0"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if _, err := Do(t.Context(), s, good); code(err) != messages.CodeNoEndpoints {
				t.Fatal(err)
			}
		}
		back := func(url string) {
			if err := s.Register(Endpoint{ID: "e0", URL: url}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		out()
		back("http://127.0.0.1:1")
		if !open() {
			t.Error("the breaker was forgotten")
		}
		if err := s.Update(Endpoint{ID: "e0", URL: "http://127.0.0.1:1", Weight: 2}); err != nil || !open() {
			t.Error("an update lost the breaker", err)
		}
		if err := s.Update(Endpoint{ID: "e0", URL: "http://127.0.0.1:2"}); err != nil || open() {
			t.Error("another address has the old breaker", err)
		}
		_, _ = Do(t.Context(), s, bad)
		out()
		advance(drainTimeout)
		if err := s.Register(Endpoint{ID: "other"}); err != nil { // makes it look
			t.Fatal(err)
		}
		if err := s.Deregister("other"); err != nil {
			t.Fatal(err)
		}
		back("http://127.0.0.1:2")
		if open() {
			t.Error("remembered for ever")
		}
		if st := s.Stats(); st.Attempts != 2 || st.Failed < 2 {
			t.Errorf("what endpoints counted went with them: %+v", st)
		}
	})
}

// A lease that is out when its endpoint is taken out comes back in peace, and
// then the endpoint's value is closed.
func TestDraining(t *testing.T) {
	var closed []any
	var mu sync.Mutex
	c := ServiceConfig{Endpoints: endpoints(2)}
	c.Hooks.Open = func(_ context.Context, e Endpoint) (any, error) { return "pool of " + e.ID, nil }
	c.Hooks.Close = func(v any) error { mu.Lock(); defer mu.Unlock(); closed = append(closed, v); return nil }
	got := func() []any { mu.Lock(); defer mu.Unlock(); return slices.Clone(closed) }
	virtual(t, c, func(t *testing.T, s *Service) {
		l, err := s.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		id := l.Target().ID()
		if v := l.Target().Value(); v != "pool of "+id {
			t.Fatal(v)
		}
		if err := s.Deregister(id); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := got(); len(n) != 0 {
			t.Fatalf("closed while in use: %v", n)
		}
		l.Done(nil)
		synctest.Wait()
		if n := got(); !slices.Equal(n, []any{"pool of " + id}) {
			t.Errorf("closed %v", n)
		}
	})
	if n := got(); len(n) != 1 {
		t.Errorf("closed %v at the end", n)
	}
}

// A configuration in mid-run applies to the next request; endpoints that it names
// as they are keep their state; one with faults changes nothing.
func TestConfigure(t *testing.T) {
	c := ServiceConfig{Endpoints: endpoints(2), Retry: retry.Config{MaxAttempts: 1}}
	c.Breaker.FailureThreshold = 1
	virtual(t, c, func(t *testing.T, s *Service) {
		for range 4 {
			_, _ = Do(t.Context(), s, failing("e0"))
		}
		if status(t, s, "e0").Breaker != "open" {
			t.Fatal("not open")
		}
		next := s.Config()
		next.Retry.MaxAttempts = 2
		next.Strategy = balance.Config{Pick: "round_robin"}
		next.Endpoints = append(next.Endpoints, Endpoint{ID: "e2"})
		if err := s.Configure(next); err != nil {
			t.Fatal(err)
		}
		if got := s.Config(); got.Retry.MaxAttempts != 2 || got.Strategy.Pick != "round_robin" || len(got.Endpoints) != 3 {
			t.Errorf("%+v", got)
		}
		if status(t, s, "e0").Breaker != "open" {
			t.Error("the breaker was lost")
		}
		n := 0
		_, err := Do(t.Context(), s, func(context.Context, Target) (int, error) { n++; return 0, errBoom })
		if n != 2 || code(err) != messages.CodeRetryExhausted {
			t.Errorf("%d attempts, %v", n, err)
		}
		wrong := next
		wrong.Strategy.Pick = "fastest"
		wrong.Retry.MaxAttempts = 99
		err = s.Configure(wrong)
		if code(err) != messages.CodeInvalidStrategy && code(err) != messages.CodeInvalidConfig {
			t.Errorf("got %v", err)
		}
		if s.Config().Retry.MaxAttempts != 2 {
			t.Error("a faulty configuration is in force")
		}
		next.Endpoints = next.Endpoints[1:]
		if err := s.Configure(next); err != nil || !slices.Equal(ids(s), []string{"e1", "e2"}) {
			t.Error(err, ids(s))
		}
	})
}

// Requests and attempts are counted apart, and nothing twice.
func TestStatistics(t *testing.T) {
	virtual(t, ServiceConfig{Endpoints: endpoints(3)}, func(t *testing.T, s *Service) {
		_, _ = Do(t.Context(), s, good)
		_, _ = Do(t.Context(), s, bad)
		settled(t, s)
		st := s.Stats()
		if st.Requests != 2 || st.Succeeded != 1 || st.Failed != 1 || st.Attempts != 4 || st.Retries != 2 || st.Failovers != 2 {
			t.Errorf("%+v", st)
		}
	})
}

// The supervisor serves messages of other actors' too, but not under its own run.
func TestShutdownWaitsForWhatIsUnderWay(t *testing.T) {
	c := ServiceConfig{Endpoints: endpoints(1), Retry: retry.Config{Backoff: retry.Constant(time.Second)}}
	virtual(t, c, func(t *testing.T, s *Service) {
		n := 0
		got := make(chan error, 1)
		go func() {
			_, err := Do(context.Background(), s, func(context.Context, Target) (int, error) {
				if n++; n < 3 {
					return 0, errBoom
				}
				return n, nil
			})
			got <- err
		}()
		synctest.Wait() // it waits between two attempts
		down := make(chan error, 1)
		go func() { down <- s.sys.Shutdown(context.Background()) }()
		advance(10 * time.Millisecond)
		if _, err := Do(t.Context(), s, good); code(err) != messages.CodeServiceUnavailable {
			t.Errorf("taken while draining: %v", err)
		}
		if err := <-got; err != nil {
			t.Errorf("lost: %v", err)
		}
		if err := <-down; err != nil {
			t.Error(err)
		}
	})
}

// A removed service is NOT_FOUND at once and lets its requests end.
func TestRemoveService(t *testing.T) {
	virtual(t, ServiceConfig{Endpoints: endpoints(1)}, func(t *testing.T, s *Service) {
		l, err := s.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.sys.RemoveService("svc"); err != nil {
			t.Fatal(err)
		}
		if _, err := Do(t.Context(), s, good); code(err) != messages.CodeNotFound {
			t.Errorf("got %v", err)
		}
		l.Done(nil)
		synctest.Wait()
		if _, err := s.sys.AddService("svc", ServiceConfig{Endpoints: endpoints(1)}); err != nil {
			t.Fatal(err)
		}
		if _, err := Do(t.Context(), s, good); err != nil {
			t.Errorf("the handle does not survive: %v", err)
		}
	})
}

// A configuration in which one endpoint cannot be made changes none of the others.
func TestAConfigurationIsInForceWholeOrNotAtAll(t *testing.T) {
	virtual(t, ServiceConfig{Endpoints: endpoints(1)}, func(t *testing.T, s *Service) {
		next := ServiceConfig{Endpoints: []Endpoint{{ID: "e0", Metadata: map[string]string{"k": "new"}}, {ID: "e1"}, {ID: "e2", URL: "http://h/?"}}}
		if next.Validate() == nil {
			t.Error("a base URL with a query is taken for valid")
		}
		set, err := newSettings(next) // past the validation: the fault is found when the endpoint is made
		if err != nil {
			t.Fatal(err)
		}
		if err := s.change(&change{settings: set}); code(err) != messages.CodeInvalidConfig {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
		if e, _ := s.Endpoint("e0"); e.Metadata["k"] == "new" || !slices.Equal(ids(s), []string{"e0"}) {
			t.Errorf("half of it is in force: %+v %v", e, ids(s))
		}
		pid := s.PID()
		if err := s.sys.RemoveService("svc"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if p, there := s.sys.actors.ProcessRegistry.GetLocal(pid.Id); there {
			t.Errorf("the supervisor waits for what it began: %T", p)
		}
	})
}

// Why nobody can be picked is remembered no longer than the list on which it was so.
func TestTheReasonForARefusalFollowsTheList(t *testing.T) {
	virtual(t, ServiceConfig{Endpoints: endpoints(1)}, func(t *testing.T, s *Service) {
		if err := s.Operate(t.Context(), Order{Endpoint: "e0", Verb: VerbForceOpen}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, err := Do(t.Context(), s, good); code(err) != messages.CodeCircuitOpen {
			t.Fatal(err)
		}
		if err := s.Deregister("e0"); err != nil {
			t.Fatal(err)
		}
		if _, err := Do(t.Context(), s, good); code(err) != messages.CodeNoEndpoints {
			t.Errorf("got %v", err)
		}
	})
}
