package health

import (
	"math"
	"time"
)

// Never is when nothing is due.
const Never time.Duration = math.MaxInt64

const (
	// quickGap is the pause between a quick check's result and the next.
	quickGap = 20 * time.Millisecond
	// Rounds of quick checks begin at most every interval/quickShare.
	quickShare = 4
)

// Schedule says when the next check of an endpoint is due. Its owner holds one
// timer, asks [Schedule.Next] what to set it to after every other call, and runs
// a check between Started and Finished:
//
//	           Started                Finished
//	waiting ────────────▶ running ────────────────▶ waiting
//	   │ Hurry               │ Hurry, then Finished
//	   ▼                     ▼
//	 quick ─────────────▶ running ── bad ──▶ quick, up to fall checks in all
//	           Started       └───── good ──▶ waiting
//
// An interval runs from the begin of a check to the begin of the next, quick
// ones and those on demand included; a check that takes longer delays it.
type Schedule struct {
	enabled                bool
	interval, idleInterval time.Duration
	jitter                 float64
	fall                   int

	began     time.Duration // of the newest check; before the first, when that is due
	checked   bool          // a check has begun
	running   bool
	runsQuick bool // and is one of a round
	// A round of quick checks: how many may still begin, and from when.
	quick     int
	quickAt   time.Duration
	nextRound time.Duration // not before that the next round
}

// NewSchedule returns the schedule of an endpoint that starts now.
func NewSchedule(cfg Config, now time.Duration) Schedule {
	cfg = cfg.WithDefaults()
	return Schedule{
		enabled:      cfg.Enabled(),
		interval:     cfg.Interval,
		idleInterval: max(cfg.Interval, cfg.IdleInterval),
		jitter:       max(cfg.Jitter, 0),
		fall:         cfg.Fall,
		began:        now + max(cfg.InitialDelay, 0),
	}
}

// Next returns when the next check is due, now where that is past and [Never]
// while one is running or where none is configured. idle says that the service
// sees no traffic; when that changes, ask again. rnd is from [0,1) and spreads
// the interval, anew each time it is asked.
func (s *Schedule) Next(now time.Duration, idle bool, rnd float64) time.Duration {
	due := s.began
	switch {
	case s.running || !s.enabled:
		return Never
	case s.quick > 0:
		due = s.quickAt
	case s.checked && idle:
		due += s.spread(s.idleInterval, rnd)
	case s.checked:
		due += s.spread(s.interval, rnd)
	}
	return max(due, now)
}

func (s *Schedule) spread(interval time.Duration, rnd float64) time.Duration {
	return interval + time.Duration(s.jitter*(2*rnd-1)*float64(interval))
}

// Started says that a check began now, because it was due or because somebody
// asked. There is one at a time: while one runs, its result has to do for both,
// and the call does nothing.
func (s *Schedule) Started(now time.Duration) {
	if s.running {
		return
	}
	s.running, s.checked = true, true
	s.began = now
	s.runsQuick = s.quick > 0
	if s.runsQuick {
		s.quick--
	}
}

// Finished says that the running check ended now, and whether it was good. One
// whose result got lost ended too, and was not.
func (s *Schedule) Finished(now time.Duration, ok bool) {
	if !s.running {
		return
	}
	s.running = false
	if !s.runsQuick {
		return // it began before the suspicion, so it neither answers nor delays it
	}
	s.runsQuick = false
	s.quickAt = now + quickGap
	if ok {
		s.quick = 0
	}
}

// Hurry asks for quick checks because the endpoint became suspect: one at once,
// and as long as they are bad another 20 ms after each, up to fall of them. False
// and nothing happens within the initial delay, while such a round is under way,
// and less than a quarter of the interval after the last one began.
func (s *Schedule) Hurry(now time.Duration) bool {
	if !s.enabled || !s.checked || s.quick > 0 || s.runsQuick || now < s.nextRound {
		return false
	}
	s.quick = s.fall
	s.quickAt = now
	s.nextRound = now + s.interval/quickShare
	return true
}
