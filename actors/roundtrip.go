package actors

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/understudy-go/understudy/actors/transport"
	"github.com/understudy-go/understudy/messages"
)

// roundTripper sends HTTP requests to a service's endpoints.
type roundTripper struct {
	service func(*http.Request) *Service // nil result: not ours
	base    http.RoundTripper            // for what is not ours
	opts    []CallOption
}

// RoundTripper returns a transport for http.Client whose requests go to the
// service, whatever their URL's host. The URL's path is appended to the
// endpoint's; see the transport's package for the rules of joining and of Host.
//
// A response body streams; the request's context bounds it, and so does
// idle_timeout between its bytes. A request is repeated when its method or an
// Idempotency-Key says that it may be and its body can be had again (GetBody),
// or when nothing of it was sent. When the last attempt got an answer, that
// answer is returned with err nil and Understudy-Error set.
func (s *Service) RoundTripper(opts ...CallOption) http.RoundTripper {
	return &roundTripper{service: func(*http.Request) *Service { return s }, opts: opts}
}

// RoundTripper returns a transport that takes the URL's host for a service's
// name, and hands every other request to base (nil: http.DefaultTransport).
func (s *System) RoundTripper(base http.RoundTripper, opts ...CallOption) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	return &roundTripper{base: base, opts: opts, service: func(r *http.Request) *Service {
		service, _ := s.Lookup(r.URL.Hostname())
		return service
	}}
}

// RoundTrip implements http.RoundTripper.
func (rt *roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	service := rt.service(req)
	if service == nil {
		return rt.base.RoundTrip(req)
	}
	if m, ok := service.kept(req); ok {
		return service.roundTripKept(m, req, rt.opts)
	}
	body := replay{req: req}
	defer body.close()
	var c call
	c.method = req.Method
	if c.method == "" {
		c.method = http.MethodGet
	}
	c.begin(req.Context(), service, rt.opts)
	c.repeatable(req.Header.Get(messages.HeaderIdempotencyKey) != "")
	var resp *http.Response
	var err error
	if req.Body == nil || req.Body == http.NoBody || req.GetBody != nil {
		c.hedgeable()
	}
	for c.next() {
		if c.hedges {
			resp, err = hedged(&c, func(c *call) (*http.Response, error) { return c.roundTrip(req, &body) },
				func() func(*call) (*http.Response, error) {
					own := req.Clone(req.Context())
					return func(c *call) (*http.Response, error) { return c.roundTrip(own, &replay{req: own}) }
				})
		} else {
			resp, err = c.roundTrip(req, &body)
		}
	}
	if err == nil && c.succeeded() {
		if kept := c.cell.cache.Load(); kept != nil {
			kept.Answered(&messages.Request{Path: req.URL.RequestURI()}, c.method, resp.StatusCode)
		}
		return resp, nil
	}
	if c.cell == nil {
		return nil, c.failure(err)
	}
	var f *messages.Response
	failed := c.failure(err)
	if c.cell.fallsBack() {
		m, whole := asMessage(service, req)
		o := c.options
		if o.timeout > 0 { // it began with the call
			m.Deadline, o.timeout = c.cell.sys.clock.wall(c.began+o.timeout), 0
		}
		f, failed = c.cell.fallBack(req.Context(), m, whole, o, failed)
	}
	if f == nil && resp != nil && handOn(resp, failed) {
		return resp, nil
	}
	if resp != nil {
		_ = resp.Body.Close()
	}
	if f != nil {
		return httpResponse(f, req), nil
	}
	return nil, failed
}

// asMessage is the request as a message, and whether it is whole: a body that cannot
// be had again is not in it.
func asMessage(s *Service, req *http.Request) (m *messages.Request, whole bool) {
	m = &messages.Request{Service: s.name, Method: req.Method, Path: req.URL.RequestURI(), Header: messages.Header(req.Header)}
	if m.Method == "" {
		m.Method = http.MethodGet
	}
	switch {
	case req.Body == nil || req.Body == http.NoBody:
		return m, true
	case req.GetBody == nil:
		return m, false
	}
	body, err := req.GetBody()
	if err != nil {
		return m, false
	}
	defer body.Close()
	m.Body, err = io.ReadAll(io.LimitReader(body, responseMax+1))
	return m, err == nil && len(m.Body) <= responseMax
}

// kept reports whether the request is for the service's cache. Its answer is then read
// into memory before anybody sees it.
func (s *Service) kept(req *http.Request) (*messages.Request, bool) {
	cell := s.cell.Load()
	if cell == nil || req.Body != nil && req.Body != http.NoBody {
		return nil, false
	}
	c := cell.cache.Load()
	if c == nil {
		return nil, false
	}
	m, _ := asMessage(s, req)
	return m, c.Takes(m, m.Method)
}

// roundTripKept answers a request by the service's cache.
func (s *Service) roundTripKept(m *messages.Request, req *http.Request, opts []CallOption) (*http.Response, error) {
	var o CallOption
	for i := range opts {
		o.merge(&opts[i])
	}
	resp, err := s.request(req.Context(), m, o)
	if resp == nil {
		return nil, err
	}
	out := httpResponse(resp, req)
	if err != nil && !handOn(out, err) {
		return nil, err
	}
	return out, nil
}

// handOn reports whether the last attempt's answer stands for the error: that is
// so but where the caller gave up, the system closed or a user's function panicked.
func handOn(resp *http.Response, failed error) bool {
	var e *messages.Error // the outermost: a panic in a fallback has the failure inside
	if !errors.As(failed, &e) {
		return false
	}
	if e.Code == messages.CodeRetryExhausted {
		resp.Header.Set(messages.HeaderError, string(messages.CodeRetryExhausted))
	}
	return e.Code == messages.CodeRetryExhausted || e.Code == messages.CodeRateLimited
}

// roundTrip makes one attempt.
func (c *call) roundTrip(req *http.Request, body *replay) (*http.Response, error) {
	defer c.settle()
	t := c.target.t
	if t.endpoint.Handler != nil {
		return c.handleHTTP(req, body)
	}
	if t.client == nil {
		err := &messages.Error{Code: messages.CodeInvalidRequest, Service: c.cell.name, Endpoint: t.endpoint.ID, Words: "the endpoint has no URL: only Do can use it"}
		c.end(Permanent(err), 0, nil)
		return nil, err
	}
	out := req.Clone(c.attemptCtx)
	var err error
	if out.Body, err = body.next(); err != nil {
		err = &messages.Error{Code: messages.CodeInvalidRequest, Words: "the request's body cannot be had again", Err: err}
		c.end(err, 0, nil)
		return nil, err
	}
	c.inject(out.Header)
	resp, err := t.client.RoundTrip(out)
	if body.spent(err) {
		c.max = c.attempt // no other attempt can have it
	}
	if err != nil {
		c.end(err, 0, nil)
		return nil, err
	}
	resp.Request = req
	if !c.answered(resp) {
		resp = nil
	}
	return resp, nil
}

// handleHTTP asks an endpoint that is a Go function.
func (c *call) handleHTTP(req *http.Request, body *replay) (*http.Response, error) {
	b, err := body.next()
	m := &messages.Request{Service: c.cell.name, Method: c.method, Path: req.URL.RequestURI(), Header: messages.Header(req.Header)}
	if err == nil && b != nil {
		m.Body, err = io.ReadAll(io.LimitReader(b, responseMax+1))
		_ = b.Close()
		if body.spent(err) {
			c.max = c.attempt
		}
	}
	switch {
	case err != nil:
		err = &messages.Error{Code: messages.CodeInvalidRequest, Words: "the request's body cannot be read", Err: err}
	case len(m.Body) > responseMax: // a part of it is another request
		err = &messages.Error{Code: messages.CodePayloadTooLarge, Words: fmt.Sprintf("the request's body is larger than %d bytes", responseMax)}
	}
	if err != nil {
		c.end(err, 0, nil)
		return nil, err
	}
	resp, err := c.handle(c.target.t.endpoint.Handler, m)
	if err != nil {
		return nil, err
	}
	return httpResponse(resp, req), nil
}

// replay gives a request's body to one attempt after another, as far as it can.
type replay struct {
	req  *http.Request
	once *touch // the body, where it can be had only once
}

// next returns the body for the next attempt.
func (b *replay) next() (io.ReadCloser, error) {
	switch {
	case b.req.Body == nil || b.req.Body == http.NoBody:
		return b.req.Body, nil
	case b.req.GetBody != nil:
		return b.req.GetBody()
	}
	if b.once == nil {
		b.once = &touch{ReadCloser: b.req.Body}
	}
	return b.once, nil
}

// spent reports whether a body that can be had only once is the transport's now,
// after an attempt that ended so: it was read, or may still be, while the answer
// is already there.
func (b *replay) spent(err error) bool {
	if b.once == nil || !b.once.read.Load() && transport.Unsent(err) {
		return false
	}
	b.once.letGo()
	return true
}

// close closes the caller's body, as a RoundTripper must, where no transport does.
func (b *replay) close() {
	switch {
	case b.once != nil:
		if !b.once.gone.Load() {
			b.once.shut()
		}
	case b.req.Body != nil:
		_ = b.req.Body.Close()
	}
}

// touch is a body on its way through transports. One that found no connection
// closes it unread: it is kept open then, for another attempt.
type touch struct {
	io.ReadCloser
	read   atomic.Bool // the transport reads in a goroutine of its own
	closed atomic.Bool // the transport asked for it
	gone   atomic.Bool // there is no other attempt
	once   sync.Once
}

func (t *touch) Read(p []byte) (int, error) {
	t.read.Store(true)
	return t.ReadCloser.Read(p)
}

func (t *touch) Close() error {
	t.closed.Store(true)
	if t.gone.Load() || t.read.Load() {
		t.shut()
	}
	return nil
}

// letGo leaves the body to the transport that has it.
func (t *touch) letGo() {
	t.gone.Store(true)
	if t.closed.Load() {
		t.shut()
	}
}

func (t *touch) shut() { t.once.Do(func() { _ = t.ReadCloser.Close() }) }

func httpResponse(m *messages.Response, req *http.Request) *http.Response {
	h := http.Header(m.Header).Clone() // a Go function may give the same one each time
	if h == nil {
		h = http.Header{}
	}
	if m.Fallback {
		h.Set(messages.HeaderFallback, "true")
	}
	if m.Cache != "" {
		h.Set(messages.HeaderCache, string(m.Cache))
	}
	resp := &http.Response{
		Status: fmt.Sprintf("%d %s", m.Status, http.StatusText(m.Status)), StatusCode: m.Status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: io.NopCloser(bytes.NewReader(m.Body)), ContentLength: int64(len(m.Body)), Request: req,
	}
	if req.Method == http.MethodHead {
		resp.Body, resp.ContentLength = http.NoBody, -1
		if n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64); err == nil {
			resp.ContentLength = n
		}
	}
	return resp
}
