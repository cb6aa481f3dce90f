package literature

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/understudy-go/understudy/actors/balance"
)

const (
	rate      = 1000 // requests a second
	lasts     = time.Minute
	timeout   = time.Second
	slow      = 2 * time.Second // what endpoint 0 takes for a request that begins
	slowFrom  = 15 * time.Second
	slowUntil = 45 * time.Second
)

// world is where a strategy is tried.
type world struct {
	endpoints int
	latency   func(*rand.Rand) time.Duration // of an endpoint that is well
	cutOff    bool                           // the timeout ends a request, else it is only counted
}

var (
	quick = world{endpoints: 10, cutOff: true, latency: func(r *rand.Rand) time.Duration {
		return 2*time.Millisecond + time.Duration(r.Int64N(int64(6*time.Millisecond)))
	}}
	article = world{endpoints: 11, latency: func(r *rand.Rand) time.Duration {
		return 167*time.Millisecond + time.Duration(r.NormFloat64()*float64(5*time.Millisecond))
	}}
)

// gap is the time between two requests.
type gap func(*rand.Rand) time.Duration

func even(*rand.Rand) time.Duration { return time.Second / rate }

func poisson(r *rand.Rand) time.Duration {
	return time.Duration(r.ExpFloat64() * float64(time.Second) / rate)
}

// success plays a strategy and returns how many percent of the requests were
// answered in time. Strategies see the same requests for the same seed.
func (w world) success(strategy string, between gap, seed uint64) (float64, error) {
	b, err := balance.New(balance.Config{Pick: strategy}, rand.New(rand.NewPCG(seed, 1)))
	if err != nil {
		return 0, err
	}
	p := play{members: make([]balance.Member, w.endpoints)}
	for i := range p.members {
		p.members[i] = balance.Member{ID: fmt.Sprint("e", i), Load: new(balance.Load)}
	}
	b.SetMembers(p.members)
	for i := range p.members {
		b.SetStatus(i, balance.Status{Ready: true, Eligible: true})
	}
	rnd := rand.New(rand.NewPCG(seed, 2))
	requests, late := 0, 0
	for now := time.Duration(0); now < lasts; now += between(rnd) {
		p.advance(now)
		i, err := b.Pick(now, balance.Request{})
		if err != nil {
			return 0, err
		}
		took := w.latency(rnd)
		if i == 0 && now >= slowFrom && now < slowUntil {
			took = slow
		}
		requests++
		if took >= timeout {
			late++
		}
		p.begin(now, i, took, w.cutOff)
	}
	return 100 * float64(requests-late) / float64(requests), nil
}

// play is what is under way.
type play struct {
	members []balance.Member
	service balance.Average
	ends    ends
}

// end is how a request ends.
type end struct {
	at, took time.Duration
	endpoint int
	cut      bool
}

func (p *play) begin(now time.Duration, endpoint int, took time.Duration, cutOff bool) {
	p.members[endpoint].Load.Inflight.Add(1)
	cut := cutOff && took >= timeout
	if cut {
		took = timeout
	}
	heap.Push(&p.ends, end{now + took, took, endpoint, cut})
}

// advance lets requests end until now. What they do to an endpoint's load is what
// its actor does.
func (p *play) advance(now time.Duration) {
	for len(p.ends) > 0 && p.ends[0].at <= now {
		e := heap.Pop(&p.ends).(end)
		load := p.members[e.endpoint].Load
		load.Inflight.Add(-1)
		if e.cut {
			load.Fail(e.at, e.took, &p.service)
		} else {
			load.Observe(e.at, e.took)
			p.service.Observe(e.at, e.took)
		}
	}
}

// ends is a heap, the next one first.
type ends []end

func (h ends) Len() int           { return len(h) }
func (h ends) Less(i, j int) bool { return h[i].at < h[j].at }
func (h ends) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *ends) Push(e any)        { *h = append(*h, e.(end)) }
func (h *ends) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	*h = (*h)[:last]
	return e
}
