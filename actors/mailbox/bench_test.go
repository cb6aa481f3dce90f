package mailbox

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// The whole way of a request: a caller asks a supervisor,
// which forwards to one of eight endpoints, which answers the caller, who tells the
// endpoint how it went. Two actors, three messages.

type ask struct {
	reply    chan *ask
	endpoint *Mailbox
	pid      *actor.PID
}

type endpointActor struct{ box *Mailbox }

func (e *endpointActor) Receive(c actor.Context) {
	if a, ok := c.Message().(*ask); ok {
		a.endpoint, a.pid = e.box, c.Self()
		a.reply <- a
	}
}

type supervisorActor struct {
	way   way
	box   *Mailbox
	boxes []*Mailbox
	pids  []*actor.PID
	next  int
}

func (s *supervisorActor) Receive(c actor.Context) {
	switch a := c.Message().(type) {
	case *actor.Started:
		for range 8 {
			box := New(Options{})
			producer := func() actor.Actor { return &endpointActor{box: box} }
			s.pids = append(s.pids, c.Spawn(actor.PropsFromProducer(producer, s.way.props(box)...)))
			s.boxes = append(s.boxes, box)
		}
	case *ask:
		s.next++
		if s.way.direct {
			s.boxes[s.next%len(s.boxes)].Post(a, s.box.Left())
		} else {
			c.Send(s.pids[s.next%len(s.pids)], a)
		}
	}
}

type way struct {
	name   string
	ours   bool
	direct bool // to the mailbox, not to the PID
}

var ways = []way{{"post", true, true}, {"pid", true, false}, {"default", false, false}}

func (w way) props(m *Mailbox) []actor.PropsOption {
	if !w.ours {
		return nil
	}
	return []actor.PropsOption{actor.WithMailbox(m.Producer())}
}

// request returns a function that makes one request.
func (w way) request() func() {
	system, box := newSystem(), New(Options{})
	producer := func() actor.Actor { return &supervisorActor{way: w, box: box} }
	pid := system.Root.Spawn(actor.PropsFromProducer(producer, w.props(box)...))
	pool := sync.Pool{New: func() any { return &ask{reply: make(chan *ask, 1)} }}
	done := &struct{ ok bool }{true}
	return func() {
		a := pool.Get().(*ask)
		if w.direct {
			box.PostUserMessage(a)
			<-a.reply
			a.endpoint.PostUserMessage(done)
		} else {
			system.Root.Send(pid, a)
			<-a.reply
			system.Root.Send(a.pid, done)
		}
		pool.Put(a)
	}
}

func BenchmarkRequest(b *testing.B) {
	for _, w := range ways {
		request := w.request()
		b.Run(w.name+"/callers=1", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				request()
			}
		})
		b.Run(w.name+"/callers=128", func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(64)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					request()
				}
			})
		})
	}
}

// BenchmarkTail interleaves the ways, so that they meet the same noise, and reports
// p99.9 of 128 callers as the median of b.N rounds: -benchtime 5x.
func BenchmarkTail(b *testing.B) {
	rounds := make(map[string][]time.Duration)
	for range b.N {
		for _, w := range ways {
			rounds[w.name] = append(rounds[w.name], w.tail())
		}
	}
	for _, w := range ways {
		slices.Sort(rounds[w.name])
		p := rounds[w.name][b.N/2]
		b.ReportMetric(float64(p)/1000, fmt.Sprintf("µs-p99.9-%s", w.name))
	}
}

func (w way) tail() time.Duration {
	const callers, each, warmUp = 128, 4000, 400
	request := w.request()
	times := make([][]time.Duration, callers)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for n := range each {
				begin := time.Now()
				request()
				if n >= warmUp {
					times[c] = append(times[c], time.Since(begin))
				}
			}
		})
	}
	wg.Wait()
	all := slices.Concat(times...)
	slices.Sort(all)
	return all[len(all)*999/1000]
}
