package actors

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/understudy-go/understudy/actors/health"
)

func benchService(tb testing.TB, c ServiceConfig, n int) *Service {
	tb.Helper()
	sys := New(Options{})
	tb.Cleanup(func() { _ = sys.Close() })
	for i := range n {
		c.Endpoints = append(c.Endpoints, Endpoint{ID: fmt.Sprintf("e%d", i)})
	}
	s, err := sys.AddService("bench", c)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// BenchmarkDo is the whole way: supervisor, endpoint, outcome.
func BenchmarkDo(b *testing.B) {
	off := ServiceConfig{Timeout: Off, AttemptTimeout: Off}
	for _, v := range []struct {
		name   string
		config ServiceConfig
	}{{"policies", ServiceConfig{}}, {"no_timeouts", off}} {
		for _, callers := range []int{1, 128} {
			b.Run(fmt.Sprintf("%s/callers=%d", v.name, callers), func(b *testing.B) {
				s := benchService(b, v.config, 4)
				fn := func(context.Context, Target) (int, error) { return 1, nil }
				ctx := context.Background()
				b.ReportAllocs()
				if callers == 1 {
					for b.Loop() {
						_, _ = Do(ctx, s, fn)
					}
					return
				}
				b.SetParallelism(callers / 2)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						_, _ = Do(ctx, s, fn)
					}
				})
			})
		}
	}
}

// BenchmarkIdleEndpoint reports the heap of an endpoint that nobody uses, without
// a check and with one that has a full history.
func BenchmarkIdleEndpoint(b *testing.B) {
	const n = 10_000
	for _, withCheck := range []bool{false, true} {
		b.Run(fmt.Sprintf("check=%v", withCheck), func(b *testing.B) {
			for b.Loop() {
				sys := New(Options{})
				before := heap()
				c := ServiceConfig{}
				if withCheck {
					c.Health.TCP, c.Health.InitialDelay = &health.TCPCheck{}, time.Hour
				}
				for i := range n {
					c.Endpoints = append(c.Endpoints, Endpoint{ID: fmt.Sprintf("endpoint-%d", i), URL: fmt.Sprintf("http://10.0.0.1:%d", 1024+i)})
				}
				s, err := sys.AddService("idle", c)
				if err != nil {
					b.Fatal(err)
				}
				if withCheck {
					for _, cell := range s.cells().cells {
						for range 100 {
							cell.mailbox.Post(&checked{checkResult{ok: true, words: "status 200"}}, nil)
						}
					}
				}
				s.cells()
				b.ReportMetric(float64(heap()-before)/n, "B/endpoint")
				_ = sys.Close()
			}
		})
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
