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
	t, err := s.prepare(e, s.settings.Load())
	if err != nil {
		return err
	}
	s.relist(append(slices.Clone(s.cells), s.take(c, t, s.settings.Load())))
	return nil
}

func (s *supervisor) update(c actor.Context, e Endpoint) error {
	old := s.byID[e.ID]
	if old == nil {
		return s.fail(messages.CodeNotFound, e.ID, "endpoint not found")
	}
	t, err := s.prepare(e, s.settings.Load())
	if err != nil {
		return err
	}
	cells := slices.Clone(s.cells)
	cells[old.index] = s.replace(c, old, t, s.settings.Load())
	s.relist(cells)
	if cells[old.index] == old { // else the list tells
		s.emitNow(messages.KindEndpointUpdated, e.ID, "updated")
	}
	return nil
}

func (s *supervisor) deregister(id string) error {
	cell := s.byID[id]
	if cell == nil {
		return s.fail(messages.CodeNotFound, id, "endpoint not found")
	}
	s.relist(slices.Delete(slices.Clone(s.cells), cell.index, cell.index+1))
	return nil
}

// configure puts a configuration in force. Endpoints that it names as they are
// keep their state; the others are registered, changed or taken out.
func (s *supervisor) configure(c actor.Context, set *settings) error {
	balancer, err := s.sys.newBalancer(set)
	if err != nil {
		return err
	}
	before := s.settings.Load()
	targets := make([]*target, len(set.config.Endpoints)) // nil: as it was
	for i, e := range set.config.Endpoints {
		if cell := s.byID[e.ID]; cell != nil && sameEndpoint(cell.target.Load().endpoint, e) && sameTransport(before, set) {
			continue
		}
		if targets[i], err = s.prepare(e, set); err != nil {
			return err
		}
	}
	cells := make([]*endpointCell, len(targets))
	for i, t := range targets {
		cell := s.byID[set.config.Endpoints[i].ID]
		switch {
		case t == nil:
			cells[i] = cell
		case cell == nil:
			cells[i] = s.take(c, t, set)
		default:
			cells[i] = s.replace(c, cell, t, set)
		}
	}
	s.settings.Store(set)
	s.listen()
	if !reflect.DeepEqual(s.sys.strategyOf(before), s.sys.strategyOf(set)) || set.config.Hooks.Pick != nil || before.config.Hooks.Pick != nil {
		s.balancer = balancer
	}
	s.budget.Configure(set.config.Retry.Budget)
	s.configureHedge(before, set)
	s.configureCache(set)
	s.relist(cells)
	s.limitRate(set.config.RateLimit) // lets waiters out: among those who are there now
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

// prepare makes what an endpoint needs, so that nothing has changed yet where
// that fails.
func (s *supervisor) prepare(e Endpoint, set *settings) (*target, error) {
	e = e.Clone()
	e.CreatedAt = s.wallNow()
	e.UpdatedAt = e.CreatedAt
	t, err := newTarget(e, set)
	if err != nil {
		return nil, s.fail(messages.CodeInvalidConfig, e.ID, "%v", err)
	}
	return t, nil
}

// take makes the endpoint's cell, or takes up the one that was on the list lately
// under the same id and address.
func (s *supervisor) take(c actor.Context, t *target, set *settings) *endpointCell {
	key := retiredKey(t.endpoint)
	old := s.retired[key]
	if old != nil && old.stopped && s.sys.clock.now() >= old.keptUntil {
		old = nil
	}
	delete(s.retired, key)
	if old == nil {
		cell := newEndpointCell(s.serviceCell, t, set)
		cell.warmSince = s.sys.clock.now() // it joins those that are in service
		s.spawn(c, cell)
		return cell
	}
	if old.stopped {
		old.stopped = false
		old.gone.Store(false)
		t.cell = old
		old.target.Store(t)
		s.spawn(c, old)
		old.mailbox.Post(&setSettings{settings: set}, nil)
		return old
	}
	s.retarget(old, t, set)
	return old
}

// replace changes an endpoint. Under the same address it keeps its cell; a new
// address is another endpoint.
func (s *supervisor) replace(c actor.Context, cell *endpointCell, t *target, set *settings) *endpointCell {
	if cell.target.Load().endpoint.URL != t.endpoint.URL {
		return s.take(c, t, set)
	}
	t.endpoint.CreatedAt = cell.target.Load().endpoint.CreatedAt
	s.retarget(cell, t, set)
	return cell
}

// retarget gives a cell a changed endpoint of the same address. Connections made
// under other settings serve those who have them, and then close.
func (s *supervisor) retarget(cell *endpointCell, t *target, set *settings) {
	before := cell.target.Load()
	t.cell = cell
	if sameTransport(s.settings.Load(), set) {
		t.client = before.client
	} else if before.client != nil {
		before.client.Retire()
	}
	cell.target.Store(t)
	cell.mailbox.Post(&setSettings{settings: set}, nil)
}

// relist puts a list in force, and tells who is new on it and who has gone:
// whoever is not on it drains.
func (s *supervisor) relist(cells []*endpointCell) {
	old := s.cells
	s.cells = cells
	clear(s.byID)
	members := make([]balance.Member, len(cells))
	for i, cell := range cells {
		cell.index = i
		e := &cell.target.Load().endpoint
		s.byID[cell.id] = cell
		place, _ := e.place() // it was validated
		members[i] = balance.Member{ID: cell.id, Weight: e.Weight, Priority: e.Priority, Load: cell.load,
			Place: place, Limit: bound(s.settings.Load().config.Concurrency.Max)}
	}
	replaced := make(map[string]bool)
	for _, cell := range old {
		if s.byID[cell.id] == cell {
			continue
		}
		cell.listed = false
		s.retire(cell)
		if replaced[cell.id] = s.byID[cell.id] != nil; !replaced[cell.id] {
			s.emitNow(messages.KindEndpointRemoved, cell.id, "taken off the list")
		}
	}
	s.balancer.SetMembers(members)
	s.planSweep()
	s.refusal = nil
	for _, cell := range cells {
		s.settle(cell)
		if cell.listed {
			continue
		}
		cell.listed = true
		if replaced[cell.id] {
			s.emitNow(messages.KindEndpointUpdated, cell.id, "at another address")
		} else {
			s.emitNow(messages.KindEndpointRegistered, cell.id, "registered")
		}
	}
	s.tellPanic() // once: what it is in between is nobody's concern
}

// retire lets an endpoint finish what it has. Its cell is remembered for as long
// as draining may take: whoever comes back under the same id and address, as
// discovery lets endpoints do, takes up its state.
func (s *supervisor) retire(cell *endpointCell) {
	now := s.sys.clock.now()
	if len(s.retired) >= retiredMax {
		s.forget(now)
	}
	cell.keptUntil = now + drainTimeout
	if len(s.retired) < retiredMax {
		s.retired[retiredKey(cell.target.Load().endpoint)] = cell
	}
	if cell.parked { // there is nobody to drain it
		cell.parked = false
		s.ended.add(&cell.counters)
		cell.counters, cell.sampled = counters{}, sampledUpTo{}
		s.letGo(cell)
		return
	}
	cell.drain = &drainOrder{until: cell.keptUntil}
	cell.mailbox.Post(cell.drain, nil)
}

// forget lets go of remembered cells whose time is over.
func (s *supervisor) forget(now time.Duration) {
	for key, old := range s.retired {
		if old.stopped && now >= old.keptUntil {
			delete(s.retired, key)
		}
	}
}

// letGo ends what an endpoint off the list holds.
func (s *supervisor) letGo(cell *endpointCell) {
	cell.stopped = true
	cell.gone.Store(true)
	s.sys.dispose(cell)
}

// list is the answer to listCells.
func (s *supervisor) list() cellList {
	l := cellList{cells: slices.Clone(s.cells), requests: s.requests, refused: s.refused, keyless: s.balancer.Keyless(), handed: s.handed, ended: s.ended}
	for cell := range s.pids {
		if s.byID[cell.id] != cell {
			l.leaving = append(l.leaving, cell)
		}
	}
	return l
}

// retiredMax bounds the cells that are remembered.
const retiredMax = 1024

func retiredKey(e Endpoint) string { return e.ID + "\x00" + e.URL }

// drained stops an endpoint that has nothing left, and keeps what it counted.
func (s *supervisor) drained(c actor.Context, m *endpointDrained) {
	cell := m.cell
	s.handed++
	s.ended.add(&m.counters)
	if s.byID[cell.id] == cell || cell.stopped || cell.drain != m.order {
		return // it came back, and may be leaving again
	}
	if pid := s.pids[cell]; pid != nil {
		delete(s.pids, cell)
		s.leaving[pid.Id] = true
		c.Stop(pid)
	}
	s.letGo(cell)
	s.stopIfDone(c)
}

// stopIfDone ends the supervisor of a removed service when nothing is left.
func (s *supervisor) stopIfDone(c actor.Context) {
	if s.removed.Load() && len(s.pids) == 0 {
		c.Stop(c.Self())
	}
}

func (s *supervisor) started(c actor.Context) {
	s.pids, s.leaving = make(map[*endpointCell]*actor.PID, len(s.cells)), leaving{}
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
	s.pids[cell] = s.leaving.spawn(c, props, messages.EscapeToken(cell.id))
}

// strategyOf is everything that the balancer goes by.
func (s *System) strategyOf(set *settings) balance.Config {
	c := set.config.Strategy
	c.PanicThreshold, c.SlowStart, c.Here = float64(set.config.PanicThreshold), set.config.SlowStart, s.place
	return c
}

func (s *System) newBalancer(set *settings) (*balance.Balancer, error) {
	return balance.New(s.strategyOf(set), rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())))
}

func (s *supervisor) wallNow() time.Time { return s.sys.clock.wall(s.sys.clock.now()) }

func (s *supervisor) emitNow(kind messages.Kind, endpoint, words string) {
	s.emit(s.sys.clock.now(), kind, endpoint, messages.Cause{Words: words})
}
