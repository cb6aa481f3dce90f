package balance

import "math/bits"

// The sizes of a table, all prime. The paper advises 100 slots a member, which keeps
// shares within some 3 %: 65537 is its own smaller size, and enough for 655 members.
// Above that, members have at least 10, and shares are within some 15 %, for a table
// is filled while requests wait: that takes 1.5 ms, 10 ms and 50 ms. There are so few
// sizes because another size moves nearly every key: a service that grows passes such
// a point seldom.
const (
	tableSmall  = 1<<16 + 1 // 256 KiB
	tableMedium = 1<<18 - 5
	tableLarge  = 1<<20 - 3 // 4 MiB
	// slotsAdvised and slotsLeast are how many slots there are for each member.
	slotsAdvised = 100
	slotsLeast   = 10
	// tiersMax is up to how many tiers have tables of these sizes. Where there are
	// more, and each member may be a tier, all have slotsLeast for each member.
	tiersMax = 16
)

// tableSize depends on nothing but the list, so that every node has the same.
func tableSize(members, tiers int) int {
	switch {
	case members == 1:
		return 1
	case tiers > tiersMax:
	case members*slotsAdvised <= tableSmall:
		return tableSmall
	case members*slotsLeast <= tableMedium:
		return tableMedium
	case members*slotsLeast <= tableLarge:
		return tableLarge
	}
	n := members*slotsLeast | 1
	for !prime(n) {
		n += 2
	}
	return n
}

func prime(n int) bool {
	for d := 3; d*d <= n; d += 2 {
		if n%d == 0 {
			return false
		}
	}
	return true
}

// share is a member as a table sees it.
type share struct {
	hash   uint64 // of its id
	weight int
}

// newTable fills a Maglev lookup table (Eisenbud et al., "Maglev: A Fast and Reliable
// Software Network Load Balancer", NSDI 2016, section 3.4) with the indexes of its
// members. Each has its own order of preference among the slots, and they take turns
// at their first free one; so when one goes, its slots are shared out among all others
// and hardly any other slot changes hands.
//
// The paper leaves weights open. Here a member takes turns in proportion to its
// weight: of rounds that are as many as each one's mean number of slots, it has had
// its part of its slots after each. Everybody has at least one. It costs
// O(slots × log slots) whatever the weights are.
func newTable(members []share, size int) []int32 {
	total := 0
	for _, m := range members {
		total += m.weight
	}
	// A member's own hash rounds its number of slots up or down, so that it stays as
	// it is when another member comes or goes.
	seekers := make([]seeker, len(members))
	for i, m := range members {
		due := float64(size) * float64(m.weight) / float64(total)
		second := mix(m.hash)
		seekers[i] = seeker{
			at:   uint32(reduce(m.hash, size)),
			skip: uint32(1 + reduce(second, max(1, size-1))),
			due:  max(1, int64(due+float64(mix(second)>>11)/(1<<53))),
		}
	}
	table := make([]int32, size)
	taken := make([]uint64, (size+63)/64)
	rounds := int64(size / len(members))
	for left, round := size, int64(1); ; round++ {
		for i := range seekers {
			s := &seekers[i]
			for ; s.has*rounds < s.due*round; s.has++ { // past the last round while slots are left
				table[s.seek(taken, uint32(size))] = int32(i)
				if left--; left == 0 {
					return table
				}
			}
		}
	}
}

// seeker is a member's way through its order of preference.
type seeker struct {
	at, skip uint32
	due, has int64 // slots
}

// seek takes the member's first free slot. There must be one.
func (s *seeker) seek(taken []uint64, size uint32) uint32 {
	for {
		at := s.at
		if s.at += s.skip; s.at >= size {
			s.at -= size
		}
		if word, bit := &taken[at>>6], uint64(1)<<(at&63); *word&bit == 0 {
			*word |= bit
			return at
		}
	}
}

// reduce maps a hash to a number below n (Lemire, "Fast Random Integer Generation in
// an Interval", 2019).
func reduce(hash uint64, n int) int {
	hi, _ := bits.Mul64(hash, uint64(n))
	return int(hi)
}

// mix returns the next hash after one (splitmix64, Steele et al., 2014).
func mix(h uint64) uint64 {
	h += 0x9E3779B97F4A7C15
	h = (h ^ h>>30) * 0xBF58476D1CE4E5B9
	h = (h ^ h>>27) * 0x94D049BB133111EB
	return h ^ h>>31
}
