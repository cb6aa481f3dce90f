package limit

import "time"

const (
	windowMin              = 100 * time.Millisecond
	windowLong             = 2 * windowMin // where the latency without a queue is measured
	samplesMin, samplesMax = 20, 100
)

// window averages the attempts that finish in a stretch of time. It begins when what
// was in flight under an earlier limit is done, so that it tells of one limit only.
type window struct {
	from, until time.Duration // it lasts until then at least

	answered, dropped int
	total             float64 // latency of what was answered, in nanoseconds
	peak              int     // attempts in flight
}

func windowFrom(from, length time.Duration) window { return window{from: from, until: from + length} }

func (w *window) add(latency time.Duration, inflight int, dropped bool) {
	if dropped {
		w.dropped++
	} else {
		w.answered++
		w.total += float64(latency)
	}
	w.peak = max(w.peak, inflight)
}

// full reports whether the window tells enough: four attempts for each that may be in
// flight, from 20 to 100 (the mean of 100 exponential latencies is off by 10 %).
func (w *window) full(now time.Duration, limit int) bool {
	return now >= w.until && w.answered+w.dropped >= min(max(4*limit, samplesMin), samplesMax)
}

// mean is the latency of what was answered, 0 if nothing was.
func (w *window) mean() float64 {
	if w.answered == 0 {
		return 0
	}
	return max(w.total/float64(w.answered), 1)
}

// dropRate is the share of attempts that were dropped.
func (w *window) dropRate() float64 {
	return float64(w.dropped) / float64(w.answered+w.dropped)
}
