package cache

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/check"
)

// crowd is a cache in a bubble, asked by many at once. Its service answers in a
// second, unless its context ends sooner.
type crowd struct {
	*Cache
	t         *testing.T
	asked     atomic.Int32
	cancelled atomic.Int32
	answer    func(m *messages.Request) (*messages.Response, error)
}

func inCrowd(t *testing.T, cfg Config, f func(t *testing.T, c *crowd)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		base := time.Now()
		c := &crowd{t: t, answer: func(*messages.Request) (*messages.Response, error) { return &messages.Response{Status: 200}, nil }}
		c.Cache = New(cfg, func() (time.Duration, time.Time) { return time.Since(base), time.Now() })
		f(t, c)
		synctest.Wait()
		check.Equal(t, 0, len(c.flights.under), "flights left over")
		check.Equal(t, 0, c.flights.background)
	})
}

func (c *crowd) fetch(ctx context.Context, m *messages.Request) (*messages.Response, error) {
	n := c.asked.Add(1)
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		c.cancelled.Add(1)
		return nil, &messages.Error{Code: messages.CodeCanceled}
	}
	r, err := c.answer(m)
	if r != nil {
		r.Body = fmt.Appendf(nil, "%d", n)
	}
	return r, err
}

// caller is one who asks, and what came of it.
type caller struct {
	c      *crowd
	ctx    context.Context
	leave  context.CancelFunc
	resp   *messages.Response
	err    error
	took   time.Duration
	done   bool
	method string
}

// ask begins a call and lets it come as far as it can.
func (c *crowd) ask(m messages.Request) *caller {
	a := &caller{c: c, method: "GET"}
	if m.Method != "" {
		a.method = m.Method
	}
	a.ctx, a.leave = context.WithCancel(context.Background())
	began := time.Now()
	go func() {
		defer a.leave()
		a.resp, a.err = c.Do(a.ctx, &m, a.method, c.fetch)
		a.took, a.done = time.Since(began), true
	}()
	synctest.Wait()
	return a
}

func (c *crowd) many(n int, m messages.Request) (all []*caller) {
	for range n {
		all = append(all, c.ask(m))
	}
	return all
}

// pass lets time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (a *caller) got(want string, took time.Duration) {
	t := a.c.t
	t.Helper()
	check.Holds(t, a.done, "still waiting")
	check.Equal(t, nil, a.err)
	check.Equal(t, want, string(a.resp.Body))
	check.Equal(t, took, a.took)
}

func asks(pairs ...string) messages.Request {
	return messages.Request{Path: "/", Header: headers(pairs...)}
}

func TestOneFetchForAll(t *testing.T) {
	inCrowd(t, Config{}, func(t *testing.T, c *crowd) {
		all := c.many(10, asks("X", "1"))
		pass(500 * time.Millisecond)
		late := c.ask(asks())
		pass(500 * time.Millisecond)
		for _, a := range all {
			a.got("1", time.Second)
			check.Equal(t, miss, a.resp.Cache)
			a.resp.Header.Set("mine", "1") // the race detector looks
		}
		late.got("1", 500*time.Millisecond)
		c.ask(asks()).got("1", 0)
		st := c.Stats()
		check.Equal(t, Stats{Hits: 1, Misses: 11, Shared: 10, Entries: 1, Bytes: st.Bytes}, st)
	})
}

func TestWhatNeverShares(t *testing.T) {
	inCrowd(t, Config{Authorized: true}, func(t *testing.T, c *crowd) {
		c.ask(asks())
		c.ask(asks("Authorization", "a"))
		c.ask(asks("authorization", "b"))
		c.ask(asks("Cookie", "a"))
		c.ask(messages.Request{Path: "/?"})
		c.ask(messages.Request{Path: "/", Method: "HEAD"})
		for range 2 {
			c.ask(asks("Cache-Control", "no-cache"))
			c.ask(asks("Cache-Control", "max-age=0"))
			c.ask(asks("Range", "bytes=0-1"))
			c.ask(messages.Request{Path: "/", Method: "POST"})
		}
		check.Equal(t, 6+2*4, int(c.asked.Load()))
		pass(time.Second)
	})
}

// A waiting caller leaves when its own context ends; that the first one does fails
// nobody.
func TestCallersLeave(t *testing.T) {
	for name, first := range map[string]bool{"the first": true, "another": false} {
		t.Run(name, func(t *testing.T) {
			inCrowd(t, Config{}, func(t *testing.T, c *crowd) {
				all := c.many(3, asks())
				leaver := all[0]
				if !first {
					leaver = all[2]
				}
				pass(300 * time.Millisecond)
				leaver.leave()
				synctest.Wait()
				check.Holds(t, errors.Is(leaver.err, context.Canceled) && errors.Is(leaver.err, messages.ErrCanceled))
				check.Equal(t, 300*time.Millisecond, leaver.took)
				pass(700 * time.Millisecond)
				for _, a := range all {
					if a != leaver {
						a.got("1", time.Second)
					}
				}
				check.Equal(t, 0, int(c.cancelled.Load()))
			})
		})
	}
}

func TestTheLastCallerEndsTheFetch(t *testing.T) {
	inCrowd(t, Config{}, func(t *testing.T, c *crowd) {
		all := c.many(3, asks())
		for i, a := range all {
			check.Equal(t, 0, int(c.cancelled.Load()), i)
			a.leave()
			synctest.Wait()
		}
		check.Equal(t, 1, int(c.cancelled.Load()))
		c.ask(asks()) // begins anew, and is not told of the cancelling
		pass(time.Second)
		check.Equal(t, 2, int(c.asked.Load()))
		c.ask(asks()).got("2", 0)
	})
}

// A fetch that does not heed its end leaves those alone who came after it.
func TestAFetchThatComesLate(t *testing.T) {
	inCrowd(t, Config{}, func(t *testing.T, c *crowd) {
		deaf := func(_ context.Context, m *messages.Request) (*messages.Response, error) {
			return c.fetch(context.Background(), m)
		}
		c.answer = func(*messages.Request) (*messages.Response, error) { return nil, down }
		ctx, leave := context.WithCancel(t.Context())
		go func() { _, _ = c.Do(ctx, &messages.Request{Path: "/"}, "GET", deaf) }()
		pass(500 * time.Millisecond)
		leave()
		synctest.Wait()
		second := c.ask(asks())
		pass(500 * time.Millisecond) // the first one lands
		third := c.ask(asks())
		check.Equal(t, 2, int(c.asked.Load()))
		pass(500 * time.Millisecond)
		check.Holds(t, second.done && third.done)
	})
}

// Who looked before the flight landed and asks after it has finds its answer.
func TestJoiningTooLate(t *testing.T) {
	h := newHouse(t, Config{})
	h.get(miss)
	a := asking{question: question{path: "/", maxAge: off}, m: &messages.Request{}, fetch: h.fetch, s: h.state.Load()}
	fl, _, e := h.join(t.Context(), &a, place{})
	check.Holds(t, fl == nil && e != nil)
	h.refresh(t.Context(), a, place{})
	h.wait()
	check.Equal(t, 1, h.hits)
}

func TestFlightKeys(t *testing.T) {
	seen := map[string]bool{}
	for _, head := range []bool{false, true} {
		for _, path := range []string{"/", "/a", "/\x01"} {
			for _, epoch := range []uint64{0, 1} {
				for _, generation := range []uint64{0, 1} {
					for _, names := range [][]string{nil, {"A"}, {"A", "B"}} {
						q := question{path: path, head: head, header: headers("B", "b")}
						seen[flightKey(&q, place{names: names, generation: generation}, epoch)] = true
					}
				}
			}
		}
	}
	check.Equal(t, 2*3*2*2*3, len(seen))
}

// The caller's own patience ends its wait and not the fetch.
func TestTimeoutsAreTheCallers(t *testing.T) {
	inCrowd(t, Config{}, func(t *testing.T, c *crowd) {
		c.answer = func(m *messages.Request) (*messages.Response, error) {
			check.Equal(t, 0, m.Timeout, "who fetches for all has the service's patience")
			check.Holds(t, m.Deadline.IsZero())
			return &messages.Response{Status: 200}, nil
		}
		hasty := c.ask(messages.Request{Path: "/", Timeout: 200 * time.Millisecond})
		dated := c.ask(messages.Request{Path: "/", Deadline: time.Now().Add(300 * time.Millisecond)})
		calm := c.ask(messages.Request{Path: "/"})
		pass(time.Second)
		calm.got("1", time.Second)
		for a, took := range map[*caller]time.Duration{hasty: 200 * time.Millisecond, dated: 300 * time.Millisecond} {
			check.Holds(t, errors.Is(a.err, context.DeadlineExceeded) && errors.Is(a.err, messages.ErrTimeout))
			check.Equal(t, took, a.took)
		}
	})
}

// The caller may do with its request as it likes once Do has returned.
func TestTheRequestIsTheCallers(t *testing.T) {
	inCrowd(t, Config{}, func(t *testing.T, c *crowd) {
		c.answer = func(m *messages.Request) (*messages.Response, error) {
			check.Equal(t, headers("X", "1"), m.Header)
			return &messages.Response{Status: 200}, nil
		}
		m := asks("X", "1")
		first := c.ask(m)
		other := c.ask(asks())
		first.leave()
		synctest.Wait()
		m.Header["X"][0] = "2"
		m.Header.Set("Y", "3")
		pass(time.Second)
		other.got("1", time.Second)
	})
}

type key struct{}

func TestTheFetchHasTheValuesOfTheFirst(t *testing.T) {
	inCrowd(t, Config{}, func(t *testing.T, c *crowd) {
		var got any
		_, err := c.Do(context.WithValue(t.Context(), key{}, "v"), &messages.Request{}, "GET", func(ctx context.Context, m *messages.Request) (*messages.Response, error) {
			got = ctx.Value(key{})
			return c.fetch(ctx, m)
		})
		check.Equal(t, nil, err)
		check.Equal(t, any("v"), got)
	})
}

func TestErrorsAreSharedAndNotKept(t *testing.T) {
	for about, fails := range map[string]struct {
		resp *messages.Response
		err  error
	}{
		"an error alone":           {nil, down},
		"an answer with its error": {&messages.Response{Status: 404}, down},
		"an answer alone":          {&messages.Response{Status: 503}, nil},
		"a fallback":               {&messages.Response{Status: 200, Fallback: true}, nil},
	} {
		inCrowd(t, Config{}, func(t *testing.T, c *crowd) {
			c.answer = func(*messages.Request) (*messages.Response, error) { return fails.resp, fails.err }
			all := c.many(3, asks())
			pass(time.Second)
			for _, a := range all {
				check.Holds(t, a.done && a.err == fails.err, about)
				check.Equal(t, fails.resp != nil, a.resp != nil, about)
			}
			check.Equal(t, 1, int(c.asked.Load()))
			check.Equal(t, 0, c.Stats().Entries)
			c.ask(asks())
			check.Equal(t, 2, int(c.asked.Load()))
			pass(time.Second)
		})
	}
}

// What must not be kept reaches one caller; the others fetch by themselves, all at
// once, and for a while nobody waits there.
func TestWhatIsForOneOnly(t *testing.T) {
	for about, r := range map[string]messages.Response{
		"no-store":    {Status: 200, Header: headers("Cache-Control", "no-store")},
		"private":     {Status: 200, Header: headers("cache-control", "private")},
		"no-cache":    {Status: 200, Header: headers("Cache-Control", "no-cache")},
		"a cookie":    {Status: 200, Header: headers("set-cookie", "a=b")},
		"Vary: *":     {Status: 200, Header: headers("Vary", "*")},
		"403":         {Status: 403},
		"a bad one":   {Status: 503, Header: headers("Cache-Control", "no-store")},
		"a fallback":  {Status: 200, Fallback: true, Header: headers("Set-Cookie", "a=b")},
		"never fresh": {Status: 200, Header: headers("Cache-Control", "max-age=0")},
	} {
		inCrowd(t, Config{StaleIfError: time.Hour}, func(t *testing.T, c *crowd) {
			c.answer = func(*messages.Request) (*messages.Response, error) { own := r; return &own, nil }
			all := c.many(4, asks())
			check.Equal(t, 1, int(c.asked.Load()), about)
			pass(time.Second)
			all[0].got("1", time.Second)
			check.Equal(t, 4, int(c.asked.Load()), about)
			pass(time.Second)
			seen := map[string]bool{}
			for _, a := range all {
				check.Holds(t, a.done && !seen[string(a.resp.Body)], about)
				seen[string(a.resp.Body)] = true
			}
			c.many(3, asks())
			check.Equal(t, 7, int(c.asked.Load()), about, ": nobody waits")
			pass(apartFor)
			c.many(3, asks())
			check.Equal(t, 8, int(c.asked.Load()), about, ": for a while")
			pass(2 * time.Second)
		})
	}
}

// That while does not end with an answer that is for all: the next may not be.
func TestWaitingBeginsAgain(t *testing.T) {
	for about, vary := range map[string]string{"plain": "", "with Vary": "A"} {
		inCrowd(t, Config{}, func(t *testing.T, c *crowd) {
			said := headers("Cache-Control", "private")
			c.answer = func(*messages.Request) (*messages.Response, error) {
				return &messages.Response{Status: 200, Header: said}, nil
			}
			get := func(want int) {
				c.many(2, asks("Cache-Control", "max-age=1"))
				pass(2 * time.Second)
				check.Equal(t, want, int(c.asked.Load()), about)
			}
			get(2)
			said = headers("Vary", vary)
			get(4)
			get(6)
			pass(apartFor)
			get(7)
		})
	}
}

// Without anybody who waited in vain, nothing is noted of a path.
func TestLonelyRequestsLeaveNoNote(t *testing.T) {
	inCrowd(t, Config{}, func(t *testing.T, c *crowd) {
		c.answer = func(*messages.Request) (*messages.Response, error) { return &messages.Response{Status: 403}, nil }
		c.ask(asks())
		pass(time.Second)
		check.Equal(t, 0, c.Stats().Entries)
	})
}

// What a path varies by is known with its first answer only. Those of another kind
// then wait for one of their own.
func TestFirstAnswersThatVary(t *testing.T) {
	inCrowd(t, Config{}, func(t *testing.T, c *crowd) {
		c.answer = func(m *messages.Request) (*messages.Response, error) {
			return &messages.Response{Status: 200, Header: headers("Vary", "Accept", "For", m.Header.Get("Accept"))}, nil
		}
		var all []*caller
		for _, kind := range []string{"a", "b", "c"} {
			all = append(all, c.many(3, asks("Accept", kind))...)
		}
		check.Equal(t, 1, int(c.asked.Load()))
		pass(time.Second)
		check.Equal(t, 3, int(c.asked.Load()))
		pass(time.Second)
		for i, a := range all {
			check.Equal(t, nil, a.err)
			check.Equal(t, string("abc"[i/3]), a.resp.Header.Get("For"))
		}
		check.Equal(t, 3, int(c.asked.Load()))
	})
}

// If every answer names another header, they do not wait for ever.
func TestVaryThatRunsAway(t *testing.T) {
	inCrowd(t, Config{}, func(t *testing.T, c *crowd) {
		c.answer = func(m *messages.Request) (*messages.Response, error) {
			return &messages.Response{Status: 200, Header: headers("Vary", fmt.Sprintf("H%d", c.asked.Load()))}, nil
		}
		var all []*caller
		for i := range 5 {
			own := messages.Header{}
			for n := range 20 {
				own.Set(fmt.Sprintf("H%d", n), fmt.Sprint(i))
			}
			all = append(all, c.ask(messages.Request{Path: "/", Header: own}))
		}
		pass(3 * time.Second)
		for _, a := range all {
			check.Holds(t, a.done)
			check.Equal(t, nil, a.err)
		}
		check.Equal(t, 5, int(c.asked.Load()))
	})
}

func TestPanicsReachThoseWhoWait(t *testing.T) {
	for about, fail := range map[string]func(){"panicked: boom": func() { panic("boom") }, "ended its goroutine": runtime.Goexit} {
		inCrowd(t, Config{}, func(t *testing.T, c *crowd) {
			c.answer = func(*messages.Request) (*messages.Response, error) { fail(); return nil, nil }
			all := c.many(3, asks())
			pass(time.Second)
			for _, a := range all {
				check.Holds(t, a.done && errors.Is(a.err, messages.ErrInternal), about)
				check.Equal(t, "the fetch "+about, a.err.Error())
				check.Holds(t, a.resp == nil)
			}
			check.Equal(t, 1, int(c.asked.Load()))
		})
	}
}

func TestStaleWhileRevalidate(t *testing.T) {
	inCrowd(t, Config{TTL: 10 * s, StaleWhileRevalidate: 5 * s}, func(t *testing.T, c *crowd) {
		c.ask(asks())
		pass(time.Second)
		pass(10 * s)
		for range 3 {
			a := c.ask(asks())
			a.got("1", 0)
			check.Equal(t, stale, a.resp.Cache)
		}
		check.Equal(t, 2, int(c.asked.Load()), "once in the background")
		pass(time.Second)
		c.ask(asks()).got("2", 0)
		check.Equal(t, Stats{Hits: 1, Stale: 3, Misses: 1, Entries: 1, Bytes: c.Stats().Bytes}, c.Stats())

		c.answer = func(*messages.Request) (*messages.Response, error) { return nil, down }
		pass(10 * s)
		c.ask(asks()).got("2", 0)
		pass(time.Second)
		c.ask(asks()).got("2", 0) // still, and tried again
		check.Equal(t, 4, int(c.asked.Load()))
		pass(4 * s)
		a := c.ask(asks())
		pass(time.Second)
		check.Equal(t, error(down), a.err, "past its time")
	})
}

// Who cannot have the stale one waits for the fetch in the background, and does not
// end it by leaving.
func TestJoiningTheBackground(t *testing.T) {
	inCrowd(t, Config{TTL: 10 * s, StaleWhileRevalidate: 5 * s}, func(t *testing.T, c *crowd) {
		c.ask(asks())
		pass(11 * s)
		c.ask(asks()).got("1", 0)
		waits, leaves := c.ask(asks("Cache-Control", "max-age=5")), c.ask(asks("Cache-Control", "max-age=5"))
		leaves.leave()
		pass(time.Second)
		waits.got("2", time.Second)

		pass(11 * s)
		c.ask(asks()).got("2", 0)
		c.ask(asks("Cache-Control", "max-age=5")).leave()
		pass(time.Second)
		c.ask(asks()).got("3", 0)
		check.Equal(t, 0, int(c.cancelled.Load()))
	})
}

func TestTheBackgroundIsBounded(t *testing.T) {
	inCrowd(t, Config{TTL: 10 * s, StaleWhileRevalidate: 5 * s}, func(t *testing.T, c *crowd) {
		const paths = refreshesMax + 10
		each := func() {
			for i := range paths {
				c.ask(messages.Request{Path: fmt.Sprint("/", i)})
			}
		}
		each()
		pass(11 * s)
		before := c.asked.Load()
		each()
		check.Equal(t, refreshesMax, int(c.asked.Load()-before))
		check.Equal(t, paths, int(c.Stats().Stale))
		pass(time.Second)
	})
}

// Who asks after a write gets nothing that was asked for before it.
func TestNobodyJoinsAFetchFromBeforeAWrite(t *testing.T) {
	inCrowd(t, Config{}, func(t *testing.T, c *crowd) {
		write := c.ask(messages.Request{Path: "/", Method: "PUT"}) // 1
		pass(500 * time.Millisecond)
		old := c.ask(asks()) // 2
		pass(500 * time.Millisecond)
		write.got("1", time.Second)
		fresh := c.ask(asks()) // 3
		pass(500 * time.Millisecond)
		old.got("2", time.Second)
		again := c.ask(asks())
		pass(500 * time.Millisecond)
		fresh.got("3", time.Second)
		again.got("3", 500*time.Millisecond)
		c.ask(asks()).got("3", 0)
	})
}

func TestClose(t *testing.T) {
	inCrowd(t, Config{TTL: 10 * s, StaleWhileRevalidate: 5 * s}, func(t *testing.T, c *crowd) {
		c.ask(asks())
		pass(11 * s)
		c.ask(asks()).got("1", 0)
		waits := c.ask(messages.Request{Path: "/other"})
		c.Close()
		synctest.Wait()
		check.Equal(t, 1, int(c.cancelled.Load()), "the one in the background")
		c.ask(asks()).got("1", 0)
		check.Equal(t, 3, int(c.asked.Load()), "no more in the background")
		c.many(2, messages.Request{Path: "/other"})
		check.Equal(t, 3, int(c.asked.Load()), "one is under way")
		pass(time.Second)
		check.Holds(t, waits.done && waits.err == nil)
		c.many(2, messages.Request{Path: "/third"})
		check.Equal(t, 5, int(c.asked.Load()), "each for itself")
		pass(time.Second)
	})
}
