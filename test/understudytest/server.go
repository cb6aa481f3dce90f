package understudytest

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/understudy-go/understudy"
)

const (
	requestsKept = 128     // of each server, the newest ones
	bodyMax      = 1 << 20 // how much of a request's body is read and kept
)

// Server is an endpoint with errors to order. It behaves as it was made to until
// it is told otherwise, and again after [Server.Heal].
type Server struct {
	// URL is where it listens, as "http://127.0.0.1:port".
	URL string

	made   http.Handler
	closed chan struct{}

	mu       sync.Mutex
	now      http.Handler  // nil: stalled
	switched chan struct{} // closed by the next switch
	hits     int
	arrived  chan struct{} // closed by the next request; nil while nobody waits for that
	requests []Request
}

// Request is one that a server received.
type Request struct {
	Method string
	URI    string // path and query, as they came
	Host   string
	Header http.Header
	Body   []byte // its first MiB
}

// Serve starts a server that answers as h does. The first MiB of each request's
// body is read before h is asked; h can read it too.
func Serve(t testing.TB, h http.Handler) *Server {
	t.Helper()
	s := &Server{made: h, now: h, closed: make(chan struct{}), switched: make(chan struct{})}
	server := httptest.NewServer(s)
	s.URL = server.URL
	t.Cleanup(func() {
		close(s.closed)
		server.CloseClientConnections() // h may wait for its caller to go
		server.Close()
	})
	return s
}

// Good starts a server that answers every request with 200 and "ok".
func Good(t testing.TB) *Server {
	t.Helper()
	return Serve(t, answer(http.StatusOK))
}

// Faulty starts a server that answers every n-th request with status and the
// others with 200; where n is 1 it fails always.
func Faulty(t testing.TB, status, n int) *Server {
	t.Helper()
	var mu sync.Mutex
	count := 0
	return some(t, status, func() bool {
		mu.Lock()
		defer mu.Unlock()
		count++
		return count%n == 0
	})
}

// Flaky starts a server that answers the share rate of the requests, 0 to 1, with
// 503 and the others with 200. By one seed it is the same requests each time.
func Flaky(t testing.TB, rate float64, seed uint64) *Server {
	t.Helper()
	var mu sync.Mutex
	rnd := rand.New(rand.NewPCG(seed, 0))
	return some(t, http.StatusServiceUnavailable, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return rnd.Float64() < rate
	})
}

func some(t testing.TB, status int, fails func() bool) *Server {
	t.Helper()
	good, bad := answer(http.StatusOK), answer(status)
	return Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fails() {
			bad(w, r)
		} else {
			good(w, r)
		}
	}))
}

// Slow starts a server that answers with 200 after d.
func Slow(t testing.TB, d time.Duration) *Server {
	t.Helper()
	good := answer(http.StatusOK)
	return Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			good(w, r)
		case <-r.Context().Done():
		}
	}))
}

// BlackHole starts a server that takes requests and never answers: [Good],
// stalled. To Heal it is to have it answer.
func BlackHole(t testing.TB) *Server {
	t.Helper()
	s := Good(t)
	s.Stall()
	return s
}

// Dead returns a URL where connections are refused. It is port 1, which lies
// outside of what systems hand out, so that nobody else comes to listen there.
func Dead(t testing.TB) string {
	t.Helper()
	const address = "127.0.0.1:1"
	if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
		_ = conn.Close()
		t.Fatalf("understudytest: something listens on %s", address)
	}
	return "http://" + address
}

// Endpoint returns the server as an endpoint to register.
func (s *Server) Endpoint(id string) understudy.Endpoint {
	return understudy.Endpoint{ID: id, URL: s.URL}
}

// Break has it answer with status from now on.
func (s *Server) Break(status int) { s.Handle(answer(status)) }

// Drop has it cut the connection from now on instead of answering.
func (s *Server) Drop() {
	s.Handle(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
}

// Stall has it take requests from now on and answer none, until it is told
// otherwise: then it answers these too.
func (s *Server) Stall() { s.Handle(nil) }

// Heal has it behave as it was made to; one of [BlackHole] is good.
func (s *Server) Heal() { s.Handle(s.made) }

// Handle has it answer as h does from now on.
func (s *Server) Handle(h http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = h
	close(s.switched)
	s.switched = make(chan struct{})
}

// Hits returns how many requests it received.
func (s *Server) Hits() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hits
}

// AwaitHits returns when it has received at least n requests.
func (s *Server) AwaitHits(n int) {
	for {
		s.mu.Lock()
		if s.hits >= n {
			s.mu.Unlock()
			return
		}
		if s.arrived == nil {
			s.arrived = make(chan struct{})
		}
		arrived := s.arrived
		s.mu.Unlock()
		<-arrived
	}
}

// Requests returns the newest 128 requests, oldest first.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.record(r)
	for {
		s.mu.Lock()
		h, switched := s.now, s.switched
		s.mu.Unlock()
		if h != nil {
			h.ServeHTTP(w, r)
			return
		}
		select {
		case <-switched:
		case <-r.Context().Done():
			return
		case <-s.closed:
			return
		}
	}
}

func (s *Server) record(r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, bodyMax)) // what came of a broken one
	r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), r.Body))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hits++
	if len(s.requests) == requestsKept {
		s.requests = slices.Delete(s.requests, 0, 1)
	}
	s.requests = append(s.requests, Request{
		Method: r.Method, URI: r.RequestURI, Host: r.Host, Header: r.Header.Clone(), Body: body})
	if s.arrived != nil {
		close(s.arrived)
		s.arrived = nil
	}
}

func answer(status int) http.HandlerFunc {
	body := http.StatusText(status)
	if status == http.StatusOK {
		body = "ok"
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, body)
	}
}
