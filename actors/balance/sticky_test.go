package balance

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// sentence 27: "`sticky` holds a session 30 min by default", each request anew.
func TestStickyHoldsASessionThirtyMinutes(t *testing.T) {
	f := newFixture(t, Config{Pick: "sticky"}, named(50)...)
	home := f.homes(100)
	if n := count(home, 50); slices.Max(n) > 10 {
		t.Errorf("placed %v", n)
	}
	for range 5 {
		f.now += 29 * time.Minute
		equal(t, "within half an hour", slices.Equal(f.homes(100), home), true)
	}
	f.now += 30 * time.Minute
	moved := 0
	for k, i := range f.homes(100) {
		if i != home[k] {
			moved++
		}
	}
	if moved < 80 {
		t.Errorf("%d of 100 are placed anew after half an hour of rest", moved)
	}
}

// "For hashes, `sticky` and `priority` tiers rank does not matter, only eligibility:
// one reset moves no session". A session whose member is out is placed anew, and stays.
func TestSessionStaysUntilItsMemberIsOut(t *testing.T) {
	f := newFixture(t, Config{Pick: "sticky"}, named(4)...)
	home := f.pickFor(Request{Key: "s"})
	f.SetStatus(home, Status{Ready: true, Eligible: true, Rank: Suspect})
	f.list[home].Load.Inflight.Store(1000)
	f.SetStatus((home+1)%4, Status{Ready: true, Eligible: true, TrialDue: true})
	equal(t, "suspect, busy, and another's trial is due", f.pickFor(Request{Key: "s"}), home)
	f.SetMembers(append([]Member{{ID: "new"}}, f.list...))
	equal(t, "at another index", f.pickFor(Request{Key: "s"}), home+1)
	f.SetStatus(home+1, Status{Ready: true})
	second := f.pickFor(Request{Key: "s"})
	equal(t, "out", second == home+1, false)
	f.SetStatus(home+1, eligible)
	for range 20 {
		equal(t, "stays where it is", f.pickFor(Request{Key: "s"}), second)
	}
	f.SetMembers(slices.DeleteFunc(slices.Clone(f.list), func(m Member) bool { return m.ID == f.list[second-1].ID }))
	third := f.pickFor(Request{Key: "s"})
	equal(t, "and again when that is gone", f.pickFor(Request{Key: "s"}), third)
}

// A retry passes over the session's member; the session moves only if that is out.
func TestRetryMovesNoSession(t *testing.T) {
	f := newFixture(t, Config{Pick: "sticky"}, named(5)...)
	home := f.pickFor(Request{Key: "s"})
	retry := Request{Key: "s", Retry: true, Tried: []string{f.list[home].ID}}
	equal(t, "another one", f.pickFor(retry) == home, false)
	equal(t, "eligible still", f.pickFor(Request{Key: "s"}), home)
	equal(t, "all tried", f.pickFor(Request{Key: "s", Tried: []string{"e0", "e1", "e2", "e3", "e4"}}), home)
	f.SetStatus(home, Status{Ready: true})
	second := f.pickFor(retry)
	f.SetStatus(home, eligible)
	equal(t, "moved by the retry, for it is out", f.pickFor(Request{Key: "s"}), second)
}

// "Tier and pick compose: {tier: priority, pick: weighted, weights: {…}, sticky: 30m}".
func TestStickyComposes(t *testing.T) {
	list := weightedMembers([]int{1, 1, 1, 1})
	list[2].Priority, list[3].Priority = 1, 1
	f := newFixture(t, Config{Tier: "priority", Pick: "weighted", Weights: map[string]int{"e0": 3}, Sticky: 30 * time.Minute}, list...)
	home := f.homes(400)
	equal(t, "placed by weight", fmt.Sprint(count(home, 4)), "[300 100 0 0]")
	equal(t, "they stay", slices.Equal(f.homes(400), home), true)
	f.SetStatus(0, Status{Ready: true})
	equal(t, "the sessions of one", fmt.Sprint(count(f.homes(400), 4)), "[0 400 0 0]")
	f.SetStatus(1, Status{Ready: true})
	equal(t, "in the standby tier", fmt.Sprint(count(f.homes(400), 4)), "[0 0 200 200]")
	f.SetStatus(0, eligible)
	equal(t, "stay there", fmt.Sprint(count(f.homes(400), 4)), "[0 0 200 200]")
	equal(t, "new ones do not", f.pickFor(Request{Key: "new"}), 0)

	for _, pick := range append(available(), pickCustom) {
		c := Config{Pick: pick, Sticky: time.Minute}
		if pick == pickCustom {
			c.Custom = func(_ string, c []Candidate) int { return len(c) / 2 }
		}
		f := newFixture(t, c, named(6)...)
		home := f.homes(50)
		for range 3 {
			equal(t, pick+" sticks", slices.Equal(f.homes(50), home), true)
		}
	}
	f = newFixture(t, Config{Pick: "consistent_hash", Sticky: time.Minute}, named(4)...)
	plain := newFixture(t, Config{Pick: "consistent_hash"}, named(4)...)
	equal(t, "placed by hash", slices.Equal(f.homes(50), plain.homes(50)), true)
}

func TestNothingSticksByDefault(t *testing.T) {
	for _, c := range []Config{{Pick: "round_robin"}, {Pick: "round_robin", Sticky: off}} {
		f := newFixture(t, c, named(3)...)
		equal(t, "picks", fmt.Sprint(f.pickFor(Request{Key: "s"}), f.pickFor(Request{Key: "s"}), f.pickFor(Request{Key: "s"})), "0 1 2")
	}
}

// The table is bounded: whoever was used longest ago goes.
func TestSessionsAreAnLRU(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 5).Draw(t, "most")
		s := newSessions(time.Minute, most)
		naive := &model{config: Config{Sticky: time.Minute, StickyMax: most}}
		now := time.Duration(0)
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			now += rapid.SampledFrom([]time.Duration{0, 20 * time.Second, 40 * time.Second}).Draw(t, "wait")
			key := rapid.Uint64Range(0, 7).Draw(t, "key")
			if rapid.Bool().Draw(t, "put") {
				member := rapid.Int32Range(0, 9).Draw(t, "member")
				s.put(key, member, now)
				naive.stick(fmt.Sprint(key), fmt.Sprint(member), now)
				continue
			}
			got, want := "", naive.session(fmt.Sprint(key), now)
			if i := s.find(key, now); i != nobody {
				got = fmt.Sprint(i)
			}
			equal(t, "member", got, want)
		}
		equal(t, "in the map as in the list", len(s.byKey), len(s.list)-1)
		equal(t, "bounded", len(s.list) <= most+1, true)
	})
}

func TestAFullTableForgetsTheOldest(t *testing.T) {
	b, _ := New(Config{Pick: "sticky", StickyMax: 1000}, rand.New(rand.NewPCG(1, 2)))
	f := &fixture{t, b, named(20), time.Second}
	b.SetMembers(f.list)
	for i := range f.list {
		b.SetStatus(i, eligible)
	}
	home := f.homes(1000)
	equal(t, "all are known", slices.Equal(f.homes(1000), home), true)
	for k := range 500 {
		f.pickFor(Request{Key: fmt.Sprint("new", k)})
	}
	for k := 999; k >= 500; k-- {
		equal(t, "a session of late", f.pickFor(Request{Key: fmt.Sprint("k", k)}), home[k])
	}
	moved := 0
	for k := range 500 {
		if f.pickFor(Request{Key: fmt.Sprint("k", k)}) != home[k] {
			moved++
		}
	}
	if moved < 400 {
		t.Errorf("%d of 500 that were forgotten are elsewhere", moved)
	}
	equal(t, "entries", len(b.sessions.list), 1001)
}
