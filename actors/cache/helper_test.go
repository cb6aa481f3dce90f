package cache

import (
	"context"
	"net/http"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/check"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	hit   = messages.CacheHit
	miss  = messages.CacheMiss
	stale = messages.CacheStale
	none  = messages.Cache("")
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// date is a moment of a house as it stands in a header.
func date(at time.Duration) string { return start.Add(at).Format(http.TimeFormat) }

// house is a cache with a service behind it, both in the hands of a test.
type house struct {
	*Cache
	t      check.T
	now    time.Duration
	hits   int // how often the service was asked
	status int
	header messages.Header // of its answers
	body   string
	err    error
	delay  time.Duration // how long it takes to answer
}

func newHouse(t check.T, cfg Config) *house {
	h := &house{t: t, status: 200, body: "body"}
	h.Cache = New(cfg, func() (time.Duration, time.Time) { return h.now, start.Add(h.now) })
	return h
}

// fetch is the service.
func (h *house) fetch(_ context.Context, _ *messages.Request) (*messages.Response, error) {
	h.hits++
	h.now += h.delay
	if h.err != nil {
		return nil, h.err
	}
	return &messages.Response{Status: h.status, Header: cloneHeader(h.header, 0), Body: []byte(h.body), Endpoint: "e1", Attempts: []messages.Attempt{{Endpoint: "e1"}}}, nil
}

// headers makes a header of names and values in turn.
func headers(pairs ...string) messages.Header {
	h := messages.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h[pairs[i]] = append(h[pairs[i]], pairs[i+1])
	}
	return h
}

func (h *house) do(method, path string, pairs ...string) (*messages.Response, error) {
	return h.Do(context.Background(), &messages.Request{Path: path, Header: headers(pairs...)}, method, h.fetch)
}

// ask expects an answer and what the cache had to do with it.
func (h *house) ask(want messages.Cache, method, path string, pairs ...string) *messages.Response {
	h.t.Helper()
	before := h.hits
	r, err := h.do(method, path, pairs...)
	check.Equal(h.t, nil, err)
	check.Equal(h.t, want, r.Cache, method, " ", path, pairs, " at ", h.now)
	check.Equal(h.t, want == miss || want == none, h.hits > before, "the service was asked")
	return r
}

func (h *house) get(want messages.Cache, pairs ...string) *messages.Response {
	h.t.Helper()
	return h.ask(want, "GET", "/", pairs...)
}

// says sets the headers of the service's answers.
func (h *house) says(pairs ...string) *house {
	h.header = headers(pairs...)
	return h
}
