package outlier

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// off is how a configuration turns a number off.
const off = -1

const (
	intervalMin = time.Millisecond
	intervalMax = time.Hour
	ejectionMax = 24 * time.Hour
	stdevMax    = 100 // no endpoint of 10,000 or fewer can lie further below the mean
)

// Config is the `outlier:` block: who is an outlier, and how long it stays out. The
// zero value is the default, which is Envoy's but for the four points that the
// package comment names.
type Config struct {
	// Disabled turns everything here off.
	Disabled bool `yaml:"disabled"`

	// Interval is the time from one sweep to the next; what is counted in between is
	// one sample. 1ms to 1h; zero: 10s.
	Interval time.Duration `yaml:"interval"`

	// SuccessRateStdev is how many standard deviations below the mean success rate an
	// endpoint must be to be an outlier. Among n endpoints none can be more than
	// √(n-1) below, so 1.9 finds nobody among fewer than 5. Above 0, at most 100;
	// zero: 1.9; -1: off.
	SuccessRateStdev float64 `yaml:"success_rate_stdev"`

	// SuccessRateHosts is how many endpoints must have had SuccessRateRequests for
	// the mean to mean anything. At least 1; zero: 5.
	SuccessRateHosts int `yaml:"success_rate_hosts"`

	// SuccessRateRequests is how many requests an endpoint must have had in the
	// interval to be compared. At least 1; zero: 100.
	SuccessRateRequests int `yaml:"success_rate_requests"`

	// FailurePercentage makes an endpoint an outlier when at least this share of its
	// requests failed, whatever the others do. Above 0, at most 1; zero: 0.85; -1: off.
	FailurePercentage float64 `yaml:"failure_percentage"`

	// FailurePercentageHosts is how many endpoints must have had
	// FailurePercentageRequests. At least 1; zero: 5.
	FailurePercentageHosts int `yaml:"failure_percentage_hosts"`

	// FailurePercentageRequests is how many requests an endpoint must have had in the
	// interval. At least 1; zero: 50.
	FailurePercentageRequests int `yaml:"failure_percentage_requests"`

	// Consecutive makes an endpoint an outlier at once after so many failures in a
	// row. At least 1; zero or -1: off, because the breaker counts them already.
	Consecutive int `yaml:"consecutive"`

	// BaseEjection is how long the first ejection lasts; the second lasts twice as
	// long, the third three times, up to MaxEjection. Also how long an endpoint must be
	// back in service for one of its ejections to be forgotten. Above 0, at most 24h; zero: 30s.
	BaseEjection time.Duration `yaml:"base_ejection"`

	// MaxEjection bounds that growth, jitter comes on top. BaseEjection to 24h; zero:
	// 300s, or BaseEjection if that is longer.
	MaxEjection time.Duration `yaml:"max_ejection"`

	// Jitter is the share of the ejection time that is at most added to it at random,
	// so that not all come back at the same moment. Above 0, at most 1; zero: 0.1;
	// -1: off.
	Jitter float64 `yaml:"jitter"`

	// MaxEjected is the share of the endpoints, rounded down, that may be ejected at
	// the same time; one always may. Above 0, at most 1; zero: 0.34.
	MaxEjected float64 `yaml:"max_ejected"`
}

// WithDefaults returns c with every zero field set to its default. What is off
// stays -1, so that applying it twice changes nothing.
func (c Config) WithDefaults() Config {
	c.Interval = cmp.Or(c.Interval, 10*time.Second)
	c.SuccessRateStdev = cmp.Or(c.SuccessRateStdev, 1.9)
	c.SuccessRateHosts = cmp.Or(c.SuccessRateHosts, 5)
	c.SuccessRateRequests = cmp.Or(c.SuccessRateRequests, 100)
	c.FailurePercentage = cmp.Or(c.FailurePercentage, 0.85)
	c.FailurePercentageHosts = cmp.Or(c.FailurePercentageHosts, 5)
	c.FailurePercentageRequests = cmp.Or(c.FailurePercentageRequests, 50)
	c.Consecutive = cmp.Or(c.Consecutive, off)
	c.BaseEjection = cmp.Or(c.BaseEjection, 30*time.Second)
	c.MaxEjection = cmp.Or(c.MaxEjection, max(300*time.Second, c.BaseEjection))
	c.Jitter = cmp.Or(c.Jitter, 0.1)
	c.MaxEjected = cmp.Or(c.MaxEjected, 0.34)
	return c
}

// Validate joins everything that is wrong with c, or returns nil.
func (c Config) Validate() error {
	d := c.WithDefaults()
	faults := []error{
		validDuration("interval", d.Interval, intervalMin, intervalMax),
		validStdev("success_rate_stdev", d.SuccessRateStdev),
		validCount("success_rate_hosts", d.SuccessRateHosts, false),
		validCount("success_rate_requests", d.SuccessRateRequests, false),
		validRatio("failure_percentage", d.FailurePercentage, true),
		validCount("failure_percentage_hosts", d.FailurePercentageHosts, false),
		validCount("failure_percentage_requests", d.FailurePercentageRequests, false),
		validCount("consecutive", d.Consecutive, true),
		validDuration("base_ejection", d.BaseEjection, 1, ejectionMax),
		validRatio("jitter", d.Jitter, true),
		validRatio("max_ejected", d.MaxEjected, false),
	}
	switch {
	case c.MaxEjection == 0: // follows base_ejection, whose fault is reported already
	case d.MaxEjection > 0 && d.MaxEjection < d.BaseEjection:
		faults = append(faults, fmt.Errorf("max_ejection: %v is less than base_ejection %v", d.MaxEjection, d.BaseEjection))
	default:
		faults = append(faults, validDuration("max_ejection", d.MaxEjection, 1, ejectionMax))
	}
	return errors.Join(faults...)
}

func validCount(field string, n int, mayBeOff bool) error {
	switch {
	case n >= 1 || n == off && mayBeOff:
		return nil
	case n == off:
		return fmt.Errorf("%s: cannot be off", field)
	}
	return fmt.Errorf("%s: must be at least 1, is %d", field, n)
}

// validRatio and validStdev also refuse NaN, for which every comparison is false.
func validRatio(field string, r float64, mayBeOff bool) error {
	switch {
	case r > 0 && r <= 1 || r == off && mayBeOff:
		return nil
	case r == off:
		return fmt.Errorf("%s: cannot be off", field)
	case mayBeOff:
		return fmt.Errorf("%s: must be above 0%% and at most 100%%, or off; is %g%%", field, 100*r)
	}
	return fmt.Errorf("%s: must be above 0%% and at most 100%%, is %g%%", field, 100*r)
}

func validStdev(field string, s float64) error {
	if s == off || s > 0 && s <= stdevMax {
		return nil
	}
	return fmt.Errorf("%s: must be above 0 and at most %d, or off; is %g", field, stdevMax, s)
}

func validDuration(field string, d, least, most time.Duration) error {
	switch {
	case d == off:
		return fmt.Errorf("%s: cannot be off", field)
	case d < 0:
		return fmt.Errorf("%s: cannot be negative, is %v", field, d)
	case d < least:
		return fmt.Errorf("%s: must be at least %v, is %v", field, least, d)
	case d > most:
		return fmt.Errorf("%s: must be at most %v, is %v", field, most, d)
	}
	return nil
}
