package spec

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/messages"
)

// fixed is an open time that neither doubles nor has jitter.
func fixed(threshold int, open time.Duration) understudy.Breaker {
	return understudy.Breaker{FailureThreshold: threshold, OpenTimeout: open, OpenTimeoutMax: open, Jitter: understudy.Off}
}

// oneBackend is a service of one endpoint with the breaker of sentences 1 to 7:
// "Breaker (threshold 5, open 10 s, 1 permit)".
func oneBackend() understudy.ServiceConfig {
	b := fixed(5, 10*time.Second)
	b.HalfOpenMaxCalls = 1
	return understudy.ServiceConfig{Endpoints: named("a"), Breaker: b, Retry: once}
}

var circuit = []messages.Kind{messages.KindCircuitOpened, messages.KindCircuitHalfOpened, messages.KindCircuitClosed}

// "1. Two successes: closed, count 0."
func TestBreaker01(t *testing.T) {
	var counted []understudy.Counts
	c := oneBackend()
	c.Hooks.Trip = func(n understudy.Counts) bool { counted = append(counted, n); return false }
	virtually(t, c, func(t *testing.T, s *understudy.Service) {
		var b backend
		require.NoError(t, do(t, s, &b, 2))
		a := status(t, s, "a")
		require.Equal(t, "closed", a.Breaker)
		require.Zero(t, a.Failures)
		require.Equal(t, 2, b.of("a"))

		b.set(broken, "a") // the next failure is told the count: it is the first
		require.ErrorIs(t, do(t, s, &b, 1), errBroken)
		require.Len(t, counted, 1)
		require.Equal(t, 1, counted[0].Consecutive)
		require.Equal(t, 3, counted[0].Calls)
	})
}

// "2. Five failures: the backend was hit 5 times and the fifth opens. The sixth call
// is refused, hits stay 5, `0 < retry_after ≤ 10 s`; a call that would succeed is
// refused too, with a smaller `retry_after`. Refusals do not extend the time."
func TestBreaker02(t *testing.T) {
	virtually(t, oneBackend(), func(t *testing.T, s *understudy.Service) {
		var b backend
		b.set(broken, "a")
		require.ErrorIs(t, do(t, s, &b, 4), errBroken)
		require.Equal(t, "closed", status(t, s, "a").Breaker)
		require.ErrorIs(t, do(t, s, &b, 1), errBroken)
		require.Equal(t, "open", status(t, s, "a").Breaker, "the fifth opens")
		require.Equal(t, 5, b.total())

		e := coded(t, do(t, s, &b, 1), messages.CodeCircuitOpen)
		require.Equal(t, 5, b.total(), "hits stay 5")
		require.Equal(t, 10*time.Second, e.RetryAfter)
		require.Empty(t, e.Attempts)

		b.set(nil, "a")
		pass(4 * time.Second)
		e = coded(t, do(t, s, &b, 1), messages.CodeCircuitOpen)
		require.Equal(t, 5, b.total())
		require.Equal(t, 6*time.Second, e.RetryAfter, "smaller")

		pass(6*time.Second - 1)
		require.Equal(t, time.Millisecond, coded(t, do(t, s, &b, 100), messages.CodeCircuitOpen).RetryAfter, "never zero")
		require.Equal(t, 5, b.total())
		pass(1)
		require.NoError(t, do(t, s, &b, 1), "102 refusals did not extend the 10 s")
		require.Equal(t, 6, b.total())
	})
}

// "3. After 10 s a success gives open → half_open → closed as events. A failure
// instead: open for a fresh 10 s (with a fixed open timeout)."
func TestBreaker03(t *testing.T) {
	virtually(t, oneBackend(), func(t *testing.T, s *understudy.Service) {
		var b backend
		b.set(broken, "a")
		_ = do(t, s, &b, 5)

		pass(10 * time.Second)
		require.ErrorIs(t, do(t, s, &b, 1), errBroken, "the trial is made, and fails")
		require.Equal(t, []string{"circuit_open a", "circuit_half_open a", "circuit_open a"}, happened(s, circuit...))
		require.Equal(t, 10*time.Second, coded(t, do(t, s, &b, 1), messages.CodeCircuitOpen).RetryAfter, "a fresh 10 s")
		pass(10*time.Second - 1)
		coded(t, do(t, s, &b, 1), messages.CodeCircuitOpen)
		require.Equal(t, 6, b.total())

		pass(1)
		b.set(nil, "a")
		require.NoError(t, do(t, s, &b, 1))
		require.Equal(t, []string{"circuit_open a", "circuit_half_open a", "circuit_closed a"}, happened(s, circuit...)[2:])
		require.Equal(t, "closed", status(t, s, "a").Breaker)
		for _, e := range s.History(100) {
			switch e.Kind {
			case messages.KindCircuitHalfOpened:
				require.Equal(t, []string{"open", "half_open"}, []string{e.Cause.From, e.Cause.To})
			case messages.KindCircuitClosed:
				require.Equal(t, []string{"half_open", "closed"}, []string{e.Cause.From, e.Cause.To})
			}
		}
	})
}

// "4. 50 concurrent calls at expiry: exactly 1 reaches the backend, 49 get
// `CIRCUIT_OPEN`."
func TestBreaker04(t *testing.T) {
	virtually(t, oneBackend(), func(t *testing.T, s *understudy.Service) {
		var b backend
		b.set(broken, "a")
		_ = do(t, s, &b, 5)
		pass(10 * time.Second)

		release := make(chan struct{})
		b.set(func(context.Context) error { <-release; return nil }, "a")
		answers := callTogether(t, s, &b, 50)
		synctest.Wait()
		require.Equal(t, 6, b.total(), "exactly 1 reaches the backend")
		require.Len(t, answers, 49)
		for range 49 {
			require.Positive(t, coded(t, <-answers, messages.CodeCircuitOpen).RetryAfter, "it says when to come back")
		}
		close(release)
		require.NoError(t, <-answers)
		require.Equal(t, "closed", status(t, s, "a").Breaker)
	})
}

// callTogether makes n calls at once and returns where their errors come out.
func callTogether(t *testing.T, s *understudy.Service, b *backend, n int) <-chan error {
	answers := make(chan error, n)
	for range n {
		go func() {
			_, err := understudy.Do(t.Context(), s, b.call)
			answers <- err
		}()
	}
	return answers
}

// "5. 4 failures, 1 success, 4 failures: still closed."
func TestBreaker05(t *testing.T) {
	virtually(t, oneBackend(), func(t *testing.T, s *understudy.Service) {
		var b backend
		b.set(broken, "a")
		_ = do(t, s, &b, 4)
		b.set(nil, "a")
		require.NoError(t, do(t, s, &b, 1))
		b.set(broken, "a")
		_ = do(t, s, &b, 4)
		require.Equal(t, "closed", status(t, s, "a").Breaker)
		require.Equal(t, 9, b.total())
		_ = do(t, s, &b, 1)
		require.Equal(t, "open", status(t, s, "a").Breaker, "the fifth in a row opens")
	})
}

// "6. An error that does not count, during the trial: the permit comes back, nothing
// sticks."
func TestBreaker06(t *testing.T) {
	errOdd := errors.New("odd")
	c := oneBackend()
	c.Hooks.Classify = func(r understudy.Result) understudy.Verdict {
		if errors.Is(r.Err, errOdd) {
			return understudy.Ignore
		}
		return understudy.Auto
	}
	virtually(t, c, func(t *testing.T, s *understudy.Service) {
		var b backend
		b.set(broken, "a")
		_ = do(t, s, &b, 5)
		pass(10 * time.Second)

		b.set(func(context.Context) error { return errOdd }, "a")
		for range 3 { // each takes the only permit and gives it back
			require.ErrorIs(t, do(t, s, &b, 1), errOdd)
			require.Equal(t, "half_open", status(t, s, "a").Breaker)
		}
		ctx, cancel := context.WithCancel(t.Context())
		_, err := understudy.Do(ctx, s, func(ctx context.Context, _ understudy.Target) (string, error) {
			cancel()
			return "", ctx.Err()
		})
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, "half_open", status(t, s, "a").Breaker)

		b.set(nil, "a")
		require.NoError(t, do(t, s, &b, 1))
		require.Equal(t, "closed", status(t, s, "a").Breaker)
		require.EqualValues(t, 5, status(t, s, "a").Failures)
	})
}

// "7. Only the configured errors count ("exceptions to catch")."
func TestBreaker07(t *testing.T) {
	errDatabase, errInput := errors.New("database is gone"), errors.New("no such customer")
	c := oneBackend()
	c.Hooks.Classify = func(r understudy.Result) understudy.Verdict {
		switch {
		case r.Err == nil:
			return understudy.Success
		case errors.Is(r.Err, errDatabase):
			return understudy.Failure
		}
		return understudy.Ignore
	}
	virtually(t, c, func(t *testing.T, s *understudy.Service) {
		var b backend
		b.set(func(context.Context) error { return errInput }, "a")
		require.ErrorIs(t, do(t, s, &b, 50), errInput)
		require.Equal(t, 50, b.total())
		require.Equal(t, "closed", status(t, s, "a").Breaker)
		require.Zero(t, status(t, s, "a").Failures)

		b.set(func(context.Context) error { return errDatabase }, "a")
		_ = do(t, s, &b, 4)
		require.Equal(t, "closed", status(t, s, "a").Breaker)
		require.ErrorIs(t, do(t, s, &b, 1), errDatabase)
		require.Equal(t, "open", status(t, s, "a").Breaker)
	})
}

// "8. Thresholds 5 failures / 3 successes / 10 permits / 60 s: half-open closes after
// exactly 3 successes, never more than 10 in flight."
func TestBreaker08(t *testing.T) {
	c := understudy.ServiceConfig{Endpoints: named("a"), Breaker: fixed(5, time.Minute), Retry: once}
	c.Breaker.SuccessThreshold, c.Breaker.HalfOpenMaxCalls = 3, 10
	virtually(t, c, func(t *testing.T, s *understudy.Service) {
		var b backend
		b.set(broken, "a")
		_ = do(t, s, &b, 4)
		require.Equal(t, "closed", status(t, s, "a").Breaker)
		_ = do(t, s, &b, 1)
		require.Equal(t, "open", status(t, s, "a").Breaker, "5 failures")
		pass(time.Minute - 1)
		coded(t, do(t, s, &b, 1), messages.CodeCircuitOpen)
		pass(1)

		release := make(chan struct{}) // each token ends one call
		var inflight, most atomic.Int32
		b.set(func(context.Context) error {
			n := inflight.Add(1)
			defer inflight.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			<-release
			return nil
		}, "a")
		answers := callTogether(t, s, &b, 25)
		synctest.Wait()
		require.EqualValues(t, 10, inflight.Load())
		for range 15 {
			coded(t, <-answers, messages.CodeCircuitOpen)
		}
		for n := 1; n <= 3; n++ {
			require.Equal(t, "half_open", status(t, s, "a").Breaker, "after %d successes", n-1)
			release <- struct{}{}
			require.NoError(t, <-answers)
			synctest.Wait()
			if n < 3 { // a permit that came back is given out again, and one only
				more := callTogether(t, s, &b, 5)
				synctest.Wait()
				require.Len(t, more, 4)
				require.EqualValues(t, 10, inflight.Load())
			}
		}
		require.Equal(t, "closed", status(t, s, "a").Breaker)
		require.EqualValues(t, 10, most.Load(), "never more than 10")
		close(release)
		synctest.Wait()
	})
}

// "4. 50 concurrent calls at expiry: exactly 1 reaches the backend, 49 get
// `CIRCUIT_OPEN`." The same on real time.
func TestBreaker04Together(t *testing.T) {
	c := oneBackend()
	c.Breaker.OpenTimeout, c.Breaker.OpenTimeoutMax = time.Millisecond, time.Millisecond
	s := add(t, start(t), "svc", c)
	var b backend
	b.set(broken, "a")
	_ = do(t, s, &b, 5)
	for _, err := s.Select(t.Context()); err != nil; _, err = s.Select(t.Context()) {
		require.ErrorIs(t, err, messages.ErrCircuitOpen) // until it is due
	}
	release := make(chan struct{})
	b.set(func(context.Context) error { <-release; return nil }, "a")
	var refused atomic.Int32
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			_, err := understudy.Do(t.Context(), s, b.call)
			if errors.Is(err, messages.ErrCircuitOpen) && refused.Add(1) == 49 {
				close(release)
			}
		})
	}
	all.Wait()
	require.Equal(t, 6, b.total())
	require.EqualValues(t, 49, refused.Load())
	require.Equal(t, "closed", status(t, s, "a").Breaker)
}
