package limit

import (
	"testing"
	"time"

	"github.com/understudy-go/understudy/test/check"
)

const second = time.Second

var itself = ConcurrencyConfig{Adaptive: true}

var spreads = []struct {
	name string
	spread
}{{"even", even}, {"exponential", exponential}, {"long-tailed", longTailed}}

// goodput is the answers in time per second, at a load of so many times the
// capacity, after 5 s of it.
func goodput(load float64, sp spread, g *gate) float64 {
	s := newServer(load, sp, g)
	s.run(5 * second)
	return float64(s.run(15*second).good) / 10
}

var loads = []float64{0.5, 0.8, 1, 1.5, 2, 5, 10}

// What Observe is for: at ten times the load the service still answers most of what
// it can. Without a limit it answers nobody: it works on what was given up.
func TestGoodputUnderOverload(t *testing.T) {
	for _, sp := range spreads {
		t.Run(sp.name, func(t *testing.T) {
			peak, last := goodput(1, sp.spread, fixed(limitMax)), 0.0
			for _, load := range loads {
				last = goodput(load, sp.spread, adaptive(NewAdaptive(itself, 0)))
				t.Logf("%4.1f × capacity: %4.0f/s adaptive, %4.0f/s with 1024, %4.0f/s without a limit", load, last,
					goodput(load, sp.spread, fixed(1024)), goodput(load, sp.spread, fixed(limitMax)))
				peak = max(peak, last)
				check.Holds(t, last >= 0.85*min(1000*load, peak), "at ", load, " × capacity: ", last, " of ", peak)
			}
			check.Holds(t, last >= 0.9*peak, "at ten times the capacity: ", last, " of ", peak)
			check.Holds(t, goodput(10, sp.spread, fixed(limitMax)) < 0.02*peak, "without a limit it collapses")
			check.Holds(t, goodput(10, sp.spread, fixed(1024)) < 0.5*peak, "and a limit that is too high is none")
		})
	}
}

// The limit follows a capacity that changes, and the queue stays short meanwhile.
func TestFollowsCapacity(t *testing.T) {
	for _, sp := range spreads {
		for _, workers := range []int{5, 1} {
			s := newServer(2, sp.spread, adaptive(NewAdaptive(itself, 0)))
			s.workers = between(7*second, 22*second, workers, 10)
			s.run(7 * second)
			s.run(11 * second)
			low := s.run(22 * second)
			check.Holds(t, low.good >= 11*75*workers, sp.name, ": from 4 s after a fall to ", workers, ": ", low.good)
			check.Holds(t, low.mean() < 100*time.Millisecond*10/time.Duration(workers), sp.name, ": latency ", low.mean())
			s.run(24 * second)
			high := s.run(34 * second)
			check.Holds(t, high.good >= 8500, sp.name, ": from 2 s after the rise from ", workers, ": ", high.good)
			check.Holds(t, high.mean() < 100*time.Millisecond, sp.name, ": latency ", high.mean())
		}
	}
}

// A service that becomes slower for good, not by its load, is not held at a limit
// that fits the old latency.
func TestFollowsLatency(t *testing.T) {
	for _, sp := range spreads {
		for _, slower := range []time.Duration{2, 3, 10} {
			s := newServer(2, sp.spread, adaptive(NewAdaptive(itself, 0)))
			s.service = between(7*second, 40*second, slower*10*time.Millisecond, 10*time.Millisecond)
			s.run(7 * second)
			s.run(14 * second) // the first probe is at 10 s
			slow := s.run(24 * second)
			check.Holds(t, slow.good >= 10*700/int(slower), sp.name, ": ", int(slower), " times slower: ", slow.good)
			check.Holds(t, slow.mean() < slower*120*time.Millisecond, sp.name, ": latency ", slow.mean())
			s.run(45 * second)
			again := s.run(55 * second)
			check.Holds(t, again.good >= 8500, sp.name, ": and back: ", again.good)
			check.Holds(t, again.mean() < 100*time.Millisecond, sp.name, ": latency ", again.mean())
		}
	}
}

// A service that was never seen without a queue is not taken to be that slow.
func TestFindsTheLatencyUnderOverload(t *testing.T) {
	for _, initial := range []int{20, 200, 1000} {
		s := newServer(10, exponential, adaptive(NewAdaptive(ConcurrencyConfig{Adaptive: true, Initial: initial}, 0)))
		s.run(15 * second)
		got := s.run(25 * second)
		check.Holds(t, got.good >= 9000, "from ", initial, ": ", got.good)
		check.Holds(t, got.mean() < 40*time.Millisecond, "from ", initial, ": latency ", got.mean())
	}
}

// A service whose latency does not rise is never limited below the demand, and one
// that is well below its capacity practically never (in a probe, a burst may be).
func TestLowLoadIsNotLimited(t *testing.T) {
	for _, load := range []float64{0.05, 0.3, 0.6} {
		for _, sp := range spreads[:2] {
			s := newServer(load, sp.spread, adaptive(NewAdaptive(itself, 0)))
			got := s.run(60 * second)
			check.Holds(t, got.refused <= got.good/1000, sp.name, " at ", load, ": ", got.refused, " of ", got.good)
		}
		s := newServer(load, even, adaptive(NewAdaptive(itself, 0)))
		s.workers = always(100) // never a queue
		check.Equal(t, 0, s.run(60*second).refused, "at ", load)
	}
}

// Growth follows use, also where nothing ever slows down.
func TestGrowsOnlyWithUse(t *testing.T) {
	a := NewAdaptive(itself, 0)
	s := newServer(1, even, adaptive(a))
	s.workers = always(200) // never a queue: 10 in flight on average
	s.run(20 * second)
	check.Holds(t, a.Limit() >= 20 && a.Limit() < 80, a.Limit())
	s.offered = always(7_000.0)
	s.run(25 * second)
	check.Holds(t, a.Limit() > 140, a.Limit())
}

// Several nodes that probe at the same moments share an endpoint for long without
// taking each other's queue for its own time.
func TestNodesShareAnEndpoint(t *testing.T) {
	for _, sp := range spreads[:2] {
		var gates []*gate
		for i := range 5 {
			clock := time.Duration(i) * 1234 * time.Millisecond // each node's origin is another
			a := NewAdaptive(itself, 10*second-clock)
			g := adaptive(a)
			g.observe = func(now, latency time.Duration, inflight int, dropped bool) {
				a.Observe(now+clock, latency, inflight, dropped)
			}
			gates = append(gates, g)
		}
		s := newServer(5, sp.spread, gates...)
		s.offered = between(0, 5*second, 300.0, 5000.0)
		s.run(60 * second)
		got := s.run(90 * second)
		check.Holds(t, got.good >= 30*900, sp.name, ": ", got.good)
		check.Holds(t, got.mean() < 100*time.Millisecond, sp.name, ": latency ", got.mean())
	}
}

// BenchmarkGoodputAtOverload is the goodput at ten times the capacity, as a share of
// the highest at any load. The time is that of the simulation.
func BenchmarkGoodputAtOverload(b *testing.B) {
	for _, gates := range []struct {
		name string
		gate func() *gate
	}{
		{"adaptive", func() *gate { return adaptive(NewAdaptive(itself, 0)) }},
		{"fixed-1024", func() *gate { return fixed(1024) }},
		{"none", func() *gate { return fixed(limitMax) }},
	} {
		b.Run(gates.name, func(b *testing.B) {
			share := 0.0
			for b.Loop() {
				peak, last := goodput(1, exponential, fixed(limitMax)), 0.0
				for _, load := range []float64{1, 1.5, 10} {
					last = goodput(load, exponential, gates.gate())
					peak = max(peak, last)
				}
				share = last / peak
			}
			b.ReportMetric(share, "goodput/peak")
		})
	}
}
