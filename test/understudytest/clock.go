package understudytest

import (
	"slices"
	"sync"
	"time"

	"github.com/understudy-go/understudy"
)

// Clock is a clock that stands still until it is moved. Give it to
// understudy.WithClock.
type Clock struct {
	advance sync.Mutex // held by whoever runs timers: one at a time, so in order

	mu      sync.Mutex
	now     time.Time
	pending []*timer      // by when they are due, then by when they were set
	changed chan struct{} // closed when a timer is set; nil while nobody waits for that
}

var _ understudy.Clock = (*Clock)(nil)

// NewClock returns a clock that stands at the present moment.
func NewClock() *Clock { return &Clock{now: time.Now()} }

// Now returns where the clock stands.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock by d. On the way it runs each timer that falls due, at
// its time and in order, those set meanwhile too, and returns when the last one
// has returned. With 0 it runs what is due now. A timer's function must not call
// it; a negative d panics.
func (c *Clock) Advance(d time.Duration) {
	if d < 0 {
		panic("understudytest: time does not run backwards")
	}
	c.advance.Lock()
	defer c.advance.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	for end := c.now.Add(d); ; {
		if len(c.pending) == 0 || c.pending[0].due.After(end) {
			c.now = end
			return
		}
		c.fire(c.pending[0])
	}
}

// fire runs a timer at its time, without the lock.
func (c *Clock) fire(t *timer) {
	if t.due.After(c.now) {
		c.now = t.due
	}
	c.remove(t)
	c.mu.Unlock()
	defer c.mu.Lock() // also where f panics or ends the goroutine
	t.f()
}

// AfterFunc has f called once the clock has moved by d, in the goroutine of
// [Clock.Advance]; at once and in a goroutine of its own where d is not positive.
func (c *Clock) AfterFunc(d time.Duration, f func()) understudy.Timer {
	t := &timer{clock: c, f: f}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set(t, d)
	return t
}

// Pending returns how many timers wait.
func (c *Clock) Pending() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pending)
}

// BlockUntil returns when at least n timers wait. Each endpoint that was called
// has one, for its attempts' deadlines, and keeps it until it fires.
func (c *Clock) BlockUntil(n int) {
	c.block(func() bool { return len(c.pending) >= n })
}

// BlockUntilDue returns when a timer waits that is due in exactly d: when a
// caller has begun its backoff, say.
func (c *Clock) BlockUntilDue(d time.Duration) {
	c.block(func() bool {
		return slices.ContainsFunc(c.pending, func(t *timer) bool { return t.due.Equal(c.now.Add(d)) })
	})
}

func (c *Clock) block(until func() bool) {
	for {
		c.mu.Lock()
		if until() {
			c.mu.Unlock()
			return
		}
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		changed := c.changed
		c.mu.Unlock()
		<-changed
	}
}

// timer implements understudy.Timer. Its clock's lock guards it.
type timer struct {
	clock *Clock
	f     func()
	due   time.Time
}

// Stop reports whether it kept the timer from running.
func (t *timer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	return t.clock.remove(t)
}

// Reset sets the timer to d from now and reports whether it was waiting.
func (t *timer) Reset(d time.Duration) bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	waited := t.clock.remove(t)
	t.clock.set(t, d)
	return waited
}

func (c *Clock) set(t *timer, d time.Duration) {
	t.due = c.now.Add(max(d, 0))
	i := len(c.pending)
	for i > 0 && c.pending[i-1].due.After(t.due) {
		i--
	}
	c.pending = slices.Insert(c.pending, i, t)
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
	if d <= 0 {
		go c.Advance(0)
	}
}

func (c *Clock) remove(t *timer) bool {
	i := slices.Index(c.pending, t)
	if i < 0 {
		return false
	}
	c.pending = slices.Delete(c.pending, i, i+1)
	return true
}
