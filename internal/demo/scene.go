package demo

import (
	"fmt"
	"time"

	"github.com/understudy-go/understudy/internal/show"
)

// View shows the demo to somebody. Its methods are called by several goroutines.
type View interface {
	// Say tells of something that was done or happened.
	Say(at time.Duration, words string)
	// Draw shows how things are, several times a second.
	Draw(Scene)
}

// Scene is how things are at one moment.
type Scene struct {
	Elapsed          time.Duration
	Requests, Failed uint64
	P50, P99         float64 // ms
	Endpoints        []EndpointScene
}

// rate is an endpoint's answers per second since an earlier scene.
func (s *Scene) rate(i int, then *Scene) string {
	var before uint64
	if i < len(then.Endpoints) && then.Endpoints[i].ID == s.Endpoints[i].ID {
		before = then.Endpoints[i].Answers
	}
	return fmt.Sprintf("%.0f", float64(s.Endpoints[i].Answers-before)/max((s.Elapsed-then.Elapsed).Seconds(), 0.001))
}

// EndpointScene is one endpoint in it.
type EndpointScene struct {
	ID         string
	State, Why string
	Answers    uint64 // so far
	Inflight   int
	Latency    time.Duration
}

func (d *Demo) scene() Scene {
	s := Scene{Elapsed: d.elapsed()}
	status := d.node.System().Service(service).Status()
	d.load.mu.Lock()
	defer d.load.mu.Unlock()
	s.Requests, s.Failed = d.load.counts.requests, d.load.counts.failed
	s.P50, s.P99 = d.load.percentile(50), d.load.percentile(99)
	for i := range status.Endpoints {
		e := &status.Endpoints[i]
		state, why := show.State(e)
		s.Endpoints = append(s.Endpoints, EndpointScene{
			ID: e.ID, State: state, Why: show.Plain(why), Answers: d.load.served[e.ID], Inflight: e.Inflight, Latency: e.Latency})
	}
	return s
}
