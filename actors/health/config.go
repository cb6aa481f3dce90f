package health

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Bounds of [Config]: what lies beyond is a slip of the pen, not a wish.
const (
	intervalMin = time.Millisecond
	countMax    = 100 // of fall and rise, as long as the history
)

// Config is the `health:` block: how an endpoint is checked, and what the results
// mean. At most one kind of check is given; without any, the endpoint is healthy
// until calls speak against it.
type Config struct {
	// HTTP asks for a page. Nil: no such check.
	HTTP *HTTPCheck `yaml:"http"`
	// TCP makes a connection. Nil: no such check.
	TCP *TCPCheck `yaml:"tcp"`
	// A further kind of check is one more pointer here, and in Enabled.

	// Hook says that Hooks.Check is given and is asked instead of what the file
	// says. The assembly sets it; a file cannot. Zero: no hook.
	Hook bool `yaml:"-"`

	// InitialDelay is the time from the endpoint's start to its first check.
	// Zero or off: at once.
	InitialDelay time.Duration `yaml:"initial_delay"`
	// Interval is the time from the begin of one check to the begin of the next.
	// Zero: 2s. At least 1ms; cannot be off.
	Interval time.Duration `yaml:"interval"`
	// Timeout is how long one check may take; longer is a failure. Zero: 1s. At
	// least 1ms; cannot be off.
	Timeout time.Duration `yaml:"timeout"`
	// Fall is how many bad checks in a row make a good endpoint unhealthy. Zero:
	// 3. From 1 to 100; cannot be off.
	Fall int `yaml:"fall"`
	// Rise is how many good checks in a row make an unhealthy endpoint healthy.
	// Zero: 2. From 1 to 100; cannot be off.
	Rise int `yaml:"rise"`
	// Jitter spreads each interval evenly over ± this share of it, so that many
	// nodes and endpoints do not check in step. Zero: 0.10 (10 %). Up to 1; off:
	// exact intervals.
	Jitter float64 `yaml:"jitter"`
	// Readiness makes the check binding: no traffic before the first good check,
	// and none while it fails, panic mode or not. Zero: false.
	Readiness bool `yaml:"readiness"`
	// DegradedAbove is the latency of a good check above which the endpoint is
	// degraded. Zero or off: never. Must be below Timeout.
	DegradedAbove time.Duration `yaml:"degraded_above"`
	// IdleInterval is the interval while the service sees no traffic; where it is
	// shorter than Interval, that one holds. Zero: 60s. Off: always Interval.
	IdleInterval time.Duration `yaml:"idle_interval"`
}

// HTTPCheck asks the endpoint for a page. A status that is expected is good;
// anything else, and no answer, is bad.
type HTTPCheck struct {
	// Path is in origin form, with its query. Zero: "/".
	Path string `yaml:"path"`
	// Method is an HTTP method. Zero: GET.
	Method string `yaml:"method"`
	// Headers are sent along; Host sets the host. Zero: none.
	Headers map[string]string `yaml:"headers"`
	// Body is sent unchanged. Zero: none.
	Body string `yaml:"body"`
	// Statuses are the good ones, from 100 to 599. Zero: 200 to 399, as Kubernetes
	// has it.
	Statuses []int `yaml:"statuses"`
}

// TCPCheck connects to the endpoint's address and closes again. It has no
// settings: `tcp: {}`.
type TCPCheck struct{}

// Expects reports whether status is a good one.
func (c *HTTPCheck) Expects(status int) bool {
	if len(c.Statuses) == 0 {
		return status >= 200 && status < 400
	}
	return slices.Contains(c.Statuses, status)
}

// Enabled reports whether there is anything to check by.
func (c Config) Enabled() bool { return c.Hook || c.HTTP != nil || c.TCP != nil }

// Clone returns a copy that shares nothing that can be changed.
func (c Config) Clone() Config {
	if c.HTTP != nil {
		h := *c.HTTP
		h.Headers, h.Statuses = maps.Clone(h.Headers), slices.Clone(h.Statuses)
		c.HTTP = &h
	}
	return c
}

// WithDefaults returns c with every zero value that has a default replaced by it.
// What is off stays off (-1). c and what it points to are left as they are.
func (c Config) WithDefaults() Config {
	if c.HTTP != nil && (c.HTTP.Path == "" || c.HTTP.Method == "") {
		h := *c.HTTP
		h.Path = cmp.Or(h.Path, "/")
		h.Method = cmp.Or(h.Method, "GET")
		c.HTTP = &h
	}
	c.Interval = cmp.Or(c.Interval, 2*time.Second)
	c.Timeout = cmp.Or(c.Timeout, time.Second)
	c.Fall = cmp.Or(c.Fall, 3)
	c.Rise = cmp.Or(c.Rise, 2)
	c.Jitter = cmp.Or(c.Jitter, 0.10)
	c.IdleInterval = cmp.Or(c.IdleInterval, 60*time.Second)
	return c
}

// Validate returns every fault of c at once, each as "field: what is wrong", or
// nil.
func (c Config) Validate() error {
	c = c.WithDefaults()
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(c.HTTP != nil && c.TCP != nil, "tcp: only one kind of check at a time, and there is http")
	if c.HTTP != nil {
		faults = append(faults, c.HTTP.faults()...)
	}
	fault(negative(c.InitialDelay), "initial_delay: %v is negative", c.InitialDelay)
	fault(c.Interval < intervalMin, "interval: %s, at least %v", shown(c.Interval), intervalMin)
	fault(c.Timeout < intervalMin, "timeout: %s, at least %v", shown(c.Timeout), intervalMin)
	fault(c.Fall < 1 || c.Fall > countMax, "fall: %d is not from 1 to %d", c.Fall, countMax)
	fault(c.Rise < 1 || c.Rise > countMax, "rise: %d is not from 1 to %d", c.Rise, countMax)
	fault(c.Jitter != -1 && !(c.Jitter >= 0 && c.Jitter <= 1), "jitter: %v is not from 0 to 1 (100%%)", c.Jitter)
	fault(negative(c.DegradedAbove), "degraded_above: %v is negative", c.DegradedAbove)
	fault(c.DegradedAbove >= c.Timeout && c.Timeout >= intervalMin,
		"degraded_above: %v is not below timeout %v, no check could ever be that slow", c.DegradedAbove, c.Timeout)
	fault(negative(c.IdleInterval), "idle_interval: %v is negative", c.IdleInterval)
	return errors.Join(faults...)
}

func (c *HTTPCheck) faults() []error {
	var faults []error
	if !strings.HasPrefix(c.Path, "/") || strings.ContainsFunc(c.Path, unprintable) {
		faults = append(faults, fmt.Errorf("http.path: %q is no path that begins with \"/\"", c.Path))
	}
	if !token(c.Method) {
		faults = append(faults, fmt.Errorf("http.method: %q is no HTTP method", c.Method))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		if !token(name) {
			faults = append(faults, fmt.Errorf("http.headers: %q is no header name", name))
		}
		// The value may be a secret: it is not repeated.
		if strings.ContainsAny(c.Headers[name], "\r\n\x00") {
			faults = append(faults, fmt.Errorf("http.headers: the value of %q has a line break", name))
		}
	}
	for _, status := range c.Statuses {
		if status < 100 || status > 599 {
			faults = append(faults, fmt.Errorf("http.statuses: %d is not from 100 to 599", status))
		}
	}
	return faults
}

// negative: -1 is off, whatever else is below zero is a mistake.
func negative(d time.Duration) bool { return d < 0 && d != -1 }

func shown(d time.Duration) string {
	if d == -1 {
		return "cannot be off"
	}
	return d.String() + " is too short"
}

// unprintable is what may not stand in a request line.
func unprintable(r rune) bool { return r <= ' ' || r == 0x7f }

// token reports whether s is a token of RFC 9110, 5.6.2, as methods and header
// names are.
func token(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return unprintable(r) || r > 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}
