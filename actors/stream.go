package actors

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"

	"github.com/understudy-go/understudy/actors/transport"
	"github.com/understudy-go/understudy/messages"
)

// keptMax is how much of an answer that is to be tried again is kept, in case
// nobody else can be asked; reading it lets its connection be used again.
const (
	keptMax  = 64 << 10
	keptTime = 100 * time.Millisecond
)

// keep takes a body into memory; false if it is longer than that, broke, or did
// not come in time.
func (c *call) keep(resp *http.Response) bool {
	c.target.t.client.Stream(resp, 0, func() {}, func(error) {}) // sees to connections after Close
	if c.own == nil {                                            // nothing could end the reading
		_ = resp.Body.Close()
		resp.Body = http.NoBody
		return false
	}
	late := c.cell.sys.clock.afterFunc(keptTime, func() { c.own.cancel(errIdle) })
	defer late.Stop()
	body, err := io.ReadAll(io.LimitReader(resp.Body, keptMax+1))
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return err == nil && len(body) <= keptMax
}

// answered takes an HTTP response whose head has arrived. One that is to be
// tried again is taken into memory; any other is handed on, and its lease goes
// back when its body ends. False says that there is no whole answer to hand on.
func (c *call) answered(resp *http.Response) (whole bool) {
	if resp.Body == nil { // a user's function made it
		resp.Body = http.NoBody
	}
	now := c.cell.sys.clock.now()
	j := c.judge(now, nil, resp.StatusCode, resp.Header)
	r := c.decide(now, &j, nil, resp.StatusCode)
	if c.again {
		whole = c.keep(resp)
		c.give(&j, &r, resp.StatusCode)
		return whole
	}
	c.stream(resp, j, r)
	return true
}

// handOn takes the response of a user's own client. Its lease goes back now: the
// function may have read and closed the body already. The attempt's context lives
// on without its deadline until the body is closed.
func (c *call) handOn(resp *http.Response) {
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	own := c.own
	c.own = nil
	c.end(nil, resp.StatusCode, resp.Header)
	switch {
	case c.again:
		if own != nil {
			own.cancel(context.Canceled)
		}
		_ = resp.Body.Close()
		return
	case own == nil:
		return
	}
	own.headArrived()
	resp.Body = &ownedBody{resp.Body, own}
}

// ownedBody ends its attempt's context when it is closed.
type ownedBody struct {
	io.ReadCloser
	own *attemptContext
}

func (b *ownedBody) Close() error {
	err := b.ReadCloser.Close()
	b.own.cancel(context.Canceled)
	return err
}

// stream lets the body run without the attempt's deadline but with one between
// its bytes. The call goes on in the body, so it moves to the heap here.
func (c *call) stream(resp *http.Response, j judgement, r result) {
	if c.heard() {
		c.tell(&j, &r, resp.StatusCode) // now: whoever reads the report may do so at once
	}
	if c.lease.permit.Trial {
		c.lease.cell.mailbox.Post(&trialAnswered{c.lease, r}, nil)
	}
	h := new(call)
	*h = *c
	h.told = true
	c.lease, c.own, c.span = nil, nil, nil
	h.lease.streams.Store(true)
	cancel := func() {}
	if h.own != nil {
		h.own.headArrived()
		cancel = func() { h.own.cancel(errIdle) }
	}
	idle := bound(h.set.config.IdleTimeout)
	c.target.t.client.Stream(resp, idle, cancel, func(err error) {
		r.ended = h.cell.sys.clock.now()
		if err != nil {
			h.broke(&j, &r, err)
		}
		h.give(&j, &r, resp.StatusCode)
	})
}

var errIdle = &messages.Error{Code: messages.CodeTimeout, Words: "the body stopped coming"}

// broke judges a body that ended before its end.
func (c *call) broke(j *judgement, r *result, err error) {
	o, code := transport.Classify(err)
	if c.ctx.Err() != nil && o != messages.Success {
		o, code = messages.Ignored, messages.CodeCanceled
	}
	if o == messages.Success {
		return
	}
	j.outcome, j.code = o, code
	r.outcome, r.end, r.failure = o, requestFailed, "in mid-body: "+transport.Words(err)
	if code == messages.CodeCanceled {
		r.end = requestCanceled
	}
}
