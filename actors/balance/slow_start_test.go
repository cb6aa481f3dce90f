package balance

import (
	"container/heap"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// warming are the strategies that slow start matters to.
var warming = []string{"round_robin", "weighted", "random", "least_connections", "p2c_ewma", "health_based", "geographic", "sticky"}

// at makes a slow start that stays at one factor for as long as a test runs.
func at(factor float64) SlowStart {
	return SlowStart{Window: 24 * time.Hour, MinWeight: factor}
}

// newWarming has measured, idle members.
func newWarming(t tester, c Config, list ...Member) *fixture {
	t.Helper()
	f := newFixture(t, c, list...)
	for _, m := range f.list {
		m.Load.Observe(f.now, 10*time.Millisecond)
	}
	return f
}

// chills puts members into slow start now.
func (f *fixture) chills(who ...int) {
	for _, i := range who {
		f.SetStatus(i, Status{Ready: true, Eligible: true, Warming: f.now})
	}
}

// Envoy: "NewWeight = Weight * TimeFactor ^ (1 / Aggression)", at least the minimum.
func TestSlowStartIsEnvoys(t *testing.T) {
	for _, c := range []struct {
		aggression, min float64
		age             time.Duration
		want            float64
	}{
		{0, 0, 0, 0.1},
		{0, 0, -time.Second, 0.1},
		{2, 0, -time.Second, 0.1},
		{0, 0, 2 * time.Second, 0.1},
		{0, 0, 15 * time.Second, 0.5},
		{0, 0, 27 * time.Second, 0.9},
		{0, 0, 30 * time.Second, 1},
		{0, 0, time.Hour, 1},
		{2, 0, 7500 * time.Millisecond, 0.5},
		{0.5, 0, 15 * time.Second, 0.25},
		{0.5, 0.3, 15 * time.Second, 0.3},
	} {
		s := SlowStart{Aggression: c.aggression, MinWeight: c.min}.WithDefaults()
		if got := s.factor(c.age); !(math.Abs(got-c.want) < 1e-9) { // NaN neither
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// One of ten has its factor of what each other has, all idle.
func TestSlowStartScalesTheShare(t *testing.T) {
	for _, pick := range warming {
		for _, factor := range []float64{0.1, 0.35, 0.5, 0.77, 0.95} {
			f := newWarming(t, Config{Pick: pick, SlowStart: at(factor)}, named(10)...)
			f.chills(3)
			n := f.counts(40_000)
			normal := float64(40_000-n[3]) / 9
			if got := float64(n[3]) / normal / factor; got < 0.93 || got > 1.07 {
				t.Errorf("%s at %v: %.3f of its share, picks %v", pick, factor, got, n)
			}
			for i, c := range n {
				if i != 3 && math.Abs(float64(c)/normal-1) > 0.08 {
					t.Errorf("%s at %v: member %d has %d picks, the others about %.0f", pick, factor, i, c, normal)
				}
			}
		}
	}
}

// Of many that come back at once, each has its factor of what each other has.
func TestSlowStartOfMany(t *testing.T) {
	for _, pick := range warming {
		for _, n := range []int{10, 400} {
			for _, cold := range []int{n / 2, n - 1} {
				f := newWarming(t, Config{Pick: pick, SlowStart: at(0.2)}, named(n)...)
				for i := range cold {
					f.chills(i)
				}
				warmPicks, coldPicks := 0.0, 0.0
				for i, c := range f.counts(200 * n) {
					if i < cold {
						coldPicks += float64(c) / float64(cold)
					} else {
						warmPicks += float64(c) / float64(n-cold)
					}
				}
				if got := coldPicks / warmPicks / 0.2; got < 0.97 || got > 1.03 {
					t.Errorf("%s, %d of %d: %.3f of their share", pick, cold, n, got)
				}
			}
		}
	}
}

// leaving are requests under way, by their ends.
type leaving []struct {
	at    time.Duration
	index int
}

func (l leaving) Len() int           { return len(l) }
func (l leaving) Less(i, j int) bool { return l[i].at < l[j].at }
func (l leaving) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *leaving) Push(any)          {}
func (l *leaving) Pop() any          { *l = (*l)[:len(*l)-1]; return nil }

// serve sends requests at even intervals, so that load of them are under way per
// member, each for its member's latency, and counts them.
func (f *fixture) serve(requests int, load float64, latency func(i int) time.Duration) (counts []int, most []int32) {
	f.t.Helper()
	counts, most = make([]int, len(f.list)), make([]int32, len(f.list))
	var under leaving
	every := time.Duration(float64(10*time.Millisecond) / load / float64(len(f.list)))
	for range requests {
		f.now += every
		for len(under) > 0 && under[0].at <= f.now {
			m := f.list[under[0].index]
			m.Load.Inflight.Add(-1)
			m.Load.Observe(under[0].at, latency(under[0].index))
			heap.Pop(&under)
		}
		i, err := f.Pick(f.now, Request{})
		if err != nil {
			f.t.Fatalf("%v", err)
		}
		counts[i]++
		most[i] = max(most[i], f.list[i].Load.Inflight.Add(1))
		under = append(under, struct {
			at    time.Duration
			index int
		}{f.now + latency(i), i})
		heap.Fix(&under, len(under)-1)
	}
	return counts, most
}

func evenly(int) time.Duration { return 10 * time.Millisecond }

// Under load the share is right too: an idle newcomer, measured or not, draws no more
// to itself, though the strategies that look at the load like nobody better.
func TestSlowStartUnderLoad(t *testing.T) {
	const requests = 60_000
	for _, pick := range warming {
		for _, n := range []int{10, 200} {
			for _, load := range []float64{0.1, 1, 20} {
				f := newFixture(t, Config{Pick: pick, SlowStart: at(0.1)}, named(n)...)
				f.SetStatus(3, Status{})
				f.serve(100*n, load, evenly)
				f.chills(3)
				counts, most := f.serve(requests, load, evenly)
				normal := float64(requests-counts[3]) / float64(n-1)
				got := float64(counts[3]) / normal
				if got < 0.09 || got > 0.11 || most[3] > int32(max(1, load/4)) {
					t.Errorf("%s, %d members, load %v: %.3f of a normal share, at most %d under way", pick, n, load, got, most[3])
				}
			}
		}
	}
}

// Whoever is slow while it is cold gets less than its share from the strategies that
// look.
func TestSlowStartIsALimit(t *testing.T) {
	latency := func(i int) time.Duration {
		if i == 3 {
			return time.Second
		}
		return 10 * time.Millisecond
	}
	for _, pick := range []string{"least_connections", "p2c_ewma", "health_based"} {
		f := newFixture(t, Config{Pick: pick, SlowStart: at(0.5)}, named(10)...)
		f.SetStatus(3, Status{})
		f.serve(1000, 1, latency)
		f.chills(3)
		if counts, _ := f.serve(20_000, 1, latency); counts[3] > 20_000/10/5 {
			t.Errorf("%s: %v", pick, counts)
		}
	}
}

// What it could not have while it looked bad, it does not get at once when it looks good.
func TestSlowStartSavesNothing(t *testing.T) {
	for _, pick := range []string{"least_connections", "p2c_ewma", "health_based"} {
		f := newFixture(t, Config{Pick: pick, SlowStart: at(0.1)}, named(10)...)
		for _, m := range f.list {
			m.Load.Observe(f.now, 10*time.Millisecond)
			m.Load.Inflight.Store(5)
		}
		f.chills(3)
		f.list[3].Load.Inflight.Store(1000)
		f.counts(900)
		f.list[3].Load.Inflight.Store(0)
		if n := f.counts(80); n[3] < 1 || n[3] > 2 {
			t.Errorf("%s: %d of 80 picks", pick, n[3])
		}
	}
}

// The others' order is strict, and the newcomer's requests come at even distances.
func TestSlowStartKeepsTheOrder(t *testing.T) {
	f := newFixture(t, Config{Pick: "round_robin", SlowStart: at(0.1)}, named(5)...)
	f.chills(2)
	all := f.picks(1000)
	others := strings.ReplaceAll(all, "2", "")
	equal(t, "the others", others, strings.Repeat("0134", 250)[:len(others)])
	for k, gap := range strings.Split(all, "2") {
		if len(gap) != 40 && k > 0 && k < strings.Count(all, "2") {
			t.Fatalf("%d picks between two of the newcomer's", len(gap))
		}
	}
	f.chills(0, 1, 3, 4)
	equal(t, "when all are in it", f.picks(10), f.picks(10))
	equal(t, "nobody sleeps", f.asleep.empty(), true)
}

// Weighted: the share goes by the weight, the others' stay exact, and when the window
// is over there is neither a burst nor a gap.
func TestSlowStartOfWeights(t *testing.T) {
	for cold, w := range []int{1, 3, 3, 2} {
		f := newFixture(t, Config{Pick: "weighted", SlowStart: SlowStart{Window: 10 * time.Second, Aggression: 1e-9, MinWeight: 0.2}},
			weightedMembers([]int{1, 3, 3, 2})...)
		f.chills(cold)
		n := f.counts(9000)
		round := float64(9000) / (9 - float64(w) + 0.2*float64(w))
		for i, weight := range []float64{1, 3, 3, 2} {
			due, slack := weight*round, 3.0
			if i == cold {
				due, slack = 0.2*due, 0.02*due
			}
			if math.Abs(float64(n[i])-due) > slack {
				t.Errorf("member %d in slow start: %d has %d picks, due are %.0f", cold, i, n[i], due)
			}
		}
		f.now += time.Second // over
		f.next()
		equal(t, "nobody is cold", f.cold.empty(), true)
		for range 5 {
			n = f.counts(9)
			for i, weight := range []int{1, 3, 3, 2} {
				if d := n[i] - weight; d < -1 || d > 1 {
					t.Errorf("member %d back from slow start: picks %v", cold, n)
				}
			}
		}
	}
}

// Many newcomers of one weight cost the warm ones of that weight nothing.
func TestSlowStartOfOneWeight(t *testing.T) {
	f := newFixture(t, Config{Pick: "weighted", SlowStart: at(0.5)}, weightedMembers(append(slices.Repeat([]int{3}, 51), 1))...)
	for i := range 50 {
		f.chills(i)
	}
	n := f.counts(50_000)
	if got := float64(n[50]) / float64(n[51]); got < 2.97 || got > 3.03 {
		t.Errorf("%d to %d, not three to one", n[50], n[51])
	}
}

// A weight matters to slow start where it matters to the strategy.
func TestSlowStartOfAHeavyOne(t *testing.T) {
	for _, pick := range []string{"round_robin", "random"} {
		f := newFixture(t, Config{Pick: pick, SlowStart: at(0.1)}, weightedMembers([]int{1, 9, 1, 1})...)
		f.chills(1)
		if n := f.counts(10_000); n[1] < 290 || n[1] > 355 {
			t.Errorf("%s: %v", pick, n)
		}
	}
	latency := func(i int) time.Duration { return 10 * time.Millisecond }
	for _, pick := range []string{"least_connections", "p2c_ewma", "health_based"} {
		f := newFixture(t, Config{Pick: pick, SlowStart: at(0.1)}, weightedMembers([]int{1, 4, 1, 1, 1})...)
		f.chills(1)
		n, _ := f.serve(20_000, 20, latency)
		if got := float64(n[1]) * 4 / float64(20_000-n[1]) / 4; got < 0.08 || got > 0.12 {
			t.Errorf("%s: %v is %.3f of its share", pick, n, got)
		}
	}
}

// The share grows with time, and at the end picks are free of slow start.
func TestSlowStartEnds(t *testing.T) {
	for _, pick := range warming {
		f := newWarming(t, Config{Pick: pick, SlowStart: SlowStart{Window: 10 * time.Second}}, named(10)...)
		f.chills(3)
		for second := range 12 {
			for _, m := range f.list {
				m.Load.Observe(f.now, 10*time.Millisecond)
			}
			got := 0
			for range 1000 { // a millisecond each
				if f.next() == 3 {
					got++
				}
			}
			want := min(1, max(0.1, (float64(second)+0.5)/10)) * 100
			if math.Abs(float64(got)-want) > 12+want/5 {
				t.Errorf("%s, second %d: %d of 1000 picks", pick, second, got)
			}
		}
		equal(t, pick+": nobody is cold", f.cold.empty() && f.asleep.empty(), true)
		checkLayout(t, f.Balancer)
	}
	// Without a pick in all that time, too; and what an endpoint repeats revives nothing.
	f := newFixture(t, Config{Pick: "round_robin"}, named(3)...)
	f.chills(0, 1)
	began := f.now
	f.now += time.Hour
	equal(t, "long over", f.picks(6), "012012")
	equal(t, "nobody is cold", f.cold.empty(), true)
	f.SetMembers(f.list)
	equal(t, "in a new list neither", f.cold.empty(), true)
	f.SetStatus(0, Status{Ready: true, Eligible: true, Warming: began})
	equal(t, "repeated", f.picks(6), "012012")
	equal(t, "nobody is cold", f.cold.empty(), true)
}

// "nor when every candidate is in it": of the tier and the ranks that count.
func TestSlowStartOfAll(t *testing.T) {
	f := newFixture(t, Config{Tier: "priority", Pick: "round_robin", SlowStart: at(0.01)},
		Member{ID: "a"}, Member{ID: "b"}, Member{ID: "c"}, Member{ID: "d", Priority: 1})
	f.chills(0, 1)
	f.picks(10)
	f.SetStatus(2, Status{Ready: true})
	equal(t, "of the tier", f.picks(6), "010101")
	f.SetStatus(2, ranked(Suspect))
	equal(t, "of the rank", f.picks(6), "010101")
	equal(t, "a retry's", f.pickFor(Request{Retry: true, Tried: []string{"a"}}), 1)
	equal(t, "but those who were tried", f.pickFor(Request{Retry: true, Tried: []string{"a", "b"}}), 2)
	f.SetStatus(2, eligible)
	if n := f.counts(300); n[2] < 280 {
		t.Errorf("one is warm again: %v", n)
	}
	equal(t, "both sleep", f.asleep.empty(), false)
	equal(t, "whoever sleeps is there for a retry", f.pickFor(Request{Retry: true, Tried: []string{"a", "c"}}), 1)
	equal(t, "and keeps the tier", f.pickFor(Request{Tried: []string{"b", "c"}}), 0)
	f.SetStatus(2, Status{})
	for _, i := range f.picks(20) {
		if i == '3' {
			t.Fatal("the standby gets a request, though two sleep in the active tier")
		}
	}
	checkLayout(t, f.Balancer)
}

// Whoever is owed a request in a tier that stands by waits for it.
func TestSlowStartWaitsForItsTier(t *testing.T) {
	for _, pick := range warming {
		f := newFixture(t, Config{Tier: "priority", Pick: pick},
			Member{ID: "a"}, Member{ID: "b", Priority: 1}, Member{ID: "c", Priority: 1})
		f.SetStatus(0, Status{})
		f.chills(1)
		f.counts(8)
		f.SetStatus(0, eligible)
		f.now += 29 * time.Second // at nearly its full share it is owed several
		equal(t, pick, f.picked(Request{}), "[0]")
		equal(t, pick+": the other tier", f.picked(Request{Tried: []string{"a"}}), "[1 2]")
	}
}

// "it scales the weight and never refuses": sleepers count as eligible, and nobody of
// a lower rank joins because they sleep.
func TestSleepersCount(t *testing.T) {
	f := newFixture(t, Config{Pick: "round_robin", SlowStart: at(0.01)}, named(6)...)
	f.SetStatus(4, ranked(Suspect))
	f.SetStatus(5, ranked(Suspect))
	f.chills(0, 1, 2)
	n := f.counts(50)
	equal(t, "the suspects", n[4]+n[5], 0)
	equal(t, "counts", f.Counts(), Counts{Members: 6, Ready: 6, Eligible: 6})
	f.SetStatus(0, ranked(Suspect)) // who slept, and is warm now
	f.SetStatus(1, Status{Ready: true, LastResort: true, Warming: f.now})
	f.SetStatus(2, Status{})
	equal(t, "one of five is healthy: all join", f.picked(Request{}), "[0 3 4 5]")
	checkLayout(t, f.Balancer)
}

// Slow start begins with one request and not with what was owed before it.
func TestSlowStartBeginsWithOne(t *testing.T) {
	for _, pick := range warming {
		f := newFixture(t, Config{Pick: pick, SlowStart: at(0.1)}, named(10)...)
		f.chills(5)
		f.serve(3000, 1, evenly)
		f.SetStatus(3, Status{})
		f.serve(3000, 1, evenly)
		f.chills(3)
		if n, _ := f.serve(75, 1, evenly); n[3] != 1 { // the eight warm ones have fewer than ten each
			t.Errorf("%s: %d of the first 75", pick, n[3])
		}
	}
}

// A list that changes with every pick does not wake the sleepers.
func TestSlowStartKeepsItsPlaceWhenTheListChanges(t *testing.T) {
	list := named(5)
	f := newFixture(t, Config{Pick: "round_robin", SlowStart: at(0.1)}, list...)
	f.chills(2)
	n := 0
	for range 4100 {
		if f.next() == slices.IndexFunc(list, func(m Member) bool { return m.ID == "e2" }) {
			n++
		}
		list = append(list[1:], list[0])
		f.SetMembers(list)
	}
	if n < 85 || n > 115 {
		t.Errorf("%d of 4100 picks", n)
	}
	checkLayout(t, f.Balancer)
}

func TestSlowStartMattersNotToAll(t *testing.T) {
	f := newFixture(t, Config{Pick: "priority"}, named(2)...)
	f.chills(0)
	equal(t, "active/standby", f.picks(5), "00000")

	f = newFixture(t, Config{Pick: "round_robin", SlowStart: SlowStart{Window: off}}, named(2)...)
	f.chills(0)
	equal(t, "off", f.picks(5), "01010")

	var seen []float64
	f = newFixture(t, Config{Custom: func(_ string, c []Candidate) int {
		seen = nil
		for _, c := range c {
			seen = append(seen, c.Warmth)
		}
		return 0
	}}, named(2)...)
	f.chills(0)
	equal(t, "custom", f.next(), 0)
	equal(t, "is told", fmt.Sprint(seen), "[0.1 1]")
	f.now += 15 * time.Second
	equal(t, "and chooses", f.next(), 0)
	equal(t, "of half", fmt.Sprintf("%.3f", seen), "[0.500 1.000]")
}

// "not for hashes, `sticky`, …": a key and a session that is there know no slow start,
// nor do requests without a key where keys go by a hash.
func TestSlowStartMovesNoKey(t *testing.T) {
	for _, pick := range hashes {
		f := newWarming(t, Config{Pick: pick, SlowStart: at(0.01)}, named(5)...)
		home := f.homes(300)
		f.chills(0, 1)
		f.counts(50)
		equal(t, pick, slices.Equal(f.homes(300), home), true)
		if n := f.counts(1000); n[0] < 150 {
			t.Errorf("%s without a key: %v", pick, n)
		}
	}
}

// New sessions are placed by slow start, those that are there stay.
func TestSlowStartOfSessions(t *testing.T) {
	for _, c := range []Config{{Pick: "sticky"}, {Pick: "weighted", Sticky: time.Hour}, {Pick: "least_connections", Sticky: time.Hour}} {
		c.SlowStart = at(0.1)
		f := newWarming(t, c, named(5)...)
		home := f.homes(300)
		f.chills(0, 1)
		equal(t, c.Pick+": all stay", slices.Equal(f.homes(300), home), true)
		n := make([]int, 5)
		for k := range 3200 {
			n[f.pickFor(Request{Key: fmt.Sprint("new", k)})]++
			f.pickFor(Request{Key: "k0"}) // what goes by sessions is neither owed nor paid
		}
		if n[0] < 85 || n[0] > 115 || n[1] < 85 || n[1] > 115 {
			t.Errorf("%s: new sessions %v", c.Pick, n)
		}
	}
}

// Each class of geographic has its own shares, also of what overflows into it, and
// sleepers keep their class and their place there.
func TestSlowStartOfPlaces(t *testing.T) {
	list := append(named(20), Member{ID: "full", Place: here, Limit: 1, Load: new(Load)})
	list[20].Load.Inflight.Store(1)
	for i := range 10 {
		list[i].Place = Place{Zone: "z", Region: here.Region}
	}
	f := newWarming(t, Config{Pick: "geographic", Here: here, SlowStart: at(0.5), SpillThreshold: 1}, list...)
	for i := 5; i < 10; i++ {
		f.SetStatus(i, ranked(Suspect))
	}
	f.SetStatus(20, ranked(Suspect)) // so all ranks of its class are candidates
	f.chills(0)
	n := f.counts(9000)
	if n[0] < 930 || n[0] > 1070 {
		t.Errorf("of what overflows: %v", n)
	}
	f.chills(0, 1, 2, 3, 4)
	n = f.counts(1000)
	for i := range 5 {
		if n[i] < 150 {
			t.Errorf("all of the best rank are in it: %v", n)
		}
	}

	f = newWarming(t, Config{Pick: "geographic", SlowStart: at(1e-6)}, list[:20]...) // one class
	for i := 5; i < 10; i++ {
		f.SetStatus(i, ranked(Suspect))
	}
	f.chills(0, 1, 2, 3)
	key := Request{Key: "z"}
	f.picked(Request{})
	equal(t, "one of the place is warm", f.picked(key), "[4]")
	f.chills(4)
	f.picked(Request{})
	equal(t, "none is", f.picked(key), "[0 1 2 3 4]")
	equal(t, "who has not been tried", f.picked(Request{Key: "z", Retry: true, Tried: []string{"e0", "e1", "e2", "e4"}}), "[3]")
	checkLayout(t, f.Balancer)
}

// Whatever happens, a pick that looks at the load finds nobody of the cold overloaded,
// and all counts are right after it.
func TestSlowStartThroughChanges(t *testing.T) {
	for _, pick := range warming {
		t.Run(pick, rapid.MakeCheck(func(t *rapid.T) {
			n := rapid.IntRange(2, 8).Draw(t, "n")
			f := newFixture(t, Config{Pick: pick, Tier: "priority", SlowStart: at(rapid.SampledFrom([]float64{0.1, 0.6}).Draw(t, "factor"))}, named(n)...)
			who := rapid.IntRange(0, n-1)
			for range 60 {
				switch rapid.IntRange(0, 4).Draw(t, "what") {
				case 0:
					f.chills(who.Draw(t, "cold"))
				case 1:
					f.SetStatus(who.Draw(t, "who"), rapid.SampledFrom([]Status{eligible, ranked(Suspect), lastResort, {Ready: true}, {}}).Draw(t, "status"))
				case 2:
					f.now += time.Second
					for range 20 {
						f.Pick(f.now, Request{Tried: []string{fmt.Sprint("e", who.Draw(t, "tried"))}})
					}
				default:
					for range 50 {
						f.Pick(f.now, Request{})
					}
				}
				checkLayout(t, f.Balancer)
				cold := 0
				for i := range f.members {
					if m := &f.members[i]; m.cold {
						cold++
						ahead := (m.paid - f.tiers[m.tier].rounds) * float64(m.weight) * f.warmth(m, f.now)
						if ahead > 1e-6 {
							t.Fatalf("member %d had %v requests too many", i, ahead)
						}
					}
				}
			}
		}))
	}
}
