package limit

import (
	"math"
	"math/rand/v2"
	"time"
)

// server is a service in virtual time: some workers behind a queue, first come,
// first served. Attempts arrive at random (Poisson), each at one of the gates, which
// refuses it or sends it. A client gives up after a second; the work for it is done
// all the same, and wasted.
type server struct {
	workers func(now time.Duration) int
	service func(now time.Duration) time.Duration // mean time of one attempt
	spread  spread
	offered func(now time.Duration) float64 // attempts per second
	gates   []*gate

	rnd      *rand.Rand
	now      time.Duration
	arrival  time.Duration // the next
	queue    []*attempt
	busy     []*attempt // one per worker; nil: idle
	patience []*attempt // in the order of their deadlines
	tally    tally
}

const clientTimeout = time.Second

// gate is one node's limit.
type gate struct {
	limit    func() int
	observe  func(now, latency time.Duration, inflight int, dropped bool)
	inflight int
}

func adaptive(a *Adaptive) *gate { return &gate{limit: a.Limit, observe: a.Observe} }

func fixed(limit int) *gate {
	return &gate{limit: func() int { return limit }, observe: func(time.Duration, time.Duration, int, bool) {}}
}

type attempt struct {
	gate        *gate
	began, ends time.Duration
	over        bool // the client has its answer or gave up
}

// tally counts what came of the attempts; good are the answers in time.
type tally struct {
	refused, good, timedOut int
	latency                 time.Duration // of the good ones, together
}

func (t tally) mean() time.Duration { return t.latency / time.Duration(max(t.good, 1)) }

// spread is how the times of attempts differ, as a factor of mean 1.
type spread func(*rand.Rand) float64

func even(*rand.Rand) float64          { return 1 }
func exponential(r *rand.Rand) float64 { return r.ExpFloat64() }

// longTailed is log-normal with a coefficient of variation of 2.9.
func longTailed(r *rand.Rand) float64 {
	const sigma = 1.5
	return math.Exp(sigma*r.NormFloat64() - sigma*sigma/2)
}

func always[T any](v T) func(time.Duration) T { return func(time.Duration) T { return v } }

// between returns changed from one moment to another, else usual.
func between[T any](from, until time.Duration, changed, usual T) func(time.Duration) T {
	return func(now time.Duration) T {
		if from <= now && now < until {
			return changed
		}
		return usual
	}
}

// newServer has ten workers of 10 ms: a capacity of 1000 per second.
func newServer(load float64, s spread, gates ...*gate) *server {
	return &server{
		workers: always(10), service: always(10 * time.Millisecond), spread: s,
		offered: always(1000 * load), gates: gates,
		rnd: rand.New(rand.NewPCG(1, 2)),
	}
}

// run goes on until that moment and returns what happened meanwhile.
func (s *server) run(until time.Duration) tally {
	s.tally = tally{}
	for {
		answer := s.nextAnswer()
		switch {
		case min(s.arrival, answer, s.deadline()) >= until:
			s.now = until
			return s.tally
		case s.deadline() <= min(s.arrival, answer):
			s.now = s.deadline()
			s.tally.timedOut++
			s.finish(s.patience[0], true)
		case answer <= s.arrival:
			s.now = answer
			s.answer()
		default:
			s.now = s.arrival
			s.arrival += time.Duration(s.rnd.ExpFloat64() / s.offered(s.now) * float64(time.Second))
			s.arrive(s.gates[s.rnd.IntN(len(s.gates))])
		}
		s.work()
	}
}

func (s *server) nextAnswer() time.Duration {
	next := never
	for _, a := range s.busy {
		if a != nil {
			next = min(next, a.ends)
		}
	}
	return next
}

func (s *server) deadline() time.Duration {
	for len(s.patience) > 0 && s.patience[0].over {
		s.patience = s.patience[1:]
	}
	if len(s.patience) == 0 {
		return never
	}
	return s.patience[0].began + clientTimeout
}

func (s *server) arrive(g *gate) {
	if g.inflight >= g.limit() {
		s.tally.refused++
		return
	}
	g.inflight++
	a := &attempt{gate: g, began: s.now}
	s.queue = append(s.queue, a)
	s.patience = append(s.patience, a)
}

// answer lets go of a worker that is done.
func (s *server) answer() {
	for i, a := range s.busy {
		if a == nil || a.ends != s.now {
			continue
		}
		s.busy[i] = nil
		if !a.over {
			s.tally.good++
			s.tally.latency += s.now - a.began
			s.finish(a, false)
		}
		return
	}
}

func (s *server) finish(a *attempt, dropped bool) {
	a.over = true
	a.gate.observe(s.now, s.now-a.began, a.gate.inflight, dropped)
	a.gate.inflight--
}

// work hands what is queued to idle workers.
func (s *server) work() {
	workers := s.workers(s.now)
	for len(s.busy) < workers {
		s.busy = append(s.busy, nil)
	}
	for i := range workers {
		if s.busy[i] == nil && len(s.queue) > 0 {
			a := s.queue[0]
			s.queue = s.queue[1:]
			a.ends = s.now + time.Duration(s.spread(s.rnd)*float64(s.service(s.now)))
			s.busy[i] = a
		}
	}
}
