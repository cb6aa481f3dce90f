package actors

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/actors/balance"
	"github.com/understudy-go/understudy/actors/breaker"
	"github.com/understudy-go/understudy/actors/retry"
	"github.com/understudy-go/understudy/messages"
)

// crash has the endpoint's actor panic: a message that it cannot handle.
func crash(cell *endpointCell) {
	cell.mailbox.Post((*setOutage)(nil), nil)
	synctest.Wait()
}

// A panic in an endpoint's actor restarts it alone and no breaker changes by it.
func TestAPanicInAnEndpointChangesNoState(t *testing.T) {
	c := ServiceConfig{Endpoints: endpoints(2), Retry: retry.Config{MaxAttempts: 1}}
	virtual(t, c, func(t *testing.T, s *Service) {
		for range 20 {
			_, _ = Do(t.Context(), s, failing("e0"))
			advance(time.Millisecond)
		}
		before := status(t, s, "e0")
		if before.Breaker != "open" && before.Failures == 0 {
			t.Fatalf("e0 saw nothing: %+v", before)
		}
		lease, err := s.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		crash(lease.lease.cell)
		crash(s.endpointCell(t, "e0"))
		after := status(t, s, "e0")
		if after.Breaker != before.Breaker || after.Failures != before.Failures || after.Attempts < before.Attempts {
			t.Errorf("before %+v\nafter %+v", before, after)
		}
		if n := count(s, messages.KindActorRestarted); n != 2 {
			t.Errorf("%d restarts told of", n)
		}
		lease.Done(nil)
		settled(t, s)
		if _, err := Do(t.Context(), s, failing("e0")); err != nil {
			t.Errorf("the service does not serve: %v", err)
		}
	})
}

// The acquisition over which an endpoint panics goes to another endpoint.
func TestAnAcquireInFlightAtAPanicIsServedElsewhere(t *testing.T) {
	c := ServiceConfig{Endpoints: endpoints(2), Strategy: balance.Config{Pick: "round_robin"}}
	virtual(t, c, func(t *testing.T, s *Service) {
		cell := s.endpointCell(t, "e0")
		cell.breaker = nil // every grant panics from here on
		for i := range 4 {
			id, err := Do(t.Context(), s, good)
			if err != nil || id != "e1" {
				t.Fatalf("request %d: %q, %v", i, id, err)
			}
			synctest.Wait()
		}
		if count(s, messages.KindActorRestarted) == 0 {
			t.Error("e0 never panicked")
		}
		cell.breaker = breaker.New(breaker.Config{})
		settled(t, s)
	})
}

// After repeated panics an endpoint is parked: unhealthy, said aloud, tried again later.
func TestAnEndpointThatPanicsAgainAndAgainIsParked(t *testing.T) {
	virtual(t, ServiceConfig{Endpoints: endpoints(2)}, func(t *testing.T, s *Service) {
		park(t, s, "e0")
		if e := status(t, s, "e0"); e.Health != "unhealthy" || e.HealthReason == "" {
			t.Errorf("%+v", e)
		}
		for range 10 {
			if id, err := Do(t.Context(), s, good); err != nil || id != "e1" {
				t.Fatalf("%q, %v", id, err)
			}
		}
		if err := s.Operate(t.Context(), Order{Endpoint: "e0", Verb: VerbDrain}); code(err) != messages.CodeServiceUnavailable {
			t.Errorf("an order to a parked endpoint: %v", err)
		}
		advance(parkTime)
		seen := map[string]bool{}
		for range 50 {
			id, _ := Do(t.Context(), s, good)
			seen[id] = true
		}
		if !seen["e0"] {
			t.Error("it is not tried again")
		}
		settled(t, s)
	})
}

// A supervisor that panics takes its endpoints' state up again; leases that are
// out come back all the same.
func TestAPanicInTheSupervisorLosesNothing(t *testing.T) {
	c := ServiceConfig{Endpoints: endpoints(2), Retry: retry.Config{MaxAttempts: 1}}
	c.Breaker.FailureThreshold = 1
	virtual(t, c, func(t *testing.T, s *Service) {
		_, _ = Do(t.Context(), s, failing("e0"))
		_, _ = Do(t.Context(), s, failing("e0"))
		if b := status(t, s, "e0").Breaker; b != "open" {
			t.Fatalf("breaker is %s", b)
		}
		lease, err := s.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.cell.Load().mailbox.Post((*endpointChanged)(nil), nil)
		synctest.Wait()
		lease.Done(nil)
		settled(t, s)
		if b := status(t, s, "e0").Breaker; b != "open" {
			t.Errorf("breaker is %s after the panic", b)
		}
		if id, err := Do(t.Context(), s, failing("e0")); err != nil || id != "e1" {
			t.Errorf("%q, %v", id, err)
		}
		if st := s.Stats(); st.Requests != 3 && st.Requests != 4 || count(s, messages.KindActorRestarted) != 1 {
			t.Errorf("%+v %v", st, kinds(s))
		}
	})
}

// A user's functions that panic cost their request an error and nothing else.
func TestAPanicInAUsersFunction(t *testing.T) {
	t.Run("Pick", func(t *testing.T) {
		c := ServiceConfig{Endpoints: endpoints(2)}
		boom := true
		c.Hooks.Pick = func(string, []balance.Candidate) int {
			if boom {
				panic("boom")
			}
			return 0
		}
		virtual(t, c, func(t *testing.T, s *Service) {
			if _, err := Do(t.Context(), s, good); code(err) != messages.CodeInternal {
				t.Errorf("got %v", err)
			}
			boom = false
			if _, err := Do(t.Context(), s, good); err != nil {
				t.Error(err)
			}
			settled(t, s)
		})
	})
	t.Run("Pick out of range", func(t *testing.T) {
		c := ServiceConfig{Endpoints: endpoints(2)}
		c.Hooks.Pick = func(string, []balance.Candidate) int { return 7 }
		virtual(t, c, func(t *testing.T, s *Service) {
			if _, err := Do(t.Context(), s, good); code(err) != messages.CodeInvalidStrategy {
				t.Errorf("got %v", err)
			}
			settled(t, s)
		})
	})
	t.Run("Classify", func(t *testing.T) {
		c := ServiceConfig{Endpoints: endpoints(1)}
		c.Hooks.Classify = func(Result) Verdict { panic("boom") }
		virtual(t, c, func(t *testing.T, s *Service) {
			if _, err := Do(t.Context(), s, bad); code(err) != messages.CodeInternal {
				t.Errorf("got %v", err)
			}
			settled(t, s)
			if e := status(t, s, "e0"); e.Failures != 0 {
				t.Errorf("it counts against the endpoint: %+v", e)
			}
		})
	})
	t.Run("Trip", func(t *testing.T) {
		c := ServiceConfig{Endpoints: endpoints(1)}
		c.Hooks.Trip = func(breaker.Counts) bool { panic("boom") }
		virtual(t, c, func(t *testing.T, s *Service) {
			_, _ = Do(t.Context(), s, bad)
			settled(t, s)
			if n := count(s, messages.KindActorRestarted); n != 0 {
				t.Errorf("the endpoint restarted %d times", n)
			}
		})
	})
	t.Run("Open", func(t *testing.T) {
		c := ServiceConfig{Endpoints: endpoints(1), Retry: retry.Config{MaxAttempts: 1}}
		c.Hooks.Open = func(context.Context, Endpoint) (any, error) { panic("boom") }
		virtual(t, c, func(t *testing.T, s *Service) {
			if _, err := Do(t.Context(), s, good); code(err) != messages.CodeInternal {
				t.Errorf("got %v", err)
			}
			settled(t, s)
		})
	})
}

// Closing answers whoever waits, at once.
func TestCloseAnswersThoseWhoWait(t *testing.T) {
	var block, entered chan struct{} // of the bubble
	c := ServiceConfig{Endpoints: endpoints(1)}
	c.Hooks.Pick = func(string, []balance.Candidate) int { close(entered); <-block; return 0 }
	virtual(t, c, func(t *testing.T, s *Service) {
		block, entered = make(chan struct{}), make(chan struct{})
		go func() { _, _ = Do(context.Background(), s, good) }()
		<-entered
		got := make(chan error, 1)
		go func() { _, err := Do(context.Background(), s, good); got <- err }()
		synctest.Wait()
		closed := make(chan error, 1)
		go func() { closed <- s.sys.Close() }()
		if err := <-got; code(err) != messages.CodeClosed {
			t.Errorf("got %v", err)
		}
		close(block)
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if _, err := Do(context.Background(), s, good); code(err) != messages.CodeClosed {
			t.Errorf("after Close: %v", err)
		}
	})
}

// A parked endpoint that is taken out and comes back serves, at once or later.
func TestAParkedEndpointThatComesBackServes(t *testing.T) {
	for name, away := range map[string]time.Duration{"at once": 0, "later": parkTime + 10*time.Second} {
		t.Run(name, func(t *testing.T) {
			virtual(t, ServiceConfig{Endpoints: endpoints(1)}, func(t *testing.T, s *Service) {
				park(t, s, "e0")
				if err := s.Deregister("e0"); err != nil {
					t.Fatal(err)
				}
				advance(away)
				if err := s.Register(Endpoint{ID: "e0"}); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if id, err := Do(t.Context(), s, good); err != nil || id != "e0" {
					t.Errorf("%q, %v", id, err)
				}
				settled(t, s)
			})
		})
	}
}

// There is no actor that could drain a parked endpoint: its value is closed when it is taken out.
func TestAParkedEndpointThatIsTakenOutClosesItsValue(t *testing.T) {
	c, closed := opening(1)
	virtual(t, c, func(t *testing.T, s *Service) {
		_, _ = Do(t.Context(), s, good)
		park(t, s, "e0")
		if err := s.Deregister("e0"); err != nil {
			t.Fatal(err)
		}
		advance(parkTime + time.Second)
		if n := closed.Load(); n != 1 {
			t.Errorf("closed %d times", n)
		}
		if st := s.Stats(); st.Succeeded != 1 {
			t.Errorf("what it counted went with it: %+v", st)
		}
	})
}

// park has an endpoint panic until it is left alone.
func park(t *testing.T, s *Service, id string) {
	t.Helper()
	cell := s.endpointCell(t, id)
	for range panicsMax + 1 {
		crash(cell)
	}
	if n := count(s, messages.KindEndpointParked); n != 1 {
		t.Fatalf("parked %d times: %v", n, kinds(s))
	}
}
