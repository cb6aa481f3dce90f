package actors

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/understudy-go/understudy/actors/balance"
	"github.com/understudy-go/understudy/messages"
)

// This file is the supervisor's list: registering, changing, taking out.

// change carries out one change of the list or of the configuration, whole or not at all.
func (s *supervisor) change(c actor.Context, m *change) error {
	switch {
	case m.settings != nil:
		return s.configure(c, m.settings)
	case m.register != nil && m.update:
		return s.update(c, *m.register)
	case m.register != nil:
		return s.register(c, *m.register)
	}
	return s.deregister(m.deregister)
}

func (s *supervisor) fail(code messages.Code, endpoint, format string, a ...any) error {
	return &messages.Error{Code: code, Service: s.name, Endpoint: endpoint, Words: fmt.Sprintf(format, a...)}
}

func (s *supervisor) register(c actor.Context, e Endpoint) error {
	if s.byID[e.ID] != nil {
		return s.fail(messages.CodeConflict, e.ID, "already registered")
	}
	if len(s.cells) >= EndpointsMax {
		return s.fail(messages.CodeOverloaded, e.ID, "%d endpoints are the most that a service holds", EndpointsMax)
	}
	cell, err := s.take(c, e, s.settings.Load())
	if err != nil {
		return err
	}
	s.relist(append(s.cells, cell))
	s.emitNow(messages.KindEndpointRegistered, e.ID, "registered")
	return nil
}

func (s *supervisor) update(c actor.Context, e Endpoint) error {
	old := s.byID[e.ID]
	if old == nil {
		return s.fail(messages.CodeNotFound, e.ID, "endpoint not found")
	}
	cell, err := s.replace(c, old, e, s.settings.Load())
	if err != nil {
		return err
	}
	cells := slices.Clone(s.cells)
	cells[old.index] = cell
	s.relist(cells)
	s.emitNow(messages.KindEndpointUpdated, e.ID, "updated")
	return nil
}

func (s *supervisor) deregister(id string) error {
	cell := s.byID[id]
	if cell == nil {
		return s.fail(messages.CodeNotFound, id, "endpoint not found")
	}
	s.relist(slices.Delete(slices.Clone(s.cells), cell.index, cell.index+1))
	s.emitNow(messages.KindEndpointRemoved, id, "deregistered")
	return nil
}

// configure puts a configuration in force. Endpoints that it names as they are
// keep their state; the others are registered, changed or taken out.
func (s *supervisor) configure(c actor.Context, set *settings) error {
	balancer, err := newBalancer(set)
	if err != nil {
		return err
	}
	before := s.settings.Load()
	cells := make([]*endpointCell, 0, len(set.config.Endpoints))
	for _, e := range set.config.Endpoints {
		cell, err := s.byID[e.ID], error(nil)
		switch {
		case cell == nil:
			cell, err = s.take(c, e, set)
		case !sameEndpoint(cell.target.Load().endpoint, e) || !sameTransport(before, set):
			cell, err = s.replace(c, cell, e, set)
		}
		if err != nil {
			return err
		}
		cells = append(cells, cell)
	}
	s.settings.Store(set)
	s.listen()
	if !reflect.DeepEqual(before.config.Strategy, set.config.Strategy) || set.config.Hooks.Pick != nil || before.config.Hooks.Pick != nil {
		s.balancer = balancer
	}
	s.budget.Configure(set.config.Retry.Budget)
	s.relist(cells)
	for _, cell := range cells {
		cell.mailbox.Post(&setSettings{settings: set}, nil)
	}
	s.emitNow(messages.KindServiceConfigured, "", "configuration in force")
	return nil
}

// sameEndpoint compares what an order says, not when it was given.
func sameEndpoint(a, b Endpoint) bool {
	if (a.Handler == nil) != (b.Handler == nil) || a.Handler != nil {
		return false
	}
	a.CreatedAt, a.UpdatedAt = b.CreatedAt, b.UpdatedAt
	return reflect.DeepEqual(a, b)
}

// sameTransport reports whether connections made under one configuration serve the other.
func sameTransport(a, b *settings) bool {
	return a.config.Pool == b.config.Pool && reflect.DeepEqual(a.config.TLS, b.config.TLS) &&
		reflect.DeepEqual(a.config.Headers, b.config.Headers)
}

// take makes the endpoint's cell, or takes up the one that is still draining
// under the same id and address.
func (s *supervisor) take(c actor.Context, e Endpoint, set *settings) (*endpointCell, error) {
	e = e.Clone()
	e.CreatedAt = s.wallNow()
	e.UpdatedAt = e.CreatedAt
	key := retiredKey(e)
	old := s.retired[key]
	if old == nil {
		return s.create(c, e, set)
	}
	delete(s.retired, key)
	cell, err := s.replace(c, old, e, set)
	if err == nil && old.stopped {
		old.stopped = false
		s.spawn(c, old)
	}
	return cell, err
}

func (s *supervisor) create(c actor.Context, e Endpoint, set *settings) (*endpointCell, error) {
	t, err := newTarget(e, set)
	if err != nil {
		return nil, s.fail(messages.CodeInvalidConfig, e.ID, "%v", err)
	}
	cell := newEndpointCell(s.serviceCell, t, set)
	s.spawn(c, cell)
	return cell, nil
}

// replace changes an endpoint. Under the same address it keeps its cell; a new
// address is a new endpoint with a fresh breaker.
func (s *supervisor) replace(c actor.Context, cell *endpointCell, e Endpoint, set *settings) (*endpointCell, error) {
	before := cell.target.Load()
	e = e.Clone()
	e.CreatedAt, e.UpdatedAt = before.endpoint.CreatedAt, s.wallNow()
	if before.endpoint.URL != e.URL {
		return s.create(c, e, set)
	}
	t, err := newTarget(e, set)
	if err != nil {
		return nil, s.fail(messages.CodeInvalidConfig, e.ID, "%v", err)
	}
	t.cell = cell
	if !cell.stopped { // else both are closed
		t.opened = before.opened
		if sameTransport(s.settings.Load(), set) {
			t.client = before.client
		} else if before.client != nil {
			before.client.Close()
		}
	}
	cell.target.Store(t)
	cell.mailbox.Post(&setSettings{settings: set}, nil)
	return cell, nil
}

// relist puts a list in force: whoever is not on it drains.
func (s *supervisor) relist(cells []*endpointCell) {
	old := s.cells
	s.cells = cells
	clear(s.byID)
	members := make([]balance.Member, len(cells))
	for i, cell := range cells {
		cell.index = i
		e := &cell.target.Load().endpoint
		s.byID[cell.id] = cell
		members[i] = balance.Member{ID: cell.id, Weight: e.Weight, Priority: e.Priority, Load: cell.load}
	}
	for _, cell := range old {
		if s.byID[cell.id] != cell {
			s.retire(cell)
		}
	}
	s.balancer.SetMembers(members)
	for _, cell := range cells {
		s.settle(cell)
	}
}

// retire lets an endpoint finish what it has. Its cell is remembered for as long
// as draining may take: whoever comes back under the same id and address, as
// discovery lets endpoints do, takes up its state.
func (s *supervisor) retire(cell *endpointCell) {
	now := s.sys.clock.now()
	for key, old := range s.retired {
		if old.stopped && now >= old.keptUntil {
			delete(s.retired, key)
		}
	}
	cell.keptUntil = now + drainTimeout
	if len(s.retired) < retiredMax {
		s.retired[retiredKey(cell.target.Load().endpoint)] = cell
	}
	cell.mailbox.Post(&drainOrder{until: cell.keptUntil}, nil)
}

// retiredMax bounds the cells that are remembered.
const retiredMax = 1024

func retiredKey(e Endpoint) string { return e.ID + "\x00" + e.URL }

// drained stops an endpoint that has nothing left, and keeps what it counted.
func (s *supervisor) drained(c actor.Context, m *endpointDrained) {
	cell := m.cell
	s.ended.add(&m.counters)
	if s.byID[cell.id] == cell || cell.stopped {
		return // it came back
	}
	cell.stopped = true
	if pid := s.pids[cell]; pid != nil {
		delete(s.pids, cell)
		c.Stop(pid)
	}
	s.sys.dispose(cell.target.Load())
	s.stopIfDone(c)
}

// stopIfDone ends the supervisor of a removed service when nothing is left.
func (s *supervisor) stopIfDone(c actor.Context) {
	if s.removed.Load() && len(s.pids) == 0 {
		c.Stop(c.Self())
	}
}

func (s *supervisor) started(c actor.Context) {
	s.pids, s.names = make(map[*endpointCell]*actor.PID, len(s.cells)), children{}
	for _, cell := range s.cells {
		if !cell.parked {
			s.spawn(c, cell)
		}
	}
	for _, cell := range s.retired {
		if !cell.stopped {
			s.spawn(c, cell)
		}
	}
	s.relist(s.cells)
}

// spawn starts an endpoint's actor on its cell's mailbox, under its id. The name
// is taken while an endpoint of the same id and another address still drains.
func (s *supervisor) spawn(c actor.Context, cell *endpointCell) {
	props := actor.PropsFromProducer(func() actor.Actor { return &endpoint{endpointCell: cell} },
		actor.WithMailbox(cell.mailbox.Producer()))
	s.pids[cell] = s.names.spawn(c, props, messages.EscapeToken(cell.id))
}

func newBalancer(set *settings) (*balance.Balancer, error) {
	return balance.New(set.config.Strategy, rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())))
}

func (s *supervisor) wallNow() time.Time { return s.sys.clock.wall(s.sys.clock.now()) }

func (s *supervisor) emitNow(kind messages.Kind, endpoint, words string) {
	s.emit(s.sys.clock.now(), kind, endpoint, messages.Cause{Words: words})
}
