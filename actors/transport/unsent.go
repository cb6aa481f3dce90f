package transport

import (
	"errors"
	"net"

	"github.com/understudy-go/understudy/messages"
)

// unsent marks an error as one before which nothing left for the endpoint.
type unsent struct{ error }

func (u unsent) Unwrap() error { return u.error }

// MarkUnsent says of err that nothing of the request was sent, for [Unsent] to
// find. Only a transport that watched can know.
func MarkUnsent(err error) error { return unsent{err} }

// Unsent reports whether it is certain that nothing of the request has reached
// the endpoint, so that even what is not idempotent may be sent again. It is
// certain where a transport said so, and where dialing or the name already
// failed. Of any other error, and of nil, it is false.
//
// For a function that made several calls, only the one that failed is known: one
// before it may have been sent.
func Unsent(err error) bool {
	var (
		marked unsent
		ours   *messages.Error
		dns    *net.DNSError
		op     *net.OpError
	)
	switch {
	case errors.As(err, &marked):
		return true
	case errors.As(err, &ours) && ours.Service != "":
		return false // a call inside this one
	case errors.As(err, &dns):
		return true
	}
	return errors.As(err, &op) && op.Op == "dial"
}
