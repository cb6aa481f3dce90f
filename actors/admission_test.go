package actors

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy/actors/balance"
	"github.com/understudy-go/understudy/actors/limit"
	"github.com/understudy-go/understudy/actors/retry"
	"github.com/understudy-go/understudy/messages"
)

// limited is a service of n endpoints with a rate limit, and one attempt a request.
func limited(n int, r limit.RateConfig) ServiceConfig {
	return ServiceConfig{Endpoints: endpoints(n), RateLimit: r, Retry: retry.Config{MaxAttempts: 1}}
}

// limiting is virtual with the limit in force, by a reload.
func limiting(t *testing.T, c ServiceConfig, f func(t *testing.T, s *Service)) {
	t.Helper()
	virtual(t, c, func(t *testing.T, s *Service) {
		require.NoError(t, s.Configure(c))
		f(t, s)
	})
}

// gate notes when attempts come to the backend, and who makes them.
type gate struct {
	mu   sync.Mutex
	came []arrival
}

type arrival struct {
	at  time.Time
	who int
}

func (g *gate) pass(who int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.came = append(g.came, arrival{time.Now(), who})
}

// order is who came first; of those who came at the same moment nobody did.
func (g *gate) order() (whom []int) {
	slices.SortFunc(g.came, func(a, b arrival) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.who, b.who)) })
	for _, a := range g.came {
		whom = append(whom, a.who)
	}
	return whom
}

// by is the function of one caller.
func (g *gate) by(who int) func(context.Context, Target) (int, error) {
	return func(context.Context, Target) (int, error) { g.pass(who); return who, nil }
}

// within fails where more than n came in any stretch of that length.
func (g *gate) within(t *testing.T, n int, per time.Duration) {
	t.Helper()
	for i := n; i < len(g.came); i++ {
		if d := g.came[i].at.Sub(g.came[i-n].at); d < per {
			t.Fatalf("%d in %v: attempts %d to %d", n+1, d, i-n, i)
		}
	}
}

// crew are callers, one goroutine each, with what came of their calls.
type crew struct {
	sync.WaitGroup
	mu   sync.Mutex
	errs map[int]error
	took map[int]time.Duration
}

func newCrew() *crew { return &crew{errs: make(map[int]error), took: make(map[int]time.Duration)} }

// call has one more caller, who waits in the queue or is answered when this returns.
func (c *crew) call(ctx context.Context, s *Service, who int, g *gate, opts ...CallOption) {
	c.Go(func() {
		began := time.Now()
		_, err := Do(ctx, s, g.by(who), opts...)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.errs[who], c.took[who] = err, time.Since(began)
	})
	synctest.Wait()
}

func (c *crew) answered() int {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.errs)
}

// err is what the caller heard, once it is answered.
func (c *crew) err(who int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.errs[who]
}

// The window is exact whoever comes when, and who came first goes first.
func TestNeverMoreThanTheLimitInAnyWindow(t *testing.T) {
	limiting(t, limited(3, limit.RateConfig{Limit: 5}), func(t *testing.T, s *Service) {
		g, callers := &gate{}, newCrew()
		for who := range 100 {
			if who%7 == 0 {
				advance(30 * time.Millisecond)
			}
			callers.call(t.Context(), s, who, g)
		}
		callers.Wait()
		settled(t, s)
		require.Len(t, g.came, 100)
		g.within(t, 5, time.Second)
		for i, who := range g.order() {
			require.Equal(t, i, who, "first come, first served")
		}
		for who, err := range callers.errs {
			require.NoError(t, err, who)
		}
		// Five at 30 ms, the next five a second later, …: not one slot is wasted.
		require.InDelta(t, 19, g.came[99].at.Sub(g.came[0].at).Seconds(), 0.1)
		n := s.Stats()
		require.Equal(t, []uint64{100, 100, 100, 0}, []uint64{n.Requests, n.Succeeded, n.Attempts, n.Refusals})
	})
}

func TestOverTheRateLimit(t *testing.T) {
	for name, x := range map[string]struct {
		rate    limit.RateConfig
		timeout time.Duration
		wait    time.Duration // of the one over the limit, -1: refused at once
		after   time.Duration // the refusal's RetryAfter
	}{
		"it waits":               {limit.RateConfig{Limit: 1}, 2 * time.Second, time.Second, 0},
		"longer than it may":     {limit.RateConfig{Limit: 1}, 900 * time.Millisecond, -1, time.Second},
		"just as long as it may": {limit.RateConfig{Limit: 1}, time.Second, -1, time.Second},
		"reject":                 {limit.RateConfig{Limit: 1, Mode: limit.Reject}, 2 * time.Second, -1, time.Second},
		"a window of a minute":   {limit.RateConfig{Limit: 1, Per: time.Minute}, 0, -1, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			limiting(t, limited(1, x.rate), func(t *testing.T, s *Service) {
				g, callers := &gate{}, newCrew()
				callers.call(t.Context(), s, 0, g)
				callers.call(t.Context(), s, 1, g, Timeout(x.timeout))
				callers.Wait()
				settled(t, s)
				require.NoError(t, callers.err(0))
				if x.wait >= 0 {
					require.NoError(t, callers.err(1))
					require.Equal(t, x.wait, callers.took[1])
					return
				}
				var e *messages.Error
				require.ErrorAs(t, callers.err(1), &e)
				require.Equal(t, messages.CodeRateLimited, e.Code)
				require.Equal(t, x.after, e.RetryAfter)
				require.Zero(t, callers.took[1])
				n := s.Stats()
				require.Equal(t, []uint64{2, 1, 1, 1, 1}, []uint64{n.Requests, n.Succeeded, n.Failed, n.Attempts, n.Refusals})
			})
		})
	}
}

func TestOnlySoManyWait(t *testing.T) {
	limiting(t, limited(1, limit.RateConfig{Limit: 1, MaxWaiting: 3}), func(t *testing.T, s *Service) {
		g, callers := &gate{}, newCrew()
		for who := range 6 {
			callers.call(t.Context(), s, who, g)
		}
		require.Equal(t, 3, callers.answered())
		for _, who := range []int{4, 5} {
			var e *messages.Error
			require.ErrorAs(t, callers.err(who), &e)
			require.Equal(t, messages.CodeRateLimited, e.Code)
			require.Equal(t, 4*time.Second, e.RetryAfter)
		}
		callers.Wait()
		require.Equal(t, []int{0, 1, 2, 3}, g.order())
	})
}

// Who gives up in the queue takes no slot: the next one goes in its place.
func TestWhoGivesUpWaitingTakesNoSlot(t *testing.T) {
	limiting(t, limited(1, limit.RateConfig{Limit: 1}), func(t *testing.T, s *Service) {
		g, callers := &gate{}, newCrew()
		ctx, cancel := context.WithCancel(t.Context())
		callers.call(t.Context(), s, 0, g)
		for who := 1; who <= 5; who++ {
			callers.call(ctx, s, who, g)
		}
		callers.call(t.Context(), s, 6, g)
		advance(100 * time.Millisecond)
		cancel()
		require.Equal(t, 6, callers.answered(), "at once")
		callers.Wait()
		settled(t, s)
		require.Equal(t, []int{0, 6}, g.order())
		require.Equal(t, time.Second, callers.took[6])
		for who := 1; who <= 5; who++ {
			require.True(t, errors.Is(callers.err(who), context.Canceled))
		}
		n := s.Stats()
		require.Equal(t, []uint64{7, 2, 5, 2}, []uint64{n.Requests, n.Succeeded, n.Canceled, n.Attempts})
	})
}

// A reload finds them waiting: who may go goes, the others keep their places.
func TestTheLimitChangesWhileSomeWait(t *testing.T) {
	for name, x := range map[string]struct {
		change  func(*limit.RateConfig)
		atOnce  int           // who are let out by the reload
		lastOut time.Duration // after the reload
	}{
		"off":    {func(c *limit.RateConfig) { c.Limit = Off }, 6, 0},
		"higher": {func(c *limit.RateConfig) { c.Limit = 4 }, 2, time.Second},
		"lower":  {func(c *limit.RateConfig) { c.Limit = 1 }, 0, 6 * time.Second},
		"reject": {func(c *limit.RateConfig) { c.Mode = limit.Reject }, 0, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			c := limited(1, limit.RateConfig{Limit: 2})
			limiting(t, c, func(t *testing.T, s *Service) {
				g, callers := &gate{}, newCrew()
				for who := range 8 {
					callers.call(t.Context(), s, who, g)
				}
				require.Equal(t, 2, callers.answered())
				x.change(&c.RateLimit)
				require.NoError(t, s.Configure(c))
				began := time.Now()
				require.Equal(t, 2+x.atOnce, callers.answered())
				callers.Wait()
				require.Equal(t, x.lastOut, time.Since(began))
				require.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7}, g.order())
				settled(t, s)
			})
		})
	}
}

func TestThoseWhoWaitHearOfTheEnd(t *testing.T) {
	for name, x := range map[string]struct {
		end  func(*testing.T, *Service)
		code messages.Code
	}{
		"Close":         {func(t *testing.T, s *Service) { require.NoError(t, s.sys.Close()) }, messages.CodeClosed},
		"RemoveService": {func(t *testing.T, s *Service) { require.NoError(t, s.sys.RemoveService("svc")) }, messages.CodeNotFound},
		"Shutdown":      {func(t *testing.T, s *Service) { require.NoError(t, s.sys.Shutdown(t.Context())) }, ""}, // it lets them finish
		"Shutdown without time": {func(t *testing.T, s *Service) {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			require.ErrorIs(t, s.sys.Shutdown(ctx), context.DeadlineExceeded)
		}, messages.CodeClosed},
	} {
		t.Run(name, func(t *testing.T) {
			limiting(t, limited(1, limit.RateConfig{Limit: 1}), func(t *testing.T, s *Service) {
				g, callers := &gate{}, newCrew()
				for who := range 4 {
					callers.call(context.Background(), s, who, g)
				}
				x.end(t, s)
				require.Equal(t, 4, callers.answered())
				for who := 1; who < 4; who++ {
					require.Equal(t, x.code, code(callers.err(who)), "%v", callers.err(who))
				}
			})
		})
	}
}

// The limit is of attempts that go out: retries take slots as first attempts do.
func TestRetriesTakeSlots(t *testing.T) {
	c := limited(3, limit.RateConfig{Limit: 2})
	c.Retry = retry.Config{MaxAttempts: 3}
	limiting(t, c, func(t *testing.T, s *Service) {
		g := &gate{}
		began := time.Now()
		_, err := Do(t.Context(), s, func(context.Context, Target) (int, error) { g.pass(0); return 0, errBoom })
		require.Equal(t, messages.CodeRetryExhausted, code(err))
		require.Len(t, g.came, 3)
		require.Equal(t, time.Second, g.came[2].at.Sub(began))
		settled(t, s)

		c.RateLimit.Mode = limit.Reject
		require.NoError(t, s.Configure(c))
		advance(time.Second)
		var r Report
		_, err = Do(t.Context(), s, bad, Into(&r))
		var e *messages.Error
		require.ErrorAs(t, err, &e)
		require.Len(t, r.Attempts, 2, "the third is refused")
		require.Contains(t, e.Error(), "rate limit")
		require.Equal(t, time.Second, e.RetryAfter)
		settled(t, s)
	})
}

// Nobody could be picked: nothing went out, and nothing counts.
func TestARefusalGivesItsSlotBack(t *testing.T) {
	limiting(t, limited(1, limit.RateConfig{Limit: 2, Per: time.Minute}), func(t *testing.T, s *Service) {
		for range 20 {
			require.NoError(t, s.Operate(t.Context(), Order{Endpoint: "e0", Verb: VerbMaint}))
			_, err := Do(t.Context(), s, good)
			require.Equal(t, messages.CodeNoEndpoints, code(err))
			_, err = s.Select(t.Context())
			require.Equal(t, messages.CodeNoEndpoints, code(err))
			advance(time.Millisecond)
		}
		require.NoError(t, s.Operate(t.Context(), Order{Endpoint: "e0", Verb: VerbReady}))
		for range 10 { // only a choice
			_, err := s.Select(t.Context())
			require.NoError(t, err)
		}
		for range 2 {
			_, err := Do(t.Context(), s, good)
			require.NoError(t, err)
		}
		_, err := Do(t.Context(), s, good)
		require.Equal(t, messages.CodeRateLimited, code(err))
	})
}

// The whole queue hears at once that nobody can be picked.
func TestThoseWhoWaitHearThatNobodyIsThere(t *testing.T) {
	c := limited(1, limit.RateConfig{Limit: 1})
	c.Strategy = balance.Config{Pick: "round_robin"}
	limiting(t, c, func(t *testing.T, s *Service) {
		g, callers := &gate{}, newCrew()
		for who := range 5 {
			callers.call(t.Context(), s, who, g)
		}
		require.NoError(t, s.Operate(t.Context(), Order{Endpoint: "e0", Verb: VerbMaint}))
		callers.Wait()
		for who := 1; who < 5; who++ {
			require.Equal(t, messages.CodeNoEndpoints, code(callers.err(who)))
			require.Equal(t, time.Second, callers.took[who])
		}
		settled(t, s)
	})
}

// A supervisor that panics keeps the queue.
func TestAPanicInTheSupervisorKeepsTheQueue(t *testing.T) {
	limiting(t, limited(1, limit.RateConfig{Limit: 1}), func(t *testing.T, s *Service) {
		g, callers := &gate{}, newCrew()
		for who := range 3 {
			callers.call(t.Context(), s, who, g)
		}
		s.cell.Load().mailbox.Post((*endpointChanged)(nil), nil)
		callers.Wait()
		require.Equal(t, []int{0, 1, 2}, g.order())
		require.Equal(t, 2*time.Second, callers.took[2])
		require.Equal(t, 1, count(s, messages.KindActorRestarted))
		settled(t, s)
	})
}

// A dynamic limit falls while the service fails and is back some time after.
func TestADynamicLimitFollowsTheService(t *testing.T) {
	c := limited(1, limit.RateConfig{Limit: 100, Dynamic: true, Mode: limit.Reject})
	c.Breaker.Disabled = true
	limiting(t, c, func(t *testing.T, s *Service) {
		passed := func(f func(context.Context, Target) (string, error)) (n int) {
			for range 200 {
				_, err := Do(t.Context(), s, f)
				if code(err) != messages.CodeRateLimited {
					n++
				}
				advance(5 * time.Millisecond)
			}
			return n
		}
		require.InDelta(t, 100, passed(good), 2)
		for range 3 {
			passed(bad)
		}
		require.LessOrEqual(t, passed(bad), 35, "0.7 × three times")
		for range 10 {
			passed(bad)
		}
		require.InDelta(t, 10, passed(bad), 1, "a tenth is left")
		for range 11 {
			passed(good)
		}
		require.InDelta(t, 100, passed(good), 2)
	})
}

// A limit that the service was added with is in force: newServiceCell never calls
// limitRate, only a reload does.
func TestTheLimitHoldsFromTheStart(t *testing.T) {
	virtual(t, limited(1, limit.RateConfig{Limit: 1, Mode: limit.Reject}), func(t *testing.T, s *Service) {
		_, err := Do(t.Context(), s, good)
		require.NoError(t, err)
		_, err = Do(t.Context(), s, good)
		require.Equal(t, messages.CodeRateLimited, code(err))
	})
}

// A limit that was lowered leaves nobody waiting past its deadline.
func TestWhoWaitsIsAnsweredByItsDeadline(t *testing.T) {
	c := limited(1, limit.RateConfig{Limit: 1})
	limiting(t, c, func(t *testing.T, s *Service) {
		g, callers := &gate{}, newCrew()
		for who := range 4 {
			callers.call(t.Context(), s, who, g, Timeout(10*time.Second))
		}
		c.RateLimit.Per = time.Hour
		require.NoError(t, s.Configure(c))
		advance(11 * time.Second)
		require.Equal(t, 4, callers.answered())
	})
}

// Those who gave up are not ahead of anybody: with nobody waiting the next slot is a
// second away, and a caller with two seconds gets it.
func TestWhoGaveUpIsNotAheadOfAnybody(t *testing.T) {
	for name, x := range map[string]struct {
		rate    limit.RateConfig
		timeout time.Duration
	}{
		"in time":        {limit.RateConfig{Limit: 1}, 2 * time.Second},
		"in max_waiting": {limit.RateConfig{Limit: 1, MaxWaiting: 5}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			limiting(t, limited(1, x.rate), func(t *testing.T, s *Service) {
				g, callers := &gate{}, newCrew()
				ctx, cancel := context.WithCancel(t.Context())
				callers.call(t.Context(), s, 0, g)
				for who := 1; who <= 5; who++ {
					callers.call(ctx, s, who, g)
				}
				cancel()
				synctest.Wait()
				callers.call(t.Context(), s, 6, g, Timeout(x.timeout))
				callers.Wait()
				require.NoError(t, callers.errs[6])
			})
		})
	}
}

// A reload that changes the strategy too: the queue is let out before the new balancer
// knows an endpoint.
func TestAReloadOfTheStrategyLetsTheQueueOut(t *testing.T) {
	c := limited(2, limit.RateConfig{Limit: 1})
	limiting(t, c, func(t *testing.T, s *Service) {
		g, callers := &gate{}, newCrew()
		for who := range 4 {
			callers.call(t.Context(), s, who, g)
		}
		c.RateLimit, c.Strategy = limit.RateConfig{}, balance.Config{Pick: "round_robin"}
		require.NoError(t, s.Configure(c))
		callers.Wait()
		for who := range 4 {
			require.NoError(t, callers.errs[who])
		}
	})
}

// A retry that comes to the queue of a service that is removed meanwhile is answered:
// the supervisor stops with it in its queue. Here, at the caller's own deadline of an
// hour instead of never.
func TestARetryOfARemovedServiceIsAnswered(t *testing.T) {
	c := limited(2, limit.RateConfig{Limit: 2, Per: 10 * time.Second})
	c.Strategy = balance.Config{Pick: "round_robin"}
	c.Retry = retry.Config{MaxAttempts: 3}
	limiting(t, c, func(t *testing.T, s *Service) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		fail, finish := make(chan struct{}), make(chan struct{})
		began, took := time.Now(), time.Duration(0)
		var err error
		answered := make(chan struct{})
		go func() {
			_, err = Do(ctx, s, func(context.Context, Target) (int, error) { <-fail; return 0, errBoom })
			took = time.Since(began)
			close(answered)
		}()
		synctest.Wait()
		go func() { _, _ = Do(ctx, s, func(context.Context, Target) (int, error) { <-finish; return 0, nil }) }()
		synctest.Wait()
		require.NoError(t, s.sys.RemoveService("svc"))
		advance(100 * time.Millisecond)
		close(fail) // its retry waits for a slot
		advance(100 * time.Millisecond)
		close(finish) // the last one: the supervisor stops
		<-answered
		require.Less(t, took, time.Minute, "%v", err)
	})
}

// An acquisition whose caller has less time than the wait is refused at once, as a
// call's is.
func TestAcquireIsRefusedAtOnceToo(t *testing.T) {
	limiting(t, limited(1, limit.RateConfig{Limit: 1}), func(t *testing.T, s *Service) {
		_, err := Do(t.Context(), s, good)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err = s.Acquire(ctx)
		require.Equal(t, messages.CodeRateLimited, code(err))
	})
}
