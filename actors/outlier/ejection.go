package outlier

import (
	"fmt"
	"math"
	"time"

	"github.com/understudy-go/understudy/messages"
)

// Row is how often an endpoint failed in a row. The zero value is none. Set it to
// zero when the endpoint comes back from an ejection, so that what came in late
// does not send it away again.
type Row int

// Record counts an outcome: a failure adds one, a success begins anew, an ignored
// one changes nothing. At consecutive failures, where that is above 0, it returns
// the finding in words and begins anew; else "".
func (r *Row) Record(o messages.Outcome, consecutive int) (why string) {
	switch {
	case o == messages.Success:
		*r = 0
	case o.Failed():
		*r++
		if consecutive > 0 && int(*r) >= consecutive {
			why = fmt.Sprintf("failures in a row: %d", *r)
			*r = 0
		}
	}
	return why
}

// Room returns how many more endpoints may be ejected, of ready ones (in the
// administrative sense, the ejected among them) of which some are eligible and some
// ejected, by whatever rule: at most max(1, max_ejected of them, rounded down) in
// all, and never the last eligible one.
func Room(ready, eligible, ejected int, c Config) int {
	limit := max(1, int(c.WithDefaults().MaxEjected*float64(ready)+rounding))
	return max(0, min(limit-ejected, eligible-1))
}

// Ejection says whether an endpoint is ejected, and remembers how often it was of
// late. The zero value was never ejected; to forget everything, assign it.
type Ejection struct {
	until  time.Duration
	times  int // counted by the latest ejection
	reason string
}

// Eject takes the endpoint out and returns until when: for base_ejection × times,
// capped at max_ejection (Envoy's base_ejection_time, max_ejection_time), and as
// much of its jitter on top as random in [0, 1) says. One that is ejected stays
// ejected as it is.
func (e *Ejection) Eject(now time.Duration, why string, c Config, random float64) (until time.Duration) {
	if e.Ejected(now) {
		return e.until
	}
	c = c.WithDefaults()
	e.times = min(e.Times(now, c)+1, timesMax(c))
	lasts := min(time.Duration(e.times)*c.BaseEjection, c.MaxEjection)
	lasts += time.Duration(float64(lasts) * max(c.Jitter, 0) * random)
	e.until, e.reason = now+lasts, why
	return e.until
}

// timesMax is as far as counting makes the time longer; beyond it, it would only
// take longer to forget.
func timesMax(c Config) int {
	return int(math.Ceil(float64(c.MaxEjection) / float64(c.BaseEjection)))
}

// Return ends the ejection, where there is one. It is remembered like one that ran
// its time.
func (e *Ejection) Return(now time.Duration) { e.until = min(e.until, now) }

// Ejected reports whether the endpoint is out.
func (e *Ejection) Ejected(now time.Duration) bool { return now < e.until }

// Until returns when the latest ejection ends or ended; zero if there was none.
func (e *Ejection) Until() time.Duration { return e.until }

// Reason returns the words of the latest ejection; "" if there was none.
func (e *Ejection) Reason() string { return e.reason }

// Times returns how many ejections are remembered: one is forgotten with every whole
// base_ejection that the endpoint has been back in service. (In Envoy it is every
// interval; but in slow start it takes longer than that until there are requests
// enough to see that it is as bad as it was, and its time would never grow.)
func (e *Ejection) Times(now time.Duration, c Config) int {
	if e.Ejected(now) {
		return e.times
	}
	forgotten := (now - e.until) / c.WithDefaults().BaseEjection
	return int(max(0, time.Duration(e.times)-forgotten))
}
