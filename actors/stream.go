package actors

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/understudy-go/understudy/actors/transport"
	"github.com/understudy-go/understudy/messages"
)

// keptMax is how much of an answer that is to be tried again is kept, in case
// nobody else can be asked; reading it lets its connection be used again.
const (
	keptMax  = 64 << 10
	keptIdle = time.Second
)

// keep takes a body into memory; false if it is longer than that or broke.
func keep(resp *http.Response) bool {
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
		c.target.t.client.Stream(resp, keptIdle, func() {}, func(error) {}) // sees to connections after Close
		whole = keep(resp)
		c.give(&j, &r, resp.StatusCode)
		return whole
	}
	c.stream(resp, j, r)
	return true
}

// stream lets the body run without the attempt's deadline but with one between
// its bytes. The call goes on in the body, so it moves to the heap here.
func (c *call) stream(resp *http.Response, j judgement, r result) {
	h := new(call)
	*h = *c
	c.lease, c.own, c.span = nil, nil, nil
	h.lease.streams.Store(true)
	cancel := func() {}
	if h.own != nil {
		h.own.headArrived()
		cancel = func() { h.own.cancel(errIdle) }
	}
	idle := limit(h.set.config.IdleTimeout)
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
	if o != messages.Success {
		j.outcome, j.code = o, code
		r.outcome, r.end, r.failure = o, requestFailed, "in mid-body: "+transport.Words(err)
	}
}

// retryAfterHeader writes whole seconds, rounded up.
func retryAfterHeader(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}
