package actors

import (
	"github.com/asynkron/protoactor-go/actor"

	"github.com/understudy-go/understudy/actors/balance"
	"github.com/understudy-go/understudy/actors/breaker"
	"github.com/understudy-go/understudy/actors/health"
	"github.com/understudy-go/understudy/actors/limit"
	"github.com/understudy-go/understudy/actors/mailbox"
	"github.com/understudy-go/understudy/messages"
)

// This file makes the cells, with what their mailboxes do about messages that
// the actor cannot take: it is stopped, it is full, or it panicked over them.

func newServiceCell(sys *System, name string, set *settings) (*serviceCell, error) {
	s := &serviceCell{sys: sys, name: name}
	s.settings.Store(set)
	s.configureCache(set)
	balancer, err := sys.newBalancer(set)
	if err != nil {
		return nil, err
	}
	s.supervisor = supervisorState{
		byID:     make(map[string]*endpointCell),
		retired:  make(map[string]*endpointCell),
		balancer: balancer,
		budget:   newBudget(set),
	}
	if c := set.config.RateLimit; c.Limit > 0 {
		s.supervisor.admission.rate = limit.NewRate(c, 0)
	}
	s.traffic.Store(-int64(idleAfter))
	s.mailbox = mailbox.New(mailbox.Options{Limit: supervisorMailboxSize, Refuse: s.turnAway, Failed: s.inFlight})
	return s, nil
}

// turnAway answers what a supervisor that is stopped or full cannot take.
func (s *serviceCell) turnAway(msg any) bool { return s.deny(msg, s.gone()) }

// inFlight answers the message over which the supervisor panicked.
func (s *serviceCell) inFlight(msg any) {
	s.deny(msg, &messages.Error{Code: messages.CodeInternal, Service: s.name, Words: "the supervisor panicked"})
}

// deny answers whoever waits for the message's answer; false if nobody does.
func (s *serviceCell) deny(msg any, err *messages.Error) bool {
	switch m := msg.(type) {
	case *Acquire:
		(*lease)(m).refuse(err)
	case *change:
		m.reply <- err
	case *listCells:
		m.reply <- cellList{}
	case *actor.MessageEnvelope:
		if _, request := m.Message.(*messages.Request); request && m.Sender != nil {
			s.sys.actors.Root.Send(m.Sender, &messages.Response{Err: err})
		}
	default:
		return false
	}
	return true
}

// gone is the answer of a service that is no more, is full, or is coming back.
func (s *serviceCell) gone() *messages.Error {
	switch {
	case s.sys.isClosed():
		return &messages.Error{Code: messages.CodeClosed, Service: s.name}
	case s.removed.Load():
		return &messages.Error{Code: messages.CodeNotFound, Service: s.name, Words: "no such service"}
	}
	return &messages.Error{Code: messages.CodeOverloaded, Service: s.name, Words: "the supervisor takes nothing now: too much waits for it, or it is restarting"}
}

func newEndpointCell(s *serviceCell, t *target, set *settings) *endpointCell {
	e := &endpointCell{service: s, id: t.endpoint.ID, settings: set, load: new(balance.Load)}
	t.cell = e
	e.target.Store(t)
	e.admin.state = messages.AdminReady
	e.breaker = breaker.New(breakerConfig(s, set))
	e.check = checkConfig(set, &t.endpoint)
	e.health = health.New(*e.check)
	e.seen = endpointView{status: balance.Status{Ready: true, Eligible: true, Rank: balance.Healthy}}
	if e.check.Enabled() {
		e.seen.status.Rank = balance.Unknown
	}
	e.adaptive = e.newAdaptive(set.config.Concurrency)
	e.view = e.seen
	e.mailbox = mailbox.New(mailbox.Options{Limit: endpointMailboxSize, Refuse: e.turnAway, Failed: e.inFlight})
	return e
}

// turnAway answers what an endpoint that is stopped or full cannot take.
// Outcomes wait for the next incarnation.
func (e *endpointCell) turnAway(msg any) bool {
	switch m := msg.(type) {
	case *Acquire:
		e.sendBack((*lease)(m), nil)
	case *Outcome:
		if !e.gone.Load() {
			return false
		}
		if end := m.end; end != requestGoesOn {
			e.service.mailbox.Post(&requestOver{end}, nil)
		}
	case *observe:
		m.reply <- endpointReport{gone: true}
	case *operate:
		m.reply <- &messages.Error{Code: messages.CodeServiceUnavailable, Service: e.service.name, Endpoint: e.id, Words: "its actor is parked"}
	default:
		return false
	}
	return true
}

// sendBack has the supervisor look for another endpoint.
func (e *endpointCell) sendBack(l *lease, left *int) {
	l.refusals++
	l.tried = append(l.tried, e.id)
	e.service.mailbox.Post((*Acquire)(l), left)
}

// inFlight makes good for the message over which the endpoint panicked. It runs
// where the actor ran, so the cell is still this goroutine's.
func (e *endpointCell) inFlight(msg any) {
	switch m := msg.(type) {
	case *Acquire:
		l := (*lease)(m)
		if l.state.Load() == leaseAnswered {
			return // it was granted before the panic: its outcome comes
		}
		if l.linked {
			e.breaker.Record(e.latest, l.permit, messages.Ignored, 0, 0)
			e.unlink(l)
		}
		e.sendBack(l, nil)
	case *Outcome:
		l := (*lease)(m)
		if l.linked {
			e.unlink(l)
		}
		if l.end != requestGoesOn {
			e.counters.failed++ // however it ended, it has
		}
	case *observe:
		m.reply <- endpointReport{gone: true}
	case *operate:
		m.reply <- &messages.Error{Code: messages.CodeInternal, Service: e.service.name, Endpoint: e.id, Words: "its actor panicked"}
	}
}
