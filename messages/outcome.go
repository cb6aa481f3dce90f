package messages

// Outcome is what one finished attempt, or one health check, says about the
// endpoint that it went to.
type Outcome uint8

// The outcomes. The zero value is Ignored, so that what nobody judged harms
// nobody.
const (
	// Ignored says nothing about the endpoint: the caller cancelled, the request
	// was our own refusal, a rule or a classifier said so.
	Ignored Outcome = iota
	// Success: the endpoint did what was asked of it. A 4xx is one.
	Success
	// Failure: the endpoint answered, and the answer is an error.
	Failure
	// Timeout: the endpoint did not answer in time.
	Timeout
	// ConnectFailure: no connection was made or it broke before an answer:
	// refused, reset, no route, TLS, name resolution.
	ConnectFailure
)

// Failed reports whether the outcome counts against the endpoint.
func (o Outcome) Failed() bool { return o >= Failure }

func (o Outcome) String() string {
	switch o {
	case Success:
		return "success"
	case Failure:
		return "failure"
	case Timeout:
		return "timeout"
	case ConnectFailure:
		return "connect_failure"
	}
	return "ignored"
}
