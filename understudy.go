package understudy

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"github.com/understudy-go/understudy/actors"
	"github.com/understudy-go/understudy/actors/balance"
	"github.com/understudy-go/understudy/actors/breaker"
	"github.com/understudy-go/understudy/actors/cache"
	"github.com/understudy-go/understudy/actors/health"
	"github.com/understudy-go/understudy/actors/hedge"
	"github.com/understudy-go/understudy/actors/limit"
	"github.com/understudy-go/understudy/actors/outlier"
	"github.com/understudy-go/understudy/actors/retry"
	httptransport "github.com/understudy-go/understudy/actors/transport/http"
	"github.com/understudy-go/understudy/cluster"
	"github.com/understudy-go/understudy/messages"
)

// What a user names, so that one import is enough.
type (
	Service       = actors.Service
	ServiceConfig = actors.ServiceConfig
	Endpoint      = actors.Endpoint
	Target        = actors.Target
	Lease         = actors.Lease
	Handler       = actors.Handler
	Hooks         = actors.Hooks
	CallOption    = actors.CallOption
	Report        = actors.Report
	Result        = actors.Result
	Verdict       = actors.Verdict
	Order         = actors.Order
	Verb          = actors.Verb
	Filter        = actors.Filter
	Cooldown      = actors.Cooldown
	ErrorRule     = actors.ErrorRule
	Fallback      = actors.Fallback

	PanicThreshold = actors.PanicThreshold
	Clock          = actors.Clock
	Timer          = actors.Timer

	Strategy    = balance.Config
	Candidate   = balance.Candidate
	Place       = balance.Place
	Location    = balance.Location
	Breaker     = breaker.Config
	Counts      = breaker.Counts
	Health      = health.Config
	HTTPCheck   = health.HTTPCheck
	TCPCheck    = health.TCPCheck
	CheckResult = health.CheckResult
	SlowStart   = balance.SlowStart
	Outlier     = outlier.Config
	Hedge       = hedge.Config
	RateLimit   = limit.RateConfig
	Concurrency = limit.ConcurrencyConfig
	Cache       = cache.Config
	Retry       = retry.Config
	Backoff     = retry.Backoff
	RetryBudget = retry.BudgetConfig
	Jitter      = retry.Jitter
	Pool        = httptransport.Pool
	TLS         = httptransport.TLS

	Attempt  = messages.Attempt
	Request  = messages.Request
	Response = messages.Response
	Event    = messages.Event
	Error    = messages.Error
)

// Off turns a number or a duration of a configuration off.
const Off = actors.Off

// Jitters of a retry's waits, besides a duration that is added.
const (
	FullJitter = retry.FullJitter
	NoJitter   = retry.NoJitter
)

// Verdicts of a classifier.
const (
	Auto      = actors.Auto
	Success   = actors.Success
	Failure   = actors.Failure
	Ignore    = actors.Ignore
	Retryable = actors.Retryable
)

// Orders of an operator.
const (
	VerbReady      = actors.VerbReady
	VerbDrain      = actors.VerbDrain
	VerbMaint      = actors.VerbMaint
	VerbForceOpen  = actors.VerbForceOpen
	VerbForceClose = actors.VerbForceClose
	VerbReset      = actors.VerbReset
)

// Constant is a backoff that always waits d.
var Constant = retry.Constant

// Exponential is a backoff that doubles from initial up to max.
var Exponential = retry.Exponential

// Options of one call.
var (
	Key           = actors.Key           // the affinity of the request
	NotIdempotent = actors.NotIdempotent // not repeated once an endpoint may have seen it
	Timeout       = actors.Timeout       // shortens the service's timeout
	Hedged        = actors.Hedged        // a slow attempt has another one beside it
	MaxAttempts   = actors.MaxAttempts   // in place of retry.max_attempts
	Into          = actors.Into          // how the call went
	Permanent     = actors.Permanent     // an error that no retry mends
)

// Config is what a system begins with. The zero value has no services.
type Config struct {
	// Node is this process's name in events, status and on NATS: letters, digits,
	// "_" and "-", 64 at most. Zero: <host>-<6 random>.
	Node string
	// Place is where this process stands, for the strategy geographic. Zero: unknown.
	Place Place
	// Services are added at the start, in the order of their names.
	Services map[string]ServiceConfig
	// Prefix is the first token of every NATS subject. Zero: "understudy".
	Prefix string
}

// System holds services. It is safe for concurrent use.
type System struct {
	*actors.System
	door *cluster.Door // nil without NATS
}

type options struct {
	actors.Options
	nats *nats.Conn
}

// Option is an option of [New].
type Option func(*options)

// WithLogger has the system log. Without it, it is silent.
func WithLogger(l *slog.Logger) Option { return func(o *options) { o.Logger = l } }

// WithTracerProvider has the system trace. Without it, tracing costs nothing.
func WithTracerProvider(p trace.TracerProvider) Option {
	return func(o *options) { o.TracerProvider = p }
}

// WithActorSystem has the actors live in a system of the user's, which stays the
// user's to shut down. Without it they have one of their own.
func WithActorSystem(s *actor.ActorSystem) Option { return func(o *options) { o.ActorSystem = s } }

// WithClock replaces the machine's clock; test/understudytest has one.
func WithClock(c Clock) Option { return func(o *options) { o.Clock = c } }

// WithNATS serves requests that come over NATS, publishes events, and answers
// operators. The connection stays the user's and is never closed by the system.
func WithNATS(nc *nats.Conn) Option { return func(o *options) { o.nats = nc } }

// New starts a system. It never waits for a network. Faults of the services'
// configurations are joined; nothing runs then.
func New(c Config, opts ...Option) (*System, error) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	if c.Node == "" {
		c.Node = cluster.NodeName()
	}
	if err := messages.CheckName(c.Node); err != nil {
		return nil, &messages.Error{Code: messages.CodeInvalidConfig, Words: "node", Err: err}
	}
	if err := c.Place.Validate(); err != nil {
		return nil, &messages.Error{Code: messages.CodeInvalidConfig, Words: "place", Err: err}
	}
	o.Node, o.Place = c.Node, c.Place
	s := &System{System: actors.New(o.Options)}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(c.Services)) {
		if _, err := s.AddService(name, c.Services[name]); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 && o.nats != nil {
		door, err := cluster.Open(o.nats, s.System, cluster.DoorConfig{Prefix: c.Prefix, Node: c.Node, Logger: o.Logger, TracerProvider: o.TracerProvider})
		s.door = door
		if err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// SetHooks replaces the functions of a service, one that came from a file say.
// They are kept across reloads.
func (s *System) SetHooks(service string, h Hooks) error { return s.Service(service).SetHooks(h) }

// Shutdown drains first, as net/http's does: the door closes, so that NATS sends
// requests elsewhere; what is under way ends, or ctx does; then it closes.
func (s *System) Shutdown(ctx context.Context) error {
	err := errors.Join(s.door.Drain(ctx), s.System.Shutdown(ctx))
	s.door.Close()
	return err
}

// Close stops at once. Calls that wait for an endpoint are CLOSED. It may be
// called more than once.
func (s *System) Close() error {
	s.door.Close()
	return s.System.Close()
}

// Do calls fn with an endpoint of the service, and again with another one while
// it fails and the retry policy allows. fn runs in the caller's goroutine and
// must honour its context. Do judges fn by its error and, when T is
// *http.Response, by the status; it returns when fn returns.
//
// A failed call's error is a *messages.Error: the refusal when no endpoint could
// be had, else one that unwraps to fn's last error. An error that does not count
// against the endpoint is returned as fn gave it.
func Do[T any](ctx context.Context, s *Service, fn func(context.Context, Target) (T, error), opts ...CallOption) (T, error) {
	return actors.Do(ctx, s, fn, opts...)
}

// DoOr is Do with a fallback, which gets the error. Its answer is counted as a
// fallback; a panic in it is INTERNAL.
func DoOr[T any](ctx context.Context, s *Service, fn func(context.Context, Target) (T, error), fallback func(context.Context, error) (T, error), opts ...CallOption) (T, error) {
	return actors.DoOr(ctx, s, fn, fallback, opts...)
}
