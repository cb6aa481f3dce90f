package cache

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/check"
)

// An answer as the model remembers it: all of them, for ever.
type remembered struct {
	came, fresh, refresh, onError time.Duration // from came on
	header                        messages.Header
	forgotten                     bool
}

// speech is what the service says, with the times that follow from it.
type speech struct {
	control                 string
	fresh, refresh, onError time.Duration
	kept                    bool
}

func speeches(cfg Config) []speech {
	ttl := cfg.WithDefaults().TTL
	return []speech{
		{"", ttl, cfg.StaleWhileRevalidate, cfg.StaleIfError, true},
		{"max-age=5", 5 * s, cfg.StaleWhileRevalidate, cfg.StaleIfError, true},
		{"max-age=5, must-revalidate", 5 * s, 0, 0, true},
		{"s-maxage=7, max-age=100", 7 * s, 0, 0, true},
		{"max-age=5, stale-while-revalidate=3, stale-if-error=9", 5 * s, 3 * s, 9 * s, true},
		{"no-store", 0, 0, 0, false},
		{"private, max-age=5", 0, 0, 0, false},
	}
}

// Whatever is served was kept for this path, these headers and this time, and is
// the newest of its kind; what the model knows to be fresh is served unless the
// bounds may have pushed it out; and the bounds hold.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{
			TTL:                  20 * s,
			StaleIfError:         rapid.SampledFrom([]time.Duration{0, 10 * s}).Draw(t, "stale if error"),
			StaleWhileRevalidate: rapid.SampledFrom([]time.Duration{0, 5 * s}).Draw(t, "stale while revalidate"),
			Authorized:           rapid.Bool().Draw(t, "authorized"),
			MaxEntries:           rapid.SampledFrom([]int{1, 3, 10_000}).Draw(t, "entries"),
		}
		varies := rapid.SampledFrom([][]string{nil, {"L"}, {"L", "M"}}).Draw(t, "vary")
		names := varies
		if cfg.Authorized {
			names = append([]string{"Authorization", "Cookie"}, varies...)
		}
		var (
			now     time.Duration
			all     []*remembered // the body is the number
			failing bool
			said    speech
			large   = cfg.MaxEntries > 1000
			asked   = 0
		)
		c := New(cfg, func() (time.Duration, time.Time) { return now, start.Add(now) })
		h := &house{Cache: c}
		fetch := func(_ context.Context, m *messages.Request) (*messages.Response, error) {
			asked++
			if failing {
				return nil, down
			}
			header := headers("Cache-Control", said.control)
			if len(varies) > 0 {
				header.Set("Vary", strings.Join(varies, ", "))
			}
			a := &remembered{now, now + said.fresh, now + said.fresh + said.refresh, now + said.fresh + said.onError, maps.Clone(m.Header), false}
			if cfg.Authorized || m.Header.Get("authorization") == "" && m.Header.Get("Cookie") == "" {
				for _, old := range all { // a newer one of its kind takes its place, or ends it
					old.forgotten = old.forgotten || old.header.Get("path") == m.Path && selectsSame(old.header, m.Header, names)
				}
				a.forgotten = !said.kept
			} else {
				a.forgotten = true
			}
			a.header.Set("path", m.Path)
			all = append(all, a)
			return &messages.Response{Status: 200, Header: header, Body: fmt.Append(nil, len(all)-1)}, nil
		}
		forget := func(path string) {
			for _, a := range all {
				a.forgotten = a.forgotten || a.header.Get("path") == path
			}
		}
		step := func() {
			m := &messages.Request{Path: rapid.SampledFrom([]string{"/a", "/b", "/c"}).Draw(t, "path"), Header: messages.Header{}}
			for _, name := range []string{"L", "l", "M", "authorization", "Cookie"} {
				if v := rapid.SampledFrom([]string{"", "", "1", "2"}).Draw(t, name); v != "" {
					m.Header.Set(name, v)
				}
			}
			passes := !cfg.Authorized && (m.Header.Get("authorization") != "" || m.Header.Get("Cookie") != "")
			if rapid.IntRange(0, 9).Draw(t, "write") == 0 {
				if _, err := c.Do(context.Background(), m, "POST", func(context.Context, *messages.Request) (*messages.Response, error) {
					return &messages.Response{Status: 200}, nil
				}); err == nil {
					forget(m.Path)
				}
				return
			}
			var newest *remembered
			if !passes {
				for _, a := range all {
					if !a.forgotten && a.header.Get("path") == m.Path && selectsSame(a.header, m.Header, names) {
						newest = a
					}
				}
			}
			before := len(all)
			r, err := c.Do(context.Background(), m, "GET", fetch)
			h.wait()
			known := func(limit func(*remembered) time.Duration) bool { return newest != nil && now < limit(newest) }
			fresh := known(func(a *remembered) time.Duration { return a.fresh })
			if err != nil {
				check.Holds(t, failing, "an error, though the service is well")
				check.Holds(t, !large || !known(func(a *remembered) time.Duration { return max(a.onError, a.refresh) }), "an error, though an answer might stand in")
				return
			}
			number, _ := strconv.Atoi(string(r.Body))
			got := all[number]
			switch r.Cache {
			case none:
				check.Holds(t, passes)
			case miss:
				check.Holds(t, number >= before, "a miss is a new answer")
				check.Holds(t, !large || !fresh, "a miss, though it was there")
			case hit:
				check.Holds(t, got == newest && fresh, "a hit that is none")
			case stale:
				check.Holds(t, got == newest && !fresh, "stale, and not the newest")
				check.Holds(t, now < got.refresh || failing && now < got.onError, "too stale")
			}
		}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			now += time.Duration(rapid.Int64Range(0, 6).Draw(t, "pause")) * s
			failing = rapid.IntRange(0, 3).Draw(t, "failing") == 0
			said = rapid.SampledFrom(speeches(cfg)).Draw(t, "says")
			step()
			st := c.Stats()
			check.Holds(t, st.Entries <= cfg.MaxEntries && st.Entries >= 0, st)
			check.Holds(t, st.Bytes <= cfg.WithDefaults().MaxBytes && st.Bytes >= 0, st)
		}
	})
}
