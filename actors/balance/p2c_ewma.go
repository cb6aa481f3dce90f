package balance

import "time"

const (
	// forceAfter is after how long without a pick a member is picked whatever its
	// score, so that a latency that is no longer true does not keep it away.
	forceAfter = time.Second
	// forceEvery bounds forced picks to one in so many. Else, with more members than
	// requests in forceAfter, every pick would be forced and the score mean nothing.
	forceEvery = 16
)

// unmeasured, in ns, is the latency of a member that has requests and never answered
// one: beyond any that was measured (as in Finagle).
const unmeasured = float64(24 * time.Hour)

// p2cEWMA compares two candidates and takes the one with the lower score: power of
// two choices (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing",
// 2001) by peak EWMA latency × (requests in flight + 1), as in Finagle, divided by the
// weight. The rotation deals the two out; the first has not been picked for forceAfter:
// then it is picked whatever its score.
func (b *Balancer) p2cEWMA(t *tier, last Rank, now time.Duration, _ string) (int, error) {
	return int(b.twoChoices(t, last, now).index), nil
}

func (b *Balancer) twoChoices(t *tier, last Rank, now time.Duration) *slot {
	slots := b.front(t, last)
	k, stride := b.deal(t, len(slots), min(2, len(slots)), 0)
	if b.unforced++; b.unforced >= forceEvery && now-slots[k].picked >= forceAfter {
		b.unforced = 0
	} else {
		k = better(slots, k, wrap(k+stride, len(slots)), tickOf(now))
	}
	slots[k].picked = now
	return &slots[k]
}

// better returns j if its score is lower than i's. The comparison's result is anyone's
// guess, so it pays that the compiler makes it a conditional move.
func better(slots []slot, i, j int, tick uint32) int {
	if score(&slots[j], tick) < score(&slots[i], tick) {
		i = j
	}
	return i
}

// score is what a request is likely to wait at the member. An idle one's latency
// fades, to nothing if it was never measured, so that it is tried again; but that
// attracts one request, no burst: until its answer is there the latency counts in
// full. (Finagle fades for busy members too.)
func score(s *slot, tick uint32) float64 {
	last, inflight := moment(s.load.latency.Load()), s.load.Inflight.Load()
	cost, age := last.value(), last.age(tick)
	if inflight > 0 {
		age = 0
	}
	if cost == 0 && inflight > 0 {
		cost = unmeasured
	}
	return cost * fade(age) * float64(inflight+1) * float64(s.share)
}
