package cache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/check"
)

// Many at once, with everything that can go on: each gets an answer to its own
// question, and a private one nobody but who asked for it.
func TestStress(t *testing.T) {
	var ticks, failures atomic.Int64
	c := New(Config{TTL: 50, StaleWhileRevalidate: 20, StaleIfError: 30, Authorized: true, MaxEntries: 20}, func() (time.Duration, time.Time) {
		now := time.Duration(ticks.Add(1) / 4)
		return now, start.Add(now)
	})
	fetch := func(ctx context.Context, m *messages.Request) (*messages.Response, error) {
		switch runtime.Gosched(); rand.IntN(20) {
		case 0:
			return nil, down
		case 1:
			panic("boom")
		}
		h := headers("Vary", "A", "For", m.Path+m.Header.Get("A")+m.Header.Get("Authorization"))
		if rand.IntN(5) == 0 {
			h.Set("Cache-Control", "private")
			h.Set("Only", m.Header.Get("Only"))
		}
		return &messages.Response{Status: 200, Header: h}, nil
	}
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 400 {
				m := &messages.Request{Path: fmt.Sprint("/", rand.IntN(4)), Header: headers("A", fmt.Sprint("a", rand.IntN(3)), "Authorization", fmt.Sprint("b", rand.IntN(2)), "Only", fmt.Sprint(worker, " ", i))}
				if rand.IntN(30) == 0 {
					_, err := c.Do(t.Context(), m, "PUT", func(context.Context, *messages.Request) (*messages.Response, error) {
						return &messages.Response{Status: 200}, nil
					})
					check.Equal(t, nil, err)
					continue
				}
				ctx, cancel := context.WithCancel(t.Context())
				if rand.IntN(10) == 0 {
					go cancel()
				}
				func() {
					defer cancel()
					defer func() { _ = recover() }() // of a fetch of its own
					r, err := c.Do(ctx, m, "GET", fetch)
					if err != nil {
						failures.Add(1)
						return
					}
					if want := m.Path + m.Header.Get("A") + m.Header.Get("Authorization"); r.Header.Get("For") != want {
						t.Errorf("%q for %q", r.Header.Get("For"), want)
					}
					if only := r.Header.Get("Only"); only != "" && only != m.Header.Get("Only") {
						t.Errorf("the private answer of %q for %q", only, m.Header.Get("Only"))
					}
					if st := c.Stats(); st.Entries > 20+1 { // while one is being set
						t.Errorf("%+v", st)
					}
				}()
			}
		})
	}
	all.Wait()
	(&house{Cache: c}).wait()
	st := c.Stats()
	check.Holds(t, st.Hits > 0 && st.Misses > 0 && st.Shared > 0 && st.Evictions > 0 && failures.Load() > 0, st)
	check.Holds(t, st.Entries <= 20, st)
	check.Equal(t, 0, len(c.flights.under))
}
