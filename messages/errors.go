package messages

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Code names the reason of a failure. It is stable: programs may compare it, and
// it travels in the header Understudy-Error.
type Code string

// The codes, each with the HTTP status that [Code.Status] gives for it.
const (
	CodeInvalidRequest     Code = "INVALID_REQUEST"     // 400: the request itself is malformed
	CodeInvalidConfig      Code = "INVALID_CONFIG"      // 400: a configuration that cannot be put in force
	CodeInvalidStrategy    Code = "INVALID_STRATEGY"    // 400: no strategy of that name, or a custom one chose nothing that is there
	CodeUnauthorized       Code = "UNAUTHORIZED"        // 401
	CodeNotFound           Code = "NOT_FOUND"           // 404: no such service or endpoint
	CodeConflict           Code = "CONFLICT"            // 409: already registered, or not the owner
	CodePayloadTooLarge    Code = "PAYLOAD_TOO_LARGE"   // 413: the request; an answer above what NATS carries has Status 502
	CodeRateLimited        Code = "RATE_LIMITED"        // 429: over a rate limit, or every endpoint asked for a pause
	CodeCanceled           Code = "CANCELED"            // 499: the caller went away; unwraps to context.Canceled
	CodeInternal           Code = "INTERNAL"            // 500: a user's function panicked
	CodeConnectionError    Code = "CONNECTION_ERROR"    // 502: no connection to the endpoint
	CodeRetryExhausted     Code = "RETRY_EXHAUSTED"     // 502: every attempt failed
	CodeCircuitOpen        Code = "CIRCUIT_OPEN"        // 503: every endpoint that could serve is refused by its breaker
	CodeAllEndpointsDown   Code = "ALL_ENDPOINTS_DOWN"  // 503: all are unhealthy, or unhealthy and open mixed
	CodeNoEndpoints        Code = "NO_ENDPOINTS"        // 503: none is registered, or none is ready
	CodeOverloaded         Code = "OVERLOADED"          // 503: over a bound
	CodeServiceUnavailable Code = "SERVICE_UNAVAILABLE" // 503: draining
	CodeClosed             Code = "CLOSED"              // 503: shut down
	CodeTimeout            Code = "TIMEOUT"             // 504: unwraps to context.DeadlineExceeded
	CodeHealthCheckFailed  Code = "HEALTH_CHECK_FAILED" // what an on-demand check returns; no status of its own
)

// Status returns the HTTP status that stands for the code, 500 for a code that
// this version does not know and 0 for [CodeHealthCheckFailed], which answers no
// request.
func (c Code) Status() int {
	switch c {
	case CodeInvalidRequest, CodeInvalidConfig, CodeInvalidStrategy:
		return 400
	case CodeUnauthorized:
		return 401
	case CodeNotFound:
		return 404
	case CodeConflict:
		return 409
	case CodePayloadTooLarge:
		return 413
	case CodeRateLimited:
		return 429
	case CodeCanceled:
		return 499
	case CodeConnectionError, CodeRetryExhausted:
		return 502
	case CodeCircuitOpen, CodeAllEndpointsDown, CodeNoEndpoints, CodeOverloaded, CodeServiceUnavailable, CodeClosed:
		return 503
	case CodeTimeout:
		return 504
	case CodeHealthCheckFailed:
		return 0
	}
	return 500
}

// words is what the code says to a person when the error has nothing better.
func (c Code) words() string {
	switch c {
	case CodeAllEndpointsDown, CodeNoEndpoints:
		return "no healthy endpoints"
	case CodeCanceled:
		return "canceled by the caller"
	case CodeInternal:
		return "internal error"
	case CodeRetryExhausted:
		return "the attempt failed"
	case CodeClosed:
		return "shut down"
	}
	return strings.ToLower(strings.ReplaceAll(string(c), "_", " "))
}

// Attempt is one try at one endpoint, as reports and errors tell it.
type Attempt struct {
	Endpoint string        `json:"endpoint"`
	Code     Code          `json:"code,omitempty"`   // empty: it succeeded
	Status   int           `json:"status,omitempty"` // the HTTP status that came back, 0 when none did
	Words    string        `json:"words,omitempty"`
	Duration time.Duration `json:"duration_ns"`
}

// Error is every error that Understudy makes. A failed call returns one, and
// errors.Is finds its code through the sentinels below, errors.As its facts.
type Error struct {
	Code     Code
	Service  string
	Endpoint string
	// RetryAfter says when it is worth coming back; 0 means unknown.
	RetryAfter time.Duration
	// Attempts are the tries that were made, the last one last.
	Attempts []Attempt
	// Words say what happened; empty means the code's own words.
	Words string
	// Err is the cause, reached by errors.Unwrap.
	Err error
}

// Error reads like "orders/orders-1: circuit open, retry after 8.7s".
func (e *Error) Error() string {
	var b strings.Builder
	if e.Service != "" {
		b.WriteString(e.Service)
		if e.Endpoint != "" {
			b.WriteString("/" + e.Endpoint)
		}
		b.WriteString(": ")
	}
	n := len(e.Attempts)
	switch {
	case e.Words != "":
		b.WriteString(e.Words)
	case e.Code == CodeRetryExhausted && n > 1:
		fmt.Fprintf(&b, "all %d attempts failed", n)
	default:
		b.WriteString(e.Code.words())
		if n > 1 {
			fmt.Fprintf(&b, " after %d attempts", n)
		}
	}
	if e.Err != nil {
		b.WriteString(": " + strings.TrimPrefix(e.Err.Error(), e.Code.words()+": ")) // once is enough
	}
	if e.RetryAfter > 0 {
		b.WriteString(", retry after " + roundWait(e.RetryAfter).String())
	}
	return b.String()
}

// roundWait keeps two or three figures, rounded up, so that whoever waits that
// long never comes too early.
func roundWait(d time.Duration) time.Duration {
	unit := time.Millisecond
	if d >= time.Second {
		unit = 100 * time.Millisecond
	}
	if r := d % unit; r != 0 {
		d += unit - r
	}
	return d
}

// Unwrap returns the cause. A TIMEOUT without one unwraps to
// context.DeadlineExceeded, a CANCELED without one to context.Canceled.
func (e *Error) Unwrap() error {
	if e.Err != nil {
		return e.Err
	}
	switch e.Code {
	case CodeTimeout:
		return context.DeadlineExceeded
	case CodeCanceled:
		return context.Canceled
	}
	return nil
}

// Is reports whether target is the sentinel of the same code. ALL_ENDPOINTS_DOWN
// is also NO_ENDPOINTS; TIMEOUT and CANCELED are the context's errors too,
// whatever the cause was.
func (e *Error) Is(target error) bool {
	switch target {
	case context.DeadlineExceeded:
		return e.Code == CodeTimeout
	case context.Canceled:
		return e.Code == CodeCanceled
	}
	t, ok := target.(*Error)
	if !ok || t.Service != "" || t.Endpoint != "" || t.Err != nil {
		return false
	}
	return e.Code == t.Code || e.Code == CodeAllEndpointsDown && t.Code == CodeNoEndpoints
}

// Timeout reports whether the error is a TIMEOUT, as net.Error does.
func (e *Error) Timeout() bool { return e.Code == CodeTimeout }

// Status returns the HTTP status that stands for the error.
func (e *Error) Status() int { return e.Code.Status() }

// Sentinels for errors.Is.
var (
	ErrInvalidRequest     error = &Error{Code: CodeInvalidRequest}
	ErrInvalidConfig      error = &Error{Code: CodeInvalidConfig}
	ErrInvalidStrategy    error = &Error{Code: CodeInvalidStrategy}
	ErrUnauthorized       error = &Error{Code: CodeUnauthorized}
	ErrNotFound           error = &Error{Code: CodeNotFound}
	ErrConflict           error = &Error{Code: CodeConflict}
	ErrPayloadTooLarge    error = &Error{Code: CodePayloadTooLarge}
	ErrRateLimited        error = &Error{Code: CodeRateLimited}
	ErrCanceled           error = &Error{Code: CodeCanceled}
	ErrInternal           error = &Error{Code: CodeInternal}
	ErrConnection         error = &Error{Code: CodeConnectionError}
	ErrRetryExhausted     error = &Error{Code: CodeRetryExhausted}
	ErrCircuitOpen        error = &Error{Code: CodeCircuitOpen}
	ErrAllEndpointsDown   error = &Error{Code: CodeAllEndpointsDown}
	ErrNoEndpoints        error = &Error{Code: CodeNoEndpoints}
	ErrOverloaded         error = &Error{Code: CodeOverloaded}
	ErrServiceUnavailable error = &Error{Code: CodeServiceUnavailable}
	ErrClosed             error = &Error{Code: CodeClosed}
	ErrTimeout            error = &Error{Code: CodeTimeout}
	ErrHealthCheckFailed  error = &Error{Code: CodeHealthCheckFailed}
)
