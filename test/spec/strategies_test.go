package spec

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/understudytest"
)

// "24. Round robin, 3 endpoints, 9 calls: strict order, 3 each. […]"
func TestStrategies24RoundRobin(t *testing.T) {
	s := add(t, start(t), "svc", understudy.ServiceConfig{Endpoints: named("a", "b", "c"), Strategy: inOrder})
	var b backend
	require.NoError(t, do(t, s, &b, 9))
	require.Equal(t, []string{"a", "b", "c", "a", "b", "c", "a", "b", "c"}, b.hits)
	require.Equal(t, []int{3, 3, 3}, []int{b.of("a"), b.of("b"), b.of("c")})
}

// "24. […] Least connections: 5 in flight against 0 picks 0."
func TestStrategies24LeastConnections(t *testing.T) {
	s := add(t, start(t), "svc", understudy.ServiceConfig{Endpoints: named("busy"), Strategy: understudy.Strategy{Pick: "least_connections"},
		SlowStart: understudy.SlowStart{Window: understudy.Off}})
	var held []*understudy.Lease
	for range 5 {
		l, err := s.Acquire(t.Context())
		require.NoError(t, err)
		held = append(held, l)
	}
	require.NoError(t, s.Register(understudy.Endpoint{ID: "idle"}))
	require.Equal(t, 5, status(t, s, "busy").Inflight)
	for n := range 5 { // 5 against 0, 1, … 4
		l, err := s.Acquire(t.Context())
		require.NoError(t, err)
		require.Equal(t, "idle", l.Target().ID(), "5 in flight against %d", n)
		held = append(held, l)
	}
	for _, l := range held {
		l.Done(nil)
	}
}

// "25. Weights 3:2:1, 600 calls: 300/200/100."
func TestStrategies25(t *testing.T) {
	weighted := []understudy.Endpoint{{ID: "a", Weight: 3}, {ID: "b", Weight: 2}, {ID: "c", Weight: 1}}
	for name, c := range map[string]understudy.ServiceConfig{
		"the endpoints' own": {Endpoints: weighted, Strategy: understudy.Strategy{Pick: "weighted"}},
		"by id":              {Endpoints: named("a", "b", "c"), Strategy: understudy.Strategy{Pick: "weighted", Weights: map[string]int{"a": 3, "b": 2}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := add(t, start(t), "svc", c)
			var b backend
			require.NoError(t, do(t, s, &b, 600))
			require.Equal(t, []int{300, 200, 100}, []int{b.of("a"), b.of("b"), b.of("c")})
		})
	}
}

// "26. web-1/2 healthy, web-3 degraded: `health_based` never picks web-3 until both
// others are out."
func TestStrategies26(t *testing.T) {
	c := understudy.ServiceConfig{Endpoints: named("web-1", "web-2", "web-3"), Strategy: understudy.Strategy{Pick: "health_based"},
		Health: understudy.Health{DegradedAbove: 500 * time.Millisecond},
		Hooks: understudy.Hooks{Check: func(ctx context.Context, target understudy.Target) error {
			if target.ID() == "web-3" {
				return taking(600*time.Millisecond, nil)(ctx)
			}
			return nil
		}}}
	virtually(t, c, func(t *testing.T, s *understudy.Service) {
		pass(time.Second)
		require.Equal(t, "degraded", status(t, s, "web-3").Health)
		var b backend
		require.NoError(t, do(t, s, &b, 300))
		require.Zero(t, b.of("web-3"))
		require.Positive(t, b.of("web-1"))
		require.Positive(t, b.of("web-2"))

		understudytest.Trip(t, s, "web-1")
		require.NoError(t, do(t, s, &b, 300))
		require.Zero(t, b.of("web-3"), "though only one of three is left above it")
		understudytest.Trip(t, s, "web-2")
		require.NoError(t, do(t, s, &b, 300))
		require.Equal(t, 300, b.of("web-3"))

		understudytest.Heal(t, s, "web-2")
		require.NoError(t, do(t, s, &b, 300))
		require.Equal(t, 300, b.of("web-3"))
	})
}

// "26. […] `health_based` never picks web-3 until both others are out": the same where
// they are out by their checks. Panic mode is for when web-3 is out too; a share as its
// threshold brings it on before.
func TestStrategies26Panic(t *testing.T) {
	for name, tc := range map[string]struct {
		threshold understudy.PanicThreshold
		panic     bool // with one of three eligible
	}{"last resort": {0, false}, "off": {understudy.Off, false}, "half": {0.5, true}} {
		t.Run(name, func(t *testing.T) {
			var checks backend
			c := understudy.ServiceConfig{Endpoints: named("web-1", "web-2", "web-3"), Strategy: understudy.Strategy{Pick: "health_based"},
				PanicThreshold: tc.threshold, SlowStart: understudy.SlowStart{Window: understudy.Off},
				Health: understudy.Health{InitialDelay: time.Hour, DegradedAbove: 500 * time.Millisecond, Fall: 1},
				Hooks: understudy.Hooks{Check: func(ctx context.Context, target understudy.Target) error {
					_, err := checks.call(ctx, target)
					return err
				}}}
			virtually(t, c, func(t *testing.T, s *understudy.Service) {
				check := func() {
					_, err := s.CheckAll(t.Context())
					require.NoError(t, err)
				}
				checks.set(taking(600*time.Millisecond, nil), "web-3")
				check()
				require.Equal(t, []string{"healthy", "healthy", "degraded"},
					[]string{status(t, s, "web-1").Health, status(t, s, "web-2").Health, status(t, s, "web-3").Health})
				var b backend
				require.NoError(t, do(t, s, &b, 100))
				checks.set(broken, "web-1")
				check()
				require.NoError(t, do(t, s, &b, 100))
				if !tc.panic { // web-2 alone is left
					require.Zero(t, b.of("web-3"))
				}
				checks.set(broken, "web-2")
				check()
				b.hits = nil
				require.NoError(t, do(t, s, &b, 100))
				require.Equal(t, tc.panic, s.Status().Panic)
				if tc.panic {
					require.Less(t, b.of("web-3"), 100)
				} else {
					require.Equal(t, 100, b.of("web-3"))
				}

				checks.set(broken, "web-3")
				check()
				b.hits = nil
				err := do(t, s, &b, 100)
				if tc.threshold == understudy.Off {
					coded(t, err, messages.CodeAllEndpointsDown)
					require.Zero(t, b.total())
					return
				}
				require.NoError(t, err, "as the last resort")
				require.True(t, s.Status().Panic)
				require.Positive(t, b.of("web-1"))
				require.Positive(t, b.of("web-2"))
			})
		})
	}
}

// available are the strategies that need neither a key nor a place.
var available = []string{"round_robin", "weighted", "least_connections", "random", "p2c_ewma", "priority", "health_based"}

// "28. 100 endpoints: 1000 selections in under 10 ms each on average by far; 10 × 100
// concurrent, clean under `-race`."
func TestStrategies28(t *testing.T) {
	var c understudy.ServiceConfig
	for i := range 100 {
		c.Endpoints = append(c.Endpoints, understudy.Endpoint{ID: fmt.Sprint("e", i), Weight: 1 + i%7, Priority: i % 3})
	}
	us := start(t)
	for _, name := range available {
		t.Run(name, func(t *testing.T) {
			c.Strategy.Pick = name
			s := add(t, us, name, c)
			began := time.Now()
			for range 1000 {
				_, err := s.Select(t.Context())
				require.NoError(t, err)
			}
			require.Less(t, time.Since(began)/1000, time.Millisecond, "by far: a tenth, under the race detector too")

			var served atomic.Int64
			var all sync.WaitGroup
			for range 10 {
				all.Go(func() {
					for range 100 {
						if _, err := s.Select(t.Context()); err != nil {
							t.Error(err)
						}
						_, err := understudy.Do(t.Context(), s, func(context.Context, understudy.Target) (int, error) { served.Add(1); return 0, nil })
						if err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
			require.EqualValues(t, 1000, served.Load())
			require.EqualValues(t, 1000, s.Stats().Succeeded)
			require.EqualValues(t, 1000, s.Stats().Attempts, "a selection counts nothing")
		})
	}
}
