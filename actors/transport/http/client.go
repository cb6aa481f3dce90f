package http

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net"
	nethttp "net/http"
	"net/url"
	"sync"
	"time"

	"github.com/understudy-go/understudy/actors/transport"
	"github.com/understudy-go/understudy/messages"
)

const (
	// headMax bounds the head of an answer; net/http's own bound is 10 MB.
	headMax = 1 << 20
	// A kept HTTP/2 connection that carries nothing is asked after pingAfter whether
	// it still lives, and given up pingTimeout later. Without that, requests go to
	// one whose other end silently vanished for as long as TCP repeats itself:
	// about a quarter of an hour.
	pingAfter   = 10 * time.Second
	pingTimeout = 5 * time.Second
	// closeAgain is when connections are looked at once more after the last answer of
	// a closed client: HTTP/2 lets a stream go a moment after its body's end.
	closeAgain = time.Second
)

// Factory makes the clients of a service: it holds what they share, so that the
// hundred-thousandth endpoint reads no certificate and keeps no copy of the headers.
type Factory struct {
	pool   Pool
	tls    *tls.Config // nil: net/http's defaults; cloned for each transport, which changes it
	header nethttp.Header
	host   string // the configured header Host
}

// NewFactory reads the files of t, which may be nil, and returns all that is wrong
// with them and with the pool.
func NewFactory(pool Pool, t *TLS, headers map[string]string) (*Factory, error) {
	f := &Factory{pool: pool.WithDefaults()}
	var faults []error
	if err := pool.Validate(); err != nil {
		faults = append(faults, fmt.Errorf("pool: %w", err))
	}
	if t != nil {
		err := t.Validate()
		if err == nil {
			f.tls, err = t.load()
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("tls: %w", err))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	for name, value := range headers {
		name = nethttp.CanonicalHeaderKey(name)
		if name == "Host" {
			f.host = value
			continue
		}
		if f.header == nil {
			f.header = make(nethttp.Header, len(headers))
		}
		f.header[name] = []string{value}
	}
	return f, nil
}

// Client sends requests to one endpoint. It is safe for concurrent use.
type Client struct {
	factory *Factory
	base    *url.URL // without user information
	auth    string   // its value of Authorization, or ""

	mu        sync.Mutex
	transport *nethttp.Transport // nil until the first request
	closed    bool
	retired   bool
}

// New makes a client alone; for the endpoints of one service use one [Factory].
func New(rawURL string, pool Pool, tls *TLS, headers map[string]string) (*Client, error) {
	f, err := NewFactory(pool, tls, headers)
	if err != nil {
		return nil, err
	}
	return f.Client(rawURL)
}

// Client makes a client for the endpoint at rawURL: http or https, a host, perhaps
// a port, a path and user information, and nothing else. No error quotes it.
func (f *Factory) Client(rawURL string) (*Client, error) {
	u, err := url.Parse(rawURL)
	switch {
	case err != nil:
		return nil, errors.New("url: not a URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("url: must begin with http:// or https://")
	case u.Hostname() == "":
		return nil, errors.New("url: has no host")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("url: a base URL has no query and no fragment")
	}
	c := &Client{factory: f, base: u}
	if u.User != nil {
		if _, configured := f.header["Authorization"]; !configured {
			password, _ := u.User.Password()
			c.auth = "Basic " + base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password))
		}
		u.User = nil
	}
	return c, nil
}

// RoundTrip sends req to the endpoint under the context of req and returns the
// head of the answer, whatever its status; it follows no redirect. It reads and
// closes the request's body and changes nothing else of req. The body is also
// closed when the context ends, so that one that never comes holds nobody up.
//
// The answer's body must be closed; give it to [Client.Stream] first.
//
// For its errors see the package comment. They come without a service and an
// endpoint. transport.Unsent says whether anything may have been sent.
func (c *Client) RoundTrip(req *nethttp.Request) (*nethttp.Response, error) {
	ctx := req.Context()
	a := newAttempt(ctx)
	t := c.open()
	if t == nil {
		return nil, refuse(req, &messages.Error{Code: messages.CodeClosed})
	}
	maxConns := t.MaxConnsPerHost
	switch {
	case req.URL == nil || req.URL.Opaque != "" || req.Header == nil:
		return nil, refuse(req, &messages.Error{Code: messages.CodeInvalidRequest, Words: "has no URL of a known form, or no header"})
	case ctx.Err() != nil:
		return nil, refuse(req, a.ended(false, false, nil, 0)) // it did not wait for the pool
	}

	out := req.WithContext(a)
	out.URL = target(c.base, req.URL)
	out.Host = c.factory.host
	out.Header = c.header(req.Header)
	var up *upload
	if req.Body != nil && req.Body != nethttp.NoBody {
		up = newUpload(ctx, req)
		out.Body = up
	}
	resp, err := t.RoundTrip(out)
	if err != nil {
		c.bodyEnded()
		return nil, a.explain(err, up, maxConns)
	}
	if resp.StatusCode < 100 { // net/http takes any three digits
		_ = resp.Body.Close()
		c.bodyEnded()
		return nil, &messages.Error{Code: messages.CodeConnectionError, Words: "no usable answer"}
	}
	resp.Request = req
	return resp, nil
}

// refuse keeps RoundTrip's promise that the body is closed.
func refuse(req *nethttp.Request, e *messages.Error) error {
	if req.Body != nil {
		_ = req.Body.Close()
	}
	return transport.MarkUnsent(e)
}

// header is the request's own with the configured ones in their place.
func (c *Client) header(h nethttp.Header) nethttp.Header {
	if len(c.factory.header) == 0 && c.auth == "" {
		return h
	}
	out := maps.Clone(h)
	maps.Copy(out, c.factory.header)
	if c.auth != "" {
		out["Authorization"] = []string{c.auth}
	}
	return out
}

// open returns the transport, made at first use; nil once closed.
func (c *Client) open() *nethttp.Transport {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	if c.transport == nil {
		c.transport = c.factory.transport(c.base.Scheme)
	}
	return c.transport
}

func (f *Factory) transport(scheme string) *nethttp.Transport {
	dialer := &net.Dialer{Timeout: f.pool.ConnectTimeout}
	t := &nethttp.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			dialing(ctx)
			return dialer.DialContext(ctx, network, address)
		},
		MaxConnsPerHost:        max(f.pool.Max, 0),
		MaxIdleConnsPerHost:    f.pool.MaxIdle,
		DisableKeepAlives:      f.pool.MaxIdle == off,
		IdleConnTimeout:        f.pool.IdleTimeout,
		TLSHandshakeTimeout:    f.pool.ConnectTimeout,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: headMax,
		DisableCompression:     true,
		Protocols:              new(nethttp.Protocols),
		HTTP2:                  &nethttp.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}
	t.Protocols.SetHTTP1(true)
	if scheme == "https" {
		t.Protocols.SetHTTP2(true)
		t.TLSClientConfig = f.tls.Clone()
	}
	return t
}

// Close refuses further requests with CLOSED and closes the idle connections at
// once, those in use when the body of their answer ends.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	t := c.transport
	c.mu.Unlock()
	if t != nil {
		t.CloseIdleConnections()
	}
}

// Retire closes the idle connections, and those in use when the body of their
// answer ends, but goes on serving whoever still holds the client.
func (c *Client) Retire() {
	c.mu.Lock()
	c.retired = true
	t := c.transport
	c.mu.Unlock()
	if t != nil {
		t.CloseIdleConnections()
	}
}

// bodyEnded closes what became idle after Close or Retire.
func (c *Client) bodyEnded() {
	if c == nil {
		return // a user's own client made the connection
	}
	c.mu.Lock()
	closed, t := c.closed || c.retired, c.transport
	c.mu.Unlock()
	if !closed || t == nil {
		return
	}
	t.CloseIdleConnections()
	time.AfterFunc(closeAgain, t.CloseIdleConnections)
}
