package http

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptrace"
	"sync/atomic"

	"github.com/understudy-go/understudy/actors/transport"
	"github.com/understudy-go/understudy/messages"
)

// attempt is the context of one request inside net/http and what is seen of it on
// the way.
type attempt struct {
	context.Context // the caller's, with the trace
	caller          context.Context
	trace           httptrace.ClientTrace
	dialed          atomic.Bool // a connection was begun for it
	sent            atomic.Bool // it got a connection: from then on something may have been sent
}

type attemptKey struct{}

func newAttempt(ctx context.Context) *attempt {
	a := &attempt{caller: ctx}
	a.trace.GotConn = func(httptrace.GotConnInfo) { a.sent.Store(true) }
	a.Context = httptrace.WithClientTrace(ctx, &a.trace)
	return a
}

// Value lets the dialer find the attempt: net/http dials under a context of its
// own that keeps the values.
func (a *attempt) Value(key any) any {
	if key == (attemptKey{}) {
		return a
	}
	return a.Context.Value(key)
}

// AfterFunc spares the goroutine that the standard library would start where the
// caller's context has a way of its own.
func (a *attempt) AfterFunc(f func()) (stop func() bool) { return context.AfterFunc(a.caller, f) }

// dialing notes that a connection is being made for the attempt in ctx.
func dialing(ctx context.Context) {
	if a, ok := ctx.Value(attemptKey{}).(*attempt); ok {
		a.dialed.Store(true)
	}
}

// explain turns the error of net/http into one of ours; up is nil without a body,
// maxConns 0 without a bound.
func (a *attempt) explain(err error, up *upload, maxConns int) error {
	e := a.reason(err, up, maxConns)
	if !a.sent.Load() {
		return transport.MarkUnsent(e)
	}
	return e
}

func (a *attempt) reason(err error, up *upload, maxConns int) *messages.Error {
	sent, dialed := a.sent.Load(), a.dialed.Load()
	if a.caller.Err() != nil {
		return a.ended(sent, dialed, up, maxConns)
	}
	if up != nil {
		if fault := up.fault.Load(); fault != nil {
			return &messages.Error{Code: messages.CodeInvalidRequest, Words: "the request's body cannot be sent", Err: *fault}
		}
	}
	if !sent && !dialed { // net/http looked at the request and did not even try
		return &messages.Error{Code: messages.CodeInvalidRequest, Words: "not a request that can be sent", Err: err}
	}
	outcome, code := transport.Classify(err)
	switch {
	case outcome == messages.ConnectFailure, outcome == messages.Ignored, outcome == messages.Timeout && sent:
		return &messages.Error{Code: code, Err: err}
	case sent:
		// Whatever net/http made of the answer. Its text may quote it: leave it out.
		return &messages.Error{Code: messages.CodeConnectionError, Words: "no usable answer"}
	case outcome == messages.Timeout: // the caller's time is not up, so it is connect_timeout
		return &messages.Error{Code: messages.CodeConnectionError, Words: "no connection in time", Err: err}
	}
	return &messages.Error{Code: messages.CodeConnectionError, Err: err}
}

// ended says what the attempt was waiting for when its context ended.
func (a *attempt) ended(sent, dialed bool, up *upload, maxConns int) *messages.Error {
	switch {
	case !errors.Is(context.Cause(a.caller), context.DeadlineExceeded):
		return &messages.Error{Code: messages.CodeCanceled}
	case up != nil && up.stalled.Load():
		return &messages.Error{Code: messages.CodeInvalidRequest, Words: "the request's body did not come in time"}
	case sent:
		return &messages.Error{Code: messages.CodeTimeout, Words: "no answer in time"}
	case dialed:
		return &messages.Error{Code: messages.CodeTimeout, Words: "no connection in time"}
	case maxConns > 0:
		return &messages.Error{Code: messages.CodeOverloaded, Words: fmt.Sprintf("waited too long for one of %d connections", maxConns)}
	}
	return &messages.Error{Code: messages.CodeTimeout}
}
