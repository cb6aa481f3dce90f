package balance

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/understudy-go/understudy/messages"
)

// spilling are the strategies that let lower ranks join.
func spilling() (names []string) {
	for _, s := range strategies {
		if !s.anyRank && !s.bestRankOnly && s.name != pickCustom {
			names = append(names, s.name)
		}
	}
	return names
}

// "a lower rank joins only while those above it together are fewer than
// spill_threshold (50 % of the ready endpoints, per tier)"
func TestSpillOver(t *testing.T) {
	const (
		h, u, d, s = Healthy, Unknown, Degraded, Suspect
		gone       = out     // ready, not eligible
		drained    = out + 1 // not ready
	)
	for _, c := range []struct {
		members []Rank
		spill   float64
		last    Rank // who joins
	}{
		{[]Rank{h, h, h, h}, 0, h},
		{[]Rank{h, h, s, s}, 0, h}, // half is not fewer than half
		{[]Rank{h, s, s}, 0, s},
		{[]Rank{h, s, s, drained}, 0, s},
		{[]Rank{h, s, drained, drained}, 0, h}, // one of two ready
		{[]Rank{h, s, gone, gone}, 0, s},       // one of four ready
		{[]Rank{h, u, d, s}, 0, u},             // with the unknown there are two of four
		{[]Rank{h, u, d, s, s}, 0, d},
		{[]Rank{h, u, d, s, s, s}, 0, d},
		{[]Rank{h, u, d, s, s, s, s}, 0, s},
		{[]Rank{d, s}, 0, d},
		{[]Rank{s, s}, 0, s},
		{[]Rank{h, s, s, s}, off, h},
		{[]Rank{u, s, s, s}, off, u},
		{[]Rank{h, h, h, s}, 1, s},
		{[]Rank{h, s, s, s}, 0.25, h},
		{[]Rank{h, s, s, s}, 0.26, s},
		{[]Rank{h, h, h, h, h, h, h, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s}, 0.28, h}, // seven of 25, not 7.000000000000001
	} {
		for _, pick := range spilling() {
			f := newFixture(t, Config{Pick: pick, SpillThreshold: c.spill}, named(len(c.members))...)
			for i, r := range c.members {
				switch r {
				case gone:
					f.SetStatus(i, Status{Ready: true})
				case drained:
					f.SetStatus(i, Status{Eligible: true})
				default:
					f.SetStatus(i, ranked(r))
				}
			}
			for i, n := range f.counts(50 * len(c.members)) {
				if joins := c.members[i] <= c.last; joins != (n > 0) {
					t.Errorf("%s of %v at %v: member %d has %d picks", pick, c.members, c.spill, i, n)
				}
			}
		}
	}
}

// Those that an operator took out are no part of what the threshold is a share of,
// from that moment.
func TestSpillOverFollowsTheReady(t *testing.T) {
	f := newFixture(t, Config{Pick: "round_robin"}, named(4)...)
	f.SetStatus(1, ranked(Suspect))
	f.SetStatus(2, Status{Ready: true})
	f.SetStatus(3, Status{Ready: true})
	equal(t, "one healthy of four", f.picks(4), "0101")
	f.SetStatus(2, Status{})
	f.SetStatus(3, Status{})
	equal(t, "of two", f.picks(4), "0000")
	f.SetStatus(3, Status{Ready: true})
	equal(t, "of three", f.picks(4), "1010")
}

// "so that a blip never piles all traffic on the last healthy one"
func TestOneBlipNeverPilesAllTrafficOnTheLastHealthyOne(t *testing.T) {
	const n, picks = 10, 10_000
	for _, pick := range spilling() {
		f := newFixture(t, Config{Pick: pick}, named(n)...)
		for _, m := range f.list {
			m.Load.Observe(f.now, 5*time.Millisecond)
		}
		for i := 1; i < n; i++ {
			f.SetStatus(i, ranked(Suspect))
			counts := f.counts(picks)
			most := 0
			for _, c := range counts {
				most = max(most, c)
			}
			healthy := n - i
			if share := picks / min(healthy, n/2); healthy >= n/2 && most > share*3/2 || healthy < n/2 && most > picks/n*3/2 {
				t.Errorf("%s with %d healthy: one gets %d of %d", pick, healthy, most, picks)
			}
		}
	}
}

// "A retry does not spill over; it takes the best rank not yet tried."
func TestRetryTakesTheBestRankNotYetTried(t *testing.T) {
	for _, pick := range spilling() {
		f := newFixture(t, Config{Pick: pick, SpillThreshold: 1}, named(4)...)
		f.SetStatus(1, ranked(Degraded))
		f.SetStatus(2, ranked(Suspect))
		f.SetStatus(3, ranked(Suspect))
		for range 20 {
			equal(t, pick, f.pickFor(Request{Retry: true}), 0)
			equal(t, pick, f.pickFor(Request{Retry: true, Tried: []string{"e2"}}), 0)
			equal(t, pick, f.pickFor(Request{Retry: true, Tried: []string{"e0"}}), 1)
			equal(t, pick, f.pickFor(Request{Retry: true, Tried: []string{"e0", "e1", "e3"}}), 2)
			equal(t, pick+" when all were tried", f.pickFor(Request{Retry: true, Tried: []string{"e0", "e1", "e2", "e3"}}), 0)
		}
	}
}

func TestNobodyIsEligible(t *testing.T) {
	for _, pick := range append(available(), pickCustom) {
		f := newFixture(t, Config{Pick: pick})
		for _, list := range [][]Member{nil, named(3)} {
			f.SetMembers(list)
			for _, req := range []Request{{}, {Retry: true}, {Tried: []string{"e0"}}} {
				if i, err := f.Pick(f.now, req); err != ErrNobody || i != -1 {
					t.Errorf("%s of %d: %d, %v", pick, len(list), i, err)
				}
			}
		}
	}
}

func TestDueTrialGoesFirst(t *testing.T) {
	due := Status{Ready: true, Eligible: true, Rank: Suspect, TrialDue: true}
	for _, pick := range append(spilling(), "health_based") {
		f := newFixture(t, Config{Pick: pick}, named(5)...)
		f.SetStatus(4, due)
		if i := f.pickFor(Request{Retry: true}); i == 4 {
			t.Errorf("%s: a retry made the trial", pick)
		}
		if i := f.pickFor(Request{Tried: []string{"e4"}}); i == 4 {
			t.Errorf("%s: offered to the request that it turned down", pick)
		}
		equal(t, pick+": the next first attempt", f.next(), 4)
		f.pickFor(Request{Tried: []string{"e4"}})
		f.SetStatus(4, due)
		f.SetMembers(f.list)
		equal(t, pick+": offered once", f.counts(90)[4], 0)
		f.now += trialAgain
		equal(t, pick+": again when it said nothing", f.next(), 4)
		f.SetStatus(4, Status{Ready: true, TrialDue: true})
		f.now += trialAgain
		equal(t, pick+": not while it runs", f.counts(5)[4], 0)
		f.SetStatus(4, due)
		equal(t, pick+": may make a second one", f.next(), 4)
		f.SetStatus(4, Status{Ready: true})
		f.SetStatus(4, due)
		equal(t, pick+": the next trial is due", f.next(), 4)
	}
}

func TestEveryDueTrialIsOffered(t *testing.T) {
	f := newFixture(t, Config{}, named(100)...)
	for i := range 50 {
		f.SetStatus(i, Status{Ready: true, Eligible: true, Rank: Suspect, TrialDue: true})
	}
	counts := f.counts(50)
	for i := range 50 {
		equal(t, fmt.Sprint("trials of ", i), counts[i], 1)
	}
	counts = f.counts(40)
	for i := range 50 {
		equal(t, fmt.Sprint("more of ", i), counts[i], 0)
	}
}

// In tiers normal order rules: a standby's trial takes nothing from the active tier,
// and active/standby knows no trial before its turn.
func TestDueTrialWaitsForItsTier(t *testing.T) {
	due := Status{Ready: true, Eligible: true, TrialDue: true}
	list := []Member{{ID: "a"}, {ID: "b"}, {ID: "standby", Priority: 1}}
	f := newFixture(t, Config{Tier: "priority", Pick: "round_robin"}, list...)
	f.SetStatus(2, due)
	equal(t, "the standby's", f.picks(4), "0101")
	f.SetStatus(1, due)
	equal(t, "in the tier it goes first", f.picks(3), "101")

	f = newFixture(t, Config{Pick: "priority"}, list...)
	f.SetStatus(1, due)
	f.SetStatus(2, due)
	equal(t, "active/standby", f.picks(3), "000")
	f.SetStatus(0, due)
	equal(t, "the primary is back", f.picks(3), "000")
}

// SetMembers keeps what is known of those that stay, by id.
func TestMembersKeepTheirStatus(t *testing.T) {
	for _, pick := range available() {
		f := newFixture(t, Config{Pick: pick}, named(3)...)
		f.SetStatus(0, Status{Ready: true})
		f.SetStatus(1, ranked(Suspect))
		f.SetMembers([]Member{f.list[2], {ID: "new"}, f.list[1], f.list[0]})
		equal(t, pick, f.Counts(), Counts{Members: 4, Ready: 3, Eligible: 2})
		f.SetStatus(0, Status{})
		equal(t, pick+": the suspect, now third", f.next(), 2)
	}
}

func TestCustom(t *testing.T) {
	var seen []Candidate
	var key string
	choose := func(c []Candidate) int { return len(c) - 1 }
	f := newFixture(t, Config{Tier: "priority", Custom: func(k string, c []Candidate) int {
		key, seen = k, c
		return choose(c)
	}}, Member{ID: "standby", Priority: 1}, Member{ID: "a", Weight: 2}, Member{ID: "b"}, Member{ID: "c"}, Member{ID: "d"})
	f.SetStatus(2, ranked(Suspect))
	f.SetStatus(4, Status{Ready: true})
	f.list[1].Load.Inflight.Store(7)
	f.list[1].Load.Observe(f.now, time.Second)

	equal(t, "the last candidate", f.pickFor(Request{Key: "user"}), 3)
	equal(t, "key", key, "user")
	equal(t, "candidates", fmt.Sprintf("%+v", seen),
		"[{ID:a Weight:2 Priority:0 Rank:healthy Inflight:7 Latency:1s Warmth:1} {ID:c Weight:1 Priority:0 Rank:healthy Inflight:0 Latency:0s Warmth:1}]")
	equal(t, "without those tried", f.pickFor(Request{Tried: []string{"c"}}), 2) // one of four is left: the suspect joins
	equal(t, "candidates", len(seen), 2)

	for _, wrong := range []int{-1, 2, 1 << 40} {
		choose = func([]Candidate) int { return wrong }
		_, err := f.Pick(f.now, Request{})
		if !errors.Is(err, messages.ErrInvalidStrategy) {
			t.Errorf("choosing %d: %v", wrong, err)
		}
	}
	choose = func(c []Candidate) int { clear(c); return 0 } // the list is the function's own
	equal(t, "the first", f.next(), 1)

	choose = func([]Candidate) int { panic("mine") }
	func() {
		defer func() { equal[any](t, "the panic goes on", recover(), "mine") }()
		f.Pick(f.now, Request{Tried: []string{"a", "b"}})
	}()
	choose = func([]Candidate) int { return 0 }
	equal(t, "usable after it, with everybody in place", f.next(), 1)
	equal(t, "counts", f.Counts(), Counts{Members: 5, Ready: 5, Eligible: 4})
}

func TestCustomWithoutAFunction(t *testing.T) {
	f := newFixture(t, Config{Pick: "custom"}, named(1)...)
	if _, err := f.Pick(f.now, Request{}); !errors.Is(err, messages.ErrInvalidStrategy) {
		t.Fatalf("%v", err)
	}
}

func TestPickAllocatesNothing(t *testing.T) {
	for _, pick := range available() {
		list := named(300)
		for i := range list {
			list[i].Place, list[i].Limit = places[i%len(places)], i%2
			list[i].Load = new(Load)
			list[i].Load.Inflight.Store(int32(i % 3))
		}
		f := newFixture(t, Config{Pick: pick, Tier: "priority"}, list...)
		for i := range 100 {
			f.SetStatus(i, Status{Ready: true, Eligible: true, Rank: Rank(i % 4), TrialDue: i%10 == 0})
		}
		for i := 100; i < 130; i++ {
			f.SetStatus(i, Status{Ready: true, Eligible: true, Warming: f.now})
		}
		for _, req := range []Request{{}, {Retry: true, Tried: []string{"e1", "e2", "e3"}}, {Tried: []string{"e0"}},
			{Key: "user"}, {Key: "192.0.2.1:80"}, {Key: "r1"}, {Key: "user", Tried: []string{"e0", "e7"}}} {
			if n := testing.AllocsPerRun(100, func() { f.next() }) + testing.AllocsPerRun(100, func() { f.pickFor(req) }); n > 0 {
				t.Errorf("%s: %v allocations for %+v", pick, n, req)
			}
		}
		if n := testing.AllocsPerRun(100, func() { f.SetStatus(7, Status{}); f.SetStatus(7, eligible) }); n > 0 {
			t.Errorf("%s: a change of status makes %v allocations", pick, n)
		}
	}
}
