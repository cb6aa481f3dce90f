package balance

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var hashes = []string{"ip_hash", "consistent_hash"}

// homes returns the index that each of n keys k0, k1, … falls to.
func (f *fixture) homes(n int) []int {
	f.t.Helper()
	homes := make([]int, n)
	for k := range homes {
		homes[k] = f.pickFor(Request{Key: fmt.Sprint("k", k)})
	}
	return homes
}

func count(homes []int, members int) []int {
	counts := make([]int, members)
	for _, i := range homes {
		counts[i]++
	}
	return counts
}

// Every process, node and version must agree: these values stay as they are.
func TestKeysFallTheSameEverywhere(t *testing.T) {
	for _, c := range []struct{ pick, want string }{
		{"consistent_hash", "e2e4 e3e0 e3e0 e0e1 e0e0 e2e3 e5e5 e4e5 e4e3 e3e0 "},
		{"ip_hash", "e2e4 e3e2 e3e0 e0e2 e0e5 e2e2 e5e4 e4e5 e4e3 e3e6 "},
	} {
		for seed := range uint64(3) {
			b, _ := New(Config{Pick: c.pick}, rand.New(rand.NewPCG(seed, seed)))
			f := &fixture{t, b, named(7), time.Second}
			rand.New(rand.NewPCG(seed, 0)).Shuffle(7, func(i, j int) { f.list[i], f.list[j] = f.list[j], f.list[i] })
			b.SetMembers(f.list)
			for i := range f.list {
				b.SetStatus(i, eligible)
			}
			got := ""
			for k := range 10 {
				got += f.list[f.pickFor(Request{Key: fmt.Sprint("user-", k)})].ID
				got += f.list[f.pickFor(Request{Key: fmt.Sprint("192.0.2.", k)})].ID + " "
			}
			equal(t, c.pick, got, c.want)
		}
	}
}

func TestKeysSpreadByWeight(t *testing.T) {
	const keys = 100_000
	for _, pick := range hashes {
		list := named(10)
		total := 0
		for i := range list {
			list[i].Weight = 1 + i%3
			total += list[i].Weight
		}
		f := newFixture(t, Config{Pick: pick, Weights: map[string]int{"e9": 3}}, list...)
		total += 2
		for i, n := range count(f.homes(keys), 10) {
			due := float64(keys * f.members[i].Weight / total)
			if d := math.Abs(float64(n) - due); d > 5*math.Sqrt(due) {
				t.Errorf("%s: member %d of weight %d has %d keys, due are %.0f", pick, i, f.members[i].Weight, n, due)
			}
		}
	}
}

// sentence 27: "Same `ip_hash` key: same endpoint until it is ineligible; others' keys
// do not move." They come home when it is back, and a member's keys spread over all
// others meanwhile. Ranks and the list's order change nothing.
func TestWhoIsOutMovesItsOwnKeysOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pick := rapid.SampledFrom(hashes).Draw(t, "pick")
		n := rapid.IntRange(1, 40).Draw(t, "members")
		f := newFixture(t, Config{Pick: pick, HashBalance: rapid.SampledFrom([]float64{0, off}).Draw(t, "balance")}, named(n)...)
		home := f.homes(200)
		status := func(i int) Status {
			s := eligible
			s.Rank = rapid.SampledFrom([]Rank{Healthy, Suspect, Unknown}).Draw(t, "rank")
			s.TrialDue = rapid.Bool().Draw(t, "due")
			s.Eligible = rapid.Bool().Draw(t, "eligible")
			return s
		}
		if rapid.Bool().Draw(t, "shuffle") {
			f.SetMembers(f.list)
		}
		somebody := false
		for i := range f.list {
			f.SetStatus(i, status(i))
			somebody = somebody || f.members[i].place != out
		}
		if !somebody {
			return
		}
		for k, i := range f.homes(200) {
			if f.members[home[k]].place != out && i != home[k] {
				t.Fatalf("key %d left %d for %d, though it is eligible", k, home[k], i)
			}
		}
		for i := range f.list {
			f.SetStatus(i, eligible)
		}
		if back := f.homes(200); !slices.Equal(back, home) {
			t.Fatalf("not all keys came home")
		}
	})
}

// Even where most members are out, keys have their place and spread over who is left.
func TestKeysOfThoseWhoAreOutSpreadOverAllOthers(t *testing.T) {
	const n, keys = 200, 40_000
	for _, left := range []int{199, 100, 10, 2} {
		f := newFixture(t, Config{Pick: "consistent_hash"}, named(n)...)
		home := f.homes(keys)
		for i := left; i < n; i++ {
			f.SetStatus(int(f.at[i*101%n]), Status{Ready: true}) // the first and the middle one stay to the end
		}
		now := f.homes(keys)
		for k := range now {
			if f.members[home[k]].place != out && now[k] != home[k] {
				t.Fatalf("%d left: key %d moved", left, k)
			}
		}
		counts := count(now, n)
		for i := range left {
			c := counts[f.at[i*101%n]]
			if due := keys / left; c < due*7/10 || c > due*13/10 {
				t.Errorf("%d left: member %d has %d keys, due are %d", left, i, c, due)
			}
		}
	}
}

// The end to end view of TestRemovalOfOneOfAHundredMovesFewOthers.
func TestAListThatShrinksKeepsTheKeysOfTheOthers(t *testing.T) {
	const keys = 20_000
	f := newFixture(t, Config{Pick: "consistent_hash"}, named(100)...)
	before := f.homes(keys)
	f.SetMembers(slices.Delete(slices.Clone(f.list), 50, 51))
	moved, own := 0, 0
	for k, i := range f.homes(keys) {
		if i >= 50 {
			i++
		}
		switch {
		case before[k] == 50:
			own++
		case i != before[k]:
			moved++
		}
	}
	t.Logf("of %d keys %d were its own, %d of the others moved: %.2f%%", keys, own, moved, 100*float64(moved)/float64(keys-own))
	if moved > (keys-own)/100 {
		t.Errorf("%d of %d keys of the others moved", moved, keys-own)
	}
}

// The table is made anew when an id or a weight changes, and else never.
func TestTablesAreKept(t *testing.T) {
	list := named(20)
	for i := range list {
		list[i].Priority = i % 2
	}
	f := newFixture(t, Config{Pick: "consistent_hash", Tier: "priority"}, list...)
	table := func(tier int) *int32 { return &f.table(&f.tiers[tier])[0] }
	first, second := table(0), table(1)
	slices.Reverse(list)
	list[3].Load = new(Load)
	f.SetMembers(list)
	f.SetStatus(0, Status{})
	equal(t, "another order", table(0) == first && table(1) == second, true)
	list[0].Weight = 2 // e19
	f.SetMembers(list)
	equal(t, "the tier with another weight", table(1) == second, false)
	equal(t, "the other", table(0) == first, true)
	f.SetMembers(list[1:])
	equal(t, "the tier that is smaller", len(f.table(&f.tiers[1])), tableSmall)
	equal(t, "the other", table(0) == first, true)
}

// Between two picks the list may change as often as it likes.
func TestTablesAreFilledAtAPick(t *testing.T) {
	list := named(20)
	f := newFixture(t, Config{Pick: "consistent_hash"}, list[:1]...)
	for n := range list {
		f.SetMembers(list[:n+1])
		equal(t, "a table before a pick", f.tiers[0].hash.table == nil, true)
	}
	f.SetStatus(0, eligible)
	f.pickFor(Request{Key: "k"})
	equal(t, "a table after it", len(f.tiers[0].hash.table), tableSmall)
}

func TestEachTierHasItsTable(t *testing.T) {
	list := named(6)
	for i := range list {
		list[i].Priority = i / 3
	}
	f := newFixture(t, Config{Pick: "consistent_hash", Tier: "priority"}, list...)
	home := f.homes(300)
	for i, n := range count(home, 6) {
		if (n > 0) != (i < 3) {
			t.Fatalf("member %d has %d keys", i, n)
		}
	}
	for i := range 3 {
		f.SetStatus(i, Status{Ready: true})
	}
	for i, n := range count(f.homes(300), 6) {
		if i >= 3 && (n < 70 || n > 130) {
			t.Errorf("in the standby tier, member %d has %d of 300 keys", i, n)
		}
	}
	f.SetStatus(1, eligible)
	for _, i := range f.homes(300) {
		equal(t, "the one that is back", i, 1)
	}
}

// "Retries take the key's next choice not yet tried": the one that it falls to while
// the first is out.
func TestRetryTakesTheKeysNextChoice(t *testing.T) {
	f := newFixture(t, Config{Pick: "consistent_hash"}, named(5)...)
	for k := range 100 {
		key := fmt.Sprint("k", k)
		var order []string
		for range 5 {
			i := f.pickFor(Request{Key: key, Tried: order, Retry: len(order) > 0})
			for _, id := range order {
				f.SetStatus(slices.IndexFunc(f.list, func(m Member) bool { return m.ID == id }), Status{Ready: true})
			}
			equal(t, "while those tried are out", f.pickFor(Request{Key: key}), i)
			for i := range f.list {
				f.SetStatus(i, eligible)
			}
			order = append(order, f.list[i].ID)
		}
		slices.Sort(order)
		equal(t, "different ones", len(slices.Compact(order)), 5)
	}
}

// bound is what the paper says: the capacity of a member is the mean of those that are
// eligible, with the request to come, by weight, times the factor, rounded up. Below
// roomAlways nobody is full.
func (f *fixture) bound(i int, factor float64) int32 {
	sum, weights := 1.0, 0.0
	for j := range f.members {
		if f.members[j].place != out {
			sum += float64(f.members[j].Load.Inflight.Load())
			weights += float64(f.members[j].Weight)
		}
	}
	return max(roomAlways, int32(math.Ceil(factor*sum*float64(f.members[i].Weight)/weights-1e-9)))
}

// "Consistent Hashing with Bounded Loads": nobody is loaded above the bound while
// others have room, however few keys there are. Of few members the sum is exact.
func TestLoadIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		factor := rapid.SampledFrom([]float64{1.1, 1.25, 2}).Draw(t, "factor")
		n := rapid.IntRange(2, 12).Draw(t, "members")
		list := weightedMembers(rapid.SliceOfN(rapid.IntRange(1, 3), n, n).Draw(t, "weights"))
		f := newFixture(t, Config{Pick: "consistent_hash", HashBalance: factor}, list...)
		for i := range n / 3 {
			f.SetStatus(i, Status{Ready: true, Eligible: rapid.Bool().Draw(t, "eligible")})
		}
		keys := rapid.IntRange(1, 5).Draw(t, "keys")
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "answers"), 0))
		for r := range 300 {
			for range n { // what is seen of the members is up to date
				f.room(&f.tiers[0], Suspect)
			}
			i := f.pickFor(Request{Key: fmt.Sprint("k", r%keys)})
			load := &f.members[i].Load.Inflight
			if b := f.bound(i, factor); load.Load() >= b {
				t.Fatalf("request %d goes to %d, which has %d of at most %d", r, i, load.Load(), b)
			}
			load.Add(1)
			if l := &f.members[rnd.IntN(n)].Load.Inflight; rnd.IntN(4) == 0 && l.Load() > 0 {
				l.Add(-1)
			}
		}
	})
}

// The request to come counts, and so does what picks never looked at.
func TestTheMeanIsOfAll(t *testing.T) {
	f := newFixture(t, Config{Pick: "consistent_hash"}, named(2)...)
	home := f.pickFor(Request{Key: "k"})
	f.list[home].Load.Inflight.Store(5)
	for others, stays := range []bool{false, false, false, true, true} { // 5 < 1.25 × (5 + others + 1) / 2
		f.list[1-home].Load.Inflight.Store(int32(others))
		f.next()
		f.pickFor(Request{Key: "k"})
		equal(t, fmt.Sprint("the other has ", others), f.pickFor(Request{Key: "k"}) == home, stays)
	}

	f = newFixture(t, Config{Pick: "consistent_hash"}, named(50)...)
	home = f.pickFor(Request{Key: "k"})
	for i := range f.list {
		f.list[i].Load.Inflight.Store(100)
	}
	for range 50 / recounts {
		f.pickFor(Request{Key: "k"})
	}
	equal(t, "all are as busy", f.pickFor(Request{Key: "k"}), home)
}

// One hot key among a hundred members: the sum that a pick knows lags by what came
// since it last looked, which is half a request a member.
func TestOneHotKeySpreadsNoFurtherThanItMust(t *testing.T) {
	const n, requests = 100, 4000
	f := newFixture(t, Config{Pick: "consistent_hash"}, named(n)...)
	for range requests {
		f.members[f.pickFor(Request{Key: "hot"})].Load.Inflight.Add(1)
	}
	most := int32(0)
	for i := range f.members {
		most = max(most, f.members[i].Load.Inflight.Load())
	}
	if most > 1.25*requests/n+2 {
		t.Errorf("one member has %d of %d", most, requests)
	}
	f = newFixture(t, Config{Pick: "consistent_hash", HashBalance: off}, named(n)...)
	for range requests {
		f.members[f.pickFor(Request{Key: "hot"})].Load.Inflight.Add(1)
	}
	equal(t, "off: all stay", f.members[f.pickFor(Request{Key: "hot"})].Load.Inflight.Load(), requests)
}

// While little is in flight, balance moves no key.
func TestFewRequestsStayTogether(t *testing.T) {
	f := newFixture(t, Config{Pick: "ip_hash"}, named(10)...)
	home := f.pickFor(Request{Key: "192.0.2.1"})
	for range roomAlways {
		equal(t, "a browser's requests", f.pickFor(Request{Key: "192.0.2.1"}), home)
		f.list[home].Load.Inflight.Add(1)
	}
	next := f.pickFor(Request{Key: "192.0.2.1"})
	if next == home {
		t.Errorf("four in flight while all others are idle, and the fifth follows")
	}
	equal(t, "its next choice, always the same", f.pickFor(Request{Key: "192.0.2.1"}), next)
	f.list[home].Load.Inflight.Add(-1)
	equal(t, "home again", f.pickFor(Request{Key: "192.0.2.1"}), home)
}

// Those who are out count neither as members nor by what they still have.
func TestWhoIsOutIsNoPartOfTheMean(t *testing.T) {
	f := newFixture(t, Config{Pick: "consistent_hash"}, named(4)...)
	home := f.pickFor(Request{Key: "k"})
	for i := range f.list {
		if i != home {
			f.list[i].Load.Inflight.Store(1000)
			f.SetStatus(i, Status{Ready: true})
		}
	}
	other := (home + 1) % 4
	f.list[other].Load.Inflight.Store(0)
	f.SetStatus(other, eligible)
	f.list[home].Load.Inflight.Store(10) // of a mean of 5.5, or of 502.75 or 202.2 with the others
	for range 4 {
		f.pickFor(Request{Key: "k"})
	}
	equal(t, "above the mean of the two", f.pickFor(Request{Key: "k"}), other)
}

func TestAddressesAreOneHoweverWritten(t *testing.T) {
	for _, same := range [][]string{
		{"192.0.2.1", "192.0.2.1:80", "::ffff:192.0.2.1", "[::ffff:192.0.2.1]:443", "::ffff:c000:201", "[::ffff:c000:201]"},
		{"2001:db8::1", "2001:DB8:0:0::1", "[2001:db8::1]:443", "[2001:db8::1]", "2001:db8::1%eth0", "[2001:db8::1%eth0]:1"},
		{"fe80::", "fe80:0::%1"},
	} {
		for _, a := range same {
			equal(t, a, hashAddress(a), hashAddress(same[0]))
		}
	}
	seen := map[uint64]string{}
	for _, other := range []string{
		"192.0.2.1", "192.0.2.2", "192.0.3.1", "2001:db8::1", "2001:db8::2", "user", "1.2.3", "1.2.3.x", "1.2.3.4.5", "1.2.3.999",
		"[", "[]", "::", "[::", "::]", ":::", "a:b", "a:b:c", "192.0.2.1:", "192.0.2.1:99999", "1.2.3.4:5:6", "deadbeef", "", " 192.0.2.1",
	} {
		h := hashAddress(other)
		if was, ok := seen[h]; ok {
			t.Errorf("%q and %q are one", was, other)
		}
		seen[h] = other
	}
}

func TestAddressesAllocateNothing(t *testing.T) {
	for _, key := range []string{"192.0.2.1", "192.0.2.1:80", "[2001:db8::1]:443", "user-17", "www.example.com", "a session"} {
		equal(t, key, testing.AllocsPerRun(100, func() { hashAddress(key) }), 0)
	}
}
