package actors

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-go/understudy/actors/balance"
	"github.com/understudy-go/understudy/actors/limit"
	"github.com/understudy-go/understudy/actors/retry"
)

// Whatever callers, operators, changes of the list and panics do to each other:
// every request is counted once and ends once, and every lease comes back.
func TestEveryRequestEndsOnceWhateverHappens(t *testing.T) {
	c := ServiceConfig{Endpoints: endpoints(5), AttemptTimeout: 5 * time.Millisecond, Timeout: 30 * time.Millisecond, Concurrency: limit.ConcurrencyConfig{Max: 8}}
	c.Retry = retry.Config{MaxAttempts: 3, Backoff: retry.Backoff{Initial: time.Millisecond}}
	c.Breaker.OpenTimeout = 10 * time.Millisecond
	picks := 0
	c.Hooks.Pick = func(_ string, candidates []balance.Candidate) int {
		if picks++; picks%50 == 0 {
			<-time.After(5 * time.Millisecond) // meanwhile some give up in the queue
		}
		return picks % len(candidates)
	}
	virtual(t, c, func(t *testing.T, s *Service) {
		var callers sync.WaitGroup
		for i := range 24 {
			callers.Go(func() { roughCaller(s, rand.New(rand.NewPCG(uint64(i), 1)), 100) })
		}
		var over atomic.Bool
		var meddler sync.WaitGroup
		meddler.Go(func() {
			for i := 0; !over.Load(); i++ {
				<-time.After(2 * time.Millisecond)
				meddle(s, i)
			}
		})
		callers.Wait()
		over.Store(true)
		meddler.Wait()
		advance(parkTime + drainTimeout)
		settled(t, s)
		for _, e := range s.Status().Endpoints {
			if e.Inflight != 0 {
				t.Errorf("%s has %d in flight", e.ID, e.Inflight)
			}
		}
		if st := s.Stats(); st.Requests != st.Succeeded+st.Failed+st.Canceled || st.Succeeded == 0 || st.Failed == 0 || st.Canceled == 0 {
			t.Errorf("%+v", st)
		}
	})
}

// roughCaller makes n calls that end in every way there is.
func roughCaller(s *Service, r *rand.Rand, n int) {
	for range n {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+r.IntN(20))*time.Millisecond)
		if r.IntN(4) == 0 {
			time.AfterFunc(time.Duration(r.IntN(5))*time.Millisecond, cancel)
		}
		func() {
			defer func() { _ = recover() }()
			_, _ = Do(ctx, s, func(attempt context.Context, _ Target) (int, error) {
				switch r.IntN(8) {
				case 0:
					return 0, errBoom
				case 1:
					<-attempt.Done()
					return 0, attempt.Err()
				case 2:
					panic("boom")
				case 3:
					<-time.After(time.Duration(r.IntN(10)) * time.Millisecond)
				case 4:
					cancel()
					return 0, attempt.Err()
				}
				return 1, nil
			})
		}()
		if r.IntN(10) == 0 {
			if l, err := s.Acquire(ctx); err == nil {
				l.Done(nil)
			}
		}
		cancel()
	}
}

// meddle is the i-th thing that somebody does to the service.
func meddle(s *Service, i int) {
	switch i % 6 {
	case 0:
		_ = s.Deregister("e0")
	case 1:
		_ = s.Register(Endpoint{ID: "e0"})
	case 2:
		_ = s.Update(Endpoint{ID: "e1", URL: fmt.Sprint("http://h", i%12)})
	case 3:
		if i%24 == 3 {
			s.cells().cells[0].mailbox.Post((*setOutage)(nil), nil) // it panics
		}
	case 4:
		_ = s.Operate(context.Background(), Order{Endpoint: "e2", Verb: VerbDrain})
	case 5:
		_ = s.Operate(context.Background(), Order{Endpoint: "e2", Verb: VerbReady})
	}
}
