package actors

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/actors/limit"
	"github.com/understudy-go/understudy/actors/retry"
	"github.com/understudy-go/understudy/messages"
)

// patient is a service whose attempts may take a second and whose breaker stays out of it.
func patient(c limit.ConcurrencyConfig) ServiceConfig {
	s := ServiceConfig{Endpoints: endpoints(1), AttemptTimeout: time.Second, Concurrency: c, Retry: retry.Config{MaxAttempts: 1}}
	s.Breaker.Disabled = true
	return s
}

// lasting answers after d, or as late as its deadline.
func lasting(d time.Duration) func(context.Context, Target) (int, error) {
	return func(ctx context.Context, _ Target) (int, error) {
		select {
		case <-time.After(d):
			return 1, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

func times(t *testing.T, s *Service, n int, d time.Duration) {
	t.Helper()
	for range n {
		_, _ = Do(t.Context(), s, lasting(d))
	}
	synctest.Wait()
}

func TestFiveLateAttemptsInARowThrottle(t *testing.T) {
	const usual, late, over = 10 * time.Millisecond, 700 * time.Millisecond, 2 * time.Second
	type calls []time.Duration
	row := func(d time.Duration, n int) (c calls) {
		for range n {
			c = append(c, d)
		}
		return c
	}
	for name, v := range map[string]struct {
		concurrency limit.ConcurrencyConfig
		calls       calls
		limit       int
	}{
		"four of them":                {limit.ConcurrencyConfig{}, row(late, 4), 1024},
		"five nearly timed out":       {limit.ConcurrencyConfig{}, row(late, 5), throttleMin},
		"five timed out":              {limit.ConcurrencyConfig{}, row(over, 5), throttleMin},
		"one in time between":         {limit.ConcurrencyConfig{}, append(append(row(over, 4), usual), row(late, 4)...), 1024},
		"not yet half of the way":     {limit.ConcurrencyConfig{}, row(450*time.Millisecond, 20), 1024},
		"never above the fixed limit": {limit.ConcurrencyConfig{Max: 3}, row(over, 5), 3},
		"no limit stays none":         {limit.ConcurrencyConfig{Max: Off}, row(over, 20), 0},
		"adaptive by itself":          {limit.ConcurrencyConfig{Adaptive: true}, row(over, 5), 20},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, patient(v.concurrency), func(t *testing.T, s *Service) {
				times(t, s, 100, usual)
				for _, d := range v.calls {
					times(t, s, 1, d)
				}
				if got := status(t, s, "e0").Limit; got != v.limit {
					t.Errorf("limit %d, want %d", got, v.limit)
				}
			})
		})
	}
}

// Slow is not late: who always takes nearly the attempt's time is not overrun.
func TestAnEndpointAsSlowAsEverIsNotThrottled(t *testing.T) {
	virtual(t, patient(limit.ConcurrencyConfig{}), func(t *testing.T, s *Service) {
		times(t, s, 50, 900*time.Millisecond)
		if got := status(t, s, "e0").Limit; got != 1024 {
			t.Errorf("limit %d", got)
		}
	})
}

// The limit begins at half of what is in flight, refuses what is above it, and goes
// when it was needed by nobody for 30 s.
func TestAThrottleHoldsWhileItIsNeeded(t *testing.T) {
	virtual(t, patient(limit.ConcurrencyConfig{}), func(t *testing.T, s *Service) {
		times(t, s, 1, 10*time.Millisecond)
		var callers sync.WaitGroup
		for range 105 {
			callers.Go(func() { _, _ = Do(t.Context(), s, lasting(time.Hour)) })
		}
		advance(900 * time.Millisecond) // short of their timeout
		times(t, s, 1, 10*time.Millisecond)
		if got := status(t, s, "e0"); got.Limit != 1024 || got.Inflight != 105 {
			t.Fatalf("limit %d, in flight %d", got.Limit, got.Inflight)
		}
		callers.Wait()
		synctest.Wait()
		// The first five of the 105 to come back throttle, when 100 are still out.
		held := status(t, s, "e0").Limit
		if held < throttleMin || held > 50 {
			t.Fatalf("limit %d after all timed out", held)
		}
		needed := s.sys.clock.now() + 29*time.Second
		advance(29 * time.Second)
		release := make(chan struct{})
		for range held {
			callers.Go(func() {
				_, _ = Do(t.Context(), s, func(context.Context, Target) (int, error) { <-release; return 1, nil })
			})
		}
		synctest.Wait()
		if _, err := Do(t.Context(), s, good); code(err) != messages.CodeOverloaded {
			t.Errorf("above the limit: %v", err)
		}
		close(release)
		callers.Wait()
		for _, step := range []struct {
			at   time.Duration
			held bool
		}{{29 * time.Second, true}, {throttleHold, false}} {
			advance(needed + step.at - s.sys.clock.now())
			times(t, s, 1, time.Millisecond)
			if got := status(t, s, "e0").Limit; (got != 1024) != step.held {
				t.Errorf("limit %d %v after it was needed", got, step.at)
			}
		}
	})
}

// A breaker that closes knows of one good answer. A limit that is adaptive by itself stays.
func TestABreakerThatClosesThrottles(t *testing.T) {
	for name, v := range map[string]struct {
		concurrency limit.ConcurrencyConfig
		limit       int
	}{
		"fixed":    {limit.ConcurrencyConfig{}, throttleMin},
		"low":      {limit.ConcurrencyConfig{Max: 3}, 3},
		"none":     {limit.ConcurrencyConfig{Max: Off}, 0},
		"adaptive": {limit.ConcurrencyConfig{Adaptive: true}, 20},
	} {
		t.Run(name, func(t *testing.T) {
			c := tripping()
			c.Concurrency = v.concurrency
			virtual(t, c, func(t *testing.T, s *Service) {
				_, _ = Do(t.Context(), s, bad)
				advance(5 * time.Second)
				if _, err := Do(t.Context(), s, good); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if got := status(t, s, "e0"); got.Breaker != "closed" || got.Limit != v.limit {
					t.Errorf("%s, limit %d, want %d", got.Breaker, got.Limit, v.limit)
				}
			})
		})
	}
}

// One stall in a hundred, 50 in flight and then 900 more at once: nobody is refused.
func TestStrayStallsThrottleNobody(t *testing.T) {
	virtual(t, patient(limit.ConcurrencyConfig{}), func(t *testing.T, s *Service) {
		var callers sync.WaitGroup
		var mu sync.Mutex
		refused := 0
		call := func(d time.Duration) {
			callers.Go(func() {
				if _, err := Do(t.Context(), s, lasting(d)); code(err) == messages.CodeOverloaded {
					mu.Lock()
					defer mu.Unlock()
					refused++
				}
			})
		}
		for i := range 5000 {
			d := 40 * time.Millisecond
			if i%100 == 0 {
				d = time.Hour
			}
			call(d)
			if i == 3000 {
				for range 900 {
					call(40 * time.Millisecond)
				}
			}
			advance(time.Millisecond)
		}
		if got := status(t, s, "e0").Limit; got != 1024 {
			t.Errorf("limit %d", got)
		}
		callers.Wait()
		if refused > 0 {
			t.Errorf("%d refused", refused)
		}
	})
}

// Who comes first after a long rest meets no limit that nobody has needed since.
func TestAThrottleEndsInARestToo(t *testing.T) {
	virtual(t, ServiceConfig{Endpoints: endpoints(1), Retry: retry.Config{MaxAttempts: 1}}, func(t *testing.T, s *Service) {
		for range 5 {
			_, _ = Do(t.Context(), s, bad)
		}
		advance(time.Minute)
		times(t, s, 1, time.Millisecond) // the trial: the breaker closes
		if got := status(t, s, "e0"); got.Breaker != "closed" || got.Limit != throttleMin {
			t.Fatalf("%s, limit %d", got.Breaker, got.Limit)
		}
		advance(throttleHold)
		var callers sync.WaitGroup
		for range 200 {
			callers.Go(func() {
				if _, err := Do(t.Context(), s, lasting(20*time.Millisecond)); err != nil {
					t.Error(err)
				}
			})
		}
		callers.Wait()
	})
}
