package messages

import "time"

// Kind names what happened. Kinds are past tense and stable.
type Kind string

// The kinds of events.
const (
	KindHealthCheckFailed  Kind = "health_check_failed"
	KindHealthCheckPassed  Kind = "health_check_passed" // only the first good one after a bad one
	KindEndpointDown       Kind = "endpoint_down"       // health turned unhealthy
	KindEndpointUp         Kind = "endpoint_up"         // health turned healthy again
	KindEndpointDegraded   Kind = "endpoint_degraded"
	KindEndpointEjected    Kind = "endpoint_ejected"  // by outlier detection
	KindEndpointReturned   Kind = "endpoint_returned" // its ejection is over
	KindEndpointSuspected  Kind = "endpoint_suspected"
	KindSuspicionCleared   Kind = "suspicion_cleared"
	KindCircuitOpened      Kind = "circuit_open"
	KindCircuitHalfOpened  Kind = "circuit_half_open"
	KindCircuitClosed      Kind = "circuit_closed"
	KindFailover           Kind = "failover" // an attempt on another endpoint than the one before
	KindRecovery           Kind = "recovery" // a request that failed at first and succeeded in the end
	KindRetry              Kind = "retry"
	KindHedge              Kind = "hedge" // an attempt beside one that takes long
	KindTimeout            Kind = "timeout"
	KindCooldown           Kind = "cooldown" // the endpoint asked for a pause
	KindEndpointRegistered Kind = "endpoint_registered"
	KindEndpointUpdated    Kind = "endpoint_updated"
	KindEndpointRemoved    Kind = "endpoint_removed"
	KindEndpointParked     Kind = "endpoint_parked" // its actor panicked again and again
	KindActorRestarted     Kind = "actor_restarted"
	KindPanicStarted       Kind = "panic_started" // too few are well: health and ejections are ignored
	KindPanicEnded         Kind = "panic_ended"
	KindAdminChanged       Kind = "admin_changed" // drain, ready, maint, forced breaker
	KindServiceAdded       Kind = "service_added"
	KindServiceConfigured  Kind = "service_configured"
	KindServiceRemoved     Kind = "service_removed"
	KindConfigRejected     Kind = "config_rejected"
	KindEventsLost         Kind = "events_lost" // the reader was too slow
)

// Event is something that happened, with its cause: who saw what, on which
// evidence.
type Event struct {
	// Sequence rises by one per event of one system.
	Sequence uint64    `json:"sequence"`
	Time     time.Time `json:"time"`
	Kind     Kind      `json:"kind"`
	Node     string    `json:"node,omitempty"`
	Service  string    `json:"service,omitempty"`
	Endpoint string    `json:"endpoint,omitempty"`
	Cause    Cause     `json:"cause"`
}

// Cause says why. Words alone are enough for a person; the rest is for programs.
type Cause struct {
	// Words is one sentence: "5 failures in a row, last: connection refused".
	Words string `json:"words"`
	// From and To are the states before and after, where the event is a change of one.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	// Failures is the count of failures that led here, in a row or in the window.
	Failures int `json:"failures,omitempty"`
	// LastError is the text of the newest failure.
	LastError string `json:"last_error,omitempty"`
	// Until is when the state is looked at again. Zero: not by time.
	Until time.Time `json:"until,omitzero"`
	// By is whoever ordered it: an operator's word has one.
	By string `json:"by,omitempty"`
	// Lost is how many events a reader missed.
	Lost uint64 `json:"lost,omitempty"`
}

// CloudEvent is an [Event] in the CloudEvents 1.0 structured JSON format, as it
// goes over NATS with content type application/cloudevents+json.
type CloudEvent struct {
	SpecVersion     string    `json:"specversion"`
	ID              string    `json:"id"`
	Source          string    `json:"source"`
	Type            string    `json:"type"`
	Subject         string    `json:"subject,omitempty"`
	Time            time.Time `json:"time"`
	DataContentType string    `json:"datacontenttype"`
	Data            Event     `json:"data"`
}
