package balance

import "time"

// roundRobin gives each candidate its turn, strictly in the members' order. Whoever
// is out is passed over and has its turn again where it stands.
func (b *Balancer) roundRobin(t *tier, last Rank, _ time.Duration, _ string) (int, error) {
	return b.turn(&b.groups[t.groupLo], last), nil
}
