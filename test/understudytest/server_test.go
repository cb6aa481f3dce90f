package understudytest_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/understudytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newClient returns a client with connections of its own.
func newClient(t *testing.T) *http.Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// get returns the status and the body, or 0 and the error's text.
func get(t *testing.T, c *http.Client, url string) (int, string) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	resp, err := c.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(body)
}

func statuses(t *testing.T, s *understudytest.Server, n int) (out []int) {
	c := newClient(t)
	for range n {
		status, _ := get(t, c, s.URL)
		out = append(out, status)
	}
	return out
}

func TestGoodBreaksAndHeals(t *testing.T) {
	s, c := understudytest.Good(t), newClient(t)
	want := func(status int, body string) {
		t.Helper()
		gotStatus, gotBody := get(t, c, s.URL)
		require.Equal(t, status, gotStatus)
		require.Equal(t, body, gotBody)
	}
	want(200, "ok")
	s.Break(503)
	want(503, "Service Unavailable")
	s.Break(404)
	want(404, "Not Found")
	s.Heal()
	want(200, "ok")
	s.Handle(http.RedirectHandler("/elsewhere", http.StatusNotModified))
	want(304, "")
	require.Equal(t, 5, s.Hits())
	require.Equal(t, understudy.Endpoint{ID: "a", URL: s.URL}, s.Endpoint("a"))
}

func TestDropCutsTheConnection(t *testing.T) {
	s := understudytest.Good(t)
	s.Drop()
	status, err := get(t, newClient(t), s.URL)
	require.Zero(t, status)
	require.Contains(t, err, "EOF")
	require.GreaterOrEqual(t, s.Hits(), 1)
}

func TestFaulty(t *testing.T) {
	require.Equal(t, []int{200, 200, 502, 200, 200, 502, 200}, statuses(t, understudytest.Faulty(t, 502, 3), 7))
	require.Equal(t, []int{500, 500}, statuses(t, understudytest.Faulty(t, 500, 1), 2))
}

func TestFlakyIsTheSameBySeed(t *testing.T) {
	first := statuses(t, understudytest.Flaky(t, 0.3, 7), 200)
	require.Equal(t, first, statuses(t, understudytest.Flaky(t, 0.3, 7), 200))
	require.NotEqual(t, first, statuses(t, understudytest.Flaky(t, 0.3, 8), 200))
	bad := 0
	for _, status := range first {
		if status == 503 {
			bad++
		}
	}
	require.InDelta(t, 60, bad, 25)
	require.NotContains(t, statuses(t, understudytest.Flaky(t, 0, 1), 20), 503)
	require.NotContains(t, statuses(t, understudytest.Flaky(t, 1, 1), 20), 200)
}

func TestSlow(t *testing.T) {
	began := time.Now()
	require.Equal(t, []int{200}, statuses(t, understudytest.Slow(t, 30*time.Millisecond), 1))
	require.GreaterOrEqual(t, time.Since(began), 30*time.Millisecond)
}

func TestBlackHoleAnswersWhenHealed(t *testing.T) {
	s, c := understudytest.BlackHole(t), newClient(t)
	answers := make(chan int, 2)
	for range 2 {
		go func() {
			status, _ := get(t, c, s.URL)
			answers <- status
		}()
	}
	s.AwaitHits(2)
	require.Empty(t, answers)
	s.Heal()
	require.Equal(t, 200, <-answers)
	require.Equal(t, 200, <-answers)
}

func TestBlackHoleLetsItsCallerGo(t *testing.T) {
	s := understudytest.BlackHole(t)
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	require.NoError(t, err)
	go func() { s.AwaitHits(1); cancel() }()
	_, err = newClient(t).Do(req)
	require.ErrorIs(t, err, context.Canceled)
}

// A test that ends while a request is under way does not hang.
func TestAServerStopsUnderItsRequests(t *testing.T) {
	c := newClient(t)
	over := make(chan string, 2)
	t.Run("", func(t *testing.T) {
		stalled := understudytest.BlackHole(t)
		waits := understudytest.Serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
		for _, s := range []*understudytest.Server{stalled, waits} {
			go func() {
				resp, err := c.Get(s.URL)
				if err == nil {
					_ = resp.Body.Close()
				}
				over <- s.URL
			}()
			s.AwaitHits(1)
		}
	})
	<-over
	<-over
}

func TestDead(t *testing.T) {
	_, err := net.Dial("tcp", strings.TrimPrefix(understudytest.Dead(t), "http://"))
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}

func TestRequestsAreKept(t *testing.T) {
	var seen string
	s := understudytest.Serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen = string(body)
	}))
	c := newClient(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/orders?id=7", strings.NewReader("two of them"))
	require.NoError(t, err)
	req.Header.Set("X-Shop", "a")
	resp, err := c.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, "two of them", seen, "the handler reads the body too")

	got := s.Requests()
	require.Len(t, got, 1)
	require.Equal(t, "POST", got[0].Method)
	require.Equal(t, "/orders?id=7", got[0].URI)
	require.Equal(t, strings.TrimPrefix(s.URL, "http://"), got[0].Host)
	require.Equal(t, "a", got[0].Header.Get("X-Shop"))
	require.Equal(t, "two of them", string(got[0].Body))

	for range 130 {
		get(t, c, s.URL)
	}
	require.Equal(t, 131, s.Hits())
	require.Len(t, s.Requests(), 128, "the newest")
	require.Equal(t, "GET", s.Requests()[0].Method)
}

func TestTripAndHeal(t *testing.T) {
	us, err := understudy.New(understudy.Config{})
	require.NoError(t, err)
	defer us.Close()
	a, b := understudytest.Good(t), understudytest.Good(t)
	web, err := us.AddService("web", understudy.ServiceConfig{Endpoints: []understudy.Endpoint{a.Endpoint("a"), b.Endpoint("b")}})
	require.NoError(t, err)

	understudytest.Trip(t, web, "a")
	for range 5 {
		_, err := web.Request(t.Context(), &messages.Request{})
		require.NoError(t, err)
	}
	require.Zero(t, a.Hits())
	require.Equal(t, 5, b.Hits())

	understudytest.Trip(t, web, "b")
	_, err = web.Request(t.Context(), &messages.Request{})
	require.ErrorIs(t, err, messages.ErrCircuitOpen)

	understudytest.Heal(t, web, "a")
	_, err = web.Request(t.Context(), &messages.Request{})
	require.NoError(t, err)
	require.Equal(t, 1, a.Hits())
}
