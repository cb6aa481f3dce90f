package cache

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"
)

// off is how a configuration turns a duration off.
const off = -1

const (
	durationMax = 365 * 24 * time.Hour // of what the file says, and of what answers say
	bytesMin    = 64 << 10
	bytesMax    = math.MaxUint32 // otter weighs in 32 bits
	entriesMax  = 10_000_000
)

// Config is the `cache:` block: what is kept, for how long and how much. The zero
// value is the default; without a Config there is no cache.
type Config struct {
	// TTL is how long an answer is fresh that says nothing about it, counted from
	// when it came. Above 0, at most 8760h; zero: 60s; -1: off, only what the answers
	// themselves allow is kept.
	TTL time.Duration `yaml:"ttl"`

	// MaxEntries is how many answers are kept at most. 1 to 10 million; zero: 10,000.
	MaxEntries int `yaml:"max_entries"`

	// MaxBytes is how much they may take together: bodies, headers and what it costs
	// to keep them. An answer that takes more than an eighth of it is not kept. 64 KiB
	// to 4 GiB (less one byte); zero: 64 MiB.
	MaxBytes int64 `yaml:"max_bytes"`

	// StaleIfError is how long past its freshness an answer may stand for a failure:
	// an error, or status 500, 502, 503 or 504. What the answer says itself goes first
	// (stale-if-error). Above 0, at most 8760h; zero: none but what the answer says;
	// -1: off, never.
	StaleIfError time.Duration `yaml:"stale_if_error"`

	// StaleWhileRevalidate is how long past its freshness an answer is served at once
	// while a new one is fetched. What the answer says itself goes first
	// (stale-while-revalidate). Above 0, at most 8760h; zero: none but what the answer
	// says; -1: off, never.
	StaleWhileRevalidate time.Duration `yaml:"stale_while_revalidate"`

	// Authorized keeps answers to requests with Authorization or Cookie too, for each
	// pair of their values apart. Otherwise such requests pass the cache by, even where
	// RFC 9111, section 3.5, would let their answers be kept.
	Authorized bool `yaml:"authorized"`
}

// WithDefaults returns c with every zero field that has a default set to it. What
// is off stays -1, so that applying it twice changes nothing.
func (c Config) WithDefaults() Config {
	c.TTL = cmp.Or(c.TTL, 60*time.Second)
	c.MaxEntries = cmp.Or(c.MaxEntries, 10_000)
	c.MaxBytes = cmp.Or(c.MaxBytes, 64<<20)
	return c
}

// Validate joins everything that is wrong with c, or returns nil.
func (c Config) Validate() error {
	c = c.WithDefaults()
	return errors.Join(
		validDuration("ttl", c.TTL),
		validSize("max_entries", int64(c.MaxEntries), 1, entriesMax),
		validSize("max_bytes", c.MaxBytes, bytesMin, bytesMax),
		validDuration("stale_if_error", c.StaleIfError),
		validDuration("stale_while_revalidate", c.StaleWhileRevalidate),
	)
}

func validDuration(field string, d time.Duration) error {
	switch {
	case d == off:
		return nil
	case d < 0:
		return fmt.Errorf("%s: cannot be negative, is %v", field, d)
	case d > durationMax:
		return fmt.Errorf("%s: must be at most %v, is %v", field, durationMax, d)
	}
	return nil
}

func validSize(field string, n, least, most int64) error {
	switch {
	case n == off:
		return fmt.Errorf("%s: cannot be off", field)
	case n < least || n > most:
		return fmt.Errorf("%s: must be from %d to %d, is %d", field, least, most, n)
	}
	return nil
}
