package balance

import (
	"fmt"
	"slices"
	"testing"
)

var lastResort = Status{Ready: true, LastResort: true}

// picked are the members that get requests, by index.
func (f *fixture) picked(req Request) string {
	f.t.Helper()
	var seen []int
	for range 50 * len(f.list) {
		if i := f.pickFor(req); !slices.Contains(seen, i) {
			seen = append(seen, i)
		}
	}
	slices.Sort(seen)
	return fmt.Sprint(seen)
}

// picking are the strategies that choose among all candidates.
func picking() []string { return append(spilling(), "health_based") }

// "Panic mode, panic_threshold: last_resort (default: when nothing is eligible), a
// percentage, or off"
func TestPanicMode(t *testing.T) {
	const (
		h, s    = Healthy, Suspect
		ill     = LastResort
		gone    = out     // neither eligible nor a last resort
		drained = out + 1 // not ready, but else a last resort
	)
	for _, c := range []struct {
		members   []Rank
		threshold float64
		panic     bool
		want      string // who is picked; "" for nobody
	}{
		{[]Rank{h, ill, ill, ill}, 0, false, "[0]"},
		{[]Rank{s, ill, ill, ill}, 0, false, "[0]"},
		{[]Rank{gone, ill, ill, drained}, 0, true, "[1 2]"},
		{[]Rank{gone, gone, drained}, 0, false, ""},
		{[]Rank{gone, gone, drained}, 1, false, ""},
		{[]Rank{gone, ill, ill, ill}, off, false, ""},
		{[]Rank{h, ill, ill, ill}, off, false, "[0]"},
		{[]Rank{gone, ill, ill, drained}, 0.01, true, "[1 2]"},
		{[]Rank{h, h, ill, ill}, 0.5, false, "[0 1]"}, // half is not fewer than half
		{[]Rank{h, h, ill, ill}, 0.51, true, "[0 1 2 3]"},
		{[]Rank{h, s, ill, ill}, 0.51, true, "[0 1 2 3]"},      // every rank
		{[]Rank{h, h, gone, gone, gone}, 0.51, false, "[0 1]"}, // nobody to panic with
		{[]Rank{h, s, gone, ill}, 0.51, true, "[0 1 3]"},
		{[]Rank{h, ill, drained, drained}, 0.5, false, "[0]"}, // one of two ready
		{[]Rank{h, h, h, h, h, h, h, ill, ill, ill, ill, ill, ill, ill, ill, ill, ill, ill, ill, ill, ill, ill, ill, ill, ill}, 0.28, false, "[0 1 2 3 4 5 6]"}, // seven of 25
	} {
		for _, pick := range append(picking(), pickCustom) {
			turn := 0
			config := Config{Pick: pick, PanicThreshold: c.threshold}
			if pick == pickCustom {
				config.Custom = func(_ string, c []Candidate) int { turn++; return turn % len(c) }
			}
			f := newFixture(t, config, named(len(c.members))...)
			for i, r := range c.members {
				switch r {
				case gone:
					f.SetStatus(i, Status{Ready: true})
				case drained:
					f.SetStatus(i, Status{Eligible: true, LastResort: true})
				case ill:
					f.SetStatus(i, lastResort)
				default:
					f.SetStatus(i, ranked(r))
				}
			}
			what := fmt.Sprint(pick, " of ", c.members, " at ", c.threshold)
			equal(t, what+": panic", f.Panic(), c.panic)
			if c.want == "" {
				if i, err := f.Pick(f.now, Request{}); err != ErrNobody {
					t.Errorf("%s: picked %d, %v", what, i, err)
				}
				continue
			}
			equal(t, what, f.picked(Request{}), c.want)
			for i, r := range c.members {
				equal(t, what+": reserve", f.Reserve(i), r == ill && c.threshold != off)
			}
		}
	}
}

// In panic by a share a last resort gets what the others get.
func TestPanicTreatsAllAlike(t *testing.T) {
	for _, pick := range []string{"round_robin", "weighted", "random", "least_connections", "p2c_ewma", "health_based"} {
		f := newFixture(t, Config{Pick: pick, PanicThreshold: 0.5}, named(5)...)
		for i, s := range []Status{eligible, ranked(Suspect), lastResort, lastResort, lastResort} {
			f.SetStatus(i, s)
			f.list[i].Load.Observe(f.now, 1)
		}
		for i, n := range f.counts(5000) {
			if n < 850 || n > 1150 {
				t.Errorf("%s: member %d has %d of 5000 picks", pick, i, n)
			}
		}
	}
}

// The last resort is neither eligible nor does it change who of the others joins.
func TestLastResortIsNotEligible(t *testing.T) {
	f := newFixture(t, Config{Pick: "round_robin"}, named(4)...)
	f.SetStatus(1, ranked(Suspect))
	f.SetStatus(2, lastResort)
	f.SetStatus(3, lastResort)
	equal(t, "counts", f.Counts(), Counts{Members: 4, Ready: 4, Eligible: 2})
	out, others := f.Out(0)
	equal(t, "out", out, 2)
	equal(t, "others", others, 3)
	equal(t, "one healthy of four: the suspect joins", f.picks(4), "0101")
	f.SetStatus(1, Status{Ready: true, Eligible: true, Rank: LastResort}) // no rank of the eligible
	equal(t, "eligible it is", f.Reserve(1), false)
	equal(t, "as a suspect", f.picks(4), "0101")
}

// Retries and requests that were turned down go to whom they have not tried; that
// their own tries are all there is eligible makes no panic.
func TestPanicAndRetries(t *testing.T) {
	for _, pick := range append(picking(), pickPriority) {
		f := newFixture(t, Config{Pick: pick}, named(4)...)
		f.SetStatus(2, lastResort)
		f.SetStatus(3, lastResort)
		for _, retry := range []bool{false, true} {
			equal(t, pick+": the other", f.pickFor(Request{Retry: retry, Tried: []string{"e0"}}), 1)
			if i := f.pickFor(Request{Retry: retry, Tried: []string{"e0", "e1"}}); i > 1 {
				t.Errorf("%s: %d is picked, though two are eligible", pick, i)
			}
		}
		f.SetStatus(0, lastResort)
		f.SetStatus(1, Status{Ready: true})
		for _, retry := range []bool{false, true} {
			equal(t, pick+" in panic", f.pickFor(Request{Retry: retry, Tried: []string{"e0", "e2"}}), 3)
			if i := f.pickFor(Request{Retry: retry, Tried: []string{"e0", "e2", "e3"}}); i == 1 {
				t.Errorf("%s: %d is picked", pick, i)
			}
			equal(t, pick+": still in panic", f.Panic(), true)
		}
		f.SetStatus(0, eligible)
		equal(t, pick+" after it", f.Panic(), false)
		equal(t, pick+" after it", f.picked(Request{}), "[0]")
	}
	for _, pick := range picking() {
		f := newFixture(t, Config{Pick: pick, PanicThreshold: 1}, named(3)...)
		f.SetStatus(1, ranked(Suspect))
		f.SetStatus(2, lastResort)
		equal(t, pick+": the best rank", f.picked(Request{Retry: true}), "[0]")
		equal(t, pick+": the next", f.picked(Request{Retry: true, Tried: []string{"e0"}}), "[1]")
		equal(t, pick+": the last", f.picked(Request{Retry: true, Tried: []string{"e0", "e1"}}), "[2]")
		equal(t, pick+": turned down", f.picked(Request{Tried: []string{"e0"}}), "[1 2]")
	}
}

// As long as anybody is eligible, the best tier with one gets the requests; when
// nobody is, the best tier of all.
func TestPanicInTiers(t *testing.T) {
	list := []Member{{ID: "a"}, {ID: "b"}, {ID: "c", Priority: 1}, {ID: "d", Priority: 1}, {ID: "e", Priority: 2}}
	for _, pick := range picking() {
		f := newFixture(t, Config{Tier: "priority", Pick: pick, PanicThreshold: 0.9}, list...)
		f.SetStatus(0, lastResort)
		f.SetStatus(1, lastResort)
		f.SetStatus(3, lastResort)
		equal(t, pick+": panic", f.Panic(), true)
		equal(t, pick+": the standby tier", f.picked(Request{}), "[2 3]")
		equal(t, pick+": its eligible one was tried", f.picked(Request{Tried: []string{"c"}}), "[4]")
		equal(t, pick+": all eligible ones were tried", f.picked(Request{Tried: []string{"c", "e"}}), "[0 1]")
		f.SetStatus(1, eligible)
		equal(t, pick+": the active tier", f.picked(Request{}), "[0 1]")
		for i := 1; i < 5; i++ {
			f.SetStatus(i, lastResort)
		}
		f.SetStatus(0, Status{Ready: true})
		equal(t, pick+": nobody is eligible", f.picked(Request{}), "[1]")
	}
}

// Active/standby needs no share in panic: one bears it all anyway.
func TestPanicInActiveStandby(t *testing.T) {
	f := newFixture(t, Config{Pick: "priority", PanicThreshold: 1},
		Member{ID: "a"}, Member{ID: "b"}, Member{ID: "c", Priority: 1})
	f.SetStatus(0, lastResort)
	equal(t, "panic", f.Panic(), true)
	equal(t, "the next of the tier is well", f.picks(3), "111")
	f.SetStatus(1, lastResort)
	equal(t, "the standby is well", f.picks(3), "222")
	f.SetStatus(2, lastResort)
	equal(t, "nobody is", f.picks(3), "000")
}

// A trial that is due goes first in panic too, but only an eligible member makes one.
func TestPanicAndTrials(t *testing.T) {
	for _, pick := range picking() {
		f := newFixture(t, Config{Pick: pick, PanicThreshold: 1}, named(4)...)
		f.SetStatus(1, Status{Ready: true, LastResort: true, TrialDue: true})
		f.SetStatus(2, Status{Ready: true, Eligible: true, Rank: Suspect, TrialDue: true})
		equal(t, pick, f.next(), 2)
		if n := f.counts(40); n[1] == 0 || n[1] > 20 {
			t.Errorf("%s: picks %v", pick, n)
		}
	}
}

func TestPanicShowsTheRank(t *testing.T) {
	var seen []Candidate
	f := newFixture(t, Config{Custom: func(_ string, c []Candidate) int { seen = c; return 0 }}, named(2)...)
	f.SetStatus(0, lastResort)
	f.SetStatus(1, lastResort)
	f.next()
	equal(t, "candidates", len(seen), 2)
	equal(t, "rank", seen[1].Rank, LastResort)
	equal(t, "rank in words", fmt.Sprint(seen[1].Rank), "last_resort")
	f.SetMembers(f.list[:1])
	equal(t, "of a new list", f.Panic(), true)
	f.SetMembers([]Member{{ID: "new"}})
	equal(t, "of nobody known", f.Panic(), false)
}

// A key goes to its own choice as long as that may be picked at all.
func TestPanicKeepsKeysTogether(t *testing.T) {
	for _, pick := range hashes {
		f := newFixture(t, Config{Pick: pick, PanicThreshold: 0.5}, named(8)...)
		home := f.homes(400)
		for i := range 3 {
			f.SetStatus(i, lastResort)
		}
		for k, i := range f.homes(400) {
			if home[k] > 2 && i != home[k] || i <= 2 {
				t.Fatalf("%s: no panic, and key %d of %d goes to %d", pick, k, home[k], i)
			}
		}
		f.SetStatus(3, lastResort)
		f.SetStatus(4, lastResort)
		equal(t, pick+": in panic all are at home", slices.Equal(f.homes(400), home), true)
		f.SetStatus(0, Status{Ready: true})
		for k, i := range f.homes(400) {
			if home[k] != 0 && i != home[k] || i == 0 {
				t.Fatalf("%s: in panic key %d of %d goes to %d", pick, k, home[k], i)
			}
		}
		for i := range 8 {
			f.SetStatus(i, lastResort)
		}
		equal(t, pick+": nobody is eligible", slices.Equal(f.homes(400), home), true)
	}
}

// The last resort's load counts in the mean while panic mode lasts.
func TestPanicBoundsTheLoadOfAll(t *testing.T) {
	f := newFixture(t, Config{Pick: "consistent_hash", PanicThreshold: 1}, named(4)...)
	home := f.pickFor(Request{Key: "k"})
	for i := range f.list {
		f.list[i].Load.Inflight.Store(10)
		if i != home {
			f.SetStatus(i, lastResort)
		}
	}
	f.homes(4) // looks at all
	equal(t, "all have as many", f.pickFor(Request{Key: "k"}), home)
	f.list[home].Load.Inflight.Store(14) // of a mean of 11.25 × 1.25; alone it could bear any number
	equal(t, "it has too many", f.pickFor(Request{Key: "k"}) == home, false)
}

// Sessions stay with the last resort, and begin there, as long as panic mode lasts.
func TestPanicAndSessions(t *testing.T) {
	f := newFixture(t, Config{Pick: "sticky", PanicThreshold: 0.5}, named(4)...)
	home := f.homes(100)
	for i := range 3 {
		f.SetStatus(i, lastResort)
	}
	equal(t, "all stay", slices.Equal(f.homes(100), home), true)
	begun := f.pickFor(Request{Key: "new", Tried: []string{"e3"}})
	equal(t, "begins at a last resort", f.Reserve(begun), true)
	equal(t, "and stays", f.pickFor(Request{Key: "new"}), begun)
	other := f.pickFor(Request{Key: "new", Retry: true, Tried: []string{f.list[begun].ID}})
	equal(t, "a retry goes elsewhere", other == begun, false)
	equal(t, "and moves no session", f.pickFor(Request{Key: "new"}), begun)
	f.SetStatus((begun+1)%3, eligible)
	equal(t, "no panic", f.Panic(), false)
	equal(t, "out", f.Reserve(f.pickFor(Request{Key: "new"})), false)
	f.SetStatus((begun+1)%3, Status{Ready: true})
	f.SetStatus(3, Status{Ready: true})
	equal(t, "nobody is eligible", f.Reserve(f.pickFor(Request{Key: "new"})), true)
}

// The classes of geographic are tiers in panic too, and a place that is asked for comes
// before a nearer one only while it has somebody eligible or nobody has.
func TestPanicInPlaces(t *testing.T) {
	list := abroad() // near and near too, next door, dublin, sydney, somewhere
	for i := range list {
		list[i].Limit = 1
	}
	f := newFixture(t, Config{Pick: "geographic", Here: here, PanicThreshold: 0.9}, list...)
	f.SetStatus(1, lastResort)
	equal(t, "panic", f.Panic(), true)
	equal(t, "every rank of the zone", f.picked(Request{}), "[1 3]")
	f.SetStatus(3, lastResort)
	f.SetStatus(5, lastResort)
	equal(t, "the next class has somebody eligible", f.picked(Request{}), "[4]")
	equal(t, "who are asked for are ill", f.picked(Request{Key: "eu-west-1"}), "[4]")
	f.list[4].Load.Inflight.Store(1)
	equal(t, "who is eligible is full", f.picked(Request{}), "[0]") // beyond dublin, which is ill
	f.list[4].Load.Inflight.Store(0)
	f.SetStatus(4, lastResort)
	f.SetStatus(0, lastResort)
	f.SetStatus(2, Status{Ready: true})
	equal(t, "nobody is eligible", f.picked(Request{}), "[1 3]")
	equal(t, "a place is asked for", f.picked(Request{Key: "eu-west-1"}), "[5]")
	f.list[1].Load.Inflight.Store(1)
	f.list[3].Load.Inflight.Store(1)
	equal(t, "the nearest are full", f.picked(Request{}), "[4]")
}
