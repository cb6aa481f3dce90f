package balance

import "time"

const (
	// lookAtAll is up to how many candidates the strategies that seek the least look
	// at all of them.
	lookAtAll = 128
	// sample is how many they look at above that. Already two are exponentially better
	// than one, see p2c_ewma.
	sample = 16
)

// leastConnections picks the candidate with the fewest requests in flight for its
// weight: of all up to 128, above that of 16. Of equal ones any.
func (b *Balancer) leastConnections(t *tier, last Rank, now time.Duration, _ string) (int, error) {
	return int(b.least(t, last, tickOf(now), connections).index), nil
}

// connections counts the request to come too, so that weights matter to idle members.
func connections(s *slot, _ uint32) float64 {
	return float64(s.load.Inflight.Load()+1) * float64(s.share)
}

// least returns the candidate with the least score among those that the rotation deals
// out. Of equal ones it takes the first, which is another each time.
func (b *Balancer) least(t *tier, last Rank, tick uint32, score func(*slot, uint32) float64) *slot {
	slots := b.front(t, last)
	n := len(slots)
	looks := n
	if n > lookAtAll {
		looks = sample
	}
	k, stride := b.deal(t, n, looks, n/looks/2) // spread out: neighbours may share a fate
	best := &slots[k]
	least := score(best, tick)
	for range looks - 1 {
		k = wrap(k+stride, n)
		if v := score(&slots[k], tick); v < least {
			best, least = &slots[k], v
		}
	}
	return best
}
