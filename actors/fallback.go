package actors

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/understudy-go/understudy/actors/cache"
	"github.com/understudy-go/understudy/actors/transport"
	"github.com/understudy-go/understudy/messages"
)

// Fallback is the answer that a caller gets in place of an error. What is given is
// tried in this order: the hook Fallback, Stale, Service, and the static answer. An
// answer that came so is marked, and counted apart from success.
type Fallback struct {
	// Stale answers from the cache, however old the entry is. It needs a cache.
	Stale bool `yaml:"stale"`
	// Service is another service that is asked the same.
	Service string `yaml:"service"`
	// Status, Body and Headers are the static answer. Status 0: 200, or no static
	// answer where Stale or Service is given and there is no body.
	Status  int               `yaml:"status"`
	Body    string            `yaml:"body"`
	Headers map[string]string `yaml:"headers"`
}

func (f *Fallback) static() bool { return f.Status != 0 }

// withDefaults says what the static answer's status is, where there is one.
func (f *Fallback) withDefaults() *Fallback {
	if f == nil || f.Status != 0 || f.Body == "" && (f.Stale || f.Service != "") {
		return f
	}
	out := *f
	out.Status = http.StatusOK
	return &out
}

func (f *Fallback) validate(cached bool) error {
	var errs []error
	if f.Status != 0 && (f.Status < 100 || f.Status > 599) {
		errs = append(errs, fmt.Errorf("status: %d is no HTTP status", f.Status))
	}
	if f.Service != "" {
		if err := messages.CheckName(f.Service); err != nil {
			errs = append(errs, fmt.Errorf("service: %w", err))
		}
	}
	if f.Stale && !cached {
		errs = append(errs, errors.New("stale: there is no cache to answer from: give the service a cache, or leave this out"))
	}
	for name, value := range f.Headers {
		if !validHeader(name, value) {
			errs = append(errs, fmt.Errorf("headers.%s: not a header that can be sent", name))
		}
	}
	return errors.Join(errs...)
}

// configureCache puts the cache's configuration in force.
func (s *serviceCell) configureCache(set *settings) {
	c, k := s.cache.Load(), set.config.Cache
	switch {
	case k == nil:
		s.closeCache()
	case c == nil:
		clock := &s.sys.clock
		s.cache.Store(cache.New(*k, func() (time.Duration, time.Time) {
			now := clock.now()
			return now, clock.wall(now)
		}))
	default:
		c.Configure(*k)
	}
}

func (s *serviceCell) closeCache() {
	if c := s.cache.Swap(nil); c != nil {
		c.Close()
	}
}

// fallsBack reports whether there is any fallback.
func (s *serviceCell) fallsBack() bool {
	c := &s.settings.Load().config
	return c.Fallback != nil || c.Hooks.Fallback != nil
}

// noFallback are the errors that no other answer mends: the caller's own mistakes, and
// what says that this process is not the one to ask.
var noFallback = []messages.Code{messages.CodeCanceled, messages.CodeInvalidRequest, messages.CodeNotFound,
	messages.CodeServiceUnavailable, messages.CodeClosed}

// fallBack answers in place of an error, or returns the error that stays. A request
// that is not whole, because its body is spent, is not asked of another service.
func (s *serviceCell) fallBack(ctx context.Context, m *messages.Request, whole bool, o CallOption, cause error) (*messages.Response, error) {
	var failed *messages.Error
	errors.As(cause, &failed)
	if errors.Is(cause, context.Canceled) || failed != nil && slices.Contains(noFallback, failed.Code) || !s.fallsBack() {
		return nil, cause
	}
	set := s.settings.Load()
	resp, err := s.fallBackHook(ctx, set, m, cause)
	if err != nil {
		return nil, err
	}
	if f := set.config.Fallback; resp == nil && f != nil {
		resp = s.fallBackConfigured(ctx, f, m, whole, o)
	}
	if resp == nil {
		return nil, cause
	}
	out := *resp // the hook may return the same one again and again
	out.Header = maps.Clone(resp.Header)
	if out.Status == 0 {
		out.Status = http.StatusOK
	}
	if failed != nil {
		out.Attempts = failed.Attempts
	}
	if o.into != nil {
		o.into.Fallback = true
	}
	out.Fallback, out.Err = true, nil
	s.fallbacks.Add(1)
	s.sys.spanEvent(ctx, "fallback", "%v", cause)
	return &out, nil
}

// fallBackHook asks the user's function. Its panic is this request's error; its
// error leaves the word to what is configured.
func (s *serviceCell) fallBackHook(ctx context.Context, set *settings, m *messages.Request, cause error) (resp *messages.Response, err error) {
	hook := set.config.Hooks.Fallback
	if hook == nil {
		return nil, nil
	}
	if perr := guard("Fallback", func() error { resp, err = hook(ctx, m, cause); return nil }); perr != nil {
		return nil, &messages.Error{Code: messages.CodeInternal, Service: s.name, Words: perr.Error(), Err: cause}
	}
	if err != nil {
		s.sys.logger.Error("fallback failed", "service", s.name, "error", transport.Words(err))
		return nil, nil
	}
	return resp, nil
}

func (s *serviceCell) fallBackConfigured(ctx context.Context, f *Fallback, m *messages.Request, whole bool, o CallOption) *messages.Response {
	if f.Stale {
		if c := s.cache.Load(); c != nil {
			if resp, ok := c.Stale(m, method(m), -1); ok {
				return resp
			}
		}
	}
	if f.Service != "" && whole {
		if resp := s.askOther(ctx, f.Service, m, o); resp != nil {
			return resp
		}
	}
	if !f.static() {
		return nil
	}
	resp := &messages.Response{Status: f.Status, Body: []byte(f.Body), Header: messages.Header{}}
	for k, v := range f.Headers {
		resp.Header.Set(http.CanonicalHeaderKey(k), v)
	}
	return resp
}

// askOther asks another service, unless this request came here as that one's
// fallback: two services that fall back to each other would ask for ever.
func (s *serviceCell) askOther(ctx context.Context, name string, m *messages.Request, o CallOption) *messages.Response {
	from, _ := ctx.Value(fallbackKey{}).(*fallbackFrom)
	for f := from; f != nil; f = f.up {
		if f.service == name {
			return nil
		}
	}
	service, ok := s.sys.Lookup(name)
	if !ok || name == s.name {
		return nil
	}
	other := *m
	other.Service = name
	o.into = nil // it tells of this service
	resp, err := service.request(context.WithValue(ctx, fallbackKey{}, &fallbackFrom{s.name, from}), &other, o)
	if err != nil {
		s.sys.spanEvent(ctx, "fallback failed", "%v", err)
		return nil
	}
	return resp
}

// fallbackFrom are the services that a request fell back from, the last one first.
type fallbackFrom struct {
	service string
	up      *fallbackFrom
}

type fallbackKey struct{}
