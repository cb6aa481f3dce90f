package actors

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.opentelemetry.io/otel/trace"

	"github.com/understudy-go/understudy/actors/balance"
	"github.com/understudy-go/understudy/actors/health"
	"github.com/understudy-go/understudy/actors/transport"
	"github.com/understudy-go/understudy/messages"
)

// Options are what a system is made with. The zero value is a system on the
// machine's clock that logs and traces nothing.
type Options struct {
	Node           string               // the node's name in events
	Place          balance.Place        // where the node stands, for the strategy geographic
	Logger         *slog.Logger         // nil: silent
	TracerProvider trace.TracerProvider // nil: no traces, at no cost
	Clock          Clock                // nil: the machine's
	ActorSystem    *actor.ActorSystem   // nil: one of its own
}

// System runs services: it is the handle of the root actor.
type System struct {
	node   string
	place  balance.Place
	logger *slog.Logger
	tracer trace.Tracer // nil: off
	clock  clock
	events *eventLog
	pool   *pool
	actors *actor.ActorSystem
	owned  bool // the actor system is ours to shut down
	root   *actor.PID

	ctx    context.Context // ends when the system closes
	cancel context.CancelFunc
	closed atomic.Bool

	leases  sync.Pool
	handles sync.Map // service name → *Service
}

// New starts a system without services.
func New(o Options) *System {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &System{
		node:   o.Node,
		place:  o.Place,
		logger: o.Logger,
		clock:  newClock(o.Clock),
		events: newEventLog(eventsKept),
		pool:   newPool(poolSize),
		actors: o.ActorSystem,
	}
	if o.TracerProvider != nil {
		s.tracer = o.TracerProvider.Tracer("github.com/understudy-go/understudy")
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if s.actors == nil {
		s.owned = true
		// protoactor's own log prints whole messages, with whatever they carry.
		// For each dead letter's sake a goroutine lives on for the interval.
		s.actors = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
			return slog.New(slog.NewTextHandler(io.Discard, nil))
		}), actor.WithDeadLetterThrottleInterval(time.Millisecond))
	}
	s.root = s.actors.Root.Spawn(actor.PropsFromProducer(func() actor.Actor {
		return &root{sys: s, services: make(map[string]*running), leaving: leaving{}, removed: make(map[string]*serviceCell)}
	}))
	return s
}

func (s *System) random() float64 { return rand.Float64() }

func (s *System) isClosed() bool { return s.closed.Load() }

func (s *System) errClosed() *messages.Error { return &messages.Error{Code: messages.CodeClosed} }

// Service returns the handle of a service. It is never nil: calls to a service
// that does not exist are NOT_FOUND until it does. It survives reloads.
func (s *System) Service(name string) *Service {
	if h, ok := s.handles.Load(name); ok {
		return h.(*Service)
	}
	h, _ := s.handles.LoadOrStore(name, &Service{sys: s, name: name})
	return h.(*Service)
}

// Lookup is Service for names that come from outside: it keeps nothing for a
// service that does not exist.
func (s *System) Lookup(name string) (*Service, bool) {
	h, ok := s.handles.Load(name)
	if !ok || h.(*Service).cell.Load() == nil {
		return nil, false
	}
	return h.(*Service), true
}

// AddService starts a service. A name that is taken is CONFLICT, a configuration
// with faults INVALID_CONFIG (or INVALID_STRATEGY) with all of them joined.
func (s *System) AddService(name string, c ServiceConfig) (*Service, error) {
	if err := messages.CheckName(name); err != nil {
		return nil, &messages.Error{Code: messages.CodeInvalidConfig, Service: name, Err: err}
	}
	set, err := checkSettings(name, c)
	if err != nil {
		return nil, err
	}
	cell, err := newServiceCell(s, name, set)
	if err != nil {
		return nil, err
	}
	if err := cell.seed(set); err != nil {
		return nil, err
	}
	if err := ask(s, &addService{cell: cell}); err != nil {
		return nil, err
	}
	return s.Service(name), nil
}

// RemoveService drains a service and stops it. It returns when the service is
// out of reach; what it has in flight goes on for up to 30 s.
func (s *System) RemoveService(name string) error { return ask(s, &removeService{name: name}) }

// Services returns the services' names in the order in which they were added.
func (s *System) Services() []string {
	reply := make(chan []string, 1)
	s.actors.Root.Send(s.root, &listServices{reply})
	select {
	case names := <-reply:
		return names
	case <-s.ctx.Done():
		return nil
	}
}

// Ready returns when every endpoint that has a check has had its first result,
// or with ctx's error, or CLOSED. A program that wants traffic only then waits for
// it; New and AddService never do.
func (s *System) Ready(ctx context.Context) error {
	s.events.mu.Lock()
	cursor := s.events.next
	s.events.mu.Unlock()
	for s.waitsForChecks() {
		_, next, _, more := s.events.read(cursor) // a first result is always an event
		if next != cursor {
			cursor = next
			continue
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ctx.Done():
		}
	}
	if s.isClosed() {
		return s.errClosed()
	}
	return nil
}

func (s *System) waitsForChecks() bool {
	for _, service := range s.running() {
		reports, _ := service.reports(0)
		for i := range reports {
			if reports[i].status.Health == health.Unknown.String() {
				return true
			}
		}
	}
	return false
}

// Close stops at once: calls that wait for an endpoint are CLOSED, calls under
// way end by themselves. It is safe to call more than once.
func (s *System) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.cancel()
	done := make(chan []*serviceCell, 1)
	var cells []*serviceCell
	s.actors.Root.Send(s.root, &closeAll{done})
	select {
	case cells = <-done:
	case <-time.After(closeTimeout):
		return &messages.Error{Code: messages.CodeTimeout, Words: fmt.Sprintf("actors did not stop in %v", closeTimeout)}
	}
	for _, service := range cells { // their actors have stopped: the cells are ours
		service.closeCache()
		for _, cell := range service.supervisor.cells {
			s.closeTarget(cell.target.Load(), cell.opened.take())
		}
		for _, cell := range service.supervisor.retired {
			s.closeTarget(cell.target.Load(), cell.opened.take())
		}
	}
	s.events.close()
	if s.owned {
		s.actors.Shutdown()
	}
	return nil
}

// dispose closes what an endpoint holds, off the actors. What is to be closed is
// taken now: the endpoint may come back and open anew.
func (s *System) dispose(cell *endpointCell) {
	t, v := cell.target.Load(), cell.opened.take()
	s.pool.run(s.ctx, func() { s.closeTarget(t, v) })
}

func (s *System) closeTarget(t *target, v *any) {
	if t.client != nil {
		t.client.Close()
	}
	service := t.cell.service
	hook := service.settings.Load().config.Hooks.Close
	if v == nil || hook == nil {
		return
	}
	if err := guard("Close", func() error { return hook(*v) }); err != nil {
		s.logger.Error("closing an endpoint's value failed", "service", service.name, "endpoint", t.endpoint.ID, "error", transport.Words(err))
	}
}

// running returns the handles of the services that are there.
func (s *System) running() []*Service {
	var out []*Service
	s.handles.Range(func(_, h any) bool {
		if service := h.(*Service); service.cell.Load() != nil {
			out = append(out, service)
		}
		return true
	})
	return out
}

// closeTimeout bounds how long Close waits for actors. Only a user's function
// that blocks inside one (Pick, Trip) can make it that long.
const closeTimeout = 10 * time.Second

// Shutdown drains first, as net/http's does: it takes nothing new
// (SERVICE_UNAVAILABLE), waits until nothing is in flight or ctx ends, then
// closes. It returns ctx's error if that came first.
func (s *System) Shutdown(ctx context.Context) error {
	services := s.running()
	for _, service := range services {
		if cell := service.cell.Load(); cell != nil {
			cell.draining.Store(true)
		}
	}
	err := s.awaitIdle(ctx, services)
	if cerr := s.Close(); err == nil {
		err = cerr
	}
	return err
}

// awaitIdle waits until no request is under way. It looks every few
// milliseconds: counting each request in and out would cost every request.
func (s *System) awaitIdle(ctx context.Context, services []*Service) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		busy := false
		for _, service := range services {
			busy = busy || service.busy()
		}
		if !busy {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ctx.Done():
			return nil
		}
	}
}

// ask sends an order to the root and waits for its answer.
func ask(s *System, m interface{ answerTo(chan<- error) }) error {
	reply := make(chan error, 1)
	m.answerTo(reply)
	if s.isClosed() {
		return s.errClosed()
	}
	s.actors.Root.Send(s.root, m)
	select {
	case err := <-reply:
		return err
	case <-s.ctx.Done():
		return s.errClosed()
	}
}

// poolSize bounds how many checks and requests of other actors run at once.
const poolSize = 1024

// pool runs functions in goroutines, a bounded number at a time.
type pool struct{ slots chan struct{} }

func newPool(n int) *pool { return &pool{slots: make(chan struct{}, n)} }

// run starts f when there is a slot; it returns at once. What still waits when
// ctx ends runs with the ended context and is quick.
func (p *pool) run(ctx context.Context, f func()) {
	go func() {
		select {
		case p.slots <- struct{}{}:
			defer func() { <-p.slots }()
		case <-ctx.Done():
		}
		f()
	}()
}

// tryRun starts f if there is a slot now.
func (p *pool) tryRun(f func()) bool {
	select {
	case p.slots <- struct{}{}:
		go func() {
			defer func() { <-p.slots }()
			f()
		}()
		return true
	default:
		return false
	}
}
