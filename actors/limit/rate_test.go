package limit

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/understudy-go/understudy/test/check"
)

// "5 per 1.0 s, `mode: wait`: the 6th waits until 1.0 s after the first, never more
// than 5 in any second."
func TestAcceptance29(t *testing.T) {
	r := NewRate(RateConfig{Limit: 5}, 0)
	start := 300 * time.Millisecond
	for i := range time.Duration(5) {
		check.Equal(t, 0, r.WaitFor(start+100*i*time.Millisecond, 0))
		check.Holds(t, r.Admit(start+100*i*time.Millisecond))
	}
	now := start + 500*time.Millisecond
	check.Holds(t, !r.Admit(now))
	check.Equal(t, 500*time.Millisecond, r.WaitFor(now, 0), "the 6th")
	check.Equal(t, 600*time.Millisecond, r.WaitFor(now, 1), "the 7th")
	check.Equal(t, 1500*time.Millisecond, r.WaitFor(now, 5), "the 11th")
	check.Equal(t, start+second, r.Next(now))
	check.Holds(t, !r.Admit(start+second-1))
	check.Holds(t, r.Admit(start+second))
	check.Holds(t, !r.Admit(start+second))
}

func TestRateOff(t *testing.T) {
	for _, limit := range []int{0, off} {
		r := NewRate(RateConfig{Limit: limit, Dynamic: true}, 0)
		for range 1000 {
			check.Holds(t, r.Admit(5))
		}
		check.Equal(t, off, r.Effective())
		check.Equal(t, 0, r.WaitFor(5, 1_000_000))
		check.Equal(t, 5, r.Next(5))
		check.Equal(t, never, r.AdaptAt())
		check.Holds(t, !r.Adapt(100*second, 0, 1000, 0))
		r.GiveBack(5)
		check.Equal(t, 0, len(r.log.times), "no record")
	}
}

// admitted takes n slots at now.
func admitted(r *Rate, n int, now time.Duration) (got int) {
	for range n {
		if r.Admit(now) {
			got++
		}
	}
	return got
}

func TestGiveBack(t *testing.T) {
	r := NewRate(RateConfig{Limit: 2}, 0)
	check.Holds(t, r.Admit(10))
	check.Holds(t, r.Admit(20))
	r.GiveBack(10)
	check.Holds(t, !r.Admit(30), "only the newest can be undone")
	r.GiveBack(20)
	check.Equal(t, 1, admitted(r, 2, 30))
	r.GiveBack(30)
	r.GiveBack(30)
	check.Equal(t, 1, admitted(r, 2, 40), "once")
}

func TestALateNowAdmitsNobodyEarly(t *testing.T) {
	r := NewRate(RateConfig{Limit: 2}, 0)
	check.Holds(t, r.Admit(10*second))
	check.Equal(t, 0, r.WaitFor(9*second, 0), "there is room")
	check.Holds(t, r.Admit(9*second))
	check.Holds(t, !r.Admit(10*second+999*time.Millisecond))
	check.Equal(t, 2*second, r.WaitFor(9*second, 1), "both were admitted at 10 s")
	check.Equal(t, 2, admitted(r, 3, 11*second))

	r = NewRate(RateConfig{Limit: 3}, 0)
	check.Holds(t, r.Admit(0))
	check.Equal(t, 2, admitted(r, 2, 1500*time.Millisecond))
	check.Equal(t, 0, r.WaitFor(900*time.Millisecond, 0), "as Admit will have it")
	check.Holds(t, r.Admit(900*time.Millisecond))
}

func TestConfigureKeepsHistory(t *testing.T) {
	of := func(limit int, per time.Duration) RateConfig { return RateConfig{Limit: limit, Per: per} }
	r := NewRate(of(10, second), 0)
	check.Equal(t, 10, admitted(r, 20, second))

	r.Configure(of(4, second), second)
	check.Holds(t, !r.Admit(2*second-1), "a lower limit holds at once")
	r.Configure(of(12, second), second)
	check.Equal(t, 2, admitted(r, 20, second), "a higher one too, and what was admitted still counts")

	r.Configure(of(12, 100*time.Millisecond), 1100*time.Millisecond)
	check.Equal(t, 12, admitted(r, 20, 1100*time.Millisecond), "a shorter per releases earlier")
	r.Configure(of(12, second), 1150*time.Millisecond)
	check.Holds(t, !r.Admit(2100*time.Millisecond-1), "a longer one later")
	check.Equal(t, 12, admitted(r, 20, 2100*time.Millisecond))

	r.Configure(of(12, time.Minute), 3100*time.Millisecond)
	check.Equal(t, 12, admitted(r, 20, 3100*time.Millisecond), "what was released stays so")
	check.Equal(t, 63100*time.Millisecond, r.Next(4*second))

	r.Configure(RateConfig{}, 4*second)
	check.Holds(t, r.Admit(4*second))
	r.Configure(of(12, time.Minute), 4*second)
	check.Equal(t, 12, admitted(r, 20, 4*second), "off keeps no record")
}

func TestLogTakesWhatTheWindowHolds(t *testing.T) {
	r := NewRate(RateConfig{Limit: 1_000_000}, 0)
	check.Equal(t, 0, len(r.log.times))
	now := time.Duration(0)
	for range 100_000 {
		now += 100 * time.Millisecond
		r.Admit(now)
	}
	check.Equal(t, 16, len(r.log.times), "10 of them count at a time")
	check.Equal(t, 100_000, admitted(r, 100_000, now))
	check.Equal(t, 131_072, len(r.log.times))
	r.Configure(RateConfig{Limit: 10}, now+2*second)
	check.Equal(t, 4, len(r.log.times))
}

// model keeps every admission that counts and looks through them.
type model struct {
	cfg      RateConfig
	admitted []time.Duration
}

func (m *model) counting(now time.Duration) (n int) {
	for _, at := range m.admitted {
		if at > now-m.cfg.Per {
			n++
		}
	}
	return n
}

func (m *model) configure(c RateConfig, now time.Duration) {
	m.admitted = slices.DeleteFunc(m.admitted, func(at time.Duration) bool { return at <= now-m.cfg.Per })
	m.cfg = c
}

func drawRate(t *rapid.T) RateConfig {
	return RateConfig{
		Limit:   rapid.IntRange(1, 12).Draw(t, "limit"),
		Per:     rapid.SampledFrom([]time.Duration{time.Millisecond, 10 * time.Millisecond, second, 10 * second}).Draw(t, "per"),
		Dynamic: rapid.Bool().Draw(t, "dynamic"),
	}
}

// forecast has some wait, and lets them in one by one as a supervisor would.
func forecast(t *rapid.T, r *Rate, now time.Duration) {
	future := *r
	future.log.times = slices.Clone(r.log.times)
	at := now
	for ahead := range rapid.IntRange(1, 40).Draw(t, "waiting") {
		said := now + r.WaitFor(now, ahead)
		at = future.Next(at)
		check.Equal(t, said, at, "WaitFor is what then happens, with ", ahead, " ahead")
		if at > max(now, future.log.newest()) {
			check.Holds(t, !future.Admit(at-1), "and no sooner could it be")
		}
		check.Holds(t, future.Admit(at))
	}
}

// Never more than the limit in force in any window, and never a refusal where there
// is room, whatever changes on the way.
func TestRateAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "origin"))
		cfg := drawRate(t)
		r, m := NewRate(cfg, now), &model{cfg: cfg}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"admit", "admit", "admit", "wait", "wait", "next", "give back", "adapt", "configure", "forecast"}).Draw(t, "step") {
			case "admit":
				for range rapid.IntRange(1, 15).Draw(t, "times") {
					room := m.counting(now) < r.Effective()
					check.Equal(t, room, r.Admit(now))
					if room {
						m.admitted = append(m.admitted, now)
					}
				}
			case "wait":
				now += time.Duration(rapid.Int64Range(0, int64(m.cfg.Per)).Draw(t, "wait"))
			case "next":
				now = r.Next(now)
				check.Holds(t, m.counting(now) < r.Effective())
			case "give back":
				if n := len(m.admitted); n > 0 && m.admitted[n-1] == now {
					m.admitted = m.admitted[:n-1]
				}
				r.GiveBack(now)
			case "adapt":
				ok, failed := rapid.Uint64Range(0, 50).Draw(t, "ok"), rapid.Uint64Range(0, 50).Draw(t, "failed")
				r.Adapt(now, ok, failed, time.Millisecond)
			case "configure":
				cfg := drawRate(t)
				r.Configure(cfg, now)
				m.configure(cfg, now)
			case "forecast":
				forecast(t, r, now)
			}
			check.Holds(t, 1 <= r.Effective() && r.Effective() <= m.cfg.Limit)
			check.Holds(t, m.cfg.Dynamic || r.Effective() == m.cfg.Limit)
			check.Equal(t, m.counting(now) < r.Effective(), r.WaitFor(now, 0) == 0)
		}
	})
}

func TestAVeryLongWaitIsNeverNegative(t *testing.T) {
	r := NewRate(RateConfig{Limit: 1, Per: perMax}, 0)
	check.Holds(t, r.Admit(0))
	check.Equal(t, 1000*perMax, r.WaitFor(0, 999))
	check.Equal(t, never, r.WaitFor(0, waitingMax))
}

func TestAdmitDoesNotAllocate(t *testing.T) {
	r := NewRate(RateConfig{Limit: 1000, Per: 100 * time.Millisecond}, 0)
	now := time.Duration(0)
	step := func() {
		now += 50 * time.Microsecond
		r.Admit(now)
		r.WaitFor(now, 3)
	}
	for range 10_000 {
		step()
	}
	check.Equal(t, 0, testing.AllocsPerRun(10_000, step))
}

func BenchmarkAdmit(b *testing.B) {
	r := NewRate(RateConfig{Limit: 1000}, 0)
	now := time.Duration(0)
	b.ReportAllocs()
	for b.Loop() {
		now += 2 * time.Millisecond
		if !r.Admit(now) {
			b.Fatal("refused")
		}
	}
}

func BenchmarkAdmitRefused(b *testing.B) {
	r := NewRate(RateConfig{Limit: 1000}, 0)
	admitted(r, 1000, 0)
	b.ReportAllocs()
	for b.Loop() {
		if r.Admit(1) {
			b.Fatal("admitted")
		}
	}
}

func BenchmarkWaitFor(b *testing.B) {
	r := NewRate(RateConfig{Limit: 1000}, 0)
	admitted(r, 1000, 0)
	for b.Loop() {
		r.WaitFor(1, 700)
	}
}
