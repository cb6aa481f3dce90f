package balance

import (
	"math"
	"time"

	"github.com/cespare/xxhash/v2"
)

// geographic picks among the nearest members: of the balancer's own zone, else of its
// region, else by great-circle distance in bands of 100 km, last those of which
// nothing is known. Members that are equally near form a class, which is a tier in the
// layout: the nearest class with somebody eligible gets the request, by p2c_ewma. A
// class in which whoever was drawn is at its limit passes it on to the next class, but
// never to a standby tier. So a pick costs O(1) for each class that is full, of which
// there are at most some 200. A member that sleeps in slow start has no room to offer.
//
// A request whose key is the name of a zone or region goes there first: see pickIn.
func (b *Balancer) geographic(t *tier, last Rank, now time.Duration, key string) (int, error) {
	if key != "" {
		if i := b.pickIn(t, key); i != nobody {
			return i, nil
		}
	}
	for c, to := t, last; c != nil; {
		s := b.twoChoices(c, to, now)
		if s.full() {
			s = b.least(c, to, tickOf(now), scoreOfRoomy)
		}
		if !s.full() {
			return int(s.index), nil
		}
		c, to = b.farther(c)
	}
	return b.p2cEWMA(t, last, now, key) // full everywhere: let the nearest say so
}

// full reports whether a member has as many requests as it may.
func (s *slot) full() bool { return s.limit > 0 && s.load.Inflight.Load() >= s.limit }

func scoreOfRoomy(s *slot, tick uint32) float64 {
	if s.full() {
		return math.Inf(1)
	}
	return score(s, tick)
}

// farther returns the next class of the same tier that is called on, or nil, and the
// best rank there: what overflows spills into no lower one, as a retry does not.
func (b *Balancer) farther(t *tier) (*tier, Rank) {
	c := b.from(t.hi)
	if c == nil || b.priorityAt(c.lo) != b.priorityAt(t.lo) {
		return nil, out
	}
	if c.warm[c.best] == 0 {
		b.wake(c.lo, c.hi, Suspect)
	}
	return c, c.best
}

// priorityAt is 0 where there are no tiers.
func (b *Balancer) priorityAt(pos int32) int {
	if b.config.Tier == "" {
		return 0
	}
	return b.members[b.at[pos]].Priority
}

// byNearness makes the classes, and keeps together in them what bears one name.
func byNearness(m *member, here Place) {
	m.class = m.Place.nearness(here)
	m.order = xxhash.Sum64String(m.Place.Region)>>32<<32 | xxhash.Sum64String(m.Place.Zone)>>32
}

// placeName is a zone or region in a tier.
type placeName struct {
	name     string
	priority int
}

// chart finds out where the members of each zone and region stand: in each class at
// neighbouring positions.
func (b *Balancer) chart(*layout) {
	b.places = map[placeName][]group{}
	for pos := range int32(len(b.at)) {
		at := b.members[b.at[pos]].Place
		b.stand(at.Region, pos)
		if at.Zone != at.Region {
			b.stand(at.Zone, pos)
		}
	}
}

func (b *Balancer) stand(name string, pos int32) {
	if name == "" {
		return
	}
	n := placeName{name, b.priorityAt(pos)}
	spans := b.places[n]
	if k := len(spans) - 1; k >= 0 && spans[k].hi == pos && b.members[b.at[pos]].tier == b.members[b.at[pos-1]].tier {
		spans[k].hi++
		return
	}
	b.places[n] = append(spans, group{lo: pos, hi: pos + 1, next: pos})
}

// lookFurther is how many members of a zone or region that are full a pick passes over.
const lookFurther = 16

// pickIn returns a member of a zone or region in the tier of t, or nobody: one of the
// best rank there, of the nearest class, with room; a last resort only while nobody is
// eligible anywhere. They have their turns, because they stand at neighbouring
// positions; their slots, of which p2c_ewma draws, lie among others of the class. Where
// all who count sleep, there is no slow start.
func (b *Balancer) pickIn(t *tier, name string) int {
	spans := b.places[placeName{name, b.priorityAt(t.lo)}]
	for r := Healthy; r <= b.called() && len(spans) > 0; r++ {
		for k := range spans {
			g := &spans[k]
			if b.next(g.lo, g.hi, r) == g.hi && !b.wake(g.lo, g.hi, r) {
				continue
			}
			for range min(lookFurther, g.hi-g.lo) {
				if i := b.turn(g, r); !b.slots[b.members[i].slot].full() {
					return i
				}
			}
		}
	}
	return nobody
}
