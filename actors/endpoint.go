package actors

import (
	"fmt"
	"reflect"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/understudy-go/understudy/actors/balance"
	"github.com/understudy-go/understudy/actors/breaker"
	"github.com/understudy-go/understudy/actors/health"
	"github.com/understudy-go/understudy/messages"
)

// endpoint is the actor of one endpoint: the only writer of its cell while it
// runs. It decides by the cell's cores and carries the decisions out.
type endpoint struct {
	*endpointCell
	prober *actor.PID
}

// Messages that only this package sends to an endpoint.
type (
	wake struct{} // its timer fired
	// trialAnswered tells that a trial's response has its head: its body may
	// stream for hours, and nobody else could be tried meanwhile.
	trialAnswered struct {
		lease  *lease
		result result
	}
	trafficBack struct{} // the service had none for a while
	checked     struct{ checkResult }
	setOutage   struct{ on bool } // half or more of the others are out here
	setSettings struct{ settings *settings }
	observe     struct {
		reply   chan<- endpointReport
		history int // how many checks
	}
	// operate is an operator's order.
	operate struct {
		order Order
		reply chan<- error
	}
	// drainOrder lets the endpoint finish what it has; then the supervisor hears drained.
	drainOrder struct{ until time.Duration }
)

var (
	wakeUp  = &wake{}
	traffic = &trafficBack{}
)

// Receive implements actor.Actor.
func (e *endpoint) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *Acquire:
		e.acquire((*lease)(m))
	case *Outcome:
		e.finish((*lease)(m))
	case *trialAnswered:
		e.judge(e.advance(m.result.ended), m.lease.at, m.lease.permit, &m.result)
		m.lease.counted = true
	case *wake:
		e.wake()
	case *checked:
		e.checked(m.checkResult)
	case *trafficBack:
		if e.prober != nil {
			c.Send(e.prober, traffic)
		}
	case *takeSample:
		e.sample(m)
	case *eject:
		e.eject(m.why)
	case *setOutage:
		e.breaker.SetOutage(m.on)
	case *setSettings:
		e.configure(c, m)
	case *observe:
		m.reply <- e.report(m.history)
	case *operate:
		m.reply <- e.operate(m.order)
	case *drainOrder:
		e.draining = m
		e.wakeBy(m.until)
		e.drained()
	case *actor.Started:
		e.startProber(c)
		e.publish(e.service.sys.clock.now())
	case *actor.Stopped:
		// From now on what waits goes back to the supervisor; outcomes are kept
		// for the next incarnation.
		e.mailbox.Close()
	}
}

// acquire grants a lease or sends it back to the supervisor.
func (e *endpoint) acquire(l *lease) {
	now := e.advance(l.at)
	if !e.admits(now, l.reserve) {
		e.turnDown(l)
		return
	}
	before := e.breaker.State()
	permit, ok := e.breaker.Acquire(now)
	if !ok {
		e.turnDown(l)
		return
	}
	l.cell, l.permit, l.target = e.endpointCell, permit, e.target.Load()
	l.due, l.counted = e.overdueAt(l), false
	e.link(l)
	if l.due > 0 {
		e.wakeBy(l.sweepAt())
	}
	e.counters.attempts++
	retry, hedge, previous := l.retry, l.hedge, l.previous
	if permit.Trial {
		if before == breaker.Open {
			e.emit(now, messages.KindCircuitHalfOpened, messages.Cause{
				Words: "the open time is over: one trial", From: "open", To: "half_open"})
		}
		e.publish(now)
	}
	if l.answer() { // from here on the lease is the caller's
		switch {
		case hedge:
			e.counters.hedges++
			e.emit(now, messages.KindHedge, messages.Cause{Words: "beside " + previous + ", which takes long", From: previous, To: e.id})
		case retry:
			e.countRetry(now, previous)
		}
	} else {
		e.breaker.Record(now, permit, messages.Ignored, 0, 0)
		e.counters.attempts--
		e.unlink(l)
		e.publish(now)
	}
}

// advance keeps the endpoint's time from running backwards: callers read the
// clock before their messages queue.
func (e *endpoint) advance(now time.Duration) time.Duration {
	e.latest = max(e.latest, now)
	return e.latest
}

// admits holds what a stale choice of the supervisor may have missed. In panic mode
// the supervisor sends what health or an ejection would not let in.
func (e *endpoint) admits(now time.Duration, reserve bool) bool {
	if e.admin.state != messages.AdminReady || e.draining != nil || e.cooling > now {
		return false
	}
	if !e.well() && !(reserve && e.lastResort()) {
		return false
	}
	if e.adaptive != nil {
		e.throttleUp(now) // nobody came back meanwhile
	}
	if most := e.concurrency(); most >= 0 && e.inflight >= most {
		e.throttle.needed = now
		return false
	}
	return true
}

// concurrency is how many attempts may be in flight; negative: any number.
func (e *endpointCell) concurrency() int {
	if e.adaptive != nil {
		return e.adaptive.Limit()
	}
	return e.settings.config.Concurrency.Max
}

// learn tells the adaptive limit of an attempt that came back.
func (e *endpoint) learn(now time.Duration, r *result) {
	dropped := r.outcome == messages.Timeout || r.pause > 0
	if dropped || r.outcome == messages.Success { // an error may come fast from who is overloaded
		e.adaptive.Observe(now, r.latency, e.inflight+1, dropped)
	}
	e.throttleUp(now)
}

// well reports whether neither health nor an ejection keeps traffic away.
func (e *endpoint) well() bool { return !e.ejected && e.health.Eligible() }

// lastResort reports whether panic mode may ignore that the endpoint is not well.
func (e *endpoint) lastResort() bool {
	return e.health.LastResort() && e.breaker.State() == breaker.Closed && !e.suspicion.Unreachable()
}

func (e *endpoint) turnDown(l *lease) {
	e.counters.refusals++
	e.sendBack(l, e.mailbox.Left())
}

// finish takes a lease back.
func (e *endpoint) finish(l *lease) {
	if !l.linked {
		return // reclaimed meanwhile
	}
	e.unlink(l)
	now := e.advance(l.ended)
	if e.adaptive != nil {
		e.learn(now, &l.result)
	}
	if !l.counted {
		e.judge(now, l.at, l.permit, &l.result)
	}
	e.countRequest(now, l)
	if e.draining != nil {
		e.drained()
	}
	l.free()
}

// judge tells every core what the attempt says.
func (e *endpoint) judge(now, began time.Duration, permit breaker.Permit, r *result) {
	if r.unused { // a hedge that came too late
		e.counters.attempts--
		e.counters.hedges--
	} else {
		e.counters.answered++
		e.counters.spent += r.latency
	}
	epoch := e.breaker.Epoch()
	if c := &e.settings.config.Outlier; c.Consecutive > 0 && !c.Disabled {
		e.inARow(r.outcome, c.Consecutive)
	}
	if e.settings.config.RateLimit.Dynamic {
		e.service.tally(r.outcome)
	}
	if r.outcome == messages.Success {
		e.counters.successes++
		e.counters.lastSuccess = now
		e.load.Observe(now, r.latency)
		e.usual.Observe(now, r.latency)
		e.service.average.Observe(now, r.latency)
		if e.suspicion.GoodCall(began) {
			e.emit(now, messages.KindSuspicionCleared, messages.Cause{Words: "a call succeeded"})
		}
	} else if r.outcome.Failed() {
		e.failed(now, r)
	} else if r.lost && r.latency > e.load.Average() {
		e.load.Observe(now, r.latency) // it would have taken at least that
	}
	if r.pause > 0 {
		e.cool(now, r)
	}
	e.watch(now, r)
	before := e.breaker.State()
	e.breaker.Record(now, permit, r.outcome, r.latency, e.jitter(r))
	if e.breaker.Epoch() != epoch {
		e.breakerMoved(now, before)
	} else if permit.Trial || r.pause > 0 || e.view.status.Rank != e.rank() {
		e.publish(now)
	}
}

// failed counts a failure and looks whether the endpoint is suspect by it.
func (e *endpoint) failed(now time.Duration, r *result) {
	e.counters.failures++
	if r.outcome == messages.Timeout {
		e.counters.timeouts++
		e.emit(now, messages.KindTimeout, messages.Cause{Words: r.failure})
	}
	e.counters.lastFailure = now
	e.lastError = r.failure
	e.load.Fail(now, r.latency, &e.service.average)
	if e.suspicion.Failure(now, r.outcome) {
		e.suspected(now)
	}
}

// suspected says it and has the prober look at once.
func (e *endpoint) suspected(now time.Duration) {
	until := e.suspicion.Until()
	e.emit(now, messages.KindEndpointSuspected, messages.Cause{
		Words: e.suspicion.Reason() + e.last(), LastError: e.lastError, Until: e.service.sys.clock.wall(until)})
	e.wakeBy(until)
	if e.prober != nil {
		e.service.sys.actors.Root.Send(e.prober, hurryUp)
	}
}

func (e *endpoint) last() string {
	if e.lastError == "" {
		return ""
	}
	return ", last: " + e.lastError
}

// cool leaves the endpoint alone for as long as it asked.
func (e *endpoint) cool(now time.Duration, r *result) {
	e.cooling = max(e.cooling, now+r.pause)
	e.wakeBy(e.cooling)
	e.emit(now, messages.KindCooldown, messages.Cause{
		Words: fmt.Sprintf("%s: left alone for %v", r.failure, r.pause), Until: e.service.sys.clock.wall(e.cooling)})
}

// countRetry counts an attempt that is not its request's first.
func (e *endpoint) countRetry(now time.Duration, previous string) {
	e.counters.retries++
	e.emit(now, messages.KindRetry, messages.Cause{Words: "another try after " + previous + " failed"})
	if previous != e.id {
		e.counters.failovers++
		e.emit(now, messages.KindFailover, messages.Cause{Words: "instead of " + previous, From: previous, To: e.id})
	}
}

// countRequest counts the request where its last attempt came back.
func (e *endpoint) countRequest(now time.Duration, l *lease) {
	switch l.end {
	case requestGoesOn:
		return
	case requestSucceeded:
		e.counters.succeeded++
		if l.retry && !l.hedge {
			e.counters.recovered++
			e.emit(now, messages.KindRecovery, messages.Cause{Words: "succeeded after " + l.previous + " failed"})
		}
	case requestFailed:
		e.counters.failed++
	case requestCanceled:
		e.counters.canceled++
	}
}

// breakerMoved says what the breaker did.
func (e *endpoint) breakerMoved(now time.Duration, before breaker.State) {
	state := e.breaker.State()
	e.movedAt = now
	cause := messages.Cause{Words: e.breaker.Reason(), From: before.String(), To: state.String()}
	kind := messages.KindCircuitClosed
	switch state {
	case breaker.Closed:
		e.warmSince = now
		if before == breaker.HalfOpen { // not by an operator's word
			e.throttleDown(now)
		}
	case breaker.Open:
		kind = messages.KindCircuitOpened
		until := e.breaker.OpenUntil()
		if until == 0 {
			break // an operator's word, not a failure's
		}
		cause.Words += e.last()
		cause.LastError = e.lastError
		n := e.breaker.Counts(now)
		cause.Failures = max(n.Consecutive, n.Failures)
		cause.Until = e.service.sys.clock.wall(until)
		e.wakeBy(until)
	case breaker.HalfOpen:
		kind = messages.KindCircuitHalfOpened
	}
	e.publish(now) // first: whoever acts on the event meets what it tells
	e.emit(now, kind, cause)
}

// wakeBy makes sure that the endpoint wakes at the latest at that moment.
func (e *endpoint) wakeBy(at time.Duration) {
	if at <= 0 || e.wakeAt > 0 && e.wakeAt <= at {
		return
	}
	e.wakeAt = at
	clock := &e.service.sys.clock
	wait := max(at-clock.now(), 0)
	if e.timer != nil {
		e.timer.Reset(wait)
		return
	}
	box := e.mailbox
	e.timer = clock.afterFunc(wait, func() { box.Post(wakeUp, nil) })
}

// wake does what is due and sets the timer for what comes next.
func (e *endpoint) wake() {
	now := e.advance(e.service.sys.clock.now())
	e.wakeAt = 0
	e.overdue(now)
	if e.suspicion.Suspect() {
		if e.suspicion.Fade(now) {
			e.emit(now, messages.KindSuspicionCleared, messages.Cause{Words: "faded: nothing new speaks against it"})
		} else {
			e.wakeBy(e.suspicion.Until())
		}
	}
	if e.cooling > now {
		e.wakeBy(e.cooling)
	}
	e.comeBack(now, "its time is over")
	if e.breaker.State() == breaker.Open && !e.breaker.Due(now) {
		e.wakeBy(e.breaker.OpenUntil())
	}
	if e.draining != nil {
		e.drained()
		if e.draining.until > now {
			e.wakeBy(e.draining.until)
		}
	}
	e.publish(now)
}

// checked takes a health check's result.
func (e *endpoint) checked(r checkResult) {
	now := e.advance(r.at)
	e.counters.checks++
	if !r.ok {
		e.counters.checkFailures++
	}
	before := e.health.State()
	change := e.health.Check(r.at, r.ok, r.latency, r.words)
	suspect := e.suspicion.Epoch()
	wasSuspect := e.suspicion.Suspect()
	if !r.ok {
		e.suspicion.CheckOutcome(r.outcome)
	}
	if r.ok {
		e.suspicion.GoodCheck(r.at - r.latency)
	} else if e.health.State() != health.Unhealthy { // who is unhealthy gets no traffic anyway
		e.suspicion.CheckFailed(r.at)
	}
	if e.suspicion.Epoch() != suspect {
		if !r.ok {
			e.lastError = r.words
		}
		e.suspected(now)
	} else if wasSuspect && !e.suspicion.Suspect() {
		e.emit(now, messages.KindSuspicionCleared, messages.Cause{Words: "a health check was good"})
	}
	if change.Recovered {
		e.emit(now, messages.KindHealthCheckPassed, messages.Cause{Words: "a health check was good again"})
		e.breaker.Hasten(now)
	}
	if change.Failing {
		e.emit(now, messages.KindHealthCheckFailed, messages.Cause{Words: r.words})
	}
	if state := e.health.State(); state != before {
		e.healthMoved(now, before, state)
	}
	e.publish(now)
}

func (e *endpoint) healthMoved(now time.Duration, before, state health.State) {
	if before == health.Unhealthy {
		e.warmSince = now
	}
	kind := messages.KindEndpointUp
	switch state {
	case health.Unhealthy:
		kind = messages.KindEndpointDown
	case health.Degraded:
		kind = messages.KindEndpointDegraded
	}
	words := e.health.Reason()
	if words == "" {
		words = "its checks are good"
	}
	e.publish(now)
	e.emit(now, kind, messages.Cause{Words: words, From: before.String(), To: state.String()})
}

// configure puts new settings or a changed endpoint in force.
func (e *endpoint) configure(c actor.Context, m *setSettings) {
	e.advance(e.service.sys.clock.now())
	before := e.settings
	e.settings = m.settings
	e.draining = nil
	switch was, is := before.config.Concurrency, e.settings.config.Concurrency; {
	case was == is:
	case was.Adaptive && is.Adaptive:
		e.adaptive.Configure(is)
	default:
		e.adaptive = e.newAdaptive(is)
	}
	if e.settings.config.Outlier.Disabled {
		e.ejection.Return(e.latest)
		e.comeBack(e.latest, "outlier detection was turned off")
	}
	epoch, state := e.breaker.Epoch(), e.breaker.State()
	e.breaker.Configure(breakerConfig(e.service, m.settings))
	if e.breaker.Epoch() != epoch {
		e.breakerMoved(e.latest, state)
	}
	check := checkConfig(m.settings, &e.target.Load().endpoint)
	same := reflect.DeepEqual(*check, *e.check)
	e.check = check // the same or not: the old one would hold the settings that it is of
	if !same {
		if change := e.health.Configure(*check); change.Changed() {
			e.healthMoved(e.latest, change.From, change.To)
		}
	}
	if !same || !sameTransport(before, m.settings) { // a check has connections of its own
		e.stopProber(c)
		e.startProber(c)
	}
	e.publish(e.latest)
}

// drained tells the supervisor when nothing is left, or no time.
func (e *endpoint) drained() {
	if e.inflight == 0 || e.service.sys.clock.now() >= e.draining.until {
		e.service.mailbox.Post(&endpointDrained{cell: e.endpointCell, order: e.draining, counters: e.counters}, nil)
		e.counters, e.sampled = counters{}, sampledUpTo{}
	}
}

// publish tells the supervisor what it needs to know, when that has changed.
func (e *endpoint) publish(now time.Duration) {
	v := e.look(now)
	if v == e.view {
		return
	}
	e.view = v
	e.service.mailbox.Post(&endpointChanged{cell: e.endpointCell, view: v}, nil)
}

// look decides eligibility and rank from the three things that matter:
// the operator's word, health, breaker.
func (e *endpoint) look(now time.Duration) endpointView {
	// Draining is left out: the supervisor knows, and when it takes the endpoint up
	// again, it may pick it before it hears of that.
	ready := e.admin.state == messages.AdminReady
	state := e.breaker.State()
	v := endpointView{state: state, sick: !e.well(), ejected: e.ejected, cooling: e.cooling > now}
	switch {
	case v.cooling:
		v.until = e.cooling
	case state == breaker.Open:
		v.until = e.breaker.OpenUntil()
	}
	if v.until == 0 {
		v.patience = e.breaker.RetryAfter(now)
	}
	admits := e.breaker.Admits(now)
	v.status = balance.Status{
		Ready:    ready,
		Eligible: ready && !v.sick && !v.cooling && admits,
		TrialDue: admits && state != breaker.Closed,
		Rank:     e.rank(),
	}
	v.status.LastResort = ready && v.sick && !v.cooling && e.lastResort()
	if e.warmSince > 0 && e.settings.warms && now-e.warmSince < e.settings.config.SlowStart.Window {
		v.status.Warming = e.warmSince
	}
	return v
}

func (e *endpoint) rank() balance.Rank {
	if e.suspicion.Suspect() {
		return balance.Suspect
	}
	switch e.health.State() {
	case health.Unknown:
		return balance.Unknown
	case health.Degraded:
		return balance.Degraded
	}
	return balance.Healthy
}

func (e *endpoint) emit(now time.Duration, kind messages.Kind, cause messages.Cause) {
	e.service.emit(now, kind, e.id, cause)
}

// jitter draws the randomness of an open time, where the attempt can open anything.
func (e *endpoint) jitter(r *result) float64 {
	if r.outcome == messages.Success && e.settings.config.Breaker.SlowCall <= 0 {
		return 0
	}
	return e.service.sys.random()
}
