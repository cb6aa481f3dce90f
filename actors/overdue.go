package actors

import (
	"fmt"
	"time"

	"github.com/understudy-go/understudy/messages"
)

// This file is about leases that do not come back in time: they count at their
// deadline, and hold their slot until they do.

// overdueAt is when the lease counts as a timeout: its attempt's deadline or,
// where a user holds it, leaseMax.
func (e *endpoint) overdueAt(l *lease) time.Duration {
	if l.held != nil {
		return l.at + leaseMax
	}
	due := time.Duration(0)
	if l.timeout > 0 {
		due = l.at + l.timeout
	}
	if l.deadline > 0 && (due == 0 || l.deadline < due) {
		due = l.deadline
	}
	return due
}

// sweepGrace lets a caller whose attempt ended at its deadline say why: it may
// have waited for our own connection pool all the time.
const sweepGrace = 10 * time.Millisecond

func (l *lease) sweepAt() time.Duration {
	if l.held != nil {
		return l.due
	}
	return l.due + sweepGrace
}

// overdue counts what has passed its deadline, as of its deadline. The lease keeps
// its slot until it comes back; a permit of a trial is given back now.
func (e *endpoint) overdue(now time.Duration) {
	for l := e.out; l != nil; {
		next := l.next
		switch {
		case l.counted || l.due == 0 || l.streams.Load():
		case l.sweepAt() > now:
			e.wakeBy(l.sweepAt())
		case l.held != nil:
			e.reclaim(l)
		default:
			e.countOverdue(l)
		}
		l = next
	}
}

// countOverdue judges a lease that is still out. Everything it needs stands in
// fields that its holder no longer writes before it returns it.
func (e *endpoint) countOverdue(l *lease) {
	ran := l.due - l.at
	outcome := messages.Timeout
	if l.timeout == 0 || ran < l.timeout { // the caller's deadline, not the attempt's
		if ran < fairChance(l.timeout, e.usual.Value()) {
			outcome = messages.Ignored
		}
	}
	if l.overtaken.Load() {
		outcome = messages.Ignored
	}
	l.counted = true
	e.judge(e.latest, l.at, l.permit, &result{
		outcome: outcome, ended: l.due, latency: ran, failure: fmt.Sprintf("no answer in %v", ran.Round(time.Millisecond))})
}

// fairChance is how long an attempt must have run for its caller's deadline to
// speak against the endpoint: the attempt's timeout or ten times the average
// latency of its good calls, whichever is less.
func fairChance(timeout, average time.Duration) time.Duration {
	if average > 0 && (timeout == 0 || 10*average < timeout) {
		return 10 * average
	}
	return timeout
}

// reclaim takes a lease from a user who never returned it.
func (e *endpoint) reclaim(l *lease) {
	if !l.held.returned.CompareAndSwap(false, true) {
		return // it is on its way
	}
	l.result = result{outcome: messages.Ignored, end: requestCanceled, ended: e.latest, latency: leaseMax, failure: "lease never returned"}
	e.finish(l)
}
