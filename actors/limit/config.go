package limit

import (
	"errors"
	"fmt"
	"time"
)

// off, written in a number's place, turns what it bounds off.
const off = -1

// The modes of a rate limit.
const (
	Wait   = "wait"   // over the limit, a request waits for its turn within its deadline
	Reject = "reject" // over the limit, a request is refused at once
)

const (
	limitMax       = 1_000_000
	perMin, perMax = time.Millisecond, 24 * time.Hour
	waitingMax     = 1_000_000
	concurrencyMax = 1_000_000
)

// RateConfig is the `rate_limit:` block: how many attempts a service may be sent in
// any stretch of time.
type RateConfig struct {
	// Limit is how many attempts go out in any Per. 1 to 1,000,000; zero or -1: off.
	Limit int `yaml:"limit"`

	// Per is the length of the sliding window. 1ms to 24h; zero: 1s.
	Per time.Duration `yaml:"per"`

	// Mode is what becomes of a request over the limit: "wait" or "reject". Empty:
	// wait.
	Mode string `yaml:"mode"`

	// Dynamic lowers the limit, down to a tenth, while the service fails or slows, and
	// raises it again when it is well. The package comment has the formula.
	Dynamic bool `yaml:"dynamic"`

	// MaxWaiting is how many requests may wait at once; the next one is refused.
	// 1 to 1,000,000; zero: 1024. For none, set Mode to reject.
	MaxWaiting int `yaml:"max_waiting"`
}

// WithDefaults returns c with every zero field set to its default. What is off is -1.
func (c RateConfig) WithDefaults() RateConfig {
	orDefault(&c.Limit, off)
	orDefault(&c.Per, time.Second)
	orDefault(&c.Mode, Wait)
	orDefault(&c.MaxWaiting, 1024)
	return c
}

// Validate joins everything that is wrong with c, or returns nil.
func (c RateConfig) Validate() error {
	d := c.WithDefaults()
	faults := []error{
		validCount("limit", d.Limit, limitMax, true),
		validDuration("per", d.Per, perMin, perMax),
		validCount("max_waiting", d.MaxWaiting, waitingMax, false),
	}
	if d.Mode != Wait && d.Mode != Reject {
		faults = append(faults, fmt.Errorf("mode: %q is neither wait nor reject", d.Mode))
	}
	return errors.Join(faults...)
}

// ConcurrencyConfig is the `concurrency:` block: how many attempts one endpoint may
// have in flight. In the file a plain number is short for {max: n}.
type ConcurrencyConfig struct {
	// Max is the limit, and with Adaptive the highest that it may find; without, too,
	// while the endpoint is overrun (five attempts in a row timed out or nearly so) and
	// after its breaker closed, until 30 s pass in which that was not needed. 1 to
	// 1,000,000; zero: 1024; -1: no limit, ever.
	Max int `yaml:"max"`

	// Adaptive finds the limit from the latency: as many as the endpoint answers
	// without letting them queue.
	Adaptive bool `yaml:"adaptive"`

	// Min is the lowest limit that Adaptive may find. 1 to Max; zero: 1.
	Min int `yaml:"min"`

	// Initial is the limit that Adaptive begins with. Min to Max; zero: 20, or what
	// of Min and Max is nearest to it.
	Initial int `yaml:"initial"`
}

// WithDefaults returns c with every zero field set to its default. A Max that is off
// stays -1.
func (c ConcurrencyConfig) WithDefaults() ConcurrencyConfig {
	orDefault(&c.Max, 1024)
	orDefault(&c.Min, 1)
	orDefault(&c.Initial, max(min(20, c.most()), c.Min))
	return c
}

// most is the highest limit as a number.
func (c ConcurrencyConfig) most() int {
	if c.Max == off {
		return concurrencyMax
	}
	return c.Max
}

// Validate joins everything that is wrong with c, or returns nil.
func (c ConcurrencyConfig) Validate() error {
	d := c.WithDefaults()
	faults := []error{validCount("max", d.Max, concurrencyMax, true)}
	if err := validCount("min", d.Min, concurrencyMax, false); err != nil {
		faults = append(faults, err)
	} else if d.Max > 0 && d.Min > d.Max {
		faults = append(faults, fmt.Errorf("min: %d is above max %d", d.Min, d.Max))
	}
	if c.Initial != 0 { // the default follows min and max, whose faults are reported already
		if err := validCount("initial", d.Initial, concurrencyMax, false); err != nil {
			faults = append(faults, err)
		} else if d.Initial < d.Min || d.Max > 0 && d.Initial > d.Max {
			faults = append(faults, fmt.Errorf("initial: %d is not from min %d to max %d", d.Initial, d.Min, d.most()))
		}
	}
	return errors.Join(faults...)
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func validCount(field string, n, most int, mayBeOff bool) error {
	switch {
	case n >= 1 && n <= most || n == off && mayBeOff:
		return nil
	case n == off:
		return fmt.Errorf("%s: cannot be off", field)
	case n < 1:
		return fmt.Errorf("%s: must be at least 1, is %d", field, n)
	}
	return fmt.Errorf("%s: must be at most %d, is %d", field, most, n)
}

func validDuration(field string, d, least, most time.Duration) error {
	switch {
	case d == off:
		return fmt.Errorf("%s: cannot be off", field)
	case d < least:
		return fmt.Errorf("%s: must be at least %v, is %v", field, least, d)
	case d > most:
		return fmt.Errorf("%s: must be at most %v, is %v", field, most, d)
	}
	return nil
}
