package metastability

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/messages"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	servers = 4
	offered = servers * capacity * 8 / 10 // requests a second: 80 % of capacity

	// The seconds of a play.
	breaks = 20
	heals  = breaks + 10
	ends   = heals + 40
)

// outage is how many servers break, and how.
type outage struct {
	is      kind
	servers int
}

func (o outage) String() string { return fmt.Sprintf("%v/%d_of_%d", o.is, o.servers, servers) }

func outages(numbers ...int) (all []outage) {
	for _, is := range []kind{fails, refuses, stalls, slows} {
		for _, n := range numbers {
			all = append(all, outage{is, n})
		}
	}
	return all
}

// record counts by the second in which it was; what comes later counts in the last.
type record struct {
	mu                       sync.Mutex
	began                    time.Time
	requests, attempts, good [ends + 1]int
}

func (r *record) count(what *[ends + 1]int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	what[min(int(time.Since(r.began)/time.Second), ends)]++
}

func sum(counts []int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// amplification is the most attempts per request in any window of so many seconds.
func (r *record) amplification(window int) (most float64) {
	for from := range ends - window + 1 {
		to := from + window
		most = max(most, float64(sum(r.attempts[from:to]))/float64(sum(r.requests[from:to])))
	}
	return most
}

// goodput is the good answers a second from one second to another.
func (r *record) goodput(from, to int) float64 {
	return float64(sum(r.good[from:to])) / float64(to-from)
}

// recovery is after how many seconds of health each 5 s to come have at least 95 %
// of the goodput before; false if it ends before there are such.
func (r *record) recovery() (seconds int, ok bool) {
	const window = 5
	before := r.goodput(breaks-10, breaks)
	at := ends - window
	for at >= heals && r.goodput(at, at+window) >= 0.95*before {
		at--
	}
	return at + 1 - heals, at < ends-window
}

func (r *record) String() string {
	seconds, ok := r.recovery()
	return fmt.Sprintf("recovered %v after %d s; goodput %.0f before, %.0f broken, %.0f in the first 10 s healed, %.0f after 30 s; attempts per request at most %.2f in 10 s, %.2f in 1 s",
		ok, seconds, r.goodput(breaks-10, breaks), r.goodput(breaks, heals), r.goodput(heals, heals+10), r.goodput(heals+30, ends), r.amplification(10), r.amplification(1))
}

// through takes a service through an outage, on virtual time.
func through(t *testing.T, o outage, c understudy.ServiceConfig) *record {
	t.Helper()
	r := &record{}
	synctest.Test(t, func(t *testing.T) {
		farm := make([]*server, servers)
		for i := range farm {
			s := newServer()
			farm[i] = s
			c.Endpoints = append(c.Endpoints, understudy.Endpoint{ID: fmt.Sprint("e", i), Handler: func(ctx context.Context, m *messages.Request) (*messages.Response, error) {
				r.count(&r.attempts)
				return s.serve(ctx, m)
			}})
		}
		become := func(k kind) func() {
			return func() {
				for _, s := range farm[:o.servers] {
					s.become(k)
				}
			}
		}
		us, err := understudy.New(understudy.Config{Node: "n", Services: map[string]understudy.ServiceConfig{"svc": c}})
		require.NoError(t, err)
		r.began = time.Now()
		time.AfterFunc(breaks*time.Second, become(o.is))
		time.AfterFunc(heals*time.Second, become(well))
		r.offer(t, us.Service("svc"))
		require.NoError(t, us.Close())
		for _, s := range farm {
			s.stop()
		}
		<-time.After(time.Second) // protoactor keeps a goroutine that long after a dead letter
	})
	return r
}

// offer makes the requests of the play, each at its time whatever came of the others,
// and returns when all have ended.
func (r *record) offer(t *testing.T, s *understudy.Service) {
	var callers sync.WaitGroup
	defer callers.Wait()
	tick := time.NewTicker(time.Second / offered)
	defer tick.Stop()
	for range ends * offered {
		r.count(&r.requests)
		callers.Go(func() {
			if _, err := s.Request(t.Context(), &messages.Request{}); err == nil {
				r.count(&r.good)
			}
		})
		<-tick.C
	}
}
