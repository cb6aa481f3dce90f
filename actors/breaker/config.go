package breaker

import (
	"errors"
	"fmt"
	"time"
)

// off is how a configuration turns a number or a duration off.
const off = -1

const (
	windowMin  = time.Millisecond
	windowMax  = time.Hour // keeps a bucket's counts far from 32 bits
	timeoutMax = 24 * time.Hour
)

// Config says when a breaker opens, for how long, and what closes it. The zero
// value is the default. failure_rate, min_calls, window and open_timeout have
// Hystrix's defaults, failure_threshold has that of Envoy's consecutive_5xx.
type Config struct {
	// Disabled admits every call and counts none. An operator can still force it open.
	Disabled bool `yaml:"disabled"`

	// FailureThreshold opens the breaker after so many failures in a row; a success
	// in between begins anew, an ignored call does not. At least 1; zero: 5; -1: off.
	FailureThreshold int `yaml:"failure_threshold"`

	// FailureRate opens it when at least this share of the window's calls failed.
	// Above 0, at most 1; zero: 0.5; -1: off.
	FailureRate float64 `yaml:"failure_rate"`

	// MinCalls is how many calls the window must hold before a rate means anything.
	// At least 1; zero: 20.
	MinCalls int `yaml:"min_calls"`

	// Window is how far back the rates look, in 40 steps. 1ms to 1h; zero: 10s.
	Window time.Duration `yaml:"window"`

	// SlowCall is the time to the head of the answer above which a call is slow,
	// whatever its outcome. At most 24h; zero or -1: off.
	SlowCall time.Duration `yaml:"slow_call"`

	// SlowCallRate opens the breaker when at least this share of the window's calls
	// was slow; a slow trial then counts as failed. Above 0, at most 1; zero: 0.5
	// (no effect without SlowCall); -1: slow calls are only counted, for Trip to see.
	SlowCallRate float64 `yaml:"slow_call_rate"`

	// OpenTimeout is how long the breaker stays open the first time; each time that it
	// re-opens twice as long, up to OpenTimeoutMax. It starts over after 60 s of peace
	// (closed without opening again), or after as much peace as the last open time was
	// long, if that is more. At most 24h; zero: 5s.
	OpenTimeout time.Duration `yaml:"open_timeout"`

	// OpenTimeoutMax bounds the doubling, jitter comes on top. OpenTimeout to 24h;
	// zero: 60s, or OpenTimeout if that is longer.
	OpenTimeoutMax time.Duration `yaml:"open_timeout_max"`

	// Jitter is the share of the open time that is at most added to it at random, so
	// that many breakers do not try at the same moment; it never shortens. Above 0,
	// at most 1; zero: 0.25; -1: off. Without it and with OpenTimeoutMax equal to
	// OpenTimeout, the open time is fixed.
	Jitter float64 `yaml:"jitter"`

	// HalfOpenMaxCalls is how many trials may be under way at once. At least 1; zero: 1.
	HalfOpenMaxCalls int `yaml:"half_open_max_calls"`

	// SuccessThreshold is how many trials must succeed to close the breaker; one that
	// fails opens it again. At least 1; zero: 1.
	SuccessThreshold int `yaml:"success_threshold"`

	// Trip, if not nil, decides instead of FailureThreshold, FailureRate and
	// SlowCallRate (gobreaker's ReadyToTrip): it is asked after each failed or slow
	// call of a closed breaker and opens it by true. It must be quick and must not
	// call the breaker. A panic in it goes on to the caller of Record; the call is
	// counted by then and the breaker stays closed.
	Trip func(Counts) bool `yaml:"-"`
}

// WithDefaults returns c with every zero field set to its default. What is off
// stays -1, so that applying it twice changes nothing.
func (c Config) WithDefaults() Config {
	orDefault(&c.FailureThreshold, 5)
	orDefault(&c.FailureRate, 0.5)
	orDefault(&c.MinCalls, 20)
	orDefault(&c.Window, 10*time.Second)
	orDefault(&c.SlowCall, off)
	orDefault(&c.SlowCallRate, 0.5)
	orDefault(&c.OpenTimeout, 5*time.Second)
	orDefault(&c.OpenTimeoutMax, max(60*time.Second, c.OpenTimeout))
	orDefault(&c.Jitter, 0.25)
	orDefault(&c.HalfOpenMaxCalls, 1)
	orDefault(&c.SuccessThreshold, 1)
	return c
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate joins everything that is wrong with c, or returns nil. It wants c as it
// was written, before WithDefaults: only there can it see that slow_call_rate was
// given and slow_call forgotten.
func (c Config) Validate() error {
	d := c.WithDefaults()
	faults := []error{
		validCount("failure_threshold", d.FailureThreshold, true),
		validRatio("failure_rate", d.FailureRate),
		validCount("min_calls", d.MinCalls, false),
		validDuration("window", d.Window, windowMin, windowMax),
		validRatio("slow_call_rate", d.SlowCallRate),
		validDuration("open_timeout", d.OpenTimeout, 1, timeoutMax),
		validRatio("jitter", d.Jitter),
		validCount("half_open_max_calls", d.HalfOpenMaxCalls, false),
		validCount("success_threshold", d.SuccessThreshold, false),
	}
	if d.SlowCall != off {
		faults = append(faults, validDuration("slow_call", d.SlowCall, 1, timeoutMax))
	}
	if c.SlowCall == 0 && c.SlowCallRate > 0 {
		faults = append(faults, errors.New("slow_call_rate: has no effect without slow_call"))
	}
	switch {
	case c.OpenTimeoutMax == 0: // follows open_timeout, whose fault is reported already
	case d.OpenTimeoutMax > 0 && d.OpenTimeoutMax < d.OpenTimeout:
		faults = append(faults, fmt.Errorf("open_timeout_max: %v is less than open_timeout %v", d.OpenTimeoutMax, d.OpenTimeout))
	default:
		faults = append(faults, validDuration("open_timeout_max", d.OpenTimeoutMax, 1, timeoutMax))
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

// validRatio also refuses NaN, for which every comparison is false.
func validRatio(field string, r float64) error {
	if r == off || r > 0 && r <= 1 {
		return nil
	}
	return fmt.Errorf("%s: must be above 0%% and at most 100%%, or off; is %g%%", field, 100*r)
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
