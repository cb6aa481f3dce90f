package breaker

import (
	"fmt"
	"time"

	"github.com/understudy-go/understudy/messages"
)

// peaceMin is the least time of peace after which the next open time is the first again.
const peaceMin = 60 * time.Second

// Counts is what a breaker has seen. The window's counts are of calls that were
// not ignored, trials included; they begin anew when the breaker closes.
type Counts struct {
	Consecutive         int // failures in a row, up to now
	ConsecutiveNoAnswer int // of these: connection failures and timeouts
	Calls               int // in the window
	Failures            int // in the window
	NoAnswer            int // in the window, of the failures: connection failures and timeouts
	Slow                int // in the window, whatever their outcome
}

// run is the failures in a row.
type run struct {
	failures int
	noAnswer int // of these: connection failures and timeouts
}

// count enters a call into the run and the window and says whether it was slow.
func (b *Breaker) count(now time.Duration, o messages.Outcome, latency time.Duration) (slow bool) {
	t := tally{calls: 1}
	if slow = latency > b.cfg.SlowCall && b.cfg.SlowCall != off; slow {
		t.slow = 1
	}
	switch o {
	case messages.Success:
		b.run = run{}
	case messages.Failure:
		t.failures = 1
		b.run.failures++
	default:
		t.failures, t.noAnswer = 1, 1
		b.run.failures++
		b.run.noAnswer++
	}
	b.window.add(now, t)
	return slow
}

// verdict says in words why a closed breaker has to open, or "". The window has
// been turned to now by count.
func (b *Breaker) verdict(now time.Duration) string {
	t := b.window.sum
	switch {
	case b.cfg.Trip != nil:
		if b.cfg.Trip(b.Counts(now)) {
			return "custom rule"
		}
	case b.tooManyInARow():
		return inARow(b.run.failures)
	case b.failsTooOften(t):
		return fmt.Sprintf("failure rate %.0f%% of %d calls", 100*ratio(t.failures, t.calls), t.calls)
	case b.slowTooOften(t):
		return fmt.Sprintf("slow calls %.0f%% of %d", 100*ratio(t.slow, t.calls), t.calls)
	}
	return ""
}

func inARow(failures int) string {
	if failures == 1 {
		return "1 failure"
	}
	return fmt.Sprintf("%d failures in a row", failures)
}

func (b *Breaker) tooManyInARow() bool {
	n := b.cfg.FailureThreshold
	switch {
	case n == off:
		return false
	case b.outage: // the package comment says why
		return b.run.noAnswer >= n || b.run.failures/2 >= n
	}
	return b.run.failures >= n
}

func (b *Breaker) failsTooOften(t tally) bool {
	if b.cfg.FailureRate == off || int(t.calls) < b.cfg.MinCalls {
		return false
	}
	failures := t.failures
	if b.outage && int(t.calls)/2 < b.cfg.MinCalls {
		failures = t.noAnswer
	}
	return ratio(failures, t.calls) >= b.cfg.FailureRate
}

func (b *Breaker) slowTooOften(t tally) bool {
	return b.slowMatters() && int(t.calls) >= b.cfg.MinCalls && ratio(t.slow, t.calls) >= b.cfg.SlowCallRate
}

func (b *Breaker) slowMatters() bool {
	return b.cfg.SlowCall != off && b.cfg.SlowCallRate != off
}

// ratio divides rather than compare n with rate·of: a quotient is rounded once, as
// the rate was when it was read, so that 7 of 100 is exactly the 7% of the file.
func ratio(n, of uint32) float64 { return float64(n) / float64(of) }

// nextOpenTime is how long an opening lasts that begins now, before jitter.
func (b *Breaker) nextOpenTime(now time.Duration) time.Duration {
	peaceful := b.state == Closed && now >= b.forgetAt
	if b.openTime == 0 || peaceful {
		return b.cfg.OpenTimeout
	}
	// The lower bound matters after a reload that raised open_timeout.
	return min(max(2*b.openTime, b.cfg.OpenTimeout), b.cfg.OpenTimeoutMax)
}

// jittered adds up to the configured share of d.
func (b *Breaker) jittered(d time.Duration, rnd float64) time.Duration {
	if b.cfg.Jitter == off {
		return d
	}
	return d + time.Duration(float64(d)*b.cfg.Jitter*rnd)
}
