package cache

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/check"
)

func TestWhatPassesBy(t *testing.T) {
	for _, pairs := range [][]string{
		{"Authorization", "Bearer a"}, {"authorization", "Bearer a"}, {"AUTHORIZATION", ""},
		{"Cookie", "a=b"}, {"cookie", "a=b"},
		{"Range", "bytes=0-1"}, {"range", "bytes=0-1"},
		{"If-None-Match", `"a"`}, {"if-modified-since", date(0)}, {"If-Match", "*"}, {"If-Unmodified-Since", date(0)}, {"If-Range", `"a"`},
		// RFC 9111, section 5.2.1.5: "a cache MUST NOT store any part of either this
		// request or any response to it."
		{"Cache-Control", "no-store"}, {"cache-control", "max-age=9, No-Store"},
		{"Cache-Control", "max-age=soon"}, {"Cache-Control", `x="`},
	} {
		h := newHouse(t, Config{})
		h.get(none, pairs...)
		h.get(miss)
		h.get(none, pairs...)
		h.get(hit)
	}
	h := newHouse(t, Config{})
	for range 2 {
		r, err := h.Do(t.Context(), &messages.Request{Body: []byte("x")}, "GET", h.fetch)
		check.Equal(t, nil, err)
		check.Equal(t, none, r.Cache)
		h.ask(none, "OPTIONS", "/")
		h.ask(none, "TRACE", "/")
		h.ask(none, "get", "/")
		h.ask(none, "GET", "*")
	}
}

func TestWhatAClientWants(t *testing.T) {
	for _, c := range []struct {
		rule  string
		pairs []string
		at    map[time.Duration]messages.Cache // of an answer that is fresh for 60 s and usable for 60 more
	}{
		{"nothing", nil, map[time.Duration]messages.Cache{0: hit, 59 * s: hit, 60 * s: stale, 119 * s: stale, 120 * s: miss}},
		// RFC 9111, section 5.2.1.1: "the client prefers a response whose age is less than
		// or equal to the specified number of seconds."
		{"max-age", []string{"Cache-Control", "max-age=10"}, map[time.Duration]messages.Cache{0: hit, 10 * s: hit, 11 * s: miss, 70 * s: miss}},
		{"a longer max-age takes nothing stale", []string{"cache-control", "max-age=999"}, map[time.Duration]messages.Cache{59 * s: hit, 60 * s: miss}},
		{"max-age=0, a browser's reload", []string{"Cache-Control", "max-age=0"}, map[time.Duration]messages.Cache{1: miss, 70 * s: miss}},
		// Section 5.2.1.3: "the client prefers a response whose freshness lifetime is no
		// less than its current age plus the specified time in seconds."
		{"min-fresh", []string{"Cache-Control", "min-fresh=20"}, map[time.Duration]messages.Cache{40 * s: hit, 41 * s: miss, 70 * s: miss}},
		// Section 5.2.1.4: "the client prefers stored response not be used to satisfy the
		// request without successful validation on the origin server."
		{"no-cache", []string{"Cache-Control", "no-cache"}, map[time.Duration]messages.Cache{0: miss, 70 * s: miss}},
		{"Pragma", []string{"pragma", "No-Cache"}, map[time.Duration]messages.Cache{0: miss}},
		{"Pragma of another kind", []string{"Pragma", "x"}, map[time.Duration]messages.Cache{0: hit}},
		{"Cache-Control before Pragma", []string{"Pragma", "no-cache", "Cache-Control", "x"}, map[time.Duration]messages.Cache{0: hit}},
		{"two lines", []string{"Cache-Control", "x", "cache-control", "no-cache"}, map[time.Duration]messages.Cache{0: miss}},
	} {
		for at, want := range c.at {
			h := newHouse(t, Config{}).says("Cache-Control", "max-age=60, stale-while-revalidate=60")
			h.get(miss)
			h.now = at
			r, err := h.do("GET", "/", c.pairs...)
			check.Equal(t, nil, err)
			check.Equal(t, want, r.Cache, c.rule, " at ", at)
			h.wait()
		}
	}
}

// wait lets fetches in the background end.
func (h *house) wait() {
	for {
		h.flights.mu.Lock()
		var fl *flight
		for _, fl = range h.flights.under {
		}
		h.flights.mu.Unlock()
		if fl == nil {
			return
		}
		<-fl.done
	}
}

// Section 5.2.1.7: "Caches that honor this request directive SHOULD, upon receiving
// it, respond with either a stored response consistent with the other constraints of
// the request or a 504 (Gateway Timeout) status code."
func TestOnlyIfCached(t *testing.T) {
	h := newHouse(t, Config{})
	_, err := h.do("GET", "/", "Cache-Control", "only-if-cached")
	var e *messages.Error
	check.Holds(t, errors.As(err, &e))
	check.Equal(t, 504, e.Status())
	check.Equal(t, 0, h.hits)
	h.get(miss)
	h.get(hit, "Cache-Control", "only-if-cached")
	h.now = time.Hour
	_, err = h.do("GET", "/", "Cache-Control", "only-if-cached")
	check.Holds(t, errors.As(err, &e))
}

// Who asks for a new answer gets it, and the others have it afterwards.
func TestReloadIsKept(t *testing.T) {
	h := newHouse(t, Config{})
	h.get(miss)
	h.body = "new"
	h.get(miss, "Cache-Control", "no-cache")
	check.Equal(t, "new", string(h.get(hit).Body))
}

func TestValuesOf(t *testing.T) {
	h := messages.Header{"accept": {"c"}, "Accept": {"a", "b"}, "ACCEPT": {"0"}, "X": {"x"}}
	for range 20 {
		check.Equal(t, []string{"0", "a", "b", "c"}, valuesOf(h, "Accept"))
	}
	check.Equal(t, []string{"x"}, valuesOf(h, "x"))
	check.Equal(t, 0, len(valuesOf(h, "Y")))
}

func TestSelectionsDoNotRunTogether(t *testing.T) {
	names := []string{"A", "B"}
	seen := map[string]messages.Header{}
	for _, h := range []messages.Header{
		{}, {"A": {""}}, {"B": {""}}, {"A": {"", ""}}, {"A": {"a"}}, {"B": {"a"}}, {"A": {"a", "b"}}, {"A": {"ab"}}, {"A": {"ab", ""}}, {"A": {"", "ab"}},
		{"A": {"a"}, "B": {"b"}}, {"A": {"a\x01\x01b"}}, {"A": {"\x01"}}, {"A": {"a, b"}},
	} {
		key := string(appendSelected(nil, h, names))
		other, twice := seen[key]
		check.Holds(t, !twice, h, other)
		seen[key] = h
		for _, o := range seen {
			check.Equal(t, string(appendSelected(nil, o, names)) == key, selectsSame(o, h, names), o, h)
		}
	}
}

func TestPatience(t *testing.T) {
	for _, c := range []struct {
		m       messages.Request
		want    time.Duration
		bounded bool
	}{
		{messages.Request{}, 0, false},
		{messages.Request{Timeout: s}, s, true},
		{messages.Request{Deadline: start.Add(2 * s)}, 2 * s, true},
		{messages.Request{Timeout: s, Deadline: start.Add(2 * s)}, s, true},
		{messages.Request{Timeout: 3 * s, Deadline: start.Add(2 * s)}, 2 * s, true},
		{messages.Request{Deadline: start.Add(-s)}, -s, true},
	} {
		d, bounded := patienceOf(&c.m, start)
		check.Equal(t, c.want, d)
		check.Equal(t, c.bounded, bounded)
	}
	h := newHouse(t, Config{})
	_, err := h.Do(t.Context(), &messages.Request{Deadline: start.Add(-s)}, "GET", h.fetch)
	check.Holds(t, errors.Is(err, context.DeadlineExceeded))
	check.Equal(t, 0, h.hits)
}
