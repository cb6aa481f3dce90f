package balance

import "time"

// random picks any candidate, each as likely as the other.
func (b *Balancer) random(t *tier, last Rank, _ time.Duration, _ string) (int, error) {
	slots := b.front(t, last)
	return int(slots[b.draw(len(slots))].index), nil
}

// front returns the candidates' slots, in no order that means anything.
func (b *Balancer) front(t *tier, last Rank) []slot { return b.slots[t.lo:t.end[last]] }

// draw returns a number below n. The bias is below n/2^32.
func (b *Balancer) draw(n int) int {
	return int(uint64(b.rnd.Uint32()) * uint64(n) >> 32)
}
