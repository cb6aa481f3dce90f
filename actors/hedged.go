package actors

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/understudy-go/understudy/actors/hedge"
	"github.com/understudy-go/understudy/actors/transport"
	"github.com/understudy-go/understudy/messages"
)

// race is what the two attempts of a hedged call share: one in the caller's
// goroutine and, when it takes long, another one elsewhere beside it. Whichever
// succeeds first has the answer, and the other's context ends; where both fail, the
// one that comes back last decides what follows.
//
//	caller ──first──────────────────────────────▶ cancelled ─┐
//	            └─the hedge's delay─▶ second ───▶ answer ─────┴─▶ caller
type race struct {
	mu   sync.Mutex
	out  [2]runner // the first and the second, while their leases are out
	over bool      // one of them has won, or nobody is under way: nothing more is begun
	last lane      // who won or came back last
}

// lane tells the two attempts apart. (By their calls' addresses every call would have
// to live on the heap.)
type lane uint8

const (
	theFirst lane = iota
	theSecond
)

// runner is what another goroutine may touch of an attempt that is under way.
type runner struct {
	lease *lease
	own   *attemptContext
}

// errOvertaken is the error of an attempt whose answer nobody waits for any more.
var errOvertaken = &messages.Error{Code: messages.CodeCanceled, Words: "the attempt beside it was faster"}

// enter takes an attempt into the race, unless that is over. Until ready has returned
// no other comes back.
func (r *race) enter(i lane, l *lease, own *attemptContext, ready func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return false
	}
	ready()
	r.out[i] = runner{l, own}
	return true
}

// finish takes an attempt that came back out of the race. It reports whether another
// had won before, and whether another is still under way that may win yet.
func (r *race) finish(i lane, won bool) (lost, beside bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out[i] = runner{}
	if r.over {
		return true, false
	}
	beside = r.out != [2]runner{}
	r.last = i
	r.over = won || !beside
	if won {
		r.callOff()
	}
	return false, beside && !won
}

// callOff ends what is still out. It needs the lock.
func (r *race) callOff() {
	for _, o := range r.out {
		if o.lease != nil {
			o.lease.overtaken.Store(true)
			o.own.cancel(context.Canceled)
		}
	}
}

// hedgeable has slow attempts of this call hedged where the configuration or an
// option wants it.
func (c *call) hedgeable() {
	if c.err != nil || c.once || c.set.config.Hedge == nil && !c.options.hedged {
		return
	}
	c.hedges = true
	if c.cell.delays.Load() == nil {
		c.cell.delays.CompareAndSwap(nil, newDelays(c.set))
	}
}

func newDelays(set *settings) *hedge.Delays {
	if h := set.config.Hedge; h != nil {
		return hedge.NewDelays(*h)
	}
	return hedge.NewDelays(hedge.Config{})
}

// configureHedge has the next hedged call measure anew where what it measures changed.
func (s *serviceCell) configureHedge(before, set *settings) {
	if !reflect.DeepEqual(before.config.Hedge, set.config.Hedge) {
		s.delays.Store(nil)
	}
}

// hedgeDelay is how long an attempt may take before there is another beside it.
func (c *call) hedgeDelay() (time.Duration, bool) {
	if c.attempt >= c.max {
		return 0, false
	}
	delays := c.cell.delays.Load()
	if delays == nil { // configured away meanwhile
		return 0, false
	}
	return delays.Delay(c.cell.sys.clock.now())
}

// second is the attempt beside the first, and what came of it.
type second[T any] struct {
	call     *call
	from     int // how many attempts the call had made before the two
	v        T
	err      error
	panicked any
	done     chan struct{} // closed when it has come back, or was not begun after all
}

// hedged makes one attempt by run and, when that takes longer than the hedge's
// delay, another one beside it, by what apart returns: that one may outlast the call,
// and what is the caller's then changes, so apart is called while it waits. The
// caller's call stays on its stack: both attempts work on copies.
func hedged[T any](c *call, run func(*call) (T, error), apart func() func(*call) (T, error)) (T, error) {
	delay, ok := c.hedgeDelay()
	first := new(call)
	*first = *c
	if !ok {
		v, err := run(first)
		*c = *first
		return v, err
	}
	r := new(race)
	first.race = r
	r.enter(theFirst, first.lease, first.own, func() {})
	other := &second[T]{call: first.fork(), from: len(first.attempts), done: make(chan struct{})}
	timer := c.cell.sys.clock.afterFunc(delay, func() {
		go func() { // a clock of tests may call from its owner's
			defer close(other.done)
			other.run(apart)
		}()
	})
	returned := false
	defer func() {
		if !returned && !timer.Stop() { // the function panicked: nobody is there for the other's answer
			go func() {
				<-other.done
				discard(other.v)
			}()
		}
	}()
	v, err := run(first)
	returned = true
	if first.spare {
		v = discard(v)
	}
	first.race = nil
	if timer.Stop() {
		*c = *first
		return v, err
	}
	first.hedges = false // once
	if !first.lost && first.succeeded() {
		select {
		case <-other.done: // it had failed
			first.note(other.call, other.from)
		default:
		}
		*c = *first
		return v, err
	}
	<-other.done
	if other.panicked != nil {
		panic(other.panicked) // it goes on in the caller
	}
	if r.last == theSecond {
		v, err = other.v, other.err
		first.follow(other.call, other.from)
	} else {
		first.note(other.call, other.from)
	}
	*c = *first
	return v, err
}

// fork is the call of a second attempt beside this one.
func (c *call) fork() *call {
	f := new(call)
	*f = *c
	id := c.lease.cell.id
	f.attempt++
	f.lane = theSecond
	f.lease, f.target, f.own, f.span, f.hedges = nil, Target{}, nil, nil, false
	f.previous = id
	f.tried = append(slices.Clip(c.tried), id)
	f.attempts = slices.Clip(c.attempts)
	if c.options.into != nil {
		f.options.into = new(Report)
	}
	return f
}

// run makes the attempt unless the first has come back or nobody else can be had.
func (s *second[T]) run(apart func() func(*call) (T, error)) {
	begun, ended := false, false
	defer func() {
		switch p := recover(); {
		case p != nil && s.call.lost:
			s.call.cell.sys.logger.Error("a hedge that had lost panicked", "service", s.call.cell.name, "panic", transport.Safe(fmt.Sprint(p)))
		case p != nil:
			s.panicked = p
		case begun && !ended: // the function ended this goroutine
			s.err = errPanicked
		}
	}()
	var run func(*call) (T, error)
	if !s.call.enterRace(func() { run = apart() }) {
		s.err = s.call.lastErr
		return
	}
	begun = true
	s.v, s.err = run(s.call)
	ended = true
	if s.call.spare {
		s.v = discard(s.v)
	}
}

// enterRace acquires an endpoint for the second attempt. It calls ready while the
// caller still waits for the first.
func (c *call) enterRace(ready func()) bool {
	l := c.ask(c.cell.sys.clock.now(), true)
	switch {
	case l == nil:
		return false
	case l.err != nil:
		c.spanEvent("hedge refused", "%v", l.err)
		l.free()
		return false
	}
	c.prepare(l)
	if !c.race.enter(theSecond, c.lease, c.own, ready) {
		c.lease, c.target = nil, Target{}
		l.result = result{outcome: messages.Ignored, ended: c.cell.sys.clock.now(), unused: true}
		l.cell.mailbox.Post((*Outcome)(l), nil)
		return false
	}
	c.spanEvent("hedge", "%s takes long: %s is asked too", c.previous, c.target.ID())
	return c.start()
}

// note takes over what the attempt beside this one was, for the error and the
// report. Both calls had made the same from attempts before.
func (c *call) note(o *call, from int) {
	if o.target == (Target{}) {
		return // it was not begun
	}
	c.attempt = o.attempt
	c.attempts = append(c.attempts, o.attempts[from:]...)
	c.tried = append(c.tried, o.tried[from+1:]...)
	if into := c.options.into; into != nil {
		into.Attempts = append(into.Attempts, o.options.into.Attempts...)
	}
	if c.again && c.attempt >= c.max {
		c.exhausted()
	}
}

// follow goes on from the attempt beside this one, which came back last.
func (c *call) follow(o *call, from int) {
	c.last, c.lastErr, c.again, c.unsent, c.pause, c.broken = o.last, o.lastErr, o.again, o.unsent, o.pause, o.broken
	c.previous = o.previous
	c.note(o, from)
	if into := c.options.into; into != nil {
		into.Endpoint, into.Duration = o.options.into.Endpoint, o.options.into.Duration
	}
}

// discard lets go of an answer that nobody gets.
func discard[T any](v T) (none T) {
	if resp, ok := any(v).(*http.Response); ok && resp != nil && resp.Body != nil {
		_ = resp.Body.Close()
	}
	return none
}
