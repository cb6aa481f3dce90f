package limit

import (
	"math"
	"time"
)

const (
	tolerance   = 1.5 // times the unloaded latency
	gradientMin = 0.5
	probeCut    = 3 // the part of the limit that a probe leaves

	probeEvery = 5 * time.Second
	probeSoon  = time.Second

	clearly    = 0.25 // of the unloaded latency: beyond it a probe's word counts in full
	probeBlend = 0.3  // and within, that much
	restBlend  = 0.1  // of a window that did not need the limit
)

// Adaptive finds the concurrency limit of one endpoint from the latency of what it
// answers. The package comment has the formula. The owner keeps the limit: it sends
// nothing while [Adaptive.Limit] attempts are in flight. Make one with [NewAdaptive].
type Adaptive struct {
	cfg   ConcurrencyConfig // defaults applied
	phase time.Duration

	limit float64
	base  float64 // latency without a queue, in nanoseconds; 0: not known
	last  float64 // mean latency of the last window, in nanoseconds

	window  window
	used    bool // the last window needed the limit
	probing bool
	probeAt time.Duration // when the next probe begins
}

// NewAdaptive returns a limit that has seen nothing. Zero fields of c take their
// defaults; the rest is expected to have passed [ConcurrencyConfig.Validate].
//
// Where several nodes call one endpoint, they must probe at the same moments: phase
// is what to add to a now for all nodes to get the same number, the wall clock's time
// at the origin of time, plus a hash of the endpoint's address, lest all endpoints
// are probed at once. Not negative; 0 will do for a single node.
func NewAdaptive(c ConcurrencyConfig, phase time.Duration) *Adaptive {
	a := &Adaptive{phase: phase, probeAt: never}
	a.Configure(c)
	return a
}

// Configure puts c in force from the next call on. What was found stays, within the
// new bounds; an Initial is for what was not adaptive before.
func (a *Adaptive) Configure(c ConcurrencyConfig) {
	begins := !a.cfg.Adaptive
	a.cfg = c.WithDefaults()
	if begins {
		a.limit = float64(a.cfg.Initial)
	}
	a.setLimit(a.limit)
}

func (a *Adaptive) setLimit(l float64) {
	a.limit = min(max(l, float64(a.cfg.Min)), float64(a.cfg.most()))
}

// Limit returns how many attempts may be in flight: from Min to Max, where no limit
// counts as 1,000,000. Without Adaptive it is Max.
func (a *Adaptive) Limit() int {
	switch {
	case !a.cfg.Adaptive:
		return a.cfg.most()
	case a.probing:
		return max(int(a.limit/probeCut), a.cfg.Min)
	}
	return int(a.limit)
}

// Observe takes up an attempt that finished: its latency, how many were in flight at
// that moment, itself among them, and whether it was dropped, by a timeout or an
// answer that says overloaded. The latency of what was dropped does not count. Other
// failures, cancelled attempts and hedges' losers are not for Observe unless their
// latency is an answer's.
func (a *Adaptive) Observe(now, latency time.Duration, inflight int, dropped bool) {
	if !a.cfg.Adaptive {
		return
	}
	switch {
	case a.window.until == 0: // nothing seen yet
		a.window = windowFrom(now+latency, windowLong)
	case now >= a.probeAt && !a.probing:
		a.probe(now)
	}
	if now < a.window.from {
		return
	}
	a.window.add(latency, inflight, dropped)
	if a.window.full(now, a.Limit()) {
		a.judge(now)
	}
}

// judge ends a window and begins the next one.
func (a *Adaptive) judge(now time.Duration) {
	w, held := a.window, a.Limit()
	mean := w.mean()
	if a.base == 0 && mean > 0 {
		a.base = mean
		a.probeAt = a.slot(now, probeSoon)
	}
	switch {
	case a.probing:
		a.probing = false
		a.probed(now, mean)
	case 2*w.peak < held:
		a.used = false
		if mean > 0 {
			a.base += restBlend * (mean - a.base)
		}
	default:
		a.used = true
		if mean > 0 && mean < a.base/2 {
			a.base = mean // a queue only adds
		}
		a.setLimit(a.next(mean, w.dropRate()))
	}
	if mean > 0 {
		a.last = mean
	}
	a.window = windowFrom(now+time.Duration(a.last), windowMin)
}

// next is the limit that follows from a window in which the limit was needed.
func (a *Adaptive) next(mean, dropped float64) float64 {
	gradient := 1.0
	if mean > 0 {
		gradient = min(max(tolerance*a.base/mean, gradientMin), 1)
	}
	l := a.limit * gradient
	return l*(1-dropped/2) + math.Sqrt(l)*(1-dropped)
}

// probe cuts the limit for one window, unless there is no queue to be seen or the
// limit is not needed anyway.
func (a *Adaptive) probe(now time.Duration) {
	if !a.used || a.last <= (1+clearly)*a.base {
		a.probeAt = a.slot(now, probeEvery)
		return
	}
	a.probing = true
	a.window = windowFrom(now+time.Duration(a.last), windowLong)
}

// probed takes up what a probe measured. A latency clearly below what was known may
// be the tail of a queue that the probe did not quite drain, so the next probe is
// soon. Only the regular probes raise it: there every node's queue is drained, while
// a probe of one node alone would take the others' queue for the service's own time.
func (a *Adaptive) probed(now time.Duration, mean float64) {
	regular := (a.probeAt+a.phase)%probeEvery == 0
	a.probeAt = a.slot(now, probeEvery)
	off := mean - a.base
	switch {
	case mean == 0 || off > 0 && !regular:
	case off < -clearly*a.base:
		a.base = mean
		a.probeAt = a.slot(now, probeSoon)
	case off > clearly*a.base:
		a.base = mean
	default:
		a.base += probeBlend * off
	}
}

// slot is the next moment after now that is a multiple of every on all nodes.
func (a *Adaptive) slot(now, every time.Duration) time.Duration {
	return ((now+a.phase)/every+1)*every - a.phase
}
