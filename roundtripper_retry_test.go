package understudy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/understudytest"
)

// once hides what a body is, so that it can be had only once.
type once struct {
	io.Reader
	closed atomic.Int32
}

func (o *once) Close() error { o.closed.Add(1); return nil }

func TestWhatIsRetried(t *testing.T) {
	const text = "the body"
	replayable := func() io.Reader { return strings.NewReader(text) }
	oneShot := func() io.Reader { return &once{Reader: strings.NewReader(text)} }
	none := func() io.Reader { return nil }
	for name, c := range map[string]struct {
		method string
		body   func() io.Reader
		key    string
		want   int // status
	}{
		"GET":                             {"GET", none, "", 200},
		"HEAD":                            {"HEAD", none, "", 200},
		"PUT, replayable":                 {"PUT", replayable, "", 200},
		"PUT, used up":                    {"PUT", oneShot, "", 503},
		"DELETE":                          {"DELETE", none, "", 200},
		"OPTIONS":                         {"OPTIONS", none, "", 200},
		"TRACE":                           {"TRACE", none, "", 200},
		"POST":                            {"POST", replayable, "", 503},
		"POST without a body":             {"POST", none, "", 503},
		"PATCH":                           {"PATCH", replayable, "", 503},
		"POST with a key":                 {"POST", replayable, "order-7", 200},
		"POST with a key, used up":        {"POST", oneShot, "order-7", 503},
		"POST with a key, without a body": {"POST", none, "order-7", 200},
		"a method of its own":             {"BREW", none, "", 503},
	} {
		t.Run(name, func(t *testing.T) {
			bad, good := understudytest.Faulty(t, 503, 1), understudytest.Good(t)
			client, s := through(t, understudy.ServiceConfig{}, bad, good)
			req := request(t, c.method, "http://web/", c.body())
			if c.key != "" {
				req.Header.Set("Idempotency-Key", c.key)
			}
			resp, err := client.Do(req)
			require.NoError(t, err)
			require.Equal(t, c.want, resp.StatusCode)
			bodyOf(t, resp)
			requireIdle(t, s)
			require.Equal(t, 1, bad.Hits())
			want := ""
			if req.Body != nil {
				want = text
			}
			require.Equal(t, want, string(bad.Requests()[0].Body))
			if c.want == 200 {
				require.Equal(t, want, string(good.Requests()[0].Body), "the same again")
				require.Equal(t, c.key, good.Requests()[0].Header.Get("Idempotency-Key"))
			} else {
				require.Zero(t, good.Hits())
				require.Equal(t, string(messages.CodeRetryExhausted), resp.Header.Get(messages.HeaderError))
			}
		})
	}
}

// An endpoint that answers without reading: whatever can be had only once may be
// on its way to it still, so nobody else gets it.
func TestABodyThatNobodyRead(t *testing.T) {
	early := func(code int) *understudytest.Server {
		// Not by the kit's, which reads first.
		server := &understudytest.Server{URL: raw(t, func(conn net.Conn, r *bufio.Reader) {
			head, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			fmt.Fprintf(conn, "HTTP/1.1 %d Whatever\r\nContent-Length: 2\r\n\r\nok", code)
			_, _ = io.Copy(io.Discard, head.Body)
		})}
		return server
	}
	for name, c := range map[string]struct {
		body func() io.Reader
		want int
	}{
		"replayable": {func() io.Reader { return strings.NewReader("the body") }, 200},
		"one shot":   {func() io.Reader { return &once{Reader: strings.NewReader("the body")} }, 503},
	} {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				client, s := through(t, understudy.ServiceConfig{}, early(503), early(200))
				resp, err := client.Do(request(t, http.MethodPut, "http://web/", c.body()))
				require.NoError(t, err)
				require.Equal(t, c.want, resp.StatusCode)
				require.Equal(t, "ok", bodyOf(t, resp))
				requireIdle(t, s)
			}
		})
	}
}

// raw listens and has each connection served as f does.
func raw(t testing.TB, f func(net.Conn, *bufio.Reader)) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				f(conn, bufio.NewReader(conn))
			})
		}
	})
	t.Cleanup(func() { _ = listener.Close(); all.Wait() })
	return "http://" + listener.Addr().String()
}

// A body that cannot be had again is its caller's mistake.
func TestABodyThatCannotBeHad(t *testing.T) {
	server := understudytest.Good(t)
	_, s := through(t, understudy.ServiceConfig{Breaker: understudy.Breaker{FailureThreshold: 1}}, server)
	req := request(t, http.MethodPut, "http://web/", strings.NewReader("the body"))
	req.GetBody = func() (io.ReadCloser, error) { return nil, errBroken }
	_, err := s.RoundTripper().RoundTrip(req)
	coded(t, err, messages.CodeInvalidRequest)
	require.ErrorIs(t, err, errBroken)
	require.Zero(t, status(t, s, "a").Failures)

	body := &once{Reader: io.MultiReader(strings.NewReader("half"), failing{})}
	_, err = s.RoundTripper().RoundTrip(request(t, http.MethodPut, "http://web/", body))
	coded(t, err, messages.CodeInvalidRequest)
	require.ErrorIs(t, err, errBroken)
	require.Zero(t, status(t, s, "a").Failures)
	require.EqualValues(t, 1, body.closed.Load())
	requireIdle(t, s)
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errBroken }

// What never left may be sent again: whatever the method, and with a body that
// can be had only once.
func TestARefusedConnectionIsRetriedWhateverItIs(t *testing.T) {
	good := understudytest.Good(t)
	s := service(t, understudy.ServiceConfig{Strategy: inOrder,
		Endpoints: []understudy.Endpoint{{ID: "dead", URL: understudytest.Dead(t)}, good.Endpoint("good")}})
	body := &once{Reader: strings.NewReader("the body")}
	resp, err := s.RoundTripper().RoundTrip(request(t, http.MethodPost, "http://web/", body))
	require.NoError(t, err)
	require.Equal(t, "ok", bodyOf(t, resp))
	require.Equal(t, "the body", string(good.Requests()[0].Body))
	require.EqualValues(t, 1, body.closed.Load())
	require.EqualValues(t, 1, status(t, s, "dead").Failures)
}

// A RoundTripper closes the request's body whatever comes of it.
func TestTheBodyIsClosedAlways(t *testing.T) {
	good := understudytest.Good(t)
	us := start(t)
	for name, s := range map[string]*understudy.Service{
		"good":    add(t, us, "good", understudy.ServiceConfig{Endpoints: []understudy.Endpoint{good.Endpoint("a")}}),
		"dead":    add(t, us, "dead", understudy.ServiceConfig{Endpoints: []understudy.Endpoint{{ID: "a", URL: understudytest.Dead(t)}}, Retry: understudy.Retry{MaxAttempts: 1}}),
		"nobody":  add(t, us, "nobody", understudy.ServiceConfig{}),
		"missing": us.Service("missing"),
		"no URL":  add(t, us, "nourl", understudy.ServiceConfig{Endpoints: named("a")}),
	} {
		t.Run(name, func(t *testing.T) {
			body := &once{Reader: strings.NewReader("the body")}
			resp, err := s.RoundTripper().RoundTrip(request(t, http.MethodPost, "http://web/", body))
			if err == nil {
				bodyOf(t, resp)
			}
			require.EqualValues(t, 1, body.closed.Load())
		})
	}
}

func TestAFinalAnswerIsHandedOn(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Reason", "full")
		w.WriteHeader(503)
		fmt.Fprint(w, "come back later")
	})
	client, s := through(t, understudy.ServiceConfig{Retry: understudy.Retry{MaxAttempts: 2, Backoff: understudy.Constant(time.Millisecond)}}, server)
	resp, err := client.Get("http://web/")
	require.NoError(t, err)
	require.Equal(t, 503, resp.StatusCode)
	require.Equal(t, "RETRY_EXHAUSTED", resp.Header.Get("Understudy-Error"))
	require.Equal(t, "full", resp.Header.Get("X-Reason"))
	require.Equal(t, "come back later", bodyOf(t, resp))
	require.Equal(t, 2, server.Hits())
	requireIdle(t, s)
	st := s.Stats()
	require.EqualValues(t, 1, st.Failed)
	require.EqualValues(t, 2, st.Attempts)
	require.EqualValues(t, 2, status(t, s, "a").Failures)
}

// Where an answer was to be tried again and nobody can be asked, it is the last
// one: handed on whole.
func TestAnAnswerIsHandedOnWhenNobodyIsLeft(t *testing.T) {
	for name, c := range map[string]understudy.ServiceConfig{
		"no time for the wait": {Timeout: time.Minute, Retry: understudy.Retry{Backoff: understudy.Constant(time.Hour)}},
		"the breaker opened":   {Breaker: understudy.Breaker{FailureThreshold: 1}, Retry: understudy.Retry{Backoff: understudy.Constant(time.Microsecond)}},
		"no budget": {Retry: understudy.Retry{Backoff: understudy.Constant(time.Microsecond),
			Budget: understudy.RetryBudget{Ratio: 1e-9, MinPerSecond: understudy.Off}}},
	} {
		t.Run(name, func(t *testing.T) {
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(503)
				fmt.Fprint(w, "come back later")
			})
			client, s := through(t, c, server)
			resp, err := client.Get("http://web/")
			require.NoError(t, err)
			require.Equal(t, 503, resp.StatusCode)
			require.Equal(t, "RETRY_EXHAUSTED", resp.Header.Get("Understudy-Error"))
			require.Equal(t, "come back later", bodyOf(t, resp))
			require.Equal(t, 1, server.Hits())
			requireIdle(t, s)
			require.EqualValues(t, 1, s.Stats().Failed)
		})
	}
}

// An answer too long to be kept until it is known that nobody is left becomes an
// error, never half an answer.
func TestALongAnswerIsNotHandedOnInPart(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(503)
		fmt.Fprint(w, strings.Repeat("x", 1<<20))
	})
	client, s := through(t, understudy.ServiceConfig{Breaker: understudy.Breaker{FailureThreshold: 1}}, server)
	_, err := client.Get("http://web/")
	require.Equal(t, 503, coded(t, err, messages.CodeRetryExhausted).Attempts[0].Status)
	requireIdle(t, s)
}

// The last answer of all streams, however long it is.
func TestALongFinalAnswerStreams(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(503)
		fmt.Fprint(w, strings.Repeat("x", 1<<20))
	})
	client, s := through(t, understudy.ServiceConfig{Retry: understudy.Retry{MaxAttempts: 1}}, server)
	resp, err := client.Get("http://web/")
	require.NoError(t, err)
	require.Len(t, bodyOf(t, resp), 1<<20)
	requireIdle(t, s)
}

// Of who gave up, the answer of before is no answer.
func TestACallerThatGoesAwayInTheWait(t *testing.T) {
	clock := understudytest.NewClock()
	server := understudytest.Faulty(t, 503, 1)
	s := service(t, understudy.ServiceConfig{Endpoints: []understudy.Endpoint{server.Endpoint("a")},
		Retry: understudy.Retry{Backoff: understudy.Constant(5 * time.Second)}}, understudy.WithClock(clock))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { clock.BlockUntilDue(5 * time.Second); cancel() }()
	_, err := s.RoundTripper().RoundTrip(request(t, http.MethodGet, "http://web/", nil).WithContext(ctx))
	coded(t, err, messages.CodeCanceled)
	requireIdle(t, s)
	require.EqualValues(t, 1, s.Stats().Canceled)
}

// 501 is a failure that no other endpoint would mend: not retried, handed on.
func TestAFailureThatIsNotListedIsNotRetried(t *testing.T) {
	bad, good := understudytest.Faulty(t, 501, 1), understudytest.Good(t)
	client, s := through(t, understudy.ServiceConfig{}, bad, good)
	resp, err := client.Get("http://web/")
	require.NoError(t, err)
	require.Equal(t, 501, resp.StatusCode)
	bodyOf(t, resp)
	require.Zero(t, good.Hits())
	require.EqualValues(t, 1, status(t, s, "a").Failures)
}

func TestADroppedConnectionIsRetried(t *testing.T) {
	bad, good := understudytest.Good(t), understudytest.Good(t)
	bad.Drop()
	client, s := through(t, understudy.ServiceConfig{}, bad, good)
	resp, err := client.Get("http://web/")
	require.NoError(t, err)
	require.Equal(t, "ok", bodyOf(t, resp))
	require.EqualValues(t, 1, status(t, s, "a").Failures)

	client, _ = through(t, understudy.ServiceConfig{}, bad, good)
	_, err = client.Post("http://web/", "text/plain", strings.NewReader("once"))
	coded(t, err, messages.CodeConnectionError)
	require.Equal(t, 1, good.Hits(), "it may have been seen, so it is not sent again")
}

func TestAConfiguredFallbackAnswers(t *testing.T) {
	bad := understudytest.Faulty(t, 503, 1)
	client, s := through(t, understudy.ServiceConfig{Fallback: &understudy.Fallback{
		Status: 200, Body: "please try again later", Headers: map[string]string{"content-type": "text/plain"}},
		Retry: understudy.Retry{MaxAttempts: 1}}, bad)
	for range 2 {
		resp, err := client.Get("http://web/")
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode)
		require.Equal(t, "true", resp.Header.Get(messages.HeaderFallback))
		require.Equal(t, "text/plain", resp.Header.Get("Content-Type"))
		require.Equal(t, "please try again later", bodyOf(t, resp))
		requireIdle(t, s)
		understudytest.Trip(t, s, "a") // then it is at once
	}
	require.Equal(t, 1, bad.Hits())
	require.EqualValues(t, 2, s.Stats().Fallbacks)
	require.Zero(t, s.Stats().Succeeded)
}
