package actors

import "time"

// Clock is where time comes from. The zero configuration uses the machine's;
// tests give one that they move by hand.
type Clock interface {
	Now() time.Time
	// AfterFunc calls f in a goroutine of its own after d.
	AfterFunc(d time.Duration, f func()) Timer
}

// Timer is what AfterFunc returns; *time.Timer is one.
type Timer interface {
	Stop() bool
	Reset(d time.Duration) bool
}

// clock measures time for the cores: the duration since the system started, on
// the monotonic clock. Reading it costs half of time.Now.
type clock struct {
	base time.Time
	fake Clock // nil: the machine's
}

func newClock(c Clock) clock {
	if c == nil {
		return clock{base: time.Now()}
	}
	return clock{base: c.Now(), fake: c}
}

func (c *clock) now() time.Duration {
	if c.fake == nil {
		return time.Since(c.base)
	}
	return c.fake.Now().Sub(c.base)
}

// wall turns a moment of the cores into a date for people.
func (c *clock) wall(at time.Duration) time.Time { return c.base.Add(at).Round(0) }

// until turns a date, a context's deadline say, into a moment of the cores.
func (c *clock) until(t time.Time) time.Duration { return t.Sub(c.base) }

func (c *clock) afterFunc(d time.Duration, f func()) Timer {
	if c.fake == nil {
		return time.AfterFunc(d, f)
	}
	return c.fake.AfterFunc(d, f)
}
