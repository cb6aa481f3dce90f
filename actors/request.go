package actors

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"golang.org/x/net/http/httpguts"

	"github.com/understudy-go/understudy/actors/cache"
	"github.com/understudy-go/understudy/actors/retry"
	httptransport "github.com/understudy-go/understudy/actors/transport/http"
	"github.com/understudy-go/understudy/messages"
)

// responseMax is the largest answer that is read into memory for a Request.
const responseMax = 64 << 20

// Request sends a message to the service and returns the answer. When the last
// attempt got an answer that counts as a failure, both response and error are
// there. A configured fallback answers in place of an error, and a cache where it
// has the answer: the body may then be others' too and must not be changed.
func (s *Service) Request(ctx context.Context, m *messages.Request) (*messages.Response, error) {
	if err := checkRequest(m); err != nil {
		err.Service = s.name
		return nil, err
	}
	return s.request(ctx, m, CallOption{})
}

// request answers from the cache, by the endpoints, or by a fallback.
func (s *Service) request(ctx context.Context, m *messages.Request, o CallOption) (resp *messages.Response, err error) {
	cell := s.cell.Load()
	if cell == nil {
		return nil, s.missing()
	}
	own := *m
	own.Key, own.Timeout, own.Deadline = cmp.Or(o.key, m.Key), 0, s.deadline(m, o.timeout)
	o.key, o.timeout = own.Key, 0
	if c := cell.cache.Load(); c != nil {
		resp, err = s.askCache(ctx, c, &own, o)
	} else {
		resp, err = s.send(ctx, &own, o)
	}
	if err == nil {
		return resp, nil
	}
	fallback, failed := cell.fallBack(ctx, &own, true, o, err)
	if fallback != nil {
		return fallback, nil
	}
	return resp, failed
}

// deadline is when the request's own time is over: the earliest that it or an option
// says; the zero time if none does.
func (s *Service) deadline(m *messages.Request, timeout time.Duration) time.Time {
	if m.Timeout > 0 && (timeout == 0 || m.Timeout < timeout) {
		timeout = m.Timeout
	}
	if timeout == 0 {
		return m.Deadline
	}
	end := s.sys.clock.wall(s.sys.clock.now() + timeout)
	if !m.Deadline.IsZero() && m.Deadline.Before(end) {
		return m.Deadline
	}
	return end
}

// askCache answers from the cache or by the endpoints, and counts what these do not
// see: what was kept, and what another request had asked for.
func (s *Service) askCache(ctx context.Context, c *cache.Cache, m *messages.Request, o CallOption) (*messages.Response, error) {
	cell, began := s.cell.Load(), s.sys.clock.now()
	var asked atomic.Bool // the fetch may run in a goroutine of its own
	resp, err := c.Do(ctx, m, method(m), func(ctx context.Context, given *messages.Request) (*messages.Response, error) {
		if !cache.Refreshing(ctx) {
			asked.Store(true)
		}
		o := o
		if given != m { // on behalf of all who wait for it, perhaps after this one has gone
			o.into = nil
		}
		return s.send(ctx, given, o)
	})
	switch {
	case cell == nil:
	case !asked.Load(): // else it is counted where it went
		cell.apart[endOf(err)].Add(1)
	case err == nil && resp.Cache == messages.CacheStale:
		cell.fallbacks.Add(1) // in place of an error
	}
	if into := o.into; into != nil && resp != nil && resp.Cache != "" {
		*into = Report{Endpoint: resp.Endpoint, Attempts: resp.Attempts, Duration: s.sys.clock.now() - began, Cached: resp.Cache != messages.CacheMiss}
	}
	return resp, err
}

// endOf is how a request ended, by its error.
func endOf(err error) requestEnd {
	switch {
	case err == nil:
		return requestSucceeded
	case errors.Is(err, context.Canceled):
		return requestCanceled
	}
	return requestFailed
}

// send asks the endpoints.
func (s *Service) send(ctx context.Context, m *messages.Request, o CallOption) (*messages.Response, error) {
	var c call
	c.method = method(m)
	if !m.Deadline.IsZero() {
		o.timeout = m.Deadline.Sub(s.sys.clock.wall(s.sys.clock.now()))
		if o.timeout <= 0 {
			return nil, &messages.Error{Code: messages.CodeTimeout, Service: s.name, Words: "the request's deadline had passed before any attempt"}
		}
	}
	c.begin(ctx, s, []CallOption{o})
	c.quiet = cache.Refreshing(ctx)
	c.repeatable(m.Idempotent || m.Header.Get(messages.HeaderIdempotencyKey) != "")
	c.hedgeable()
	var resp *messages.Response
	var err error
	for c.next() {
		if c.hedges {
			resp, err = hedged(&c, func(c *call) (*messages.Response, error) { return c.exchange(m) },
				func() func(*call) (*messages.Response, error) {
					own := *m
					own.Header, own.Body = maps.Clone(m.Header), slices.Clone(m.Body)
					return func(c *call) (*messages.Response, error) { return c.exchange(&own) }
				})
		} else {
			resp, err = c.exchange(m)
		}
	}
	if err == nil && c.succeeded() {
		resp.Attempts = append(c.attempts, messages.Attempt{Endpoint: resp.Endpoint, Status: resp.Status})
		return resp, nil
	}
	failed := c.failure(err)
	if resp != nil {
		resp.Attempts = c.attempts
		errors.As(failed, &resp.Err)
	}
	return resp, failed
}

// repeatable works out whether a request by method may be repeated, marked being what
// it says of itself, and refuses one of a method that the service does not take.
func (c *call) repeatable(marked bool) {
	if c.err != nil {
		return
	}
	config := &c.set.config
	c.once = c.options.notIdempotent || config.NotIdempotent || !marked && !retry.Idempotent(c.method)
	if len(config.Methods) > 0 && !slices.Contains(config.Methods, c.method) {
		c.err = &messages.Error{Code: messages.CodeInvalidRequest, Service: c.cell.name,
			Words: fmt.Sprintf("method %.32s is not taken: only %s", c.method, strings.Join(config.Methods, ", "))}
	}
}

func method(m *messages.Request) string {
	switch {
	case m.Method != "":
		return m.Method
	case len(m.Body) > 0:
		return http.MethodPost
	}
	return http.MethodGet
}

// checkRequest refuses what no endpoint should see.
func checkRequest(m *messages.Request) *messages.Error {
	bad := func(format string, a ...any) *messages.Error {
		return &messages.Error{Code: messages.CodeInvalidRequest, Words: fmt.Sprintf(format, a...)}
	}
	if m == nil {
		return bad("request cannot be nil")
	}
	if m.Method != "" && !httpguts.ValidHeaderFieldName(m.Method) {
		return bad("method %.32q is not a token", m.Method)
	}
	if m.Path != "" && !strings.HasPrefix(m.Path, "/") {
		return bad("path %.64q does not begin with /", m.Path)
	}
	if strings.ContainsFunc(m.Path, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '#' }) {
		return bad("path %.64q has a space, a control character or a fragment", m.Path)
	}
	if strings.Contains(m.Path, "%") { // nothing else in it can be wrong now
		if _, err := url.ParseRequestURI(m.Path); err != nil {
			return bad("path %.64q has an escape that is none", m.Path)
		}
	}
	if m.Timeout < 0 {
		return bad("timeout %v is negative", m.Timeout)
	}
	for name, values := range m.Header {
		for _, v := range values {
			if !validHeader(name, v) {
				return bad("header %.64q cannot be sent", name)
			}
		}
	}
	return nil
}

// exchange makes one attempt and reads the whole answer.
func (c *call) exchange(m *messages.Request) (*messages.Response, error) {
	defer c.settle()
	t := c.target.t
	switch {
	case t.endpoint.Handler != nil:
		return c.handle(t.endpoint.Handler, m)
	case t.client == nil:
		err := &messages.Error{Code: messages.CodeInvalidRequest, Service: c.cell.name, Endpoint: t.endpoint.ID, Words: "the endpoint has no URL: only Do can use it"}
		c.end(Permanent(err), 0, nil)
		return nil, err
	}
	req, err := http.NewRequestWithContext(c.attemptCtx, c.method, "http://endpoint"+path(m), bytes.NewReader(m.Body))
	if err != nil {
		err = &messages.Error{Code: messages.CodeInvalidRequest, Service: c.cell.name, Words: "path cannot be parsed"}
		c.end(err, 0, nil)
		return nil, err
	}
	for name, values := range m.Header {
		if forwarded(name) {
			req.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	httptransport.StripHopByHop(req.Header)
	c.inject(req.Header)
	resp, err := t.client.RoundTrip(req)
	if err != nil {
		c.end(err, 0, nil)
		return nil, err
	}
	return c.read(resp)
}

func path(m *messages.Request) string {
	if m.Path == "" {
		return "/"
	}
	return m.Path
}

// forwarded reports whether a request header goes on to the endpoint.
func forwarded(name string) bool {
	lower := strings.ToLower(name)
	return !strings.HasPrefix(lower, "nats-") && !strings.HasPrefix(lower, "understudy-")
}

// read takes the answer's body into memory; the lease goes back when it is
// there, with the latency of its head.
func (c *call) read(resp *http.Response) (*messages.Response, error) {
	now := c.cell.sys.clock.now()
	head := now - c.lease.at
	if c.own != nil {
		c.own.headArrived()
	}
	c.lease.streams.Store(true)
	var broken error
	clock := &c.cell.sys.clock
	own := c.own
	cancel := func() {
		if own != nil {
			own.cancel(errIdle)
		}
	}
	c.target.t.client.Stream(resp, c.readIdle(), cancel, func(err error) { broken = err })
	data, err := io.ReadAll(io.LimitReader(resp.Body, responseMax+1))
	_ = resp.Body.Close()
	if err == nil {
		err = broken
	}
	switch {
	case len(data) > responseMax:
		err = Permanent(&messages.Error{Code: messages.CodePayloadTooLarge, Words: fmt.Sprintf("the answer is larger than %d bytes", responseMax)})
	case err == nil:
		j := c.judge(now, nil, resp.StatusCode, resp.Header)
		r := c.decide(now, &j, nil, resp.StatusCode)
		r.latency, r.ended = head, clock.now()
		c.give(&j, &r, resp.StatusCode)
		return &messages.Response{Status: resp.StatusCode, Header: messages.Header(resp.Header), Body: data, Endpoint: c.target.ID()}, nil
	}
	c.end(err, 0, nil)
	return nil, err
}

// readIdle is how long an answer that is read into memory may pause: its caller
// sees nothing of it yet, so that what would be patience with a stream is only a
// late retry here.
func (c *call) readIdle() time.Duration {
	idle, attempt := bound(c.set.config.IdleTimeout), bound(c.set.config.AttemptTimeout)
	if attempt > 0 && (idle == 0 || attempt < idle) {
		return attempt
	}
	return idle
}

// handle asks an endpoint that is a Go function.
func (c *call) handle(h Handler, m *messages.Request) (resp *messages.Response, err error) {
	resp, err = h(c.attemptCtx, m)
	if err == nil && resp == nil {
		err = errors.New("the handler returned neither an answer nor an error")
	}
	if err != nil {
		c.end(err, 0, nil)
		return nil, err
	}
	out := *resp
	if out.Status == 0 {
		out.Status = http.StatusOK
	}
	out.Endpoint = c.target.ID()
	var header http.Header
	if out.Status >= 400 {
		header = http.Header(out.Header)
	}
	c.end(nil, out.Status, header)
	return &out, nil
}

// request serves a message from another actor. The work leaves the actor at once.
func (s *supervisor) request(c actor.Context, m *messages.Request) {
	sender, root := c.Sender(), s.sys.actors.Root
	if sender == nil {
		return // nobody to answer
	}
	service := s.sys.Service(s.name)
	started := s.sys.pool.tryRun(func() {
		var resp *messages.Response
		var err error
		if perr := guard("Handler", func() error { resp, err = service.Request(extract(s.sys.ctx, m.Header), m); return nil }); perr != nil {
			err = perr
		}
		if resp == nil {
			resp = &messages.Response{}
		}
		if err != nil && !errors.As(err, &resp.Err) {
			resp.Err = &messages.Error{Code: messages.CodeInternal, Service: s.name, Err: err}
		}
		root.Send(sender, resp)
	})
	if !started {
		root.Send(sender, &messages.Response{Err: &messages.Error{Code: messages.CodeOverloaded, Service: s.name, Words: fmt.Sprintf("%d requests are under way", poolSize)}})
	}
}
