package retry

import (
	"fmt"
	"math"
	"time"
)

// Jitter is how a wait is spread: [FullJitter], [NoJitter], or a duration above
// 0, up to which is added. In text: "full", "none", "500ms". Zero: the default,
// see [Config].
type Jitter time.Duration

const (
	// NoJitter waits exactly the base. It is what off is.
	NoJitter Jitter = -1
	// FullJitter waits anything from nothing up to the base, evenly.
	FullJitter Jitter = -2
)

// Wait returns how long to wait between an attempt, counted from 1, and the next,
// with rnd from [0,1):
//
//	base = min(initial × multiplier^(attempt-1), max)
//	wait = base (none), rnd × base (full), base + rnd × added (a duration)
//
// Whether there is a next attempt is the caller's to know.
func (c *Config) Wait(attempt int, rnd float64) time.Duration {
	b := c.Backoff.withDefaults()
	base := math.Min(float64(max(b.Initial, 0))*math.Pow(b.Multiplier, float64(max(attempt, 1)-1)), float64(b.Max))
	switch j := c.Jitter.withDefaults(b); j {
	case NoJitter:
		return time.Duration(base)
	case FullJitter:
		return time.Duration(rnd * base)
	default:
		return time.Duration(base + rnd*float64(j))
	}
}

// UnmarshalText reads full, none (also off and -1, which is what off is in
// numbers) or a duration, 0 of which is none. The empty text is the default.
func (j *Jitter) UnmarshalText(text []byte) error {
	switch string(text) {
	case "":
		*j = 0
	case "full":
		*j = FullJitter
	case "none", "off", "-1":
		*j = NoJitter
	default:
		d, err := time.ParseDuration(string(text))
		if err != nil || d < 0 {
			return fmt.Errorf("jitter: %q is not full, none or a duration such as 500ms", text)
		}
		*j = Jitter(d)
		if d == 0 {
			*j = NoJitter
		}
	}
	return nil
}

// MarshalText writes what [Jitter.UnmarshalText] reads.
func (j Jitter) MarshalText() ([]byte, error) {
	switch j {
	case 0:
		return nil, nil
	case FullJitter:
		return []byte("full"), nil
	case NoJitter:
		return []byte("none"), nil
	}
	return []byte(time.Duration(j).String()), nil
}
