package health

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/check"
)

const (
	refused = messages.ConnectFailure
	failure = messages.Failure
	timeout = messages.Timeout
)

func TestWhatRaisesSuspicion(t *testing.T) {
	for _, c := range []struct {
		name   string
		see    func(s *Suspicion)
		reason string // empty: not suspect
	}{
		{"nothing", func(*Suspicion) {}, ""},
		{"one connection failure", func(s *Suspicion) { s.Failure(1, refused) }, "no connection"},
		{"one failure", func(s *Suspicion) { s.Failure(1, failure) }, ""},
		{"one timeout", func(s *Suspicion) { s.Failure(1, timeout) }, ""},
		{"two in a row", func(s *Suspicion) { s.Failure(1, failure); s.Failure(2, timeout) }, "2 failures in a row"},
		{"two with a success between", func(s *Suspicion) { s.Failure(1, failure); s.GoodCall(2); s.Failure(3, failure) }, ""},
		{"two with a good check between", func(s *Suspicion) { s.Failure(1, failure); s.GoodCheck(2); s.Failure(3, failure) }, "2 failures in a row"},
		{"a failed check", func(s *Suspicion) { s.CheckFailed(1) }, "a check failed"},
		{"no failures at all", func(s *Suspicion) {
			s.Failure(1, messages.Ignored)
			s.Failure(2, messages.Success)
			s.Failure(3, messages.Ignored)
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s Suspicion
			c.see(&s)
			check.Equal(t, c.reason != "", s.Suspect())
			check.Equal(t, c.reason, s.Reason())
		})
	}
}

func TestWhatClearsSuspicion(t *testing.T) {
	live := func(s *Suspicion) { s.Failure(1, failure); s.Failure(2, failure) }
	connection := func(s *Suspicion) { s.Failure(2, refused) }
	badCheck := func(s *Suspicion) { s.CheckFailed(2) }
	for _, c := range []struct {
		name            string
		raise           []func(s *Suspicion)
		goodCheckClears bool
	}{
		{"failed calls", []func(*Suspicion){live}, false},
		{"a connection failure", []func(*Suspicion){connection}, true},
		{"a check", []func(*Suspicion){badCheck}, true},
		{"a badCheck, then failed calls", []func(*Suspicion){badCheck, live}, false},
		{"failed calls, then no connection", []func(*Suspicion){live, connection}, false},
		{"failed calls, then a check", []func(*Suspicion){live, badCheck}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			raised := func() *Suspicion {
				s := new(Suspicion)
				for _, raise := range c.raise {
					raise(s)
				}
				check.Holds(t, s.Suspect())
				return s
			}
			s := raised()
			check.Holds(t, s.GoodCall(2), "a good call always")
			check.Holds(t, !s.Suspect())
			check.Holds(t, !s.GoodCall(3), "nothing left to clear")

			s = raised()
			check.Holds(t, !s.GoodCall(1), "it was on its way before")
			check.Holds(t, !s.GoodCheck(1))
			check.Holds(t, s.Suspect())

			s = raised()
			check.Equal(t, c.goodCheckClears, s.GoodCheck(3))
			check.Equal(t, !c.goodCheckClears, s.Suspect())
		})
	}
}

func TestSuspicionFadesTwiceAsSlowlyEachTimeInARow(t *testing.T) {
	var s Suspicion
	now := time.Duration(0)
	raise := func() time.Duration {
		check.Holds(t, s.Failure(now, refused))
		return s.Until() - now
	}
	fade := func() {
		check.Holds(t, !s.Fade(s.Until()-1))
		check.Holds(t, s.Suspect())
		now = s.Until()
		check.Holds(t, s.Fade(now))
		check.Holds(t, !s.Suspect())
		check.Equal(t, 0, s.Until())
		check.Holds(t, !s.Fade(now), "once")
	}
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 30, 30, 30} {
		check.Equal(t, want*time.Second, raise())
		check.Equal(t, uint32(i)+1, s.Epoch())
		fade()
	}
	s.GoodCheck(now)
	check.Equal(t, time.Second, raise(), "a good check ended the row, though the suspicion had faded")
	fade()
	check.Equal(t, 2*time.Second, raise())
	check.Equal(t, "no connection; suspected 2 times in a row", s.Reason())
	fade()
	s.GoodCall(now)
	check.Equal(t, time.Second, raise(), "as does a good call")
}

func TestNewEvidenceRestartsTheTimeAndIsNoNewSuspicion(t *testing.T) {
	var s Suspicion
	check.Holds(t, s.Failure(0, refused))
	check.Holds(t, !s.Failure(900*time.Millisecond, refused))
	check.Equal(t, 1, s.Epoch())
	check.Equal(t, 1900*time.Millisecond, s.Until())
	check.Holds(t, !s.Fade(time.Second))
}

func TestANewSuspicionHasItsOwnCause(t *testing.T) {
	var s Suspicion
	s.Failure(1, failure)
	s.Failure(2, failure)
	check.Holds(t, s.Fade(time.Hour))
	check.Holds(t, s.CheckFailed(time.Hour))
	check.Equal(t, "a check failed; suspected 2 times in a row", s.Reason())
	check.Holds(t, s.GoodCheck(time.Hour), "failures raised only the one before")
}

func TestUnreachableIsTheLatestWord(t *testing.T) {
	var s Suspicion
	step := func(want bool, see func()) { t.Helper(); see(); check.Equal(t, want, s.Unreachable()) }
	step(false, func() {})
	step(true, func() { s.Failure(1, refused) })
	step(true, func() { s.Fade(time.Hour) })
	step(false, func() { s.Failure(2, failure) }) // an error is an answer
	step(false, func() { s.CheckFailed(3) })      // nobody knows why
	step(true, func() { s.Failure(5, refused) })
	step(true, func() { s.CheckFailed(5) })
	step(true, func() { s.GoodCheck(4) })
	step(false, func() { s.GoodCheck(5) })
	step(true, func() { s.Failure(6, refused) })
	step(false, func() { s.GoodCall(0) }) // it came back, whenever it began
}

// The model keeps everything that was seen and works the suspicion out anew.
type seen struct {
	at   time.Duration
	what int // of the actions below
}

const (
	sawRefused = iota
	sawFailure
	sawCheckFailed
	sawGoodCall
	sawGoodCheck
	sawTime
)

func model(past []seen) (until time.Duration, epochs int) {
	var raisedBy []int // evidence of the standing or faded suspicion
	run, row := 0, 0
	evidence := func(e seen, what int) {
		if until == 0 {
			epochs, row, raisedBy = epochs+1, row+1, nil
		}
		raisedBy = append(raisedBy, what)
		until = e.at + time.Duration(math.Min(math.Exp2(float64(row-1)), 30))*time.Second
	}
	answered := func() { until, row, raisedBy = 0, 0, nil }
	for _, e := range past {
		switch e.what {
		case sawRefused:
			run++
			evidence(e, sawRefused)
		case sawFailure:
			if run++; run >= 2 {
				evidence(e, sawFailure)
			}
		case sawCheckFailed:
			evidence(e, sawCheckFailed)
		case sawGoodCall:
			run = 0
			answered()
		case sawGoodCheck:
			live := false
			for _, what := range raisedBy {
				live = live || what == sawFailure
			}
			if !live {
				answered()
			}
		case sawTime:
			if until > 0 && e.at >= until {
				until = 0
			}
		}
	}
	return until, epochs
}

func TestSuspicionAgreesWithTheNaiveModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s Suspicion
		var past []seen
		now := time.Duration(0)
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			now += time.Duration(rapid.IntRange(0, 2500).Draw(t, "ms")) * time.Millisecond
			e := seen{now, rapid.IntRange(sawRefused, sawTime).Draw(t, "what")}
			suspect, epoch := s.Suspect(), s.Epoch()
			var changed bool
			switch e.what {
			case sawRefused:
				changed = s.Failure(now, refused)
			case sawFailure:
				changed = s.Failure(now, rapid.SampledFrom([]messages.Outcome{failure, timeout}).Draw(t, "outcome"))
			case sawCheckFailed:
				changed = s.CheckFailed(now)
			case sawGoodCall:
				changed = s.GoodCall(now)
			case sawGoodCheck:
				changed = s.GoodCheck(now)
			case sawTime:
				changed = s.Fade(now)
			}
			past = append(past, e)
			until, epochs := model(past)
			check.Equal(t, until, s.Until())
			check.Equal(t, uint32(epochs), s.Epoch())
			check.Equal(t, until > 0, s.Suspect())
			check.Equal(t, suspect != s.Suspect(), changed)
			check.Equal(t, s.Suspect() && !suspect, s.Epoch() != epoch, "an epoch per suspicion")
			check.Holds(t, s.Until() <= now+fadeMax)
		}
	})
}

func TestSuspicionDoesNotAllocate(t *testing.T) {
	var s Suspicion
	check.Equal(t, 0, testing.AllocsPerRun(100, func() {
		s.GoodCall(1)
		s.Failure(2, failure)
		s.Failure(3, refused)
		s.Fade(4)
	}))
}

func BenchmarkGoodCall(b *testing.B) {
	var s Suspicion
	now := time.Duration(0)
	for b.Loop() {
		now++
		s.GoodCall(now)
	}
}
