package breaker

import (
	"testing"
	"time"

	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/check"
)

// theirs is the setting of acceptance sentences 1 to 7.
var theirs = Config{FailureThreshold: 5, OpenTimeout: 10 * time.Second, OpenTimeoutMax: 10 * time.Second, Jitter: off}

// "Two successes: closed, count 0."
func TestAcceptance1(t *testing.T) {
	c := newCaller(theirs)
	check.Holds(t, c.call(2, messages.Success))
	check.Equal(t, Closed, c.State())
	check.Equal(t, Counts{Calls: 2}, c.counts())
}

// "Five failures: the backend was hit 5 times and the fifth opens. The sixth call
// is refused, hits stay 5, 0 < retry_after ≤ 10 s; a call that would succeed is
// refused too, with a smaller retry_after. Refusals do not extend the time."
func TestAcceptance2(t *testing.T) {
	c := newCaller(theirs)
	c.call(4, messages.Failure)
	check.Equal(t, Closed, c.State())
	c.call(1, messages.Failure)
	check.Equal(t, Open, c.State())
	check.Equal(t, "5 failures in a row", c.Reason())
	check.Equal(t, 5, c.hits)

	check.Holds(t, !c.call(1, messages.Failure), "the sixth is refused")
	first := c.RetryAfter(c.now)
	check.Holds(t, 0 < first && first <= 10*time.Second, first)

	c.now += time.Second
	check.Holds(t, !c.call(1, messages.Success), "one that would succeed is refused too")
	check.Holds(t, c.RetryAfter(c.now) < first, "a smaller retry_after")
	check.Equal(t, 5, c.hits)

	for c.now = 2 * time.Second; c.now < 10*time.Second; c.now += 100 * time.Millisecond {
		check.Holds(t, !c.call(1, messages.Success), "refused at ", c.now)
	}
	c.now = 10*time.Second - 1
	check.Holds(t, !c.call(1, messages.Success))
	c.now = 10 * time.Second
	check.Equal(t, 0, c.RetryAfter(c.now))
	check.Holds(t, c.call(1, messages.Success))
}

// "After 10 s a success gives open → half_open → closed as events. A failure
// instead: open for a fresh 10 s (with a fixed open timeout)."
func TestAcceptance3(t *testing.T) {
	for _, tc := range []struct {
		outcome messages.Outcome
		state   State
		until   time.Duration
		reason  string
	}{
		{messages.Success, Closed, 0, "trial succeeded"},
		{messages.Failure, Open, 20 * time.Second, "trial failed"},
	} {
		t.Run(tc.outcome.String(), func(t *testing.T) {
			c := newCaller(theirs)
			c.call(5, messages.Failure)
			epoch := c.Epoch()
			c.now = 10 * time.Second
			check.Equal(t, Open, c.State(), "time alone is no transition")
			check.Holds(t, c.Due(c.now))

			p, ok := c.Acquire(c.now)
			check.Holds(t, ok)
			check.Equal(t, HalfOpen, c.State())
			check.Equal(t, epoch+1, c.Epoch())
			check.Equal(t, Permit{Epoch: epoch + 1, Trial: true}, p)

			c.record(p, tc.outcome)
			check.Equal(t, tc.state, c.State())
			check.Equal(t, epoch+2, c.Epoch())
			check.Equal(t, tc.until, c.OpenUntil())
			check.Equal(t, tc.reason, c.Reason())
		})
	}
}

// "50 concurrent calls at expiry: exactly 1 reaches the backend, 49 get CIRCUIT_OPEN."
func TestAcceptance4(t *testing.T) {
	c := newCaller(theirs)
	c.call(5, messages.Failure)
	c.now = 10 * time.Second
	check.Equal(t, 1, len(c.acquire(50)))
}

// "4 failures, 1 success, 4 failures: still closed."
func TestAcceptance5(t *testing.T) {
	c := newCaller(theirs)
	c.call(4, messages.Failure)
	c.call(1, messages.Success)
	c.call(4, messages.Failure)
	check.Equal(t, Closed, c.State())
	c.call(1, messages.Failure)
	check.Equal(t, Open, c.State())
}

// "An error that does not count, during the trial: the permit comes back, nothing
// sticks."
func TestAcceptance6(t *testing.T) {
	c := newCaller(theirs)
	c.call(5, messages.Failure)
	c.now = 10 * time.Second
	p := c.acquire(1)[0]
	before := *c.Breaker
	for range 10 {
		check.Holds(t, !c.Admits(c.now), "the permit is out")
		c.record(p, messages.Ignored)
		check.Holds(t, c.Admits(c.now), "the permit is back")
		p = c.acquire(1)[0]
	}
	check.Equal(t, before, *c.Breaker)
	c.record(p, messages.Success)
	check.Equal(t, Closed, c.State())
}

// "Only the configured errors count": whoever judges an error says Ignored or
// Success for one that does not.
func TestAcceptance7(t *testing.T) {
	c := newCaller(theirs)
	c.call(4, messages.Failure)
	c.call(100, messages.Ignored)
	check.Equal(t, Closed, c.State())
	check.Equal(t, Counts{Consecutive: 4, Calls: 4, Failures: 4}, c.counts(), "neither counted nor ending the run")
	c.call(1, messages.Failure)
	check.Equal(t, Open, c.State())
}

// "Thresholds 5 failures / 3 successes / 10 permits / 60 s: half-open closes after
// exactly 3 successes, never more than 10 in flight."
func TestAcceptance8(t *testing.T) {
	c := newCaller(Config{FailureThreshold: 5, SuccessThreshold: 3, HalfOpenMaxCalls: 10, OpenTimeout: 60 * time.Second, Jitter: off})
	c.call(5, messages.Failure)
	c.now = 60*time.Second - 1
	check.Equal(t, 0, len(c.acquire(1)))
	c.now = 60 * time.Second
	permits := c.acquire(50)
	check.Equal(t, 10, len(permits))

	c.record(permits[0], messages.Success)
	c.record(permits[1], messages.Success)
	check.Equal(t, HalfOpen, c.State())
	check.Equal(t, 2, len(c.acquire(50)), "what came back is granted again")
	c.record(permits[2], messages.Success)
	check.Equal(t, Closed, c.State())
	check.Equal(t, "3 trials succeeded", c.Reason())

	for _, p := range permits[3:] {
		c.record(p, messages.Failure)
	}
	check.Equal(t, Closed, c.State(), "the other trials are of an epoch that is over")
	check.Equal(t, Counts{}, c.counts())
}
