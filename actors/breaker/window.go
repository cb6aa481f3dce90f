package breaker

import "time"

// buckets is how finely the window slides: it forgets in steps of a 40th.
const buckets = 40

// tally counts calls. Calls that were ignored are in none of its counts.
type tally struct {
	calls    uint32
	failures uint32
	noAnswer uint32 // of the failures: connection failures and timeouts
	slow     uint32
}

func (t *tally) add(o tally) {
	t.calls += o.calls
	t.failures += o.failures
	t.noAnswer += o.noAnswer
	t.slow += o.slow
}

func (t *tally) remove(o tally) {
	t.calls -= o.calls
	t.failures -= o.failures
	t.noAnswer -= o.noAnswer
	t.slow -= o.slow
}

// window is a sliding window of calls: a ring of buckets, each a 40th of it, that
// turns when somebody looks. Bucket edges are multiples of the width since the
// origin of time, so what is in the window depends on the time alone and not on
// who looked when.
type window struct {
	width  time.Duration // of one bucket
	end    time.Duration // of the newest bucket; zero: the ring has not turned yet
	newest int
	sum    tally           // of all buckets
	ring   *[buckets]tally // nil until the first call: most endpoints of a large service see none for long
}

func newWindow(length time.Duration) window {
	return window{width: max(length/buckets, 1)}
}

// add counts into the newest bucket. A time before that bucket's start (a result
// that was overtaken on its way) counts there too.
func (w *window) add(now time.Duration, t tally) {
	if w.ring == nil {
		w.ring = new([buckets]tally)
	}
	w.turn(now)
	w.ring[w.newest].add(t)
	w.sum.add(t)
}

// turn forgets the buckets that now has left behind.
func (w *window) turn(now time.Duration) {
	if now >= w.end && w.ring != nil {
		w.advance(now)
	}
}

func (w *window) advance(now time.Duration) {
	steps := (now-w.end)/w.width + 1
	w.end += steps * w.width
	for range min(steps, buckets) {
		w.newest = (w.newest + 1) % buckets
		w.sum.remove(w.ring[w.newest])
		w.ring[w.newest] = tally{}
	}
}
