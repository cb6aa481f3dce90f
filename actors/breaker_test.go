package actors

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/actors/retry"
	"github.com/understudy-go/understudy/messages"
)

// What a suspicion was cleared by is told, whatever it was.
func TestAGoodCallThatClearsASuspicionIsAnEvent(t *testing.T) {
	virtual(t, ServiceConfig{Endpoints: endpoints(1), Retry: retry.Config{MaxAttempts: 1}}, func(t *testing.T, s *Service) {
		for range 2 {
			_, _ = Do(t.Context(), s, bad)
		}
		if !status(t, s, "e0").Suspect {
			t.Fatal("not suspect")
		}
		advance(10 * time.Millisecond)
		if _, err := Do(t.Context(), s, good); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if status(t, s, "e0").Suspect || count(s, messages.KindSuspicionCleared) != 1 {
			t.Errorf("%v", kinds(s))
		}
	})
}

// An operator who forces a breaker moves it as a failure would: that is an event, once.
func TestForcingABreakerIsAnEvent(t *testing.T) {
	virtual(t, ServiceConfig{Endpoints: endpoints(1)}, func(t *testing.T, s *Service) {
		for _, step := range []struct {
			verb           Verb
			breaker        string
			opened, closed int
		}{
			{VerbForceOpen, "open", 1, 0},
			{VerbForceOpen, "open", 1, 0},
			{VerbForceClose, "closed", 1, 1},
			{VerbReset, "closed", 1, 1},
			{VerbForceOpen, "open", 2, 1},
			{VerbReset, "closed", 2, 2},
			{VerbDrain, "closed", 2, 2},
		} {
			if err := s.Operate(t.Context(), Order{Endpoint: "e0", Verb: step.verb}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			opened, closed := count(s, messages.KindCircuitOpened), count(s, messages.KindCircuitClosed)
			if b := status(t, s, "e0").Breaker; b != step.breaker || opened != step.opened || closed != step.closed {
				t.Errorf("after %s: %s, opened %d times, closed %d times", step.verb, b, opened, closed)
			}
		}
	})
}

// tripping is a service whose breakers open at the first failure, for 5 s.
func tripping() ServiceConfig {
	c := ServiceConfig{Endpoints: endpoints(1), Retry: retry.Config{MaxAttempts: 1}}
	c.Breaker.FailureThreshold, c.Breaker.OpenTimeout, c.Breaker.Jitter = 1, 5*time.Second, Off
	return c
}

// A check that was made before the open time was over and is heard of after it
// does not take the endpoint's turn for a trial back.
func TestACheckHeardOfLateDoesNotUndoThatATrialIsDue(t *testing.T) {
	virtual(t, tripping(), func(t *testing.T, s *Service) {
		_, _ = Do(t.Context(), s, bad)
		synctest.Wait()
		cell := s.endpointCell(t, "e0")
		until := cell.breaker.OpenUntil()
		advance(until - s.sys.clock.now() + time.Millisecond)
		cell.mailbox.Post(&checked{checkResult{at: until - time.Millisecond, ok: true}}, nil)
		synctest.Wait()
		if _, err := Do(t.Context(), s, good); err != nil {
			t.Errorf("no trial: %v", err)
		}
	})
}

// Nobody knows when a trial that is under way will end; who is refused meanwhile
// is told all the same when to come back.
func TestARefusalDuringATrialSaysWhenToComeBack(t *testing.T) {
	virtual(t, tripping(), func(t *testing.T, s *Service) {
		_, _ = Do(t.Context(), s, bad)
		advance(5 * time.Second)
		release := make(chan struct{})
		go func() {
			_, _ = Do(context.Background(), s, func(context.Context, Target) (int, error) { <-release; return 1, nil })
		}()
		synctest.Wait()
		_, err := Do(t.Context(), s, good)
		var e *messages.Error
		if !errors.As(err, &e) || e.Code != messages.CodeCircuitOpen || e.RetryAfter <= 0 {
			t.Errorf("got %v", err)
		}
		close(release)
		settled(t, s)
	})
}
