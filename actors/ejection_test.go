package actors

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy/actors/balance"
	"github.com/understudy-go/understudy/actors/outlier"
	"github.com/understudy-go/understudy/actors/retry"
	"github.com/understudy-go/understudy/messages"
)

// comparing is a service of n endpoints that have equal shares and no breaker, so that
// nothing but a comparison tells them apart.
func comparing(n int) ServiceConfig {
	c := ServiceConfig{Endpoints: endpoints(n), Strategy: balance.Config{Pick: "round_robin"}, Retry: retry.Config{MaxAttempts: 1}}
	c.Breaker.Disabled, c.SlowStart.Window, c.PanicThreshold = true, Off, Off
	return c
}

// failingEach fails each so many-th time at the endpoints that are named.
func failingEach(n int, ids ...string) func(context.Context, Target) (string, error) {
	asked := make(map[string]int)
	return func(_ context.Context, t Target) (string, error) {
		if asked[t.ID()]++; contains(ids, t.ID()) && asked[t.ID()]%n == 0 {
			return t.ID(), errBoom
		}
		return t.ID(), nil
	}
}

// drive sends a request every so often for that long, and counts where they went.
func drive(t *testing.T, s *Service, d, every time.Duration, f func(context.Context, Target) (string, error)) map[string]int {
	t.Helper()
	seen := make(map[string]int)
	for end := time.Now().Add(d); time.Now().Before(end); <-time.After(every) {
		var r Report
		_, _ = Do(t.Context(), s, f, Into(&r))
		seen[r.Endpoint]++
	}
	synctest.Wait()
	return seen
}

// out are the endpoints that are ejected now.
func out(s *Service) (ids []string) {
	for _, e := range s.Status().Endpoints {
		if !e.EjectedUntil.IsZero() {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

// events are those of one kind.
func events(s *Service, k messages.Kind) (found []messages.Event) {
	for _, e := range s.History(eventsKept) {
		if e.Kind == k {
			found = append(found, e)
		}
	}
	return found
}

func TestOneOfTenThatFailsIsEjectedAndComesBack(t *testing.T) {
	c := comparing(10)
	virtual(t, c, func(t *testing.T, s *Service) {
		half := failingEach(2, "e3")
		drive(t, s, 9900*time.Millisecond, 5*time.Millisecond, half)
		require.Empty(t, out(s), "before the sweep")
		drive(t, s, 200*time.Millisecond, 5*time.Millisecond, half)

		require.Equal(t, []string{"e3"}, out(s))
		e := status(t, s, "e3")
		require.False(t, e.Eligible)
		require.Equal(t, "closed", e.Breaker)
		require.Contains(t, e.EjectedReason, "success rate 50% is below")
		ejected := events(s, messages.KindEndpointEjected)
		require.Len(t, ejected, 1)
		require.Equal(t, "e3", ejected[0].Endpoint)
		require.True(t, strings.HasPrefix(ejected[0].Cause.Words, e.EjectedReason), ejected[0].Cause.Words)
		require.Equal(t, e.EjectedUntil, ejected[0].Cause.Until)
		lasts := e.EjectedUntil.Sub(ejected[0].Time)
		require.GreaterOrEqual(t, lasts, 30*time.Second)
		require.LessOrEqual(t, lasts, 33*time.Second)

		require.Zero(t, drive(t, s, 29*time.Second, 20*time.Millisecond, half)["e3"], "while it is ejected")
		advance(time.Until(e.EjectedUntil) + time.Millisecond)
		require.Empty(t, out(s))
		require.True(t, status(t, s, "e3").Eligible)
		returned := events(s, messages.KindEndpointReturned)
		require.Len(t, returned, 1)
		require.Equal(t, "e3", returned[0].Endpoint)
		require.Equal(t, 20, drive(t, s, time.Second, 5*time.Millisecond, good)["e3"], "it has its share again")
	})
}

// Who fails again as soon as it is back stays away longer each time.
func TestEjectionsGetLonger(t *testing.T) {
	c := comparing(10)
	c.Outlier.Consecutive, c.Outlier.MaxEjection = 1, 80*time.Second
	virtual(t, c, func(t *testing.T, s *Service) {
		for _, least := range []time.Duration{30 * time.Second, 60 * time.Second, 80 * time.Second, 80 * time.Second} {
			drive(t, s, time.Second, 10*time.Millisecond, failing("e3"))
			require.Equal(t, []string{"e3"}, out(s))
			all := events(s, messages.KindEndpointEjected)
			last := all[len(all)-1]
			lasts := last.Cause.Until.Sub(last.Time)
			require.GreaterOrEqual(t, lasts, least)
			require.LessOrEqual(t, lasts, least+least/10)
			advance(time.Until(last.Cause.Until))
		}
	})
}

func TestNobodyIsEjected(t *testing.T) {
	config := func(n int, change func(*outlier.Config)) ServiceConfig {
		c := comparing(n)
		change(&c.Outlier)
		return c
	}
	asItIs := func(*outlier.Config) {}
	all := []string{"e0", "e1", "e2", "e3", "e4", "e5", "e6", "e7", "e8", "e9"}
	for name, x := range map[string]struct {
		c     ServiceConfig
		f     func(context.Context, Target) (string, error)
		every time.Duration
	}{
		"all are well":                 {config(10, asItIs), good, 5 * time.Millisecond},
		"all fail alike":               {config(10, asItIs), failingEach(2, all...), 5 * time.Millisecond},
		"too few requests":             {config(10, asItIs), failingEach(2, "e3"), 30 * time.Millisecond},
		"too few endpoints":            {config(4, asItIs), failingEach(2, "e3"), 5 * time.Millisecond},
		"disabled":                     {config(10, func(c *outlier.Config) { c.Disabled = true }), failingEach(2, "e3"), 5 * time.Millisecond},
		"both rules are off":           {config(10, func(c *outlier.Config) { c.SuccessRateStdev, c.FailurePercentage = Off, Off }), failingEach(2, "e3"), 5 * time.Millisecond},
		"a success now and then":       {config(10, func(c *outlier.Config) { c.Consecutive, c.SuccessRateStdev = 3, Off }), failingEach(2, "e3"), 5 * time.Millisecond},
		"all but one in the same rate": {config(5, asItIs), failingEach(4, "e0", "e1", "e2", "e3"), 5 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, x.c, func(t *testing.T, s *Service) {
				drive(t, s, 35*time.Second, x.every, x.f)
				require.Zero(t, count(s, messages.KindEndpointEjected))
			})
		})
	}
}

func TestNeverMoreAreEjectedThanMay(t *testing.T) {
	for _, x := range []struct {
		n           int
		bad         []string
		consecutive int
		most        int
	}{
		{n: 6, bad: []string{"e0", "e2", "e4"}, most: 2}, // 34 % of 6 is 2.04
		{n: 5, bad: []string{"e0", "e1", "e2", "e3", "e4"}, most: 1},
		{n: 6, bad: []string{"e0", "e2", "e4"}, consecutive: 1, most: 2},
		{n: 2, bad: []string{"e0", "e1"}, consecutive: 1, most: 1},
		{n: 1, bad: []string{"e0"}, consecutive: 1, most: 0},
	} {
		t.Run(fmt.Sprintf("%d of %d, consecutive %d", len(x.bad), x.n, x.consecutive), func(t *testing.T) {
			c := comparing(x.n)
			c.Outlier.Consecutive, c.Outlier.FailurePercentage = x.consecutive, 0.4
			virtual(t, c, func(t *testing.T, s *Service) {
				most, half := 0, failingEach(2, x.bad...)
				for range 60 {
					drive(t, s, time.Second, 10*time.Millisecond, half)
					most = max(most, len(out(s)))
				}
				require.Equal(t, x.most, most)
			})
		})
	}
}

func TestFailuresInARowEjectAtOnce(t *testing.T) {
	c := comparing(3)
	c.Outlier.Consecutive = 3
	virtual(t, c, func(t *testing.T, s *Service) {
		drive(t, s, 60*time.Millisecond, 10*time.Millisecond, failing("e1")) // two rounds
		require.EqualValues(t, 2, status(t, s, "e1").Failures)
		require.Empty(t, out(s))
		drive(t, s, 1100*time.Millisecond, 10*time.Millisecond, failing("e1")) // it was suspect meanwhile
		require.EqualValues(t, 3, status(t, s, "e1").Failures)
		require.Equal(t, []string{"e1"}, out(s))
		require.Equal(t, "failures in a row: 3", status(t, s, "e1").EjectedReason)
		require.Zero(t, drive(t, s, time.Second, 100*time.Millisecond, good)["e1"])
	})
}

// What happened under another list is compared with nothing, and the next sweep is.
func TestTheListChangesDuringASweep(t *testing.T) {
	const n = 100 // asked 64 at a time
	c := comparing(n)
	c.Outlier.SuccessRateRequests = 10
	virtual(t, c, func(t *testing.T, s *Service) {
		half := failingEach(2, "e90")
		drive(t, s, 9990*time.Millisecond, 5*time.Millisecond, half)
		advance(20 * time.Millisecond)
		_, _ = Do(t.Context(), s, half) // the first 64 are asked
		require.NoError(t, s.Deregister("e5"))
		require.NoError(t, s.Register(Endpoint{ID: "new"}))
		require.NoError(t, s.Update(Endpoint{ID: "e7", Weight: 2}))
		drive(t, s, 100*time.Millisecond, 5*time.Millisecond, half)
		require.Empty(t, out(s), "of a list that is no more")
		drive(t, s, 10*time.Second, 5*time.Millisecond, half)
		require.Equal(t, []string{"e90"}, out(s))
		settled(t, s)
	})
}

// Who is in maint takes no part: neither its past counts, nor is it one of five.
func TestWhoIsInMaintTakesNoPart(t *testing.T) {
	for name, x := range map[string]struct {
		maint string
		out   []string
	}{
		"the bad one": {"e3", nil},
		"a good one":  {"e1", nil}, // four are too few
		"none":        {"", []string{"e3"}},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, comparing(5), func(t *testing.T, s *Service) {
				half := failingEach(2, "e3")
				drive(t, s, 9*time.Second, 5*time.Millisecond, half)
				if x.maint != "" {
					require.NoError(t, s.Operate(t.Context(), Order{Endpoint: x.maint, Verb: VerbMaint}))
				}
				drive(t, s, 2*time.Second, 5*time.Millisecond, half)
				require.Equal(t, x.out, out(s))
			})
		})
	}
}

func TestAReloadChangesWhoIsAnOutlier(t *testing.T) {
	c := comparing(10)
	c.Outlier.Disabled = true
	virtual(t, c, func(t *testing.T, s *Service) {
		half := failingEach(2, "e3")
		drive(t, s, 12*time.Second, 5*time.Millisecond, half)
		require.Empty(t, out(s))

		c.Outlier = outlier.Config{Interval: 2 * time.Second, BaseEjection: 5 * time.Second, Jitter: Off}
		require.NoError(t, s.Configure(c))
		drive(t, s, 2100*time.Millisecond, 2*time.Millisecond, half)
		require.Equal(t, []string{"e3"}, out(s))
		require.InDelta(t, 5, time.Until(status(t, s, "e3").EjectedUntil).Seconds(), 0.2)

		c.Outlier.Disabled = true
		require.NoError(t, s.Configure(c))
		drive(t, s, 10*time.Second, 2*time.Millisecond, half)
		require.Empty(t, out(s), "its time is over and nobody is ejected anew")
		require.Equal(t, 1, count(s, messages.KindEndpointEjected))
	})
}

func TestAnOperatorEndsAnEjection(t *testing.T) {
	c := comparing(3)
	c.Outlier.Consecutive = 2
	virtual(t, c, func(t *testing.T, s *Service) {
		drive(t, s, time.Second, 10*time.Millisecond, failing("e1"))
		require.Equal(t, []string{"e1"}, out(s))
		require.NoError(t, s.Operate(t.Context(), Order{Endpoint: "e1", Verb: VerbReset, By: "ann"}))
		synctest.Wait()
		require.Empty(t, out(s))
		require.True(t, status(t, s, "e1").Eligible)
		require.NotZero(t, drive(t, s, time.Second, 100*time.Millisecond, good)["e1"])
		advance(time.Minute)
		require.Equal(t, 1, count(s, messages.KindEndpointReturned), "once")
	})
}

// Who comes back under the same address is still ejected, for what is left of it.
func TestWhoComesBackIsStillEjected(t *testing.T) {
	for _, away := range []time.Duration{0, 10 * time.Second, 25 * time.Second} {
		t.Run(away.String(), func(t *testing.T) {
			c := comparing(3)
			c.Outlier.Consecutive, c.Outlier.BaseEjection, c.Outlier.Jitter = 2, 20*time.Second, Off
			virtual(t, c, func(t *testing.T, s *Service) {
				drive(t, s, time.Second, 10*time.Millisecond, failing("e1"))
				until := status(t, s, "e1").EjectedUntil
				require.False(t, until.IsZero())
				require.NoError(t, s.Deregister("e1"))
				advance(away)
				require.NoError(t, s.Register(Endpoint{ID: "e1"}))
				synctest.Wait()
				require.Equal(t, time.Now().Before(until), contains(out(s), "e1"))
				advance(time.Until(until) + time.Millisecond)
				require.Empty(t, out(s))
				require.NotZero(t, drive(t, s, time.Second, 100*time.Millisecond, good)["e1"])
			})
		})
	}
}

// What an endpoint counted before it was taken out, or before its actor panicked, is
// not counted twice in the next comparison.
func TestASampleIsOfOneIntervalOnly(t *testing.T) {
	for name, disturb := range map[string]func(*testing.T, *Service){
		"back": func(t *testing.T, s *Service) {
			require.NoError(t, s.Deregister("e3"))
			advance(time.Second)
			require.NoError(t, s.Register(Endpoint{ID: "e3"}))
		},
		"restarted": func(t *testing.T, s *Service) { crash(s.endpointCell(t, "e3")) },
		"reset": func(t *testing.T, s *Service) {
			require.NoError(t, s.Operate(t.Context(), Order{Endpoint: "e3", Verb: VerbReset}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := comparing(10)
			c.Outlier.SuccessRateStdev = Off
			virtual(t, c, func(t *testing.T, s *Service) {
				// 60 % failed until the sweep, which is not enough, and none since.
				drive(t, s, 10100*time.Millisecond, 5*time.Millisecond, func(ctx context.Context, target Target) (string, error) {
					if time.Now().UnixMilli()/50%10 < 6 {
						return failing("e3")(ctx, target)
					}
					return good(ctx, target)
				})
				disturb(t, s)
				drive(t, s, 21*time.Second, 5*time.Millisecond, good)
				require.Zero(t, count(s, messages.KindEndpointEjected))
				require.Greater(t, status(t, s, "e3").Attempts, uint64(0))
			})
		})
	}
}

// outlier.Config.Disabled: "turns everything here off".
func TestDisabledTurnsFailuresInARowOffToo(t *testing.T) {
	c := comparing(3)
	c.Outlier.Disabled, c.Outlier.Consecutive = true, 3
	virtual(t, c, func(t *testing.T, s *Service) {
		drive(t, s, 5*time.Second, 10*time.Millisecond, failing("e1"))
		require.Empty(t, out(s))
	})
}

// "never the last eligible one", "never more than max(1, 34 %)": two that report
// failures in a row before the supervisor has heard of the first one's ejection.
func TestTwoAtOnceAreNotBothEjected(t *testing.T) {
	var block chan struct{} // of the bubble
	c := comparing(2)
	c.Strategy = balance.Config{}
	c.Outlier.Consecutive = 1
	c.Hooks.Pick = func(key string, candidates []balance.Candidate) int {
		if key == "block" {
			<-block
		}
		for i, x := range candidates {
			if x.ID == key {
				return i
			}
		}
		return 0
	}
	virtual(t, c, func(t *testing.T, s *Service) {
		block = make(chan struct{})
		release := make(chan struct{})
		for _, id := range []string{"e0", "e1"} {
			go func() {
				_, _ = Do(context.Background(), s, func(context.Context, Target) (int, error) { <-release; return 0, errBoom }, Key(id))
			}()
		}
		synctest.Wait()
		go func() { _, _ = Do(context.Background(), s, good, Key("block")) }() // the supervisor is busy
		synctest.Wait()
		close(release) // meanwhile both fail
		synctest.Wait()
		close(block)
		synctest.Wait()
		require.Len(t, out(s), 1)
	})
}

// A parked endpoint that is taken out and comes back begins counting anew: its samples too.
func TestAParkedEndpointThatComesBackIsNoOutlier(t *testing.T) {
	c := comparing(10)
	c.Outlier.SuccessRateStdev = Off
	virtual(t, c, func(t *testing.T, s *Service) {
		drive(t, s, 10100*time.Millisecond, 5*time.Millisecond, failingEach(2, "e3")) // 50 %: no outlier
		require.Empty(t, out(s))
		park(t, s, "e3")
		require.NoError(t, s.Deregister("e3"))
		require.NoError(t, s.Register(Endpoint{ID: "e3"}))
		drive(t, s, 20*time.Second, 5*time.Millisecond, good)
		require.Zero(t, count(s, messages.KindEndpointEjected), "%v", status(t, s, "e3"))
	})
}

// A list that changes more often than the interval, by discovery say, keeps no outlier in.
func TestAListThatChangesOftenIsComparedToo(t *testing.T) {
	virtual(t, comparing(10), func(t *testing.T, s *Service) {
		half := failingEach(2, "e3")
		for i := range 12 {
			drive(t, s, 5*time.Second, 5*time.Millisecond, half)
			require.NoError(t, s.Update(Endpoint{ID: "e9", Weight: i + 1}))
		}
		require.NotZero(t, count(s, messages.KindEndpointEjected), "in a minute")
	})
}

// "base ejection 30 s × times ejected ≤ 300 s": who goes on failing half of its
// requests at 200 requests a second, all on defaults but for the breaker.
func TestEjectionsGrowBySweepsToo(t *testing.T) {
	c := comparing(10)
	c.SlowStart.Window = 0
	virtual(t, c, func(t *testing.T, s *Service) {
		drive(t, s, 10*time.Minute, 5*time.Millisecond, failingEach(2, "e3"))
		var lasts []time.Duration
		for _, e := range events(s, messages.KindEndpointEjected) {
			lasts = append(lasts, e.Cause.Until.Sub(e.Time).Round(time.Second))
		}
		require.Greater(t, len(lasts), 1)
		require.GreaterOrEqual(t, lasts[1], 60*time.Second, "%v", lasts)
	})
}

// VerbReset: "forgets what it has counted".
func TestAResetForgetsFailuresInARow(t *testing.T) {
	c := comparing(2)
	c.Outlier.Consecutive = 3
	virtual(t, c, func(t *testing.T, s *Service) {
		drive(t, s, 500*time.Millisecond, 10*time.Millisecond, failing("e1"))
		require.EqualValues(t, 2, status(t, s, "e1").Failures)
		require.NoError(t, s.Operate(t.Context(), Order{Endpoint: "e1", Verb: VerbReset}))
		drive(t, s, 600*time.Millisecond, 10*time.Millisecond, failing("e1"))
		require.EqualValues(t, 3, status(t, s, "e1").Failures)
		require.Empty(t, out(s))
	})
}
