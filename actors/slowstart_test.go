package actors

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy/actors/balance"
	"github.com/understudy-go/understudy/actors/retry"
)

// slices5s counts what two endpoints get in slices of 5 s, as the first one's share of
// the second one's.
func slices5s(t *testing.T, s *Service, n int) (shares []float64) {
	t.Helper()
	for range n {
		seen := drive(t, s, 5*time.Second, 5*time.Millisecond, good)
		shares = append(shares, float64(seen["e0"])/float64(seen["e1"]))
	}
	return shares
}

// twins are a service of two endpoints that are alike; e0 trips at its first failure.
func twins(pick string) ServiceConfig {
	c := ServiceConfig{Endpoints: endpoints(2), Strategy: balance.Config{Pick: pick}, Retry: retry.Config{MaxAttempts: 1}}
	c.Breaker.FailureThreshold, c.Breaker.OpenTimeout, c.Breaker.Jitter = 1, 2*time.Second, Off
	return c
}

// tripAndHeal has e0's breaker open, and come back with the next trial.
func tripAndHeal(t *testing.T, s *Service) {
	t.Helper()
	advance(time.Second)
	drive(t, s, 100*time.Millisecond, 5*time.Millisecond, failing("e0"))
	require.Equal(t, "open", status(t, s, "e0").Breaker)
	advance(2 * time.Second)
	for range 5 {
		_, _ = Do(t.Context(), s, good)
	}
	synctest.Wait()
	require.Equal(t, "closed", status(t, s, "e0").Breaker)
}

// Its share grows evenly over 30 s, from a tenth on.
var warmingShares = []float64{0.11, 0.25, 0.42, 0.58, 0.75, 0.92, 1, 1}

func requireShares(t *testing.T, want, got []float64) {
	t.Helper()
	for i := range want {
		if math.Abs(got[i]-want[i]) > 0.1 {
			t.Fatalf("slice %d: shares %.2f, want about %.2f", i, got, want)
		}
	}
}

func TestWhoComesBackWarmsUp(t *testing.T) {
	for name, back := range map[string]func(*testing.T, *Service){
		"its breaker closes": tripAndHeal,
		"ready after maint": func(t *testing.T, s *Service) {
			advance(time.Second)
			for _, verb := range []Verb{VerbMaint, VerbReady} {
				require.NoError(t, s.Operate(t.Context(), Order{Endpoint: "e0", Verb: verb}))
			}
		},
		"its ejection ends": func(t *testing.T, s *Service) {
			c := s.Config()
			c.Outlier.Consecutive, c.Breaker.Disabled = 1, true
			require.NoError(t, s.Configure(c))
			advance(time.Second)
			drive(t, s, 100*time.Millisecond, 5*time.Millisecond, failing("e0"))
			require.Equal(t, []string{"e0"}, out(s))
			advance(time.Until(status(t, s, "e0").EjectedUntil))
		},
	} {
		for _, pick := range []string{"round_robin", "p2c_ewma"} {
			t.Run(name+"/"+pick, func(t *testing.T) {
				virtual(t, twins(pick), func(t *testing.T, s *Service) {
					back(t, s)
					require.InDelta(t, 30, time.Until(status(t, s, "e0").WarmingUntil).Seconds(), 0.1)
					requireShares(t, warmingShares, slices5s(t, s, len(warmingShares)))
					require.Zero(t, status(t, s, "e0").WarmingUntil)
				})
			})
		}
	}
}

func TestWhoseHealthComesBackWarmsUp(t *testing.T) {
	c, p := checking(2)
	c.SlowStart.Window = 0
	virtual(t, c, func(t *testing.T, s *Service) {
		require.Zero(t, status(t, s, "e0").WarmingUntil, "its first check was good")
		p.set(errStatus, "e0")
		advance(1500 * time.Millisecond)
		require.False(t, status(t, s, "e0").Eligible)
		p.set(nil, "e0")
		advance(time.Second)
		require.True(t, status(t, s, "e0").Eligible)
		requireShares(t, warmingShares[1:], slices5s(t, s, len(warmingShares))[1:])
	})
}

func TestNobodyWarmsUp(t *testing.T) {
	even := []float64{1, 1}
	t.Run("at the start", func(t *testing.T) {
		virtual(t, twins("round_robin"), func(t *testing.T, s *Service) {
			requireShares(t, even, slices5s(t, s, 2))
			require.Zero(t, status(t, s, "e0").WarmingUntil)
		})
	})
	t.Run("off", func(t *testing.T) {
		c := twins("round_robin")
		c.SlowStart.Window = Off
		virtual(t, c, func(t *testing.T, s *Service) {
			tripAndHeal(t, s)
			requireShares(t, even, slices5s(t, s, 2))
			require.Zero(t, status(t, s, "e0").WarmingUntil)
		})
	})
	t.Run("when all do", func(t *testing.T) {
		virtual(t, twins("round_robin"), func(t *testing.T, s *Service) {
			advance(time.Second)
			for _, verb := range []Verb{VerbMaint, VerbReady} {
				for _, id := range []string{"e0", "e1"} {
					require.NoError(t, s.Operate(t.Context(), Order{Endpoint: id, Verb: verb}))
				}
			}
			requireShares(t, even, slices5s(t, s, 2))
		})
	})
	t.Run("no longer, by a reload", func(t *testing.T) {
		c := twins("round_robin")
		virtual(t, c, func(t *testing.T, s *Service) {
			tripAndHeal(t, s)
			requireShares(t, warmingShares[:1], slices5s(t, s, 1))
			c.SlowStart.Window = Off
			require.NoError(t, s.Configure(c))
			requireShares(t, even, slices5s(t, s, 2))
		})
	})
}

// Not at process start, but for endpoints registered later.
func TestWhoIsRegisteredLaterWarmsUp(t *testing.T) {
	for name, register := range map[string]func(*testing.T, *Service){
		"Register": func(t *testing.T, s *Service) { require.NoError(t, s.Register(Endpoint{ID: "e0"})) },
		"Configure": func(t *testing.T, s *Service) {
			c := twins("round_robin")
			require.NoError(t, s.Configure(c))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := twins("round_robin")
			c.Endpoints = c.Endpoints[1:]
			virtual(t, c, func(t *testing.T, s *Service) {
				advance(time.Minute)
				register(t, s)
				requireShares(t, warmingShares, slices5s(t, s, len(warmingShares)))
			})
		})
	}
}
