package metastability

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/understudy-go/understudy/messages"
)

const (
	capacity = 100 // answers a second of one server
	workers  = 5
	backlog  = 1 << 16 // jobs that may wait
)

// kind is how a server breaks.
type kind int

const (
	well    kind = iota
	fails        // answers 503 after a millisecond
	refuses      // no connection
	stalls       // takes jobs and does none until it is well
	slows        // a job takes ten times as long
)

func (k kind) String() string {
	return [...]string{"well", "fails", "refuses", "stalls", "slows"}[k]
}

// server does jobs in the order in which they came, whether or not anybody waits.
type server struct {
	jobs    chan job
	over    chan struct{}
	working sync.WaitGroup

	mu    sync.Mutex
	is    kind
	again chan struct{} // closed when it works again; nil: it does
}

type job chan struct{} // closed when it is done

func newServer() *server {
	s := &server{jobs: make(chan job, backlog), over: make(chan struct{})}
	for range workers {
		s.working.Go(s.work)
	}
	return s
}

func (s *server) work() {
	for {
		select {
		case <-s.over:
			return
		case j := <-s.jobs:
			if again := s.stalled(); again != nil {
				<-again
			}
			<-time.After(s.takes())
			close(j)
		}
	}
}

func (s *server) stalled() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.again
}

func (s *server) takes() time.Duration {
	d := rand.ExpFloat64() * float64(time.Second) * workers / capacity
	if s.now() == slows {
		d *= 10
	}
	return time.Duration(d)
}

func (s *server) now() kind {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.is
}

func (s *server) become(k kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.is = k
	switch {
	case k == stalls:
		s.again = make(chan struct{})
	case s.again != nil:
		close(s.again)
		s.again = nil
	}
}

var errRefused = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}

// serve is the endpoint's Handler.
func (s *server) serve(ctx context.Context, _ *messages.Request) (*messages.Response, error) {
	switch s.now() {
	case fails:
		<-time.After(time.Millisecond)
		return &messages.Response{Status: 503}, nil
	case refuses:
		return nil, errRefused
	}
	j := make(job)
	select {
	case s.jobs <- j:
	default:
		return nil, errRefused
	}
	select {
	case <-j:
		return &messages.Response{}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// stop ends a server that is well.
func (s *server) stop() {
	close(s.over)
	s.working.Wait()
}
