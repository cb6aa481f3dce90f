package actors

import (
	"context"
	"errors"
	"net/http"

	"github.com/understudy-go/understudy/messages"
)

// Do calls fn with an endpoint of the service, and again with another one while
// it fails and the retry policy allows. fn runs in the caller's goroutine and
// must honour its context, which ends when fn returns (but for a response's body,
// with the body). Do judges fn by its error and, when T is
// *http.Response, by the status; it returns when fn returns.
//
// A failed call's error is a [*messages.Error]: the refusal when no endpoint
// could be had, else one that unwraps to fn's last error. An error that does not
// count against the endpoint is returned as fn gave it. With an error, the body of
// an *http.Response is closed.
func Do[T any](ctx context.Context, s *Service, fn func(context.Context, Target) (T, error), opts ...CallOption) (T, error) {
	var (
		c   call
		v   T
		err error
	)
	c.any = true
	c.begin(ctx, s, opts)
	c.once = c.options.notIdempotent || c.err == nil && c.set.config.NotIdempotent
	if c.options.hedged {
		c.hedgeable()
	}
	for c.next() {
		if c.hedges {
			run := func(c *call) (T, error) { return attempt(c, fn) }
			v, err = hedged(&c, run, func() func(*call) (T, error) { return run })
		} else {
			v, err = attempt(&c, fn)
		}
	}
	if err == nil && c.succeeded() {
		return v, nil
	}
	failed := c.failure(err)
	if resp, ok := any(&v).(**http.Response); ok && *resp != nil && err == nil && failed != nil {
		_ = (*resp).Body.Close() // whoever gets an error closes nothing
	}
	return v, failed
}

// attempt makes one. It is apart from the loop for its deferred call.
func attempt[T any](c *call, fn func(context.Context, Target) (T, error)) (v T, err error) {
	defer c.settle()
	v, err = fn(c.attemptCtx, c.target)
	if resp, ok := any(&v).(**http.Response); ok && *resp != nil && err == nil {
		c.handOn(*resp)
	} else {
		c.end(err, 0, nil)
	}
	return v, err
}

// DoOr is Do with a fallback, which gets the error. Its answer is counted as a
// fallback. A panic in it is INTERNAL.
func DoOr[T any](ctx context.Context, s *Service, fn func(context.Context, Target) (T, error), fallback func(context.Context, error) (T, error), opts ...CallOption) (T, error) {
	v, err := Do(ctx, s, fn, opts...)
	if err == nil || errors.Is(err, context.Canceled) {
		return v, err
	}
	cause := err
	if perr := guard("fallback", func() error { v, err = fallback(ctx, cause); return nil }); perr != nil {
		return v, &messages.Error{Code: messages.CodeInternal, Service: s.name, Words: perr.Error(), Err: cause}
	}
	s.fellBack(opts)
	return v, err
}
