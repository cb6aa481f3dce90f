package balance

import "time"

// priority is active/standby: the first eligible member of the best tier, in the
// members' order, gets everything. Rank does not matter, so that one reset moves no
// primary; a member whose breaker opens or whose checks fail is out and the next
// takes over until it is back. So it is in panic mode too: what one can bear alone is
// no less for the others' being ill, and the last resort waits until nobody is eligible.
func (b *Balancer) priority(t *tier, last Rank, _ time.Duration, _ string) (int, error) {
	pos := b.next(t.lo, t.hi, Suspect)
	if pos == t.hi {
		pos = b.next(t.lo, t.hi, last)
	}
	return int(b.at[pos]), nil
}
