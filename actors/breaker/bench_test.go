package breaker

import (
	"testing"
	"time"

	"github.com/understudy-go/understudy/messages"
)

// BenchmarkClosed is what every request pays: a permit and a success.
func BenchmarkClosed(b *testing.B) {
	br := New(Config{})
	now := time.Duration(0)
	b.ReportAllocs()
	for b.Loop() {
		now += 10 * time.Microsecond
		p, ok := br.Acquire(now)
		if !ok {
			b.Fatal("refused")
		}
		br.Record(now, p, messages.Success, time.Millisecond, 0.5)
	}
}

// BenchmarkRefused is what a request pays at an open breaker.
func BenchmarkRefused(b *testing.B) {
	br := New(Config{})
	br.ForceOpen()
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := br.Acquire(1); ok {
			b.Fatal("admitted")
		}
	}
}
