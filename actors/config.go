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

	"golang.org/x/net/http/httpguts"

	"github.com/understudy-go/understudy/actors/balance"
	"github.com/understudy-go/understudy/actors/breaker"
	"github.com/understudy-go/understudy/actors/cache"
	"github.com/understudy-go/understudy/actors/health"
	"github.com/understudy-go/understudy/actors/hedge"
	"github.com/understudy-go/understudy/actors/limit"
	"github.com/understudy-go/understudy/actors/outlier"
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
	// URL is where requests go: http or https, or whatever the hook Open makes a value
	// of, "postgres://db-1/shop" say. It may be empty for Do, whose function knows what
	// to do with the ID, and with a Handler.
	URL string `yaml:"url" json:"url,omitempty"`
	// Weight is the share in weighted strategies. Zero: 1.
	Weight int `yaml:"weight" json:"weight,omitempty"`
	// Priority is the tier, 0 first.
	Priority int `yaml:"priority" json:"priority,omitempty"`
	// Zone, Region and Location say where it stands, for the strategy geographic.
	Zone     string            `yaml:"zone" json:"zone,omitempty"`
	Region   string            `yaml:"region" json:"region,omitempty"`
	Location []float64         `yaml:"location" json:"location,omitempty"` // latitude and longitude in degrees; zero: unknown
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
	e.Tags, e.Location = slices.Clone(e.Tags), slices.Clone(e.Location)
	e.Metadata = maps.Clone(e.Metadata)
	if e.Health != nil {
		h := e.Health.Clone()
		e.Health = &h
	}
	return e
}

// Validate joins all that is wrong with the endpoint by itself. A URL that is neither
// http nor https is for the hook Open, and only right where the service has one.
func (e Endpoint) Validate() error { return e.validate(false) }

func (e Endpoint) validate(opened bool) error {
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
		case opened && u.Scheme != "" && !e.isHTTP():
		case !e.isHTTP():
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
	if _, err := e.place(); err != nil {
		errs = append(errs, err)
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
	// Hedge has slow attempts of idempotent requests make another one beside them;
	// nil: off, but for calls with the option Hedged.
	Hedge     *hedge.Config     `yaml:"hedge"`
	Cooldown  Cooldown          `yaml:"cooldown"`
	Outlier   outlier.Config    `yaml:"outlier"`
	SlowStart balance.SlowStart `yaml:"slow_start"`
	// PanicThreshold says when health and ejections are ignored.
	PanicThreshold PanicThreshold `yaml:"panic_threshold"`
	// Concurrency is how many attempts one endpoint may have in flight.
	Concurrency limit.ConcurrencyConfig `yaml:"concurrency"`
	RateLimit   limit.RateConfig        `yaml:"rate_limit"`
	// Cache keeps answers to GET and HEAD. nil: off.
	Cache *cache.Config      `yaml:"cache"`
	Pool  httptransport.Pool `yaml:"pool"`
	TLS   *httptransport.TLS `yaml:"tls"`
	// Methods are the HTTP methods that the service takes; others are INVALID_REQUEST.
	// Zero: all.
	Methods []string `yaml:"methods"`
	// NotIdempotent says that no request may be repeated once an endpoint may have
	// seen it, whatever its method.
	NotIdempotent bool        `yaml:"not_idempotent"`
	ErrorRules    []ErrorRule `yaml:"error_rules"`
	Fallback      *Fallback   `yaml:"fallback"`
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
	// OnAttempt hears of every attempt, in the caller's goroutine; of a hedge in that
	// one's, so maybe at the same time, or after the call has returned.
	OnAttempt func(messages.Attempt)
}

// Clone returns a copy that shares nothing that can be changed, but for what the
// hooks hold.
func (c ServiceConfig) Clone() ServiceConfig {
	c.Metadata, c.Headers = maps.Clone(c.Metadata), maps.Clone(c.Headers)
	c.Strategy.Weights = maps.Clone(c.Strategy.Weights)
	if c.Hedge != nil {
		h := *c.Hedge
		c.Hedge = &h
	}
	if c.Cache != nil {
		k := *c.Cache
		c.Cache = &k
	}
	c.Retry.On, c.ErrorRules, c.Methods = slices.Clone(c.Retry.On), slices.Clone(c.ErrorRules), slices.Clone(c.Methods)
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
	c.Outlier = c.Outlier.WithDefaults()
	c.SlowStart = c.SlowStart.WithDefaults()
	c.Concurrency = c.Concurrency.WithDefaults()
	c.RateLimit = c.RateLimit.WithDefaults()
	if c.Hedge != nil {
		h := c.Hedge.WithDefaults()
		c.Hedge = &h
	}
	if c.Cache != nil {
		k := c.Cache.WithDefaults()
		c.Cache = &k
	}
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
	c.Fallback = c.Fallback.withDefaults()
	return c
}

// place is where the endpoint stands, as strategies compare it.
func (e *Endpoint) place() (balance.Place, error) {
	return balance.PlaceOf(e.Zone, e.Region, e.Location)
}

func (e *Endpoint) isHTTP() bool {
	scheme, _, _ := strings.Cut(e.URL, ":")
	return strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")
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
	part("outlier", c.Outlier.Validate())
	part("slow_start", c.SlowStart.Validate())
	part("concurrency", c.Concurrency.Validate())
	part("rate_limit", c.RateLimit.Validate())
	if c.Hedge != nil {
		part("hedge", c.Hedge.Validate())
	}
	if c.Cache != nil {
		part("cache", c.Cache.Validate())
	}
	if err := c.PanicThreshold.validate(); err != nil {
		errs = append(errs, err)
	}
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
	if c.Retry.MaxAttempts > AttemptsMax {
		add("retry.max_attempts: %d is above the bound of %d", c.Retry.MaxAttempts, AttemptsMax)
	}
	for i, m := range c.Methods {
		if !httpguts.ValidHeaderFieldName(m) || m != strings.ToUpper(m) {
			add("methods[%d]: %.32q is no HTTP method: they are written in capitals, GET", i, m)
		}
	}
	for i, r := range c.ErrorRules {
		if r.Status < 100 || r.Status > 599 {
			add("error_rules[%d].status: %d is no HTTP status", i, r.Status)
		}
		if _, ok := verdicts[r.Outcome]; !ok {
			add("error_rules[%d].outcome: %q is none of success, failure, ignored, retryable", i, r.Outcome)
		}
	}
	if c.Fallback != nil {
		part("fallback", c.Fallback.validate(c.Cache != nil))
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
		part(fmt.Sprintf("endpoints[%d]", i), e.validate(c.Hooks.Open != nil))
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
