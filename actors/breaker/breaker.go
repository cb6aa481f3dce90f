package breaker

import (
	"fmt"
	"math"
	"time"

	"github.com/understudy-go/understudy/messages"
)

// State is one of the three states of a breaker. The zero value is Closed.
type State uint8

// The states.
const (
	Closed   State = iota // every call is admitted
	Open                  // none is, until the open time is over
	HalfOpen              // a few trials at a time are
)

func (s State) String() string {
	switch s {
	case Open:
		return "open"
	case HalfOpen:
		return "half_open"
	}
	return "closed"
}

// Permit allows one call and goes back by [Breaker.Record], whatever came of the
// call. The zero value is a permit of no epoch and changes nothing.
type Permit struct {
	Epoch uint32
	Trial bool // the call decides whether a half-open breaker closes
}

const (
	// never ends an open time that only an operator ends.
	never = time.Duration(math.MaxInt64)

	// trialPatience is when to come back while every trial permit is out: by then the
	// trial has most likely been decided.
	trialPatience = time.Second

	forcedReason = "forced by operator"
)

// Breaker is the circuit breaker of one endpoint. Make one with [New].
type Breaker struct {
	cfg Config // defaults applied

	state  State
	forced bool          // by an operator: neither results nor time move the state
	epoch  uint32        // of the state
	until  time.Duration // the end of the open time; never if forced; zero unless open
	reason string

	trials    int // half-open: permits that are out
	succeeded int // half-open: trials that did

	run    run
	window window
	outage bool // half or more of the other endpoints are out

	openTime time.Duration // how long the last opening was meant to last, before jitter; zero: no opening remembered
	forgetAt time.Duration // closed: when the openings so far are forgotten
}

// New returns a closed breaker. Zero fields of cfg take their defaults; the rest is
// expected to have passed [Config.Validate].
func New(cfg Config) *Breaker {
	b := &Breaker{epoch: 1} // so that the zero Permit is of no epoch
	b.Configure(cfg)
	return b
}

// Configure puts cfg in force from the next call on. State, counts, permits and an
// open time that has begun stay as they are; two things do not: a window of another
// length begins empty, and cfg.Disabled closes the breaker, unless an operator
// forced it, and forgets everything.
func (b *Breaker) Configure(cfg Config) {
	cfg = cfg.WithDefaults()
	if cfg.Window != b.cfg.Window {
		b.window = newWindow(cfg.Window)
	}
	b.cfg = cfg
	if cfg.Disabled && !b.forced {
		b.openTime = 0
		b.clear()
		if b.state != Closed {
			b.becomeClosed("")
		}
	}
}

// Admits reports whether [Breaker.Acquire] would grant a permit now.
func (b *Breaker) Admits(now time.Duration) bool {
	switch b.state {
	case Open:
		return now >= b.until
	case HalfOpen:
		return b.trials < b.cfg.HalfOpenMaxCalls
	}
	return true
}

// Acquire grants a permit for one call, or refuses by false. The first one after
// the open time makes the breaker half-open. A refusal changes nothing.
func (b *Breaker) Acquire(now time.Duration) (Permit, bool) {
	if b.state == Closed {
		return Permit{Epoch: b.epoch}, true
	}
	return b.acquireTrial(now)
}

func (b *Breaker) acquireTrial(now time.Duration) (Permit, bool) {
	if !b.Admits(now) {
		return Permit{}, false
	}
	if b.state == Open {
		b.becomeHalfOpen()
	}
	b.trials++
	return Permit{Epoch: b.epoch, Trial: true}, true
}

// Record takes the permit of a call back with its outcome and its latency, and
// opens or closes the breaker if that decides it. Each permit is recorded once. One
// of an earlier epoch changes nothing; an ignored outcome gives the permit back and
// changes nothing else. rnd in [0, 1) is the jitter's luck, should it open.
func (b *Breaker) Record(now time.Duration, p Permit, o messages.Outcome, latency time.Duration, rnd float64) {
	switch {
	case p.Epoch != b.epoch:
		return
	case b.state != Closed:
		b.recordTrial(now, o, latency, rnd)
		return
	case o == messages.Ignored || b.cfg.Disabled:
		return
	}
	slow := b.count(now, o, latency)
	if !slow && !o.Failed() || b.forced {
		return
	}
	if why := b.verdict(now); why != "" {
		b.trip(now, rnd, why)
	}
}

// recordTrial goes by the permits that are out and not by the one handed in, so
// that the account stays right whatever that one claims.
func (b *Breaker) recordTrial(now time.Duration, o messages.Outcome, latency time.Duration, rnd float64) {
	if b.trials == 0 {
		return
	}
	b.trials--
	if o == messages.Ignored {
		return
	}
	slow := b.count(now, o, latency)
	switch {
	case o.Failed():
		b.trip(now, rnd, "trial failed")
	case slow && b.slowMatters():
		b.trip(now, rnd, "trial too slow")
	default:
		b.succeeded++
		if b.succeeded >= b.cfg.SuccessThreshold {
			b.forgetAt = now + max(peaceMin, b.openTime)
			b.becomeClosed(succeededReason(b.succeeded))
		}
	}
}

func succeededReason(trials int) string {
	if trials == 1 {
		return "trial succeeded"
	}
	return fmt.Sprintf("%d trials succeeded", trials)
}

// trip opens the breaker on its own evidence.
func (b *Breaker) trip(now time.Duration, rnd float64, why string) {
	b.openTime = b.nextOpenTime(now)
	b.becomeOpen(now+b.jittered(b.openTime, rnd), why)
}

// The three doors. Nothing else sets state and epoch, and of until only Hasten
// brings the end forward. Whoever forces a state says so after going through one.

func (b *Breaker) becomeOpen(until time.Duration, why string) {
	b.state, b.until, b.reason = Open, until, why
	b.epoch++
	b.forced = false
	b.trials, b.succeeded = 0, 0
}

func (b *Breaker) becomeHalfOpen() {
	b.state, b.until, b.reason = HalfOpen, 0, "open time over"
	b.epoch++
}

// becomeClosed begins a new count: what led to an opening must not lead to the next.
func (b *Breaker) becomeClosed(why string) {
	b.state, b.until, b.reason = Closed, 0, why
	b.epoch++
	b.forced = false
	b.trials, b.succeeded = 0, 0
	b.clear()
}

func (b *Breaker) clear() {
	b.run, b.window = run{}, newWindow(b.cfg.Window)
}

// Hasten ends the open time at now, as an active check that turned from failing to
// good does. It changes nothing else, and nothing unless the breaker is open by its
// own evidence.
func (b *Breaker) Hasten(now time.Duration) {
	if b.state == Open && !b.forced {
		b.until = min(b.until, now)
	}
}

// SetOutage says whether half or more of the service's other endpoints are out
// here. The package comment says what that changes. Reset leaves it as it is.
func (b *Breaker) SetOutage(outage bool) { b.outage = outage }

// ForceOpen refuses every call until [Breaker.Reset] or [Breaker.ForceClosed], a
// disabled breaker's too.
func (b *Breaker) ForceOpen() {
	b.becomeOpen(never, forcedReason)
	b.forced = true
}

// ForceClosed admits every call until [Breaker.Reset] or [Breaker.ForceOpen].
// Results are still counted, for [Breaker.Counts] to show, but open nothing.
func (b *Breaker) ForceClosed() {
	b.becomeClosed(forcedReason)
	b.forced = true
}

// Reset takes an operator's word back, forgets counts and openings, and closes.
// It begins a new epoch even if the breaker was closed: what is under way belongs
// to what is forgotten.
func (b *Breaker) Reset() {
	b.openTime = 0
	b.becomeClosed("reset by operator")
}

// State returns the state. An open breaker whose time is over stays Open until a
// call is admitted; see [Breaker.Due].
func (b *Breaker) State() State { return b.state }

// Epoch rises with each entry into a state, so that comparing it before and after a
// call tells whether that call was a transition. The first one is 1.
func (b *Breaker) Epoch() uint32 { return b.epoch }

// Due reports that the breaker is open and its time is over: the next call is a trial.
func (b *Breaker) Due(now time.Duration) bool { return b.state == Open && now >= b.until }

// OpenUntil returns the end of the open time; zero where no time ends the state:
// closed, half-open or forced.
func (b *Breaker) OpenUntil() time.Duration {
	if b.forced {
		return 0
	}
	return b.until
}

// RetryAfter says in what time a call has a chance. Zero if it is admitted now. The
// rest of the open time if open; while every trial permit is out a second or
// open_timeout, whichever is less; if forced open, which may end at any time or
// never, open_timeout.
func (b *Breaker) RetryAfter(now time.Duration) time.Duration {
	switch {
	case b.Admits(now):
		return 0
	case b.state == HalfOpen:
		return min(trialPatience, b.cfg.OpenTimeout)
	case b.forced:
		return b.cfg.OpenTimeout
	}
	return b.until - now
}

// Counts returns what was counted up to now.
func (b *Breaker) Counts(now time.Duration) Counts {
	b.window.turn(now)
	t := b.window.sum
	return Counts{
		Consecutive:         b.run.failures,
		ConsecutiveNoAnswer: b.run.noAnswer,
		Calls:               int(t.calls),
		Failures:            int(t.failures),
		NoAnswer:            int(t.noAnswer),
		Slow:                int(t.slow),
	}
}

// Reason says in words why the breaker is in its state: "5 failures in a row",
// "failure rate 62% of 24 calls", "trial failed". Empty while nothing has happened.
func (b *Breaker) Reason() string {
	if b.cfg.Disabled && !b.forced {
		return "disabled"
	}
	return b.reason
}
