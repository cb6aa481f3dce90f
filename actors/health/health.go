package health

import (
	"fmt"
	"time"
)

// State is the health of an endpoint. The zero value is Healthy, as an endpoint
// without a check is.
type State uint8

// The states, best first.
const (
	Healthy   State = iota
	Unknown         // the first result of a configured check is still out
	Degraded        // it answers, and slowly
	Unhealthy       // its checks fail, or it is parked
)

func (s State) String() string {
	switch s {
	case Healthy:
		return "healthy"
	case Unknown:
		return "unknown"
	case Degraded:
		return "degraded"
	}
	return "unhealthy"
}

// Change is what a step did.
type Change struct {
	From, To State
	// Failing: this check was bad, and the one before it was not.
	Failing bool
	// Recovered: this check was good, and the one before it was bad. Whoever keeps
	// a breaker makes its trial due (breaker.Hasten).
	Recovered bool
}

// Changed reports whether the state is another one now.
func (c Change) Changed() bool { return c.From != c.To }

// Health is the health of one endpoint by its checks. The zero value is the
// health of an endpoint without a check.
type Health struct {
	degradedAbove time.Duration // 0 or less: never
	fall, rise    int
	// The newest run of bad checks and the good ones since. While checks fail,
	// passed is 0.
	failed, passed int
	parked         string   // why; empty: it is not
	history        *history // nil until the first check: most endpoints may have none
	state          State    // by checks alone
	enabled        bool     // a check is configured
	readiness      bool
	decided        bool // the first result is in
}

// New returns the health of an endpoint that starts now: unknown if a check is
// configured, else healthy.
func New(cfg Config) *Health {
	h := &Health{}
	h.Configure(cfg)
	if h.enabled {
		h.state = Unknown
	}
	return h
}

// Configure puts cfg in force from the next check on. An endpoint in service that
// gets its first check stays healthy until the result, which decides alone; one
// that loses its check is healthy and its history is forgotten.
func (h *Health) Configure(cfg Config) Change {
	from := h.State()
	cfg = cfg.WithDefaults()
	if h.enabled && !cfg.Enabled() {
		*h = Health{parked: h.parked}
	}
	h.enabled, h.readiness = cfg.Enabled(), cfg.Readiness
	h.fall, h.rise, h.degradedAbove = cfg.Fall, cfg.Rise, cfg.DegradedAbove
	if h.state == Degraded && h.degradedAbove <= 0 {
		h.state = Healthy
	}
	return Change{From: from, To: h.State()}
}

// Check takes a result that came in now, after latency: whether it was good, and
// what there is to say about it ("200 OK", "connection refused"). Words are best
// without what differs each time, such as port numbers: of the history's texts
// only the newest 8 different ones are kept, 120 bytes of each.
//
// An endpoint without a configured check can be checked on demand; the result
// enters the history only.
func (h *Health) Check(now time.Duration, ok bool, latency time.Duration, words string) Change {
	if h.history == nil {
		h.history = &history{}
	}
	h.history.add(CheckResult{At: now, OK: ok, Latency: latency, Words: words})
	change := Change{From: h.State()}
	if h.enabled {
		h.count(ok)
		h.judge(ok, latency)
		change.Failing = !ok && h.failed == 1
		change.Recovered = ok && h.passed == 1 && h.failed > 0
	}
	change.To = h.State()
	return change
}

func (h *Health) count(ok bool) {
	if ok {
		h.passed++
		return
	}
	if h.passed > 0 {
		h.failed = 0 // the run before this one is history
	}
	h.failed++
	h.passed = 0
}

func (h *Health) judge(ok bool, latency time.Duration) {
	first := !h.decided
	h.decided = true
	switch {
	case !ok:
		if first || h.failed >= h.fall {
			h.state = Unhealthy
		}
	case h.state == Unhealthy && h.passed < h.rise:
	case h.degradedAbove > 0 && latency > h.degradedAbove:
		h.state = Degraded
	default:
		h.state = Healthy
	}
}

// Park makes the endpoint unhealthy whatever its checks say, because its actor
// keeps panicking. The reason is shown; checks go on counting.
func (h *Health) Park(reason string) Change {
	from := h.State()
	if reason == "" {
		reason = "no reason given"
	}
	h.parked = reason
	return Change{From: from, To: h.State()}
}

// Unpark ends [Health.Park]: the checks' state holds again.
func (h *Health) Unpark() Change {
	from := h.State()
	h.parked = ""
	return Change{From: from, To: h.State()}
}

// State returns the state in force.
func (h *Health) State() State {
	if h.parked != "" {
		return Unhealthy
	}
	return h.state
}

// Eligible reports whether health lets traffic come: not while unhealthy, and
// with `readiness: true` not before the first good check.
func (h *Health) Eligible() bool {
	s := h.State()
	return s != Unhealthy && !(h.readiness && s == Unknown)
}

// LastResort reports whether panic mode may ignore the health: not where the
// endpoint is parked, fails a `readiness: true` check or waits for its first one.
func (h *Health) LastResort() bool {
	return h.parked == "" && h.state != Unknown && !(h.readiness && h.state == Unhealthy)
}

// Reason says in words why the state is what it is, as in "3 checks failed in a
// row, last: connection refused". Empty: there is nothing to say, all is well.
func (h *Health) Reason() string {
	switch {
	case h.parked != "":
		return "parked: " + h.parked
	case !h.enabled:
		return "no check is configured"
	case h.state == Unknown:
		return "waiting for the first check"
	case h.state == Unhealthy && h.passed > 0:
		return fmt.Sprintf("%s; %d good since, %d needed", h.failures(), h.passed, h.rise)
	case h.state == Unhealthy:
		return h.failures()
	case h.failed > 0 && h.passed == 0:
		return fmt.Sprintf("%s; unhealthy at %d", h.failures(), h.fall)
	case h.state == Degraded:
		last, _ := h.history.newest(true)
		return fmt.Sprintf("the last good check took %v, above %v", last.Latency, h.degradedAbove)
	}
	return ""
}

// failures words the newest run of bad checks.
func (h *Health) failures() string {
	words := "1 check failed"
	if h.failed > 1 {
		words = fmt.Sprintf("%d checks failed in a row", h.failed)
	}
	if last, ok := h.history.newest(false); ok && last.Words != "" {
		words += ", last: " + last.Words
	}
	return words
}

// Last returns the newest n results, or as many as there are, newest last. 100
// are kept.
func (h *Health) Last(n int) []CheckResult {
	if h.history == nil {
		return nil
	}
	return h.history.last(n)
}
