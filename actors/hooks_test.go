package actors

import (
	"context"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/understudy-go/understudy/actors/retry"
	"github.com/understudy-go/understudy/messages"
)

// A classifier judges calls: where Open failed there was none, and its caller has to hear of it.
func TestAFailedOpenIsAFailureWhateverTheClassifierSays(t *testing.T) {
	for name, call := range map[string]func(*testing.T, *Service) error{
		"Do": func(t *testing.T, s *Service) error {
			_, err := Do(t.Context(), s, func(context.Context, Target) (int, error) {
				t.Error("the function ran without its value")
				return 1, nil
			})
			return err
		},
		"Request": func(t *testing.T, s *Service) error {
			_, err := s.Request(t.Context(), &messages.Request{})
			return err
		},
		"RoundTripper": func(_ *testing.T, s *Service) error {
			_, err := get(s, "/")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := ServiceConfig{Endpoints: endpoints(1), Retry: retry.Config{MaxAttempts: 1}, Hooks: Hooks{
				Open:     func(context.Context, Endpoint) (any, error) { return nil, errBoom },
				Classify: func(Result) Verdict { return Ignore },
			}}
			virtual(t, c, func(t *testing.T, s *Service) {
				if err := call(t, s); err == nil {
					t.Error("no error")
				}
				settled(t, s)
				if e := status(t, s, "e0"); e.Failures != 1 || s.Stats().Failed != 1 {
					t.Errorf("%+v", e)
				}
			})
		})
	}
}

func TestAnOpenThatEndsItsGoroutineGivesTheLeaseBack(t *testing.T) {
	c := ServiceConfig{Endpoints: endpoints(1)}
	c.Hooks.Open = func(context.Context, Endpoint) (any, error) { runtime.Goexit(); return nil, nil }
	virtual(t, c, func(t *testing.T, s *Service) {
		var caller sync.WaitGroup
		caller.Go(func() { _, _ = Do(context.Background(), s, good) })
		caller.Wait()
		settled(t, s)
		if st := s.Stats(); st.Requests != 1 || st.Failed != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// A service that was refused its name hears nothing of the one that has it.
func TestARejectedServiceHearsNothing(t *testing.T) {
	virtual(t, ServiceConfig{Endpoints: endpoints(1)}, func(t *testing.T, s *Service) {
		var heard atomic.Int32
		_, err := s.sys.AddService("svc", ServiceConfig{Hooks: Hooks{OnTransition: func(messages.Event) { heard.Add(1) }}})
		if code(err) != messages.CodeConflict {
			t.Fatal(err)
		}
		if err := s.Operate(t.Context(), Order{Endpoint: "e0", Verb: VerbDrain}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := heard.Load(); n != 0 {
			t.Errorf("%d events", n)
		}
	})
}

// A fallback may return the same answer to everybody: it is copied, never written to.
func TestAFallbacksAnswerIsNotWrittenTo(t *testing.T) {
	shared := &messages.Response{Header: messages.Header{}}
	c := ServiceConfig{}
	c.Hooks.Fallback = func(context.Context, *messages.Request, error) (*messages.Response, error) { return shared, nil }
	virtual(t, c, func(t *testing.T, s *Service) {
		resp, err := get(s, "/")
		if err != nil || resp.StatusCode != http.StatusOK || resp.Status != "200 OK" || resp.Header.Get(messages.HeaderFallback) != "true" {
			t.Errorf("RoundTripper: %+v, %v", resp, err)
		}
		m, err := s.Request(t.Context(), &messages.Request{})
		if err != nil || m.Status != http.StatusOK || !m.Fallback {
			t.Errorf("Request: %+v, %v", m, err)
		}
		if shared.Fallback || shared.Status != 0 || len(shared.Header) != 0 {
			t.Errorf("the hook's own: %+v", shared)
		}
	})
}
