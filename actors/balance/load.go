package balance

import (
	"math"
	"sync/atomic"
	"time"
)

// decay is the time constant of the averages: what was seen that long ago counts
// 1/e. Finagle's peak EWMA balancer has the same default.
const decay = 10 * time.Second

// Averages keep their time in ticks of 2^20 ns, about a millisecond, so that value
// and time fit one word. The count wraps after 52 days; an average that rests for 26
// to 52 days looks fresh, which harms nobody.
const tickBits = 20

func tickOf(now time.Duration) uint32 { return uint32(now >> tickBits) }

// Load is what one endpoint tells the strategies of itself. Only the endpoint
// writes; the supervisor and the instruments read. The zero value is ready for use.
//
// It fills a cache line. Make it by itself, with new, and not as a part of something
// larger: loads then lie side by side, and a pick among 100,000 finds the next ones in
// the cache (measured: 22 ns; 105 ns inside cells of 1 KiB).
type Load struct {
	// Inflight is how many requests the endpoint has now.
	Inflight atomic.Int32
	latency  atomic.Uint64 // a moment
	failed   bool          // the average is a failure's: the endpoint's alone
	_        [47]byte
}

// Observe takes up the latency of a good call. A rise counts at once and in full, a
// fall as an exponentially weighted moving average with a time constant of 10 s
// (Finagle's peak EWMA), so that trouble shows at once and trust comes back slowly.
func (l *Load) Observe(now, latency time.Duration) {
	m, value, tick := moment(l.latency.Load()), nanos(latency), tickOf(now)
	if value < m.value() && !l.failed {
		value += (m.value() - value) * fade(m.age(tick))
	}
	l.failed = false
	l.store(m, value, tick)
}

func (l *Load) store(m moment, value float64, tick uint32) {
	if next := momentOf(value, tick); next != m {
		l.latency.Store(uint64(next))
	}
}

// Fail takes up the latency of a failed call as at least twice the service's
// average, so that an endpoint that fails fast does not look like a quick one. What
// a failure took, a timeout above all, says how patient we were and not how slow the
// endpoint is: so the next good call takes its place in full. Were it to fade like a
// latency that was measured, one timeout of 2 s would keep an endpoint of 2 ms from
// its share for more than a minute after it is well again.
func (l *Load) Fail(now, latency time.Duration, service *Average) {
	m, tick := moment(l.latency.Load()), tickOf(now)
	value := nanos(max(latency, 2*service.Value()))
	if value < m.value() {
		value += (m.value() - value) * fade(m.age(tick))
	}
	l.failed = true
	l.store(m, value, tick)
}

// Average is the peak EWMA as of the last call, not faded since; 0 before the first.
func (l *Load) Average() time.Duration {
	return time.Duration(moment(l.latency.Load()).value())
}

// Average is the latency of a service's good calls, with a time constant of 10 s.
// Any endpoint of the service may write. The zero value is ready for use.
type Average struct{ latency atomic.Uint64 }

// Observe takes up the latency of a good call. It takes one sample per tick of a
// millisecond and lets the others go, so that endpoints on many cores do not contend
// for it.
func (a *Average) Observe(now, latency time.Duration) {
	m, value, tick := moment(a.latency.Load()), nanos(latency), tickOf(now)
	if m != 0 {
		age := m.age(tick)
		if age <= 0 {
			return
		}
		value += (m.value() - value) * fade(age)
	}
	a.latency.CompareAndSwap(uint64(m), uint64(momentOf(value, tick))) // lost to another: one sample less
}

// Value returns the average, 0 before the first good call.
func (a *Average) Value() time.Duration {
	return time.Duration(moment(a.latency.Load()).value())
}

// moment is a latency, a float32 of nanoseconds, and the tick at which it was true,
// in one word: written by one store and never read half old and half new. 0: none yet.
type moment uint64

func momentOf(ns float64, tick uint32) moment {
	return moment(math.Float32bits(float32(ns)))<<32 | moment(tick)
}

func (m moment) value() float64 { return float64(math.Float32frombits(uint32(m >> 32))) }

// age is how many ticks ago it was; negative if tick is the older one, because
// whoever reads the clock may overtake another.
func (m moment) age(tick uint32) int32 { return int32(tick - uint32(m)) }

// nanos counts a latency of 0 as 1 ns: 0 stands for none.
func nanos(d time.Duration) float64 { return float64(max(d, 1)) }

// fade returns e^(-age/decay), off by less than 0.0003, in a third of the time of
// math.Exp: the exponent's whole part goes into the float's exponent, the rest
// through a polynomial that has 2^-x's slope at 0 and its values at 0, ½ and 1.
func fade(age int32) float64 {
	const perTick = math.Log2E * (1 << tickBits) / float64(decay)
	x := float64(max(age, 0)) * perTick
	if x >= 64 {
		return 0
	}
	whole := int(x)
	x -= float64(whole)
	return (1 - x*(0.693147-x*(0.236338-x*0.043191))) * math.Float64frombits(uint64(1023-whole)<<52)
}
