package actors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy/actors/cache"
	"github.com/understudy-go/understudy/actors/retry"
	"github.com/understudy-go/understudy/messages"
)

// says is a handler that answers so.
func says(status int, body string) Handler {
	return func(context.Context, *messages.Request) (*messages.Response, error) {
		return &messages.Response{Status: status, Body: []byte(body)}, nil
	}
}

func fails(context.Context, *messages.Request) (*messages.Response, error) { return nil, errBoom }

// answering is a service of one endpoint that makes one attempt.
func answering(h Handler) ServiceConfig {
	c := handler(h)
	c.Retry = retry.Config{MaxAttempts: 1}
	c.Breaker.Disabled = true
	return c
}

// add starts one more service.
func add(t *testing.T, s *Service, name string, c ServiceConfig) *Service {
	t.Helper()
	other, err := s.sys.AddService(name, c)
	require.NoError(t, err)
	return other
}

// What is given is tried in this order: the hook, the stale answer, the other service,
// the static answer.
func TestTheOrderOfFallbacks(t *testing.T) {
	all := func() *Fallback { return &Fallback{Stale: true, Service: "other", Body: "static"} }
	hook := func(_ context.Context, m *messages.Request, err error) (*messages.Response, error) {
		switch {
		case code(err) != messages.CodeRetryExhausted:
			return nil, fmt.Errorf("not the cause: %w", err)
		case m.Path == "/hook":
			return &messages.Response{Body: []byte("hook")}, nil
		case m.Path == "/hook-fails":
			return nil, errors.New("the hook knows no more")
		}
		return nil, nil
	}
	for name, x := range map[string]struct {
		path     string
		fallback func(*Fallback)
		other    Handler
		want     string
		cached   messages.Cache
	}{
		"the hook":               {path: "/hook", want: "200 hook"},
		"the hook fails":         {path: "/hook-fails", want: "200 other"},
		"what was kept":          {path: "/kept", want: "200 kept", cached: messages.CacheStale},
		"the other service":      {path: "/", want: "200 other"},
		"the other one fails":    {path: "/", other: fails, want: "200 static"},
		"the other one says 500": {path: "/", other: says(500, "ill"), want: "200 static"},
		"the other one says 404": {path: "/", other: says(404, "none"), want: "404 none"},
		"there is no other":      {path: "/", fallback: func(f *Fallback) { f.Service = "nobody" }, want: "200 static"},
		"static with a status":   {path: "/", fallback: func(f *Fallback) { f.Service, f.Status = "", 418 }, want: "418 static"},
		"no static answer":       {path: "/", other: fails, fallback: func(f *Fallback) { f.Body = "" }, want: ""},
	} {
		t.Run(name, func(t *testing.T) {
			ill := false
			c := answering(func(context.Context, *messages.Request) (*messages.Response, error) {
				if ill {
					return nil, errBoom
				}
				return &messages.Response{Body: []byte("kept")}, nil
			})
			c.Cache, c.Hooks.Fallback, c.Fallback = &cache.Config{TTL: time.Second}, hook, all()
			c.Fallback.Headers = map[string]string{"x-from": "static"}
			if x.fallback != nil {
				x.fallback(c.Fallback)
			}
			virtual(t, c, func(t *testing.T, s *Service) {
				if x.other == nil {
					x.other = says(200, "other")
				}
				add(t, s, "other", answering(x.other))
				_, err := s.Request(t.Context(), &messages.Request{Path: "/kept"})
				require.NoError(t, err)
				advance(time.Hour)
				ill = true
				resp, err := s.Request(t.Context(), &messages.Request{Path: x.path})
				settled(t, s)
				if x.want == "" {
					require.Equal(t, messages.CodeRetryExhausted, code(err))
					require.Zero(t, s.Stats().Fallbacks)
					return
				}
				require.NoError(t, err)
				require.Equal(t, x.want, fmt.Sprintf("%d %s", resp.Status, resp.Body))
				require.True(t, resp.Fallback)
				require.Nil(t, resp.Err)
				require.Equal(t, x.cached, resp.Cache)
				require.Len(t, resp.Attempts, 1, "those that failed")
				require.Equal(t, "e0", resp.Attempts[0].Endpoint)
				require.NotEmpty(t, resp.Attempts[0].Code)
				require.Equal(t, strings.HasSuffix(x.want, "static"), resp.Header.Get("X-From") == "static")
				n := s.Stats()
				require.Equal(t, []uint64{1, 1}, []uint64{n.Fallbacks, n.Failed}, "apart from success")
			})
		})
	}
}

// What may make a fallback answer: any error but the caller's own leaving.
func TestWhatIsFallenBackFrom(t *testing.T) {
	for name, x := range map[string]struct {
		do   func(*testing.T, *Service) (*messages.Response, error)
		want messages.Code // "": a fallback
	}{
		"a refusal": {do: func(t *testing.T, s *Service) (*messages.Response, error) {
			require.NoError(t, s.Operate(t.Context(), Order{Endpoint: "e0", Verb: VerbMaint}))
			return s.Request(t.Context(), &messages.Request{})
		}},
		"its timeout": {do: func(t *testing.T, s *Service) (*messages.Response, error) {
			return s.Request(t.Context(), &messages.Request{Path: "/hangs", Timeout: time.Second})
		}},
		"its caller's deadline": {do: func(t *testing.T, s *Service) (*messages.Response, error) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			return s.Request(ctx, &messages.Request{Path: "/hangs"})
		}},
		"its caller leaves": {do: func(t *testing.T, s *Service) (*messages.Response, error) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			return s.Request(ctx, &messages.Request{Path: "/hangs"})
		}, want: messages.CodeCanceled},
		"no request at all": {do: func(t *testing.T, s *Service) (*messages.Response, error) {
			return s.Request(t.Context(), &messages.Request{Path: "none"})
		}, want: messages.CodeInvalidRequest},
		"a removed service": {do: func(t *testing.T, s *Service) (*messages.Response, error) {
			require.NoError(t, s.sys.RemoveService("svc"))
			return s.Request(t.Context(), &messages.Request{})
		}, want: messages.CodeNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			c := answering(func(ctx context.Context, m *messages.Request) (*messages.Response, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			})
			c.Fallback = &Fallback{Body: "static"}
			virtual(t, c, func(t *testing.T, s *Service) {
				resp, err := x.do(t, s)
				require.Equal(t, x.want, code(err), "%v", err)
				require.Equal(t, x.want == "", resp != nil && resp.Fallback)
			})
		})
	}
}

// Services that fall back to each other ask each other once.
func TestLoopsOfFallbacksEnd(t *testing.T) {
	asked := map[string]int{}
	failing := func(name, next, body string) ServiceConfig {
		c := answering(func(context.Context, *messages.Request) (*messages.Response, error) {
			asked[name]++
			return nil, errBoom
		})
		c.Fallback = &Fallback{Service: next, Body: body}
		return c
	}
	virtual(t, failing("svc", "b", ""), func(t *testing.T, s *Service) {
		b := add(t, s, "b", failing("b", "c", ""))
		c := add(t, s, "c", failing("c", "svc", ""))
		_, err := s.Request(t.Context(), &messages.Request{})
		require.Equal(t, messages.CodeRetryExhausted, code(err))
		require.Equal(t, map[string]int{"svc": 1, "b": 1, "c": 1}, asked)
		var e *messages.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, "svc", e.Service, "its own error stays")

		require.NoError(t, c.Configure(failing("c", "svc", "of c")))
		resp, err := s.Request(t.Context(), &messages.Request{})
		require.NoError(t, err)
		require.Equal(t, "of c", string(resp.Body))
		require.Equal(t, map[string]int{"svc": 2, "b": 2, "c": 2}, asked)
		for _, service := range []*Service{s, b, c} {
			settled(t, service)
			require.EqualValues(t, 1, service.Stats().Fallbacks)
		}
	})
}

func TestAPanicInTheFallback(t *testing.T) {
	c := answering(fails)
	c.Fallback = &Fallback{Body: "static"}
	c.Hooks.Fallback = func(context.Context, *messages.Request, error) (*messages.Response, error) { panic("boom") }
	virtual(t, c, func(t *testing.T, s *Service) {
		resp, err := s.Request(t.Context(), &messages.Request{})
		require.Nil(t, resp)
		require.Equal(t, messages.CodeInternal, code(err))
		require.ErrorIs(t, err, errBoom, "with the cause")
		_, err = get(s, "/")
		require.Equal(t, messages.CodeInternal, code(err))
		require.Zero(t, s.Stats().Fallbacks)
		settled(t, s)
		require.Equal(t, "closed", status(t, s, "e0").Breaker)
	})
}

// Through RoundTripper a fallback is an answer like another, with its mark.
func TestARoundTripFallsBack(t *testing.T) {
	ill := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	for name, x := range map[string]struct {
		fallback *Fallback
		hook     func(context.Context, *messages.Request, error) (*messages.Response, error)
		body     string
		want     string
		marked   bool
	}{
		"static": {fallback: &Fallback{Body: "static", Headers: map[string]string{"content-type": "text/plain"}}, want: "200 static", marked: true},
		"the hook sees the body": {body: "42", want: "201 echo 42", marked: true, hook: func(_ context.Context, m *messages.Request, _ error) (*messages.Response, error) {
			return &messages.Response{Status: 201, Body: append([]byte("echo "), m.Body...)}, nil
		}},
		"another service": {fallback: &Fallback{Service: "other"}, want: "200 other", marked: true},
		"none helps":      {fallback: &Fallback{Service: "nobody"}, want: "503 "},
	} {
		t.Run(name, func(t *testing.T) {
			c := ServiceConfig{Endpoints: []Endpoint{{ID: "e0", URL: ill}}, Fallback: x.fallback, Retry: retry.Config{MaxAttempts: 1}}
			c.Hooks.Fallback = x.hook
			s := start(t, Options{}, c)
			add(t, s, "other", answering(says(200, "other")))
			req, err := http.NewRequest(http.MethodPut, "http://svc/orders", strings.NewReader(x.body))
			require.NoError(t, err)
			resp, err := s.RoundTripper().RoundTrip(req)
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, x.want, fmt.Sprintf("%d %s", resp.StatusCode, body))
			require.Equal(t, x.marked, resp.Header.Get(messages.HeaderFallback) == "true")
			require.Same(t, req, resp.Request)
			if x.marked {
				require.EqualValues(t, 1, s.Stats().Fallbacks)
			}
		})
	}
}

// A reload puts another fallback in force.
func TestAReloadOfTheFallback(t *testing.T) {
	c := answering(fails)
	virtual(t, c, func(t *testing.T, s *Service) {
		_, err := s.Request(t.Context(), &messages.Request{})
		require.Error(t, err)
		c.Fallback = &Fallback{Body: "static"}
		require.NoError(t, s.Configure(c))
		_, err = s.Request(t.Context(), &messages.Request{})
		require.NoError(t, err)
		for _, wrong := range []*Fallback{{Service: "svc"}, {Stale: true}, {Status: 42}, {Service: "no name"}, {Headers: map[string]string{"a b": ""}}} {
			c.Fallback = wrong
			require.Equal(t, messages.CodeInvalidConfig, code(s.Configure(c)), "%+v", wrong)
		}
		resp, err := s.Request(t.Context(), &messages.Request{})
		require.NoError(t, err)
		require.Equal(t, "static", string(resp.Body), "faults change nothing")
	})
}

// handOn: "that is so but where … a user's function panicked". The INTERNAL unwraps to its
// cause, so errors.Is finds RETRY_EXHAUSTED in it and the 503 is handed on with err nil.
func TestAPanicInTheFallbackOfARoundTripIsInternal(t *testing.T) {
	ill := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	for name, kept := range map[string]*cache.Config{"without a cache": nil, "with a cache": {}} {
		t.Run(name, func(t *testing.T) {
			c := ServiceConfig{Endpoints: []Endpoint{{ID: "e0", URL: ill}}, Retry: retry.Config{MaxAttempts: 1}, Cache: kept}
			c.Hooks.Fallback = func(context.Context, *messages.Request, error) (*messages.Response, error) { panic("boom") }
			s := start(t, Options{}, c)
			resp, err := get(s, "/")
			if resp != nil {
				_ = resp.Body.Close()
			}
			require.Equal(t, messages.CodeInternal, code(err))
		})
	}
}

// Report.Fallback: "the answer is a fallback".
func TestTheReportTellsOfTheFallback(t *testing.T) {
	c := ServiceConfig{Fallback: &Fallback{Body: "static"}}
	virtual(t, c, func(t *testing.T, s *Service) {
		var r Report
		resp, err := get(s, "/", Into(&r))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.True(t, r.Fallback)
	})
}

// The other service has what is left of the request's own time, not that time again.
func TestTheOtherServiceHasTheTimeThatIsLeft(t *testing.T) {
	hangs := func(ctx context.Context, _ *messages.Request) (*messages.Response, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	c := answering(hangs)
	c.Fallback = &Fallback{Service: "other", Body: "static"}
	virtual(t, c, func(t *testing.T, s *Service) {
		add(t, s, "other", answering(hangs))
		began := time.Now()
		_, err := s.Request(t.Context(), &messages.Request{Timeout: time.Second})
		require.NoError(t, err)
		require.LessOrEqual(t, time.Since(began), 1100*time.Millisecond)
	})
}

// The other service has what is left of the call's time, whichever way the call came.
func TestAFallbackHasTheCallsOwnTime(t *testing.T) {
	hangs := func(ctx context.Context, _ *messages.Request) (*messages.Response, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	c := ServiceConfig{Endpoints: []Endpoint{{ID: "e0", Handler: hangs}}, AttemptTimeout: 900 * time.Millisecond,
		Retry: retry.Config{MaxAttempts: 1}, Fallback: &Fallback{Service: "other", Status: http.StatusServiceUnavailable}}
	virtual(t, c, func(t *testing.T, s *Service) {
		_, err := s.sys.AddService("other", ServiceConfig{Endpoints: []Endpoint{{ID: "o0", Handler: hangs}}})
		require.NoError(t, err)
		began := time.Now()
		_, err = s.Request(t.Context(), &messages.Request{Timeout: time.Second})
		require.NoError(t, err)
		require.Equal(t, time.Second, time.Since(began))

		began = time.Now()
		req, err := http.NewRequest(http.MethodGet, "http://svc/", nil)
		require.NoError(t, err)
		resp, err := s.RoundTripper(Timeout(time.Second)).RoundTrip(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, time.Second, time.Since(began))
	})
}
