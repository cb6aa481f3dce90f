package actors

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/cespare/xxhash/v2"

	"github.com/understudy-go/understudy/actors/balance"
	"github.com/understudy-go/understudy/actors/breaker"
	"github.com/understudy-go/understudy/actors/cache"
	"github.com/understudy-go/understudy/actors/health"
	"github.com/understudy-go/understudy/actors/hedge"
	"github.com/understudy-go/understudy/actors/limit"
	"github.com/understudy-go/understudy/actors/mailbox"
	"github.com/understudy-go/understudy/actors/outlier"
	"github.com/understudy-go/understudy/actors/transport"
	httptransport "github.com/understudy-go/understudy/actors/transport/http"
	"github.com/understudy-go/understudy/messages"
)

// serviceCell is what a service is, apart from the actor that runs it. It
// outlives the supervisor's incarnations.
type serviceCell struct {
	sys     *System
	name    string
	mailbox *mailbox.Mailbox

	// settings is the configuration in force: written by the supervisor, read by
	// callers at the start of a request.
	settings atomic.Pointer[settings]
	// traffic is when the service last saw a request, to the second.
	traffic atomic.Int64
	// draining refuses new requests.
	draining atomic.Bool
	// panicking: health and ejections are ignored.
	panicking atomic.Bool
	removed   atomic.Bool
	crowd     atomic.Int32 // callers met lately: see makeWay
	// average is what the endpoints share for the latency penalty.
	average   balance.Average
	listening atomic.Bool // OnTransition has its goroutine
	fallbacks atomic.Uint64
	// apart are requests that no endpoint saw, by their end: the cache answered, or they
	// waited for what another one had asked for.
	apart     [requestCanceled + 1]atomic.Uint64
	cache     atomic.Pointer[cache.Cache] // nil: off
	good, bad atomic.Uint64               // attempts, counted while the rate limit is dynamic
	// delays measures how long a hedge waits; nil until one is wanted.
	delays atomic.Pointer[hedge.Delays]
	pid    atomic.Pointer[actor.PID]

	supervisor supervisorState // the supervisor's alone
}

// A caller whose requests are answered in its own goroutine never waits, and Go
// would let it run for 10 ms while those who had to wait queue behind it. So while
// callers meet here, about one request in crowdYield makes way; crowdSpell times
// after the last meeting that is over. Chosen by measurement, 128 callers on two
// processors: one in 4 has a third of the 99.9th percentile of one in 32 at the same
// throughput; one in 2 gains nothing more.
const (
	crowdSpell = 64
	crowdYield = 4 // a power of two
)

// makeWay yields now and then; the time is the dice.
func (s *serviceCell) makeWay(now time.Duration) {
	if uint64(now)*0x9E3779B97F4A7C15>>32&(crowdYield-1) == 0 { // Fibonacci hashing
		s.crowd.Add(-1)
		runtime.Gosched()
	}
}

// settings is one configuration of a service with what is derived from it. It
// is never changed, only replaced.
type settings struct {
	config ServiceConfig // with defaults
	given  ServiceConfig // as it was given, for Config()
	rules  *rules
	check  health.Config // of endpoints without one of their own
	warms  bool          // the strategy has a slow start
	http   *httptransport.Factory
}

// newSettings derives what a configuration stands for; it fails where files that
// it names cannot be used.
func newSettings(given ServiceConfig) (*settings, error) {
	c := given.WithDefaults()
	check := c.Health
	check.Hook = c.Hooks.Check != nil
	f, err := httptransport.NewFactory(c.Pool, c.TLS, c.Headers)
	return &settings{config: c, given: given, rules: newRules(c), warms: c.Strategy.Warms(), check: check, http: f}, err
}

// bound returns what bounds something, 0 for none.
func bound[T int | time.Duration](v T) T { return max(v, 0) }

// target is the part of an endpoint that callers hold: immutable but for the
// value, which is opened once.
type target struct {
	cell     *endpointCell
	endpoint Endpoint
	client   *httptransport.Client // nil without a URL
}

// opened is what the hook Open made.
type opened struct {
	value atomic.Pointer[any]
	mu    sync.Mutex
	turn  chan struct{} // closed when the opening under way is over; nil: none is
}

// open opens the endpoint's value at its first use. It runs in the caller's
// goroutine; callers that come meanwhile wait for it, as long as their contexts
// do. After an error the next use tries again.
func (t *target) open(ctx context.Context, hook func(context.Context, Endpoint) (any, error)) error {
	o := &t.cell.opened
	if hook == nil || o.value.Load() != nil {
		return nil
	}
	if err := o.begin(ctx); err != nil {
		return err
	}
	defer o.end()
	if o.value.Load() != nil {
		return nil
	}
	return guard("Open", func() error {
		v, err := hook(ctx, t.endpoint.Clone())
		if err == nil {
			o.value.Store(&v)
		}
		return err
	})
}

// begin waits until nobody else is at it.
func (o *opened) begin(ctx context.Context) error {
	for {
		o.mu.Lock()
		turn := o.turn
		if turn == nil {
			o.turn = make(chan struct{})
		}
		o.mu.Unlock()
		if turn == nil {
			return nil
		}
		select {
		case <-turn:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (o *opened) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.turn)
	o.turn = nil
}

// take takes the value away, to be closed; nil if there is none.
func (o *opened) take() *any { return o.value.Swap(nil) }

// endpointCell is what an endpoint is, apart from the actor that runs it: the
// cores, the counters and the mailbox. It outlives the actor's incarnations, so
// that a panic loses no state.
type endpointCell struct {
	service *serviceCell
	id      string
	mailbox *mailbox.Mailbox
	target  atomic.Pointer[target]
	load    *balance.Load // written by the endpoint, read by the strategy
	opened  opened
	usual   balance.Average // the latency of its good calls: what a fair chance is
	gone    atomic.Bool     // off the list and drained: nobody waits for its outcomes

	// The endpoint's alone from here on.
	ejected   bool // and its end was not told yet
	settings  *settings
	check     *health.Config
	breaker   *breaker.Breaker
	health    *health.Health
	suspicion health.Suspicion
	admin     adminState
	ejection  outlier.Ejection
	row       outlier.Row     // failures in a row
	sampled   sampledUpTo     // when the supervisor last asked
	adaptive  *limit.Adaptive // finds the concurrency limit; nil: it is fixed
	throttle  throttle        // when the fixed one makes way for it
	warmSince time.Duration   // when it came back into service, 0: it was always there
	cooling   time.Duration   // left alone until then
	out       *lease          // the leases that are out, a list
	inflight  int
	latest    time.Duration // the newest moment that it has heard of
	wakeAt    time.Duration // when the timer fires, 0: it is not set
	timer     Timer
	view      endpointView
	counters  counters
	lastError string
	movedAt   time.Duration // when the breaker last changed its state
	draining  *drainOrder

	// The supervisor's alone.
	index     int           // in its list
	seen      endpointView  // what the endpoint last said
	drain     *drainOrder   // the newest
	keptUntil time.Duration // when a cell off the list is forgotten
	panics    failures
	ejecting  bool // it was told to leave, and has not said so yet
	outage    bool // it was told that half of the others are out
	listed    bool // it is on the list
	stopped   bool // it is off the list and has no actor
	parked    bool // its actor failed again and again: left alone for a while
}

// sampledUpTo are the counters of which the supervisor knows.
type sampledUpTo struct{ successes, failures uint64 }

// adminState is an operator's word.
type adminState struct {
	state  messages.Admin
	reason string
}

// counters are the endpoint's statistics. Requests are counted where they ended.
type counters struct {
	attempts, successes, failures          uint64
	timeouts, refusals                     uint64
	retries, failovers, hedges             uint64
	succeeded, failed, canceled, recovered uint64
	checks, checkFailures                  uint64
	answered                               uint64 // attempts that ended
	spent                                  time.Duration
	lastSuccess, lastFailure               time.Duration
}

// endpointView is what the supervisor needs to know of an endpoint, sent to it
// whenever it changes.
type endpointView struct {
	status balance.Status
	until  time.Duration // open until, or cooling until
	// patience is when to come back where no moment is known: a trial is under way.
	patience time.Duration
	state    breaker.State
	cooling  bool
	sick     bool // unhealthy, ejected or parked
	ejected  bool
}

// newAdaptive is the limit that finds itself, where one is wanted. Its phase is the
// wall clock's and the endpoint's, so that all nodes measure an endpoint's latency
// without load in the same moments.
func (e *endpointCell) newAdaptive(c limit.ConcurrencyConfig) *limit.Adaptive {
	if !c.Adaptive {
		return nil
	}
	t := &e.target.Load().endpoint
	spread := time.Duration(xxhash.Sum64String(t.ID+t.URL) % uint64(time.Minute))
	return limit.NewAdaptive(c, time.Duration(e.service.sys.clock.wall(0).UnixNano())+spread)
}

func (e *endpointCell) link(l *lease) {
	l.prev, l.next, l.linked = nil, e.out, true
	if e.out != nil {
		e.out.prev = l
	}
	e.out = l
	e.inflight++
	e.load.Inflight.Store(int32(e.inflight))
}

func (e *endpointCell) unlink(l *lease) {
	if l.prev != nil {
		l.prev.next = l.next
	} else {
		e.out = l.next
	}
	if l.next != nil {
		l.next.prev = l.prev
	}
	l.prev, l.next, l.linked = nil, nil, false
	e.inflight--
	e.load.Inflight.Store(int32(e.inflight))
}

// guard runs a user's function so that its panic is an error.
func guard(name string, f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = panicked(name, r)
		}
	}()
	return f()
}

func panicked(name string, r any) *messages.Error {
	return &messages.Error{Code: messages.CodeInternal, Words: name + " panicked: " + transport.Safe(fmt.Sprint(r))}
}
