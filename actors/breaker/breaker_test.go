package breaker

import (
	"fmt"
	"testing"
	"time"

	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/check"
)

const (
	ignored = messages.Ignored
	success = messages.Success
	failure = messages.Failure
	timeout = messages.Timeout
	refused = messages.ConnectFailure
)

// calls is n calls of one outcome.
type calls struct {
	n       int
	outcome messages.Outcome
	latency time.Duration
}

// TestOpening has a row for each way to open: the last call of the list is the one
// that opens, or none does and reason is empty.
func TestOpening(t *testing.T) {
	slow := Config{SlowCall: time.Second, SlowCallRate: 0.8, MinCalls: 10}
	rateOnly := Config{FailureThreshold: off}
	for _, tc := range []struct {
		name   string
		cfg    Config
		outage bool
		calls  []calls
		reason string
	}{
		{"in a row: below the threshold", Config{}, false, []calls{{4, failure, 0}}, ""},
		{"in a row: errors", Config{}, false, []calls{{5, failure, 0}}, "5 failures in a row"},
		{"in a row: all kinds", Config{}, false, []calls{{2, failure, 0}, {2, timeout, 0}, {1, refused, 0}}, "5 failures in a row"},
		{"in a row: a success begins anew", Config{}, false, []calls{{4, refused, 0}, {1, success, 0}, {4, timeout, 0}}, ""},
		{"in a row: ignored does not", Config{}, false, []calls{{4, failure, 0}, {9, ignored, 0}, {1, failure, 0}}, "5 failures in a row"},
		{"in a row: one is enough", Config{FailureThreshold: 1}, false, []calls{{1, failure, 0}}, "1 failure"},
		{"in a row: off", Config{FailureThreshold: off, FailureRate: off}, false, []calls{{1000, refused, 0}}, ""},

		{"rate: below min_calls", rateOnly, false, []calls{{19, failure, 0}}, ""},
		{"rate: at min_calls", rateOnly, false, []calls{{20, failure, 0}}, "failure rate 100% of 20 calls"},
		{"rate: exactly", rateOnly, false, []calls{{10, success, 0}, {10, timeout, 0}}, "failure rate 50% of 20 calls"},
		{"rate: just below", rateOnly, false, []calls{{11, success, 0}, {10, failure, 0}}, ""},
		{"rate: rounded in words", rateOnly, false, []calls{{9, failure, 0}, {9, success, 0}, {6, ignored, 0}, {2, failure, 0}}, "failure rate 55% of 20 calls"},
		{"rate: a success gives no verdict", rateOnly, false, []calls{{19, failure, 0}, {1, success, 0}}, ""},
		{"rate: the next failure does", rateOnly, false, []calls{{19, failure, 0}, {5, success, 0}, {1, failure, 0}}, "failure rate 80% of 25 calls"},
		{"rate: 7 of 100 is 7%", Config{FailureThreshold: off, FailureRate: 0.07, MinCalls: 100}, false, []calls{{93, success, 0}, {7, failure, 0}}, "failure rate 7% of 100 calls"},
		{"rate: off", Config{FailureRate: off}, false, []calls{{4, failure, 0}, {1, success, 0}, {4, failure, 0}, {1, success, 0}, {4, failure, 0}, {1, success, 0}, {4, failure, 0}, {1, success, 0}, {4, failure, 0}}, ""},

		{"slow: off by default", Config{}, false, []calls{{100, success, time.Hour}}, ""},
		{"slow: as slow as allowed", slow, false, []calls{{100, success, time.Second}}, ""},
		{"slow: below min_calls", slow, false, []calls{{9, success, time.Second + 1}}, ""},
		{"slow: at the rate", slow, false, []calls{{2, success, 0}, {8, success, time.Second + 1}}, "slow calls 80% of 10"},
		{"slow: below the rate", slow, false, []calls{{3, success, 0}, {10, success, 2 * time.Second}}, ""},
		{"slow: failures can be slow", slow, false, []calls{{4, timeout, time.Minute}, {6, success, time.Minute}}, "slow calls 100% of 10"},
		{"slow: the default rate", Config{SlowCall: time.Second}, false, []calls{{10, success, 0}, {10, success, time.Minute}}, "slow calls 50% of 20"},
		{"slow: only counted", Config{SlowCall: time.Second, SlowCallRate: off}, false, []calls{{100, success, time.Minute}}, ""},

		{"disabled", Config{Disabled: true}, false, []calls{{1000, refused, 0}}, ""},

		{"outage: errors below twice the threshold", Config{}, true, []calls{{9, failure, 0}}, ""},
		{"outage: errors at twice the threshold", Config{}, true, []calls{{10, failure, 0}}, "10 failures in a row"},
		{"outage: connection failures", Config{}, true, []calls{{5, refused, 0}}, "5 failures in a row"},
		{"outage: timeouts", Config{}, true, []calls{{5, timeout, 0}}, "5 failures in a row"},
		{"outage: mixed, neither alone", Config{}, true, []calls{{4, refused, 0}, {5, failure, 0}}, ""},
		{"outage: mixed, all together", Config{}, true, []calls{{4, refused, 0}, {6, failure, 0}}, "10 failures in a row"},
		{"outage: mixed, those without an answer alone", Config{}, true, []calls{{3, failure, 0}, {5, timeout, 0}}, "8 failures in a row"},
		{"outage: a success begins anew", Config{}, true, []calls{{4, refused, 0}, {1, success, 0}, {4, refused, 0}}, ""},
		{"outage: rate of errors below twice min_calls", rateOnly, true, []calls{{39, failure, 0}}, ""},
		{"outage: rate of errors at twice min_calls", rateOnly, true, []calls{{40, failure, 0}}, "failure rate 100% of 40 calls"},
		{"outage: rate of failures without an answer", rateOnly, true, []calls{{10, success, 0}, {10, timeout, 0}}, "failure rate 50% of 20 calls"},
		{"outage: mixed rate below twice min_calls", rateOnly, true, []calls{{9, timeout, 0}, {30, failure, 0}}, ""},
		{"outage: mixed rate at twice min_calls", rateOnly, true, []calls{{9, timeout, 0}, {31, failure, 0}}, "failure rate 100% of 40 calls"},
		{"outage: off stays off", Config{FailureThreshold: off, FailureRate: off}, true, []calls{{1000, refused, 0}}, ""},
		{"outage: slow calls are no errors", slow, true, []calls{{10, success, time.Minute}}, "slow calls 100% of 10"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCaller(tc.cfg)
			c.SetOutage(tc.outage)
			for _, group := range tc.calls {
				for range group.n {
					check.Equal(t, Closed, c.State(), "until the last call")
					c.callFor(group.latency, group.outcome)
				}
			}
			if tc.reason == "" {
				check.Equal(t, Closed, c.State())
				check.Equal(t, uint32(1), c.Epoch())
				return
			}
			check.Equal(t, Open, c.State())
			check.Equal(t, uint32(2), c.Epoch())
			check.Equal(t, tc.reason, c.Reason())
		})
	}
}

func TestOutageCountsAtTheNextFailure(t *testing.T) {
	c := newCaller(Config{})
	c.SetOutage(true)
	c.call(7, failure)
	check.Equal(t, Closed, c.State())
	c.SetOutage(false)
	check.Equal(t, Closed, c.State(), "the word alone opens nothing")
	c.call(1, failure)
	check.Equal(t, Open, c.State())
	check.Equal(t, "8 failures in a row", c.Reason())

	c.Reset()
	c.SetOutage(true)
	c.Reset()
	c.call(9, failure)
	check.Equal(t, Closed, c.State(), "Reset leaves the outage as it is")
}

func TestTrip(t *testing.T) {
	var seen []Counts
	c := newCaller(Config{
		FailureThreshold: 1, FailureRate: 0.01, MinCalls: 1, SlowCall: time.Second,
		Trip: func(n Counts) bool {
			seen = append(seen, n)
			return n.Failures >= 2 && n.Slow >= 1
		},
	})
	c.call(3, success)
	c.call(1, failure)
	check.Equal(t, Closed, c.State(), "it decides instead of the thresholds")
	c.callFor(2*time.Second, success)
	c.call(1, ignored)
	check.Equal(t, Closed, c.State())
	c.callFor(time.Second, timeout)
	check.Equal(t, Open, c.State())
	check.Equal(t, "custom rule", c.Reason())
	check.Equal(t, []Counts{
		{Consecutive: 1, Calls: 4, Failures: 1},
		{Consecutive: 0, Calls: 5, Failures: 1, Slow: 1},
		{Consecutive: 1, ConsecutiveNoAnswer: 1, Calls: 6, Failures: 2, NoAnswer: 1, Slow: 1},
	}, seen, "asked after each failed or slow call, that call counted")
}

func TestTripPanics(t *testing.T) {
	c := newCaller(Config{Trip: func(Counts) bool { panic("a user's mistake") }})
	func() {
		defer func() { check.Equal(t, any("a user's mistake"), recover()) }()
		c.call(1, failure)
	}()
	check.Equal(t, Closed, c.State())
	check.Equal(t, uint32(1), c.Epoch())
	check.Equal(t, Counts{Consecutive: 1, Calls: 1, Failures: 1}, c.counts(), "counted once")
	check.Holds(t, c.call(1, success), "it goes on")
}

// TestOpenTime: what a series of openings lasts. Each step opens the breaker so long
// after the last close, or by a failed trial if that is negative.
func TestOpenTime(t *testing.T) {
	const byTrial = -1
	type step struct {
		after time.Duration
		want  time.Duration
	}
	s := time.Second
	for _, tc := range []struct {
		name  string
		cfg   Config
		luck  float64
		steps []step
	}{
		{"doubles at each failed trial, up to the maximum", Config{Jitter: off}, 0,
			[]step{{0, 5 * s}, {byTrial, 10 * s}, {byTrial, 20 * s}, {byTrial, 40 * s}, {byTrial, 60 * s}, {byTrial, 60 * s}}},
		{"doubles when it opens soon after it closed", Config{Jitter: off}, 0,
			[]step{{0, 5 * s}, {0, 10 * s}, {60*s - 1, 20 * s}, {byTrial, 40 * s}}},
		{"forgets after 60 s of peace", Config{Jitter: off}, 0,
			[]step{{0, 5 * s}, {byTrial, 10 * s}, {60 * s, 5 * s}, {0, 10 * s}}},
		{"forgets a longer open time after as long", Config{OpenTimeout: 90 * s, OpenTimeoutMax: 300 * s, Jitter: off}, 0,
			[]step{{0, 90 * s}, {90*s - 1, 180 * s}, {180*s - 1, 300 * s}, {300 * s, 90 * s}}},
		{"fixed", Config{OpenTimeout: 10 * s, OpenTimeoutMax: 10 * s, Jitter: off}, 0.999,
			[]step{{0, 10 * s}, {byTrial, 10 * s}, {0, 10 * s}, {60 * s, 10 * s}}},
		{"fixed, longer than the default maximum", Config{OpenTimeout: 100 * s, Jitter: off}, 0,
			[]step{{0, 100 * s}, {byTrial, 100 * s}}},
		{"jitter of no luck never shortens", Config{}, 0,
			[]step{{0, 5 * s}, {byTrial, 10 * s}}},
		{"jitter adds and does not compound", Config{}, 0.5,
			[]step{{0, 5625 * time.Millisecond}, {byTrial, 11250 * time.Millisecond}, {byTrial, 22500 * time.Millisecond}}},
		{"jitter comes on top of the maximum", Config{OpenTimeout: 60 * s, Jitter: 0.5}, 0.5,
			[]step{{0, 75 * s}, {byTrial, 75 * s}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCaller(tc.cfg)
			c.luck = tc.luck
			for i, step := range tc.steps {
				if i > 0 {
					c.now = c.OpenUntil()
				}
				if step.after == byTrial {
					c.call(1, failure)
				} else {
					c.call(1, success) // a trial, but for the first step
					check.Equal(t, Closed, c.State())
					c.now += step.after
					c.call(5, failure)
				}
				check.Equal(t, Open, c.State(), "step ", i)
				check.Equal(t, step.want, c.OpenUntil()-c.now, "step ", i)
				check.Equal(t, step.want, c.RetryAfter(c.now), "step ", i)
			}
		})
	}
}

func TestWindowSlides(t *testing.T) {
	c := newCaller(Config{FailureThreshold: off, Window: 4 * time.Second}) // buckets of 100 ms
	c.call(10, failure)
	c.now = 2 * time.Second
	c.call(9, success)
	c.now = 4*time.Second - 1
	check.Equal(t, Counts{Consecutive: 0, Calls: 19, Failures: 10}, c.counts())
	c.now = 4 * time.Second
	check.Equal(t, Counts{Calls: 9}, c.counts(), "the first bucket is over")
	c.call(10, failure)
	check.Equal(t, Closed, c.State())
	c.call(1, failure)
	check.Equal(t, "failure rate 55% of 20 calls", c.Reason())
	c.now = time.Hour
	check.Equal(t, Counts{Consecutive: 11}, c.counts(), "a run does not fade")
}

func TestOvertakenResultCountsAsNew(t *testing.T) {
	c := newCaller(Config{})
	c.now = time.Minute
	c.call(1, success)
	c.now = 30 * time.Second
	c.call(1, failure)
	check.Equal(t, Counts{Consecutive: 1, Calls: 2, Failures: 1}, c.counts())
}

// opened is a breaker that five failures at zero have opened for 10 s.
func opened(cfg Config) *caller {
	cfg.OpenTimeout, cfg.Jitter = 10*time.Second, off
	c := newCaller(cfg)
	c.call(5, failure)
	return c
}

// TestTrial: what one outcome of the only trial does.
func TestTrial(t *testing.T) {
	slow := Config{SlowCall: time.Second}
	for _, tc := range []struct {
		name    string
		cfg     Config
		outcome messages.Outcome
		latency time.Duration
		state   State
		reason  string
		counts  Counts
	}{
		{"success", Config{}, success, time.Hour, Closed, "trial succeeded", Counts{}},
		{"failure", Config{}, failure, 0, Open, "trial failed", Counts{Consecutive: 6, Calls: 1, Failures: 1}},
		{"timeout", Config{}, timeout, 0, Open, "trial failed", Counts{Consecutive: 6, ConsecutiveNoAnswer: 1, Calls: 1, Failures: 1, NoAnswer: 1}},
		{"no connection", Config{}, refused, 0, Open, "trial failed", Counts{Consecutive: 6, ConsecutiveNoAnswer: 1, Calls: 1, Failures: 1, NoAnswer: 1}},
		{"ignored", Config{}, ignored, 0, HalfOpen, "open time over", Counts{Consecutive: 5}},
		{"slow", slow, success, time.Second + 1, Open, "trial too slow", Counts{Calls: 1, Slow: 1}},
		{"quick enough", slow, success, time.Second, Closed, "trial succeeded", Counts{}},
		{"slow, but that is no rule", Config{SlowCall: time.Second, SlowCallRate: off}, success, time.Hour, Closed, "trial succeeded", Counts{}},
		{"success, one of two", Config{SuccessThreshold: 2}, success, 0, HalfOpen, "open time over", Counts{Calls: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := opened(tc.cfg)
			c.now = 10 * time.Second
			p := c.acquire(1)[0]
			check.Equal(t, time.Second, c.RetryAfter(c.now), "while the permit is out")
			c.Record(c.now, p, tc.outcome, tc.latency, 0)
			check.Equal(t, tc.state, c.State())
			check.Equal(t, tc.reason, c.Reason())
			check.Equal(t, tc.counts, c.counts())
			check.Equal(t, tc.state != Open, c.Admits(c.now))
		})
	}
}

func TestRetryAfterOfAShortOpenTime(t *testing.T) {
	c := newCaller(Config{OpenTimeout: 100 * time.Millisecond, Jitter: off})
	c.call(5, failure)
	c.now = c.OpenUntil()
	c.acquire(1)
	check.Equal(t, 100*time.Millisecond, c.RetryAfter(c.now))
}

func TestClosingForgetsWhatOpened(t *testing.T) {
	c := opened(Config{FailureRate: 0.1, MinCalls: 6})
	c.now = 10*time.Second - 1
	c.Hasten(c.now) // the five failures are in the window still
	check.Equal(t, Counts{Consecutive: 5, Calls: 5, Failures: 5}, c.counts())
	c.call(1, success)
	check.Equal(t, Closed, c.State())
	c.call(4, failure)
	check.Equal(t, Closed, c.State())
}

func TestHasten(t *testing.T) {
	c := newCaller(Config{})
	c.Hasten(0)
	check.Equal(t, *New(Config{}), *c.Breaker, "closed: nothing")

	c = opened(Config{})
	epoch := c.Epoch()
	c.now = 3 * time.Second
	c.Hasten(c.now)
	check.Equal(t, Open, c.State())
	check.Equal(t, epoch, c.Epoch(), "it is no transition")
	check.Holds(t, c.Due(c.now) && c.Admits(c.now))
	c.now = 5 * time.Second
	c.Hasten(c.now)
	check.Equal(t, 3*time.Second, c.OpenUntil(), "never puts it off")
	c.call(1, failure)
	check.Equal(t, 20*time.Second, c.RetryAfter(c.now), "a failed trial doubles as ever")

	c.now = c.OpenUntil()
	c.acquire(1)
	before := *c.Breaker
	c.Hasten(c.now)
	check.Equal(t, before, *c.Breaker, "half-open: nothing")

	c.ForceOpen()
	c.Hasten(c.now)
	check.Holds(t, !c.Due(c.now) && !c.Admits(c.now), "nor against an operator's word")
}

func TestForceOpen(t *testing.T) {
	for _, tc := range []struct {
		name string
		from *caller
	}{
		{"closed", newCaller(Config{})},
		{"open", opened(Config{})},
		{"disabled", newCaller(Config{Disabled: true})},
		{"forced closed", func() *caller { c := newCaller(Config{}); c.ForceClosed(); return c }()},
		{"half-open", func() *caller { c := opened(Config{}); c.now = time.Minute; c.acquire(1); return c }()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, epoch := tc.from, tc.from.Epoch()
			late := Permit{Epoch: epoch, Trial: c.State() == HalfOpen}
			c.ForceOpen()
			check.Equal(t, Open, c.State())
			check.Equal(t, epoch+1, c.Epoch())
			check.Equal(t, "forced by operator", c.Reason())
			check.Equal(t, 0, c.OpenUntil(), "no time ends it")
			check.Equal(t, c.cfg.OpenTimeout, c.RetryAfter(c.now))

			c.record(late, success)
			c.record(Permit{Epoch: c.Epoch(), Trial: true}, success) // nobody was given this one
			for range 10 {
				c.now += 24 * time.Hour
				check.Holds(t, !c.Due(c.now) && !c.Admits(c.now) && !c.call(1, success))
			}
			check.Equal(t, Open, c.State())

			c.Reset()
			check.Equal(t, Closed, c.State())
			check.Equal(t, epoch+2, c.Epoch())
			check.Holds(t, c.call(1, success))
		})
	}
}

func TestForceClosed(t *testing.T) {
	c := opened(Config{SlowCall: time.Second})
	c.ForceClosed()
	check.Equal(t, Closed, c.State())
	check.Equal(t, "forced by operator", c.Reason())
	epoch := c.Epoch()
	for range 100 {
		check.Holds(t, c.callFor(time.Minute, refused))
	}
	check.Equal(t, Closed, c.State())
	check.Equal(t, epoch, c.Epoch())
	check.Equal(t, Counts{Consecutive: 100, ConsecutiveNoAnswer: 100, Calls: 100, Failures: 100, NoAnswer: 100, Slow: 100}, c.counts(), "counted all the same")

	late := c.acquire(1)[0]
	c.Reset()
	check.Equal(t, Counts{}, c.counts())
	check.Equal(t, "reset by operator", c.Reason())
	c.record(late, failure)
	check.Equal(t, Counts{}, c.counts(), "what was under way is forgotten too")
	c.call(5, failure)
	check.Equal(t, Open, c.State())
	check.Equal(t, 10*time.Second, c.RetryAfter(c.now), "the first open time again")
}

// Without the word the second opening, no 60 s after the first, would last 20 s.
func TestResetAndDisabledForgetOpenings(t *testing.T) {
	for name, forget := range map[string]func(*caller){
		"reset":    func(c *caller) { c.Reset() },
		"disabled": func(c *caller) { cfg := c.cfg; c.Configure(Config{Disabled: true}); c.Configure(cfg) },
	} {
		t.Run(name, func(t *testing.T) {
			c := opened(Config{})
			c.now = 10 * time.Second
			c.call(1, success)
			forget(c)
			c.call(5, failure)
			check.Equal(t, 10*time.Second, c.RetryAfter(c.now))
		})
	}
}

func TestDisabled(t *testing.T) {
	c := newCaller(Config{Disabled: true})
	c.call(1000, refused)
	check.Equal(t, 1000, c.hits)
	check.Equal(t, Counts{}, c.counts())
	check.Equal(t, "disabled", c.Reason())

	c.ForceClosed()
	check.Equal(t, "forced by operator", c.Reason())
	c.call(1, refused)
	check.Equal(t, Counts{}, c.counts())
}

func TestConfigure(t *testing.T) {
	base := Config{OpenTimeout: 10 * time.Second, Jitter: off}
	with := func(change func(*Config)) Config { c := base; change(&c); return c }

	t.Run("thresholds hold from the next call on", func(t *testing.T) {
		c := newCaller(base)
		c.call(4, failure)
		before := c.counts()
		c.Configure(with(func(cfg *Config) { cfg.FailureThreshold = 2 }))
		check.Equal(t, Closed, c.State())
		check.Equal(t, before, c.counts())
		c.call(1, failure)
		check.Equal(t, "5 failures in a row", c.Reason())
	})
	t.Run("an open time that has begun stays", func(t *testing.T) {
		c := opened(base)
		epoch := c.Epoch()
		c.Configure(with(func(cfg *Config) { cfg.OpenTimeout = 30 * time.Second }))
		check.Equal(t, 10*time.Second, c.OpenUntil())
		check.Equal(t, epoch, c.Epoch())
		c.now = 10 * time.Second
		c.call(1, failure)
		check.Equal(t, 30*time.Second, c.RetryAfter(c.now), "the next one is not below the new one")
		c.now = c.OpenUntil()
		c.Configure(with(func(cfg *Config) { cfg.OpenTimeoutMax = 15 * time.Second }))
		c.call(1, failure)
		check.Equal(t, 15*time.Second, c.RetryAfter(c.now), "nor above the new maximum")
	})
	t.Run("trial permits that are out count against a new limit", func(t *testing.T) {
		three := with(func(cfg *Config) { cfg.HalfOpenMaxCalls, cfg.SuccessThreshold = 3, 3 })
		c := newCaller(three)
		c.call(5, failure)
		c.now = 10 * time.Second
		permits := c.acquire(3)
		three.HalfOpenMaxCalls = 1
		c.Configure(three)
		c.record(permits[0], ignored)
		c.record(permits[1], ignored)
		check.Holds(t, !c.Admits(c.now))
		c.record(permits[2], ignored)
		check.Equal(t, 1, len(c.acquire(3)))
	})
	t.Run("another window begins empty", func(t *testing.T) {
		c := newCaller(base)
		c.now = time.Second
		c.call(3, failure)
		c.Configure(with(func(cfg *Config) { cfg.Window = time.Second }))
		check.Equal(t, Counts{Consecutive: 3}, c.counts())
		c.call(1, success)
		c.now = 2*time.Second - 1
		check.Equal(t, Counts{Calls: 1}, c.counts())
		c.now = 2 * time.Second
		check.Equal(t, Counts{}, c.counts())
	})
	t.Run("slow calls of before do not count once slow_call is off", func(t *testing.T) {
		c := newCaller(with(func(cfg *Config) { cfg.SlowCall, cfg.MinCalls = time.Second, 4 }))
		for range 3 {
			c.callFor(time.Minute, success)
		}
		c.Configure(with(func(cfg *Config) { cfg.MinCalls = 4 }))
		c.call(1, failure)
		check.Equal(t, Closed, c.State())
	})
	t.Run("disabled closes and forgets", func(t *testing.T) {
		c := opened(base)
		epoch := c.Epoch()
		c.Configure(Config{Disabled: true})
		check.Equal(t, Closed, c.State())
		check.Equal(t, epoch+1, c.Epoch())
		check.Equal(t, "disabled", c.Reason())
		check.Equal(t, Counts{}, c.counts())
		c.Configure(Config{Disabled: true})
		check.Equal(t, epoch+1, c.Epoch(), "once")
		c.Configure(base)
		check.Equal(t, "", c.Reason())
		c.call(5, failure)
		check.Equal(t, 10*time.Second, c.RetryAfter(c.now), "the first open time again")
	})
	t.Run("disabled forgets the counts of a closed one", func(t *testing.T) {
		c := newCaller(base)
		c.call(4, failure)
		c.Configure(Config{Disabled: true})
		check.Equal(t, uint32(1), c.Epoch(), "no transition")
		c.Configure(base)
		c.call(4, failure)
		check.Equal(t, Closed, c.State())
	})
	t.Run("an operator's word stands above disabled", func(t *testing.T) {
		c := newCaller(base)
		c.ForceOpen()
		c.Configure(Config{Disabled: true})
		check.Holds(t, !c.Admits(time.Hour))
		check.Equal(t, "forced by operator", c.Reason())
		c.Reset()
		check.Holds(t, c.call(100, failure))
	})
}

func TestZeroPermitChangesNothing(t *testing.T) {
	c := newCaller(Config{FailureThreshold: 1})
	before := *c.Breaker
	c.record(Permit{}, failure)
	check.Equal(t, before, *c.Breaker)
}

// A permit that comes back twice must not make room for a trial too many.
func TestTrialAccountNeverGoesNegative(t *testing.T) {
	c := opened(Config{SuccessThreshold: 2})
	c.now = 10 * time.Second
	p := c.acquire(1)[0]
	for range 5 {
		c.record(p, ignored)
	}
	c.record(p, success)
	c.record(p, failure)
	check.Equal(t, HalfOpen, c.State(), "without a permit out nothing is a trial's result")
	check.Equal(t, 1, len(c.acquire(50)))
}

func TestStateNames(t *testing.T) {
	check.Equal(t, "closed open half_open", fmt.Sprint(Closed, Open, HalfOpen))
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	c := newCaller(Config{SlowCall: time.Second})
	check.Equal(t, 0.0, testing.AllocsPerRun(1000, func() {
		c.now += time.Millisecond
		c.call(1, success)
		c.call(1, failure)
		c.call(1, success)
	}))
	c.ForceOpen()
	check.Equal(t, 0.0, testing.AllocsPerRun(1000, func() { c.call(1, success) }))
}
