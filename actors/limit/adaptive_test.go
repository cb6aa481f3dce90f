package limit

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/understudy-go/understudy/test/check"
)

// saturate keeps as many attempts of one latency in flight as the limit allows.
func saturate(a *Adaptive, now *time.Duration, span, latency time.Duration, dropped func(i int) bool) {
	i := 0
	for end := *now + span; *now < end; i++ {
		*now += latency / time.Duration(a.Limit())
		a.Observe(*now, latency, a.Limit(), dropped(i))
	}
}

func none(int) bool { return false }
func all(int) bool  { return true }

func TestFixed(t *testing.T) {
	for limit, cfg := range map[int]ConcurrencyConfig{1024: {}, 7: {Max: 7}, concurrencyMax: {Max: off}} {
		a := NewAdaptive(cfg, 0)
		now := time.Duration(0)
		for range 1000 {
			now += time.Millisecond
			a.Observe(now, second, limit, true)
		}
		check.Equal(t, limit, a.Limit())
	}
}

func TestBeginsAtInitial(t *testing.T) {
	check.Equal(t, 20, NewAdaptive(itself, 0).Limit())
	check.Equal(t, 5, NewAdaptive(ConcurrencyConfig{Adaptive: true, Max: 5}, 0).Limit())
	check.Equal(t, 50, NewAdaptive(ConcurrencyConfig{Adaptive: true, Min: 50}, 0).Limit())
	check.Equal(t, 9, NewAdaptive(ConcurrencyConfig{Adaptive: true, Initial: 9}, 0).Limit())
}

// Without a queue each window adds the square root of the limit.
func TestGrows(t *testing.T) {
	a := NewAdaptive(ConcurrencyConfig{Adaptive: true, Max: 200}, 0)
	now := time.Duration(0)
	saturate(a, &now, 250*time.Millisecond, 10*time.Millisecond, none)
	check.Equal(t, 24, a.Limit(), "20 + √20 after the first window")
	saturate(a, &now, 10*second, 10*time.Millisecond, none)
	check.Equal(t, 200, a.Limit(), "up to max")
}

func TestFallsByLatency(t *testing.T) {
	a := NewAdaptive(ConcurrencyConfig{Adaptive: true, Initial: 100}, 0)
	now := time.Duration(0)
	next := func(latency time.Duration) int {
		for before := a.limit; a.limit == before; {
			saturate(a, &now, time.Millisecond, latency, none)
		}
		return a.Limit()
	}
	check.Equal(t, 110, next(10*time.Millisecond))
	check.Equal(t, 120, next(12*time.Millisecond), "what is tolerated is no queue")
	check.Equal(t, 68, next(60*time.Millisecond), "120/2 + √60: at most by half in one window")
}

func TestFallsByDrops(t *testing.T) {
	a := NewAdaptive(ConcurrencyConfig{Adaptive: true, Initial: 512, Min: 3}, 0)
	now := time.Duration(0)
	saturate(a, &now, second, 10*time.Millisecond, all)
	check.Holds(t, a.Limit() < 20, "halves in each window: ", a.Limit())
	saturate(a, &now, second, 10*time.Millisecond, all)
	check.Equal(t, 3, a.Limit(), "down to min")

	saturate(a, &now, 20*second, 10*time.Millisecond, func(i int) bool { return i%50 == 0 })
	check.Holds(t, a.Limit() > 200, "2 % that time out at any load do not hold it down: ", a.Limit())
}

// What was dropped at once, refused by an overloaded server say, is no good latency.
func TestDropsDoNotLookFast(t *testing.T) {
	a := NewAdaptive(itself, 0)
	now := time.Duration(0)
	for i := range 10_000 {
		now += time.Millisecond
		latency, dropped := 100*time.Millisecond, i%2 == 0
		if dropped {
			latency = time.Microsecond
		}
		a.Observe(now, latency, a.Limit(), dropped)
	}
	check.Equal(t, float64(100*time.Millisecond), a.base)
}

func TestWhatAProbeSays(t *testing.T) {
	const ms = float64(time.Millisecond)
	for _, tc := range []struct {
		about      string
		at         time.Duration
		mean, want float64
		next       time.Duration
	}{
		{"within a quarter: smoothed", 10 * second, 11 * ms, 10.3 * ms, 15 * second},
		{"so downward", 10 * second, 9 * ms, 9.7 * ms, 15 * second},
		{"clearly above", 10 * second, 30 * ms, 30 * ms, 15 * second},
		{"clearly below: again soon", 10 * second, 5 * ms, 5 * ms, 11 * second},
		{"an irregular one lowers", 12 * second, 5 * ms, 5 * ms, 13 * second},
		{"and smooths", 12 * second, 9 * ms, 9.7 * ms, 15 * second},
		{"but never raises", 12 * second, 11 * ms, 10 * ms, 15 * second},
		{"by nothing", 12 * second, 30 * ms, 10 * ms, 15 * second},
		{"no answer, no word", 10 * second, 0, 10 * ms, 15 * second},
	} {
		a := NewAdaptive(itself, 0)
		a.base, a.probeAt = 10*ms, tc.at
		a.probed(tc.at+300*time.Millisecond, tc.mean)
		check.Holds(t, math.Abs(a.base-tc.want) < 1, tc.about, ": ", a.base)
		check.Equal(t, tc.next, a.probeAt, tc.about)
	}
}

// Where the limit is not needed, the latency is that without a queue.
func TestLearnsFromRest(t *testing.T) {
	a := NewAdaptive(itself, 0)
	now := time.Duration(0)
	rest := func(latency time.Duration) float64 {
		for range 10_000 {
			now += 10 * time.Millisecond
			a.Observe(now, latency, 3, false)
		}
		return a.base
	}
	check.Equal(t, float64(10*time.Millisecond), rest(10*time.Millisecond))
	check.Holds(t, rest(30*time.Millisecond) > 29e6, a.base)
	check.Holds(t, rest(5*time.Millisecond) < 6e6, a.base)
	check.Equal(t, 20, a.Limit())
}

func TestProbesAreSynchronous(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := rapid.Int64Range(0, int64(time.Hour))
		now, clock := time.Duration(draw.Draw(t, "now")), time.Duration(draw.Draw(t, "origin"))
		one, other := NewAdaptive(itself, 2*time.Hour), NewAdaptive(itself, 2*time.Hour-clock)
		for _, every := range []time.Duration{probeEvery, probeSoon} {
			at := one.slot(now, every)
			check.Equal(t, at+clock, other.slot(now+clock, every))
			check.Holds(t, now < at && at <= now+every)
		}
	})
}

func TestConfigureAdaptive(t *testing.T) {
	a := NewAdaptive(ConcurrencyConfig{Max: 50}, 0)
	check.Equal(t, 50, a.Limit())
	a.Configure(itself)
	check.Equal(t, 20, a.Limit(), "adaptive from now on")
	now := time.Duration(0)
	saturate(a, &now, 500*time.Millisecond, 10*time.Millisecond, none)
	found := a.Limit()
	check.Holds(t, found > 20)
	a.Configure(ConcurrencyConfig{Adaptive: true, Max: 900, Initial: 2})
	check.Equal(t, found, a.Limit(), "what was found stays")
	a.Configure(ConcurrencyConfig{Adaptive: true, Max: 21})
	check.Equal(t, 21, a.Limit())
	a.Configure(ConcurrencyConfig{Adaptive: true, Min: 100})
	check.Equal(t, 100, a.Limit())
	a.Configure(ConcurrencyConfig{Max: 3})
	check.Equal(t, 3, a.Limit())
}

// Whatever is observed, the limit stays within its bounds and is a number.
func TestLimitStaysInBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := ConcurrencyConfig{Adaptive: true,
			Min: rapid.IntRange(1, 30).Draw(t, "min"), Max: rapid.SampledFrom([]int{30, 1000, off}).Draw(t, "max")}
		a := NewAdaptive(c, 0)
		now := time.Duration(0)
		for range rapid.IntRange(1, 300).Draw(t, "bursts") {
			pause := time.Duration(rapid.Int64Range(0, int64(100*time.Millisecond)).Draw(t, "pause"))
			latency := rapid.SampledFrom([]time.Duration{0, 1, time.Microsecond, time.Second, time.Hour}).Draw(t, "latency")
			inflight := rapid.SampledFrom([]int{0, 1, a.Limit()}).Draw(t, "inflight")
			dropped := rapid.Bool().Draw(t, "dropped")
			for range rapid.IntRange(1, 50).Draw(t, "times") {
				now += pause
				a.Observe(now, latency, inflight, dropped)
				check.Holds(t, a.Limit() >= c.Min && a.Limit() <= c.most(), a.Limit())
			}
		}
		check.Holds(t, a.base >= 0 && a.base <= float64(time.Hour), a.base)
	})
}

func TestObserveDoesNotAllocate(t *testing.T) {
	a := NewAdaptive(itself, 0)
	now := time.Duration(0)
	check.Equal(t, 0, testing.AllocsPerRun(10_000, func() {
		now += 100 * time.Microsecond
		a.Observe(now, 10*time.Millisecond, a.Limit(), false)
	}))
}

func BenchmarkObserve(b *testing.B) {
	a := NewAdaptive(itself, 0)
	now := time.Duration(0)
	b.ReportAllocs()
	for b.Loop() {
		now += 10 * time.Microsecond
		a.Observe(now, 10*time.Millisecond, a.Limit(), false)
	}
}
