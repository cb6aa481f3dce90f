package balance

import "time"

// healthBased picks, in the best rank that has anyone, the candidate with the best
// score of p2c_ewma: of all up to 128, above that of 16 drawn at random. It never
// spills over.
func (b *Balancer) healthBased(t *tier, last Rank, now time.Duration, _ string) (int, error) {
	return int(b.least(t, last, tickOf(now), score).index), nil
}
