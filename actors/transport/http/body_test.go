package http

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/understudy-go/understudy/actors/transport"
	"github.com/understudy-go/understudy/messages"
)

const idle = 30 * time.Second

// pipe is a body on a virtual clock: what w is given arrives, and cancel breaks it
// off as the end of a request's context does.
func pipe(t *testing.T) (resp *nethttp.Response, w *io.PipeWriter, done *[]error) {
	r, w := io.Pipe()
	resp = &nethttp.Response{Body: r}
	done = new([]error)
	new(Client).Stream(resp, idle,
		func() { _ = w.CloseWithError(context.Canceled) },
		func(err error) { *done = append(*done, err) })
	return resp, w, done
}

// pass lets virtual time pass.
func pass(d time.Duration) { <-time.After(d) }

func isIdle(t *testing.T, err error) {
	t.Helper()
	require.EqualError(t, err, "no byte for 30s")
	require.ErrorIs(t, err, messages.ErrTimeout)
	outcome, code := transport.Classify(err)
	require.Equal(t, messages.Timeout, outcome)
	require.Equal(t, messages.CodeTimeout, code)
}

func TestIdleBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resp, w, done := pipe(t)
		go func() {
			for range 3 {
				pass(idle - 1)
				_, _ = w.Write([]byte("x"))
			}
		}()
		begin := time.Now()
		b, err := io.ReadAll(resp.Body)
		require.Equal(t, "xxx", string(b), "bytes in time are not idle, however long the whole takes")
		isIdle(t, err)
		require.Equal(t, 3*(idle-1)+idle, time.Since(begin))

		_, err = resp.Body.Read(make([]byte, 1))
		isIdle(t, err)
		require.NoError(t, resp.Body.Close())
		require.Len(t, *done, 1)
		isIdle(t, (*done)[0])
	})
}

// The endpoint does not answer for a reader that takes its time.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resp, w, done := pipe(t)
		go func() {
			_, _ = w.Write([]byte("ab"))
			_ = w.Close()
		}()
		p := make([]byte, 1)
		for range 2 {
			pass(2 * idle)
			n, err := resp.Body.Read(p)
			require.Equal(t, 1, n)
			require.NoError(t, err)
		}
		pass(2 * idle)
		_, err := resp.Body.Read(p)
		require.Equal(t, io.EOF, err)
		require.Equal(t, []error{nil}, *done)
	})
}

func TestEndOfBody(t *testing.T) {
	odd := errors.New("odd")
	for name, c := range map[string]struct {
		end  error // how the body ends after one byte; nil: the reader closes it first
		done error
	}{
		"whole":                    {io.EOF, nil},
		"broken":                   {odd, odd},
		"truncated":                {io.ErrUnexpectedEOF, io.ErrUnexpectedEOF},
		"closed early":             {nil, transport.ErrClosedEarly},
		"the caller canceled":      {context.Canceled, transport.ErrClosedEarly},
		"the caller's deadline":    {context.DeadlineExceeded, transport.ErrClosedEarly},
		"a deadline of the socket": {&net.OpError{Op: "read", Err: syscallTimeout{}}, &net.OpError{Op: "read", Err: syscallTimeout{}}},
	} {
		t.Run(name, func(t *testing.T) {
			resp, w, done := pipe(t)
			go func() {
				_, _ = w.Write([]byte("x"))
				if c.end != nil {
					_ = w.CloseWithError(c.end)
				}
			}()
			_, err := resp.Body.Read(make([]byte, 1))
			require.NoError(t, err)
			require.Empty(t, *done)
			if c.end != nil {
				for range 2 {
					_, err = resp.Body.Read(make([]byte, 1))
					require.Equal(t, c.end, err, "the reader gets the error as it is")
				}
			}
			require.NoError(t, resp.Body.Close())
			require.NoError(t, resp.Body.Close())
			require.Equal(t, []error{c.done}, *done)
		})
	}
}

type syscallTimeout struct{}

func (syscallTimeout) Error() string { return "timed out" }
func (syscallTimeout) Timeout() bool { return true }

func TestNoBody(t *testing.T) {
	var done []error
	resp := &nethttp.Response{Body: nethttp.NoBody}
	new(Client).Stream(resp, idle, func() {}, func(err error) { done = append(done, err) })
	require.Equal(t, []error{nil}, done)
	require.Equal(t, nethttp.NoBody, resp.Body)
}

func TestWithoutIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		resp := &nethttp.Response{Body: r}
		var done []error
		new(Client).Stream(resp, -1, func() { t.Error("canceled") }, func(err error) { done = append(done, err) })
		go func() {
			pass(1000 * time.Hour)
			_ = w.Close()
		}()
		_, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, []error{nil}, done)
	})
}

// However readers, closers and writers race, done is heard once, and cancel only
// while somebody reads and for want of bytes.
func TestDoneExactlyOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		writes := rapid.IntRange(0, 3).Draw(rt, "writes")
		closers := rapid.IntRange(1, 3).Draw(rt, "closers")
		pause := time.Duration(rapid.Int64Range(0, int64(2*idle)).Draw(rt, "pause"))
		closing := time.Duration(rapid.Int64Range(0, int64(4*idle)).Draw(rt, "closing"))
		ends := rapid.Bool().Draw(rt, "ends")
		synctest.Test(t, func(t *testing.T) {
			r, w := io.Pipe()
			resp := &nethttp.Response{Body: r}
			var done, canceled atomic.Int32
			new(Client).Stream(resp, idle,
				func() { canceled.Add(1); _ = w.CloseWithError(context.Canceled) },
				func(error) { done.Add(1) })
			var wg sync.WaitGroup
			wg.Go(func() {
				for range writes {
					pass(pause)
					if _, err := w.Write([]byte("xx")); err != nil {
						return
					}
				}
				if ends {
					_ = w.Close()
				}
			})
			wg.Go(func() { _, _ = io.Copy(struct{ io.Writer }{io.Discard}, resp.Body) })
			for range closers {
				wg.Go(func() {
					pass(closing)
					_ = resp.Body.Close()
				})
			}
			wg.Wait()
			require.EqualValues(t, 1, done.Load())
			if pause < idle && ends {
				require.Zero(t, canceled.Load())
			}
			require.LessOrEqual(t, canceled.Load(), int32(1))
		})
	})
}

// stream makes a request whose context the returned function cancels, and streams the answer.
func stream(t *testing.T, c *Client, idle time.Duration) (*nethttp.Response, context.CancelFunc, chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	resp, err := c.RoundTrip(get(t, ctx, "/"))
	require.NoError(t, err)
	done := make(chan error, 2)
	c.Stream(resp, idle, cancel, func(err error) { done <- err })
	return resp, cancel, done
}

func TestStreamOfRealServers(t *testing.T) {
	finish := make(chan struct{})
	h := func(w nethttp.ResponseWriter, r *nethttp.Request) {
		_, _ = io.WriteString(w, "begin")
		_ = nethttp.NewResponseController(w).Flush()
		select {
		case <-finish:
		case <-r.Context().Done():
		}
	}
	clear, _, clearClosed := serve(t, plain, h)
	secure, _, _ := serve(t, h2, h)
	t.Cleanup(func() { close(finish) })
	for proto, c := range map[string]struct {
		client *Client
		closed chan net.Conn // HTTP/2 keeps the connection and resets the stream
	}{"HTTP/1.1": {connect(t, clear.URL, Pool{}, nil, nil), clearClosed}, "HTTP/2": {trusting(t, secure, Pool{}), nil}} {
		t.Run(proto+" idle", func(t *testing.T) {
			resp, _, done := stream(t, c.client, 20*time.Millisecond)
			b, err := io.ReadAll(resp.Body)
			require.Equal(t, "begin", string(b))
			require.EqualError(t, err, "no byte for 20ms")
			require.Equal(t, err, receive(t, done))
			if c.closed != nil {
				receive(t, c.closed)
			}
		})
		t.Run(proto+" canceled", func(t *testing.T) {
			resp, cancel, done := stream(t, c.client, patience)
			_, err := io.ReadFull(resp.Body, make([]byte, 5))
			require.NoError(t, err)
			cancel()
			_, err = io.ReadAll(resp.Body)
			require.ErrorIs(t, err, context.Canceled)
			require.Equal(t, transport.ErrClosedEarly, receive(t, done))
		})
		t.Run(proto+" closed", func(t *testing.T) {
			resp, _, done := stream(t, c.client, patience)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, transport.ErrClosedEarly, receive(t, done))
			require.Empty(t, done)
		})
	}
}

func TestBodyBreaksOff(t *testing.T) {
	for name, c := range map[string]struct {
		send  string
		reset bool
		words string
	}{
		"truncated":         {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", false, "connection closed before the answer was complete"},
		"truncated chunk":   {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nhalf", false, "connection closed before the answer was complete"},
		"reset in the body": {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", true, "connection reset"},
	} {
		t.Run(name, func(t *testing.T) {
			read := make(chan struct{})
			addr := raw(t, func(conn net.Conn) {
				readHead(conn)
				_, _ = io.WriteString(conn, c.send)
				<-read // a reset overtakes what was sent
				if c.reset {
					_ = conn.(*net.TCPConn).SetLinger(0)
				}
			})
			resp, _, done := stream(t, connect(t, "http://"+addr, Pool{}, nil, nil), patience)
			_, err := io.ReadFull(resp.Body, make([]byte, 4))
			require.NoError(t, err)
			close(read)
			_, err = io.ReadAll(resp.Body)
			require.Error(t, err)
			require.Equal(t, err, receive(t, done))
			outcome, code := transport.Classify(err)
			require.Equal(t, messages.ConnectFailure, outcome)
			require.Equal(t, messages.CodeConnectionError, code)
			require.Equal(t, c.words, transport.Words(err))
		})
	}
}

func TestTrailers(t *testing.T) {
	s, _, _ := serve(t, plain, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		w.Header().Set("Trailer", "Checksum")
		_, _ = io.WriteString(w, "body")
		w.Header().Set("Checksum", "42")
	})
	resp, _, done := stream(t, connect(t, s.URL, Pool{}, nil, nil), patience)
	_, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "42", resp.Trailer.Get("Checksum"))
	require.NoError(t, receive(t, done))
}

// switched makes a connection to a server that says each line back in capitals.
func switched(t *testing.T, idle time.Duration) (io.ReadWriteCloser, chan error) {
	t.Helper()
	s, _, _ := serve(t, plain, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "capitals")
		w.WriteHeader(nethttp.StatusSwitchingProtocols)
		conn, rw, err := nethttp.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		for {
			line, err := rw.ReadString('\n')
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte(strings.ToUpper(line)))
		}
	})
	c := connect(t, s.URL, Pool{}, nil, nil)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	req := get(t, ctx, "/")
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "capitals")
	resp, err := c.RoundTrip(req)
	require.NoError(t, err)
	require.Equal(t, nethttp.StatusSwitchingProtocols, resp.StatusCode)
	done := make(chan error, 2)
	c.Stream(resp, idle, cancel, func(err error) { done <- err })
	rw, ok := resp.Body.(io.ReadWriteCloser)
	require.True(t, ok)
	return rw, done
}

func TestSwitchedProtocol(t *testing.T) {
	rw, done := switched(t, patience)
	lines := bufio.NewReader(rw)
	for _, word := range []string{"one\n", "two\n"} {
		_, err := rw.Write([]byte(word))
		require.NoError(t, err)
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, strings.ToUpper(word), line)
	}
	require.NoError(t, rw.(interface{ CloseWrite() error }).CloseWrite())
	_, err := lines.ReadByte()
	require.Equal(t, io.EOF, err)
	require.NoError(t, receive(t, done))
	require.NoError(t, rw.Close())
	require.Empty(t, done)
}

func TestSwitchedProtocolIdle(t *testing.T) {
	rw, done := switched(t, 20*time.Millisecond)
	_, err := rw.Read(make([]byte, 1))
	require.EqualError(t, err, "no byte for 20ms")
	require.Equal(t, err, receive(t, done))
}

// A Write is a byte too.
func TestSwitchedProtocolWriteIsNoIdleness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		resp := &nethttp.Response{Body: near}
		var done []error
		new(Client).Stream(resp, idle, func() {}, func(err error) { done = append(done, err) })
		go func() {
			p := make([]byte, 1)
			for {
				if _, err := far.Read(p); err != nil {
					return
				}
			}
		}()
		go func() {
			pass(idle - 1)
			_, _ = resp.Body.(io.Writer).Write([]byte("x"))
		}()
		begin := time.Now()
		_, err := resp.Body.Read(make([]byte, 1))
		isIdle(t, err)
		require.Equal(t, 2*idle-1, time.Since(begin))
		require.Len(t, done, 1)
		_ = far.Close()
	})
}

// Nor does a Write begin the time of a Read that is not there.
func TestSwitchedProtocolWriteWithoutRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		resp := &nethttp.Response{Body: near}
		new(Client).Stream(resp, idle, func() { t.Error("canceled") }, func(error) {})
		go func() { _, _ = far.Write([]byte("x")) }()
		_, err := resp.Body.Read(make([]byte, 1))
		require.NoError(t, err)
		go func() { _, _ = far.Read(make([]byte, 1)) }()
		_, err = resp.Body.(io.Writer).Write([]byte("y"))
		require.NoError(t, err)
		pass(2 * idle)
		require.NoError(t, resp.Body.Close())
		_ = far.Close()
	})
}

// The timer may fire as the byte arrives: then nothing is idle.
func TestByteAndTimerTie(t *testing.T) {
	resp, w, done := pipe(t)
	go func() { _, _ = w.Write([]byte("xy")) }()
	p := make([]byte, 1)
	_, err := resp.Body.Read(p)
	require.NoError(t, err)
	resp.Body.(*body).expire()
	_, err = resp.Body.Read(p)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, []error{transport.ErrClosedEarly}, *done)
}
