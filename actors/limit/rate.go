package limit

import (
	"math"
	"time"
)

// never is later than every moment, and longer than every wait.
const never = time.Duration(math.MaxInt64)

// Rate is the rate limit of one service: a sliding window, exact to the nanosecond.
// Its owner keeps the queue of those who wait, first come, first served: while
// anybody waits, only the first of them asks Admit.
//
// A now that is older than the newest admission counts as that one's moment. Make one
// with [NewRate].
type Rate struct {
	cfg     RateConfig // defaults applied
	limit   int        // in force; 0: off
	log     log
	dynamic dynamic
}

// NewRate returns a limit that has admitted nothing. Zero fields of c take their
// defaults; the rest is expected to have passed [RateConfig.Validate].
func NewRate(c RateConfig, now time.Duration) *Rate {
	r := &Rate{dynamic: newDynamic(now)}
	r.Configure(c, now)
	return r
}

// Configure puts c in force from the next call on, without forgetting: what was
// admitted and not yet released by the old per counts against the new limit, for as
// long as the new per says. So a lower limit holds at once. What was released stays
// released, however long the new per. A limit that is off keeps no record; turning
// it on begins anew.
func (r *Rate) Configure(c RateConfig, now time.Duration) {
	c = c.WithDefaults()
	r.log.release(now - r.cfg.Per)
	if c.Limit == off {
		r.log = log{}
	}
	if !c.Dynamic || !r.cfg.Dynamic {
		r.dynamic = newDynamic(now)
	}
	r.cfg = c
	r.log.shrink()
	r.setLimit()
}

// setLimit puts the dynamic share of the limit in force.
func (r *Rate) setLimit() {
	r.limit = 0
	if r.cfg.Limit != off {
		r.limit = max(r.cfg.Limit*r.dynamic.permille/1000, 1)
	}
}

// Effective returns the limit in force: what is configured, or less while
// [Rate.Adapt] holds it down; at least 1. -1 if the limit is off.
func (r *Rate) Effective() int {
	if r.limit == 0 {
		return off
	}
	return r.limit
}

// Admit takes a slot for one attempt, or reports that there is none. A refusal
// changes nothing.
func (r *Rate) Admit(now time.Duration) bool {
	if r.limit == 0 {
		return true
	}
	now = max(now, r.log.newest())
	if r.free(0) > now {
		return false
	}
	r.log.add(now, now-r.cfg.Per)
	return true
}

// GiveBack undoes an admission that did not go out, because nobody could be picked,
// say. at is the now that Admit was given. It undoes only the newest admission; an
// older one keeps its slot until per has passed, which errs on the safe side.
func (r *Rate) GiveBack(at time.Duration) {
	if r.log.count > 0 && r.log.newest() == at {
		r.log.count--
	}
}

// free is when the slot of the next admission is released, or of the one that comes
// after ahead others (ahead < limit); 0 if it is not taken. The n-th admission may
// come per after the one that was limit admissions earlier:
//
//	t(n) = max(now, t(n-limit) + per)
func (r *Rate) free(ahead int) time.Duration {
	if back := r.limit - ahead; back <= r.log.count {
		return r.log.back(back) + r.cfg.Per
	}
	return 0
}

// WaitFor returns how long the one who has ahead others before it waits until it is
// admitted; 0: it need not. It costs the same for any ahead. It is exact as long as
// the limit stays and nobody else comes in between: who leaves the queue or gives
// back only lets the others go earlier. So a waiter whose deadline is earlier can be
// refused at once, with this as its retry_after.
func (r *Rate) WaitFor(now time.Duration, ahead int) time.Duration {
	if r.limit == 0 {
		return 0
	}
	// All slots are taken anew once per lap, each per after its last time.
	laps, place := time.Duration(ahead/r.limit), ahead%r.limit
	wait := time.Duration(0)
	if free := r.free(place); free > max(now, r.log.newest()) {
		wait = free - now
	}
	if laps > (never-wait)/r.cfg.Per {
		return never
	}
	return wait + laps*r.cfg.Per
}

// Next returns the moment at which the next slot is free: now if there is one.
func (r *Rate) Next(now time.Duration) time.Duration { return now + r.WaitFor(now, 0) }
