package balance

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// layout is the members as the strategies see them: see doc.go. SetMembers builds a
// new one, SetStatus moves one member in it.
type layout struct {
	members  []member // by index
	byID     map[string]int32
	at       []int32 // position → index
	slots    []slot
	tiers    []tier  // best first
	groups   []group // by tier
	ranked   [ranks]bitset
	due      bitset // eligible and due for a trial
	cold     bitset // in slow start
	asleep   bitset // of the cold ones those that wait for their next request
	eligible int
	reserve  int // of rank LastResort
	ready    int
	panic    bool // panic mode is in force
}

// member is one endpoint.
type member struct {
	Member
	status  Status
	place   Rank // as the layout has it now: its rank, or out
	cold    bool // in slow start
	asleep  bool
	tier    int32
	group   int32
	pos     int32
	slot    int32
	class   int32         // divides a tier, the lowest first: see strategy.sorts
	order   uint64        // sorts those that are equal else
	weight  int64         // what its share of the requests goes by
	paid    float64       // slow start: the round up to which it had its requests
	offered time.Duration // when its trial was offered, never before
}

// slot is what a draw needs of a member, small, because draws jump about.
type slot struct {
	load   *Load
	picked time.Duration // p2c_ewma's alone
	index  int32
	share  float32 // 1/weight
	limit  int32   // geographic's alone
}

// never is a moment so long ago that anything since is over.
const never time.Duration = math.MinInt64 / 2

// tier is a range of positions, of slots and of groups.
type tier struct {
	lo, hi           int32        // positions and slots
	end              [ranks]int32 // where each rank ends in slots; the rest are out or asleep
	asleep           [ranks]int32 // how many of a rank or better are asleep
	groupLo, groupHi int32
	ready            int
	best             Rank         // the best rank that has anyone
	reach            Rank         // the last rank that joins
	total            int64        // weighted: of the weights, at the last pick
	warm             [ranks]int64 // the weights of those of a rank or better that are not in slow start
	rounds           float64      // slow start: how many requests these had, per weight
	rotation         rotation
	hash             hashed
}

// group is the members of a tier that have one weight, or the whole tier.
type group struct {
	lo, hi int32 // positions
	next   int32 // where the turn is
	weight int64
	credit int64        // of the smooth weighted round robin
	upTo   [ranks]int32 // how many are of a rank or better
}

// newLayout lays the members out, all of them out.
func newLayout(list []Member, tiered bool, s *strategy, here Place) layout {
	n := len(list)
	l := layout{
		members: make([]member, n), byID: make(map[string]int32, n),
		at: make([]int32, n), slots: make([]slot, n),
		due: newBitset(n), cold: newBitset(n), asleep: newBitset(n),
	}
	for r := range l.ranked {
		l.ranked[r] = newBitset(n)
	}
	for i, m := range list {
		l.members[i] = member{Member: m, place: out, weight: int64(m.Weight), offered: never}
		if s.even {
			l.members[i].weight = 1
		}
		l.byID[m.ID] = int32(i)
		l.at[i] = int32(i)
		if s.sorts != nil {
			s.sorts(&l.members[i], here)
		}
	}
	slices.SortStableFunc(l.at, func(i, j int32) int {
		a, b := &l.members[i], &l.members[j]
		if tiered && a.Priority != b.Priority {
			return cmp.Compare(a.Priority, b.Priority)
		}
		if a.class != b.class {
			return cmp.Compare(a.class, b.class)
		}
		if s.grouped {
			return cmp.Compare(b.Weight, a.Weight)
		}
		return cmp.Compare(a.order, b.order)
	})
	for pos, i := range l.at {
		m := &l.members[i]
		newTier, newGroup := pos == 0, pos == 0
		if pos > 0 {
			before := &l.members[l.at[pos-1]]
			newTier = tiered && m.Priority != before.Priority || m.class != before.class
			newGroup = newTier || s.grouped && m.Weight != before.Weight
		}
		l.append(i, newTier, newGroup)
	}
	return l
}

// append gives the member its position, the next one.
func (l *layout) append(i int32, newTier, newGroup bool) {
	m := &l.members[i]
	pos := int32(0)
	if len(l.tiers) > 0 {
		pos = l.tiers[len(l.tiers)-1].hi
	}
	if newTier {
		t := tier{lo: pos, groupLo: int32(len(l.groups))}
		for r := range t.end {
			t.end[r] = pos
		}
		l.tiers = append(l.tiers, t)
	}
	t := &l.tiers[len(l.tiers)-1]
	if newGroup {
		l.groups = append(l.groups, group{lo: pos, next: pos, weight: int64(m.Weight)})
	}
	g := &l.groups[len(l.groups)-1]
	t.hi, g.hi, t.groupHi = pos+1, pos+1, int32(len(l.groups))
	m.pos, m.slot, m.tier, m.group = pos, pos, int32(len(l.tiers)-1), int32(len(l.groups)-1)
	l.slots[pos] = slot{load: m.Load, picked: never, index: i, share: 1 / float32(m.Weight), limit: int32(min(max(m.Limit, 0), math.MaxInt32))}
}

// move brings a member to its place, a rank or out, in a few steps.
func (l *layout) move(i int32, to Rank, spill float64) {
	m := &l.members[i]
	from := m.place
	if from == to {
		return
	}
	m.place = to
	l.count(from, -1)
	l.count(to, 1)
	if m.asleep {
		l.doze(m, from, to)
	} else {
		l.shift(m, from, to)
	}
	l.tiers[m.tier].judge(spill)
}

func (l *layout) count(place Rank, change int) {
	switch {
	case place <= Suspect:
		l.eligible += change
	case place == LastResort:
		l.reserve += change
	}
}

// shift moves a member in what the strategies look at.
func (l *layout) shift(m *member, from, to Rank) {
	t, g, warm := &l.tiers[m.tier], &l.groups[m.group], m.weight
	if m.cold {
		warm = 0
	}
	if from != out {
		l.ranked[from].put(m.pos, false)
	}
	if to != out {
		l.ranked[to].put(m.pos, true)
	}
	for r := from; r < to; r++ { // worse by a rank: over the end of its rank
		t.end[r]--
		l.swap(m.slot, t.end[r])
		g.upTo[r]--
		t.warm[r] -= warm
	}
	for r := from; r > to; r-- { // better by a rank: over the start of its rank
		l.swap(m.slot, t.end[r-1])
		t.end[r-1]++
		g.upTo[r-1]++
		t.warm[r-1] += warm
	}
}

func (l *layout) swap(a, b int32) {
	if a == b { // as in most crossings: few ranks have anyone
		return
	}
	l.slots[a], l.slots[b] = l.slots[b], l.slots[a]
	l.members[l.slots[a].index].slot = a
	l.members[l.slots[b].index].slot = b
}

// judge finds out how far down the ranks a pick may go: "a lower rank joins only
// while those above it together are fewer than spill_threshold of the ready".
func (t *tier) judge(spill float64) {
	// Those above must be at least one, or an empty tier's spill would mean nothing.
	// The small difference forgives a product that came out a hair above a whole number.
	enough := max(1, int32(math.Ceil(spill*float64(t.ready)-1e-9)))
	t.best, t.reach = LastResort, Suspect
	for r := Healthy; r <= Suspect; r++ {
		above := t.end[r] - t.lo + t.asleep[r]
		if above > 0 {
			t.best = min(t.best, r)
		}
		if above >= enough {
			t.reach = r
			return
		}
	}
}

// next returns the first position from i on, and below end, whose member is of the
// rank last or better, or end.
func (l *layout) next(i, end int32, last Rank) int32 {
	for r := Healthy; r <= last; r++ {
		end = l.ranked[r].next(i, end)
	}
	return end
}

// stands reports whether the member at a position is of the rank last or better.
func (l *layout) stands(pos int32, last Rank) bool {
	for r := Healthy; r <= last; r++ {
		if l.ranked[r].has(pos) {
			return true
		}
	}
	return false
}

// turn returns the index of the group's member whose turn it is and passes the turn
// on. There must be one of the rank last or better.
func (l *layout) turn(g *group, last Rank) int {
	pos := l.next(g.next, g.hi, last)
	if pos == g.hi {
		pos = l.next(g.lo, g.hi, last)
	}
	g.next = pos + 1
	return int(l.at[pos])
}

// first returns the best tier that has somebody eligible or, when no tier has, in
// panic mode the best one that has a last resort; or nil.
func (l *layout) first() *tier {
	switch {
	case l.nobody():
		return nil
	case len(l.tiers) == 1:
		return &l.tiers[0]
	}
	return l.from(0)
}

// from is first among the tiers from a position on, where a tier begins.
func (l *layout) from(at int32) *tier {
	end := int32(len(l.at))
	pos := l.next(at, end, l.called())
	if pos = l.asleep.next(at, pos); pos == end {
		return nil
	}
	return &l.tiers[l.members[l.at[pos]].tier]
}

// called is the last rank on account of which a tier is called on.
func (l *layout) called() Rank {
	if l.eligible == 0 {
		return LastResort
	}
	return Suspect
}

// nobody reports whether there is nobody to pick.
func (l *layout) nobody() bool { return l.eligible == 0 && (l.reserve == 0 || !l.panic) }
