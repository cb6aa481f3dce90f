package understudy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
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

// newClient returns a client with connections of its own.
func newClient(t testing.TB) *http.Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func mustURL(t testing.TB, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	require.NoError(t, err)
	return u
}

// through returns a client whose requests go to these endpoints, one after the other.
func through(t testing.TB, c understudy.ServiceConfig, servers ...*understudytest.Server) (*http.Client, *understudy.Service) {
	t.Helper()
	for i, server := range servers {
		c.Endpoints = append(c.Endpoints, server.Endpoint(string(rune('a'+i))))
	}
	if c.Strategy.Pick == "" {
		c.Strategy = inOrder
	}
	s := service(t, c)
	return &http.Client{Transport: s.RoundTripper()}, s
}

func serve(t testing.TB, f http.HandlerFunc) *understudytest.Server {
	return understudytest.Serve(t, f)
}

func request(t testing.TB, method, url string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	require.NoError(t, err)
	return req
}

func TestTheStandardClient(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Answer", "yes")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, "%s %s %s %s", r.Method, r.RequestURI, r.Header.Get("X-Ask"), body)
	})
	client, s := through(t, understudy.ServiceConfig{}, server)
	req := request(t, http.MethodPost, "http://web/orders?id=7&x=%2F", strings.NewReader("two"))
	req.Header.Set("X-Ask", "please")
	resp, err := client.Do(req)
	require.NoError(t, err)
	require.Equal(t, 201, resp.StatusCode)
	require.Equal(t, "yes", resp.Header.Get("X-Answer"))
	require.Empty(t, resp.Header.Get(messages.HeaderError))
	require.Same(t, req, resp.Request)
	require.Equal(t, "POST /orders?id=7&x=%2F please two", bodyOf(t, resp))
	requireIdle(t, s)
	require.EqualValues(t, 1, s.Stats().Succeeded)
}

func TestWherePathsAndHostsGo(t *testing.T) {
	for _, c := range []struct{ base, asked, want string }{
		{"", "http://web/orders", "/orders"},
		{"/", "http://web/orders", "/orders"},
		{"/api", "http://web/orders", "/api/orders"},
		{"/api/", "http://web/orders/", "/api/orders/"},
		{"/api", "http://web", "/api"},
		{"/api/", "http://web/", "/api/"},
		{"/api", "http://web/a%2Fb?q=1&q=2", "/api/a%2Fb?q=1&q=2"},
		{"/a%20b", "http://web/c%20d", "/a%20b/c%20d"},
	} {
		t.Run(c.base+" "+c.asked, func(t *testing.T) {
			server := understudytest.Good(t)
			s := service(t, understudy.ServiceConfig{Endpoints: []understudy.Endpoint{{ID: "a", URL: server.URL + c.base}}})
			resp, err := (&http.Client{Transport: s.RoundTripper()}).Get(c.asked)
			require.NoError(t, err)
			bodyOf(t, resp)
			got := server.Requests()[0]
			require.Equal(t, c.want, got.URI)
			require.Equal(t, strings.TrimPrefix(server.URL, "http://"), got.Host, "the endpoint's own")
		})
	}
}

func TestConfiguredHeaders(t *testing.T) {
	server := understudytest.Good(t)
	s := service(t, understudy.ServiceConfig{
		Endpoints: []understudy.Endpoint{{ID: "a", URL: strings.Replace(server.URL, "http://", "http://me:secret@", 1)}},
		Headers:   map[string]string{"host": "shop.example", "x-team": "shop"}})
	req := request(t, http.MethodGet, "http://web/", nil)
	req.Header.Set("X-Team", "another")
	resp, err := s.RoundTripper().RoundTrip(req)
	require.NoError(t, err)
	bodyOf(t, resp)
	got := server.Requests()[0]
	require.Equal(t, "shop.example", got.Host)
	require.Equal(t, []string{"shop"}, got.Header["X-Team"])
	user, password, _ := (&http.Request{Header: got.Header}).BasicAuth()
	require.Equal(t, "me secret", user+" "+password)
	require.Equal(t, "another", req.Header.Get("X-Team"), "the caller's request is left alone")
	require.NotContains(t, fmt.Sprint(s.Status()), "secret")
}

// An answer that nobody wants, 404 say, is an answer.
func TestOtherStatusesAreAnswers(t *testing.T) {
	server := understudytest.Good(t)
	client, s := through(t, understudy.ServiceConfig{}, server)
	for _, code := range []int{204, 304, 400, 404, 418} {
		server.Handle(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }))
		resp, err := client.Get("http://web/")
		require.NoError(t, err)
		require.Equal(t, code, resp.StatusCode)
		require.Empty(t, resp.Header.Get(messages.HeaderError))
		bodyOf(t, resp)
	}
	require.EqualValues(t, 5, s.Stats().Succeeded)
	require.EqualValues(t, 5, server.Hits())
	requireIdle(t, s)
}

func TestNothingAnswers(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: []understudy.Endpoint{{ID: "a", URL: understudytest.Dead(t)}},
		Retry: understudy.Retry{MaxAttempts: 1}})
	client := &http.Client{Transport: s.RoundTripper()}
	_, err := client.Get("http://web/")
	require.Equal(t, "a", coded(t, err, messages.CodeConnectionError).Endpoint)
	require.ErrorContains(t, err, "connection refused")

	understudytest.Trip(t, s, "a")
	_, err = client.Get("http://web/")
	coded(t, err, messages.CodeCircuitOpen)
	requireIdle(t, s)
}

// Redirects are the client's, not the transport's.
func TestRedirectsAreTheClients(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/old" {
			http.Redirect(w, r, "/new", http.StatusFound)
			return
		}
		fmt.Fprint(w, "at ", r.URL.Path)
	})
	client, s := through(t, understudy.ServiceConfig{}, server)
	resp, err := client.Get("http://web/old")
	require.NoError(t, err)
	require.Equal(t, "at /new", bodyOf(t, resp))
	require.EqualValues(t, 2, s.Stats().Requests)

	resp, err = s.RoundTripper().RoundTrip(request(t, http.MethodGet, "http://web/old", nil))
	require.NoError(t, err)
	require.Equal(t, 302, resp.StatusCode)
	require.Equal(t, "/new", resp.Header.Get("Location"))
	bodyOf(t, resp)
	requireIdle(t, s)
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	server := understudytest.Good(t)
	var remotes sync.Map
	server.Handle(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		remotes.Store(r.RemoteAddr, true)
		if r.URL.Path == "/bad" {
			w.WriteHeader(503)
		}
		fmt.Fprint(w, strings.Repeat("x", 10_000))
	}))
	client, _ := through(t, understudy.ServiceConfig{Breaker: understudy.Breaker{Disabled: true},
		Retry: understudy.Retry{Backoff: understudy.Constant(time.Microsecond)}}, server)
	for i := range 20 {
		path := "http://web/"
		if i%4 == 0 {
			path += "bad" // whose answers are thrown away before each retry
		}
		resp, err := client.Get(path)
		require.NoError(t, err)
		bodyOf(t, resp)
	}
	n := 0
	remotes.Range(func(any, any) bool { n++; return true })
	require.Equal(t, 1, n)
}

// What an endpoint had open is closed with the system, though the endpoint lives on.
func TestCloseClosesIdleConnections(t *testing.T) {
	states := make(chan http.ConnState, 100)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
		ConnState: func(_ net.Conn, s http.ConnState) { states <- s }}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	us := start(t)
	s := add(t, us, "web", understudy.ServiceConfig{Endpoints: []understudy.Endpoint{{ID: "a", URL: "http://" + listener.Addr().String()}}})
	resp, err := (&http.Client{Transport: s.RoundTripper()}).Get("http://web/")
	require.NoError(t, err)
	bodyOf(t, resp)
	require.NoError(t, us.Close())
	deadline := time.After(10 * time.Second)
	for {
		select {
		case state := <-states:
			if state == http.StateClosed {
				return
			}
		case <-deadline:
			t.Fatal("the connection is still open")
		}
	}
}

// By the URL's host, the rest to the base transport.
func TestTheSystemsRoundTripper(t *testing.T) {
	us := start(t)
	one, two, elsewhere := understudytest.Good(t), understudytest.Good(t), understudytest.Good(t)
	add(t, us, "one", understudy.ServiceConfig{Endpoints: []understudy.Endpoint{one.Endpoint("a")}})
	add(t, us, "two", understudy.ServiceConfig{Endpoints: []understudy.Endpoint{two.Endpoint("a")}})
	base := &http.Transport{}
	t.Cleanup(base.CloseIdleConnections)
	client := &http.Client{Transport: us.RoundTripper(base)}
	for _, url := range []string{"http://one/x", "http://two:8080/y", "http://two/z", elsewhere.URL + "/w"} {
		resp, err := client.Get(url)
		require.NoError(t, err)
		bodyOf(t, resp)
	}
	require.Equal(t, 1, one.Hits())
	require.Equal(t, 2, two.Hits())
	require.Equal(t, 1, elsewhere.Hits())

	require.NoError(t, us.RemoveService("one"))
	asked := ""
	client.Transport = us.RoundTripper(roundTrip(func(r *http.Request) (*http.Response, error) {
		asked = r.URL.Host
		return nil, errBroken
	}))
	_, err := client.Get("http://one/")
	require.ErrorIs(t, err, errBroken)
	require.Equal(t, "one", asked, "no service of that name")
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Without a base it is the standard one.
func TestTheSystemsRoundTripperWithoutABase(t *testing.T) {
	elsewhere := understudytest.Good(t)
	resp, err := start(t).RoundTripper(nil).RoundTrip(request(t, http.MethodGet, elsewhere.URL, nil))
	require.NoError(t, err)
	require.Equal(t, "ok", bodyOf(t, resp))
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

func TestOptionsOfARoundTripper(t *testing.T) {
	bad, good := understudytest.Faulty(t, 503, 1), understudytest.Good(t)
	_, s := through(t, understudy.ServiceConfig{}, bad, good)
	var report understudy.Report
	resp, err := s.RoundTripper(understudy.NotIdempotent(), understudy.Into(&report)).RoundTrip(request(t, http.MethodGet, "http://web/", nil))
	require.NoError(t, err)
	require.Equal(t, 503, resp.StatusCode)
	bodyOf(t, resp)
	require.Equal(t, []string{"a"}, tried(report.Attempts))
	require.Equal(t, 503, report.Attempts[0].Status)
}

// Many clients at once, over endpoints of every kind: every answer is whole or an
// error, and every lease comes back.
func TestRoundTripperTogether(t *testing.T) {
	us := start(t)
	servers := []*understudytest.Server{understudytest.Good(t), understudytest.Flaky(t, 0.3, 1), understudytest.Faulty(t, 500, 2)}
	dropper := understudytest.Good(t)
	dropper.Drop()
	c := understudy.ServiceConfig{Retry: understudy.Retry{Backoff: understudy.Constant(time.Millisecond)}, Breaker: understudy.Breaker{OpenTimeout: time.Millisecond}}
	for i, server := range append(servers, dropper) {
		c.Endpoints = append(c.Endpoints, server.Endpoint(string(rune('a'+i))))
	}
	s := add(t, us, "web", c)
	client := &http.Client{Transport: us.RoundTripper(roundTrip(func(*http.Request) (*http.Response, error) {
		return nil, errors.New("not ours")
	}))}
	var all sync.WaitGroup
	var answered, failed atomic.Uint64
	for worker := range 16 {
		all.Go(func() {
			for i := range 30 {
				ctx, cancel := context.WithCancel(t.Context())
				method, body := http.MethodGet, io.Reader(nil)
				if i%3 == 0 {
					method, body = http.MethodPost, strings.NewReader("the body")
				}
				req, err := http.NewRequestWithContext(ctx, method, "http://web/", body)
				if err != nil {
					t.Error(err)
				}
				resp, err := client.Do(req)
				switch {
				case err != nil:
					failed.Add(1)
				case worker%4 == 3:
					answered.Add(1)
					_ = resp.Body.Close()
				default:
					answered.Add(1)
					b, err := io.ReadAll(resp.Body)
					if err != nil || len(b) == 0 {
						t.Errorf("%q, %v", b, err)
					}
					_ = resp.Body.Close()
				}
				cancel()
			}
		})
	}
	all.Wait()
	requireIdle(t, s)
	require.EqualValues(t, 480, answered.Load()+failed.Load())
	st := s.Stats()
	require.EqualValues(t, 480, st.Requests)
	require.EqualValues(t, 480, st.Succeeded+st.Failed+st.Canceled)
}
