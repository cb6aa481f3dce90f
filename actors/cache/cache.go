package cache

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/understudy-go/understudy/messages"
)

// apartFor is how long nobody waits for another's answer of a path where somebody
// did so in vain.
const apartFor = 10 * time.Second

// Clock tells the time twice: as the cores have it, monotonic since an arbitrary
// origin, and as a date, which the dates in headers are compared with.
type Clock func() (now time.Duration, wall time.Time)

// Fetch asks the service. It returns as Service.Request does: answer, error, or
// both. What it returns must be its caller's to keep. It may be run in a goroutine of
// its own and with a copy of the caller's request, which is the one it is given: such
// a copy has no Timeout and no Deadline, so that the service's own hold, and its
// context has the values of the first caller's and ends when nobody waits any more.
type Fetch func(ctx context.Context, m *messages.Request) (*messages.Response, error)

// Cache stands in front of one service. Make one with [New].
type Cache struct {
	clock   Clock
	state   atomic.Pointer[state]
	tally   tally
	flights flights
}

// state is a configuration, with its defaults, and what is kept under it.
type state struct {
	cfg Config
	*store
}

// asking is one request on its way through the cache.
type asking struct {
	question
	m     *messages.Request
	fetch Fetch
	// s is what was in force when it came, and stays so for it: what was asked under
	// one configuration must not be kept under another.
	s *state
}

// New returns an empty cache.
func New(cfg Config, clock Clock) *Cache {
	c := &Cache{clock: clock, flights: flights{under: make(map[string]*flight)}}
	c.tally.epochs.seed = maphash.MakeSeed()
	c.Configure(cfg)
	return c
}

// Configure puts cfg in force. What is kept stays as it is, with the times that it
// was kept for, unless the bounds or authorized change: then nothing stays. Stats go
// on.
func (c *Cache) Configure(cfg Config) {
	cfg = cfg.WithDefaults()
	if old := c.state.Load(); old != nil && old.cfg.MaxBytes == cfg.MaxBytes && old.cfg.MaxEntries == cfg.MaxEntries && old.cfg.Authorized == cfg.Authorized {
		c.state.Store(&state{cfg, old.store})
		return
	}
	c.state.Store(&state{cfg, newStore(&cfg, &c.tally)})
}

// Close cancels the fetches in the background, without waiting for them; those that
// somebody waits for go on. Calls that come later fetch for themselves.
func (c *Cache) Close() { c.flights.close() }

// Stats are counts since New, and what is kept now.
type Stats struct {
	Hits      uint64 // served fresh
	Stale     uint64 // served stale
	Misses    uint64 // not served, for want of an answer
	Shared    uint64 // of the misses: got the answer that another one had asked for
	Evictions uint64 // entries that the bounds pushed out
	Entries   int    // kept, those past use and notes of what a path varies by included
	Bytes     int64
}

// Stats may be called at any time.
func (c *Cache) Stats() Stats {
	t, s := &c.tally, c.state.Load()
	return Stats{
		Hits: t.hits.Load(), Stale: t.stale.Load(), Misses: t.misses.Load(), Shared: t.shared.Load(),
		Evictions: t.evictions.Load(), Entries: s.slots.EstimatedSize(), Bytes: s.bytes.Load(),
	}
}

// Do answers the request from what is kept, or fetches. The method is the one that
// the request is sent with. The answer's Cache says which it was: "" for a request
// that is not for the cache. Its body may be others' too and must not be changed; all
// else belongs to the caller.
//
// Who waits for a fetch leaves when ctx ends, or after Timeout or at Deadline of the
// request, with a [messages.Error] TIMEOUT or CANCELED. A panic in a fetch that
// others may wait for is INTERNAL; else it goes on in the caller. A request with
// only-if-cached that nothing fresh is there for is TIMEOUT, whose status is the 504
// that RFC 9111 wants, section 5.2.1.7.
func (c *Cache) Do(ctx context.Context, m *messages.Request, method string, fetch Fetch) (*messages.Response, error) {
	s := c.state.Load()
	q, ok := ask(m, method, s.cfg.Authorized)
	if !ok {
		return c.passBy(ctx, m, method, &q, fetch)
	}
	now, wall := c.clock()
	e, p := s.find(&q)
	if e != nil && e.freshFor(&q, now) {
		return c.hit(e, now, &q), nil
	}
	a := asking{question: q, m: m, fetch: fetch, s: s}
	if e != nil && q.takesStale() && now < e.refresh {
		c.refresh(ctx, a, p)
		return c.hit(e, now, &q), nil
	}
	c.tally.misses.Add(1)
	if q.onlyIfCached {
		return nil, &messages.Error{Code: messages.CodeTimeout, Service: m.Service, Words: "not in the cache, and the request wants nothing else"}
	}
	if patience, bounded := patienceOf(m, wall); bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	resp, err := c.miss(ctx, a, p)
	if failed(resp, err) {
		if r := c.standIn(s, &q, 0); r != nil {
			return r, nil
		}
	}
	return resp, err
}

// Takes reports whether the request is for the cache: else Do only fetches.
func (c *Cache) Takes(m *messages.Request, method string) bool {
	_, ok := ask(m, method, c.state.Load().cfg.Authorized)
	return ok
}

// Stale returns what is kept for the request if it is less than past past its
// freshness (-1: however old), or within its stale_if_error. It is for a fallback;
// Do looks for what stands in for a failure by itself.
func (c *Cache) Stale(m *messages.Request, method string, past time.Duration) (*messages.Response, bool) {
	s := c.state.Load()
	q, ok := ask(m, method, s.cfg.Authorized)
	if !ok {
		return nil, false
	}
	r := c.standIn(s, &q, past)
	return r, r != nil
}

func (c *Cache) standIn(s *state, q *question, past time.Duration) *messages.Response {
	e, _ := s.find(q)
	now, _ := c.clock()
	if e == nil || !e.standsIn(q, now, past) {
		return nil
	}
	return c.hit(e, now, q)
}

func (c *Cache) hit(e *entry, now time.Duration, q *question) *messages.Response {
	r := e.response(now, q.head)
	if r.Cache == messages.CacheHit {
		c.tally.hits.Add(1)
	} else {
		c.tally.stale.Add(1)
	}
	return r
}

// passBy fetches what the cache has no part in, but for one: RFC 9111, section 4.4:
// "A cache MUST invalidate the target URI when it receives a non-error status code
// in response to an unsafe request method (including methods whose safety is
// unknown)."
func (c *Cache) passBy(ctx context.Context, m *messages.Request, method string, q *question, fetch Fetch) (*messages.Response, error) {
	resp, err := fetch(ctx, m)
	if err == nil && resp != nil && resp.Err == nil && !resp.Fallback {
		c.wrote(method, q.path, resp.Status)
	}
	return resp, err
}

func (c *Cache) wrote(method, path string, status int) {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return
	}
	if status >= 200 && status < 400 {
		c.state.Load().forget(path)
	}
}

// Answered tells of an answer to a request that did not come here, as one that
// streams: one that wrote forgets what is kept of its path.
func (c *Cache) Answered(m *messages.Request, method string, status int) {
	q, _ := ask(m, method, false)
	c.wrote(method, q.path, status)
}

// miss fetches, together with others where that may be.
func (c *Cache) miss(ctx context.Context, a asking, p place) (*messages.Response, error) {
	// Twice: the first answer of a path may say what it varies by, and then those who
	// waited in vain wait for one of their own kind.
	for range 2 {
		now, _ := c.clock()
		if a.reload() || now < p.apart {
			break
		}
		if ctx.Err() != nil {
			return nil, gone(ctx, a.m)
		}
		fl, first, e := c.join(ctx, &a, p)
		switch {
		case e != nil:
			c.tally.shared.Add(1)
			resp := e.response(now, a.head)
			resp.Cache = messages.CacheMiss // it was, when this one asked
			return resp, nil
		case fl == nil:
			return c.fetchAlone(ctx, &a)
		}
		select {
		case <-fl.done:
		case <-ctx.Done():
			c.flights.leave(fl)
			return nil, gone(ctx, a.m)
		}
		if first {
			return handOut(fl.resp), fl.err
		}
		if !fl.open {
			break
		}
		if selectsSame(fl.header, a.header, fl.names) {
			c.tally.shared.Add(1)
			return handOut(fl.resp), fl.err
		}
		_, p = a.s.find(&a.question)
	}
	return c.fetchAlone(ctx, &a)
}

// fetchAlone is for those whom no other's answer helps.
func (c *Cache) fetchAlone(ctx context.Context, a *asking) (*messages.Response, error) {
	epoch := c.tally.epochs.of(a.path)
	asked, _ := c.clock()
	resp, err := a.fetch(ctx, a.m)
	c.settle(a, asked, epoch, resp, err)
	if resp != nil {
		own := *resp
		own.Cache = messages.CacheMiss
		resp = &own
	}
	return resp, err
}

// join returns the flight to wait for, beginning it if there is none, or the answer
// if it came meanwhile; neither if the cache is closed.
func (c *Cache) join(ctx context.Context, a *asking, p place) (fl *flight, first bool, e *entry) {
	epoch := c.tally.epochs.of(a.path)
	key := flightKey(&a.question, p, epoch)
	f := &c.flights
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl = f.under[key]; fl != nil {
		fl.callers++
		return fl, false, nil
	}
	// One may have landed since the caller looked: an answer is kept before its flight
	// is off the list.
	now, _ := c.clock()
	if e, _ = a.s.find(&a.question); e != nil && e.freshFor(&a.question, now) {
		return nil, false, e
	}
	if f.closed {
		return nil, false, nil
	}
	fl, ctx, own := f.begin(ctx, key, a)
	go c.fly(ctx, fl, own, epoch)
	return fl, true, nil
}

type refreshing struct{}

// Refreshing reports whether a fetch was given this context to refresh what was served
// stale: nobody's request waits for it.
func Refreshing(ctx context.Context) bool { return ctx.Value(refreshing{}) != nil }

// refresh fetches in the background, unless somebody does so already.
func (c *Cache) refresh(ctx context.Context, a asking, p place) {
	epoch := c.tally.epochs.of(a.path)
	key := flightKey(&a.question, p, epoch)
	f := &c.flights
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.under[key] != nil || f.closed || f.background == refreshesMax {
		return
	}
	now, _ := c.clock()
	if e, _ := a.s.find(&a.question); e != nil && now < e.fresh {
		return // one has landed since the caller looked
	}
	f.background++
	fl, ctx, own := f.begin(context.WithValue(ctx, refreshing{}, true), key, &a)
	fl.background = true
	go func() {
		defer f.refreshed()
		c.fly(ctx, fl, own, epoch)
	}()
}

// fly fetches for all who wait. A panic, or an end of the goroutine, reaches them
// as an error.
func (c *Cache) fly(ctx context.Context, fl *flight, a asking, epoch uint64) {
	broken := func(words string) {
		fl.resp, fl.open = nil, true
		fl.err = &messages.Error{Code: messages.CodeInternal, Service: a.m.Service, Words: words}
	}
	broken("the fetch ended its goroutine")
	defer func() {
		if r := recover(); r != nil {
			broken(fmt.Sprintf("the fetch panicked: %v", r))
		}
		if callers := c.flights.land(fl); callers > 1 && !fl.open {
			now, _ := c.clock()
			a.s.setApart(a.path, now+apartFor)
		}
		fl.cancel()
		close(fl.done)
	}()
	asked, _ := c.clock()
	resp, err := a.fetch(ctx, a.m)
	fl.open, fl.names = c.settle(&a, asked, epoch, resp, err)
	fl.resp, fl.err = resp, err
}

// settle keeps what was fetched, if it may be kept, and reports whether others may
// have it who asked the same and are the same to these names.
func (c *Cache) settle(a *asking, asked time.Duration, epoch uint64, resp *messages.Response, err error) (open bool, names []string) {
	if resp == nil {
		return true, nil
	}
	said := read(resp.Header)
	if err != nil || resp.Err != nil || resp.Fallback || isOutage(resp.Status) {
		// Shared, so that no outage grows by those who wait; kept never.
		return !said.isClosed, said.names
	}
	if !said.isClosed {
		now, wall := c.clock()
		t, ok := said.terms(&a.s.cfg, resp.Status, asked, now, wall)
		if ok && now < max(t.refresh, t.onError) {
			a.s.keep(&a.question, said.names, resp, t, epoch)
			// RFC 9111, section 4: "A cache can use a response that is stored or storable to
			// satisfy multiple requests", as long as it is fresh or may be used stale.
			return now < t.refresh, said.names
		}
	}
	if supersedes(resp.Status) {
		a.s.drop(&a.question)
	}
	return false, nil
}

// failed reports whether something may stand in for this. RFC 5861, section 4: "an
// error is any situation that would result in a 500, 502, 503, or 504 HTTP response
// status code being returned"; a refusal for too many requests is one here too. That
// the caller left, or asked for what cannot be, is none.
func failed(resp *messages.Response, err error) bool {
	if err == nil && resp != nil && resp.Err != nil {
		err = resp.Err
	}
	if err == nil {
		return resp != nil && isOutage(resp.Status)
	}
	var e *messages.Error
	if errors.As(err, &e) {
		return isOutage(e.Status()) || e.Code == messages.CodeRateLimited
	}
	return !errors.Is(err, context.Canceled)
}

func isOutage(status int) bool {
	switch status {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// handOut makes one caller's own of an answer that several get.
func handOut(resp *messages.Response) *messages.Response {
	if resp == nil {
		return nil
	}
	own := *resp
	own.Header = cloneHeader(resp.Header, 1)
	own.Attempts = slices.Clone(resp.Attempts)
	own.Cache = messages.CacheMiss
	return &own
}

// patienceOf is how long the request itself lets its caller wait, if it says so.
func patienceOf(m *messages.Request, wall time.Time) (time.Duration, bool) {
	d, bounded := m.Timeout, m.Timeout > 0
	if !m.Deadline.IsZero() {
		if left := m.Deadline.Sub(wall); !bounded || left < d {
			d, bounded = left, true
		}
	}
	return d, bounded
}

// gone is the error of a caller who waits no longer.
func gone(ctx context.Context, m *messages.Request) *messages.Error {
	code := messages.CodeCanceled
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		code = messages.CodeTimeout
	}
	return &messages.Error{Code: code, Service: m.Service, Err: ctx.Err()}
}
