package actors

import (
	"slices"
	"time"

	"github.com/understudy-go/understudy/actors/limit"
	"github.com/understudy-go/understudy/messages"
)

// This file is the service's rate limit: who may go out now, who waits for it, and
// who is told to come back. Waiting is a place in the supervisor's queue, so that
// the window is exact whenever the callers' goroutines run.

// admission is the supervisor's rate limit with its queue. Without a limit rate is nil.
type admission struct {
	rate    *limit.Rate
	waiting []*lease // first come, first served
	timer   Timer
}

type slotFree struct{} // the timer's: the next one may go out

var slotIsFree = &slotFree{}

// tally is what the endpoints tell of their attempts while the limit is dynamic.
func (s *serviceCell) tally(o messages.Outcome) {
	switch {
	case o == messages.Success:
		s.good.Add(1)
	case o.Failed():
		s.bad.Add(1)
	}
}

// limitRate puts a configuration of the rate limit in force.
func (s *supervisor) limitRate(c limit.RateConfig) {
	a := &s.admission
	switch {
	case c.Limit <= 0:
		a.rate = nil
	case a.rate == nil:
		a.rate = limit.NewRate(c, s.latest)
	default:
		a.rate.Configure(c, s.latest)
	}
	s.letOut()
	if a.rate != nil {
		s.turnOutLate()
	}
}

// admit lets an acquisition out, or has it wait or come back later.
func (s *supervisor) admit(l *lease) bool {
	a, c := &s.admission, &s.settings.Load().config.RateLimit
	if c.Dynamic {
		s.adaptRate()
	}
	if len(a.waiting) == 0 && a.rate.Admit(s.latest) {
		l.admitted = s.latest
		return true
	}
	if s.removed.Load() {
		s.refuse(l, s.gone())
		return false
	}
	wait := a.rate.WaitFor(s.latest, len(a.waiting))
	if len(a.waiting) >= c.MaxWaiting || s.tight(l, wait) {
		a.waiting = slices.DeleteFunc(a.waiting, func(l *lease) bool { return l.state.Load() == leaseAbandoned })
		wait = a.rate.WaitFor(s.latest, len(a.waiting))
	}
	if c.Mode == limit.Reject || l.hedge || len(a.waiting) >= c.MaxWaiting || s.tight(l, wait) {
		s.refuse(l, s.limited(wait))
		return false
	}
	a.waiting = append(a.waiting, l)
	s.awaitSlot()
	return false
}

// adaptRate moves a dynamic limit by what the service did since.
func (s *supervisor) adaptRate() {
	a := &s.admission
	if a.rate.Adapt(s.latest, s.good.Swap(0), s.bad.Swap(0), s.average.Value()) {
		s.turnOutLate()
	}
}

// late reports whether the lease's request has no time left after that wait.
func (s *supervisor) late(l *lease, wait time.Duration) bool {
	return l.deadline > 0 && wait >= l.deadline-s.latest
}

// tight reports whether it has less time left then than the service usually takes. Who
// would go out so late would only be in vain, and all who wait behind it too.
func (s *supervisor) tight(l *lease, wait time.Duration) bool {
	return s.late(l, wait+s.average.Value())
}

func (s *supervisor) limited(wait time.Duration) *messages.Error {
	return &messages.Error{Code: messages.CodeRateLimited, Service: s.name, RetryAfter: max(wait, time.Millisecond),
		Words: "over the service's rate limit"}
}

// letOut lets those out who waited, as far as there are slots.
func (s *supervisor) letOut() {
	a := &s.admission
	s.latest = max(s.latest, s.sys.clock.now())
	if a.rate != nil && s.settings.Load().config.RateLimit.Dynamic {
		s.adaptRate()
	}
	n := 0
	for ; n < len(a.waiting); n++ {
		l := a.waiting[n]
		switch {
		case l.state.Load() == leaseAbandoned:
			continue
		case s.late(l, 0):
			s.refuse(l, s.tooLate())
			continue
		case s.tight(l, 0):
			s.refuse(l, s.limited(0))
			continue
		case a.rate != nil && !a.rate.Admit(s.latest):
			a.waiting = append(a.waiting[:0], a.waiting[n:]...)
			s.awaitSlot()
			return
		}
		l.admitted = s.latest
		l.at = s.latest // its attempt begins now
		s.place(l)
	}
	clear(a.waiting)
	a.waiting = a.waiting[:0]
}

// turnOutLate tells those who would wait too long, now that the limit has changed.
func (s *supervisor) turnOutLate() {
	a := &s.admission
	kept := a.waiting[:0]
	for _, l := range a.waiting {
		if wait := a.rate.WaitFor(s.latest, len(kept)); s.tight(l, wait) {
			s.refuse(l, s.limited(wait))
		} else {
			kept = append(kept, l)
		}
	}
	clear(a.waiting[len(kept):])
	a.waiting = kept
	if len(kept) > 0 {
		s.awaitSlot()
	}
}

// awaitSlot sets the timer for the first one in the queue.
func (s *supervisor) awaitSlot() {
	a, clock := &s.admission, &s.sys.clock
	wait := max(min(a.rate.Next(s.latest), a.rate.AdaptAt())-clock.now(), 0)
	if a.timer != nil {
		a.timer.Reset(wait)
		return
	}
	box := s.mailbox
	a.timer = clock.afterFunc(wait, func() { box.Post(slotIsFree, nil) })
}

// turnAwayWaiting ends the waiting: the service is removed.
func (s *supervisor) turnAwayWaiting() {
	for _, l := range s.admission.waiting {
		s.refuse(l, s.gone())
	}
	s.admission.waiting = nil
}
