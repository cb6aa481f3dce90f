package http

import (
	"context"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy/messages"
)

// echo answers with what arrived.
func echo(w nethttp.ResponseWriter, r *nethttp.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Seen-Host", r.Host)
	w.Header().Set("Seen-Uri", r.RequestURI)
	for name, values := range r.Header {
		w.Header()["Seen-"+name] = values
	}
	_, _ = fmt.Fprintf(w, "%s %s", r.Method, body)
}

func TestWhatIsSent(t *testing.T) {
	s, _, _ := serve(t, plain, echo)
	host := strings.TrimPrefix(s.URL, "http://")
	c := connect(t, s.URL+"/api", Pool{}, nil, map[string]string{"authorization": "Bearer x", "X-Team": "shop"})

	req := post(t, t.Context(), strings.NewReader("hello"))
	req.URL.RawQuery = "q=1"
	req.Host = "orders.example"
	req.Header.Set("Authorization", "the caller's")
	req.Header.Set("X-Own", "mine")
	before := req.Clone(t.Context())

	resp, body := succeeds(t, c, req)
	require.Equal(t, "POST hello", body)
	require.Equal(t, "/api/?q=1", resp.Header.Get("Seen-Uri"))
	require.Equal(t, host, resp.Header.Get("Seen-Host"), "the endpoint's host is sent")
	require.Equal(t, "Bearer x", resp.Header.Get("Seen-Authorization"), "a configured header wins")
	require.Equal(t, "shop", resp.Header.Get("Seen-X-Team"))
	require.Equal(t, "mine", resp.Header.Get("Seen-X-Own"))
	require.Empty(t, resp.Header.Get("Seen-Accept-Encoding"))

	require.Same(t, req, resp.Request)
	require.Equal(t, before.Header, req.Header, "the caller's request is left as it was")
	require.Equal(t, before.URL, req.URL)
	require.Equal(t, "orders.example", req.Host)
}

func TestConfiguredHost(t *testing.T) {
	s, _, _ := serve(t, plain, echo)
	c := connect(t, s.URL, Pool{}, nil, map[string]string{"host": "shop.example"})
	resp, _ := succeeds(t, c, get(t, t.Context(), "/"))
	require.Equal(t, "shop.example", resp.Header.Get("Seen-Host"))
}

func TestUserInformationAuthenticates(t *testing.T) {
	s, _, _ := serve(t, plain, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		user, password, _ := r.BasicAuth()
		_, _ = fmt.Fprintf(w, "%s %s %s", user, password, r.Header.Get("Authorization"))
	})
	url := strings.Replace(s.URL, "http://", "http://a:p%40ss@", 1)

	c := connect(t, url, Pool{}, nil, nil)
	require.Nil(t, c.base.User, "it is kept in one place only")
	_, body := succeeds(t, c, get(t, t.Context(), "/"))
	require.Contains(t, body, "a p@ss ")
	_, body = succeeds(t, connect(t, url, Pool{}, nil, map[string]string{"Authorization": "Bearer x"}), get(t, t.Context(), "/"))
	require.Equal(t, "  Bearer x", body)
}

// Credentials must not reach another host, so no redirect is followed.
func TestRedirectsAreAnswers(t *testing.T) {
	other, _, _ := serve(t, plain, func(nethttp.ResponseWriter, *nethttp.Request) { t.Error("the redirect was followed") })
	s, _, _ := serve(t, plain, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		nethttp.Redirect(w, r, other.URL, nethttp.StatusFound)
	})
	resp, _ := succeeds(t, connect(t, s.URL, Pool{}, nil, nil), get(t, t.Context(), "/"))
	require.Equal(t, nethttp.StatusFound, resp.StatusCode)
}

func TestBodyComesUnchanged(t *testing.T) {
	s, _, _ := serve(t, plain, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = io.WriteString(w, "as the endpoint packed it")
	})
	resp, body := succeeds(t, connect(t, s.URL, Pool{}, nil, nil), get(t, t.Context(), "/"))
	require.Equal(t, "as the endpoint packed it", body)
	require.Equal(t, "gzip", resp.Header.Get("Content-Encoding"))
}

func TestClientIsLazy(t *testing.T) {
	f, err := NewFactory(Pool{}, nil, map[string]string{"A": "b"})
	require.NoError(t, err)
	c, err := f.Client("http://127.0.0.1:1/")
	require.NoError(t, err)
	require.Nil(t, c.transport)
	c.Close()
	require.Nil(t, c.transport, "closing makes none either")
}

func TestConnectionsAreReused(t *testing.T) {
	for name, start := range map[string]func(*httptest.Server){"HTTP/1.1": plain, "HTTP/2": h2} {
		t.Run(name, func(t *testing.T) {
			s, opened, closed := serve(t, start, echo)
			c := connect(t, s.URL, Pool{}, nil, nil)
			if s.TLS != nil {
				c = trusting(t, s, Pool{})
			}
			for range 10 {
				resp, _ := succeeds(t, c, get(t, t.Context(), "/"))
				require.Equal(t, name == "HTTP/2", resp.ProtoMajor == 2)
			}
			require.Len(t, opened, 1)
			c.Close()
			receive(t, closed)
		})
	}
}

func TestNoIdleConnections(t *testing.T) {
	s, opened, _ := serve(t, plain, echo)
	c := connect(t, s.URL, Pool{MaxIdle: off}, nil, nil)
	for range 3 {
		succeeds(t, c, get(t, t.Context(), "/"))
	}
	require.Len(t, opened, 3)
}

// A connection in use when its client is closed goes with the end of its answer.
func TestCloseWhileInUse(t *testing.T) {
	for name, start := range map[string]func(*httptest.Server){"HTTP/1.1": plain, "HTTP/2": h2} {
		t.Run(name, func(t *testing.T) {
			head, rest := make(chan struct{}), make(chan struct{})
			s, opened, closed := serve(t, start, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
				_ = nethttp.NewResponseController(w).Flush()
				close(head)
				<-rest
				_, _ = io.WriteString(w, "whole")
			})
			c := connect(t, s.URL, Pool{}, nil, nil)
			if s.TLS != nil {
				c = trusting(t, s, Pool{})
			}
			resp, err := c.RoundTrip(get(t, t.Context(), "/"))
			require.NoError(t, err)
			done := make(chan error, 1)
			c.Stream(resp, 0, func() {}, func(err error) { done <- err })
			receive(t, head)
			c.Close()
			require.Len(t, opened, 1)
			require.Empty(t, closed)

			req := post(t, t.Context(), strings.NewReader("x"))
			body := &watchedBody{Reader: strings.NewReader("x")}
			req.Body = body
			fails(t, c, req, messages.Ignored, messages.CodeClosed, "shut down", true)
			require.True(t, body.closed.Load())

			close(rest)
			b, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Equal(t, "whole", string(b))
			require.NoError(t, receive(t, done))
			receive(t, closed)
		})
	}
}

type watchedBody struct {
	io.Reader
	closed atomic.Bool
}

func (b *watchedBody) Close() error { b.closed.Store(true); return nil }

func TestPoolExhausted(t *testing.T) {
	began, finish := make(chan struct{}, 2), make(chan struct{})
	s, opened, _ := serve(t, plain, func(nethttp.ResponseWriter, *nethttp.Request) {
		began <- struct{}{}
		<-finish
	})
	c := connect(t, s.URL, Pool{Max: 1}, nil, nil)
	first := make(chan error, 1)
	go func() {
		resp, err := c.RoundTrip(get(t, t.Context(), "/"))
		if err == nil {
			err = resp.Body.Close()
		}
		first <- err
	}()
	receive(t, began)

	// One whose deadline passes while it waits is no failure of the endpoint.
	ctx, expire := expiring(t)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GetConn: func(string) { expire() }})
	fails(t, c, get(t, ctx, "/"), messages.Ignored, messages.CodeOverloaded, "waited too long for one of 1 connections", true)

	// One that gives up is only that.
	ctx, cancel := context.WithCancel(t.Context())
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GetConn: func(string) { cancel() }})
	fails(t, c, get(t, ctx, "/"), messages.Ignored, messages.CodeCanceled, "canceled by the caller", true)

	// One that goes on waiting gets the connection.
	waits := make(chan struct{})
	ctx = httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GetConn: func(string) { close(waits) }})
	third := make(chan error, 1)
	go func() {
		resp, err := c.RoundTrip(get(t, ctx, "/"))
		if err == nil {
			err = resp.Body.Close()
		}
		third <- err
	}()
	receive(t, waits)
	close(finish)
	require.NoError(t, receive(t, first))
	require.NoError(t, receive(t, third))
	require.Len(t, opened, 1)
}

// The tracing of a caller is not in our way, nor we in its.
func TestCallersTraceStillRuns(t *testing.T) {
	s, _, _ := serve(t, plain, echo)
	var got, wrote atomic.Int32
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		GotConn:      func(httptrace.GotConnInfo) { got.Add(1) },
		WroteRequest: func(httptrace.WroteRequestInfo) { wrote.Add(1) },
	})
	succeeds(t, connect(t, s.URL, Pool{}, nil, nil), get(t, ctx, "/"))
	require.EqualValues(t, 1, got.Load())
	require.EqualValues(t, 1, wrote.Load())
}

// ownContext is a context that is none of the standard library's, as an attempt's is.
type ownContext struct {
	context.Context
	done  chan struct{}
	asked atomic.Int32
	left  atomic.Int32
}

func (c *ownContext) Done() <-chan struct{} { return c.done }

func (c *ownContext) AfterFunc(func()) func() bool {
	c.asked.Add(1)
	return func() bool { return c.left.Add(1) > 0 }
}

// Where a context has a way to call back, net/http must find it through ours:
// else each request costs a goroutine that waits for Done.
func TestAttemptPassesAfterFuncOn(t *testing.T) {
	own := &ownContext{Context: context.Background(), done: make(chan struct{})}
	_, cancel := context.WithCancel(newAttempt(own))
	defer cancel()
	require.EqualValues(t, 1, own.asked.Load())
}

func TestTLS(t *testing.T) {
	cert, key, parsed := identity(t)
	open, _, _ := serve(t, h2, echo)
	closed, _, _ := serve(t, mutual(parsed), echo)
	clear, _, _ := serve(t, plain, echo)
	ca := certFile(t, open.Certificate().Raw) // httptest uses one for all
	const failed, code = messages.ConnectFailure, messages.CodeConnectionError

	for name, c := range map[string]struct {
		url    string
		tls    *TLS
		words  string // empty: it succeeds
		unsent bool
	}{
		"trusted":               {open.URL, &TLS{CA: ca}, "", false},
		"another name":          {open.URL, &TLS{CA: ca, ServerName: "example.com"}, "", false},
		"wrong name":            {open.URL, &TLS{CA: ca, ServerName: "shop.invalid"}, "TLS: certificate is for another name", true},
		"system's CAs":          {open.URL, nil, "TLS: certificate signed by unknown authority", true},
		"with certificate":      {closed.URL, &TLS{CA: ca, Cert: cert, Key: key}, "", false},
		"without certificate":   {closed.URL, &TLS{CA: ca}, "TLS: certificate required", false}, // TLS 1.3 tells after the handshake
		"endpoint without TLS":  {strings.Replace(clear.URL, "http:", "https:", 1), &TLS{CA: ca}, "TLS: the endpoint does not speak TLS", true},
		"clear to one with TLS": {strings.Replace(open.URL, "https:", "http:", 1), nil, "", false}, // net/http's server says 400
	} {
		t.Run(name, func(t *testing.T) {
			client := connect(t, c.url, Pool{}, c.tls, nil)
			if c.words == "" {
				succeeds(t, client, get(t, t.Context(), "/"))
				return
			}
			fails(t, client, get(t, t.Context(), "/"), failed, code, c.words, c.unsent)
		})
	}
}

// Clients of one factory share what was read, and none changes it under another.
func TestFactorySharesTLS(t *testing.T) {
	s, _, _ := serve(t, h2, echo)
	f, err := NewFactory(Pool{}, &TLS{CA: certFile(t, s.Certificate().Raw)}, nil)
	require.NoError(t, err)
	errs := make(chan error, 8)
	for range cap(errs) {
		go func() {
			c, err := f.Client(s.URL)
			if err == nil {
				defer c.Close()
				var resp *nethttp.Response
				if resp, err = c.RoundTrip(get(t, t.Context(), "/")); err == nil {
					err = resp.Body.Close()
				}
			}
			errs <- err
		}()
	}
	for range cap(errs) {
		require.NoError(t, receive(t, errs))
	}
	require.Empty(t, f.tls.NextProtos)
}

func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}
