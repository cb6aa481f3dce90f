package health

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/understudy-go/understudy/test/check"
)

const (
	ms     = time.Millisecond
	middle = 0.5 // the random number that changes no interval
)

// due is when the next check is due while there is traffic, told at 0.
func due(s *Schedule) time.Duration { return s.Next(0, false, middle) }

// perform runs a check from begin to end.
func perform(t *testing.T, s *Schedule, begin, end time.Duration, ok bool) {
	t.Helper()
	s.Started(begin)
	check.Equal(t, Never, due(s), "at most one at a time")
	s.Started(begin + 1)
	s.Finished(end, ok)
}

func scheduled(cfg Config, now time.Duration) *Schedule {
	s := NewSchedule(cfg, now)
	return &s
}

// "First probe after the initial delay, then every period (3 s, 5 s)"
func TestPeriod(t *testing.T) {
	s := scheduled(Config{TCP: &TCPCheck{}, InitialDelay: 3 * time.Second, Interval: 5 * time.Second}, 7*time.Second)
	check.Equal(t, 10*time.Second, due(s))
	perform(t, s, 10*time.Second, 10*time.Second+100*ms, true)
	check.Equal(t, 15*time.Second, due(s))
	perform(t, s, 15*time.Second, 15*time.Second+100*ms, false)
	check.Equal(t, 20*time.Second, due(s))
	check.Equal(t, 21*time.Second, s.Next(21*time.Second, false, middle), "overdue: now")

	check.Equal(t, 4, due(scheduled(checked, 4)), "no delay by default")
}

func TestNothingIsDueWithoutACheck(t *testing.T) {
	s := scheduled(Config{}, 0)
	check.Equal(t, Never, due(s))
	perform(t, s, 1, 2, false) // on demand
	check.Holds(t, !s.Hurry(3))
	check.Equal(t, Never, due(s))
}

func TestJitter(t *testing.T) {
	for _, c := range []struct {
		jitter, rnd float64
		want        time.Duration
	}{
		{0, 0, 1800 * ms}, {0, 0.5, 2000 * ms}, {0, 0.75, 2100 * ms}, {0.5, 0, 1000 * ms}, {off, 0, 2000 * ms},
	} {
		s := scheduled(Config{TCP: &TCPCheck{}, Jitter: c.jitter}, 0)
		check.Equal(t, 0, s.Next(0, false, c.rnd), "the initial delay is exact")
		perform(t, s, 0, 0, true)
		check.Equal(t, c.want, s.Next(0, false, c.rnd).Round(time.Microsecond), c)
	}
}

func TestIdle(t *testing.T) {
	next := func(idleInterval time.Duration, checks int) (idle, busy time.Duration) {
		s := scheduled(Config{TCP: &TCPCheck{}, IdleInterval: idleInterval}, 0)
		for range checks {
			perform(t, s, 0, 0, true)
		}
		return s.Next(0, true, middle), s.Next(0, false, middle)
	}
	for _, c := range []struct {
		idleInterval time.Duration
		checks       int
		idle, busy   time.Duration
		about        string
	}{
		{0, 0, 0, 0, "the first check needs no traffic"},
		{0, 1, time.Minute, 2 * time.Second, "when traffic comes back, as if it had never been longer"},
		{off, 1, 2 * time.Second, 2 * time.Second, "off"},
		{time.Second, 1, 2 * time.Second, 2 * time.Second, "never shorter than the interval"},
	} {
		idle, busy := next(c.idleInterval, c.checks)
		check.Equal(t, []time.Duration{c.idle, c.busy}, []time.Duration{idle, busy}, c.about)
	}
}

func TestQuickChecks(t *testing.T) {
	started := func() *Schedule {
		s := scheduled(checked, 0)
		perform(t, s, 0, 0, true)
		return s
	}
	t.Run("at once, 20 ms apart, up to fall", func(t *testing.T) {
		s := started()
		check.Holds(t, s.Hurry(500*ms))
		check.Equal(t, 500*ms, due(s))
		check.Equal(t, 500*ms, s.Next(0, true, 0), "traffic or not")
		perform(t, s, 500*ms, 510*ms, false)
		check.Equal(t, 530*ms, due(s))
		perform(t, s, 530*ms, 540*ms, false)
		check.Equal(t, 560*ms, due(s))
		perform(t, s, 560*ms, 570*ms, false)
		check.Equal(t, 2560*ms, due(s), "then the interval again")
	})
	t.Run("a good one ends them", func(t *testing.T) {
		s := started()
		s.Hurry(500 * ms)
		perform(t, s, 500*ms, 510*ms, false)
		perform(t, s, 530*ms, 540*ms, true)
		check.Equal(t, 2530*ms, due(s))
	})
	t.Run("not more often than a quarter of the interval", func(t *testing.T) {
		s := started()
		check.Holds(t, s.Hurry(500*ms))
		check.Holds(t, !s.Hurry(500*ms), "under way")
		perform(t, s, 500*ms, 510*ms, true)
		check.Holds(t, !s.Hurry(999*ms))
		check.Equal(t, 2500*ms, due(s))
		check.Holds(t, s.Hurry(1000*ms))
	})
	t.Run("not within a round, however long it takes", func(t *testing.T) {
		s := started()
		s.Hurry(500 * ms)
		for i := range 3 {
			s.Started(due(s))
			check.Holds(t, !s.Hurry(time.Duration(i+1)*time.Second), i)
			s.Finished(time.Duration(i+2)*time.Second, false)
		}
		check.Holds(t, s.Hurry(5*time.Second))
	})
	t.Run("a check under way at the time proves nothing", func(t *testing.T) {
		s := started()
		s.Started(2 * time.Second)
		check.Holds(t, s.Hurry(2100*ms))
		s.Finished(2200*ms, true)
		check.Equal(t, 2200*ms, s.Next(2200*ms, false, middle), "at once")
		perform(t, s, 2200*ms, 2210*ms, false)
		perform(t, s, 2230*ms, 2240*ms, false)
		perform(t, s, 2260*ms, 2270*ms, false)
		check.Equal(t, 4260*ms, due(s), "fall of them in all")
	})
	t.Run("not within the initial delay", func(t *testing.T) {
		s := scheduled(Config{TCP: &TCPCheck{}, InitialDelay: 3 * time.Second}, 0)
		check.Holds(t, !s.Hurry(time.Second))
		check.Equal(t, 3*time.Second, due(s))
	})
}

func TestFinishedWithoutAStartDoesNothing(t *testing.T) {
	s := scheduled(checked, 0)
	s.Finished(5, true)
	check.Equal(t, 0, due(s))
}

// happened is what befell a schedule; the model below works out from the whole
// past when the next check is due.
type happened struct {
	what    string // hurry, start, good, bad
	at      time.Duration
	hurried bool // of a hurry: it was granted
}

// round is the newest granted hurry with what came since, how many quick checks it
// may still have, and whether the newest check is one of them.
func round(past []happened, fall int) (since []happened, left int, quick bool) {
	for i := len(past) - 1; i >= 0 && since == nil; i-- {
		if past[i].hurried {
			since, left = past[i:], fall
		}
	}
	for _, e := range since {
		switch {
		case e.what == "start":
			quick = left > 0
			left = max(left-1, 0)
		case e.what == "good" && quick:
			left = 0
		}
	}
	return since, left, quick
}

func last(past []happened, whats ...string) (happened, bool) {
	for i := len(past) - 1; i >= 0; i-- {
		for _, what := range whats {
			if past[i].what == what {
				return past[i], true
			}
		}
	}
	return happened{}, false
}

// A prober that does as it is told, with checks that take any time and suspicions
// at any moment: what the endpoint gets to bear stays in bounds.
func TestScheduleAgreesWithTheNaiveModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := anyConfig(t)
		created := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "created"))
		s := NewSchedule(cfg, created)
		cfg = cfg.WithDefaults()
		now := created
		var past []happened
		running := false
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			rnd, idle := rapid.Float64Range(0, 0.999).Draw(t, "rnd"), rapid.Bool().Draw(t, "idle")
			next := s.Next(now, idle, rnd)
			begun, checkedBefore := last(past, "start")
			since, left, quick := round(past, cfg.Fall)
			ended, _ := last(since, "good", "bad")
			interval := cfg.Interval
			if idle {
				interval = max(interval, cfg.IdleInterval)
			}
			jitter := max(cfg.Jitter, 0)
			switch {
			case running:
				check.Equal(t, Never, next)
			case !checkedBefore:
				check.Equal(t, max(now, created+max(cfg.InitialDelay, 0)), next, "the first")
			case left > 0 && quick:
				check.Equal(t, max(now, ended.at+20*ms), next, "quick")
			case left > 0:
				check.Equal(t, now, next, "quick, the first")
			default:
				lo := begun.at + time.Duration(float64(interval)*(1-jitter)) - 1
				hi := begun.at + time.Duration(float64(interval)*(1+jitter)) + 1
				check.Holds(t, next >= max(lo, now) && next <= max(hi, now), lo, next, hi)
			}

			switch what := rapid.SampledFrom([]string{"check", "check", "check", "hurry", "pause"}).Draw(t, "what"); {
			case what == "hurry":
				underWay := left > 0 || running && quick
				want := checkedBefore && !underWay && (since == nil || now >= since[0].at+cfg.Interval/4)
				check.Equal(t, want, s.Hurry(now), "hurry")
				past = append(past, happened{what: "hurry", at: now, hurried: want})
			case what == "pause":
				now += time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "pause"))
			case running:
				now += time.Duration(rapid.Int64Range(0, int64(2*time.Second)).Draw(t, "takes"))
				good := rapid.Bool().Draw(t, "good")
				s.Finished(now, good)
				running = false
				past = append(past, happened{what: map[bool]string{true: "good", false: "bad"}[good], at: now})
			default:
				now = next
				s.Started(now)
				running = true
				past = append(past, happened{what: "start", at: now})
			}
		}
	})
}
