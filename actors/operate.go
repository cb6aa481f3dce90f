package actors

import (
	"context"

	"github.com/understudy-go/understudy/messages"
)

// Verb is what an operator orders of an endpoint.
type Verb string

// The verbs. Reset takes back a forced breaker and forgets what it has counted.
const (
	VerbReady      Verb = "ready"
	VerbDrain      Verb = "drain"
	VerbMaint      Verb = "maint"
	VerbForceOpen  Verb = "force_open"
	VerbForceClose Verb = "force_close"
	VerbReset      Verb = "reset"
)

// Order is an operator's word on an endpoint, with the reason that status and
// events show.
type Order struct {
	Endpoint string
	Verb     Verb
	Reason   string
	By       string
}

// Operate carries out an order. An unknown endpoint is NOT_FOUND, an unknown
// verb INVALID_REQUEST.
func (s *Service) Operate(ctx context.Context, o Order) error {
	cell, err := s.find(o.Endpoint)
	if err != nil {
		return err
	}
	reply := make(chan error, 1)
	cell.mailbox.Post(&operate{order: o, reply: reply}, nil)
	select {
	case err := <-reply:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-s.sys.ctx.Done():
		return s.sys.errClosed()
	}
}

// operate puts an operator's word in force.
func (e *endpoint) operate(o Order) error {
	now := e.advance(e.service.sys.clock.now())
	from := string(e.admin.state)
	epoch, state := e.breaker.Epoch(), e.breaker.State()
	switch o.Verb {
	case VerbReady:
		if e.admin.state != messages.AdminReady {
			e.warmSince = now
		}
		e.admin = adminState{state: messages.AdminReady}
	case VerbDrain:
		e.admin = adminState{state: messages.AdminDrain, reason: o.Reason}
	case VerbMaint:
		e.admin = adminState{state: messages.AdminMaint, reason: o.Reason}
	case VerbForceOpen:
		e.breaker.ForceOpen()
	case VerbForceClose:
		e.breaker.ForceClosed()
	case VerbReset:
		e.breaker.Reset()
		e.row = 0
		e.ejection.Return(now)
		e.comeBack(now, "reset by operator")
	default:
		return &messages.Error{Code: messages.CodeInvalidRequest, Service: e.service.name, Endpoint: e.id, Words: "unknown order " + string(o.Verb)}
	}
	words := string(o.Verb)
	if o.Reason != "" {
		words += ": " + o.Reason
	}
	e.emit(now, messages.KindAdminChanged, messages.Cause{Words: words, From: from, To: string(e.admin.state), By: o.By})
	if e.breaker.Epoch() != epoch && e.breaker.State() != state {
		e.breakerMoved(now, state)
	}
	e.publish(now)
	return nil
}
