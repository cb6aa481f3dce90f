package balance

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// sentence 24: "Round robin, 3 endpoints, 9 calls: strict order, 3 each."
func TestRoundRobinIsStrict(t *testing.T) {
	f := newFixture(t, Config{Pick: "round_robin"}, named(3)...)
	equal(t, "nine picks", f.picks(9), "012012012")
}

func TestRoundRobinPassesOverWhoIsOut(t *testing.T) {
	f := newFixture(t, Config{Pick: "round_robin"}, named(4)...)
	f.SetStatus(1, Status{Ready: true})
	equal(t, "without 1", f.picks(5), "02302")
	f.SetStatus(1, eligible)
	equal(t, "1 is back where it stands", f.picks(5), "30123")
}

func TestRoundRobinGoesOnWhenTheListChanges(t *testing.T) {
	list := named(5)
	f := newFixture(t, Config{Pick: "round_robin"}, list...)
	equal(t, "before", f.picks(2), "01")
	// e2, whose turn it is, goes; new ones come at both ends.
	f.SetMembers([]Member{{ID: "new"}, list[0], list[1], list[3], list[4], {ID: "newer"}})
	f.SetStatus(0, eligible)
	f.SetStatus(5, eligible)
	equal(t, "e3 is next", f.picks(7), "3450123")
}

// sentence 24: "Least connections: 5 in flight against 0 picks 0."
func TestLeastConnections(t *testing.T) {
	for _, c := range []struct {
		inflight []int32
		weights  []int
		want     string // of them
	}{
		{[]int32{5, 0}, []int{1, 1}, "1"},
		{[]int32{0, 5}, []int{1, 1}, "0"},
		{[]int32{3, 2, 4}, []int{1, 1, 1}, "1"},
		{[]int32{2, 2, 4}, []int{1, 1, 1}, "01"}, // equals take turns
		{[]int32{0, 0, 0}, []int{1, 3, 2}, "1"},  // idle: the heaviest
		{[]int32{1, 5, 0}, []int{1, 4, 1}, "2"},
		{[]int32{1, 5, 1}, []int{1, 4, 1}, "1"}, // six for a weight of four are fewer than two for one
	} {
		list := named(len(c.inflight))
		for i := range list {
			list[i].Weight = c.weights[i]
		}
		f := newFixture(t, Config{Pick: "least_connections"}, list...)
		for i, n := range c.inflight {
			f.list[i].Load.Inflight.Store(n)
		}
		got := []byte(f.picks(50))
		slices.Sort(got)
		equal(t, fmt.Sprint(c.inflight, c.weights), string(slices.Compact(got)), c.want)
	}
}

// Above 128 candidates it looks at 16: seldom the very least, practically never one
// of the more loaded half, though these stand side by side.
func TestLeastOfManySamples(t *testing.T) {
	const n = 1000
	for _, pick := range []string{"least_connections", "health_based"} {
		f := newFixture(t, Config{Pick: pick}, named(n)...)
		for i, m := range f.list {
			m.Load.Observe(f.now, time.Millisecond)
			m.Load.Inflight.Store(int32(i))
		}
		counts := f.counts(10 * n)
		upper, seen := 0, 0
		for i, c := range counts {
			if i >= n/2 {
				upper += c
			}
			if c > 0 {
				seen++
			}
		}
		if upper > 10*n/100 || seen < n/10 {
			t.Errorf("%s: %d picks of the more loaded half, %d members seen", pick, upper, seen)
		}
	}
}

func TestRandomIsEven(t *testing.T) {
	f := newFixture(t, Config{Pick: "random"}, named(10)...)
	for i, n := range f.counts(10_000) {
		if n < 850 || n > 1150 { // five standard deviations
			t.Errorf("member %d: %d of 10000 picks", i, n)
		}
	}
}

// Active/standby: everything to the first eligible of the lowest number, whatever its
// rank, and back to it when it is back.
func TestPriorityIsActiveStandby(t *testing.T) {
	f := newFixture(t, Config{Pick: "priority"},
		Member{ID: "standby", Priority: 1}, Member{ID: "active"}, Member{ID: "second"}, Member{ID: "last", Priority: 7})
	equal(t, "active", f.picks(5), "11111")
	f.SetStatus(1, ranked(Suspect))
	equal(t, "one reset moves no primary", f.picks(3), "111")
	f.SetStatus(1, Status{Ready: true})
	equal(t, "the next of the tier", f.picks(3), "222")
	f.SetStatus(2, Status{Ready: true})
	equal(t, "the next tier", f.picks(3), "000")
	f.SetStatus(0, Status{})
	equal(t, "the last tier", f.picks(3), "333")
	f.SetStatus(1, eligible)
	equal(t, "back", f.picks(3), "111")
}

func TestTierAndPickCompose(t *testing.T) {
	f := newFixture(t, Config{Tier: "priority", Pick: "weighted", Weights: map[string]int{"a": 3}},
		Member{ID: "a"}, Member{ID: "b"}, Member{ID: "c", Priority: 1}, Member{ID: "d", Priority: 1, Weight: 2})
	equal(t, "the first tier, three to one", fmt.Sprint(f.counts(400)), "[300 100 0 0]")
	f.SetStatus(0, Status{Ready: true})
	equal(t, "its last one", f.picks(3), "111")
	f.SetStatus(1, Status{Ready: true})
	equal(t, "the second tier, one to two", fmt.Sprint(f.counts(300)), "[0 0 100 200]")
}

// A retry goes on in the next tier when everybody of the best was tried.
func TestRetryLeavesTheTierAtLast(t *testing.T) {
	for _, pick := range available() {
		f := newFixture(t, Config{Tier: "priority", Pick: pick}, Member{ID: "a"}, Member{ID: "b"}, Member{ID: "c", Priority: 1})
		equal(t, pick, f.pickFor(Request{Retry: true, Tried: []string{"a"}}), 1)
		equal(t, pick, f.pickFor(Request{Retry: true, Tried: []string{"a", "b"}}), 2)
		if i := f.next(); i > 1 {
			t.Errorf("%s: %d, but the first tier is there again", pick, i)
		}
	}
}

// sentence 26: "web-1/2 healthy, web-3 degraded: health_based never picks web-3
// until both others are out."
func TestHealthBasedNeverSpills(t *testing.T) {
	f := newFixture(t, Config{Pick: "health_based", SpillThreshold: 1}, named(3)...)
	f.SetStatus(2, ranked(Degraded))
	if n := f.counts(300); n[2] != 0 || n[0] != 150 || n[1] != 150 {
		t.Fatalf("picks %v", n)
	}
	f.SetStatus(0, Status{Ready: true})
	equal(t, "one of three is healthy", f.picks(5), "11111")
	f.SetStatus(1, Status{Ready: true})
	equal(t, "both others are out", f.picks(3), "222")
}

// nginx is the smooth weighted round robin of ngx_http_upstream_round_robin.c, as it
// looks at every member.
func nginx(weights, credit []int) int {
	total, best := 0, 0
	for i, w := range weights {
		credit[i] += w
		total += w
		if credit[i] > credit[best] {
			best = i
		}
	}
	credit[best] -= total
	return best
}

// sentence 25: "Weights 3:2:1, 600 calls: 300/200/100."
func TestWeightedIsExactAndSmooth(t *testing.T) {
	f := newFixture(t, Config{Pick: "weighted"}, Member{ID: "a", Weight: 3}, Member{ID: "b", Weight: 2}, Member{ID: "c"})
	equal(t, "one round", f.picks(6), "010210")
	equal(t, "600 picks", fmt.Sprint(f.counts(600)), "[300 200 100]")

	f = newFixture(t, Config{Pick: "weighted"}, Member{ID: "a", Weight: 5}, Member{ID: "b"}, Member{ID: "c"})
	equal(t, "b and c stand apart", f.picks(14), "01000200100020")
}

func weightedMembers(weights []int) []Member {
	list := named(len(weights))
	for i, w := range weights {
		list[i].Weight = w
	}
	return list
}

// Where no two weights are equal it is nginx's, pick by pick.
func TestWeightedIsNginx(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfNDistinct(rapid.IntRange(1, 60), 1, 9, rapid.ID).Draw(t, "weights")
		slices.SortFunc(weights, func(a, b int) int { return b - a }) // nginx lets the first of equals win
		f := newFixture(t, Config{Pick: "weighted"}, weightedMembers(weights)...)
		credit := make([]int, len(weights))
		for k := range 200 {
			equal(t, fmt.Sprint("pick ", k), f.next(), nginx(weights, credit))
		}
	})
}

// Every round is exact, and in between nobody is two picks ahead or behind.
func TestWeightedKeepsItsShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(1, 9), 1, 20).Draw(t, "weights")
		f := newFixture(t, Config{Pick: "weighted"}, weightedMembers(weights)...)
		total := 0
		for _, w := range weights {
			total += w
		}
		counts := make([]int, len(weights))
		for k := 1; k <= 3*total; k++ {
			counts[f.next()]++
			for i, w := range weights {
				due := float64(k*w) / float64(total)
				if d := float64(counts[i]) - due; d >= 2 || d <= -2 || k%total == 0 && d != 0 {
					t.Fatalf("after %d picks member %d has %d, due are %.2f of %v", k, i, counts[i], due, weights)
				}
			}
		}
	})
}

// Members come, go and turn in the middle of a round: soon after, the shares are those
// of who is there, and nobody waits longer than two of its rounds.
func TestWeightedStaysSmoothThroughChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weight := rapid.SampledFrom([]int{1, 2, 3, 7, 100})
		weights := rapid.SliceOfN(weight, 2, 12).Draw(t, "weights")
		list := weightedMembers(weights)
		f := newFixture(t, Config{Pick: "weighted"}, list...)
		for range rapid.IntRange(1, 5).Draw(t, "changes") {
			for range rapid.IntRange(0, 300).Draw(t, "picks") {
				if f.Counts().Eligible > 0 {
					f.next()
				}
			}
			if rapid.Bool().Draw(t, "list") {
				list = append(slices.Clone(list[1:]), Member{ID: fmt.Sprint(rapid.Uint32().Draw(t, "id")), Weight: weight.Draw(t, "new")})
				f.SetMembers(list)
				f.SetStatus(len(list)-1, eligible)
			} else {
				i := rapid.IntRange(0, len(list)-1).Draw(t, "who")
				f.SetStatus(i, Status{Ready: true, Eligible: f.members[i].place == out})
			}
		}
		if f.Counts().Eligible == 0 {
			return
		}
		total := 0
		for i := range list {
			if f.members[i].place != out {
				total += list[i].Weight
			}
		}
		counts, waits := make([]int, len(list)), make([]int, len(list))
		for range 4 * total {
			i := f.next()
			counts[i]++
			for j := range waits {
				if waits[j]++; j == i {
					waits[j] = 0
				}
				if f.members[j].place != out && waits[j] > 2*total/list[j].Weight+2 {
					t.Fatalf("member %d of %v, total %d, waits %d picks", j, list, total, waits[j])
				}
			}
		}
		for i := range list {
			if due := 4 * list[i].Weight; f.members[i].place != out && (counts[i] < due*3/4-1 || counts[i] > due*5/4+1) {
				t.Fatalf("member %d of %v has %d picks, due are %d", i, list, counts[i], due)
			}
		}
	})
}

// A list that changes with every pick still gives everybody its share.
func TestWeightedKeepsItsPlaceInTheRound(t *testing.T) {
	list := weightedMembers([]int{1, 3, 1, 3})
	f := newFixture(t, Config{Pick: "weighted"}, list...)
	equal(t, "two weights, two groups", len(f.groups), 2)
	counts := make([]int, 4)
	for range 80 {
		counts[f.next()]++
		f.SetMembers(list)
	}
	equal(t, "shares", fmt.Sprint(counts), "[10 30 10 30]")
}

// Whoever gets another weight leaves the turn to the next of its old one.
func TestWeightedReweighs(t *testing.T) {
	list := weightedMembers([]int{1, 1, 1, 9})
	f := newFixture(t, Config{Pick: "weighted"}, list...)
	for f.next() != 0 {
	}
	list[1].Weight = 9
	f.SetMembers(list)
	for _, want := range []int{2, 0, 2} {
		i := f.next()
		for i%2 == 1 {
			i = f.next()
		}
		equal(t, "of weight one", i, want)
	}
}

// When most of a large set leaves, whoever was picked last must not starve.
func TestWeightedForgetsWhatWasOwedToWhoLeft(t *testing.T) {
	list := named(2002)
	for i := range list {
		list[i].Weight = 2
	}
	list[0].Weight, list[1].Weight = 1, 3
	f := newFixture(t, Config{Pick: "weighted"}, list...)
	for f.next() != 1 { // the pick that puts it deepest into debt
	}
	for i := 2; i < len(list); i++ {
		f.SetStatus(i, Status{Ready: true})
	}
	counts := f.counts(8)
	if counts[1] < 4 {
		t.Fatalf("%d of 8 picks at three to one", counts[1])
	}
}

func TestP2CAvoidsTheSlow(t *testing.T) {
	f := newFixture(t, Config{}, named(10)...)
	for i, m := range f.list {
		m.Load.Observe(f.now, 10*time.Millisecond)
		if i == 3 {
			m.Load.Observe(f.now, time.Second)
		}
	}
	counts := f.counts(900) // one pick is forced: it was never picked before
	for i, n := range counts {
		if i == 3 && n > 1 || i != 3 && (n < 60 || n > 140) {
			t.Fatalf("picks %v", counts)
		}
	}
}

// An answer in flight weighs as much as another of the same latency.
func TestP2CWeighsRequestsInFlightAndWeights(t *testing.T) {
	f := newFixture(t, Config{Weights: map[string]int{"e1": 10}}, named(2)...)
	for _, m := range f.list {
		m.Load.Observe(f.now, 10*time.Millisecond)
	}
	equal(t, "the heavier", f.picks(5), "11111")
	f.list[1].Load.Inflight.Store(8) // nine for a weight of ten
	equal(t, "still", f.picks(3), "111")
	f.list[1].Load.Inflight.Store(11)
	equal(t, "loaded", f.picks(3), "000")
}

// "A failure enters the latency average as at least twice the service's average, so
// that a fast failing endpoint attracts nothing."
func TestP2CIsNotDrawnToFastFailures(t *testing.T) {
	for _, pick := range []string{"p2c_ewma", "health_based"} {
		f := newFixture(t, Config{Pick: pick}, named(4)...)
		var service Average
		picked := 0
		for k := range 2000 {
			i := f.next()
			if i == 2 {
				f.list[i].Load.Fail(f.now, 50*time.Microsecond, &service)
				if k > 100 {
					picked++
				}
				continue
			}
			f.list[i].Load.Observe(f.now, 10*time.Millisecond)
			service.Observe(f.now, 10*time.Millisecond)
		}
		if picked > 4 { // two seconds: the forced ones
			t.Errorf("%s: %d of 1900 requests went to the one that fails fast", pick, picked)
		}
	}
}

// One that nobody knows gets one request, and the next after its answer.
func TestP2CTriesTheUnknownOnce(t *testing.T) {
	f := newFixture(t, Config{}, named(3)...)
	for _, m := range f.list[:2] {
		m.Load.Observe(f.now, 10*time.Millisecond)
	}
	for f.next() != 2 {
	}
	f.list[2].Load.Inflight.Add(1)
	for range 500 {
		if f.next() == 2 {
			t.Fatal("picked again before its first answer")
		}
	}
	f.list[2].Load.Inflight.Add(-1)
	f.list[2].Load.Observe(f.now, time.Millisecond)
	if n := f.counts(100); n[2] < 50 {
		t.Fatalf("picks %v, though it is quick", n)
	}
}

// A slow one that is idle for long is tried once, not drowned, until its answer comes.
func TestP2CTriesAFadedOneOnce(t *testing.T) {
	f := newFixture(t, Config{}, named(2)...)
	f.list[1].Load.Observe(f.now, 200*time.Millisecond)
	f.now += 2 * time.Minute
	f.list[0].Load.Observe(f.now, 10*time.Millisecond)
	equal(t, "tried", f.next(), 1)
	f.list[1].Load.Inflight.Add(1)
	if n := f.counts(500); n[1] > 0 {
		t.Fatalf("%d more before its answer", n[1])
	}
}

// "force-pick 1 s": a member that scores badly is picked once a second, and no more
// than one pick in 16 is forced when requests are rare.
func TestP2CForcesAPick(t *testing.T) {
	f := newFixture(t, Config{}, named(10)...)
	for i, m := range f.list {
		m.Load.Observe(f.now, time.Duration(1+99*(i/9))*time.Second)
		m.Load.Inflight.Add(1) // nothing fades
	}
	last, n := f.now, 0
	for range 60_000 { // a millisecond each
		if f.next() == 9 {
			if since := f.now - last; n > 0 && (since < forceAfter || since > forceAfter+50*time.Millisecond) {
				t.Fatalf("picked after %v", since)
			}
			last, n = f.now, n+1
		}
	}
	if n < 55 || n > 60 {
		t.Fatalf("%d forced picks in a minute", n)
	}
	for range 900 { // a new list does not forget who was picked when
		f.SetMembers(f.list)
		if f.next() == 9 && f.now-last < forceAfter {
			t.Fatalf("picked %v after its last", f.now-last)
		}
	}
	slow := 0
	for range 1600 {
		f.now += 2 * time.Second
		if f.next() == 9 {
			slow++
		}
	}
	if slow == 0 || slow > 100 {
		t.Fatalf("%d of 1600 rare requests went to the slow one", slow)
	}
}

func TestP2CAmongEqualsIsEven(t *testing.T) {
	for _, n := range []int{1, 2, 3, 7, 100, 500} {
		f := newFixture(t, Config{}, named(n)...)
		for _, m := range f.list {
			m.Load.Observe(f.now, time.Millisecond)
			m.Load.Inflight.Add(1)
		}
		for i, c := range f.counts(100 * n) {
			if c < 95 || c > 105 {
				t.Fatalf("of %d member %d has %d picks of %d", n, i, c, 100*n)
			}
		}
	}
}

// The rotation deals different slots, each equally often in every place.
func TestRotationIsFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 400).Draw(t, "n")
		k := rapid.IntRange(1, min(n, 16)).Draw(t, "k")
		over := rapid.IntRange(0, n/k-1).Draw(t, "over")
		b, _ := New(Config{}, rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)))
		var class tier
		for range 3 {
			seen := make([][]int, k)
			for place := range seen {
				seen[place] = make([]int, n)
			}
			for range n {
				at, stride := b.deal(&class, n, k, over)
				dealt := map[int]bool{}
				for place := range k {
					dealt[at] = true
					seen[place][at]++
					at = wrap(at+stride, n)
				}
				equal(t, "different slots", len(dealt), k)
			}
			for place := range seen {
				for s, times := range seen[place] {
					equal(t, fmt.Sprint("slot ", s, " in place ", place), times, 1)
				}
			}
		}
	})
}
