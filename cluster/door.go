package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"github.com/understudy-go/understudy/actors"
	"github.com/understudy-go/understudy/messages"
)

const (
	// inflightMax is how many requests from NATS may be under way on one node.
	// Above it they are refused at once.
	inflightMax = 4096
	// closeMax bounds how long Close waits. Only a user's function that ignores
	// its context can make it that long.
	closeMax = 10 * time.Second
	// flushMax bounds a wait for the server where the caller gave no bound.
	flushMax = 10 * time.Second
)

// DoorConfig is how a node appears on NATS. Its zero value is good.
type DoorConfig struct {
	// Prefix is the first token, or the first tokens, of every subject. Zero:
	// "understudy".
	Prefix string
	// Node is the node's name: letters, digits, "_" and "-", 64 at most. It should
	// be the one that the system has in its events. Zero: [NodeName].
	Node string
	// Version is the program's, as status and $SRV.INFO tell it. Zero: 0.0.0.
	Version string
	// Status completes what the node says of itself: Ready and Reason, Config.
	// They come to it as the door sees them. It may be called at any time, from
	// any goroutine. Nil: the door's own view.
	Status func(*messages.NodeStatus)
	// Logger is for what nobody else hears of. Nil: silent.
	Logger *slog.Logger
	// TracerProvider makes the server spans. Nil: none, at no cost.
	TracerProvider trace.TracerProvider
}

func (c DoorConfig) withDefaults() DoorConfig {
	if c.Prefix == "" {
		c.Prefix = messages.DefaultPrefix
	}
	if c.Node == "" {
		c.Node = NodeName()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c DoorConfig) validate() error {
	var faults []error
	for token := range strings.SplitSeq(c.Prefix, ".") {
		if err := messages.CheckName(token); err != nil {
			faults = append(faults, fmt.Errorf("prefix: %w", err))
			break
		}
	}
	if err := messages.CheckName(c.Node); err != nil {
		faults = append(faults, fmt.Errorf("node: %w", err))
	}
	return errors.Join(faults...)
}

// Door is a node's side of NATS: it takes requests in, sends events out and obeys
// operators. It is safe for concurrent use, and a nil one does nothing.
type Door struct {
	nc      *nats.Conn
	sys     *actors.System
	config  DoorConfig
	log     *slog.Logger
	tracer  trace.Tracer // nil: off
	started time.Time

	ctx       context.Context // of all requests; ends with Close
	cancel    context.CancelFunc
	workers   *workers[delivery]
	publisher *publisher
	following chan struct{} // closed when the events are at their end
	closing   sync.Once

	mu        sync.Mutex
	offers    map[string]*offer
	withdrawn bool // for good

	admin    sync.RWMutex // held for reading by verbs that run
	deaf     bool         // to operators
	adminSub []*nats.Subscription
}

// Open serves the system's services over NATS, those that are there and those to
// come, publishes its events, and answers operators. It waits for no server: a
// connection that is not up yet will do. The connection stays its owner's.
//
// Errors: INVALID_CONFIG, or what nats.go says about a connection that is closed.
func Open(nc *nats.Conn, sys *actors.System, c DoorConfig) (*Door, error) {
	c = c.withDefaults()
	err := c.validate()
	if nc == nil {
		err = errors.Join(errors.New("the connection to NATS cannot be nil"), err)
	}
	if err != nil {
		return nil, &messages.Error{Code: messages.CodeInvalidConfig, Err: err}
	}
	d := &Door{
		nc: nc, sys: sys, config: c, log: c.Logger, started: time.Now(),
		offers:    make(map[string]*offer),
		following: make(chan struct{}),
		publisher: newPublisher(nc, c),
	}
	d.workers = newWorkers(inflightMax, delivery.serve)
	if c.TracerProvider != nil {
		d.tracer = c.TracerProvider.Tracer("github.com/understudy-go/understudy")
	}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	// From here on nothing is missed: what changes while the list is read comes
	// again as an event.
	events := sys.Events(d.ctx, actors.Filter{})
	go func() {
		defer close(d.following)
		for e := range events {
			d.follow(e)
		}
	}()
	if err := errors.Join(d.settleAll(), d.listen()); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// follow keeps the offers as the services are, and publishes.
func (d *Door) follow(e messages.Event) {
	var err error
	switch e.Kind {
	case messages.KindServiceAdded, messages.KindServiceRemoved:
		err = d.settle(e.Service)
	case messages.KindEventsLost:
		err = d.settleAll()
	}
	if err != nil && !d.nc.IsClosed() {
		d.log.Error(err.Error())
	}
	d.publisher.publish(&e)
}

// settle offers a service that is there and withdraws one that is not. It goes by
// how things are now, so it may be called late and more than once.
func (d *Door) settle(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.withdrawn {
		return nil
	}
	_, wanted := d.sys.Lookup(name)
	o := d.offers[name]
	switch {
	case wanted && o == nil:
		o, err := newOffer(d, name)
		if err != nil {
			return err
		}
		d.offers[name] = o
	case !wanted && o != nil:
		delete(d.offers, name)
		return o.micro.Stop()
	}
	return nil
}

// settleAll settles every service that there is or was.
func (d *Door) settleAll() error {
	names := d.sys.Services()
	d.mu.Lock()
	for name := range d.offers {
		names = append(names, name)
	}
	d.mu.Unlock()
	var errs []error
	for _, name := range names {
		errs = append(errs, d.settle(name))
	}
	return errors.Join(errs...)
}

// withdraw takes every service off NATS, for good.
func (d *Door) withdraw() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.withdrawn = true
	for name, o := range d.offers {
		delete(d.offers, name)
		if err := o.micro.Stop(); err != nil {
			d.log.Debug("a service could not be withdrawn", "service", name, "error", err)
		}
	}
}

func (d *Door) draining() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.withdrawn
}

// Drain withdraws the services, so that NATS sends requests elsewhere (callers
// get no responders where there is no other node), and returns when every request
// that had been accepted is answered and the server has the answers. It goes on
// publishing events and answering operators. When ctx ends first, it returns
// ctx's error; what is under way goes on. It must not be called in a handler of a
// subscription on the same connection, for which it would wait.
func (d *Door) Drain(ctx context.Context) error {
	if d == nil {
		return nil
	}
	d.withdraw()
	// What the server had sent before it heard of it is here after a round trip,
	// and with a worker once every subscription has gone past a barrier.
	if err := d.flush(ctx); err != nil {
		return err
	}
	passed := make(chan struct{})
	if err := d.nc.Barrier(func() { close(passed) }); err == nil {
		if err := wait(ctx, passed); err != nil {
			return err
		}
	}
	d.workers.stop()
	if err := wait(ctx, d.workers.done); err != nil {
		return err
	}
	return d.flush(ctx)
}

func wait(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// flush waits for a round trip to the server. Without a connection there is
// nothing to wait for.
func (d *Door) flush(ctx context.Context) error {
	if !d.nc.IsConnected() {
		return ctx.Err()
	}
	bounded, cancel := context.WithTimeout(ctx, flushMax)
	defer cancel()
	err := d.nc.FlushWithContext(bounded)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !d.nc.IsConnected() {
		return nil
	}
	return err
}

// Close withdraws the services and ends what is under way, whose callers get
// CLOSED. When it returns, no goroutine of the door is left, but for a user's
// function that ignores its context for more than 10 s. It may be called more
// than once.
func (d *Door) Close() {
	if d == nil {
		return
	}
	d.closing.Do(func() {
		d.withdraw()
		d.hangUp()
		d.cancel()
		d.workers.stop()
		<-d.following
		patience := time.NewTimer(closeMax)
		defer patience.Stop()
		select {
		case <-d.workers.done:
		case <-patience.C:
			d.log.Error("requests did not end with their context", "waited", closeMax)
		}
	})
}

var plainVersion = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$`)

// microVersion is a version as micro demands it, semantic and complete; 0.0.0 for
// one that is not: a build from a working copy, say.
func microVersion(v string) string {
	v, _, _ = strings.Cut(strings.TrimPrefix(v, "v"), "-")
	v, _, _ = strings.Cut(v, "+")
	if !plainVersion.MatchString(v) {
		return "0.0.0"
	}
	return v
}
