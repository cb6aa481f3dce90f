package actors

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/understudy-go/understudy/actors/balance"
	"github.com/understudy-go/understudy/actors/breaker"
	"github.com/understudy-go/understudy/actors/health"
	"github.com/understudy-go/understudy/actors/retry"
	httptransport "github.com/understudy-go/understudy/actors/transport/http"
	"github.com/understudy-go/understudy/messages"
)

// Off turns a number or a duration of a configuration off; their zero values
// mean the default.
const Off = -1

// Bounds that are not configurable. They keep one mistake from eating the process.
const (
	ServicesMax           = 10_000
	EndpointsMax          = 100_000 // per service
	AttemptsMax           = 16      // per request
	maxRefusals           = 3       // endpoints that may turn one acquisition down before the caller hears
	drainTimeout          = 30 * time.Second
	leaseMax              = 5 * time.Minute // a lease of Acquire that nobody returned
	supervisorMailboxSize = 65_536
	endpointMailboxSize   = 65_536
)

// Endpoint is one place that can serve. Given to Register it is the order; got
// from Endpoints it is a copy.
type Endpoint struct {
	// ID is unique in its service, 1 to 256 bytes.
	ID string `yaml:"id" json:"id"`
	// URL is where requests go: http or https. It may be empty for Do, whose
	// function knows what to do with the ID, and with a Handler.
	URL string `yaml:"url" json:"url,omitempty"`
	// Weight is the share in weighted strategies. Zero: 1.
	Weight int `yaml:"weight" json:"weight,omitempty"`
	// Priority is the tier, 0 first.
	Priority int `yaml:"priority" json:"priority,omitempty"`
	// Zone says where it stands.
	Zone     string            `yaml:"zone" json:"zone,omitempty"`
	Tags     []string          `yaml:"tags" json:"tags,omitempty"`
	Metadata map[string]string `yaml:"metadata" json:"metadata,omitempty"`
	// Health replaces the service's check for this endpoint.
	Health *health.Config `yaml:"health" json:"-"`
	// Handler serves [messages.Request] in process, in place of a URL.
	Handler Handler `yaml:"-" json:"-"`

	// CreatedAt and UpdatedAt are set by the supervisor.
	CreatedAt time.Time `yaml:"-" json:"created_at,omitzero"`
	UpdatedAt time.Time `yaml:"-" json:"updated_at,omitzero"`
}

// Handler is an endpoint that is a Go function. It must honour the context. An
// error, or a status from 500 up, is a failure.
type Handler func(context.Context, *messages.Request) (*messages.Response, error)

// Clone returns a copy that shares nothing that can be changed.
func (e Endpoint) Clone() Endpoint {
	e.Tags = slices.Clone(e.Tags)
	e.Metadata = maps.Clone(e.Metadata)
	if e.Health != nil {
		h := e.Health.Clone()
		e.Health = &h
	}
	return e
}

// Validate joins all that is wrong with the endpoint by itself.
func (e Endpoint) Validate() error {
	var errs []error
	add := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	switch {
	case strings.TrimSpace(e.ID) == "":
		add("id: cannot be empty")
	case len(e.ID) > 256:
		add("id: %d bytes are too long: 256 at most", len(e.ID))
	case strings.ContainsFunc(e.ID, unicode.IsControl):
		add("id: %q has a control character", e.ID)
	}
	if e.URL != "" {
		u, err := url.Parse(e.URL)
		switch {
		case err != nil:
			add("url: not a URL") // the error would quote it, with its password
		case u.Scheme != "http" && u.Scheme != "https":
			add("url: scheme %q is not supported: http or https", u.Scheme)
		case u.Hostname() == "":
			add("url: has no host")
		case u.Fragment != "" || u.RawQuery != "" || u.ForceQuery:
			add("url: has a query or a fragment: a base URL has neither")
		}
	}
	if e.Weight < 0 {
		add("weight: %d is negative", e.Weight)
	}
	if e.Priority < 0 {
		add("priority: %d is negative", e.Priority)
	}
	if e.Health != nil {
		if err := e.Health.Validate(); err != nil {
			errs = append(errs, prefixed("health", err)...)
		}
	}
	return errors.Join(errs...)
}

// ServiceConfig is everything about one service. The zero value is a service on
// defaults without endpoints.
type ServiceConfig struct {
	Metadata  map[string]string `yaml:"metadata"`
	Strategy  balance.Config    `yaml:"strategy"`
	Endpoints []Endpoint        `yaml:"endpoints"`
	Health    health.Config     `yaml:"health"`
	// Timeout bounds a request with its retries and waits. Zero: 30s; Off: none
	// but the caller's own.
	Timeout time.Duration `yaml:"timeout"`
	// AttemptTimeout bounds one attempt, up to the response's head. Zero: 2s; Off: none.
	AttemptTimeout time.Duration `yaml:"attempt_timeout"`
	// IdleTimeout bounds the time between bytes of a streamed body. Zero: 30s; Off: none.
	IdleTimeout time.Duration  `yaml:"idle_timeout"`
	Breaker     breaker.Config `yaml:"breaker"`
	Retry       retry.Config   `yaml:"retry"`
	Cooldown    Cooldown       `yaml:"cooldown"`
	// Concurrency is how many attempts one endpoint may have in flight. Zero: 1024; Off: no limit.
	Concurrency int                `yaml:"concurrency"`
	Pool        httptransport.Pool `yaml:"pool"`
	TLS         *httptransport.TLS `yaml:"tls"`
	ErrorRules  []ErrorRule        `yaml:"error_rules"`
	Fallback    *Fallback          `yaml:"fallback"`
	// Headers are set on every request to an endpoint.
	Headers map[string]string `yaml:"headers"`
	// Hooks are functions; they are never in a file.
	Hooks Hooks `yaml:"-"`
}

// Cooldown is how long an endpoint is left alone that asked for it.
type Cooldown struct {
	// TooManyRequests is the pause after a 429 without Retry-After. Zero: 60s; Off: none.
	TooManyRequests time.Duration `yaml:"429"`
	// Max caps what an endpoint may ask for. Zero: 5m.
	Max time.Duration `yaml:"max"`
}

// ErrorRule says what answers of one status mean for a service.
type ErrorRule struct {
	// Status is the HTTP status, 100 to 599.
	Status int `yaml:"status"`
	// Outcome is success, failure, ignored or retryable.
	Outcome string `yaml:"outcome"`
}

// Fallback is the answer that a caller gets in place of an error.
type Fallback struct {
	Status  int               `yaml:"status"` // Zero: 200
	Body    string            `yaml:"body"`
	Headers map[string]string `yaml:"headers"`
}

// Hooks are a user's functions. Each runs under recover: a panic is INTERNAL for
// that request and nothing else. All may be nil.
type Hooks struct {
	// Pick chooses among the candidates for the strategy "custom"; it returns an
	// index. It runs in the supervisor and must be quick.
	Pick func(key string, candidates []balance.Candidate) int
	// Classify judges an attempt before the rules do; Auto leaves it to them.
	Classify func(Result) Verdict
	// Trip opens a breaker in place of failure_threshold and failure_rate. It
	// runs in the endpoint and must be quick.
	Trip func(breaker.Counts) bool
	// Fallback answers for a Request that failed; an error leaves the first one.
	Fallback func(context.Context, *messages.Request, error) (*messages.Response, error)
	// Check is the active health check, in place of the configured one.
	Check func(context.Context, Target) error
	// Open makes an endpoint's value, a connection pool say, before its first use.
	Open func(context.Context, Endpoint) (any, error)
	// Close disposes of what Open made, after the endpoint drained.
	Close func(any) error
	// OnTransition hears the service's events, one at a time, in order, off the request path.
	OnTransition func(messages.Event)
	// OnAttempt hears of every attempt, in the caller's goroutine.
	OnAttempt func(messages.Attempt)
}

// Clone returns a copy that shares nothing that can be changed, but for what the
// hooks hold.
func (c ServiceConfig) Clone() ServiceConfig {
	c.Metadata, c.Headers = maps.Clone(c.Metadata), maps.Clone(c.Headers)
	c.Strategy.Weights = maps.Clone(c.Strategy.Weights)
	c.Retry.On, c.ErrorRules = slices.Clone(c.Retry.On), slices.Clone(c.ErrorRules)
	c.Health = c.Health.Clone()
	c.Endpoints = slices.Clone(c.Endpoints)
	for i := range c.Endpoints {
		c.Endpoints[i] = c.Endpoints[i].Clone()
	}
	if c.TLS != nil {
		t := *c.TLS
		c.TLS = &t
	}
	if c.Fallback != nil {
		f := *c.Fallback
		f.Headers = maps.Clone(f.Headers)
		c.Fallback = &f
	}
	return c
}

// WithDefaults returns the configuration with every default filled in.
func (c ServiceConfig) WithDefaults() ServiceConfig {
	c.Health = c.Health.WithDefaults()
	c.Breaker = c.Breaker.WithDefaults()
	c.Retry = c.Retry.WithDefaults()
	c.Pool = c.Pool.WithDefaults()
	if c.Hooks.Pick != nil {
		c.Strategy.Custom = c.Hooks.Pick
	}
	c.Strategy = c.Strategy.WithDefaults()
	setDefault(&c.Timeout, 30*time.Second)
	setDefault(&c.AttemptTimeout, 2*time.Second)
	setDefault(&c.IdleTimeout, 30*time.Second)
	setDefault(&c.Cooldown.TooManyRequests, time.Minute)
	setDefault(&c.Cooldown.Max, 5*time.Minute)
	setDefault(&c.Concurrency, 1024)
	if c.Fallback != nil && c.Fallback.Status == 0 {
		f := *c.Fallback
		f.Status = 200
		c.Fallback = &f
	}
	return c
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// Validate joins all that is wrong, each with the path of its key.
func (c ServiceConfig) Validate() error {
	var errs []error
	add := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	part := func(path string, err error) { errs = append(errs, prefixed(path, err)...) }
	part("strategy", c.Strategy.Validate())
	part("health", c.Health.Validate())
	part("breaker", c.Breaker.Validate())
	part("retry", c.Retry.Validate())
	part("pool", c.Pool.Validate())
	if c.TLS != nil {
		part("tls", c.TLS.Validate())
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"timeout", c.Timeout}, {"attempt_timeout", c.AttemptTimeout}, {"idle_timeout", c.IdleTimeout},
		{"cooldown.429", c.Cooldown.TooManyRequests}, {"cooldown.max", c.Cooldown.Max},
	} {
		if d.value < Off {
			add("%s: %v is negative: use off for none", d.name, d.value)
		}
	}
	if c.Concurrency < Off {
		add("concurrency: %d is negative: use off for no limit", c.Concurrency)
	}
	if c.Retry.MaxAttempts > AttemptsMax {
		add("retry.max_attempts: %d is above the bound of %d", c.Retry.MaxAttempts, AttemptsMax)
	}
	for i, r := range c.ErrorRules {
		if r.Status < 100 || r.Status > 599 {
			add("error_rules[%d].status: %d is no HTTP status", i, r.Status)
		}
		if _, ok := verdicts[r.Outcome]; !ok {
			add("error_rules[%d].outcome: %q is none of success, failure, ignored, retryable", i, r.Outcome)
		}
	}
	if f := c.Fallback; f != nil && f.Status != 0 && (f.Status < 100 || f.Status > 599) {
		add("fallback.status: %d is no HTTP status", f.Status)
	}
	for name, value := range c.Headers {
		if !validHeader(name, value) {
			add("headers.%s: not a header that can be sent", name)
		}
	}
	if len(c.Endpoints) > EndpointsMax {
		add("endpoints: %d are above the bound of %d", len(c.Endpoints), EndpointsMax)
	}
	seen := make(map[string]int, len(c.Endpoints))
	for i, e := range c.Endpoints {
		part(fmt.Sprintf("endpoints[%d]", i), e.Validate())
		if first, twice := seen[e.ID]; twice && e.ID != "" {
			add("endpoints[%d].id: %q is already registered by endpoints[%d]", i, e.ID, first)
		} else {
			seen[e.ID] = i
		}
	}
	return errors.Join(errs...)
}

// prefixed puts path in front of every error that err joins.
func prefixed(path string, err error) []error {
	if err == nil {
		return nil
	}
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range j.Unwrap() {
			out = append(out, prefixed(path, e)...)
		}
		return out
	}
	return []error{fmt.Errorf("%s.%w", path, err)}
}
