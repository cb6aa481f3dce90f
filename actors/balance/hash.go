package balance

import (
	"math"

	"github.com/cespare/xxhash/v2"
)

const (
	// choices is how many members a key asks for in its table.
	choices = 32
	// windowsEach is how many windows of each size it looks through after that.
	windowsEach = 4
	// roomAlways is how many requests in flight a member may have whatever the others
	// have. So few need no relief, and a browser's parallel requests stay together.
	roomAlways = 4
	// recounts is how many members are counted anew in each pick, besides those that
	// it looks at.
	recounts = 2
)

// hashed is what the hash strategies keep of a tier.
type hashed struct {
	table    []int32 // slot → position in the tier; nil: not filled yet
	of       uint64  // the fingerprint of the list it was made of
	inflight int64   // the sum of what was seen of those that are not out
	recount  int32   // whose turn it is to be counted anew, a position
}

// spot is what the hash strategies keep of a position.
type spot struct {
	load   *Load
	seen   int32 // its part of the tier's sum
	weight float32
}

// byHash puts members into an order that all nodes agree on, whatever the order of
// their lists, and in which neighbours have nothing in common.
func byHash(m *member, _ Place) { m.order = xxhash.Sum64String(m.ID) }

// tabulate takes over the tables of tiers in which no id and no weight changed. The
// others are filled at their first pick, so that a list that grows one by one costs no
// table for each step.
func (b *Balancer) tabulate(old *layout) {
	made := make(map[uint64][]int32, len(old.tiers))
	for i := range old.tiers {
		made[old.tiers[i].hash.of] = old.tiers[i].hash.table
	}
	b.spots = make([]spot, len(b.at))
	for i := range b.tiers {
		t := &b.tiers[i]
		print := mix(uint64(tableSize(int(t.hi-t.lo), len(b.tiers))))
		for pos := t.lo; pos < t.hi; pos++ {
			m := &b.members[b.at[pos]]
			print = mix(mix(print^m.order) ^ uint64(m.Weight))
			b.spots[pos] = spot{load: m.Load, weight: float32(m.Weight)}
		}
		t.hash = hashed{of: print, recount: t.lo, table: made[print]}
		for pos := t.lo; pos < t.hi; pos++ {
			b.count(t, pos, b.stands(pos, b.lowest()))
		}
	}
}

// table returns the tier's table.
func (b *Balancer) table(t *tier) []int32 {
	if t.hash.table == nil {
		members := make([]share, t.hi-t.lo)
		for k := range members {
			m := &b.members[b.at[t.lo+int32(k)]]
			members[k] = share{m.order, m.Weight}
		}
		t.hash.table = newTable(members, tableSize(len(members), len(b.tiers)))
	}
	return t.hash.table
}

// byKey returns the member that a key's hash falls to. A key's order of choice is the
// table's slots at the hash and at those that follow from it, then what seek finds. It
// depends on the list alone; so a member that is out moves its own keys and no other,
// and they come home when it is back. The first candidate that has room gets the
// request. A key so hot that none of its choices has room goes to the least loaded.
func (b *Balancer) byKey(t *tier, last Rank, hash uint64) int {
	table := b.table(t)
	room, asked := b.room(t, last), false
	for range choices {
		pos := t.lo + table[reduce(hash, len(table))]
		hash = mix(hash)
		if b.stands(pos, last) {
			if b.admits(t, pos, room) {
				return int(b.at[pos])
			}
			asked = true
		}
	}
	if !asked {
		if pos := b.seek(t, last, hash); b.admits(t, pos, room) {
			return int(b.at[pos])
		}
	}
	return int(b.least(t, last, 0, connections).index)
}

// seek returns the position of a key's choice where so many are out that the table
// names none who is in: the first candidate in a window of the list. The windows lie
// anywhere and grow; were there only one, as long as the list, each candidate would
// have the keys of all that are out before it.
func (b *Balancer) seek(t *tier, last Rank, hash uint64) int32 {
	for size := int32(1); ; size *= 2 {
		for range windowsEach {
			at := t.lo + int32(reduce(hash, int(t.hi-t.lo)))
			hash = mix(hash)
			end := at + min(size, t.hi-t.lo)
			if pos := b.next(at, min(end, t.hi), last); pos < min(end, t.hi) {
				return pos
			}
			if end -= t.hi - t.lo; end > t.lo { // round the end of the list
				if pos := b.next(t.lo, end, last); pos < end {
					return pos
				}
			}
		}
	}
}

// admits reports whether the member at a position, a candidate, has room.
func (b *Balancer) admits(t *tier, pos int32, room float64) bool {
	n := b.count(t, pos, true)
	// The small difference forgives a product that came out a hair above a whole number.
	return n < roomAlways || float64(n) < room*float64(b.spots[pos].weight)-1e-9
}

// room is how many requests a member may have for each unit of its weight before it
// takes another: hash_balance times the mean, with the request to come (Mirrokni,
// Thorup, Zadimoghaddam, "Consistent Hashing with Bounded Loads", 2018). The paper
// rounds up; comparing a whole number with what is not rounded does the same.
//
// The mean costs O(1): the tier keeps the sum of what it last saw of each member, and
// a pick looks again at those that it asks and at two more, in turn. So the sum is
// old by at most half as many picks as there are members, in which time the mean
// cannot have changed by more than half a request by picks and, in a steady state, by
// answers.
func (b *Balancer) room(t *tier, last Rank) float64 {
	if b.config.HashBalance == off {
		return math.Inf(1)
	}
	for range recounts {
		pos := t.hash.recount
		if t.hash.recount++; t.hash.recount == t.hi {
			t.hash.recount = t.lo
		}
		b.count(t, pos, b.stands(pos, last))
	}
	return b.config.HashBalance * float64(t.hash.inflight+1) / float64(t.warm[last])
}

// count puts a member's requests in flight into its tier's sum, those of one that is
// in, and returns them.
func (b *Balancer) count(t *tier, pos int32, in bool) int32 {
	s, n := &b.spots[pos], int32(0)
	if in {
		n = s.load.Inflight.Load()
	}
	t.hash.inflight += int64(n - s.seen)
	s.seen = n
	return n
}
