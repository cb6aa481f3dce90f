package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/failsafe-go/failsafe-go/timeout"
	"github.com/sony/gobreaker/v2"

	"github.com/understudy-go/understudy"
)

// budgets are those of the design, section 3.
var budgets = []budget{
	{"door_vs_micro_128", 1 / 0.7, door},
	{"do_full_vs_failsafe_1", 0.5, func(span time.Duration) float64 { return versusFailsafe(1, span) }},
	{"do_full_vs_failsafe_128", 0.5, func(span time.Duration) float64 { return versusFailsafe(128, span) }},
	{"do_bare_vs_gobreaker_1", 2, func(span time.Duration) float64 { return versusGobreaker(1, span) }},
	{"do_bare_vs_gobreaker_128", 3, func(span time.Duration) float64 { return versusGobreaker(128, span) }},
	{"do_bare_allocs", 0, func(time.Duration) float64 {
		ours, stop := understudyDo("understudy, no timeouts", noTimeouts)
		defer stop()
		return testing.AllocsPerRun(10_000, ours.op)
	}},
	{"do_p999_vs_default_dispatcher_128", 1.25, compareTail},
}

// noTimeouts leaves the default policies but those that need a context of their own.
var noTimeouts = understudy.ServiceConfig{Timeout: understudy.Off, AttemptTimeout: understudy.Off}

func versusFailsafe(callers int, span time.Duration) float64 {
	ours, stop := understudyDo("understudy, all policies", understudy.ServiceConfig{})
	defer stop()
	return compare(ours, failsafeAll(), callers, span)
}

func versusGobreaker(callers int, span time.Duration) float64 {
	ours, stop := understudyDo("understudy, no timeouts", noTimeouts)
	defer stop()
	return compare(ours, gobreakerBare(), callers, span)
}

func understudyDo(name string, c understudy.ServiceConfig) (subject, func()) {
	us, err := understudy.New(understudy.Config{})
	if err != nil {
		panic(err)
	}
	c.Endpoints = []understudy.Endpoint{{ID: "a"}, {ID: "b"}, {ID: "c"}, {ID: "d"}}
	s, err := us.AddService("bench", c)
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	fn := func(context.Context, understudy.Target) (int, error) { return 1, nil }
	return subject{name, func() {
		if _, err := understudy.Do(ctx, s, fn); err != nil {
			panic(err)
		}
	}}, func() { _ = us.Close() }
}

// failsafeAll is failsafe-go with the policies that Do has by default.
func failsafeAll() subject {
	retry := retrypolicy.NewBuilder[int]().WithMaxRetries(2).WithBackoff(25*time.Millisecond, 250*time.Millisecond).Build()
	breaker := circuitbreaker.NewBuilder[int]().WithFailureThreshold(5).Build()
	bulk := bulkhead.New[int](1024)
	limit := timeout.New[int](2 * time.Second)
	ex := failsafe.With[int](retry, breaker, bulk, limit)
	return subject{"failsafe retry+breaker+bulkhead+timeout", func() {
		if _, err := ex.Get(func() (int, error) { return 1, nil }); err != nil {
			panic(err)
		}
	}}
}

func gobreakerBare() subject {
	cb := gobreaker.NewCircuitBreaker[int](gobreaker.Settings{Name: "bench"})
	return subject{"gobreaker Execute", func() {
		if _, err := cb.Execute(func() (int, error) { return 1, nil }); err != nil {
			panic(err)
		}
	}}
}

// compareTail is our p99.9 over that of the same decisions on protoactor's default
// mailbox and dispatcher.
func compareTail(span time.Duration) float64 {
	ours, stopOurs := understudyDo("understudy, no timeouts", noTimeouts)
	defer stopOurs()
	theirs, stop := defaultDispatcher()
	defer stop()
	n := calibrate(ours, 128, 2*span)
	var ratios []float64
	for range 5 {
		runtime.GC()
		x := tail(ours, 128, n)
		runtime.GC()
		y := tail(theirs, 128, n)
		fmt.Fprintf(os.Stderr, "  p99.9 of 128 callers: understudy %v, default dispatcher %v\n", x, y)
		ratios = append(ratios, float64(x)/float64(y))
	}
	slices.Sort(ratios)
	return ratios[2]
}
