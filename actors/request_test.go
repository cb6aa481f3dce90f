package actors

import (
	"bytes"
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy/messages"
)

// A path that begins with two slashes is a path and no host.
func TestAPathMayBeginWithTwoSlashes(t *testing.T) {
	seen := make(chan string, 1)
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r.RequestURI })
	s := start(t, Options{}, ServiceConfig{Endpoints: []Endpoint{{ID: "e0", URL: url}}})
	if _, err := s.Request(t.Context(), &messages.Request{Path: "//admin/users?id=7"}); err != nil {
		t.Fatal(err)
	}
	if got := <-seen; got != "//admin/users?id=7" {
		t.Errorf("the endpoint saw %s", got)
	}
}

// handler is an endpoint that is a Go function.
func handler(h Handler) ServiceConfig {
	return ServiceConfig{Endpoints: []Endpoint{{ID: "e0", Handler: h}}}
}

// Where every endpoint asked for a pause that is no longer than a backoff may be, the retry waits.
func TestARetryWaitsForAPauseThatAllAskedFor(t *testing.T) {
	n := 0
	c := handler(func(context.Context, *messages.Request) (*messages.Response, error) {
		if n++; n == 1 {
			return &messages.Response{Status: 503, Header: messages.Header{"Retry-After": {"1"}}}, nil
		}
		return &messages.Response{Status: 200}, nil
	})
	c.Retry.Backoff.Max = 2 * time.Second
	virtual(t, c, func(t *testing.T, s *Service) {
		began := time.Now()
		resp, err := s.Request(t.Context(), &messages.Request{})
		if err != nil || resp.Status != 200 || n != 2 {
			t.Errorf("after %d attempts: %+v, %v", n, resp, err)
		}
		if d := time.Since(began); d < time.Second || d > 2*time.Second {
			t.Errorf("it took %v", d)
		}
		settled(t, s)
	})
}

// A handler's panic is an answer to the actor that asked, and the end of nothing.
func TestAHandlersPanicIsAnAnswerToTheActorThatAsked(t *testing.T) {
	c := handler(func(context.Context, *messages.Request) (*messages.Response, error) { panic("boom") })
	virtual(t, c, func(t *testing.T, s *Service) {
		answer, err := s.sys.actors.Root.RequestFuture(s.PID(), &messages.Request{}, time.Minute).Result()
		if err != nil {
			t.Fatal(err)
		}
		if resp, ok := answer.(*messages.Response); !ok || resp.Err == nil || resp.Err.Code != messages.CodeInternal {
			t.Errorf("got %+v", answer)
		}
		settled(t, s)
		if e := status(t, s, "e0"); e.Failures != 1 {
			t.Errorf("%+v", e)
		}
	})
}

// An answer that is read into memory and stops coming is tried elsewhere after the
// attempt's timeout: nobody has seen anything of it yet.
func TestABufferedAnswerThatStallsIsTriedElsewhere(t *testing.T) {
	c := ServiceConfig{AttemptTimeout: 50 * time.Millisecond, Endpoints: []Endpoint{
		{ID: "stalls", URL: serve(t, stall(http.StatusOK))},
		{ID: "answers", Priority: 1, URL: serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("here")) })},
	}}
	c.Strategy.Pick = "priority"
	s := start(t, Options{}, c)
	resp, err := s.Request(t.Context(), &messages.Request{})
	if err != nil {
		t.Fatal(err)
	}
	if resp.Endpoint != "answers" || len(resp.Attempts) != 2 || resp.Attempts[0].Code != messages.CodeTimeout {
		t.Errorf("%s after %+v", resp.Endpoint, resp.Attempts)
	}
	if e := status(t, s, "stalls"); e.Timeouts != 1 {
		t.Errorf("the stall counts nothing: %+v", e)
	}
}

// Three digits that are no status are garbage.
func TestAStatusBelowAHundredIsGarbage(t *testing.T) {
	s := start(t, Options{}, ServiceConfig{Endpoints: []Endpoint{{ID: "e0", URL: raw(t, "HTTP/1.1 000 \r\nContent-Length: 0\r\n\r\n")}}})
	_, err := s.Request(t.Context(), &messages.Request{}) // counted, tried again, and an error
	if code(err) != messages.CodeRetryExhausted {
		t.Errorf("got %v", err)
	}
	if e := status(t, s, "e0"); e.Failures != 3 {
		t.Errorf("%+v", e)
	}
}

// What no endpoint should see is refused before one is asked.
func TestPathsThatCannotBeSent(t *testing.T) {
	s := start(t, Options{}, handler(func(context.Context, *messages.Request) (*messages.Response, error) { return &messages.Response{}, nil }))
	for _, path := range []string{"orders", "/a b", "/a\r\nX: y", "/a#b", "/%zz", "http://elsewhere/"} {
		if _, err := s.Request(t.Context(), &messages.Request{Path: path}); code(err) != messages.CodeInvalidRequest {
			t.Errorf("%q: %v", path, err)
		}
	}
	if st := s.Stats(); st.Attempts != 0 {
		t.Errorf("%d attempts", st.Attempts)
	}
}

// A Handler gets the whole body or none.
func TestABodyThatIsTooLargeForAHandlerIsRefused(t *testing.T) {
	asked := 0
	h := func(context.Context, *messages.Request) (*messages.Response, error) {
		asked++
		return &messages.Response{}, nil
	}
	virtual(t, handler(h), func(t *testing.T, s *Service) {
		req, err := http.NewRequest(http.MethodPut, "http://svc/", bytes.NewReader(make([]byte, responseMax+1)))
		require.NoError(t, err)
		_, err = s.RoundTripper().RoundTrip(req)
		require.Equal(t, messages.CodePayloadTooLarge, code(err))
		require.Zero(t, asked)
		settled(t, s)
		require.Zero(t, status(t, s, "e0").Failures)
	})
}
