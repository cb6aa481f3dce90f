package actors

import (
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/understudy-go/understudy/actors/transport"
	"github.com/understudy-go/understudy/messages"
)

// discardMax is how much of an answer that is thrown away is read, so that its
// connection can be used again.
const (
	discardMax  = 64 << 10
	discardIdle = time.Second
)

func discard(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, discardMax)
	_ = resp.Body.Close()
}

// answered takes an HTTP response whose head has arrived. One that is to be
// tried again is thrown away; any other is handed on, and its lease goes back
// when its body ends.
func (c *call) answered(resp *http.Response) {
	now := c.cell.sys.clock.now()
	j := c.judge(now, nil, resp.StatusCode, resp.Header)
	r := c.decide(now, &j, nil, resp.StatusCode)
	if c.again {
		c.target.t.client.Stream(resp, discardIdle, func() {}, func(error) {}) // sees to connections after Close
		discard(resp)
		c.give(&j, &r, resp.StatusCode)
		return
	}
	if j.outcome.Failed() || c.attempt > 1 && j.code != "" {
		resp.Header.Set(messages.HeaderError, string(messages.CodeRetryExhausted))
	}
	c.stream(resp, j, r)
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
