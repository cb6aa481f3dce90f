package balance

import "time"

// Candidate is a member as a custom strategy sees it.
type Candidate struct {
	ID       string
	Weight   int
	Priority int
	Rank     Rank
	Inflight int
	// Latency is the peak EWMA as of its last call; 0 before the first.
	Latency time.Duration
	// Warmth is the share of its weight that it should bear: below 1 in slow start.
	Warmth float64
}

// custom asks the user's function. It costs O(members) and allocates the list, which
// the function may keep.
func (b *Balancer) custom(t *tier, last Rank, now time.Duration, key string) (int, error) {
	if b.config.Custom == nil {
		return -1, invalid("strategy custom has no function: set the hook Pick")
	}
	list := make([]Candidate, 0, t.end[last]-t.lo)
	from := make([]int32, 0, cap(list)) // the candidates' indexes
	for pos := b.next(t.lo, t.hi, last); pos < t.hi; pos = b.next(pos+1, t.hi, last) {
		m := &b.members[b.at[pos]]
		list = append(list, Candidate{
			ID: m.ID, Weight: m.Weight, Priority: m.Priority, Rank: m.place,
			Inflight: int(m.Load.Inflight.Load()), Latency: m.Load.Average(), Warmth: b.warmth(m, now),
		})
		from = append(from, b.at[pos])
	}
	n := len(list)
	i := b.config.Custom(key, list)
	if i < 0 || i >= n {
		return -1, invalid("strategy custom chose candidate %d of %d", i, n)
	}
	return int(from[i]), nil
}
