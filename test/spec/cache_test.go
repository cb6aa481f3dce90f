package spec

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/cluster/embedded"
	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/understudytest"
)

// cached is the cache of sentence 30: "Cache ttl 300 s".
func cached() *understudy.Cache { return &understudy.Cache{TTL: 300 * time.Second} }

// counting is an endpoint that answers each time with something new.
func counting(id string, hits *int) understudy.Endpoint {
	return handler(id, func(_ context.Context, m *messages.Request) (*messages.Response, error) {
		*hits++
		return &messages.Response{Status: 200, Body: fmt.Appendf(nil, "%s %d", m.Method, *hits)}, nil
	})
}

// "30. Cache ttl 300 s: a GET at +299 s 0 hits, at +301 s 1 hit; POST always hits;
// […]"
func TestCache30(t *testing.T) {
	hits := 0
	virtually(t, understudy.ServiceConfig{Endpoints: []understudy.Endpoint{counting("a", &hits)}, Cache: cached()}, func(t *testing.T, s *understudy.Service) {
		ask := func(method, path string) (*messages.Response, int) {
			before := hits
			resp, err := s.Request(t.Context(), &messages.Request{Method: method, Path: path})
			require.NoError(t, err)
			require.Equal(t, 200, resp.Status)
			return resp, hits - before
		}
		first, n := ask("GET", "/orders?id=7")
		require.Equal(t, 1, n)
		require.Equal(t, messages.CacheMiss, first.Cache)

		pass(299 * time.Second)
		resp, n := ask("GET", "/orders?id=7")
		require.Zero(t, n, "at +299 s")
		require.Equal(t, first.Body, resp.Body)
		require.Equal(t, messages.CacheHit, resp.Cache)
		require.Equal(t, []string{"299"}, resp.Header["Age"])
		_, n = ask("GET", "/orders?id=8")
		require.Equal(t, 1, n, "another question")

		pass(2 * time.Second)
		resp, n = ask("GET", "/orders?id=7")
		require.Equal(t, 1, n, "at +301 s: a hit does not extend it")
		require.NotEqual(t, first.Body, resp.Body)
		require.Equal(t, messages.CacheMiss, resp.Cache)
		_, n = ask("GET", "/orders?id=7")
		require.Zero(t, n, "kept anew")

		for range 3 {
			resp, n = ask("POST", "/posted")
			require.Equal(t, 1, n, "POST always hits")
			require.Empty(t, resp.Cache)
		}
		resp, n = ask("GET", "/posted")
		require.Equal(t, 1, n, "nor does a POST's answer stand for a GET")
		require.Equal(t, messages.CacheMiss, resp.Cache)
		require.EqualValues(t, 2, s.Stats().Cached)
	})
}

// "30. […] a hit is served with every endpoint down."
func TestCache30EndpointsDown(t *testing.T) {
	for name, refuse := range refusals {
		t.Run(name, func(t *testing.T) {
			hits := 0
			s := add(t, start(t), "svc", understudy.ServiceConfig{Endpoints: []understudy.Endpoint{counting("a", &hits)}, Cache: cached()})
			ask := func(method, path string) (*messages.Response, error) {
				return s.Request(t.Context(), &messages.Request{Method: method, Path: path})
			}
			first, err := ask("GET", "/orders")
			require.NoError(t, err)
			refuse(t, s)
			for range 3 {
				resp, err := ask("GET", "/orders")
				require.NoError(t, err)
				require.Equal(t, messages.CacheHit, resp.Cache)
				require.Equal(t, first.Body, resp.Body)
				require.False(t, resp.Fallback)
			}
			_, err = ask("GET", "/never-asked")
			require.Error(t, err)
			_, err = ask("POST", "/orders")
			require.Error(t, err)
			require.Equal(t, 1, hits)
		})
	}
}

// cacheDoors are the ways in through which a cache answers; each returns status, body
// and what the cache says of it.
var cacheDoors = map[string]func(t *testing.T, c understudy.Config, clock understudy.Clock) (*understudy.System, func(method string) (int, string, string)){
	"RoundTripper": func(t *testing.T, c understudy.Config, clock understudy.Clock) (*understudy.System, func(string) (int, string, string)) {
		us, err := understudy.New(c, understudy.WithClock(clock))
		require.NoError(t, err)
		client := &http.Client{Transport: us.Service("svc").RoundTripper()}
		return us, func(method string) (int, string, string) {
			req, err := http.NewRequestWithContext(t.Context(), method, "http://svc/orders?id=7", nil)
			require.NoError(t, err)
			resp, err := client.Do(req)
			if err != nil {
				return 503, err.Error(), ""
			}
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			return resp.StatusCode, string(body), resp.Header.Get(messages.HeaderCache)
		}
	},
	"NATS": func(t *testing.T, c understudy.Config, clock understudy.Clock) (*understudy.System, func(string) (int, string, string)) {
		server, err := embedded.Start(t.Context(), embedded.Config{Listen: "127.0.0.1:0", Store: t.TempDir()}, nil)
		require.NoError(t, err)
		t.Cleanup(server.Close)
		connect := func() *nats.Conn {
			nc, err := nats.Connect(server.URL())
			require.NoError(t, err)
			t.Cleanup(nc.Close)
			return nc
		}
		ours, client := connect(), connect()
		us, err := understudy.New(c, understudy.WithClock(clock), understudy.WithNATS(ours))
		require.NoError(t, err)
		require.NoError(t, ours.Flush())
		return us, func(method string) (int, string, string) {
			m := nats.NewMsg(messages.RequestSubject("understudy", "svc"))
			m.Header.Set(messages.HeaderMethod, method)
			m.Header.Set(messages.HeaderPath, "/orders?id=7")
			answer, err := client.RequestMsg(m, 10*time.Second)
			require.NoError(t, err)
			var code int
			_, _ = fmt.Sscan(answer.Header.Get(messages.HeaderStatus), &code)
			return code, string(answer.Data), answer.Header.Get(messages.HeaderCache)
		}
	},
}

// "30. Cache ttl 300 s: a GET at +299 s 0 hits, at +301 s 1 hit; POST always hits; a
// hit is served with every endpoint down." The same over HTTP and over NATS, where a
// header says what the cache did.
func TestCache30Doors(t *testing.T) {
	for name, open := range cacheDoors {
		t.Run(name, func(t *testing.T) {
			var hits atomic.Int64
			server := understudytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = fmt.Fprintf(w, "%s %d", r.Method, hits.Add(1))
			}))
			clock := understudytest.NewClock()
			us, ask := open(t, understudy.Config{Node: "spec", Services: map[string]understudy.ServiceConfig{
				"svc": {Endpoints: []understudy.Endpoint{server.Endpoint("a")}, Cache: cached()}}}, clock)
			defer us.Close()
			want := func(method string, body, cache string) {
				t.Helper()
				status, got, said := ask(method)
				require.Equal(t, 200, status, got)
				require.Equal(t, body, got)
				require.Equal(t, cache, said)
			}
			want("GET", "GET 1", "miss")
			clock.Advance(299 * time.Second)
			want("GET", "GET 1", "hit")
			clock.Advance(2 * time.Second)
			want("GET", "GET 2", "miss")
			want("GET", "GET 2", "hit")

			understudytest.Trip(t, us.Service("svc"), "a")
			want("GET", "GET 2", "hit")
			status, _, _ := ask("POST")
			require.Equal(t, 503, status)
			understudytest.Heal(t, us.Service("svc"), "a")

			want("POST", "POST 3", "")
			want("POST", "POST 4", "")
			require.EqualValues(t, 4, hits.Load())
		})
	}
}

// "Defects […]: […] caching of POST; […]"
func TestDefectCachingOfPOST(t *testing.T) {
	server := understudytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=3600") // however much the answer asks for it
		w.Header().Set("Content-Location", r.URL.Path)
		_, _ = io.WriteString(w, r.Method)
	}))
	c := understudy.ServiceConfig{Endpoints: []understudy.Endpoint{server.Endpoint("a")},
		Cache: &understudy.Cache{TTL: time.Hour, StaleIfError: time.Hour, StaleWhileRevalidate: time.Hour}}
	s := add(t, start(t), "svc", c)
	client := &http.Client{Transport: s.RoundTripper()}
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "post", "QUERY"} {
		for _, body := range []string{"", `{"n":1}`} {
			path := "/" + method + fmt.Sprint(len(body))
			before := server.Hits()
			for n := range 3 {
				resp, err := s.Request(t.Context(), &messages.Request{Method: method, Path: path, Body: []byte(body)})
				require.NoError(t, err)
				require.Equal(t, before+2*n+1, server.Hits(), "%s by Request", method)
				require.Empty(t, resp.Cache)

				req, err := http.NewRequestWithContext(t.Context(), method, "http://svc"+path, strings.NewReader(body))
				require.NoError(t, err)
				got, err := client.Do(req)
				require.NoError(t, err)
				require.NoError(t, got.Body.Close())
				require.Equal(t, before+2*n+2, server.Hits(), "%s by RoundTripper", method)
				require.Empty(t, got.Header.Get(messages.HeaderCache))
			}
			resp, err := s.Request(t.Context(), &messages.Request{Method: "GET", Path: path})
			require.NoError(t, err)
			require.Equal(t, "GET", string(resp.Body), "%s left an answer for GET", method)
		}
	}
	// A POST by default: one that has a body and names no method.
	for range 2 {
		resp, err := s.Request(t.Context(), &messages.Request{Path: "/default", Body: []byte("x")})
		require.NoError(t, err)
		require.Empty(t, resp.Cache)
		require.Equal(t, "POST", string(resp.Body))
	}
	require.Zero(t, s.Stats().Cached)
}
