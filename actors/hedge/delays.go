package hedge

import (
	"math"
	"sync/atomic"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

const (
	// The window is the current slice and the ones before: 50 to 60 s.
	slicesKept = 6
	sliceTime  = 10 * time.Second

	// freshness is how old the told delay may be. Finding it takes ten times as long
	// as telling it, and in less time a quantile over a minute hardly moves.
	freshness = 100 * time.Millisecond

	resolution = int64(time.Microsecond)
	digits     = 2 // significant ones

	none = -1 // in place of a delay
)

// Delays tells when to hedge, by the latencies of one service. Make one with
// [NewDelays]. It is safe for concurrent use.
type Delays struct {
	delay atomic.Int64 // as told; none
	due   atomic.Int64 // when it is to be found anew

	busy atomic.Bool // guards what follows; nobody waits for it

	quantile  float64
	min       time.Duration
	samples   int64                  // that must be there
	window    *hdr.WindowedHistogram // nil where the delay is fixed
	all       *hdr.Histogram         // the window's slices together
	sliceTurn int64                  // number of the current slice since the origin
}

// NewDelays returns the delays of a service of which nothing was observed. What is
// in cfg must have passed [Config.Validate].
func NewDelays(cfg Config) *Delays {
	d := &Delays{}
	if cfg.Delay > 0 {
		d.delay.Store(int64(cfg.Delay))
		d.due.Store(math.MaxInt64)
		return d
	}
	cfg = cfg.WithDefaults()
	d.delay.Store(none)
	d.quantile, d.min = cfg.Quantile, max(cfg.MinDelay, 0)
	d.samples = samplesMin(cfg.Quantile)
	d.window = hdr.NewWindowed(slicesKept, resolution, int64(latencyMax), digits)
	d.all = d.window.Merge()
	return d
}

// samplesMin is how many latencies it takes for one to lie above the quantile. With
// fewer it would be the slowest that was seen, whatever that is. At least 20, what
// the default asks for.
func samplesMin(quantile float64) int64 {
	return max(20, int64(math.Ceil(1/(1-quantile))))
}

// Observe counts a latency: see the package comment for which. It costs some 20 ns.
func (d *Delays) Observe(now, latency time.Duration) {
	if d.window == nil || !d.busy.CompareAndSwap(false, true) {
		return
	}
	d.turn(now)
	v := int64(min(max(latency, 0), latencyMax))
	// Neither can fail: the value is in range, and a count overflows in ages.
	_ = d.window.Current.RecordValue(v)
	_ = d.all.RecordValue(v)
	d.busy.Store(false)
}

// Delay returns how long to wait for the first attempt before the extra one is made,
// or false where nothing says so.
func (d *Delays) Delay(now time.Duration) (time.Duration, bool) {
	if int64(now) >= d.due.Load() && d.busy.CompareAndSwap(false, true) {
		d.turn(now)
		d.delay.Store(d.find())
		d.due.Store(int64(now + freshness))
		d.busy.Store(false)
	}
	delay := d.delay.Load()
	return time.Duration(max(delay, 0)), delay != none
}

func (d *Delays) find() int64 {
	if d.all.TotalCount() < d.samples {
		return none
	}
	return max(d.all.ValueAtPercentile(100*d.quantile), int64(d.min))
}

// turn brings the window to now. Callers read the clock before they come here, so
// now may be a little before what another one brought: that changes nothing.
func (d *Delays) turn(now time.Duration) {
	number := int64(now / sliceTime)
	passed := min(number-d.sliceTurn, slicesKept)
	if passed <= 0 {
		return
	}
	d.sliceTurn = number
	for range passed {
		d.window.Rotate()
	}
	d.all = d.window.Merge()
}
