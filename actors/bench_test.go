package actors

import (
	"context"
	"fmt"
	"testing"
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
