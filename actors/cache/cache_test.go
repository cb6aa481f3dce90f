package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/check"
)

var down = &messages.Error{Code: messages.CodeAllEndpointsDown}

// "Cache ttl 300 s: a GET at +299 s 0 hits, at +301 s 1 hit; POST always hits; a hit
// is served with every endpoint down."
func TestSentence30(t *testing.T) {
	h := newHouse(t, Config{TTL: 300 * s})
	h.get(miss)
	h.now = 299 * s
	h.hits = 0
	h.get(hit)
	check.Equal(t, 0, h.hits)
	h.now = 301 * s
	h.get(miss)
	check.Equal(t, 1, h.hits)
	h.hits = 0
	for range 3 {
		h.ask(none, "POST", "/other")
	}
	check.Equal(t, 3, h.hits)
	h.err = down
	check.Equal(t, "body", string(h.get(hit).Body))
	_, err := h.do("GET", "/elsewhere")
	check.Holds(t, errors.Is(err, messages.ErrAllEndpointsDown))
}

func TestPathsAreKeptApart(t *testing.T) {
	h := newHouse(t, Config{})
	h.ask(miss, "GET", "/a")
	h.ask(miss, "GET", "/a?x=1")
	h.ask(miss, "GET", "/A")
	h.ask(miss, "GET", "")
	h.ask(hit, "GET", "/")
	h.ask(hit, "GET", "/a?x=1")
}

func TestHead(t *testing.T) {
	h := newHouse(t, Config{})
	h.header = headers("Content-Length", "4")
	h.ask(miss, "GET", "/")
	r := h.ask(hit, "HEAD", "/")
	check.Equal(t, 0, len(r.Body))
	check.Equal(t, "4", r.Header.Get("Content-Length"))

	h.body = ""
	h.ask(miss, "HEAD", "/other")
	h.ask(hit, "HEAD", "/other")
	h.ask(miss, "GET", "/other") // has no body to give
	h.now = 30 * s
	h.ask(miss, "HEAD", "/other", "Cache-Control", "no-cache")
	h.now = 75 * s // the GET's is stale, the newer HEAD's is fresh
	h.ask(hit, "HEAD", "/other")
	h.ask(miss, "GET", "/other")
}

// RFC 9111, section 4.1: "a cache MUST NOT use that stored response without
// revalidation unless all the presented request header fields nominated by that Vary
// field value match those fields in the original request".
func TestVary(t *testing.T) {
	h := newHouse(t, Config{}).says("Vary", "accept-language")
	for _, method := range []string{"GET", "HEAD"} {
		path := "/" + method
		h.body = "none"
		h.ask(miss, method, path)
		h.body = "fr"
		h.ask(miss, method, path, "Accept-Language", "fr")
		h.body = "de"
		h.ask(miss, method, path, "accept-language", "de")
		h.ask(hit, method, path)
		r := h.ask(hit, method, path, "accept-language", "fr")
		if method == "GET" {
			check.Equal(t, "fr", string(r.Body))
		}
		h.ask(hit, method, path, "Accept-Language", "de", "X-Other", "1")
		h.ask(miss, method, path, "Accept-Language", "de", "Accept-Language", "fr")
	}
	h.ask(hit, "HEAD", "/GET", "Accept-Language", "fr")
	h.ask(miss, "HEAD", "/GET", "Accept-Language", "it")
}

// Some answers of a path say that they vary and others do not, or by something else.
func TestVaryGrows(t *testing.T) {
	h := newHouse(t, Config{})
	h.body = "plain"
	h.get(miss)
	h.get(hit, "A", "1")
	h.says("Vary", "A")
	h.get(miss, "A", "1", "Cache-Control", "no-cache")
	h.get(hit, "A", "1")
	h.says("Vary", "B")
	h.get(miss, "A", "2")
	h.get(miss, "A", "1") // chosen by too little before
	h.get(hit, "A", "2")
	h.get(miss, "A", "2", "B", "2")
	h.says()
	h.get(miss, "A", "2", "B", "3")
	h.get(hit, "A", "2", "B", "3")
	h.get(miss, "A", "3", "B", "3")
}

func TestAuthorized(t *testing.T) {
	h := newHouse(t, Config{Authorized: true})
	h.body = "anybody's"
	h.get(miss)
	h.body = "a's"
	h.get(miss, "Authorization", "a")
	h.body = "b's"
	h.get(miss, "authorization", "b")
	h.body = "c's"
	h.get(miss, "Cookie", "c")
	for _, c := range [][]string{{"anybody's"}, {"a's", "authorization", "a"}, {"b's", "Authorization", "b"}, {"c's", "cookie", "c"}} {
		check.Equal(t, c[0], string(h.get(hit, c[1:]...).Body))
	}
	h.ask(none, "DELETE", "/", "Authorization", "a")
	h.get(miss, "Authorization", "b") // of all, not of the one alone
}

func TestWritesForget(t *testing.T) {
	for _, c := range []struct {
		method  string
		status  int
		forgets bool
	}{
		{"POST", 200, true}, {"POST", 201, true}, {"PUT", 204, true}, {"PATCH", 200, true}, {"DELETE", 303, true}, {"BREW", 200, true},
		{"POST", 400, false}, {"PUT", 409, false}, {"DELETE", 500, false}, {"OPTIONS", 200, false}, {"TRACE", 200, false},
	} {
		h := newHouse(t, Config{})
		h.get(miss)
		h.ask(miss, "HEAD", "/", "Cache-Control", "no-cache")
		h.ask(miss, "GET", "/other")
		h.status = c.status
		h.ask(none, c.method, "")
		h.status = 200
		want := map[bool]messages.Cache{true: miss, false: hit}[c.forgets]
		h.ask(want, "HEAD", "/")
		h.get(want)
		h.ask(hit, "GET", "/other")
	}
	h := newHouse(t, Config{})
	h.get(miss)
	h.err = down
	_, err := h.do("PUT", "/")
	check.Equal(t, error(down), err)
	h.get(hit)
}

// What was asked for before a write succeeded, and came after it, is not kept.
func TestAnswersFromBeforeAWrite(t *testing.T) {
	for _, pairs := range [][]string{nil, {"Cache-Control", "no-cache"}} {
		h := newHouse(t, Config{})
		_, err := h.Do(t.Context(), &messages.Request{Path: "/", Header: headers(pairs...)}, "GET", func(ctx context.Context, m *messages.Request) (*messages.Response, error) {
			r, err := h.fetch(ctx, m)
			h.ask(none, "PUT", "/")
			return r, err
		})
		check.Equal(t, nil, err)
		h.get(miss)
		h.get(hit)
	}
}

func TestStaleIfError(t *testing.T) {
	bad := func(status int) func(h *house) { return func(h *house) { h.status = status } }
	fails := func(err error) func(h *house) { return func(h *house) { h.err = err } }
	for about, c := range map[string]struct {
		fail  func(h *house)
		stale bool
	}{
		"500": {bad(500), true}, "502": {bad(502), true}, "503": {bad(503), true}, "504": {bad(504), true},
		"501": {bad(501), false}, "404": {bad(404), false}, "429": {bad(429), false},
		"down":         {fails(down), true},
		"timeout":      {fails(&messages.Error{Code: messages.CodeTimeout}), true},
		"exhausted":    {fails(&messages.Error{Code: messages.CodeRetryExhausted}), true},
		"rate limited": {fails(&messages.Error{Code: messages.CodeRateLimited}), true},
		"any":          {fails(errors.New("boom")), true},
		"canceled":     {fails(&messages.Error{Code: messages.CodeCanceled}), false},
		"its caller":   {fails(context.Canceled), false},
		"invalid":      {fails(&messages.Error{Code: messages.CodeInvalidRequest}), false},
	} {
		h := newHouse(t, Config{TTL: 10 * s, StaleIfError: 50 * s})
		h.get(miss)
		c.fail(h)
		h.now = 60*s - 1
		r, err := h.do("GET", "/")
		check.Equal(t, 2, h.hits, about, ": it was asked")
		check.Equal(t, c.stale, err == nil && r.Cache == stale && r.Status == 200 && string(r.Body) == "body", about)
		h.now = 60 * s
		r, err = h.do("GET", "/")
		check.Holds(t, err != nil || r.Cache != stale, about, ": not after its time")
	}
}

func TestNothingStandsInFor(t *testing.T) {
	h := newHouse(t, Config{TTL: 10 * s})
	h.get(miss)
	h.now, h.err = 10*s, down
	_, err := h.do("GET", "/")
	check.Equal(t, error(down), err, "off by default")

	h = newHouse(t, Config{TTL: 10 * s, StaleIfError: time.Hour})
	h.get(miss)
	h.now, h.err = 10*s, down
	_, err = h.do("GET", "/", "Cache-Control", "no-cache")
	check.Equal(t, error(down), err, "who wants nothing that is kept")
	check.Equal(t, stale, h.get2(stale, "Cache-Control", "max-age=0").Cache, "regardless of other freshness information")
	h.now = 5 * s
	check.Equal(t, hit, h.get2(hit, "Cache-Control", "max-age=0").Cache, "fresh after all")
}

// Both: an answer with its error, which counts as a failure.
func TestAnswersWithAnErrorAreNotKept(t *testing.T) {
	h := newHouse(t, Config{})
	for _, r := range []messages.Response{{Status: 404, Err: down}, {Status: 200, Fallback: true}} {
		for range 2 {
			got, err := h.Do(t.Context(), &messages.Request{}, "GET", func(context.Context, *messages.Request) (*messages.Response, error) { own := r; return &own, nil })
			check.Equal(t, nil, err)
			check.Equal(t, miss, got.Cache)
			check.Equal(t, r.Err, got.Err)
			check.Equal(t, r.Fallback, got.Fallback)
		}
	}
	check.Equal(t, 0, h.Stats().Entries)
}

func TestStaleForAFallback(t *testing.T) {
	m := &messages.Request{Path: "/"}
	h := newHouse(t, Config{TTL: 10 * s})
	_, ok := h.Stale(m, "GET", off)
	check.Holds(t, !ok)
	h.get(miss)
	h.now = 40*s - 1
	r, ok := h.Stale(m, "GET", 30*s)
	check.Holds(t, ok)
	check.Equal(t, stale, r.Cache)
	check.Equal(t, "body", string(r.Body))
	h.now = 40 * s
	_, ok = h.Stale(m, "GET", 30*s)
	check.Holds(t, !ok, "too old")
	h.now = 1000 * time.Hour
	_, ok = h.Stale(m, "HEAD", off)
	check.Holds(t, ok, "however old")
	_, ok = h.Stale(m, "POST", off)
	check.Holds(t, !ok)
	_, ok = h.Stale(&messages.Request{Path: "/", Header: headers("Authorization", "a")}, "GET", off)
	check.Holds(t, !ok)

	h.says("Cache-Control", "max-age=10, must-revalidate")
	h.get(miss)
	h.now += 5 * s
	r, ok = h.Stale(m, "GET", off)
	check.Holds(t, ok && r.Cache == hit, "still fresh")
	h.now += 5 * s
	_, ok = h.Stale(m, "GET", off)
	check.Holds(t, !ok, "must-revalidate")
}

// An answer that cannot be kept, but tells of the resource, ends the older one's use.
func TestSuperseded(t *testing.T) {
	for _, c := range []struct {
		status int
		says   []string
		gone   bool
	}{
		{200, []string{"Cache-Control", "no-store"}, true}, {403, nil, true}, {302, nil, true}, {401, nil, true},
		{429, nil, false}, {408, nil, false}, {500, nil, false}, {503, nil, false}, {206, nil, false},
	} {
		for _, vary := range []string{"", "A"} {
			h := newHouse(t, Config{TTL: 10 * s}).says("Vary", vary)
			h.get(miss)
			h.now = 10 * s
			h.status = c.status
			h.says(c.says...)
			h.get(miss)
			_, kept := h.Stale(&messages.Request{Path: "/"}, "GET", off)
			check.Equal(t, !c.gone, kept, c, vary)
		}
	}
}

func TestTooLargeIsNotKept(t *testing.T) {
	h := newHouse(t, Config{MaxBytes: 80 << 10})
	h.get(miss)
	h.body = strings.Repeat("x", 10<<10)
	h.get(miss, "Cache-Control", "no-cache")
	h.get(miss) // nor is the older one used any more
	check.Equal(t, 0, h.Stats().Entries)
	h.body = strings.Repeat("x", 9<<10)
	h.get(miss)
	h.get(hit)
	h.says("X", strings.Repeat("x", 2<<10))
	h.ask(miss, "GET", "/header")
	h.ask(miss, "GET", "/header")
}

func TestBounds(t *testing.T) {
	for _, cfg := range []Config{{MaxEntries: 10}, {MaxEntries: 1}, {MaxBytes: bytesMin}, {MaxEntries: 7, MaxBytes: bytesMin}} {
		h := newHouse(t, cfg)
		full := cfg.WithDefaults()
		for i := range 500 {
			h.body = strings.Repeat("x", i*7%2000)
			h.ask(miss, "GET", fmt.Sprint("/", i))
			st := h.Stats()
			check.Holds(t, st.Entries <= full.MaxEntries, cfg, st)
			check.Holds(t, st.Bytes <= full.MaxBytes && st.Bytes >= int64(st.Entries)*slotCost, cfg, st)
		}
		st := h.Stats()
		check.Holds(t, st.Entries >= 1, st)
		check.Equal(t, 500, st.Entries+int(st.Evictions))
		check.Equal(t, uint64(500), st.Misses)
		for i := range 500 {
			h.ask(none, "DELETE", fmt.Sprint("/", i))
		}
		st = h.Stats()
		check.Equal(t, 0, st.Entries)
		check.Equal(t, 0, st.Bytes, "what came is gone")
	}
}

func TestConfigure(t *testing.T) {
	h := newHouse(t, Config{TTL: 10 * s})
	h.get(miss)
	h.Configure(Config{TTL: 20 * s})
	h.get(hit)
	h.now = 10 * s
	h.get(miss)
	h.now = 29 * s
	h.get(hit)
	for _, cfg := range []Config{{MaxEntries: 5}, {MaxBytes: 1 << 20}, {Authorized: true}, {}} {
		h.Configure(cfg)
		check.Equal(t, 0, h.Stats().Entries)
		h.get(miss)
		h.get(hit)
	}
	check.Equal(t, uint64(6), h.Stats().Hits, "counts go on")
}

// A request that was let in with its credentials must not be kept without them.
func TestConfigureWhileFetching(t *testing.T) {
	h := newHouse(t, Config{Authorized: true})
	_, err := h.Do(t.Context(), &messages.Request{Path: "/", Header: headers("Authorization", "a")}, "GET", func(ctx context.Context, m *messages.Request) (*messages.Response, error) {
		h.Configure(Config{})
		return h.fetch(ctx, m)
	})
	check.Equal(t, nil, err)
	h.get(miss)
}
