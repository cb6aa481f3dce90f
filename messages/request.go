package messages

import "time"

// Header holds header values by name. Names are matched as they are written, as
// NATS does; the front door and the HTTP transport bring them into HTTP's
// canonical form on the way out.
type Header map[string][]string

// Get returns the first value of name, or "".
func (h Header) Get(name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// Set replaces the values of name by one.
func (h Header) Set(name, value string) { h[name] = []string{value} }

// Request asks a service for something. Send it to a service's PID from an
// actor, or give it to Service.Request.
type Request struct {
	// Service is the service's name. It may be empty where the address already
	// says it (a service's own PID or method).
	Service string
	// Method is an HTTP method. Zero: GET without a body, POST with one.
	Method string
	// Path is in origin form with its query ("/orders?id=7"). Zero: "/".
	Path string
	// Header goes on to the endpoint, except for hop-by-hop headers and those
	// that begin with Nats- or Understudy-.
	Header Header
	// Body is sent unchanged. It must not be modified until the response is there.
	Body []byte
	// Key is the affinity for strategies that hash or stick.
	Key string
	// Timeout bounds the whole request, retries and waits included. Zero: the
	// service's timeout. It shortens that one and never lengthens it.
	Timeout time.Duration
	// Deadline does the same as a point in time, so that it sees queueing too. Zero: none.
	Deadline time.Time
	// Idempotent marks a request that may be repeated whatever its method.
	Idempotent bool
}

// Response is the answer to a [Request]. When Err is not nil and Status is not
// zero, an endpoint answered and its answer counts as a failure: both are there.
type Response struct {
	Status   int
	Header   Header
	Body     []byte
	Endpoint string    // the id of the endpoint that answered
	Attempts []Attempt // every try, the last one last
	Fallback bool      // the answer is the configured fallback
	Cache    Cache     // what the cache had to do with it; "": there is none, or not for this request
	Err      *Error
}

// Cache says what the cache had to do with an answer.
type Cache string

// What a cache did.
const (
	CacheHit   Cache = "hit"   // the answer was there and fresh: no endpoint was asked
	CacheMiss  Cache = "miss"  // it was not, and an endpoint was asked
	CacheStale Cache = "stale" // it was there and no longer fresh
)
