package actors

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/understudy-go/understudy/actors/transport"
	"github.com/understudy-go/understudy/messages"
)

// CallOption changes one call. It is a value, so that giving one allocates nothing.
type CallOption struct {
	key           string
	timeout       time.Duration
	maxAttempts   int
	notIdempotent bool
	hedged        bool
	into          *Report
}

// Key is the affinity of the request, for strategies that hash or stick.
func Key(key string) CallOption { return CallOption{key: key} }

// NotIdempotent says that the call must not be repeated once an endpoint may
// have seen it.
func NotIdempotent() CallOption { return CallOption{notIdempotent: true} }

// Hedged has the call ask a second endpoint beside the first, when that one has
// taken longer than the service's hedge allows: its live 95th percentile, unless
// configured otherwise. The function then runs twice at once, the second time in
// another goroutine; the first success is the answer, and the other's context ends.
// What the function brings for nothing is let go, an *http.Response closed. Together
// with NotIdempotent it does nothing.
func Hedged() CallOption { return CallOption{hedged: true} }

// Timeout shortens the service's timeout for this call. Zero and below change nothing.
func Timeout(d time.Duration) CallOption { return CallOption{timeout: max(d, 0)} }

// MaxAttempts replaces the service's retry.max_attempts, 1 to 16.
func MaxAttempts(n int) CallOption { return CallOption{maxAttempts: min(max(n, 1), AttemptsMax)} }

// Into has the call tell how it went.
func Into(r *Report) CallOption { return CallOption{into: r} }

// Report tells how a call went.
type Report struct {
	Endpoint string             // that answered last, "" if none did
	Attempts []messages.Attempt // the last one last
	Duration time.Duration
	Fallback bool // the answer is a fallback
	Cached   bool // the answer is the cache's: no endpoint was asked for it
}

// call is one request on its way through acquire → attempt → outcome, as often
// as the retry policy allows. It lives in the caller's goroutine, on its stack:
//
//	for c.begin(…); c.next(); {
//		… = fn(c.attemptCtx, c.target)
//		c.end(…)
//	}
type call struct {
	cell     *serviceCell
	set      *settings
	ctx      context.Context
	options  CallOption
	method   string // for HTTP: names the span
	any      bool   // every failure may be retried, not only those the policy lists (Do)
	quiet    bool   // nobody's request: it refreshes the cache
	once     bool   // not idempotent: retried only while nothing was sent
	began    time.Duration
	deadline time.Duration // 0: none
	attempt  int
	max      int  // attempts that this call may make
	again    bool // the attempt that ended may be followed by another
	unsent   bool // nothing of it reached the endpoint
	pause    time.Duration

	lease      *lease
	target     Target
	attemptCtx context.Context
	own        *attemptContext // attemptCtx, where it is ours
	previous   string

	tried    []string
	attempts []messages.Attempt
	last     judgement
	welcomed bool // the supervisor has counted the request
	lastErr  error
	told     bool       // the attempt was reported at its head
	hedges   bool       // a slow attempt may have another beside it, once
	lost     bool       // the attempt beside this one was faster
	spare    bool       // what the attempt brought is nobody's: another beside it answers
	lane     lane       // which of the two attempts of a race it is
	race     *race      // what this attempt shares with the one beside it; nil: there can be none
	broken   error      // the classifier panicked: that ends the call
	stopped  string     // why a further attempt was refused
	err      error      // why the call ends
	span     trace.Span // of the attempt; nil: not traced
}

// begin makes the call ready; next then tells whether it may go.
func (c *call) begin(ctx context.Context, s *Service, opts []CallOption) {
	c.ctx = ctx
	for i := range opts {
		c.options.merge(&opts[i])
	}
	if c.options.into != nil {
		*c.options.into = Report{}
	}
	c.cell = s.cell.Load()
	if c.cell == nil {
		c.err = s.missing()
		return
	}
	if c.cell.draining.Load() {
		if s.sys.isClosed() {
			c.err = s.missing()
			return
		}
		c.err = &messages.Error{Code: messages.CodeServiceUnavailable, Service: s.name, Words: "draining"}
		return
	}
	c.set = c.cell.settings.Load()
	config := &c.set.config
	c.began = c.cell.sys.clock.now()
	c.max = config.Retry.MaxAttempts
	if c.options.maxAttempts > 0 {
		c.max = c.options.maxAttempts
	}
	timeout := bound(config.Timeout)
	if t := c.options.timeout; t > 0 && (timeout == 0 || t < timeout) {
		timeout = t
	}
	if timeout > 0 {
		c.deadline = c.began + timeout
	}
	if d, ok := ctx.Deadline(); ok {
		if at := max(c.cell.sys.clock.until(d), 1); c.deadline == 0 || at < c.deadline {
			c.deadline = at
		}
	}
	if ctx.Err() != nil {
		c.err = c.callerGone()
	}
}

func (o *CallOption) merge(with *CallOption) {
	if with.key != "" {
		o.key = with.key
	}
	if with.timeout > 0 {
		o.timeout = with.timeout
	}
	if with.maxAttempts > 0 {
		o.maxAttempts = with.maxAttempts
	}
	if with.into != nil {
		o.into = with.into
	}
	o.notIdempotent = o.notIdempotent || with.notIdempotent
	o.hedged = o.hedged || with.hedged
}

// next acquires an endpoint for the next attempt; false ends the call.
func (c *call) next() bool {
	if c.err != nil || c.attempt > 0 && !c.again {
		return false
	}
	now := c.began
	if c.attempt > 0 {
		now = c.cell.sys.clock.now()
	}
	c.attempt++
	l := c.ask(now, c.attempt > 1)
	for l != nil && l.err != nil {
		err := l.err
		l.free()
		switch {
		case err == errAllTried:
			if !c.wait(c.set.config.Retry.Wait(c.attempt-1, c.cell.sys.random())) {
				return false
			}
		case c.attempt > 1 && err.Code == messages.CodeRateLimited && err.RetryAfter <= c.set.config.Retry.Backoff.Max:
			// Every endpoint asked for a pause, one no longer than a backoff may be.
			if !c.wait(err.RetryAfter) {
				return false
			}
		default:
			c.refused(err)
			return false
		}
		l = c.ask(c.cell.sys.clock.now(), false)
	}
	if l == nil {
		return false
	}
	return c.ready(l)
}

// ask sends an Acquire and waits for its answer; nil if the caller gave up.
func (c *call) ask(now time.Duration, fresh bool) *lease {
	l := newLease(c.cell)
	l.at, l.deadline, l.key = now, c.deadline, c.options.key
	l.timeout, l.quiet = bound(c.set.config.AttemptTimeout), c.quiet
	if c.attempt > 1 {
		l.retry, l.fresh, l.charge, l.previous = true, fresh, fresh && (!c.unsent || c.race != nil), c.previous
		l.hedge = c.race != nil // only the second one asks within it
		l.tried = append(l.tried, c.tried...)
	}
	c.cell.mailbox.Post((*Acquire)(l), nil)
	switch {
	case l.state.Load() != leaseAnswered:
		if !c.park(l) { // to wait is to make way
			return nil
		}
	case c.cell.crowd.Load() > 0:
		c.cell.makeWay(now)
	}
	c.welcomed = c.welcomed || l.welcomed
	return l
}

// park waits for an answer. A caller that gives up abandons its lease.
func (c *call) park(l *lease) bool {
	if !l.state.CompareAndSwap(leaseAsked, leaseParked) {
		return true
	}
	sys := c.cell.sys
	select {
	case <-l.ready:
		return true
	case <-c.ctx.Done():
	case <-sys.ctx.Done():
	}
	if !l.state.CompareAndSwap(leaseParked, leaseAbandoned) {
		<-l.ready
		return true
	}
	c.welcomed = !l.only // it will be, when its turn comes
	c.gaveUp()
	return false
}

// gaveUp ends a call whose wait was cut short: by the system's end or its caller's.
func (c *call) gaveUp() {
	err := c.callerGone()
	if c.cell.sys.isClosed() {
		err.Code = messages.CodeClosed
	}
	c.fail(err)
}

// ready makes the attempt's context and opens the endpoint's value.
func (c *call) ready(l *lease) bool {
	c.prepare(l)
	return c.start() || c.next()
}

// prepare makes the attempt's context.
func (c *call) prepare(l *lease) {
	c.lease, c.target = l, Target{l.target}
	c.own, c.attemptCtx = nil, c.ctx
	end := c.deadline
	if l.timeout > 0 && (end == 0 || l.at+l.timeout < end) {
		end = l.at + l.timeout
	}
	if end > 0 || c.method != "" || c.hedges || c.race != nil { // a body's idle time and a loser need something to cancel
		c.own = &attemptContext{Context: c.ctx, clock: &c.cell.sys.clock, deadline: end}
		c.attemptCtx = c.own
	}
}

// start begins the attempt's span and opens the endpoint's value.
func (c *call) start() bool {
	if c.cell.sys.tracer != nil {
		c.startSpan()
	}
	hook := c.set.config.Hooks.Open
	return hook == nil || c.open(hook)
}

// open opens the endpoint's value. A failure is the endpoint's, whatever a
// classifier says of calls.
func (c *call) open(hook func(context.Context, Endpoint) (any, error)) bool {
	opening := true
	defer func() {
		if opening { // the hook ended this goroutine
			c.settle()
		}
	}()
	err := c.target.t.open(c.attemptCtx, hook)
	opening = false
	if err == nil {
		return true
	}
	j := judgement{}
	j.outcome, j.code = transport.Classify(err)
	j.retry = j.outcome.Failed()
	now := c.cell.sys.clock.now()
	r := c.decide(now, &j, transport.MarkUnsent(err), 0)
	c.give(&j, &r, 0)
	return false
}

// end judges the attempt, decides whether another may follow, and returns the lease.
func (c *call) end(err error, status int, header http.Header) {
	now := c.cell.sys.clock.now()
	j := c.judge(now, err, status, header)
	r := c.decide(now, &j, err, status)
	c.give(&j, &r, status)
}

func (c *call) judge(now time.Duration, err error, status int, header http.Header) judgement {
	if err == nil && status < 400 && c.set.rules.plain {
		return judgement{outcome: messages.Success}
	}
	l := c.lease
	f := attemptFacts{err: err, status: status, header: header, ran: now - l.at, endpoint: l.cell.id,
		anyFailure: c.any, enough: fairChance(l.timeout, l.cell.usual.Value()), now: c.cell.sys.clock.wall(now)}
	if err != nil {
		f.ctxErr = c.callerErr(now)
		f.timedOut = l.timeout > 0 && now-l.at >= l.timeout
	}
	var j judgement
	if perr := guard("Classify", func() error { j = c.set.rules.judge(&f); return nil }); perr != nil {
		c.cell.sys.logger.Error(perr.Error(), "service", c.cell.name)
		c.broken = perr
		return judgement{outcome: messages.Ignored, code: messages.CodeInternal}
	}
	return j
}

// callerErr is why the caller's own patience is over: its context, or the timeout.
func (c *call) callerErr(now time.Duration) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	if c.deadline > 0 && now >= c.deadline {
		return context.DeadlineExceeded
	}
	return nil
}

// decide notes what came of the attempt and whether another may follow.
func (c *call) decide(now time.Duration, j *judgement, err error, status int) result {
	beside := false
	if c.race != nil {
		c.lost, beside = c.race.finish(c.lane, j.outcome == messages.Success || j.asGiven || err == errPanicked)
		c.spare = c.lost || beside
		if c.lost {
			*j = judgement{outcome: messages.Ignored, code: messages.CodeCanceled}
			err = errOvertaken
		}
	}
	r := result{outcome: j.outcome, ended: now, latency: now - c.lease.at, pause: j.retryAfter, lost: c.lost}
	c.again = false
	c.last = *j
	if delays := c.cell.delays.Load(); delays != nil && c.attempt == 1 && (c.lost || j.outcome == messages.Success) {
		delays.Observe(now, r.latency) // what its package says
	}
	if j.outcome == messages.Success && err == nil {
		r.end = requestSucceeded
		if c.quiet {
			r.end = requestGoesOn
		}
		return r
	}
	if c.broken != nil {
		err = c.broken
	}
	id := c.lease.cell.id
	r.failure = failureWords(err, status)
	c.lastErr, c.previous, c.pause = err, id, j.retryAfter
	c.tried = append(c.tried, id)
	c.attempts = append(c.attempts, messages.Attempt{Endpoint: id, Code: j.code, Status: status, Words: r.failure, Duration: r.latency})
	c.unsent = transport.Unsent(err)
	c.again = j.retry && c.attempt < c.max && (!c.once || c.unsent) &&
		(c.deadline == 0 || now < c.deadline) && c.ctx.Err() == nil
	switch {
	case c.again, c.lost, c.quiet, beside: // whoever comes back last carries the request's end
	case j.code == messages.CodeCanceled:
		r.end = requestCanceled
	case j.outcome == messages.Success, j.asGiven:
		r.end = requestSucceeded
	default:
		r.end = requestFailed
	}
	return r
}

// give tells whoever asked and returns the lease.
func (c *call) give(j *judgement, r *result, status int) {
	if c.heard() && !c.told {
		c.tell(j, r, status)
	}
	if c.span != nil {
		c.endSpan(j, r, status)
	}
	if c.own != nil {
		c.own.cancel(context.Canceled)
	}
	l := c.lease
	c.lease = nil
	l.result = *r
	l.cell.mailbox.Post((*Outcome)(l), nil)
}

// settle is deferred around a user's function: a lease that is still out means
// that the function panicked, or ended its goroutine. It goes back as a failure;
// the panic goes on.
func (c *call) settle() {
	if c.lease == nil {
		return
	}
	j := judgement{outcome: messages.Failure, code: messages.CodeInternal}
	r := c.decide(c.cell.sys.clock.now(), &j, errPanicked, 0)
	c.give(&j, &r, 0)
}

var errPanicked = errors.New("the function panicked")

// heard reports whether anybody asked to hear of attempts.
func (c *call) heard() bool {
	return c.options.into != nil || c.set.config.Hooks.OnAttempt != nil
}

// tell reports the attempt to whoever asked.
func (c *call) tell(j *judgement, r *result, status int) {
	a := messages.Attempt{Endpoint: c.lease.cell.id, Code: j.code, Status: status, Words: r.failure, Duration: r.latency}
	if into := c.options.into; into != nil {
		into.Endpoint = a.Endpoint
		into.Attempts = append(into.Attempts, a)
		into.Duration = r.ended - c.began
	}
	if hook := c.set.config.Hooks.OnAttempt; hook != nil {
		if err := guard("OnAttempt", func() error { hook(a); return nil }); err != nil {
			c.cell.sys.logger.Error(err.Error(), "service", c.cell.name)
		}
	}
}

// wait lets the backoff pass before an endpoint is tried a second time; false if
// there is no time for it.
func (c *call) wait(d time.Duration) bool {
	sys := c.cell.sys
	if c.deadline > 0 && sys.clock.now()+d >= c.deadline {
		c.exhausted()
		return false
	}
	c.spanEvent("wait", "%v before attempt %d", d, c.attempt)
	if err := sys.sleep(c.ctx, d); err != nil {
		c.gaveUp()
		return false
	}
	return true
}

// sleep waits on the system's clock.
func (s *System) sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	done := make(chan struct{})
	t := s.clock.afterFunc(d, func() { close(done) })
	defer t.Stop()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ctx.Done():
		return s.errClosed()
	}
}

// refused ends the call because nobody could be had. Before the first attempt
// the refusal is the answer; after one, its failure is.
func (c *call) refused(err *messages.Error) {
	c.spanEvent("refused", "%v", err)
	if len(c.attempts) == 0 {
		c.fail(err)
		return
	}
	if err.RetryAfter > 0 { // when somebody is back, whoever it is
		c.pause = err.RetryAfter
	}
	c.stopped = err.Words
	c.exhausted()
}

// exhausted ends a call whose last attempt failed and was to be repeated.
func (c *call) exhausted() {
	c.again = false
	c.fail(c.lastFailure())
}

// fail ends a call without an attempt that would carry its end to the statistics.
func (c *call) fail(err error) {
	c.err = err
	end := requestFailed
	if errors.Is(err, context.Canceled) {
		end = requestCanceled
	}
	if c.welcomed && c.race == nil { // else the attempt beside it tells
		c.cell.mailbox.Post(&requestOver{end}, nil)
	}
}

// callerGone is the error of a call whose caller has no more patience.
func (c *call) callerGone() *messages.Error {
	e := &messages.Error{Code: messages.CodeCanceled, Service: c.cell.name, Attempts: c.attempts, Err: c.lastErr}
	if !errors.Is(c.ctx.Err(), context.Canceled) {
		e.Code = messages.CodeTimeout
	}
	return e
}

// lastFailure is the error of a call that made attempts, none of which succeeded.
func (c *call) lastFailure() error {
	e := &messages.Error{Code: messages.CodeRetryExhausted, Service: c.cell.name, Attempts: c.attempts, Err: c.lastErr, RetryAfter: c.pause}
	if len(c.attempts) == 1 {
		a := &c.attempts[0]
		e.Endpoint = a.Endpoint
		switch a.Code {
		case messages.CodeTimeout, messages.CodeConnectionError, messages.CodeCanceled, messages.CodeInternal, messages.CodeRateLimited, messages.CodeOverloaded, messages.CodePayloadTooLarge, messages.CodeInvalidRequest:
			e.Code = a.Code
		}
	}
	if c.last.code == messages.CodeInternal { // a user's function panicked, whatever came before
		e.Code = messages.CodeInternal
	}
	if n := len(c.attempts); e.Err == nil && n > 0 {
		e.Words = c.attempts[n-1].Words
		if n > 1 {
			e.Words = fmt.Sprintf("all %d attempts failed, the last: %s", n, e.Words)
		}
	}
	if c.stopped != "" {
		e.Words = fmt.Sprintf("%d of at most %d attempts failed, and no other is made: %s", len(c.attempts), c.max, c.stopped)
	}
	return e
}

// succeeded reports whether the last attempt was one that the caller can take
// for an answer.
func (c *call) succeeded() bool {
	return c.err == nil && (c.last.outcome == messages.Success || c.last.asGiven)
}

// failure is the call's error after its last attempt, nil if it succeeded. An
// error that an attempt returned and nobody holds against the endpoint is the
// user's own and stays as it is.
func (c *call) failure(err error) error {
	switch {
	case c.err != nil:
		return c.err
	case c.last.code == messages.CodeCanceled, c.last.code == messages.CodeTimeout:
		if len(c.attempts) > 1 && c.callerErr(c.cell.sys.clock.now()) != nil {
			return c.callerGone()
		}
	case c.succeeded():
		if p, ok := err.(permanent); ok {
			return p.error
		}
		return err
	}
	return c.lastFailure()
}

// failureWords are an attempt's failure for people, without addresses or secrets.
func failureWords(err error, status int) string {
	if err == nil {
		return fmt.Sprintf("status %d", status)
	}
	return transport.Words(err)
}
