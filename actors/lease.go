package actors

import (
	"sync/atomic"
	"time"

	"github.com/understudy-go/understudy/actors/breaker"
	"github.com/understudy-go/understudy/messages"
)

// lease is one attempt's way through the actors. The same memory goes from the
// caller to the supervisor and on to an endpoint as an *Acquire, comes back to
// the caller as the granted lease, and returns to the endpoint as an *Outcome;
// the endpoint puts it back into the pool. At every moment exactly one of them
// owns it; only the atomics are shared.
//
//	asked ──────────────────▶ answered ──caller──▶ (Outcome) ──endpoint──▶ pool
//	  └─caller waits─▶ parked ──┘ │
//	                     └─caller gives up─▶ abandoned: whoever answers takes the
//	                                         grant back; never pooled again
type lease struct {
	// The caller's, all set before it asks.
	service  *serviceCell
	at       time.Duration // when it asked: also the attempt's begin
	timeout  time.Duration // of the attempt, 0: none
	deadline time.Duration // of the request, 0: none
	key      string
	tried    []string      // ids of earlier attempts, and of endpoints that turned this one down
	previous string        // the endpoint of the attempt before
	retry    bool          // not the request's first attempt
	charge   bool          // the retry counts against the budget
	fresh    bool          // rather refuse than go to an endpoint already tried: the caller waits first
	hedge    bool          // it goes beside an attempt that takes long: it waits for nothing
	reserve  bool          // panic mode sends it to an endpoint that is not well
	quiet    bool          // nobody's request: it is not counted
	only     bool          // just the choice (Select)
	held     *Lease        // a user holds it (Acquire): reclaimed after leaseMax, never pooled
	admitted time.Duration // when the rate limit let it out
	refusals uint8         // endpoints that turned it down
	welcomed bool          // the supervisor has counted the request

	// The answer.
	cell   *endpointCell
	target *target
	permit breaker.Permit
	err    *messages.Error
	state  atomic.Uint32
	ready  chan struct{} // one slot: whoever answers a parked caller puts a token in

	// The outcome, all set by the caller before it returns the lease.
	result
	streams   atomic.Bool // the response's head is there: its deadline no longer counts
	overtaken atomic.Bool // the attempt beside it has the answer: its deadline counts against nobody

	// The endpoint's, while the lease is out.
	prev, next *lease
	due        time.Duration // when it is overdue, 0: never
	linked     bool
	counted    bool // it was overdue and was counted then
}

// result is what the caller says of its attempt.
type result struct {
	outcome messages.Outcome
	end     requestEnd
	ended   time.Duration // when it came back
	latency time.Duration // to the response's head
	pause   time.Duration // the endpoint asked to be left alone that long
	lost    bool          // the attempt beside it was faster
	unused  bool          // no attempt was made after all
	failure string        // words of the failure
}

// Acquire asks for a lease; Outcome returns it. They are the lease itself, so
// that no attempt allocates.
type (
	Acquire lease
	Outcome lease
)

const (
	leaseAsked uint32 = iota
	leaseParked
	leaseAnswered
	leaseAbandoned
)

// newLease returns a lease for a service with everything unset that its asker
// may leave alone. Each system has its own pool: a channel must not wander
// between the bubbles of testing/synctest.
func newLease(s *serviceCell) *lease {
	l, ok := s.sys.leases.Get().(*lease)
	if !ok {
		l = &lease{ready: make(chan struct{}, 1)}
	}
	l.service = s
	l.tried = l.tried[:0]
	l.retry, l.charge, l.fresh, l.hedge, l.quiet, l.only = false, false, false, false, false, false
	l.refusals, l.welcomed, l.admitted = 0, false, 0
	l.err = nil
	l.state.Store(leaseAsked)
	if l.streams.Load() { // a store that changes nothing would still cost
		l.streams.Store(false)
	}
	if l.overtaken.Load() {
		l.overtaken.Store(false)
	}
	return l
}

// free puts the lease back. Only its last owner calls it.
func (l *lease) free() {
	if l.held == nil {
		l.service.sys.leases.Put(l)
	}
}

// answer hands the lease to its caller; false if the caller is gone, and then
// the grant is still the answerer's.
func (l *lease) answer() bool {
	switch l.state.Swap(leaseAnswered) {
	case leaseParked:
		l.service.crowd.Store(crowdSpell)
		l.ready <- struct{}{}
	case leaseAbandoned:
		return false
	}
	return true
}

// refuse answers with an error. The lease is the caller's to free.
func (l *lease) refuse(err *messages.Error) {
	l.err, l.cell = err, nil
	l.answer()
}

// requestEnd says what an attempt means for its whole request, so that the
// statistics of requests need no message of their own.
type requestEnd uint8

const (
	requestGoesOn requestEnd = iota
	requestSucceeded
	requestFailed
	requestCanceled
)
