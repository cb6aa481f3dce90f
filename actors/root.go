package actors

import (
	"fmt"
	"slices"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/understudy-go/understudy/actors/transport"
	"github.com/understudy-go/understudy/messages"
)

// root is the actor over the supervisors: it starts and stops them, in order,
// and keeps their cells.
type root struct {
	sys      *System
	services map[string]*running
	order    []string
	leaving  leaving
	removed  map[string]*serviceCell // by the actor's id: still draining
	closing  chan<- []*serviceCell
}

// running is a service that has an actor.
type running struct {
	cell *serviceCell
	pid  *actor.PID
}

// Orders to the root.
type (
	order      struct{ reply chan<- error }
	addService struct {
		order
		cell *serviceCell
	}
	removeService struct {
		order
		name string
	}
	revive       struct{ cell *serviceCell }
	listServices struct{ reply chan<- []string }
	// closeAll stops everything; done gets the cells, which nobody owns any more.
	closeAll struct{ done chan<- []*serviceCell }
)

func (o *order) answerTo(reply chan<- error) { o.reply = reply }

// Receive implements actor.Actor.
func (r *root) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *addService:
		m.reply <- r.add(c, m.cell)
	case *removeService:
		m.reply <- r.remove(c, m.name)
	case *listServices:
		m.reply <- slices.Clone(r.order)
	case *revive:
		if run := r.services[m.cell.name]; run != nil && run.cell == m.cell && run.pid == nil {
			r.spawn(c, run)
		}
	case *closeAll:
		r.closing = m.done
		c.Stop(c.Self())
	case *actor.Terminated:
		delete(r.leaving, m.Who.Id)
		if r.closing == nil {
			delete(r.removed, m.Who.Id)
		}
	case *actor.Stopped:
		r.handOver()
	}
}

// handOver gives the cells to whoever closes the system.
func (r *root) handOver() {
	if r.closing == nil {
		return
	}
	var cells []*serviceCell
	for _, run := range r.services {
		cells = append(cells, run.cell)
	}
	for _, cell := range r.removed {
		cells = append(cells, cell)
	}
	r.closing <- cells
}

func (r *root) add(c actor.Context, cell *serviceCell) error {
	if r.services[cell.name] != nil {
		return &messages.Error{Code: messages.CodeConflict, Service: cell.name, Words: "already registered"}
	}
	if len(r.services) >= ServicesMax {
		return &messages.Error{Code: messages.CodeOverloaded, Service: cell.name, Words: fmt.Sprintf("%d services are the most that a node holds", ServicesMax)}
	}
	run := &running{cell: cell}
	r.services[cell.name] = run
	r.order = append(r.order, cell.name)
	r.spawn(c, run)
	r.sys.Service(cell.name).cell.Store(cell)
	cell.listen()
	cell.emit(r.sys.clock.now(), messages.KindServiceAdded, "", messages.Cause{Words: "added"})
	return nil
}

func (r *root) spawn(c actor.Context, run *running) {
	cell := run.cell
	props := actor.PropsFromProducer(func() actor.Actor {
		return &supervisor{serviceCell: cell, supervisorState: &cell.supervisor}
	}, actor.WithMailbox(cell.mailbox.Producer()))
	run.pid = r.leaving.spawn(c, props, cell.name)
	cell.pid.Store(run.pid)
}

func (r *root) remove(c actor.Context, name string) error {
	run := r.services[name]
	if run == nil {
		return &messages.Error{Code: messages.CodeNotFound, Service: name, Words: "no such service"}
	}
	delete(r.services, name)
	r.order = slices.DeleteFunc(r.order, func(n string) bool { return n == name })
	r.sys.Service(name).cell.Store(nil)
	run.cell.removed.Store(true)
	run.cell.closeCache()
	run.cell.emit(r.sys.clock.now(), messages.KindServiceRemoved, "", messages.Cause{Words: "removed"})
	if run.pid != nil {
		r.leaving[run.pid.Id] = true
		r.removed[run.pid.Id] = run.cell
		run.cell.mailbox.Post(&retireAll{}, nil)
	}
	return nil
}

// HandleFailure implements actor.SupervisorStrategy for the supervisors: a
// supervisor that panics is restarted on its cell, and one that does so again
// and again is left alone for a while.
func (r *root) HandleFailure(_ *actor.ActorSystem, super actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, reason, _ any) {
	for _, run := range r.services {
		if run.pid == nil || !run.pid.Equal(child) {
			continue
		}
		cell, now := run.cell, r.sys.clock.now()
		r.sys.logger.Error("supervisor actor panicked", "service", cell.name, "panic", transport.Safe(fmt.Sprint(reason)))
		cell.emit(now, messages.KindActorRestarted, "", messages.Cause{Words: "the supervisor panicked: " + transport.Safe(fmt.Sprint(reason))})
		if !cell.supervisor.panics.tooMany(now) {
			super.RestartChildren(child)
			return
		}
		cell.supervisor.panics = nil
		run.pid = nil
		r.leaving[child.Id] = true
		super.StopChildren(child)
		root, self := r.sys.actors.Root, r.sys.root
		r.sys.clock.afterFunc(parkTime, func() { root.Send(self, &revive{cell}) })
		return
	}
	super.StopChildren(child)
}
