package demo

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/understudy-go/understudy/internal/show"
	"github.com/understudy-go/understudy/messages"
)

// The stall: so many calls and so long.
const (
	stallEvery = 2
	stallFor   = 6 * time.Second
)

// step is what the demo does to its instances, at a share of its duration.
type step struct {
	at float64
	do func(context.Context) (words string, err error)
}

// Result is what came of it. Times are in milliseconds.
type Result struct {
	Requests  uint64  `json:"requests"`
	Failed    uint64  `json:"failed"`
	Fallbacks uint64  `json:"fallbacks"`
	Retries   uint64  `json:"retries"`
	Failovers uint64  `json:"failovers"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	// TimeToIsolate is from SIGKILL until the node ranks the endpoint last or
	// leaves it out; TimeToRecover from its listening again until it answers a
	// request. Nil: it did not come to that.
	TimeToIsolate *float64 `json:"time_to_isolate_ms"`
	TimeToRecover *float64 `json:"time_to_recover_ms"`
	// Failures are the first few, word by word.
	Failures []string `json:"failures,omitempty"`
}

// Play is the show. It returns when it is over, or with ctx's error.
func (d *Demo) Play(ctx context.Context) (*Result, error) {
	playing, stop := context.WithTimeout(ctx, d.o.Duration)
	defer stop()
	d.begin()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		d.load.run(playing)
	}()
	recovered, err := d.perform(playing)
	stop()
	<-sent
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	return d.result(recovered), nil
}

// Stay goes on with the requests, and does nothing to the instances, until ctx ends.
func (d *Demo) Stay(ctx context.Context) {
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		d.load.run(ctx)
	}()
	frame := time.NewTicker(frameTime)
	defer frame.Stop()
	for {
		select {
		case <-frame.C:
			d.o.View.Draw(d.scene())
		case <-sent:
			return
		}
	}
}

// frameTime is how often the view is drawn.
const frameTime = 200 * time.Millisecond

// begin sets the clock to zero.
func (d *Demo) begin() {
	d.mu.Lock()
	d.began = time.Now()
	d.mu.Unlock()
	d.say(fmt.Sprintf("%d requests a second over NATS, three instances of %s", d.o.Rate, service))
}

// perform does the steps when they are due and draws in between. It returns how
// long the killed instance took to serve again, 0 if it did not.
func (d *Demo) perform(ctx context.Context) (recovered time.Duration, err error) {
	var up time.Time
	var serves <-chan time.Time
	steps := []step{
		{0.10, func(context.Context) (string, error) { return d.kill(0), nil }},
		{0.25, func(context.Context) (words string, err error) {
			serves = d.load.await(ids[0])
			words, err = d.revive(0)
			up = time.Now()
			return words, err
		}},
		{0.30, func(ctx context.Context) (string, error) { return d.stall(ctx, 1, stallEvery) }},
		{0.50, func(ctx context.Context) (string, error) { return d.stall(ctx, 1, 0) }},
	}
	frame := time.NewTicker(frameTime)
	defer frame.Stop()
	for {
		if len(steps) > 0 && d.elapsed() >= time.Duration(steps[0].at*float64(d.o.Duration)) {
			words, err := steps[0].do(ctx)
			if err != nil && ctx.Err() == nil {
				return recovered, err
			}
			d.say(words)
			steps = steps[1:]
		}
		select {
		case <-frame.C:
			d.o.View.Draw(d.scene())
		case at := <-serves:
			recovered = max(at.Sub(up), time.Microsecond)
			d.say(fmt.Sprintf("%s serves again, %v after it was back", ids[0], show.Latency(recovered)))
			serves = nil
		case <-ctx.Done():
			return recovered, nil
		}
	}
}

func (d *Demo) kill(i int) string {
	d.mu.Lock()
	c := d.instances[i]
	d.killed, d.isolated = time.Now(), 0
	d.mu.Unlock()
	c.kill()
	return fmt.Sprintf("SIGKILL to %s (pid %d)", c.id, c.pid)
}

// revive starts an instance again where it was.
func (d *Demo) revive(i int) (string, error) {
	d.mu.Lock()
	old := d.instances[i]
	d.mu.Unlock()
	c, err := startChild(d.o.Command, old.id, old.address())
	if err != nil {
		return "", fmt.Errorf("starting %s again: %w", old.id, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.instances[i] = c
	return fmt.Sprintf("%s is back (pid %d)", c.id, c.pid), nil
}

func (d *Demo) stall(ctx context.Context, i, every int) (string, error) {
	d.mu.Lock()
	c := d.instances[i]
	d.mu.Unlock()
	if err := setStall(ctx, c.url, every, stallFor); err != nil {
		return "", err
	}
	if every == 0 {
		return c.id + " is well again", nil
	}
	return fmt.Sprintf("%s now stalls for %v on half of its calls", c.id, stallFor), nil
}

// told are the kinds of events that a viewer wants to hear of: who is out and why.
// Single attempts are in the counts.
var told = []messages.Kind{
	messages.KindHealthCheckFailed, messages.KindHealthCheckPassed,
	messages.KindEndpointDown, messages.KindEndpointUp, messages.KindEndpointDegraded,
	messages.KindEndpointSuspected, messages.KindSuspicionCleared,
	messages.KindCircuitOpened, messages.KindCircuitHalfOpened, messages.KindCircuitClosed,
	messages.KindEndpointRegistered, messages.KindEndpointUpdated, messages.KindEndpointRemoved,
	messages.KindAdminChanged, messages.KindServiceConfigured, messages.KindConfigRejected,
}

// avoided are those after which an endpoint is not picked while there is another.
var avoided = []messages.Kind{messages.KindEndpointSuspected, messages.KindCircuitOpened, messages.KindEndpointDown}

// happened hears every event of the service.
func (d *Demo) happened(e *messages.Event) {
	d.mu.Lock()
	playing := !d.began.IsZero()
	if e.Endpoint == ids[0] && slices.Contains(avoided, e.Kind) && !d.killed.IsZero() && d.isolated == 0 {
		d.isolated = max(e.Time.Sub(d.killed), time.Microsecond)
	}
	d.mu.Unlock()
	if playing && slices.Contains(told, e.Kind) {
		d.say(fmt.Sprintf("%-9s %s", cmp.Or(e.Endpoint, service), show.Event(e)))
	}
}

func (d *Demo) elapsed() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Since(d.began)
}

func (d *Demo) say(words string) { d.o.View.Say(d.elapsed(), words) }

func (d *Demo) result(recovered time.Duration) *Result {
	stats := d.node.System().Service(service).Stats()
	d.mu.Lock()
	isolated := d.isolated
	d.mu.Unlock()
	d.load.mu.Lock()
	defer d.load.mu.Unlock()
	return &Result{
		Requests: d.load.counts.requests, Failed: d.load.counts.failed, Fallbacks: d.load.counts.fallbacks,
		Retries: stats.Retries, Failovers: stats.Failovers,
		P50: d.load.percentile(50), P99: d.load.percentile(99),
		TimeToIsolate: milliseconds(isolated), TimeToRecover: milliseconds(recovered),
		Failures: d.load.failures,
	}
}

// milliseconds is nil for what did not happen.
func milliseconds(d time.Duration) *float64 {
	if d == 0 {
		return nil
	}
	ms := float64(d.Microseconds()) / 1000
	return &ms
}
