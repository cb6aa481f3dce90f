package actors

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy/actors/cache"
	"github.com/understudy-go/understudy/actors/retry"
	"github.com/understudy-go/understudy/messages"
)

// origin answers with the number of the answer, or fails while it is ill.
type origin struct {
	asked atomic.Int32
	ill   atomic.Bool
	takes time.Duration
}

func (o *origin) serve(ctx context.Context, _ *messages.Request) (*messages.Response, error) {
	n := o.asked.Add(1)
	if o.takes > 0 {
		select {
		case <-time.After(o.takes):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if o.ill.Load() {
		return nil, errBoom
	}
	return &messages.Response{Body: fmt.Append(nil, n)}, nil
}

func keeping(o *origin, c cache.Config) ServiceConfig {
	config := answering(o.serve)
	config.Cache = &c
	return config
}

// doors are the ways in that go through the cache. Each returns what the cache did, and
// the answer.
var doors = map[string]func(*Service, string, messages.Header) (messages.Cache, string, error){
	"Request": func(s *Service, path string, h messages.Header) (messages.Cache, string, error) {
		resp, err := s.Request(context.Background(), &messages.Request{Path: path, Header: h})
		if resp == nil {
			return "", "", err
		}
		return resp.Cache, string(resp.Body), err
	},
	"RoundTripper": func(s *Service, path string, h messages.Header) (messages.Cache, string, error) {
		req, err := http.NewRequest("", "http://svc"+path, nil)
		if err != nil {
			return "", "", err
		}
		req.Header = http.Header(h)
		resp, err := s.RoundTripper().RoundTrip(req)
		if err != nil {
			return "", "", err
		}
		body, err := io.ReadAll(resp.Body)
		return messages.Cache(resp.Header.Get(messages.HeaderCache)), string(body), err
	},
}

func TestTheCacheAnswers(t *testing.T) {
	for name, ask := range doors {
		t.Run(name, func(t *testing.T) {
			o := &origin{}
			virtual(t, keeping(o, cache.Config{TTL: 10 * time.Second, StaleWhileRevalidate: 5 * time.Second, StaleIfError: time.Minute}), func(t *testing.T, s *Service) {
				for i, step := range []struct {
					after time.Duration
					ill   bool
					cache messages.Cache
					body  string
					asked int32 // in all, when nothing is under way any more
				}{
					{0, false, messages.CacheMiss, "1", 1},
					{0, false, messages.CacheHit, "1", 1},
					{9 * time.Second, true, messages.CacheHit, "1", 1},    // though all endpoints are down
					{2 * time.Second, false, messages.CacheStale, "1", 2}, // and a new one in the background
					{0, false, messages.CacheHit, "2", 2},                 // which is here
					{14 * time.Second, true, messages.CacheStale, "2", 3}, // in the background it fails
					{10 * time.Second, true, messages.CacheStale, "2", 4}, // in place of the error
					{time.Minute, false, messages.CacheMiss, "5", 5},      // too old for that
					{100 * time.Second, true, "", "", 6},                  // and so is this
				} {
					advance(step.after)
					o.ill.Store(step.ill)
					did, body, err := ask(s, "/a", nil)
					synctest.Wait()
					require.Equal(t, step.body == "", err != nil, "step %d: %v", i, err)
					require.Equal(t, step.cache, did, "step %d", i)
					require.Equal(t, step.body, body, "step %d", i)
					require.Equal(t, step.asked, o.asked.Load(), "step %d", i)
				}
				settled(t, s)
			})
		})
	}
}

// A hit needs nobody: not an endpoint, not the supervisor, no slot of the rate limit.
func TestAHitNeedsNobody(t *testing.T) {
	for name, ask := range doors {
		t.Run(name, func(t *testing.T) {
			o := &origin{}
			c := keeping(o, cache.Config{})
			virtual(t, c, func(t *testing.T, s *Service) {
				_, _, err := ask(s, "/", nil)
				require.NoError(t, err)
				require.NoError(t, s.Operate(t.Context(), Order{Endpoint: "e0", Verb: VerbMaint}))
				did, _, err := ask(s, "/", nil)
				require.NoError(t, err)
				require.Equal(t, messages.CacheHit, did)
				_, _, err = ask(s, "/other", nil)
				require.Equal(t, messages.CodeNoEndpoints, code(err))
				require.NoError(t, s.Deregister("e0"))
				did, _, err = ask(s, "/", nil)
				require.NoError(t, err)
				require.Equal(t, messages.CacheHit, did)
			})
		})
	}
}

func TestWhatPassesTheCacheBy(t *testing.T) {
	for name, h := range map[string]messages.Header{
		"Authorization": {"Authorization": {"Bearer x"}},
		"Cookie":        {"Cookie": {"a=b"}},
		"no-store":      {"Cache-Control": {"no-store"}},
		"Range":         {"Range": {"bytes=0-1"}},
	} {
		for door, ask := range doors {
			t.Run(name+"/"+door, func(t *testing.T) {
				o := &origin{}
				virtual(t, keeping(o, cache.Config{}), func(t *testing.T, s *Service) {
					_, _, err := ask(s, "/", nil) // one is kept
					require.NoError(t, err)
					for i := range 2 {
						did, body, err := ask(s, "/", h)
						require.NoError(t, err)
						require.Empty(t, did)
						require.Equal(t, fmt.Sprint(i+2), body)
					}
					did, _, err := ask(s, "/", nil)
					require.NoError(t, err)
					require.Equal(t, messages.CacheHit, did)
				})
			})
		}
	}
}

// A write that succeeded is not for the cache, and what was kept of its path is forgotten.
func TestAWriteForgets(t *testing.T) {
	for name, x := range map[string]struct {
		m    messages.Request
		ill  bool
		want messages.Cache // of the GET after it
	}{
		"POST":           {m: messages.Request{Method: "POST", Path: "/a"}, want: messages.CacheMiss},
		"by its body":    {m: messages.Request{Path: "/a", Body: []byte("x")}, want: messages.CacheMiss},
		"of another one": {m: messages.Request{Method: "PUT", Path: "/b"}, want: messages.CacheHit},
		"that failed":    {m: messages.Request{Method: "DELETE", Path: "/a"}, ill: true, want: messages.CacheHit},
		"OPTIONS":        {m: messages.Request{Method: "OPTIONS", Path: "/a"}, want: messages.CacheHit},
	} {
		t.Run(name, func(t *testing.T) {
			o := &origin{}
			virtual(t, keeping(o, cache.Config{}), func(t *testing.T, s *Service) {
				get := doors["Request"]
				_, _, err := get(s, "/a", nil)
				require.NoError(t, err)
				o.ill.Store(x.ill)
				resp, err := s.Request(t.Context(), &x.m)
				require.Equal(t, x.ill, err != nil)
				require.True(t, resp == nil || resp.Cache == "")
				o.ill.Store(false)
				did, _, err := get(s, "/a", nil)
				require.NoError(t, err)
				require.Equal(t, x.want, did)
			})
		})
	}
}

// Fifty who want the same at once are one request for it. All have it, and may do with
// theirs what they like.
func TestManyMissesAreOneRequest(t *testing.T) {
	for name, ask := range doors {
		t.Run(name, func(t *testing.T) {
			o := &origin{takes: time.Second}
			virtual(t, keeping(o, cache.Config{}), func(t *testing.T, s *Service) {
				began := time.Now()
				var callers sync.WaitGroup
				for range 50 {
					callers.Go(func() {
						did, body, err := ask(s, "/", nil)
						if err != nil || did != messages.CacheMiss || body != "1" {
							t.Errorf("%s %q %v", did, body, err)
						}
					})
				}
				callers.Wait()
				require.Equal(t, time.Second, time.Since(began))
				require.EqualValues(t, 1, o.asked.Load())
				settled(t, s)
				n := s.Stats()
				require.Equal(t, []uint64{50, 50, 49, 1}, []uint64{n.Requests, n.Succeeded, n.Cached, n.Attempts})
			})
		})
	}
}

// Who leaves takes nothing from those who stay; when all have left, the fetch ends.
func TestWhoLeavesAFetch(t *testing.T) {
	o := &origin{takes: 10 * time.Second}
	virtual(t, keeping(o, cache.Config{}), func(t *testing.T, s *Service) {
		ask := func(ctx context.Context, into chan<- error) {
			go func() { _, err := s.Request(ctx, &messages.Request{}); into <- err }()
			synctest.Wait()
		}
		impatient, stays := make(chan error, 1), make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		ask(ctx, impatient)
		ask(t.Context(), stays)
		cancel()
		require.Equal(t, messages.CodeCanceled, code(<-impatient))
		synctest.Wait()
		require.Equal(t, 1, status(t, s, "e0").Inflight, "it goes on")
		advance(5 * time.Second)
		require.Equal(t, messages.CodeTimeout, code(<-stays), "attempt_timeout")
		settled(t, s)

		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		ask(ctx, impatient)
		require.Equal(t, messages.CodeTimeout, code(<-impatient))
		synctest.Wait()
		require.Zero(t, status(t, s, "e0").Inflight, "nobody waits for it")
		settled(t, s)
	})
}

// "one request that the cache answered is one request, and no attempt".
func TestTheStatsOfACacheAddUp(t *testing.T) {
	o := &origin{}
	virtual(t, keeping(o, cache.Config{TTL: time.Minute}), func(t *testing.T, s *Service) {
		get := doors["Request"]
		for range 10 {
			_, _, _ = get(s, "/", nil)
		}
		for i := range 3 {
			_, _, _ = get(s, fmt.Sprint("/", i), nil)
		}
		for range 2 {
			_, _, _ = get(s, "/", messages.Header{"Authorization": {"x"}})
		}
		o.ill.Store(true)
		_, _, _ = get(s, "/ill", nil)
		_, _, _ = get(s, "/ill-too", messages.Header{"Cache-Control": {"only-if-cached"}})
		settled(t, s)
		n := s.Stats()
		require.Equal(t, []uint64{17, 15, 2, 9, 7}, []uint64{n.Requests, n.Succeeded, n.Failed, n.Cached, n.Attempts})
		require.EqualValues(t, 7, o.asked.Load())
	})
}

func TestAReloadOfTheCache(t *testing.T) {
	o := &origin{}
	c := keeping(o, cache.Config{TTL: 10 * time.Second})
	virtual(t, c, func(t *testing.T, s *Service) {
		get := doors["Request"]
		reload := func(k *cache.Config) {
			c.Cache = k
			require.NoError(t, s.Configure(c))
		}
		step := func(want messages.Cache) {
			t.Helper()
			did, _, err := get(s, "/", nil)
			require.NoError(t, err)
			require.Equal(t, want, did)
		}
		step(messages.CacheMiss)
		reload(&cache.Config{TTL: time.Hour})
		step(messages.CacheHit) // what is kept stays, for the time that it was kept for
		advance(11 * time.Second)
		step(messages.CacheMiss)
		advance(time.Minute)
		step(messages.CacheHit)
		reload(&cache.Config{TTL: time.Hour, MaxEntries: 5})
		step(messages.CacheMiss) // other bounds: nothing stays
		reload(nil)
		step("")
		reload(&cache.Config{})
		step(messages.CacheMiss)
		step(messages.CacheHit)
		require.NoError(t, s.sys.RemoveService("svc"))
		_, _, err := get(s, "/", nil)
		require.Equal(t, messages.CodeNotFound, code(err))
	})
}

// After Close nothing is answered, and what was fetched in the background has ended.
func TestCloseEndsTheCache(t *testing.T) {
	o := &origin{}
	virtual(t, keeping(o, cache.Config{TTL: time.Second, StaleWhileRevalidate: time.Hour}), func(t *testing.T, s *Service) {
		get := doors["Request"]
		_, _, err := get(s, "/", nil)
		require.NoError(t, err)
		advance(2 * time.Second)
		o.takes = time.Hour
		did, _, err := get(s, "/", nil)
		require.NoError(t, err)
		require.Equal(t, messages.CacheStale, did)
		synctest.Wait()
		require.Equal(t, 1, status(t, s, "e0").Inflight)
		began := time.Now()
		require.NoError(t, s.sys.Close())
		synctest.Wait()
		require.Zero(t, time.Since(began))
		for _, ask := range doors {
			_, _, err := ask(s, "/", nil)
			require.Equal(t, messages.CodeClosed, code(err))
		}
	})
}

// A HEAD has the header of what a GET kept, and no body; a GET with a body passes by.
func TestHeadThroughTheCache(t *testing.T) {
	o := &origin{}
	virtual(t, keeping(o, cache.Config{}), func(t *testing.T, s *Service) {
		_, _, err := doors["RoundTripper"](s, "/?q=1", nil)
		require.NoError(t, err)
		req, err := http.NewRequest(http.MethodHead, "http://svc/?q=1", nil)
		require.NoError(t, err)
		resp, err := s.RoundTripper().RoundTrip(req)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Empty(t, body)
		require.Equal(t, "hit", resp.Header.Get(messages.HeaderCache))
		require.Equal(t, "0", resp.Header.Get("Age"))
		require.EqualValues(t, 1, o.asked.Load())
	})
}

// "a write that succeeded forgets its path": through RoundTripper a POST never comes to
// the cache (Service.keeps), so the next GET has what was there before the write.
func TestAWriteThroughRoundTripperForgets(t *testing.T) {
	url := serve(t, func(http.ResponseWriter, *http.Request) {})
	s := start(t, Options{}, ServiceConfig{Endpoints: []Endpoint{{ID: "e0", URL: url}}, Cache: &cache.Config{}})
	did, _, err := doors["RoundTripper"](s, "/a", nil)
	require.NoError(t, err)
	require.Equal(t, messages.CacheMiss, did)
	req, err := http.NewRequest(http.MethodPost, "http://svc/a", nil)
	require.NoError(t, err)
	resp, err := s.RoundTripper().RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	did, _, err = doors["RoundTripper"](s, "/a", nil)
	require.NoError(t, err)
	require.Equal(t, messages.CacheMiss, did)
}

// A reload, and Close ("calls under way end by themselves"), cancel nobody's request:
// without a cache they do not, with one they do.
func TestARequestUnderWayGoesOn(t *testing.T) {
	for name, x := range map[string]struct {
		cache *cache.Config
		do    func(*testing.T, *Service, ServiceConfig)
	}{
		"a reload without the cache": {&cache.Config{}, func(t *testing.T, s *Service, c ServiceConfig) {
			c.Cache = nil
			require.NoError(t, s.Configure(c))
		}},
		"RemoveService":                  {&cache.Config{}, func(t *testing.T, s *Service, _ ServiceConfig) { require.NoError(t, s.sys.RemoveService("svc")) }},
		"RemoveService, without a cache": {nil, func(t *testing.T, s *Service, _ ServiceConfig) { require.NoError(t, s.sys.RemoveService("svc")) }},
		"Close":                          {&cache.Config{}, func(t *testing.T, s *Service, _ ServiceConfig) { require.NoError(t, s.sys.Close()) }},
		"Close, without a cache":         {nil, func(t *testing.T, s *Service, _ ServiceConfig) { require.NoError(t, s.sys.Close()) }},
	} {
		t.Run(name, func(t *testing.T) {
			o := &origin{takes: time.Second}
			c := keeping(o, cache.Config{})
			c.Cache = x.cache
			virtual(t, c, func(t *testing.T, s *Service) {
				got := make(chan error, 1)
				go func() { _, err := s.Request(context.Background(), &messages.Request{}); got <- err }()
				advance(100 * time.Millisecond)
				x.do(t, s, c)
				require.NoError(t, <-got)
			})
		})
	}
}

// Run with -race: the refresh in the background writes into the report of a caller who
// has returned long ago, while that one reads it.
func TestTheReportIsTheCallersAfterTheCall(t *testing.T) {
	o := &origin{}
	virtual(t, keeping(o, cache.Config{TTL: time.Second, StaleWhileRevalidate: time.Hour}), func(t *testing.T, s *Service) {
		_, err := get(s, "/")
		require.NoError(t, err)
		advance(2 * time.Second)
		o.takes = time.Second
		var r Report
		_, err = get(s, "/", Into(&r))
		require.NoError(t, err)
		before := r
		<-time.After(2 * time.Second)
		require.Equal(t, before, r, "the refresh in the background tells into it")
	})
}

// Into: a hit leaves what the call before had told.
func TestAHitTellsOfItself(t *testing.T) {
	o := &origin{}
	virtual(t, keeping(o, cache.Config{}), func(t *testing.T, s *Service) {
		var r Report
		_, err := get(s, "/", Into(&r))
		require.NoError(t, err)
		require.Len(t, r.Attempts, 1)
		_, err = get(s, "/", Into(&r))
		require.NoError(t, err)
		require.Empty(t, r.Attempts, "there was none")
	})
}

// Timeout: "shortens the service's timeout for this call", and for no other.
func TestTheTimeoutOfACallIsItsOwn(t *testing.T) {
	for name, timeouts := range map[string][2]time.Duration{
		"of the second": {0, 100 * time.Millisecond},
		"of the first":  {100 * time.Millisecond, 0},
	} {
		t.Run(name, func(t *testing.T) {
			o := &origin{takes: time.Second}
			virtual(t, keeping(o, cache.Config{}), func(t *testing.T, s *Service) {
				var callers sync.WaitGroup
				var took [2]time.Duration
				var errs [2]error
				for i, d := range timeouts {
					callers.Go(func() {
						began := time.Now()
						_, errs[i] = get(s, "/", Timeout(d))
						took[i] = time.Since(began)
					})
					synctest.Wait()
				}
				callers.Wait()
				for i, d := range timeouts {
					if d == 0 {
						require.NoError(t, errs[i])
					} else {
						require.Equal(t, d, took[i])
						require.Equal(t, messages.CodeTimeout, code(errs[i]))
					}
				}
			})
		})
	}
}

// "Requests = Succeeded + Failed + Canceled", of what callers asked and got.
func TestTheStatsCountWhatCallersGot(t *testing.T) {
	t.Run("stale, with a refresh", func(t *testing.T) {
		o := &origin{}
		virtual(t, keeping(o, cache.Config{TTL: time.Second, StaleWhileRevalidate: time.Hour}), func(t *testing.T, s *Service) {
			for range 2 {
				_, err := s.Request(t.Context(), &messages.Request{})
				require.NoError(t, err)
				advance(2 * time.Second)
			}
			n := s.Stats()
			require.Equal(t, []uint64{2, 2, 1}, []uint64{n.Requests, n.Succeeded, n.Cached})
		})
	})
	t.Run("stale if error", func(t *testing.T) {
		o := &origin{}
		virtual(t, keeping(o, cache.Config{TTL: time.Second, StaleIfError: time.Hour}), func(t *testing.T, s *Service) {
			for range 2 {
				_, err := s.Request(t.Context(), &messages.Request{})
				require.NoError(t, err)
				advance(2 * time.Second)
				o.ill.Store(true)
			}
			n := s.Stats()
			require.Equal(t, []uint64{2, 1, 1, 1}, []uint64{n.Requests, n.Succeeded, n.Failed, n.Fallbacks}, "as with every answer in place of an error")
		})
	})
	t.Run("a waiter that leaves", func(t *testing.T) {
		o := &origin{takes: time.Second}
		virtual(t, keeping(o, cache.Config{}), func(t *testing.T, s *Service) {
			go func() { _, _ = s.Request(context.Background(), &messages.Request{}) }()
			synctest.Wait()
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(100*time.Millisecond, cancel)
			_, err := s.Request(ctx, &messages.Request{})
			require.Equal(t, messages.CodeCanceled, code(err))
			advance(2 * time.Second)
			n := s.Stats()
			require.Equal(t, []uint64{2, 1, 1, 0}, []uint64{n.Requests, n.Succeeded, n.Canceled, n.Failed})
		})
	})
}

// A handler may return the same answer to everybody: it is copied, never written to
// (as TestAFallbacksAnswerIsNotWrittenTo wants of a fallback).
func TestAHandlersAnswerIsNotWrittenTo(t *testing.T) {
	for name, x := range map[string]struct {
		status int
		header messages.Header
	}{
		"no-cache":              {200, messages.Header{"Cache-Control": {"no-cache"}}},
		"passing by, a failure": {503, messages.Header{"Authorization": {"x"}}},
	} {
		t.Run(name, func(t *testing.T) {
			shared := &messages.Response{Status: x.status, Header: messages.Header{}}
			c := ServiceConfig{Cache: &cache.Config{}, Retry: retry.Config{MaxAttempts: 1}, Endpoints: []Endpoint{{ID: "e0",
				Handler: func(context.Context, *messages.Request) (*messages.Response, error) { return shared, nil }}}}
			virtual(t, c, func(t *testing.T, s *Service) {
				_, _, err := doors["RoundTripper"](s, "/", x.header)
				require.NoError(t, err)
				require.Empty(t, shared.Header)
			})
		})
	}
}
