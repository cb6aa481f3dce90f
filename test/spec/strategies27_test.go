package spec

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/understudytest"
)

// keyed are the strategies that go by a key or a place.
var keyed = []string{"ip_hash", "consistent_hash", "geographic", "sticky"}

// placed returns a system at a place.
func placed(t testing.TB, zone, region string) *understudy.System {
	t.Helper()
	us, err := understudy.New(understudy.Config{Node: "spec", Place: understudy.Place{Zone: zone, Region: region}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, us.Close()) })
	return us
}

// choices asks once with each key and returns who answered.
func choices(t testing.TB, s *understudy.Service, keys []string) map[string]string {
	t.Helper()
	out := make(map[string]string, len(keys))
	for _, key := range keys {
		got, err := understudy.Do(t.Context(), s, new(backend).call, understudy.Key(key))
		require.NoError(t, err)
		out[key] = got
	}
	return out
}

// at returns the keys that went to an endpoint.
func at(where map[string]string, id string) (keys []string) {
	for key, got := range where {
		if got == id {
			keys = append(keys, key)
		}
	}
	return keys
}

func addresses(n int) (keys []string) {
	for i := range n {
		keys = append(keys, fmt.Sprintf("10.0.%d.%d", i/250, i%250))
	}
	return keys
}

// "27. Same `ip_hash` key: same endpoint until it is ineligible; others' keys do not
// move. […]"
func TestStrategies27Hash(t *testing.T) {
	keys := addresses(300)
	for _, pick := range []string{"ip_hash", "consistent_hash"} {
		t.Run(pick, func(t *testing.T) {
			var sick sync.Map
			c := understudy.ServiceConfig{Endpoints: named("a", "b", "c", "d", "e"), Strategy: understudy.Strategy{Pick: pick},
				Retry: once, Breaker: fixed(5, time.Minute), PanicThreshold: understudy.Off,
				Health: understudy.Health{InitialDelay: 100 * time.Hour, Fall: 1, Rise: 1},
				Hooks: understudy.Hooks{Check: func(_ context.Context, target understudy.Target) error {
					if _, ill := sick.Load(target.ID()); ill {
						return errBroken
					}
					return nil
				}}}
			virtually(t, c, func(t *testing.T, s *understudy.Service) {
				_, err := s.CheckAll(t.Context())
				require.NoError(t, err)
				home := choices(t, s, keys)
				for _, id := range []string{"a", "b", "c", "d", "e"} {
					require.InDelta(t, 60, len(at(home, id)), 40, "everybody has a share: %s", id)
				}
				for range 3 {
					require.Equal(t, home, choices(t, s, keys), "same key, same endpoint")
					pass(time.Hour)
				}

				// It stays so while the endpoint is eligible, suspect or not.
				failing := at(home, "c")[0]
				for range 2 {
					_, err := understudy.Do(t.Context(), s, func(_ context.Context, target understudy.Target) (int, error) {
						require.Equal(t, "c", target.ID())
						return 0, noSuchHost
					}, understudy.Key(failing))
					require.Error(t, err)
				}
				require.True(t, status(t, s, "c").Eligible)
				require.Equal(t, home, choices(t, s, keys))

				for name, out := range map[string]struct{ leave, back func() }{
					"open":     {func() { understudytest.Trip(t, s, "c") }, func() { understudytest.Heal(t, s, "c") }},
					"in maint": {func() { operate(t, s, "c", understudy.VerbMaint) }, func() { operate(t, s, "c", understudy.VerbReady) }},
					"unhealthy": {func() { sick.Store("c", true); _ = s.Check(t.Context(), "c") },
						func() { sick.Delete("c"); _ = s.Check(t.Context(), "c") }},
				} {
					out.leave()
					synctest.Wait()
					require.False(t, status(t, s, "c").Eligible, name)
					away := choices(t, s, keys)
					heirs := make(map[string]bool)
					for key, id := range away {
						if home[key] == "c" {
							require.NotEqual(t, "c", id, name)
							heirs[id] = true
							continue
						}
						require.Equal(t, home[key], id, "%s: others' keys do not move", name)
					}
					require.Greater(t, len(heirs), 1, "%s: not all to one", name)
					require.Equal(t, away, choices(t, s, keys), "%s: nor do they wander", name)
					out.back()
					synctest.Wait()
					require.True(t, status(t, s, "c").Eligible, name)
					require.Equal(t, home, choices(t, s, keys), "%s: back home", name)
				}
			})
		})
	}
}

// "27. Same `ip_hash` key: same endpoint […]": in whichever way it is given, and
// whenever the service was made.
func TestStrategies27HashSameEverywhere(t *testing.T) {
	keys := addresses(100)
	for _, pick := range []string{"ip_hash", "consistent_hash"} {
		t.Run(pick, func(t *testing.T) {
			c := understudy.ServiceConfig{Strategy: understudy.Strategy{Pick: pick}}
			for _, id := range []string{"a", "b", "c"} {
				c.Endpoints = append(c.Endpoints, handler(id, answering(200)))
			}
			s, twin := add(t, start(t), "svc", c), add(t, start(t), "svc", c)
			home := choices(t, s, keys)
			require.Equal(t, home, choices(t, twin, keys), "another node agrees")
			for _, key := range keys {
				resp, err := s.Request(t.Context(), &messages.Request{Key: key})
				require.NoError(t, err)
				require.Equal(t, home[key], resp.Endpoint, "Request")
				target, err := s.Select(t.Context(), understudy.Key(key))
				require.NoError(t, err)
				require.Equal(t, home[key], target.ID(), "Select")
				l, err := s.Acquire(t.Context(), understudy.Key(key))
				require.NoError(t, err)
				require.Equal(t, home[key], l.Target().ID(), "Acquire")
				l.Done(nil)
			}
		})
	}
}

// world are two endpoints in us-east-1 and two elsewhere.
func world() understudy.ServiceConfig {
	return understudy.ServiceConfig{Strategy: understudy.Strategy{Pick: "geographic"}, SlowStart: understudy.SlowStart{Window: understudy.Off},
		Endpoints: []understudy.Endpoint{
			{ID: "virginia-a", Region: "us-east-1", Zone: "us-east-1a"},
			{ID: "virginia-b", Region: "us-east-1", Zone: "us-east-1b"},
			{ID: "oregon", Region: "us-west-2", Zone: "us-west-2a"},
			{ID: "ireland", Region: "eu-west-1", Zone: "eu-west-1a"},
		}}
}

// "27. […] `geographic` prefers region `us-east-1`. […]": the request's, where its key
// names one, else the node's own.
func TestStrategies27Geographic(t *testing.T) {
	for name, tc := range map[string]struct {
		zone, region string // where the node stands
		opts         []understudy.CallOption
	}{
		"the request's":                      {"", "", []understudy.CallOption{understudy.Key("us-east-1")}},
		"the request's, of a node elsewhere": {"eu-west-1a", "eu-west-1", []understudy.CallOption{understudy.Key("us-east-1")}},
		"the node's own":                     {"", "us-east-1", nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := add(t, placed(t, tc.zone, tc.region), "svc", world())
			ask := func(n int) *backend {
				var b backend
				for range n {
					_, err := understudy.Do(t.Context(), s, b.call, tc.opts...)
					require.NoError(t, err)
				}
				return &b
			}
			b := ask(200)
			require.Zero(t, b.of("oregon")+b.of("ireland"), "prefers us-east-1")
			require.Positive(t, b.of("virginia-a"))
			require.Positive(t, b.of("virginia-b"))

			understudytest.Trip(t, s, "virginia-a")
			understudytest.Trip(t, s, "virginia-b")
			b = ask(50)
			require.Equal(t, 50, b.of("oregon")+b.of("ireland"), "it is a preference: the others stand in")

			understudytest.Heal(t, s, "virginia-a")
			understudytest.Heal(t, s, "virginia-b")
			b = ask(50)
			require.Zero(t, b.of("oregon")+b.of("ireland"), "and it holds again")
		})
	}
	t.Run("another request's region", func(t *testing.T) {
		s := add(t, placed(t, "us-east-1a", "us-east-1"), "svc", world())
		for range 50 {
			got, err := understudy.Do(t.Context(), s, new(backend).call, understudy.Key("eu-west-1"))
			require.NoError(t, err)
			require.Equal(t, "ireland", got)
		}
	})
	t.Run("the node's own zone first", func(t *testing.T) {
		s := add(t, placed(t, "us-east-1b", "us-east-1"), "svc", world())
		var b backend
		require.NoError(t, do(t, s, &b, 50))
		require.Equal(t, 50, b.of("virginia-b"))
		understudytest.Trip(t, s, "virginia-b")
		require.NoError(t, do(t, s, &b, 50))
		require.Equal(t, 50, b.of("virginia-a"), "then the region")
	})
}

// "27. […] `sticky` holds a session 30 min by default."
//
// Their endpoint is kept busy, so that sessions which choose anew take the other one,
// but for one in a while that looks whether it is still busy.
func TestStrategies27Sticky(t *testing.T) {
	for name, tc := range map[string]struct {
		given, holds time.Duration
	}{"by default": {0, 30 * time.Minute}, "as configured": {10 * time.Minute, 10 * time.Minute}} {
		t.Run(name, func(t *testing.T) {
			c := understudy.ServiceConfig{Endpoints: named("a", "b"), Timeout: understudy.Off, AttemptTimeout: understudy.Off,
				Strategy: understudy.Strategy{Pick: "sticky", Sticky: tc.given}}
			virtually(t, c, func(t *testing.T, s *understudy.Service) {
				sessions := at(choices(t, s, addresses(100)), "a")
				require.Greater(t, len(sessions), 20)

				released := make(chan struct{})
				release := sync.OnceFunc(func() { close(released) })
				defer release()
				for range 100 {
					go func() {
						_, _ = understudy.Do(t.Context(), s, func(context.Context, understudy.Target) (int, error) { <-released; return 0, nil },
							understudy.Key(sessions[0]))
					}()
				}
				synctest.Wait()
				require.Equal(t, 100, status(t, s, "a").Inflight)
				stay := func() int { return len(at(choices(t, s, sessions), "a")) }
				require.Equal(t, len(sessions), stay(), "busy or not")
				for range 3 { // as long as it is used
					pass(tc.holds - time.Millisecond)
					require.Equal(t, len(sessions), stay(), "it is held %v", tc.holds)
				}
				pass(tc.holds + time.Millisecond)
				require.Less(t, stay(), len(sessions)/4, "and no longer")
				release()
				synctest.Wait()
			})
		})
	}
}

// "27. […] `sticky` holds a session 30 min by default.": while its endpoint is
// eligible; a suspicion or one error does not move it.
func TestStrategies27StickyUntilIneligible(t *testing.T) {
	c := understudy.ServiceConfig{Endpoints: named("a", "b", "c"), Strategy: understudy.Strategy{Pick: "sticky"}, Retry: once,
		SlowStart: understudy.SlowStart{Window: understudy.Off}}
	virtually(t, c, func(t *testing.T, s *understudy.Service) {
		keys := addresses(90)
		home := choices(t, s, keys)
		for _, id := range []string{"a", "b", "c"} {
			require.NotEmpty(t, at(home, id))
		}
		_, err := understudy.Do(t.Context(), s, func(context.Context, understudy.Target) (int, error) { return 0, noSuchHost },
			understudy.Key(at(home, "b")[0]))
		require.Error(t, err)
		require.Equal(t, home, choices(t, s, keys), "one reset moves no session")

		understudytest.Trip(t, s, "b")
		away := choices(t, s, keys)
		for _, key := range keys {
			if home[key] == "b" {
				require.NotEqual(t, "b", away[key])
			} else {
				require.Equal(t, home[key], away[key], "others' sessions do not move")
			}
		}
		understudytest.Heal(t, s, "b")
		for range 3 {
			pass(9 * time.Minute)
			require.Equal(t, away, choices(t, s, keys), "a session that had to move stays where it is now")
		}
	})
}

// "28. 100 endpoints: 1000 selections in under 10 ms each on average by far; 10 × 100
// concurrent, clean under `-race`.": those that go by a key or a place too.
func TestStrategies28Keyed(t *testing.T) {
	var c understudy.ServiceConfig
	for i := range 100 {
		c.Endpoints = append(c.Endpoints, understudy.Endpoint{ID: fmt.Sprint("e", i), Region: fmt.Sprint("r", i%5), Zone: fmt.Sprint("z", i%15),
			Location: []float64{float64(i%90) - 45, float64(i) - 50}})
	}
	us := placed(t, "z1", "r1")
	for _, name := range keyed {
		t.Run(name, func(t *testing.T) {
			c.Strategy.Pick = name
			s := add(t, us, name, c)
			began := time.Now()
			for i := range 1000 {
				_, err := s.Select(t.Context(), understudy.Key(fmt.Sprint("r", i%7)))
				require.NoError(t, err)
			}
			require.Less(t, time.Since(began)/1000, time.Millisecond, "by far: a tenth, under the race detector too")
			var all sync.WaitGroup
			for g := range 10 {
				all.Go(func() {
					for i := range 100 {
						_, err := understudy.Do(t.Context(), s, new(backend).call, understudy.Key(fmt.Sprint(g, i)))
						if err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
			require.EqualValues(t, 1000, s.Stats().Succeeded)
			require.EqualValues(t, 1000, s.Stats().Attempts)
		})
	}
}

// "Defects […]: […] a strategy that silently becomes round robin.": those that go by a
// key or a place are there under their names, and without a key say so.
func TestDefectKeyedStrategyBecomesRoundRobin(t *testing.T) {
	us := placed(t, "us-east-1a", "us-east-1")
	for _, name := range keyed {
		c := world()
		c.Strategy.Pick = name
		s := add(t, us, name, c)
		require.Contains(t, s.Status().Strategy, name)
		for range 2 {
			first := choices(t, s, []string{"us-west-2"})
			for range 20 {
				require.Equal(t, first, choices(t, s, []string{"us-west-2"}), name)
			}
		}
		require.Zero(t, s.Stats().Keyless, name)
		if name == "geographic" {
			continue // needs a key only for another place than the node's
		}
		var b backend
		require.NoError(t, do(t, s, &b, 10))
		require.EqualValues(t, 10, s.Stats().Keyless, name)
	}
	s := add(t, us, "alias", understudy.ServiceConfig{Endpoints: named("a"), Strategy: understudy.Strategy{Pick: "maglev"}})
	require.Contains(t, s.Status().Strategy, "consistent_hash")
}
