package http

import (
	"context"
	"errors"
	"io"
	"net"
	nethttp "net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy/messages"
)

const (
	connection = messages.CodeConnectionError
	invalid    = messages.CodeInvalidRequest
)

func TestRefused(t *testing.T) {
	c := connect(t, "http://"+freePort(t), Pool{}, nil, nil)
	err := fails(t, c, get(t, t.Context(), "/?token=hunter2"), messages.ConnectFailure, connection, "connection refused", true)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.ErrorIs(t, err, messages.ErrConnection)
	require.NotContains(t, err.Error(), "hunter2")
}

func TestNoSuchHost(t *testing.T) {
	// A name that no resolver is asked for: it is not one.
	c := connect(t, "http://"+strings.Repeat("a", 64)+".invalid", Pool{}, nil, nil)
	fails(t, c, get(t, t.Context(), "/"), messages.ConnectFailure, connection, "no such host", true)
}

func TestBrokenBeforeTheHead(t *testing.T) {
	reset := func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }
	for name, c := range map[string]struct {
		handle func(net.Conn)
		words  string
	}{
		"closed":           {readHead, "connection closed before the answer was complete"},
		"closed mid-head":  {func(c net.Conn) { readHead(c); _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX-A: b\r\n") }, "connection closed before the answer was complete"},
		"reset":            {func(c net.Conn) { readHead(c); reset(c) }, "connection reset"},
		"garbage":          {func(c net.Conn) { readHead(c); _, _ = io.WriteString(c, "hunter2\r\n\r\n") }, "no usable answer"},
		"malformed header": {func(c net.Conn) { readHead(c); _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nhunter2\r\n\r\n") }, "no usable answer"},
		"endless head": {func(c net.Conn) {
			readHead(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX-A: "+strings.Repeat("a", 2*headMax))
		}, "no usable answer"},
	} {
		t.Run(name, func(t *testing.T) {
			client := connect(t, "http://"+raw(t, c.handle), Pool{}, nil, nil)
			err := fails(t, client, get(t, t.Context(), "/"), messages.ConnectFailure, connection, c.words, false)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

// A listener that takes requests and never answers.
func TestBlackHole(t *testing.T) {
	for _, c := range []struct {
		name    string
		end     error
		outcome messages.Outcome
		code    messages.Code
		words   string
	}{
		{"deadline", context.DeadlineExceeded, messages.Timeout, messages.CodeTimeout, "no answer in time"},
		{"canceled", context.Canceled, messages.Ignored, messages.CodeCanceled, "canceled by the caller"},
		{"canceled for a reason", errors.New("a hedge was faster"), messages.Ignored, messages.CodeCanceled, "canceled by the caller"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			addr := raw(t, func(conn net.Conn) {
				readHead(conn)
				cancel(c.end)
				_, _ = io.Copy(io.Discard, conn) // until the client gives up
			})
			fails(t, connect(t, "http://"+addr, Pool{}, nil, nil), get(t, ctx, "/"), c.outcome, c.code, c.words, false)
		})
	}
}

func TestRealDeadline(t *testing.T) {
	addr := raw(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := fails(t, connect(t, "http://"+addr, Pool{}, nil, nil), get(t, ctx, "/"), messages.Timeout, messages.CodeTimeout, "no answer in time", false)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// With TLS the handshake is what never ends.
func TestConnectTimeout(t *testing.T) {
	addr := raw(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	c := connect(t, "https://"+addr, Pool{ConnectTimeout: 20 * time.Millisecond}, nil, nil)
	fails(t, c, get(t, t.Context(), "/"), messages.ConnectFailure, connection, "no connection in time", true)
}

func TestDeadlineWhileConnecting(t *testing.T) {
	ctx, expire := expiring(t)
	addr := raw(t, func(c net.Conn) {
		expire()
		_, _ = io.Copy(io.Discard, c)
	})
	c := connect(t, "https://"+addr, Pool{ConnectTimeout: patience}, nil, nil)
	fails(t, c, get(t, ctx, "/"), messages.Timeout, messages.CodeTimeout, "no connection in time", true)
}

func TestOverBeforeItBegan(t *testing.T) {
	s, opened, _ := serve(t, plain, echo)
	c := connect(t, s.URL, Pool{Max: 1}, nil, nil)
	ctx, expire := expiring(t)
	expire()
	fails(t, c, get(t, ctx, "/"), messages.Timeout, messages.CodeTimeout, "timeout", true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	fails(t, c, get(t, ctx, "/"), messages.Ignored, messages.CodeCanceled, "canceled by the caller", true)
	require.Empty(t, opened)
}

type failingBody struct{ err error }

func (b failingBody) Read([]byte) (int, error) { return 0, b.err }
func (failingBody) Close() error               { return nil }

// What a caller does wrong must not count against the endpoint.
func TestCallersMistakes(t *testing.T) {
	const odd = "not a request that can be sent"
	lost := errors.New("the client went away")
	for name, c := range map[string]struct {
		spoil  func(*nethttp.Request)
		words  string
		unsent bool
	}{
		"header name":  {func(r *nethttp.Request) { r.Header["a b"] = []string{"c"} }, odd, true},
		"header value": {func(r *nethttp.Request) { r.Header["A"] = []string{"hunter2\n"} }, odd, true},
		"method":       {func(r *nethttp.Request) { r.Method = "A B" }, odd, true},
		"no header":    {func(r *nethttp.Request) { r.Header = nil }, "has no URL of a known form, or no header", true},
		"no URL":       {func(r *nethttp.Request) { r.URL = nil }, "has no URL of a known form, or no header", true},
		"opaque URL":   {func(r *nethttp.Request) { r.URL = &url.URL{Opaque: "//elsewhere/"} }, "has no URL of a known form, or no header", true},
		"broken body":  {func(r *nethttp.Request) { r.Body, r.ContentLength = failingBody{lost}, 5 }, "the request's body cannot be sent", false},
		"short body":   {func(r *nethttp.Request) { r.ContentLength = 9 }, "the request's body cannot be sent", false},
		"long body":    {func(r *nethttp.Request) { r.ContentLength = 2 }, "the request's body cannot be sent", false},
	} {
		for proto, start := range map[string]func(*httptest.Server){"HTTP/1.1": plain, "HTTP/2": h2} {
			// HTTP/2 leaves a body that is too short to the endpoint's judgement.
			if name == "short body" && proto == "HTTP/2" {
				continue
			}
			t.Run(name+" "+proto, func(t *testing.T) {
				s, _, _ := serve(t, start, func(w nethttp.ResponseWriter, r *nethttp.Request) { _, _ = io.Copy(io.Discard, r.Body) })
				client := connect(t, s.URL, Pool{}, nil, nil)
				if s.TLS != nil {
					client = trusting(t, s, Pool{})
				}
				req := post(t, t.Context(), io.NopCloser(strings.NewReader("hello")))
				req.ContentLength = 5
				c.spoil(req)
				err := fails(t, client, req, messages.Ignored, invalid, c.words, c.unsent)
				require.NotContains(t, err.Error(), "hunter2")
				if name == "broken body" {
					require.ErrorIs(t, err, lost)
				}
			})
		}
	}
}

// A body that never comes holds nobody beyond the deadline, and is the caller's doing.
func TestStalledUpload(t *testing.T) {
	for proto, start := range map[string]func(*httptest.Server){"HTTP/1.1": plain, "HTTP/2": h2} {
		t.Run(proto, func(t *testing.T) {
			s, _, _ := serve(t, start, func(_ nethttp.ResponseWriter, r *nethttp.Request) { _, _ = io.Copy(io.Discard, r.Body) })
			client := connect(t, s.URL, Pool{}, nil, nil)
			if s.TLS != nil {
				client = trusting(t, s, Pool{})
			}
			ctx, expire := expiring(t)
			body, w := io.Pipe()
			go func() {
				_, _ = w.Write([]byte("some")) // returns when all of it was read
				_, _ = w.Write(nil)            // and this when somebody reads again
				expire()
			}()
			req := post(t, ctx, body)
			fails(t, client, req, messages.Ignored, invalid, "the request's body did not come in time", false)
			_, err := w.Write([]byte("more"))
			require.ErrorIs(t, err, io.ErrClosedPipe)
		})
	}
}

// A body that net/http closes because the endpoint hung up is no caller's mistake,
// and its context need remember it no longer.
func TestClosedUploadIsNoFault(t *testing.T) {
	own := &ownContext{Context: context.Background(), done: make(chan struct{})}
	r, _ := io.Pipe()
	u := newUpload(own, &nethttp.Request{Body: r})
	require.EqualValues(t, 1, own.asked.Load())
	require.NoError(t, u.Close())
	require.EqualValues(t, 1, own.left.Load())
	_, err := u.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.ErrClosedPipe)
	require.Nil(t, u.fault.Load())
	require.False(t, u.stalled.Load())
}

// An endpoint that does not read what it is sent has to answer for it.
func TestEndpointDoesNotRead(t *testing.T) {
	finish := make(chan struct{})
	addr := raw(t, func(c net.Conn) {
		_ = c.(*net.TCPConn).SetReadBuffer(4096)
		<-finish
	})
	t.Cleanup(func() { close(finish) })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // enough to fill the buffers between
	defer cancel()
	c := connect(t, "http://"+addr, Pool{}, nil, nil)
	fails(t, c, post(t, ctx, endless{}), messages.Timeout, messages.CodeTimeout, "no answer in time", false)
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
