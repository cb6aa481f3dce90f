package balance

import "time"

// priority is active/standby: the first eligible member of the best tier, in the
// members' order, gets everything. Rank does not matter, so that one reset moves no
// primary; a member whose breaker opens or whose checks fail is out and the next
// takes over until it is back.
func (b *Balancer) priority(t *tier, last Rank, _ time.Duration, _ string) (int, error) {
	return int(b.at[b.next(t.lo, t.hi, last)]), nil
}
