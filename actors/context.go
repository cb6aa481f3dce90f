package actors

import (
	"context"
	"sync"
	"time"
)

// attemptContext is the context of one attempt: its caller's, with a deadline of
// its own. It makes its Done channel and its timer only when somebody asks, for
// most functions never do and the endpoint sees to overdue leases anyway; so it
// costs one allocation, where context.WithTimeout costs four.
//
// It implements AfterFunc, for which the standard library looks so that children
// need no goroutine. It is never pooled: a user's function saw it.
type attemptContext struct {
	context.Context
	clock    *clock
	deadline time.Duration // 0: none of its own

	mu     sync.Mutex
	done   chan struct{}
	err    error
	after  map[*func()]struct{}
	timer  Timer
	detach func() bool // from the parent
}

func (c *attemptContext) Deadline() (time.Time, bool) {
	parent, ok := c.Context.Deadline()
	c.mu.Lock()
	deadline := c.deadline
	c.mu.Unlock()
	if deadline == 0 {
		return parent, ok
	}
	own := c.clock.base.Add(deadline)
	if ok && parent.Before(own) {
		return parent, true
	}
	return own, true
}

func (c *attemptContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.err != nil {
			close(c.done)
		} else {
			c.arm()
		}
	}
	return c.done
}

// Err is the parent's or its own. Nobody need have asked for Done: it looks at the clock.
func (c *attemptContext) Err() error {
	c.mu.Lock()
	err, deadline := c.err, c.deadline
	c.mu.Unlock()
	switch {
	case err != nil:
		return err
	case c.Context.Err() != nil:
		c.cancel(c.Context.Err())
	case deadline > 0 && c.clock.now() >= deadline:
		c.cancel(context.DeadlineExceeded)
	default:
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// AfterFunc calls f in a goroutine of its own once the context is done.
func (c *attemptContext) AfterFunc(f func()) (stop func() bool) {
	key := &f
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		go f()
		return func() bool { return false }
	}
	if c.after == nil {
		c.after = make(map[*func()]struct{})
	}
	c.after[key] = struct{}{}
	c.arm()
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, waiting := c.after[key]
		delete(c.after, key)
		return waiting
	}
}

// arm starts the timer and listens to the parent, once. It needs the lock.
func (c *attemptContext) arm() {
	if c.detach != nil {
		return
	}
	c.detach = context.AfterFunc(c.Context, func() { c.cancel(c.Context.Err()) })
	if c.deadline > 0 {
		c.timer = c.clock.afterFunc(c.deadline-c.clock.now(), c.expire)
	}
}

func (c *attemptContext) expire() {
	c.mu.Lock()
	off := c.deadline == 0
	c.mu.Unlock()
	if !off {
		c.cancel(context.DeadlineExceeded)
	}
}

// headArrived ends the attempt's deadline: what remains is the caller's.
func (c *attemptContext) headArrived() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = 0
	if c.timer != nil {
		c.timer.Stop()
	}
}

// cancel ends the context, once.
func (c *attemptContext) cancel(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	if c.done != nil {
		close(c.done)
	}
	after, detach, timer := c.after, c.detach, c.timer
	c.after = nil
	c.mu.Unlock()
	if timer != nil {
		timer.Stop()
	}
	if detach != nil {
		detach()
	}
	for f := range after {
		go (*f)()
	}
}
