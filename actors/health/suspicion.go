package health

import (
	"fmt"
	"time"

	"github.com/understudy-go/understudy/messages"
)

const (
	fadeMin = time.Second
	fadeMax = 30 * time.Second
)

// cause is what raised a suspicion: it decides which evidence can answer it. The
// order matters, see [Suspicion.raise].
type cause uint8

const (
	byCheck      cause = iota + 1 // a check failed
	byConnection                  // no connection
	byFailures                    // calls fail: a good check proves nothing against it
)

// Suspicion is the quick, soft reaction to trouble: a suspect endpoint ranks
// last, and that is all. The zero value is an endpoint that nobody suspects.
//
//	        one connection failure, two failures in a row, a failed check
//	clear ───────────────────────────────────────────────────────────────▶ suspect
//	      ◀───────────────────────────────────────────────────────────────
//	        a good call; a good check, unless failures raised it; time
//
// It fades by itself 1 s after the newest evidence, twice as long each time in a
// row, at most 30 s. "In a row" means without evidence to the contrary in
// between: what clears a suspicion, standing or faded, starts again at 1 s, and
// fading alone does not. New evidence while suspect restarts the time and is no
// new suspicion.
//
// While a breaker is open, rank does not matter, so the owner need not look.
type Suspicion struct {
	at          time.Duration // when the newest evidence came
	until       time.Duration // when it fades; 0: not suspect
	epoch       uint32
	run         uint32 // failed calls in a row
	streak      uint32 // suspicions in a row
	cause       cause  // of the newest suspicion, kept when it has faded
	unreachable bool
}

// Failure takes a call that failed and came back now. It reports whether that
// raised the suspicion: then there is a new epoch to tell, and the endpoint is
// worth a quick check. Outcomes that are no failures do nothing.
func (s *Suspicion) Failure(now time.Duration, o messages.Outcome) (raised bool) {
	if !o.Failed() {
		return false
	}
	s.run++
	s.unreachable = o == messages.ConnectFailure
	switch {
	case s.unreachable:
		return s.raise(now, byConnection)
	case s.run >= 2:
		return s.raise(now, byFailures)
	}
	return false
}

// CheckFailed takes a failed check that came back now, and reports as
// [Suspicion.Failure] does. An endpoint that is unhealthy already needs no
// suspicion.
func (s *Suspicion) CheckFailed(now time.Duration) (raised bool) { return s.raise(now, byCheck) }

// CheckOutcome takes what a failed check came to: whether it found a connection is
// the latest evidence of whether one can be made. A timeout says neither.
func (s *Suspicion) CheckOutcome(o messages.Outcome) {
	switch o {
	case messages.ConnectFailure:
		s.unreachable = true
	case messages.Failure, messages.Success:
		s.unreachable = false
	}
}

// raise is the only way to be suspect.
func (s *Suspicion) raise(now time.Duration, why cause) (raised bool) {
	raised = s.until == 0
	if raised {
		s.epoch++
		s.streak++
		s.cause = why
	}
	// The cause hardest to answer stands: once calls fail, a green health page
	// does not clear it.
	s.cause = max(s.cause, why)
	s.at = now
	s.until = now + min(fadeMin<<min(s.streak-1, 5), fadeMax)
	return raised
}

// GoodCall takes a call that succeeded, by the time at which it began, and
// reports whether that cleared the suspicion. An answer that was on its way when
// the evidence came proves nothing about the time after it, so a call that began
// before leaves the suspicion standing; give the time of return to clear it in
// any case.
func (s *Suspicion) GoodCall(began time.Duration) (cleared bool) {
	if s.run|s.streak == 0 {
		return false // nearly every call
	}
	s.run = 0
	s.unreachable = false
	return began >= s.at && s.clear()
}

// GoodCheck takes a check that was good, by the time at which it began, and
// reports whether that cleared the suspicion. It never does where failed calls
// raised it: a service that answers errors while its health page is green is not
// well.
func (s *Suspicion) GoodCheck(began time.Duration) (cleared bool) {
	if began < s.at {
		return false
	}
	s.unreachable = false
	return s.cause != byFailures && s.clear()
}

// clear ends the suspicion and the row of them.
func (s *Suspicion) clear() (cleared bool) {
	cleared = s.until > 0
	s.until, s.streak, s.cause = 0, 0, 0
	return cleared
}

// Fade ends the suspicion if its time is over, and reports whether it did.
func (s *Suspicion) Fade(now time.Duration) (faded bool) {
	if s.until == 0 || now < s.until {
		return false
	}
	s.until = 0
	return true
}

// Suspect reports whether the endpoint is suspect. Time alone does not change
// it: [Suspicion.Fade] does.
func (s *Suspicion) Suspect() bool { return s.until > 0 }

// Until returns when the suspicion fades; 0 while there is none.
func (s *Suspicion) Until() time.Duration { return s.until }

// Epoch counts the suspicions so far, so that a new one can be told from the
// repetition of an old one.
func (s *Suspicion) Epoch() uint32 { return s.epoch }

// Unreachable reports whether, by the latest evidence, no connection can be made:
// panic mode leaves such an endpoint out. Time does not change it.
func (s *Suspicion) Unreachable() bool { return s.unreachable }

// Reason says in words what raised the suspicion; empty while there is none.
func (s *Suspicion) Reason() string {
	if s.until == 0 {
		return ""
	}
	words := "a check failed"
	switch {
	case s.cause == byConnection:
		words = "no connection"
	case s.cause == byFailures && s.run > 1:
		words = fmt.Sprintf("%d failures in a row", s.run)
	case s.cause == byFailures: // good calls that began earlier came back since
		words = "calls failed"
	}
	if s.streak > 1 {
		words += fmt.Sprintf("; suspected %d times in a row", s.streak)
	}
	return words
}
