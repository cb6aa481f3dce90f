package actors

import (
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/understudy-go/understudy/actors/transport"
	"github.com/understudy-go/understudy/messages"
)

// An actor that panics is restarted on its cell, so that no state is lost. One
// that panics again and again is parked: left alone for a while, then tried
// again. The process never dies of it and the siblings never notice.
const (
	panicsMax    = 5
	panicsWithin = 10 * time.Second
	parkTime     = 30 * time.Second
)

// failures remembers when an actor panicked.
type failures []time.Duration

// tooMany notes a panic and reports whether there were too many lately.
func (f *failures) tooMany(now time.Duration) bool {
	recent := (*f)[:0]
	for _, at := range *f {
		if now-at < panicsWithin {
			recent = append(recent, at)
		}
	}
	*f = append(recent, now)
	return len(*f) > panicsMax
}

// HandleFailure implements actor.SupervisorStrategy for the endpoints.
func (s *supervisor) HandleFailure(_ *actor.ActorSystem, super actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, reason, _ any) {
	cell := s.cellOf(child)
	if cell == nil {
		super.StopChildren(child)
		return
	}
	now := s.sys.clock.now()
	s.sys.logger.Error("endpoint actor panicked", "service", s.name, "endpoint", cell.id, "panic", transport.Safe(fmt.Sprint(reason)))
	if !cell.panics.tooMany(now) {
		s.emit(now, messages.KindActorRestarted, cell.id, messages.Cause{Words: "its actor panicked: " + transport.Safe(fmt.Sprint(reason))})
		super.RestartChildren(child)
		return
	}
	cell.panics = nil
	cell.parked = true
	delete(s.pids, cell)
	s.emit(now, messages.KindEndpointParked, cell.id, messages.Cause{
		Words: fmt.Sprintf("its actor panicked %d times in %v: tried again in %v", panicsMax+1, panicsWithin, parkTime),
		Until: s.sys.clock.wall(now + parkTime)})
	s.leaving[child.Id] = true
	super.StopChildren(child)
	s.settle(cell)
	s.tellPanic()
	box := s.mailbox
	s.sys.clock.afterFunc(parkTime, func() { box.Post(&unpark{cell}, nil) })
}

func (s *supervisor) cellOf(pid *actor.PID) *endpointCell {
	for cell, p := range s.pids {
		if p.Equal(pid) {
			return cell
		}
	}
	return nil
}

// unpark tries a parked endpoint again.
func (s *supervisor) unpark(c actor.Context, cell *endpointCell) {
	if !cell.parked || s.byID[cell.id] != cell {
		return
	}
	cell.parked = false
	s.spawn(c, cell)
	s.settle(cell)
	s.tellPanic()
}
