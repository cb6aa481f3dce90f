package actors

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/actors/balance"
	"github.com/understudy-go/understudy/actors/breaker"
	"github.com/understudy-go/understudy/actors/retry"
	"github.com/understudy-go/understudy/messages"
)

// However a caller's function ends, its lease comes back once and says the right thing.
func TestALeaseComesBackHoweverTheFunctionEnds(t *testing.T) {
	once := retry.Config{MaxAttempts: 1}
	for name, end := range map[string]struct {
		fn                         func(context.Context, Target) (int, error)
		failures, failed, canceled uint64
		panics, exits              bool
	}{
		"success": {fn: func(context.Context, Target) (int, error) { return 1, nil }},
		"error":   {fn: func(context.Context, Target) (int, error) { return 0, errBoom }, failures: 1, failed: 1},
		"panic":   {fn: func(context.Context, Target) (int, error) { panic("boom") }, failures: 1, failed: 1, panics: true},
		"goexit":  {fn: func(context.Context, Target) (int, error) { runtime.Goexit(); return 0, nil }, failures: 1, failed: 1, exits: true},
		"cancel":  {fn: func(context.Context, Target) (int, error) { return 0, context.Canceled }, canceled: 1},
		"timeout": {fn: func(ctx context.Context, _ Target) (int, error) { <-ctx.Done(); return 0, ctx.Err() }, failures: 1, failed: 1},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, ServiceConfig{Endpoints: endpoints(1), Retry: once}, func(t *testing.T, s *Service) {
				var panicked any
				returned := false
				var wg sync.WaitGroup
				wg.Go(func() {
					defer func() { panicked = recover() }()
					_, _ = Do(t.Context(), s, end.fn)
					returned = true
				})
				wg.Wait()
				settled(t, s)
				if (panicked != nil) != end.panics || returned == (end.panics || end.exits) {
					t.Errorf("panicked %v, returned %v", panicked, returned)
				}
				st, e := s.Stats(), status(t, s, "e0")
				if st.Requests != 1 || st.Failed != end.failed || st.Canceled != end.canceled || e.Failures != end.failures || e.Inflight != 0 {
					t.Errorf("stats %+v endpoint %+v", st, e)
				}
			})
		})
	}
}

// Overdue past its deadline a lease counts as a failure at the deadline, holds its
// slot until it comes back, and its late success is returned.
func TestAnOverdueLeaseCountsAtItsDeadline(t *testing.T) {
	c := ServiceConfig{Endpoints: endpoints(1), AttemptTimeout: 2 * time.Second, Retry: retry.Config{MaxAttempts: 1}}
	virtual(t, c, func(t *testing.T, s *Service) {
		release := make(chan struct{})
		got := make(chan error, 1)
		go func() {
			_, err := Do(t.Context(), s, func(context.Context, Target) (int, error) { <-release; return 1, nil })
			got <- err
		}()
		advance(1900 * time.Millisecond)
		if e := status(t, s, "e0"); e.Timeouts != 0 || e.Inflight != 1 {
			t.Fatalf("before the deadline: %+v", e)
		}
		advance(200 * time.Millisecond)
		if e := status(t, s, "e0"); e.Timeouts != 1 || e.Inflight != 1 {
			t.Fatalf("after the deadline: %+v", e)
		}
		advance(5 * time.Second)
		close(release)
		if err := <-got; err != nil {
			t.Errorf("the late success is lost: %v", err)
		}
		settled(t, s)
		if e := status(t, s, "e0"); e.Timeouts != 1 || e.Failures != 1 || e.Attempts != 1 {
			t.Errorf("counted twice: %+v", e)
		}
	})
}

// A trial whose function hangs gives its permit back at the deadline.
func TestAnOverdueTrialFreesItsPermit(t *testing.T) {
	c := ServiceConfig{Endpoints: endpoints(1), AttemptTimeout: time.Second, Retry: retry.Config{MaxAttempts: 1}}
	c.Breaker.FailureThreshold, c.Breaker.OpenTimeout, c.Breaker.OpenTimeoutMax, c.Breaker.Jitter = 1, 5*time.Second, 5*time.Second, Off
	virtual(t, c, func(t *testing.T, s *Service) {
		_, _ = Do(t.Context(), s, bad)
		advance(5 * time.Second)
		release := make(chan struct{})
		go func() {
			_, _ = Do(context.Background(), s, func(context.Context, Target) (int, error) { <-release; return 1, nil })
		}()
		synctest.Wait()
		if b := status(t, s, "e0").Breaker; b != "half_open" {
			t.Fatalf("breaker is %s in the trial", b)
		}
		advance(time.Second + sweepGrace)
		if b := status(t, s, "e0").Breaker; b != "open" {
			t.Fatalf("breaker is %s after the overdue trial", b)
		}
		advance(5 * time.Second)
		if _, err := Do(t.Context(), s, good); err != nil {
			t.Errorf("no second trial: %v", err)
		}
		close(release)
		settled(t, s)
	})
}

// A caller's deadline that ends an attempt counts only if the endpoint had a fair chance.
func TestImpatientCallersTripNothing(t *testing.T) {
	c := ServiceConfig{Endpoints: endpoints(1), Retry: retry.Config{MaxAttempts: 1}}
	wait := func(ctx context.Context, _ Target) (int, error) { <-ctx.Done(); return 0, ctx.Err() }
	virtual(t, c, func(t *testing.T, s *Service) {
		for range 20 { // the endpoint takes 20 ms
			_, _ = Do(t.Context(), s, func(context.Context, Target) (int, error) { <-time.After(20 * time.Millisecond); return 1, nil })
		}
		for range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			_, err := Do(ctx, s, wait)
			cancel()
			if code(err) != messages.CodeTimeout || !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
		}
		if e := status(t, s, "e0"); e.Failures != 0 || e.Breaker != "closed" {
			t.Fatalf("impatient callers counted: %+v", e)
		}
		for range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			_, _ = Do(ctx, s, wait)
			cancel()
		}
		settled(t, s)
		if e := status(t, s, "e0"); e.Timeouts != 5 || e.Breaker != "open" {
			t.Errorf("a black hole behind short deadlines is not seen: %+v", e)
		}
	})
}

// A caller that gives up in the queue gets no lease, and none leaks.
func TestAnAbandonedAcquireLeavesNothingBehind(t *testing.T) {
	var block, entered chan struct{} // of the bubble
	c := ServiceConfig{Endpoints: endpoints(1)}
	var first sync.Once
	c.Hooks.Trip = func(_ breaker.Counts) bool { // runs in the endpoint: holds it up
		first.Do(func() { close(entered); <-block })
		return false
	}
	virtual(t, c, func(t *testing.T, s *Service) {
		block, entered = make(chan struct{}), make(chan struct{})
		go func() { _, _ = Do(context.Background(), s, bad, MaxAttempts(1)) }()
		<-entered
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { _, err := Do(ctx, s, good); done <- err }()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) || code(err) != messages.CodeCanceled {
			t.Errorf("got %v", err)
		}
		close(block)
		settled(t, s)
		if st := s.Stats(); st.Canceled != 1 || st.Requests != 2 {
			t.Errorf("stats %+v", st)
		}
	})
}

// A lease that a user never returns is taken back and says nothing.
func TestAForgottenLeaseIsReclaimed(t *testing.T) {
	virtual(t, ServiceConfig{Endpoints: endpoints(1)}, func(t *testing.T, s *Service) {
		l, err := s.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n := status(t, s, "e0").Inflight; n != 1 {
			t.Fatalf("%d in flight", n)
		}
		advance(leaseMax + time.Second)
		settled(t, s)
		l.Done(errBoom)
		l.Done(nil)
		if e := status(t, s, "e0"); e.Inflight != 0 || e.Failures != 0 {
			t.Errorf("%+v", e)
		}
	})
}

// A lease that was reclaimed while its value was still being opened comes back once.
func TestALeaseReclaimedWhileItOpensComesBackOnce(t *testing.T) {
	c := ServiceConfig{Endpoints: endpoints(1)}
	c.Hooks.Open = func(context.Context, Endpoint) (any, error) {
		<-time.After(leaseMax + time.Second)
		return nil, errBoom
	}
	virtual(t, c, func(t *testing.T, s *Service) {
		if _, err := s.Acquire(t.Context()); err == nil {
			t.Error("a lease without its value")
		}
		settled(t, s)
		if n := status(t, s, "e0").Inflight; n != 0 {
			t.Errorf("%d in flight", n)
		}
	})
}

// No timeout applies to a lease: one that is returned late with an error failed by that error.
func TestALeaseReturnedLateFailedByItsError(t *testing.T) {
	virtual(t, ServiceConfig{Endpoints: endpoints(1)}, func(t *testing.T, s *Service) {
		l, err := s.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		advance(40 * time.Second)
		l.Done(errBoom)
		settled(t, s)
		if e := status(t, s, "e0"); e.Timeouts != 0 || e.Failures != 1 || e.LastError != errBoom.Error() {
			t.Errorf("%+v", e)
		}
	})
}

// Who only chooses and gives up in the queue was no request; who wanted more was one.
func TestASelectionThatIsGivenUpIsNoRequest(t *testing.T) {
	var block chan struct{} // of the bubble
	c := ServiceConfig{Endpoints: endpoints(1)}
	c.Hooks.Pick = func(string, []balance.Candidate) int { <-block; return 0 }
	virtual(t, c, func(t *testing.T, s *Service) {
		block = make(chan struct{})
		var callers sync.WaitGroup
		callers.Go(func() { _, _ = Do(context.Background(), s, good) }) // it is in Pick
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer cancel()
		callers.Go(func() {
			if _, err := s.Select(ctx); code(err) != messages.CodeTimeout {
				t.Errorf("Select: %v", err)
			}
		})
		callers.Go(func() {
			if _, err := Do(ctx, s, good); code(err) != messages.CodeTimeout {
				t.Errorf("Do: %v", err)
			}
		})
		advance(10 * time.Millisecond)
		close(block)
		callers.Wait()
		settled(t, s)
		if st := s.Stats(); st.Requests != 2 || st.Succeeded != 1 || st.Failed != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// abandoned posts an acquisition whose caller is gone.
func abandoned(s *Service, at, deadline time.Duration, retry bool) *lease {
	l := newLease(s.cell.Load())
	l.at, l.deadline, l.timeout, l.key = at, deadline, 0, ""
	l.retry, l.previous = retry, "e9"
	l.state.Store(leaseAbandoned)
	s.cell.Load().mailbox.Post((*Acquire)(l), nil)
	synctest.Wait()
	return l
}

// A request that gave up before its turn, and whose time was up at its turn, is
// counted: its caller has told of its end already.
func TestARequestThatIsTooLateAtItsTurnIsCounted(t *testing.T) {
	virtual(t, ServiceConfig{Endpoints: endpoints(1)}, func(t *testing.T, s *Service) {
		now := s.sys.clock.now() + time.Second
		s.cell.Load().mailbox.Post(&requestOver{requestFailed}, nil)
		l := abandoned(s, now, now-time.Millisecond, false)
		if l.err == nil || l.err.Code != messages.CodeTimeout {
			t.Fatalf("got %v", l.err)
		}
		settled(t, s)
		if st := s.Stats(); st.Requests != 1 || st.Failed != 1 || st.Attempts != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// A retry whose caller is gone before it is granted is no retry.
func TestAnAbandonedRetryIsNotCounted(t *testing.T) {
	virtual(t, ServiceConfig{Endpoints: endpoints(1)}, func(t *testing.T, s *Service) {
		abandoned(s, s.sys.clock.now(), 0, true)
		settled(t, s)
		st := s.Stats()
		if st.Attempts != 0 || st.Retries != 0 || st.Failovers != 0 || count(s, messages.KindRetry)+count(s, messages.KindFailover) != 0 {
			t.Errorf("%+v %v", st, kinds(s))
		}
	})
}
