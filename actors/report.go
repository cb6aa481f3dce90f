package actors

import (
	"fmt"
	"strings"
	"time"

	"github.com/understudy-go/understudy/actors/balance"
	"github.com/understudy-go/understudy/actors/breaker"
	"github.com/understudy-go/understudy/actors/health"
	"github.com/understudy-go/understudy/messages"
)

// endpointReport is what an endpoint says of itself when asked.
type endpointReport struct {
	gone     bool // its actor is not there: parked, or between two incarnations
	status   messages.EndpointStatus
	counters counters
	checks   []health.CheckResult
}

// report copies what the endpoint owns.
func (e *endpoint) report(history int) endpointReport {
	clock := &e.service.sys.clock
	now := e.advance(clock.now())
	t := &e.target.Load().endpoint
	v := e.look(now)
	s := describe(t)
	s.Eligible = v.status.Eligible && e.draining == nil
	s.Rank = v.status.Rank.String()
	s.Admin, s.AdminReason = e.admin.state, e.admin.reason
	if e.draining != nil {
		s.Admin, s.AdminReason = messages.AdminDrain, "taken out, finishing what it has"
	}
	s.Health, s.HealthReason = e.health.State().String(), e.health.Reason()
	s.Breaker, s.BreakerReason = e.breaker.State().String(), e.breakerWords(now)
	s.Suspect = e.suspicion.Suspect()
	if s.Suspect {
		why := "suspect: " + e.suspicion.Reason() + e.last()
		if e.check.Enabled() && s.HealthReason != "" {
			why = s.HealthReason + "; " + why
		}
		s.HealthReason = why
	}
	if e.cooling > now {
		s.CoolingUntil = clock.wall(e.cooling)
	}
	if e.ejected {
		s.EjectedUntil, s.EjectedReason = clock.wall(e.ejection.Until()), e.ejection.Reason()
	}
	if since := v.status.Warming; since > 0 && v.status.Eligible {
		s.WarmingUntil = clock.wall(since + e.settings.config.SlowStart.Window)
	}
	s.Limit = max(e.concurrency(), 0)
	s.Inflight, s.Latency, s.LastError = e.inflight, e.load.Average(), e.lastError
	c := &e.counters
	s.Attempts, s.Failures, s.Timeouts, s.Refusals = c.attempts, c.failures, c.timeouts, c.refusals
	s.Checks, s.CheckFailures = c.checks, c.checkFailures
	return endpointReport{status: s, counters: *c, checks: e.health.Last(history)}
}

func describe(e *Endpoint) messages.EndpointStatus {
	c := e.Clone()
	return messages.EndpointStatus{ID: c.ID, URL: redactURL(c.URL), Tags: c.Tags, Metadata: c.Metadata,
		Weight: max(c.Weight, 1), Priority: c.Priority, Zone: c.Zone, Region: c.Region, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt}
}

// breakerWords say why the breaker is as it is: "open 12s: 5 failures in a row,
// last: connection refused; trial in 3s".
func (e *endpoint) breakerWords(now time.Duration) string {
	if e.breaker.State() == breaker.Closed && e.breaker.Reason() == "" {
		return ""
	}
	var b strings.Builder
	b.WriteString(e.breaker.State().String())
	if e.movedAt > 0 && e.breaker.State() != breaker.Closed {
		fmt.Fprintf(&b, " %v", (now - e.movedAt).Round(100*time.Millisecond))
	}
	if r := e.breaker.Reason(); r != "" {
		b.WriteString(": " + r)
	}
	if e.breaker.State() == breaker.Open {
		b.WriteString(e.last())
		if until := e.breaker.OpenUntil(); until > now {
			fmt.Fprintf(&b, "; trial in %v", (until - now).Round(100*time.Millisecond))
		} else if until > 0 {
			b.WriteString("; trial due")
		}
	}
	return b.String()
}

// reports asks every endpoint of the service. What an endpoint that drains hands over
// between the two questions would be in neither answer: then they are asked again.
func (s *Service) reports(history int) ([]endpointReport, cellList) {
	for range reportTries {
		out, list := s.report(history)
		if s.cells().handed == list.handed {
			return out, list
		}
	}
	return s.report(history)
}

// reportTries bounds how often a report is made again.
const reportTries = 3

func (s *Service) report(history int) ([]endpointReport, cellList) {
	list := s.cells()
	out := make([]endpointReport, 0, len(list.cells))
	for _, cell := range list.leaving {
		r := cell.ask(0)
		list.ended.add(&r.counters)
		list.inflight += r.status.Inflight
	}
	for _, cell := range list.cells {
		r := cell.ask(history)
		if r.gone {
			r.status = describe(&cell.target.Load().endpoint)
			r.status.Health, r.status.HealthReason = health.Unhealthy.String(), "its actor panicked again and again: tried again soon"
			r.status.Admin, r.status.Breaker, r.status.Rank = messages.AdminReady, breaker.Closed.String(), "parked"
		}
		out = append(out, r)
	}
	return out, list
}

func (e *endpointCell) ask(history int) endpointReport {
	reply := make(chan endpointReport, 1)
	e.mailbox.Post(&observe{reply: reply, history: history}, nil)
	select {
	case r := <-reply:
		return r
	case <-e.service.sys.ctx.Done():
		return endpointReport{gone: true}
	}
}

// Status returns the service's state with every endpoint's, as this node sees it.
func (s *Service) Status() messages.ServiceStatus {
	out := messages.ServiceStatus{Service: s.name}
	cell := s.cell.Load()
	if cell == nil {
		return out
	}
	set := cell.settings.Load()
	out.Strategy, out.Metadata, out.Draining = strategyName(set.config.Strategy), set.given.Metadata, cell.draining.Load()
	out.Panic = cell.panicking.Load()
	reports, list := s.reports(0)
	out.Stats = s.sum(reports, list)
	for _, r := range reports {
		out.Endpoints = append(out.Endpoints, r.status)
	}
	return out
}

func strategyName(c balance.Config) string {
	if c.Tier == "" || c.Tier == c.Pick {
		return c.Pick
	}
	return c.Tier + "+" + c.Pick
}

// Stats returns the service's counts since it was added.
func (s *Service) Stats() messages.ServiceStats { return s.sum(s.reports(0)) }

// Checks returns the newest n health checks of an endpoint, oldest first; 100 are kept.
func (s *Service) Checks(id string, n int) ([]health.CheckResult, error) {
	cell, err := s.find(id)
	if err != nil {
		return nil, err
	}
	return cell.ask(n).checks, nil
}

func (s *Service) sum(reports []endpointReport, list cellList) messages.ServiceStats {
	total := list.ended
	for i := range reports {
		total.add(&reports[i].counters)
	}
	st := messages.ServiceStats{
		Requests: list.requests, Succeeded: total.succeeded, Failed: total.failed, Canceled: total.canceled,
		Attempts: total.attempts, Retries: total.retries, Failovers: total.failovers, Recoveries: total.recovered,
		Hedges: total.hedges, Refusals: list.refused, Keyless: list.keyless,
	}
	if cell := s.cell.Load(); cell != nil {
		st.Fallbacks = cell.fallbacks.Load()
		st.Cached = cell.apart[requestSucceeded].Load()
		failed, canceled := cell.apart[requestFailed].Load(), cell.apart[requestCanceled].Load()
		st.Requests += st.Cached + failed + canceled
		st.Succeeded += st.Cached
		st.Failed += failed
		st.Canceled += canceled
	}
	if total.answered > 0 {
		st.AverageTime = total.spent / time.Duration(total.answered)
	}
	if total.lastSuccess > 0 {
		st.LastSuccess = s.sys.clock.wall(total.lastSuccess)
	}
	if total.lastFailure > 0 {
		st.LastFailure = s.sys.clock.wall(total.lastFailure)
	}
	return st
}

func (c *counters) add(o *counters) {
	c.attempts += o.attempts
	c.successes += o.successes
	c.failures += o.failures
	c.timeouts += o.timeouts
	c.refusals += o.refusals
	c.retries += o.retries
	c.failovers += o.failovers
	c.hedges += o.hedges
	c.succeeded += o.succeeded
	c.failed += o.failed
	c.canceled += o.canceled
	c.recovered += o.recovered
	c.checks += o.checks
	c.checkFailures += o.checkFailures
	c.answered += o.answered
	c.spent += o.spent
	c.lastSuccess = max(c.lastSuccess, o.lastSuccess)
	c.lastFailure = max(c.lastFailure, o.lastFailure)
}

// busy reports whether a request is under way, be it between two attempts, or a
// lease is out.
func (s *Service) busy() bool {
	reports, list := s.reports(0)
	for i := range reports {
		list.inflight += reports[i].status.Inflight
	}
	if list.inflight > 0 {
		return true
	}
	n := s.sum(reports, list)
	return n.Requests > n.Succeeded+n.Failed+n.Canceled
}

func (s *Service) fellBack(opts []CallOption) {
	if cell := s.cell.Load(); cell != nil {
		cell.fallbacks.Add(1)
	}
	for i := range opts {
		if r := opts[i].into; r != nil {
			r.Fallback = true
		}
	}
}
