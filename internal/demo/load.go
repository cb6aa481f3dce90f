package demo

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/nats-io/nats.go"

	"github.com/understudy-go/understudy/messages"
)

const (
	workers     = 128              // requests under way at most
	requestMax  = 10 * time.Second // then a request has failed
	failuresMax = 5                // failures that are remembered word by word
)

// load sends request messages at a steady rate with nats.go alone, as a program
// in any language would. It is an open loop: requests are due by the clock,
// whether or not those before them are answered, and a latency counts from when
// the request was due. So a stall is seen by all who would have met it.
type load struct {
	nc      *nats.Conn
	subject string
	every   time.Duration

	mu       sync.Mutex
	counts   counts
	latency  *hdrhistogram.Histogram // µs
	served   map[string]uint64       // answers by endpoint
	failures []string
	awaited  map[string]chan time.Time
}

// counts is what became of the requests.
type counts struct {
	requests, failed, fallbacks uint64
}

func newLoad(nc *nats.Conn, subject string, rate int) *load {
	return &load{
		nc: nc, subject: subject, every: time.Second / time.Duration(rate),
		latency: hdrhistogram.New(1, requestMax.Microseconds(), 3),
		served:  map[string]uint64{}, awaited: map[string]chan time.Time{},
	}
}

// run sends until ctx ends, and returns when all that was sent is answered.
func (l *load) run(ctx context.Context) {
	due := make(chan time.Time, workers)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for at := range due {
				l.send(at)
			}
		})
	}
	l.pace(ctx, due)
	close(due)
	all.Wait()
}

// pace makes requests due. Where the machine was late, it makes up for it.
func (l *load) pace(ctx context.Context, due chan<- time.Time) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for next := time.Now(); ; next = next.Add(l.every) {
		timer.Reset(time.Until(next))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		select {
		case due <- next:
		case <-ctx.Done():
			return
		}
	}
}

func (l *load) send(due time.Time) {
	msg := nats.NewMsg(l.subject)
	msg.Header.Set(messages.HeaderMethod, "GET")
	msg.Header.Set(messages.HeaderPath, "/orders")
	reply, err := l.nc.RequestMsg(msg, requestMax)
	l.record(due, time.Now(), reply, err)
}

// record counts an answer. It is a failure unless an endpoint said 200.
func (l *load) record(due, now time.Time, reply *nats.Msg, err error) {
	header := nats.Header{}
	if err == nil {
		header = reply.Header
		if words := header.Get(messages.HeaderNATSError); words != "" {
			err = errors.New(words)
		} else if status := header.Get(messages.HeaderStatus); status != "200" {
			err = errors.New("status " + status)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.requests++
	_ = l.latency.RecordValue(min(now.Sub(due), requestMax).Microseconds()) // below its highest
	if header.Get(messages.HeaderFallback) != "" {
		l.counts.fallbacks++
	}
	if err != nil {
		l.counts.failed++
		if len(l.failures) < failuresMax {
			l.failures = append(l.failures, err.Error())
		}
		return
	}
	id := header.Get(messages.HeaderEndpoint)
	l.served[id]++
	if c := l.awaited[id]; c != nil {
		c <- now
		delete(l.awaited, id)
	}
}

// await receives when the endpoint next answers.
func (l *load) await(id string) <-chan time.Time {
	c := make(chan time.Time, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.awaited[id] = c
	return c
}

// percentile is in milliseconds, of all requests so far.
func (l *load) percentile(p float64) float64 {
	return float64(l.latency.ValueAtPercentile(p)) / 1000
}
