package breaker

import (
	"time"

	"github.com/understudy-go/understudy/messages"
)

// caller drives a breaker as an endpoint would. hits counts the calls that reached
// the backend; luck is the jitter's.
type caller struct {
	*Breaker
	now  time.Duration
	hits int
	luck float64
}

func newCaller(cfg Config) *caller { return &caller{Breaker: New(cfg)} }

// call makes n quick calls, one after the other, and reports whether the last one
// was admitted.
func (c *caller) call(n int, o messages.Outcome) (admitted bool) {
	for range n {
		admitted = c.callFor(0, o)
	}
	return admitted
}

func (c *caller) callFor(latency time.Duration, o messages.Outcome) bool {
	p, ok := c.Acquire(c.now)
	if ok {
		c.hits++
		c.Record(c.now, p, o, latency, c.luck)
	}
	return ok
}

// acquire returns the permits that n calls at once are granted.
func (c *caller) acquire(n int) (granted []Permit) {
	for range n {
		if p, ok := c.Acquire(c.now); ok {
			granted = append(granted, p)
		}
	}
	return granted
}

func (c *caller) record(p Permit, o messages.Outcome) { c.Record(c.now, p, o, 0, c.luck) }

// counts are those of now.
func (c *caller) counts() Counts { return c.Counts(c.now) }
