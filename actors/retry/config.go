package retry

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// waitMax bounds every wait: a slip of the pen must not park a request for ever.
const waitMax = time.Hour

// Config is the `retry:` block: which attempts are made again, and when.
type Config struct {
	// MaxAttempts is how many attempts a request may make, the first included.
	// Zero: 3. One or off: no retry.
	MaxAttempts int `yaml:"max_attempts"`
	// On lists what is tried again, and nothing else is: connect (no connection,
	// or it broke before an answer), timeout, error (a failure that is neither and
	// has no status, as a Go function's error), a status such as 503, or a class
	// of them such as 5xx. Empty: connect, timeout, 429, 502, 503, 504. To retry
	// nothing, set MaxAttempts to one.
	On []string `yaml:"on"`
	// Backoff is the wait before an endpoint is tried again.
	Backoff Backoff `yaml:"backoff"`
	// Jitter spreads the waits, so that those who failed together do not come back
	// together. Zero: full, or none where the backoff is constant (a multiplier
	// of 1): who asks for 5 s gets 5 s.
	Jitter Jitter `yaml:"jitter"`
	// Budget bounds the retries of a service by its requests.
	Budget BudgetConfig `yaml:"budget"`
}

// Backoff is the base of the waits: the first one, growing by a factor up to a
// bound. See [Constant] and [Exponential].
type Backoff struct {
	// Initial is the base after the first attempt. Zero: 25ms. At most 1h. Off: no
	// backoff, all bases are 0.
	Initial time.Duration `yaml:"initial"`
	// Multiplier is the base's factor from one attempt to the next. Zero: 2. At
	// least 1; cannot be off.
	Multiplier float64 `yaml:"multiplier"`
	// Max is the longest base; an added jitter comes on top. Zero: 10 × Initial,
	// at most 1h. Not below Initial; cannot be off.
	Max time.Duration `yaml:"max"`
}

// Constant is the backoff of equal waits of d; none where d is 0 or less. Jitter
// is none with it unless it is set.
func Constant(d time.Duration) Backoff {
	if d <= 0 {
		return Backoff{Initial: -1, Multiplier: 1}
	}
	return Backoff{Initial: d, Multiplier: 1, Max: d}
}

// Exponential is the backoff that begins at initial and doubles up to max; 0
// stands for the default of either.
func Exponential(initial, max time.Duration) Backoff {
	return Backoff{Initial: initial, Multiplier: 2, Max: max}
}

func (b Backoff) withDefaults() Backoff {
	b.Initial = cmp.Or(b.Initial, 25*time.Millisecond)
	b.Multiplier = cmp.Or(b.Multiplier, 2)
	if b.Max == 0 {
		b.Max = min(max(b.Initial, 0), waitMax/10) * 10
	}
	return b
}

func (j Jitter) withDefaults(b Backoff) Jitter {
	switch {
	case j != 0:
		return j
	case b.Multiplier == 1:
		return NoJitter
	}
	return FullJitter
}

// WithDefaults returns c with every zero value replaced by its default. What is
// off stays off (-1), but for MaxAttempts, where it is 1. c is left as it is.
func (c Config) WithDefaults() Config {
	c.MaxAttempts = cmp.Or(c.MaxAttempts, 3)
	if c.MaxAttempts == -1 {
		c.MaxAttempts = 1
	}
	if len(c.On) == 0 {
		c.On = []string{"connect", "timeout", "429", "502", "503", "504"}
	}
	c.Backoff = c.Backoff.withDefaults()
	c.Jitter = c.Jitter.withDefaults(c.Backoff)
	c.Budget = c.Budget.WithDefaults()
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
	fault(c.MaxAttempts < 1, "max_attempts: %d is below 1", c.MaxAttempts)
	for _, word := range c.On {
		fault(!new(Policy).add(word), "on: %q is none of connect, timeout, error, a status such as 503, a class such as 5xx", word)
	}
	b := c.Backoff
	fault(b.Initial < -1 || b.Initial > waitMax, "backoff.initial: %v is not from 0 to %v", b.Initial, waitMax)
	fault(!(b.Multiplier >= 1), "backoff.multiplier: %v is below 1", b.Multiplier)
	fault(b.Initial != -1 && b.Max < b.Initial, "backoff.max: %v is below initial %v", b.Max, b.Initial)
	fault(b.Max > waitMax, "backoff.max: %v is above %v", b.Max, waitMax)
	fault(c.Jitter < FullJitter || time.Duration(c.Jitter) > waitMax, "jitter: %v is not full, none or from 0 to %v", time.Duration(c.Jitter), waitMax)
	faults = append(faults, c.Budget.faults()...)
	return errors.Join(faults...)
}

// Idempotent reports whether repeating a request of that HTTP method does no more
// than making it once, by RFC 9110, 9.2.2. Methods are case-sensitive; of an empty
// one it is not known.
func Idempotent(method string) bool {
	switch method {
	case "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE":
		return true
	}
	return false
}
