package understudy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/understudytest"
)

// A piece of the answer is there as soon as the endpoint flushed it.
func TestAnswersStream(t *testing.T) {
	next := make(chan struct{})
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for i := range 3 {
			fmt.Fprintf(w, "piece %d", i)
			_ = http.NewResponseController(w).Flush()
			<-next
		}
	})
	client, s := through(t, understudy.ServiceConfig{}, server)
	resp, err := client.Get("http://web/")
	require.NoError(t, err)
	for i := range 3 {
		p := make([]byte, 64)
		n, err := io.ReadAtLeast(resp.Body, p, 1)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("piece %d", i), string(p[:n]))
		require.Equal(t, 1, status(t, s, "a").Inflight)
		next <- struct{}{}
	}
	require.Empty(t, bodyOf(t, resp))
	requireIdle(t, s)
}

// The request's body goes out while the answer comes in.
func TestBothWaysStream(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	echo := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		_ = rc.EnableFullDuplex()
		_ = rc.Flush() // the head before any of the body
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			fmt.Fprintln(w, strings.ToUpper(lines.Text()))
			_ = rc.Flush()
		}
	})}
	go func() { _ = echo.Serve(listener) }()
	t.Cleanup(func() { _ = echo.Close() })
	s := service(t, understudy.ServiceConfig{Endpoints: []understudy.Endpoint{{ID: "a", URL: "http://" + listener.Addr().String()}}})

	r, w := io.Pipe()
	resp, err := s.RoundTripper().RoundTrip(request(t, http.MethodPost, "http://web/", r))
	require.NoError(t, err)
	lines := bufio.NewReader(resp.Body)
	for _, word := range []string{"one", "two", "three"} {
		_, err := fmt.Fprintln(w, word)
		require.NoError(t, err)
		got, err := lines.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, strings.ToUpper(word)+"\n", got)
	}
	require.NoError(t, w.Close())
	_, err = lines.ReadString('\n')
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, resp.Body.Close())
	requireIdle(t, s)
}

func TestTheClientGoesAwayInMidBody(t *testing.T) {
	gone := make(chan struct{})
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "begin")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(gone)
	})
	client, s := through(t, understudy.ServiceConfig{Breaker: understudy.Breaker{FailureThreshold: 1}}, server)
	ctx, cancel := context.WithCancel(t.Context())
	req := request(t, http.MethodGet, "http://web/", nil).WithContext(ctx)
	resp, err := client.Do(req)
	require.NoError(t, err)
	_, err = io.ReadFull(resp.Body, make([]byte, 5))
	require.NoError(t, err)
	cancel()
	_, err = io.ReadAll(resp.Body)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, resp.Body.Close())
	<-gone // the endpoint heard of it
	requireIdle(t, s)
	require.Zero(t, status(t, s, "a").Failures)
	require.Equal(t, "closed", status(t, s, "a").Breaker)
}

func TestTheClientClosesInMidBody(t *testing.T) {
	gone := make(chan struct{})
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "begin")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(gone)
	})
	client, s := through(t, understudy.ServiceConfig{}, server)
	resp, err := client.Get("http://web/")
	require.NoError(t, err)
	require.Equal(t, 1, status(t, s, "a").Inflight)
	require.NoError(t, resp.Body.Close())
	<-gone
	requireIdle(t, s)
	require.Zero(t, status(t, s, "a").Failures)
	require.EqualValues(t, 1, s.Stats().Succeeded)
}

func TestTheClientGoesAwayBeforeTheHead(t *testing.T) {
	server := understudytest.BlackHole(t)
	client, s := through(t, understudy.ServiceConfig{Breaker: understudy.Breaker{FailureThreshold: 1}}, server)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { server.AwaitHits(1); cancel() }()
	_, err := client.Do(request(t, http.MethodGet, "http://web/", nil).WithContext(ctx))
	coded(t, err, messages.CodeCanceled)
	require.ErrorIs(t, err, context.Canceled)
	requireIdle(t, s)
	require.Equal(t, "closed", status(t, s, "a").Breaker)
	require.EqualValues(t, 1, s.Stats().Canceled)
}

// The client's own timeout reads as one.
func TestTheClientsTimeout(t *testing.T) {
	client, s := through(t, understudy.ServiceConfig{}, understudytest.BlackHole(t))
	client.Timeout = 20 * time.Millisecond
	_, err := client.Get("http://web/")
	require.ErrorContains(t, err, "web/a: timeout")
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout())
	require.ErrorIs(t, err, context.DeadlineExceeded)
	requireIdle(t, s)
	require.Zero(t, status(t, s, "a").Failures, "an impatient caller says nothing of the endpoint")
}

// Who streams keeps what it has: an endpoint, a service or a system that goes
// waits for the body's end.
func TestWhoStreamsIsWaitedFor(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, us *understudy.System, s *understudy.Service) (wait func()){
		"deregister": func(t *testing.T, _ *understudy.System, s *understudy.Service) func() {
			require.NoError(t, s.Deregister("a"))
			return func() {}
		},
		"another URL": func(t *testing.T, _ *understudy.System, s *understudy.Service) func() {
			require.NoError(t, s.Update(understudytest.Good(t).Endpoint("a")))
			return func() {}
		},
		"remove": func(t *testing.T, us *understudy.System, _ *understudy.Service) func() {
			require.NoError(t, us.RemoveService("web"))
			return func() {}
		},
		"configure": func(t *testing.T, _ *understudy.System, s *understudy.Service) func() {
			require.NoError(t, s.Configure(understudy.ServiceConfig{}))
			return func() {}
		},
		"shut down": func(t *testing.T, us *understudy.System, s *understudy.Service) func() {
			down := make(chan error, 1)
			go func() { down <- us.Shutdown(t.Context()) }()
			for !s.Status().Draining {
			}
			require.Empty(t, down)
			return func() { require.NoError(t, <-down) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			finish := make(chan struct{})
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprint(w, "begin, ")
				_ = http.NewResponseController(w).Flush()
				<-finish
				fmt.Fprint(w, "end")
			})
			us := start(t)
			s := add(t, us, "web", understudy.ServiceConfig{Endpoints: []understudy.Endpoint{server.Endpoint("a")}})
			resp, err := (&http.Client{Transport: s.RoundTripper()}).Get("http://web/")
			require.NoError(t, err)
			wait := end(t, us, s)
			close(finish)
			require.Equal(t, "begin, end", bodyOf(t, resp))
			wait()
		})
	}
}

// The attempt's timeout ends at the head: a body may take longer.
func TestABodyMayTakeLongerThanItsAttempt(t *testing.T) {
	clock := understudytest.NewClock()
	next := make(chan struct{})
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-next
		fmt.Fprint(w, "late")
	})
	s := service(t, understudy.ServiceConfig{Endpoints: []understudy.Endpoint{server.Endpoint("a")}}, understudy.WithClock(clock))
	resp, err := (&http.Client{Transport: s.RoundTripper()}).Get("http://web/")
	require.NoError(t, err)
	clock.Advance(time.Minute)
	close(next)
	require.Equal(t, "late", bodyOf(t, resp))
	require.Zero(t, status(t, s, "a").Timeouts)
	require.EqualValues(t, 1, s.Stats().Succeeded)
	requireIdle(t, s)
}

func TestAnAttemptThatTakesTooLong(t *testing.T) {
	clock := understudytest.NewClock()
	hole, good := understudytest.BlackHole(t), understudytest.Good(t)
	s := service(t, understudy.ServiceConfig{Strategy: inOrder, Endpoints: []understudy.Endpoint{hole.Endpoint("hole"), good.Endpoint("good")}},
		understudy.WithClock(clock))
	go func() { hole.AwaitHits(1); clock.Advance(2 * time.Second) }()
	resp, err := (&http.Client{Transport: s.RoundTripper()}).Get("http://web/")
	require.NoError(t, err)
	require.Equal(t, "ok", bodyOf(t, resp))
	require.EqualValues(t, 1, status(t, s, "hole").Timeouts)
	requireIdle(t, s)
}

func TestIdleTimeout(t *testing.T) {
	gone := make(chan struct{})
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "begin")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(gone)
	})
	client, s := through(t, understudy.ServiceConfig{IdleTimeout: 20 * time.Millisecond}, server)
	resp, err := client.Get("http://web/")
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.Equal(t, "begin", string(body))
	coded(t, err, messages.CodeTimeout)
	require.NoError(t, resp.Body.Close())
	<-gone
	requireIdle(t, s)
	require.EqualValues(t, 1, status(t, s, "a").Timeouts, "it counts against the endpoint")
	require.EqualValues(t, 1, s.Stats().Failed)
}

// An endpoint that goes away in mid-body: the client sees a broken answer, never
// a short one that looks whole.
func TestTheEndpointGoesAwayInMidBody(t *testing.T) {
	for name, length := range map[string]string{"chunked": "", "with a length": "100"} {
		t.Run(name, func(t *testing.T) {
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if length != "" {
					w.Header().Set("Content-Length", length)
				}
				fmt.Fprint(w, "begin")
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			})
			client, s := through(t, understudy.ServiceConfig{}, server)
			resp, err := client.Get("http://web/")
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.Equal(t, "begin", string(body))
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.NoError(t, resp.Body.Close())
			requireIdle(t, s)
			require.EqualValues(t, 1, status(t, s, "a").Failures)
			require.EqualValues(t, 1, s.Stats().Failed)
			require.Equal(t, 1, server.Hits(), "half an answer is not repeated")
		})
	}
}

func TestTrailers(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.Copy(w, r.Body)
		w.Header().Set("X-Sum", "7 "+r.Trailer.Get("X-Asked"))
	})
	client, s := through(t, understudy.ServiceConfig{}, server)
	req := request(t, http.MethodPut, "http://web/", &once{Reader: strings.NewReader("the body")})
	req.Trailer = http.Header{"X-Asked": {"twice"}}
	resp, err := client.Do(req)
	require.NoError(t, err)
	require.Equal(t, "the body", bodyOf(t, resp))
	require.Equal(t, "7 twice", resp.Trailer.Get("X-Sum"))
	requireIdle(t, s)
}

// After 101 Switching Protocols the body is the connection, both ways.
func TestUpgrades(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n")
		_ = rw.Flush()
		line, _ := rw.ReadString('\n')
		fmt.Fprint(rw, strings.ToUpper(line))
		_ = rw.Flush()
	})
	client, s := through(t, understudy.ServiceConfig{}, server)
	req := request(t, http.MethodGet, "http://web/", nil)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "shout")
	resp, err := client.Do(req)
	require.NoError(t, err)
	require.Equal(t, 101, resp.StatusCode)
	require.Equal(t, 1, status(t, s, "a").Inflight)
	conn, ok := resp.Body.(io.ReadWriteCloser)
	require.True(t, ok)
	_, err = io.WriteString(conn, "hello\n")
	require.NoError(t, err)
	got, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Equal(t, "HELLO\n", string(got))
	require.NoError(t, conn.Close())
	requireIdle(t, s)
}
