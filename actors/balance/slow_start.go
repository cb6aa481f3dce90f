package balance

import (
	"errors"
	"fmt"
	"math"
	"time"
)

const slowStartMax = 24 * time.Hour

// SlowStart is how a member that comes back gets its share of the requests little by
// little. The zero value is the default. After a time x it has the weight
//
//	weight × max(MinWeight, (x / Window)^(1/Aggression))
//
// until the window is over (Envoy's formula).
type SlowStart struct {
	// Window is how long it lasts. At most 24h; zero: 30s; -1: off.
	Window time.Duration `yaml:"window"`

	// Aggression is the curve: at 1 the weight grows evenly, above it faster at first,
	// below it slower. Above 0; zero: 1.
	Aggression float64 `yaml:"aggression"`

	// MinWeight is the share of the weight that it has at least. Above 0, at most 1;
	// zero: 0.1.
	MinWeight float64 `yaml:"min_weight"`
}

// WithDefaults returns s with every zero field set to its default.
func (s SlowStart) WithDefaults() SlowStart {
	if s.Window == 0 {
		s.Window = 30 * time.Second
	}
	if s.Aggression == 0 {
		s.Aggression = 1
	}
	if s.MinWeight == 0 {
		s.MinWeight = 0.1
	}
	return s
}

// Validate joins everything that is wrong with s, or returns nil.
func (s SlowStart) Validate() error { return errors.Join(s.faults()...) }

func (s SlowStart) faults() (faults []error) {
	s = s.WithDefaults()
	if w := s.Window; w != off && (w < 0 || w > slowStartMax) {
		faults = append(faults, fmt.Errorf("window: must be above 0 and at most %v, or off, is %v", slowStartMax, w))
	}
	if a := s.Aggression; !(a > 0 && a <= math.MaxFloat64) { // so worded, they refuse NaN too
		faults = append(faults, fmt.Errorf("aggression: must be above 0, is %v", a))
	}
	if m := s.MinWeight; !(m > 0 && m <= 1) {
		faults = append(faults, fmt.Errorf("min_weight: must be above 0 and at most 1, is %v", m))
	}
	return faults
}

// Warms reports whether the strategy has a slow start at all.
func (c Config) Warms() bool {
	s, err := find(c.WithDefaults().Pick)
	return err == nil && !s.anyRank && s.name != pickCustom
}

// factor is the share of its weight that a member has at an age.
func (s SlowStart) factor(age time.Duration) float64 {
	age = max(age, 0) // who says it and who asks may read the clock in another order
	if age >= s.Window {
		return 1
	}
	x := float64(age) / float64(s.Window)
	if s.Aggression != 1 {
		x = math.Pow(x, 1/s.Aggression)
	}
	return max(x, s.MinWeight)
}

// warmth is the share of its weight that a member has, 1 if it is in no slow start.
func (b *Balancer) warmth(m *member, now time.Duration) float64 {
	if m.status.Warming == 0 {
		return 1
	}
	return b.config.SlowStart.factor(now - m.status.Warming)
}

// How a strategy is made to see a smaller weight: a cold member, one in slow start,
// falls asleep after each request, which means that the strategy does not see it, and
// wakes when it is owed the next. What it is owed goes by rounds: in one round the warm
// candidates, those in no slow start, get as many requests as they have weights, and
// the cold member its weight × its factor. A strategy that looks at the load then sees
// it until it likes it best; before one that does not, it goes straight to the front,
// and the others' order is as if nothing were.
//
// So the share comes out right for every strategy, at rest and under load; and where
// the load counts it is a limit, because a cold member that is slow attracts less.
// Scaling the weight in the scores instead would starve it while most are idle, for
// there the heaviest always wins; letting it through with some probability would give
// it that share of all the requests, for under load an idle newcomer always wins.
//
// A sleeper counts as there for everything else. Each pick looks after one cold
// member in turn. To wake many at once is paid for by the picks that put them to sleep.

// pickWarming is a pick while somebody is in slow start.
func (b *Balancer) pickWarming(s *strategy, t *tier, last Rank, now time.Duration, key string) (int, error) {
	if t.warm[last] == 0 { // every candidate is in it: then it is as if nobody were
		b.wake(t.lo, t.hi, Suspect)
	}
	if m := b.lookAfter(s, now); m != nil && &b.tiers[m.tier] == t && m.place <= last {
		b.charge(m, last, now)
		return int(b.at[m.pos]), nil
	}
	i, err := s.pick(b, t, last, now, key)
	if err == nil {
		m := &b.members[i]
		if &b.tiers[m.tier] != t { // a farther class, of which only the best rank counts
			last = m.place
		}
		b.charge(m, last, now)
	}
	return i, err
}

// lookAfter looks at the next cold member: whether it is warm by now, or has slept
// enough. If the strategy is blind, it returns a sleeper that is owed a request.
func (b *Balancer) lookAfter(s *strategy, now time.Duration) *member {
	n := int32(len(b.at))
	pos := b.cold.next(b.coldFrom, n)
	if pos == n {
		pos = b.cold.next(0, n)
	}
	b.coldFrom = pos + 1
	m := &b.members[b.at[pos]]
	factor := b.warmth(m, now)
	switch owed := b.tiers[m.tier].rounds - m.paid; {
	case factor == 1:
		m.status.Warming = 0
		b.chill(m, false)
	case !m.asleep || owed*float64(m.weight)*factor < 1:
	case s.blind:
		return m
	default:
		b.rest(m, false)
	}
	return nil
}

// charge counts a pick: it brings the next round nearer, or is what a cold member was
// owed. That keeps at most one request of what it was owed and did not get, and pays
// back nothing that it got too much, as when all were cold; then nobody owes anything.
func (b *Balancer) charge(m *member, last Rank, now time.Duration) {
	t := &b.tiers[m.tier]
	switch warm := float64(t.warm[max(last, m.place)]); {
	case !m.cold:
		t.rounds += 1 / warm
	case warm > 0:
		request := 1 / (float64(m.weight) * b.warmth(m, now)) // in rounds
		m.paid = min(max(m.paid+request, t.rounds-request), t.rounds)
		b.rest(m, t.rounds-m.paid < request)
	}
}

// chill says whether a member is in slow start. It begins awake.
func (l *layout) chill(m *member, cold bool) {
	if m.cold == cold {
		return
	}
	l.rest(m, false)
	t, change := &l.tiers[m.tier], m.weight
	if cold {
		change = -change
	}
	for r := m.place; r < out; r++ {
		t.warm[r] += change
	}
	m.cold, m.paid = cold, t.rounds
	l.cold.put(m.pos, cold)
}

// wake wakes the sleepers of a rank or better in a range of positions, and reports
// whether there were any.
func (l *layout) wake(lo, hi int32, last Rank) (any bool) {
	for pos := l.asleep.next(lo, hi); pos < hi; pos = l.asleep.next(pos+1, hi) {
		if m := &l.members[l.at[pos]]; m.place <= last {
			l.rest(m, false)
			any = true
		}
	}
	return any
}

// rest takes a member out of the strategies' sight, or back.
func (l *layout) rest(m *member, asleep bool) {
	switch {
	case m.asleep == asleep:
		return
	case asleep:
		l.shift(m, m.place, out)
		l.doze(m, out, m.place)
	default:
		l.doze(m, m.place, out)
		l.shift(m, out, m.place)
	}
	m.asleep = asleep
}

// doze moves a sleeper among the sleepers.
func (l *layout) doze(m *member, from, to Rank) {
	t := &l.tiers[m.tier]
	for r := from; r < to; r++ {
		t.asleep[r]--
	}
	for r := to; r < from; r++ {
		t.asleep[r]++
	}
	l.asleep.put(m.pos, to != out)
}
