package hedge

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// off is how a configuration turns a duration off.
const off = -1

// latencyMax is the longest latency that is told apart from longer ones.
const latencyMax = 5 * time.Minute

// quantileMin and quantileMax: below the median most requests would be sent twice,
// and above 99.9 % a thousand latencies a minute are not enough.
const (
	quantileMin = 0.5
	quantileMax = 0.999
)

// Config is the `hedge:` block: when a request that is still waiting is sent a
// second time, to another endpoint. Without the block, never.
type Config struct {
	// Delay is how long the first attempt may take before. At most 5m; zero: the
	// service's live quantile; cannot be off.
	Delay time.Duration `yaml:"delay"`

	// Quantile is the share of latencies that are shorter than the live delay, so
	// that what is left of 1 is the share of requests that are sent twice. 0.5 to
	// 0.999; zero: 0.95. Without meaning where Delay is given.
	Quantile float64 `yaml:"quantile"`

	// MinDelay is the shortest live delay: what is faster than that does not need
	// hedging, and its quantile is mostly our own scheduling. At most 5m; zero: 1ms;
	// -1: off. Without meaning where Delay is given.
	MinDelay time.Duration `yaml:"min_delay"`
}

// WithDefaults returns c with every zero field that has a default set to it. What is
// off stays -1, so that applying it twice changes nothing.
func (c Config) WithDefaults() Config {
	c.Quantile = cmp.Or(c.Quantile, 0.95)
	c.MinDelay = cmp.Or(c.MinDelay, time.Millisecond)
	return c
}

// Validate joins everything that is wrong with c, or returns nil.
func (c Config) Validate() error {
	c = c.WithDefaults()
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(c.Delay == off, "delay: cannot be off: leave hedge away")
	fault(c.Delay < off, "delay: cannot be negative, is %v", c.Delay)
	fault(c.Delay > latencyMax, "delay: must be at most %v, is %v", latencyMax, c.Delay)
	fault(!(c.Quantile >= quantileMin && c.Quantile <= quantileMax), // NaN too
		"quantile: must be from %g%% to %g%%, is %g%%", 100*quantileMin, 100*quantileMax, 100*c.Quantile)
	fault(c.MinDelay < off, "min_delay: cannot be negative, is %v", c.MinDelay)
	fault(c.MinDelay > latencyMax, "min_delay: must be at most %v, is %v", latencyMax, c.MinDelay)
	return errors.Join(faults...)
}
