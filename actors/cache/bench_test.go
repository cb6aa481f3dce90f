package cache

import (
	"context"
	"fmt"
	"testing"

	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/check"
)

// browser is what a request usually carries, and page what its answer does.
var (
	browser = []string{"Accept", "text/html", "Accept-Encoding", "gzip", "Accept-Language", "fr", "User-Agent", "test", "Traceparent", "00-0", "X-Request-Id", "7", "Referer", "/", "X-Forwarded-For", "192.0.2.1"}
	page    = []string{"Cache-Control", "max-age=3600", "Content-Type", "text/html", "Content-Length", "4", "Etag", `"a"`, "Date", date(0), "Server", "test", "Last-Modified", date(0), "X-Request-Id", "9"}
)

func benchmarkHit(b *testing.B, cfg Config, vary string) {
	h := newHouse(b, cfg).says(page...)
	if vary != "" {
		h.header.Set("Vary", vary)
	}
	h.get(miss, browser...)
	m := &messages.Request{Path: "/", Header: headers(browser...)}
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if r, _ := h.Do(ctx, m, "GET", h.fetch); r.Cache != hit {
			b.Fatal(r.Cache)
		}
	}
}

func BenchmarkHit(b *testing.B)           { benchmarkHit(b, Config{}, "") }
func BenchmarkHitVary(b *testing.B)       { benchmarkHit(b, Config{}, "Accept-Encoding") }
func BenchmarkHitAuthorized(b *testing.B) { benchmarkHit(b, Config{Authorized: true}, "") }

func BenchmarkHitParallel(b *testing.B) {
	h := newHouse(b, Config{}).says(page...)
	h.get(miss)
	m := &messages.Request{Path: "/", Header: headers(browser...)}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_, _ = h.Do(context.Background(), m, "GET", h.fetch)
		}
	})
}

func BenchmarkMiss(b *testing.B) {
	h := newHouse(b, Config{}).says(page...)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m := &messages.Request{Path: fmt.Sprint("/", i), Header: headers(browser...)}
		_, _ = h.Do(context.Background(), m, "GET", h.fetch)
	}
}

func BenchmarkPassBy(b *testing.B) {
	h := newHouse(b, Config{})
	m := &messages.Request{Path: "/", Header: headers(append(browser, "Authorization", "a")...)}
	r := &messages.Response{Status: 200}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = h.Do(context.Background(), m, "GET", func(context.Context, *messages.Request) (*messages.Response, error) { return r, nil })
	}
}

func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		New(Config{}, nil)
	}
}

// The answer, its header (a map of nine, in two allocations), its values and the
// number in Age.
func TestAHitAllocatesLittle(t *testing.T) {
	h := newHouse(t, Config{}).says(page...)
	h.get(miss)
	m := &messages.Request{Path: "/", Header: headers(browser...)}
	h.now = 200 * s
	n := testing.AllocsPerRun(1000, func() { _, _ = h.Do(context.Background(), m, "GET", h.fetch) })
	check.Holds(t, n <= 8, n)
}
