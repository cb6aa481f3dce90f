package hedge

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/understudy-go/understudy/test/check"
)

// exact reports whether got is want, within the histogram's precision.
func exact(want, got time.Duration) bool {
	return got >= want && got-want <= max(want/100, time.Microsecond)
}

func TestDelay(t *testing.T) {
	d := NewDelays(Config{})
	for i := range 19 {
		d.Observe(0, time.Duration(i+1)*10*time.Millisecond)
	}
	_, ok := d.Delay(0)
	check.Holds(t, !ok, "19 are too few")

	d.Observe(0, 200*time.Millisecond)
	_, ok = d.Delay(freshness - 1)
	check.Holds(t, !ok, "told for 100 ms")
	got, ok := d.Delay(freshness)
	check.Holds(t, ok, "20 are enough")
	check.Holds(t, exact(190*time.Millisecond, got), "one of the 20 is slower: ", got)
}

func TestSamplesMin(t *testing.T) {
	for quantile, want := range map[float64]int64{0.5: 20, 0.9: 20, 0.95: 20, 0.96: 25, 0.97: 34, 0.99: 100, 0.999: 1000} {
		check.Equal(t, want, samplesMin(quantile), quantile)
	}
}

func TestFixedDelay(t *testing.T) {
	d := NewDelays(Config{Delay: 10 * time.Microsecond})
	for range 100 {
		d.Observe(0, time.Second)
	}
	for _, now := range []time.Duration{0, time.Hour, 1e6 * time.Hour} {
		got, ok := d.Delay(now)
		check.Holds(t, ok)
		check.Equal(t, 10*time.Microsecond, got, "min_delay is for the live one")
	}
}

func TestMinDelay(t *testing.T) {
	for _, tc := range []struct{ min, latency, want time.Duration }{
		{0, 50 * time.Microsecond, time.Millisecond},
		{0, 2 * time.Millisecond, 2 * time.Millisecond},
		{10 * time.Millisecond, 2 * time.Millisecond, 10 * time.Millisecond},
		{off, 50 * time.Microsecond, 50 * time.Microsecond},
		{off, 0, 0},
		{off, -time.Second, 0},
		{off, time.Hour, 5 * time.Minute}, // longer ones are not told apart
	} {
		d := NewDelays(Config{MinDelay: tc.min})
		for range 20 {
			d.Observe(0, tc.latency)
		}
		got, ok := d.Delay(0)
		check.Holds(t, ok && exact(tc.want, got), tc, " ", got)
	}
}

func TestTheWindowForgets(t *testing.T) {
	d := NewDelays(Config{})
	observe := func(now, latency time.Duration, times int) {
		for range times {
			d.Observe(now, latency)
		}
	}
	at := func(now time.Duration) time.Duration {
		got, ok := d.Delay(now)
		check.Equal(t, ok, got > 0)
		return got
	}
	observe(9*time.Second, time.Second, 100)
	check.Holds(t, exact(time.Second, at(9*time.Second)))
	check.Holds(t, exact(time.Second, at(60*time.Second-freshness)), "51 s later it still counts")
	check.Equal(t, 0, at(60*time.Second), "and no more after 60 s")

	observe(60*time.Second, 10*time.Millisecond, 100)
	observe(70*time.Second, 20*time.Millisecond, 100)
	check.Holds(t, exact(20*time.Millisecond, at(70*time.Second)))
	observe(125*time.Second, 5*time.Millisecond, 100)
	check.Holds(t, exact(20*time.Millisecond, at(125*time.Second)), "the slice of 60 s is gone, that of 70 s is not")
	check.Holds(t, exact(5*time.Millisecond, at(130*time.Second)))

	// Who read the clock before another one brought the time forward counts, and
	// turns nothing back.
	observe(100*time.Second, time.Minute, 900)
	check.Holds(t, exact(time.Minute, at(131*time.Second)))
	check.Holds(t, exact(time.Minute, at(180*time.Second)))
	check.Equal(t, 0, at(190*time.Second))
	check.Equal(t, 0, at(1e6*time.Hour), "after a long silence all is forgotten")
}

// The model keeps every latency and sorts.
func TestAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type seen struct{ at, latency time.Duration }
		quantile := rapid.SampledFrom([]float64{0, 0.5, 0.9, 0.95, 0.99}).Draw(t, "quantile")
		d := NewDelays(Config{Quantile: quantile, MinDelay: off})
		if quantile == 0 {
			quantile = 0.95
		}
		now := time.Duration(rapid.Int64Range(0, int64(1000*time.Hour)).Draw(t, "origin"))
		var all []seen
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now += rapid.SampledFrom([]time.Duration{0, time.Millisecond, time.Second, 9 * time.Second, 25 * time.Second, 2 * time.Minute}).Draw(t, "wait")
			latency := rapid.Int64Range(0, int64(rapid.SampledFrom([]time.Duration{time.Microsecond, time.Millisecond, time.Second, 5 * time.Minute}).Draw(t, "scale")))
			for range rapid.IntRange(0, 30).Draw(t, "calls") {
				s := seen{now, time.Duration(latency.Draw(t, "latency"))}
				d.Observe(s.at, s.latency)
				all = append(all, s)
			}
			now += freshness // so that none is told from before
			got, ok := d.Delay(now)

			var inWindow []time.Duration
			for _, s := range all {
				if now/sliceTime-s.at/sliceTime < 6 {
					inWindow = append(inWindow, s.latency)
				}
			}
			slices.Sort(inWindow)
			n := len(inWindow)
			check.Equal(t, float64(n) >= max(20, 1/(1-quantile)-1e-9), ok, n, " latencies")
			if ok {
				rank := int(quantile*float64(n) + 0.5) // the nearest rank
				check.Holds(t, exact(inWindow[rank-1], got), "want ", inWindow[rank-1], ", got ", got)
			} else {
				check.Equal(t, 0, got)
			}
		}
	})
}

// With losers counted at the time they were given, as many requests are hedged as
// the quantile says; without them, more than twice as many.
func TestLosersCount(t *testing.T) {
	share := func(losersCount bool) float64 {
		rng := rand.New(rand.NewPCG(1, 2))
		latency := func() time.Duration { return time.Duration(math.Exp(rng.NormFloat64()) * float64(10*time.Millisecond)) }
		d := NewDelays(Config{})
		hedged, requests := 0, 0
		for now := time.Duration(0); now < 4*time.Minute; now += time.Millisecond {
			first := latency()
			delay, ok := d.Delay(now)
			if now > 2*time.Minute {
				requests++
			}
			if ok && first > delay {
				if now > 2*time.Minute {
					hedged++
				}
				if extra := latency(); delay+extra < first {
					if losersCount {
						d.Observe(now, delay+extra)
					}
					continue
				}
			}
			d.Observe(now, first)
		}
		return float64(hedged) / float64(requests)
	}
	with, without := share(true), share(false)
	t.Logf("hedged: %.3f with losers, %.3f without", with, without)
	check.Holds(t, math.Abs(with-0.05) < 0.005, with)
	check.Holds(t, without > 0.1, without)
}

func TestConcurrentUse(t *testing.T) {
	d := NewDelays(Config{})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 20_000 {
				now := time.Duration(i+g) * 10 * time.Millisecond // over 200 s
				d.Observe(now, 5*time.Millisecond)
				if got, ok := d.Delay(now); ok && !exact(5*time.Millisecond, got) {
					t.Errorf("%v", got)
					return
				}
			}
		})
	}
	wg.Wait()
	check.Holds(t, !d.busy.Load(), "nobody is left in it")
	d.Observe(201*time.Second, 5*time.Millisecond)
	_, ok := d.Delay(201 * time.Second)
	check.Holds(t, ok)
}

// Whoever finds it busy goes on at once: an observation is lost, a delay is the one
// of before.
func TestNobodyWaits(t *testing.T) {
	d := NewDelays(Config{})
	for range 20 {
		d.Observe(0, time.Second)
	}
	before, ok := d.Delay(0)
	check.Holds(t, ok)
	d.busy.Store(true)
	d.Observe(time.Hour, time.Millisecond)
	got, ok := d.Delay(time.Hour)
	check.Holds(t, ok)
	check.Equal(t, before, got)
	check.Equal(t, 20, d.all.TotalCount())
}

func TestBounds(t *testing.T) {
	d := NewDelays(Config{})
	now := time.Duration(0)
	check.Equal(t, 0, testing.AllocsPerRun(10_000, func() {
		now += 50 * time.Millisecond // over slices too
		d.Observe(now, now%time.Second)
		d.Delay(now)
	}))

	const many = 50
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	kept := make([]*Delays, many)
	for i := range kept {
		kept[i] = NewDelays(Config{})
		for j := range 10_000 {
			kept[i].Observe(time.Duration(j)*10*time.Millisecond, time.Duration(j)*time.Millisecond)
		}
	}
	each := (heap() - before) / many
	runtime.KeepAlive(kept)
	t.Logf("%d bytes each", each)
	check.Holds(t, each < 180<<10, each)
}

func BenchmarkObserve(b *testing.B) {
	d := NewDelays(Config{})
	now := time.Duration(0)
	b.ReportAllocs()
	for b.Loop() {
		now += 10 * time.Microsecond
		d.Observe(now, now%(100*time.Millisecond))
	}
}

func BenchmarkObserveFromAll(b *testing.B) {
	d := NewDelays(Config{})
	b.RunParallel(func(pb *testing.PB) {
		now := time.Duration(0)
		for pb.Next() {
			now += 10 * time.Microsecond
			d.Observe(now, now%(100*time.Millisecond))
		}
	})
}

func BenchmarkDelay(b *testing.B) {
	d := NewDelays(Config{})
	for i := range 1000 {
		d.Observe(0, time.Duration(i)*time.Millisecond)
	}
	now := time.Duration(0)
	for b.Loop() {
		now += 10 * time.Microsecond
		d.Delay(now)
	}
}

func BenchmarkFind(b *testing.B) {
	d := NewDelays(Config{})
	for i := range 1000 {
		d.Observe(0, time.Duration(i)*time.Millisecond)
	}
	for b.Loop() {
		d.find()
	}
}

func BenchmarkTurn(b *testing.B) {
	d := NewDelays(Config{})
	now := time.Duration(0)
	for b.Loop() {
		now += sliceTime
		d.Observe(now, time.Millisecond)
	}
}
