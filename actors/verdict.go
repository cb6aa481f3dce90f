package actors

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/understudy-go/understudy/actors/retry"
	"github.com/understudy-go/understudy/actors/transport"
	"github.com/understudy-go/understudy/messages"
)

// Verdict is what a classifier or an error rule says of an attempt.
type Verdict uint8

// The verdicts.
const (
	Auto      Verdict = iota // the usual rules decide
	Success                  // counts for the endpoint
	Failure                  // counts against it; retried where the usual rules retry
	Ignore                   // counts for nothing, is not retried
	Retryable                // counts against it and is retried whatever the usual rules say
)

var verdicts = map[string]Verdict{"success": Success, "failure": Failure, "ignored": Ignore, "retryable": Retryable}

// Result is what a classifier judges.
type Result struct {
	Endpoint string
	Err      error // what the function or the transport returned
	Status   int   // the HTTP status, 0 when there is none
	Duration time.Duration
}

// judgement is what an attempt comes to.
type judgement struct {
	outcome    messages.Outcome
	retry      bool
	code       messages.Code
	retryAfter time.Duration // what the endpoint asked for, 0 when it did not
	asGiven    bool          // a classifier or a rule ignores it: what came is the caller's as it is
}

// permanent marks an error that no retry mends.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent wraps err so that the call is not tried again. It still counts
// against the endpoint; classify it as Ignore where it should not. A nil err stays nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanent{err}
}

// rules are the parts of a configuration that judge an attempt, made once per
// configuration and never changed, so that callers may read them without asking.
type rules struct {
	status   map[int]Verdict
	classify func(Result) Verdict
	policy   *retry.Policy
	cooldown Cooldown
	plain    bool // nothing but the usual rules
}

func newRules(c ServiceConfig) *rules {
	r := &rules{classify: c.Hooks.Classify, policy: retry.NewPolicy(c.Retry), cooldown: c.Cooldown}
	if len(c.ErrorRules) > 0 {
		r.status = make(map[int]Verdict, len(c.ErrorRules))
		for _, e := range c.ErrorRules {
			r.status[e.Status] = verdicts[e.Outcome]
		}
	}
	r.plain = r.classify == nil && r.status == nil
	return r
}

// attemptFacts is what is known of one when it ends.
type attemptFacts struct {
	err        error
	status     int
	header     http.Header
	ran        time.Duration
	endpoint   string
	ctxErr     error         // the caller's own context
	timedOut   bool          // the attempt's own deadline had passed
	enough     time.Duration // how long a caller's deadline must have waited to count as a timeout
	anyFailure bool          // Do: every failure may be retried
	now        time.Time
}

// judge decides what an attempt says about its endpoint and whether another try
// could help. It is pure but for the user's classifier.
func (r *rules) judge(f *attemptFacts) judgement {
	j := r.usual(f)
	v := Auto
	if r.classify != nil {
		v = r.classify(Result{Endpoint: f.endpoint, Err: f.err, Status: f.status, Duration: f.ran})
	}
	if v == Auto && f.err == nil {
		v = r.status[f.status]
	}
	switch v {
	case Success:
		return judgement{outcome: messages.Success}
	case Ignore:
		j = judgement{outcome: messages.Ignored, code: j.code, asGiven: true}
	case Failure, Retryable:
		if !j.outcome.Failed() {
			j.outcome = messages.Failure
		}
		j.retry = v == Retryable || r.retryable(f, j.outcome)
	}
	var p permanent
	if errors.As(f.err, &p) {
		j.retry = false
	}
	if j.outcome != messages.Success && j.code == "" {
		j.code = messages.CodeServiceUnavailable
	}
	return j
}

func (r *rules) retryable(f *attemptFacts, o messages.Outcome) bool {
	return f.anyFailure && f.err != nil || r.policy.Retryable(o, f.status)
}

// usual is the judgement without rules of one's own: timeouts, connection errors and
// 5xx fail; 4xx, our own refusals and the caller's cancellation do not.
func (r *rules) usual(f *attemptFacts) judgement {
	if f.err != nil {
		return r.usualError(f)
	}
	j := judgement{outcome: messages.Success}
	switch {
	case f.status >= 500:
		j.outcome, j.code = messages.Failure, messages.CodeServiceUnavailable
		if f.status == http.StatusServiceUnavailable {
			j.retryAfter = r.pause(f, 0)
		}
		if j.retryAfter > 0 {
			j.outcome = messages.Ignored // it asked for a pause: the breaker does not hear of it
		}
	case f.status == http.StatusTooManyRequests:
		j.outcome, j.code = messages.Ignored, messages.CodeRateLimited
		j.retryAfter = r.pause(f, r.cooldown.TooManyRequests)
	default:
		return j
	}
	j.retry = r.policy.Retryable(j.outcome, f.status)
	return j
}

func (r *rules) usualError(f *attemptFacts) judgement {
	var j judgement
	j.outcome, j.code = transport.Classify(f.err)
	switch {
	case j.outcome == messages.Ignored && j.code != messages.CodeCanceled && j.code != messages.CodeTimeout:
		// A refusal of ours, whatever the clock says.
	case f.timedOut && (j.outcome == messages.Timeout || errors.Is(f.err, context.Canceled)):
		j.outcome, j.code = messages.Timeout, messages.CodeTimeout
	case errors.Is(f.ctxErr, context.DeadlineExceeded) && j.outcome != messages.ConnectFailure:
		// The caller's deadline ended it: it counts only if the endpoint had a fair chance.
		j.code = messages.CodeTimeout
		j.outcome = messages.Ignored
		if f.ran >= f.enough {
			j.outcome = messages.Timeout
		}
	case errors.Is(f.ctxErr, context.Canceled):
		j.outcome, j.code = messages.Ignored, messages.CodeCanceled
	}
	j.retry = f.ctxErr == nil && j.outcome.Failed() && r.retryable(f, j.outcome)
	return j
}

// pause reads Retry-After, seconds or a date, capped.
func (r *rules) pause(f *attemptFacts, without time.Duration) time.Duration {
	d := without
	if v := strings.TrimSpace(f.header.Get("Retry-After")); v != "" {
		if s, err := strconv.Atoi(v); err == nil && s >= 0 {
			d = time.Duration(min(s, 1<<30)) * time.Second
		} else if t, err := http.ParseTime(v); err == nil {
			d = max(0, t.Sub(f.now))
		}
	}
	if r.cooldown.Max > 0 {
		d = min(d, r.cooldown.Max)
	}
	return max(0, d)
}

func validHeader(name, value string) bool {
	return httpguts.ValidHeaderFieldName(name) && httpguts.ValidHeaderFieldValue(value)
}
