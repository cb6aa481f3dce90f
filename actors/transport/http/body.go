package http

import (
	"context"
	"errors"
	"fmt"
	"io"
	nethttp "net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/understudy-go/understudy/actors/transport"
	"github.com/understudy-go/understudy/messages"
)

// Stream watches over the body of an answer of RoundTrip, from its head to its
// end, and puts its watch in the place of resp.Body. Reading it, its trailers and,
// after 101 Switching Protocols, writing to it go on as before.
//
// While a Read waits, idle bounds the time until the next byte; 0 or less is no
// bound. A reader that takes its time is not the endpoint's fault: between Reads
// the time does not run. After a switch of protocols a Write begins it anew. When
// it is up, cancel is called, which must end the context of the request, and Read
// returns a *messages.Error TIMEOUT.
//
// done is called exactly once, in the goroutine that reads or closes: with nil at
// the end of the body, with transport.ErrClosedEarly when the reader closed it
// sooner or its own context ended, else with the error that Read returned. It is
// called within Stream where there is no body. Neither function may be nil.
func (c *Client) Stream(resp *nethttp.Response, idle time.Duration, cancel func(), done func(error)) {
	if resp.Body == nethttp.NoBody {
		c.bodyEnded()
		done(nil)
		return
	}
	b := &body{rc: resp.Body, client: c, idle: idle, cancel: cancel, done: done}
	resp.Body = b
	if w, ok := b.rc.(io.Writer); ok {
		resp.Body = &upgraded{body: b, w: w}
	}
}

type body struct {
	rc     io.ReadCloser
	client *Client
	idle   time.Duration
	cancel func()
	done   func(error)
	ended  atomic.Bool

	mu      sync.Mutex
	timer   *time.Timer // nil until the first Read
	reading bool
	expired bool
}

func (b *body) Read(p []byte) (int, error) {
	b.wait()
	n, err := b.rc.Read(p)
	expired := b.arrived()
	switch {
	case err == nil:
	case err == io.EOF:
		b.end(nil)
	case expired:
		err = &messages.Error{Code: messages.CodeTimeout, Words: fmt.Sprintf("no byte for %v", b.idle)}
		b.end(err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		// No deadline of ours runs after the head, so it is the reader's own.
		b.end(transport.ErrClosedEarly)
	default:
		b.end(err)
	}
	return n, err
}

func (b *body) Close() error {
	err := b.rc.Close()
	b.end(transport.ErrClosedEarly)
	return err
}

// end is the one way out, taken once.
func (b *body) end(err error) {
	if b.ended.Swap(true) {
		return
	}
	b.client.bodyEnded()
	b.done(err)
}

// wait begins the time until the next byte.
func (b *body) wait() {
	if b.idle <= 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = true
	if b.timer == nil {
		b.timer = time.AfterFunc(b.idle, b.expire)
	} else {
		b.timer.Reset(b.idle)
	}
}

// arrived ends it and reports whether it was up before.
func (b *body) arrived() (expired bool) {
	if b.idle <= 0 {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = false
	b.timer.Stop()
	return b.expired
}

// expire cancels the request under a Read that waits.
func (b *body) expire() {
	b.mu.Lock()
	late := !b.reading // the byte came as the time was up
	b.expired = b.expired || !late
	b.mu.Unlock()
	if late {
		return
	}
	b.cancel()
	if _, raw := b.rc.(io.Writer); raw {
		_ = b.rc.Close() // a connection that switched protocols has left its request's context
	}
}

// upgraded is the body after 101 Switching Protocols: the connection itself.
type upgraded struct {
	*body
	w io.Writer
}

func (u *upgraded) Write(p []byte) (int, error) {
	n, err := u.w.Write(p)
	if n > 0 {
		u.wrote()
	}
	return n, err
}

// CloseWrite ends one direction, where the connection can.
func (u *upgraded) CloseWrite() error {
	if c, ok := u.w.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nethttp.ErrNotSupported
}

// wrote lets a Read that waits do so for another idle time.
func (b *body) wrote() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.reading {
		b.timer.Reset(b.idle)
	}
}
