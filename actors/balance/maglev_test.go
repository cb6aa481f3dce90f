package balance

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"
	"pgregory.net/rapid"
)

// shares are n members e0, e1, … as a table takes them.
func shares(n int, weight func(i int) int) []share {
	list := make([]share, n)
	for i := range list {
		list[i] = share{xxhash.Sum64String(fmt.Sprint("e", i)), weight(i)}
	}
	slices.SortFunc(list, func(a, b share) int { return cmp.Compare(a.hash, b.hash) })
	return list
}

func one(int) int { return 1 }

// moved is the share of the slots of others than members[gone] that change hands
// when it goes.
func moved(members []share, gone, size int) float64 {
	before, after := newTable(members, size), newTable(slices.Delete(slices.Clone(members), gone, gone+1), size)
	others, changed := 0, 0
	for i, owner := range before {
		if int(owner) == gone {
			continue
		}
		if others++; int(owner) > gone {
			owner--
		}
		if after[i] != owner {
			changed++
		}
	}
	return float64(changed) / float64(others)
}

// "Maglev hashing […] minimal disruption": of one hundred, one goes. In the table of
// the paper's smaller size 0.6 % of the others' slots change hands, whatever the
// weights are; ideal is none, and a modulus would move 99 %.
func TestRemovalOfOneOfAHundredMovesFewOthers(t *testing.T) {
	for name, weight := range map[string]func(int) int{
		"equal weights": one, "weights of 1 to 5": func(i int) int { return 1 + i%5 },
	} {
		members, mean, most := shares(100, weight), 0.0, 0.0
		for k := range 10 { // of all weights
			m := moved(members, 10*k+k%5, tableSmall)
			mean, most = mean+m/10, max(most, m)
		}
		t.Logf("%s: of the others' slots %.2f%% move on average, at most %.2f%%", name, 100*mean, 100*most)
		if mean > 0.008 || most > 0.01 {
			t.Errorf("%s: %.2f%% of the others' slots move on average, at most %.2f%%", name, 100*mean, 100*most)
		}
	}
}

func TestTablesAreEven(t *testing.T) {
	for _, c := range []struct {
		members int
		weight  func(int) int
		within  float64
	}{
		{1, one, 0}, {2, one, 0.001}, {3, one, 0.001}, {10, one, 0.001}, {100, one, 0.01}, {655, one, 0.03}, {656, one, 0.01}, {26_000, one, 0.15},
		{100, func(i int) int { return 1 + i%5 }, 0.01},
		{656, func(i int) int { return 1 + i%5 }, 0.05},
		{10, func(i int) int { return 1 + 99*(i%2) }, 0.01},
	} {
		members := shares(c.members, c.weight)
		total := 0
		for _, m := range members {
			total += m.weight
		}
		table := newTable(members, tableSize(c.members, 1))
		counts := make([]int, c.members)
		for _, i := range table {
			counts[i]++
		}
		for i, n := range counts {
			due := float64(len(table)) * float64(members[i].weight) / float64(total)
			if off := math.Abs(float64(n)/due - 1); off > c.within && math.Abs(float64(n)-due) > 2 {
				t.Fatalf("of %d, member %d of weight %d has %d slots, due are %.1f", c.members, i, members[i].weight, n, due)
			}
		}
	}
}

// However unequal the weights are, everybody has a slot, and the table is made soon.
func TestEverybodyHasASlot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.OneOf(rapid.Just(1), rapid.Just(WeightMax), rapid.IntRange(1, WeightMax)), 1, 300).Draw(t, "weights")
		has := make([]bool, len(weights))
		table := newTable(shares(len(weights), func(i int) int { return weights[i] }), tableSize(len(weights), 1))
		for _, i := range table {
			has[i] = true
		}
		if slices.Contains(has, false) {
			t.Fatalf("without a slot: %v", has)
		}
	})
	table := newTable(shares(100_000, func(i int) int { return 1 + i/99_999*(WeightMax-1) }), tableLarge)
	counts := make([]int, 100_000)
	for _, i := range table {
		counts[i]++
	}
	equal(t, "the least of 100,000 beside one heavy one, at least", slices.Min(counts) > 0, true)
}

func TestTableSizes(t *testing.T) {
	for _, c := range []struct{ members, tiers, want int }{
		{1, 1, 1}, {2, 1, 65537}, {655, 1, 65537}, {656, 1, 262139}, {26_213, 1, 262139}, {26_214, 16, 1048573},
		{100_000, 1, 1048573}, {200_000, 1, 2_000_003}, {2, 17, 23}, {10, 100, 101},
	} {
		got := tableSize(c.members, c.tiers)
		equal(t, fmt.Sprint(c), got, c.want)
		equal(t, fmt.Sprint(got, " is prime"), got == 1 || prime(got), true)
	}
}

// Every node and every version must agree: these values stay as they are.
func TestTablesAreTheSameEverywhere(t *testing.T) {
	for _, c := range []struct {
		members int
		weight  func(int) int
		want    uint64
	}{
		{3, one, 11419317236198599190},
		{100, func(i int) int { return 1 + i%5 }, 4054079192251555688},
		{700, one, 5916616659192450713},
	} {
		sum := fnv.New64a()
		for _, i := range newTable(shares(c.members, c.weight), tableSize(c.members, 1)) {
			sum.Write([]byte{byte(i), byte(i >> 8)})
		}
		equal(t, fmt.Sprint("table of ", c.members), sum.Sum64(), c.want)
	}
}
