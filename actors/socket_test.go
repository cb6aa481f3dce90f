package actors

import (
	"bufio"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// What tests need that go through sockets: no bubble can hold those, so time
// stands still there until it is moved by hand.

// serve returns the URL of a server that runs h. At the end its connections are
// cut, which ends the context of whatever still runs.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	return srv.URL
}

// stall answers with the status of a head and sends no body until its client goes away.
func stall(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

// start runs a service until the test ends.
func start(t *testing.T, o Options, c ServiceConfig) *Service {
	t.Helper()
	sys := New(o)
	t.Cleanup(func() { _ = sys.Close() })
	s, err := sys.AddService("svc", c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// get sends a request through the service's RoundTripper.
func get(s *Service, path string, opts ...CallOption) (*http.Response, error) {
	req, err := http.NewRequest(http.MethodGet, "http://svc"+path, nil)
	if err != nil {
		return nil, err
	}
	return s.RoundTripper(opts...).RoundTrip(req)
}

// mustGet is get where an answer has to come.
func mustGet(t *testing.T, s *Service, path string) *http.Response {
	t.Helper()
	resp, err := get(s, path)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// await receives what has to come.
func await[T any](t *testing.T, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(10 * time.Second):
		t.Fatal("it never comes")
	}
	return v
}

// handClock stands still until it is moved.
type handClock struct {
	mu     sync.Mutex
	now    time.Time
	timers map[*handTimer]bool
	more   *sync.Cond // a timer was set
}

type handTimer struct {
	clock *handClock
	due   time.Time
	f     func()
}

func newHandClock() *handClock {
	c := &handClock{now: time.Now(), timers: make(map[*handTimer]bool)}
	c.more = sync.NewCond(&c.mu)
	return c
}

func (c *handClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *handClock) AfterFunc(d time.Duration, f func()) Timer {
	t := &handTimer{clock: c, f: f}
	t.Reset(d)
	return t
}

func (t *handTimer) Reset(d time.Duration) bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	was := t.clock.timers[t]
	t.due, t.clock.timers[t] = t.clock.now.Add(d), true
	t.clock.more.Broadcast()
	return was
}

func (t *handTimer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	was := t.clock.timers[t]
	delete(t.clock.timers, t)
	return was
}

// set is how many timers are set.
func (c *handClock) set() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.timers)
}

// awaitSet waits until that many timers are set.
func (c *handClock) awaitSet(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.timers) < n {
		c.more.Wait()
	}
}

// advance moves the clock and runs what falls due on the way, in its order.
func (c *handClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for end := c.now.Add(d); ; {
		var next *handTimer
		for t := range c.timers {
			if !t.due.After(end) && (next == nil || t.due.Before(next.due)) {
				next = t
			}
		}
		if next == nil {
			c.now = end
			return
		}
		delete(c.timers, next)
		if next.due.After(c.now) {
			c.now = next.due
		}
		c.mu.Unlock()
		next.f()
		c.mu.Lock()
	}
}

// raw returns the URL of a server that answers every connection with these bytes.
func raw(t *testing.T, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = http.ReadRequest(bufio.NewReader(c))
			_, _ = c.Write([]byte(answer))
			_ = c.Close()
		}
	})
	return "http://" + l.Addr().String()
}
