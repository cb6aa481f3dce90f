package actors

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/understudy-go/understudy/actors/health"
	"github.com/understudy-go/understudy/actors/transport"
	httptransport "github.com/understudy-go/understudy/actors/transport/http"
	"github.com/understudy-go/understudy/messages"
)

// idleAfter is how long a service must be without traffic to be checked rarely.
const idleAfter = 10 * time.Second

// prober is the actor that asks an endpoint how it is. It holds one timer, asks
// the schedule when the next check is due, and has at most one under way, in a
// goroutine of the system's bounded pool.
type prober struct {
	cell     *endpointCell
	config   health.Config
	check    checkFunc
	dispose  func() // closes the check's own connections
	schedule health.Schedule
	timer    Timer
	cancel   context.CancelFunc // of the check under way
	hangs    *atomic.Bool       // a check has not returned
}

// checkFunc is one check; nil means good.
type checkFunc func(context.Context) error

// checkResult is what came of one.
type checkResult struct {
	at      time.Duration
	ok      bool
	latency time.Duration
	outcome messages.Outcome // of one that was not good
	words   string
}

// Messages of the prober.
type (
	checkDue  struct{}
	hurry     struct{} // the endpoint is suspect: look at once
	checkDone struct{ checkResult }
)

var hurryUp = &hurry{}

func (e *endpoint) startProber(c actor.Context) {
	if !e.check.Enabled() {
		return
	}
	check, dispose := newCheck(e.target.Load(), *e.check, e.settings)
	if check == nil {
		return
	}
	cell, config, hangs := e.endpointCell, *e.check, new(atomic.Bool)
	e.prober = c.Spawn(actor.PropsFromProducer(func() actor.Actor {
		return &prober{cell: cell, config: config, check: check, dispose: dispose, hangs: hangs}
	}))
}

func (e *endpoint) stopProber(c actor.Context) {
	if e.prober != nil {
		c.Stop(e.prober)
		e.prober = nil
	}
}

// Receive implements actor.Actor.
func (p *prober) Receive(c actor.Context) {
	sys := p.cell.service.sys
	now := sys.clock.now()
	switch m := c.Message().(type) {
	case *actor.Started:
		p.schedule = health.NewSchedule(p.config, now)
		p.plan(c, now)
	case *checkDue:
		p.run(c, now)
	case *hurry:
		p.schedule.Hurry(now)
		p.plan(c, now)
	case *trafficBack:
		p.plan(c, now)
	case *checkDone:
		p.cancel = nil
		p.cell.mailbox.Post(&checked{m.checkResult}, nil)
		p.schedule.Finished(now, m.ok)
		p.plan(c, now)
	case *actor.Stopping, *actor.Restarting:
		if p.timer != nil {
			p.timer.Stop()
		}
		if p.cancel != nil {
			p.cancel()
		}
		p.dispose()
	}
}

// plan sets the timer for the next check.
func (p *prober) plan(c actor.Context, now time.Duration) {
	if p.cancel != nil {
		return // one is under way: its end plans the next
	}
	sys := p.cell.service.sys
	idle := now-time.Duration(p.cell.service.traffic.Load()) >= idleAfter
	wait := max(p.schedule.Next(now, idle, sys.random())-now, 0)
	if p.timer != nil {
		p.timer.Stop()
	}
	root, self := sys.actors.Root, c.Self()
	p.timer = sys.clock.afterFunc(wait, func() { root.Send(self, &checkDue{}) })
}

// run starts a check off the actor. One that does not end with its context is
// counted at its timeout; while it hangs no other is begun, and each that is due
// counts as its repetition.
func (p *prober) run(c actor.Context, now time.Duration) {
	if p.cancel != nil {
		return
	}
	sys := p.cell.service.sys
	ctx, cancel := context.WithCancel(sys.ctx)
	p.cancel = cancel
	p.schedule.Started(now)
	root, self := sys.actors.Root, c.Self()
	if p.hangs.Swap(true) {
		cancel()
		root.Send(self, &checkDone{checkResult{at: now, words: "the check before it has not returned"}})
		return
	}
	check, timeout, hangs := p.check, p.config.Timeout, p.hangs
	sys.pool.run(ctx, func() {
		defer cancel()
		root.Send(self, &checkDone{sys.probe(ctx, check, timeout, hangs)})
	})
}

// probe makes one check and times it. It returns at the timeout at the latest;
// hangs is false again when the check itself has returned.
func (s *System) probe(ctx context.Context, check checkFunc, timeout time.Duration, hangs *atomic.Bool) checkResult {
	begin := s.clock.now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if timeout > 0 {
		t := s.clock.afterFunc(timeout, func() { cancel(context.DeadlineExceeded) })
		defer t.Stop()
	}
	ended := make(chan error, 1)
	go func() {
		err := error(&messages.Error{Code: messages.CodeInternal, Words: "Check ended its goroutine"})
		defer func() {
			hangs.Store(false)
			ended <- err
		}()
		err = guard("Check", func() error { return check(ctx) })
	}()
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		select {
		case err = <-ended: // it was its own end that came second
		default:
			err = context.Cause(ctx)
		}
	}
	r := checkResult{at: s.clock.now(), ok: err == nil}
	r.latency = r.at - begin
	if err != nil {
		r.words = transport.Words(err)
		if r.outcome, _ = transport.Classify(err); r.outcome == messages.Ignored {
			r.outcome = messages.Failure // it was answered, and the answer was not good
		}
		if context.Cause(ctx) == context.DeadlineExceeded {
			r.words = fmt.Sprintf("no answer in %v", timeout)
		}
	}
	return r
}

// checkPool is the checks' own: a full pool of the requests must not look like a
// sick endpoint.
var checkPool = httptransport.Pool{Max: 2, MaxIdle: 1}

// newCheck makes the check of an endpoint: the hook's, or the configured one, or
// a connection; nil where there is nothing to ask.
func newCheck(t *target, c health.Config, set *settings) (check checkFunc, dispose func()) {
	dispose = func() {}
	switch {
	case set.config.Hooks.Check != nil:
		return t.cell.askHook, dispose
	case t.endpoint.URL == "":
		return nil, dispose
	case c.HTTP == nil:
		return tcpCheck(t.endpoint.URL), dispose
	}
	client, err := httptransport.New(t.endpoint.URL, checkPool, set.config.TLS, set.config.Headers)
	if err != nil {
		return func(context.Context) error { return err }, dispose
	}
	return httpCheck(client, c.HTTP), client.Close
}

// askHook asks the hook that is in force now, of the endpoint as it is now.
func (e *endpointCell) askHook(ctx context.Context) error {
	t, hooks := e.target.Load(), &e.service.settings.Load().config.Hooks
	if err := t.open(ctx, hooks.Open); err != nil || hooks.Check == nil {
		return err
	}
	return hooks.Check(ctx, Target{t})
}

// httpCheckBody is how much of a check's answer is read so that the connection can be used again.
const httpCheckBody = 64 << 10

func httpCheck(client *httptransport.Client, c *health.HTTPCheck) checkFunc {
	return func(ctx context.Context) error {
		method := c.Method
		if method == "" {
			method = http.MethodGet
		}
		req, err := http.NewRequestWithContext(ctx, method, c.Path, strings.NewReader(c.Body))
		if err != nil {
			return err
		}
		for k, v := range c.Headers {
			req.Header.Set(k, v)
		}
		resp, err := client.RoundTrip(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, _ = io.CopyN(io.Discard, resp.Body, httpCheckBody)
		if len(c.Statuses) > 0 && !slices.Contains(c.Statuses, resp.StatusCode) ||
			len(c.Statuses) == 0 && (resp.StatusCode < 200 || resp.StatusCode > 399) {
			return &messages.Error{Code: messages.CodeHealthCheckFailed, Words: fmt.Sprintf("status %d", resp.StatusCode)}
		}
		return nil
	}
}

// tcpCheck is good when a connection can be made.
func tcpCheck(raw string) checkFunc {
	return func(ctx context.Context) error {
		u, err := url.Parse(raw)
		if err != nil {
			return err
		}
		port := u.Port()
		if port == "" {
			port = map[string]string{"https": "443"}[u.Scheme]
		}
		if port == "" {
			port = "80"
		}
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
		if err != nil {
			return err
		}
		return conn.Close()
	}
}
