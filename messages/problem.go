package messages

import "time"

// Content types of what goes over the wire beside the endpoints' own bodies.
const (
	ContentTypeProblem    = "application/problem+json"
	ContentTypeCloudEvent = "application/cloudevents+json"
)

// Problem is an [Error] as a body that goes over the wire: a problem document
// (RFC 9457) with our facts as its extensions.
type Problem struct {
	// Type is "urn:understudy:" and the code. It names the kind of problem and
	// leads nowhere.
	Type string `json:"type"`
	// Title is the code in words, the same for every problem of this type.
	Title  string `json:"title"`
	Status int    `json:"status"`
	// Detail says what happened this time. Empty: no more than the title says.
	Detail   string `json:"detail,omitempty"`
	Code     Code   `json:"code"`
	Service  string `json:"service,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`
	// RetryAfter says when it is worth coming back, in milliseconds, rounded up.
	// Zero: unknown.
	RetryAfter int64            `json:"retry_after_ms,omitempty"`
	Attempts   []ProblemAttempt `json:"attempts,omitempty"` // the last one last
}

// ProblemAttempt is an [Attempt] in a [Problem].
type ProblemAttempt struct {
	Endpoint string  `json:"endpoint"`
	Code     Code    `json:"code,omitempty"`
	Status   int     `json:"status,omitempty"`
	Words    string  `json:"words,omitempty"`
	Duration float64 `json:"duration_ms"` // to the microsecond
}

// NewProblem writes e down under a status: its own, e.Status(), but where a door
// knows better. The text of e.Err goes with it, so a cause that may hold what a
// caller should not see has to be replaced before.
func NewProblem(e *Error, status int) *Problem {
	p := &Problem{
		Type: "urn:understudy:" + string(e.Code), Title: e.Code.words(), Status: status, Detail: e.Words,
		Code: e.Code, Service: e.Service, Endpoint: e.Endpoint,
	}
	if e.Err != nil {
		if p.Detail == "" {
			p.Detail = p.Title
		}
		p.Detail += ": " + e.Err.Error()
	}
	if e.RetryAfter > 0 {
		p.RetryAfter = int64((e.RetryAfter-1)/time.Millisecond) + 1
	}
	for _, a := range e.Attempts {
		p.Attempts = append(p.Attempts, ProblemAttempt{Endpoint: a.Endpoint, Code: a.Code, Status: a.Status, Words: a.Words,
			Duration: float64(a.Duration.Microseconds()) / 1000})
	}
	return p
}

// Words is the detail, or the title where there is none.
func (p *Problem) Words() string {
	if p.Detail != "" {
		return p.Detail
	}
	return p.Title
}

// Err is the error that was written down, with its causes as words.
func (p *Problem) Err() *Error {
	e := &Error{Code: p.Code, Service: p.Service, Endpoint: p.Endpoint, Words: p.Detail, RetryAfter: milliseconds(float64(p.RetryAfter))}
	for _, a := range p.Attempts {
		e.Attempts = append(e.Attempts, Attempt{Endpoint: a.Endpoint, Code: a.Code, Status: a.Status, Words: a.Words, Duration: milliseconds(a.Duration)})
	}
	return e
}

// milliseconds is a duration that came over the wire, kept within what one can hold.
func milliseconds(ms float64) time.Duration {
	return time.Duration(min(max(ms, 0), 1<<40) * float64(time.Millisecond))
}
