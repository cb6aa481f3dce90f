package actors

import (
	"context"
	"errors"
	"net/url"
	"reflect"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/understudy-go/understudy/actors/breaker"
	"github.com/understudy-go/understudy/actors/health"
	"github.com/understudy-go/understudy/actors/retry"
	"github.com/understudy-go/understudy/messages"
)

// Service is the handle of a service: cheap, safe for concurrent use, and good
// for as long as the system lives, whether the service is there or not.
type Service struct {
	sys  *System
	name string
	cell atomic.Pointer[serviceCell]
}

// Name returns the service's name.
func (s *Service) Name() string { return s.name }

// missing is the error of a service that is not there.
func (s *Service) missing() *messages.Error {
	if s.sys.isClosed() {
		return &messages.Error{Code: messages.CodeClosed, Service: s.name}
	}
	return &messages.Error{Code: messages.CodeNotFound, Service: s.name, Words: "no such service"}
}

// PID is the supervisor's, for other actors: send it a *messages.Request and
// receive a *messages.Response. It is nil while there is no such service.
func (s *Service) PID() *actor.PID {
	if cell := s.cell.Load(); cell != nil {
		return cell.pid.Load()
	}
	return nil
}

// Target is an endpoint as a caller sees it: an immutable handle of one pointer.
type Target struct{ t *target }

// ID returns the endpoint's id.
func (t Target) ID() string { return t.t.endpoint.ID }

// URL returns the endpoint's URL, "" if it has none.
func (t Target) URL() string { return t.t.endpoint.URL }

// Value returns what the hook Open made, nil without one.
func (t Target) Value() any {
	if v := t.t.cell.opened.value.Load(); v != nil {
		return *v
	}
	return nil
}

// Metadata returns the endpoint's metadata under key, "" if there is none.
func (t Target) Metadata(key string) string { return t.t.endpoint.Metadata[key] }

func newTarget(e Endpoint, set *settings) (*target, error) {
	t := &target{endpoint: e}
	if !e.isHTTP() {
		return t, nil
	}
	client, err := set.http.Client(e.URL)
	t.client = client
	return t, err
}

// checkSettings validates a configuration and derives what is derived from it.
func checkSettings(service string, c ServiceConfig) (*settings, error) {
	c = c.Clone()
	if err := c.Validate(); err != nil {
		code := messages.CodeInvalidConfig
		var strategy *messages.Error
		if errors.As(err, &strategy) && strategy.Code == messages.CodeInvalidStrategy {
			code = messages.CodeInvalidStrategy
		}
		return nil, &messages.Error{Code: code, Service: service, Words: "invalid configuration", Err: err}
	}
	if f := c.Fallback; f != nil && f.Service == service {
		return nil, &messages.Error{Code: messages.CodeInvalidConfig, Service: service, Words: "fallback.service: the service falls back to itself"}
	}
	set, err := newSettings(c)
	if err != nil {
		return nil, &messages.Error{Code: messages.CodeInvalidConfig, Service: service, Words: "invalid configuration", Err: err}
	}
	return set, nil
}

func breakerConfig(s *serviceCell, set *settings) breaker.Config {
	c := set.config.Breaker
	if trip := set.config.Hooks.Trip; trip != nil {
		c.Trip = func(n breaker.Counts) (open bool) {
			if err := guard("Trip", func() error { open = trip(n); return nil }); err != nil {
				s.sys.logger.Error(err.Error(), "service", s.name)
			}
			return open
		}
	}
	return c
}

// checkConfig is the check of one endpoint: its own, else the service's.
func checkConfig(set *settings, e *Endpoint) *health.Config {
	if e.Health == nil {
		return &set.check // thousands share it
	}
	c := e.Health.WithDefaults()
	c.Hook = set.config.Hooks.Check != nil
	return &c
}

func newBudget(set *settings) *retry.Budget { return retry.NewBudget(set.config.Retry.Budget) }

// seed makes the cells of the endpoints that a new service begins with.
func (s *serviceCell) seed(set *settings) error {
	now := s.sys.clock.wall(s.sys.clock.now())
	for _, e := range set.config.Endpoints {
		e = e.Clone()
		e.CreatedAt, e.UpdatedAt = now, now
		t, err := newTarget(e, set)
		if err != nil {
			return &messages.Error{Code: messages.CodeInvalidConfig, Service: s.name, Endpoint: e.ID, Err: err}
		}
		cell := newEndpointCell(s, t, set)
		cell.listed = true
		s.supervisor.cells = append(s.supervisor.cells, cell)
	}
	return nil
}

// Register adds an endpoint. Its id must be free: CONFLICT, "already registered".
func (s *Service) Register(e Endpoint) error {
	if err := e.validate(s.opens()); err != nil {
		return &messages.Error{Code: messages.CodeInvalidConfig, Service: s.name, Endpoint: e.ID, Err: err}
	}
	return s.change(&change{register: &e})
}

// Update replaces an endpoint of the same id. It is never out of the list
// meanwhile. Under the same URL it keeps its state; a new URL is a new endpoint.
func (s *Service) Update(e Endpoint) error {
	if err := e.validate(s.opens()); err != nil {
		return &messages.Error{Code: messages.CodeInvalidConfig, Service: s.name, Endpoint: e.ID, Err: err}
	}
	return s.change(&change{register: &e, update: true})
}

// opens reports whether the service has the hook Open.
func (s *Service) opens() bool {
	cell := s.cell.Load()
	return cell != nil && cell.settings.Load().config.Hooks.Open != nil
}

// Deregister takes an endpoint off the list; what it has in flight goes on for
// up to 30 s. An id that is not there is NOT_FOUND.
func (s *Service) Deregister(id string) error { return s.change(&change{deregister: id}) }

// Configure puts a configuration in force for the next request. Endpoints that
// it names as they are keep their state; one without hooks, as a file's is, keeps
// those in force; faults change nothing.
func (s *Service) Configure(c ServiceConfig) error {
	if cell := s.cell.Load(); cell != nil && reflect.ValueOf(c.Hooks).IsZero() {
		c.Hooks = cell.settings.Load().given.Hooks
	}
	return s.configure(c)
}

func (s *Service) configure(c ServiceConfig) error {
	set, err := checkSettings(s.name, c)
	if err != nil {
		return err
	}
	return s.change(&change{settings: set})
}

// Config returns the configuration in force, with the endpoints as they are now.
// A service that does not exist has the zero configuration.
func (s *Service) Config() ServiceConfig {
	cell := s.cell.Load()
	if cell == nil {
		return ServiceConfig{}
	}
	c := cell.settings.Load().given
	c.Endpoints = nil
	c = c.Clone()
	c.Endpoints = s.Endpoints()
	return c
}

func (s *Service) change(m *change) error {
	cell := s.cell.Load()
	if cell == nil {
		return s.missing()
	}
	reply := make(chan error, 1)
	m.reply = reply
	cell.mailbox.Post(m, nil)
	select {
	case err := <-reply:
		return err
	case <-s.sys.ctx.Done():
		return s.sys.errClosed()
	}
}

// Endpoints returns copies of the endpoints, in the order of registration.
func (s *Service) Endpoints() []Endpoint {
	cells := s.cells().cells
	out := make([]Endpoint, len(cells))
	for i, cell := range cells {
		out[i] = cell.target.Load().endpoint.Clone()
	}
	return out
}

// Endpoint returns a copy of one endpoint; NOT_FOUND if it is not there.
func (s *Service) Endpoint(id string) (Endpoint, error) {
	cell, err := s.find(id)
	if err != nil {
		return Endpoint{}, err
	}
	return cell.target.Load().endpoint.Clone(), nil
}

func (s *Service) find(id string) (*endpointCell, error) {
	if s.cell.Load() == nil || s.sys.isClosed() {
		return nil, s.missing()
	}
	for _, cell := range s.cells().cells {
		if cell.id == id {
			return cell, nil
		}
	}
	return nil, &messages.Error{Code: messages.CodeNotFound, Service: s.name, Endpoint: id, Words: "endpoint not found"}
}

// cells asks the supervisor for its list.
func (s *Service) cells() cellList {
	cell := s.cell.Load()
	if cell == nil {
		return cellList{}
	}
	reply := make(chan cellList, 1)
	cell.mailbox.Post(&listCells{reply}, nil)
	select {
	case list := <-reply:
		return list
	case <-s.sys.ctx.Done():
		return cellList{}
	}
}

// Select chooses an endpoint as the next request would, and counts nothing.
func (s *Service) Select(ctx context.Context, opts ...CallOption) (Target, error) {
	var c call
	c.begin(ctx, s, opts)
	if c.err != nil {
		return Target{}, c.err
	}
	l := newLease(c.cell)
	l.at, l.deadline, l.key, l.only = c.began, c.deadline, c.options.key, true
	c.cell.mailbox.Post((*Acquire)(l), nil)
	if !c.park(l) {
		return Target{}, c.err
	}
	defer l.free()
	if l.err != nil {
		return Target{}, l.err
	}
	return Target{l.target}, nil
}

// Lease is an endpoint that a user holds for as long as it works with it.
type Lease struct {
	lease    *lease
	call     call
	returned atomic.Bool
}

// Acquire chooses an endpoint and counts what is done with it as one attempt,
// with limits, breaker and health but without timeouts and retries. Done must be
// called; a lease that is not returned within 5 minutes is reclaimed and says
// nothing about its endpoint.
func (s *Service) Acquire(ctx context.Context, opts ...CallOption) (*Lease, error) {
	h := &Lease{}
	c := &h.call
	c.begin(ctx, s, opts)
	if c.err != nil {
		return nil, c.err
	}
	l := newLease(c.cell)
	l.at, l.key, l.held = c.began, c.options.key, h
	l.timeout, l.deadline = 0, 0
	if d, ok := ctx.Deadline(); ok { // for the wait
		l.deadline = max(c.cell.sys.clock.until(d), 1)
	}
	c.attempt = 1
	c.cell.mailbox.Post((*Acquire)(l), nil)
	if !c.park(l) {
		return nil, c.err
	}
	if l.err != nil {
		c.welcomed = l.welcomed
		c.refused(l.err)
		return nil, c.err
	}
	h.lease = l
	c.deadline, c.max = 0, 1 // what follows has no timeout
	if err := l.target.open(ctx, c.set.config.Hooks.Open); err != nil {
		h.Done(err)
		return nil, c.failure(err)
	}
	return h, nil
}

// Target returns the endpoint.
func (l *Lease) Target() Target { return Target{l.lease.target} }

// Done returns the lease with what came of it; nil is success. Only the first
// call counts.
func (l *Lease) Done(err error) {
	if !l.returned.CompareAndSwap(false, true) {
		return
	}
	l.call.lease = l.lease
	l.call.end(err, 0, nil)
}

// Check makes one health check now, counts it, and returns HEALTH_CHECK_FAILED
// with the reason if it was not good. Without a configured check it looks
// whether a connection can be made.
func (s *Service) Check(ctx context.Context, id string) error {
	cell, err := s.find(id)
	if err != nil {
		return err
	}
	return cell.probe(ctx)
}

// CheckAll checks every endpoint and returns what failed, by id.
func (s *Service) CheckAll(ctx context.Context) (map[string]error, error) {
	if s.cell.Load() == nil || s.sys.isClosed() {
		return nil, s.missing()
	}
	cells := s.cells().cells
	type result struct {
		id  string
		err error
	}
	results := make(chan result, len(cells))
	for _, cell := range cells {
		s.sys.pool.run(ctx, func() { results <- result{cell.id, cell.probe(ctx)} })
	}
	failed := make(map[string]error)
	for range cells {
		if r := <-results; r.err != nil {
			failed[r.id] = r.err
		}
	}
	return failed, nil
}

// probe checks the endpoint in this goroutine and tells its actor.
func (e *endpointCell) probe(ctx context.Context) error {
	t, set := e.target.Load(), e.service.settings.Load()
	config := checkConfig(set, &t.endpoint).WithDefaults()
	check, dispose := newCheck(t, config, set)
	if check == nil {
		return &messages.Error{Code: messages.CodeHealthCheckFailed, Service: e.service.name, Endpoint: e.id, Words: "there is nothing to check: no check is configured and the endpoint has no URL"}
	}
	defer dispose()
	r := e.service.sys.probe(ctx, check, config.Timeout, new(atomic.Bool))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	e.mailbox.Post(&checked{r}, nil)
	if !r.ok {
		return &messages.Error{Code: messages.CodeHealthCheckFailed, Service: e.service.name, Endpoint: e.id, Words: r.words}
	}
	return nil
}

// History returns the newest n events of the service that are still
// remembered, oldest first.
func (s *Service) History(n int) []messages.Event { return s.sys.events.history(s.name, n) }

// SetHooks replaces the service's functions and keeps the rest as it is.
func (s *Service) SetHooks(h Hooks) error {
	c := s.Config()
	c.Hooks = h
	return s.configure(c)
}

func redactURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	u.User = nil
	u.RawQuery = "" // a database's may have a password
	return u.String()
}
