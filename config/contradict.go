package config

import (
	"fmt"
	"slices"
	"time"

	"github.com/understudy-go/understudy/actors"
	"github.com/understudy-go/understudy/actors/balance"
	"github.com/understudy-go/understudy/actors/hedge"
	"github.com/understudy-go/understudy/actors/limit"
	"github.com/understudy-go/understudy/actors/outlier"
	"github.com/understudy-go/understudy/actors/retry"
)

// Policies that take the sense out of one another. Nothing breaks by that, so it is
// a warning, and only where somebody wrote it down: what a service inherits may come
// to nothing there, as a budget does in the one service without retries. The defaults
// are looked at by themselves. So each warning stands at the line to change.
//
// Nor does it matter that a default comes to nothing when it is written out, as
// [File.Redacted] does.

// own reports whether a value of a key stands in this very block, and is not
// inherited.
func (s section) own(key string) bool {
	n, exact := find(s.node, key)
	if !exact || n.null || n.broken {
		return false
	}
	if s.base == nil {
		return true
	}
	inherited, exact := find(s.base, key)
	return !exact || inherited.at != n.at
}

// pointless warns of the first of the keys that is the block's own. The hints turn
// things off by off, which works against what is inherited too.
func (s section) pointless(words, hint string, keys ...string) {
	if i := slices.IndexFunc(keys, s.own); i >= 0 {
		s.warning(words, hint, keys[i])
	}
}

func (s section) warnContradictions(c actors.ServiceConfig) {
	d := c.WithDefaults()
	s.warnTime(d)
	s.warnRepeats(c, d)
	s.warnHedge(c, d)
	s.warnCache(c)
	s.warnBreaker(d)
	s.warnLimits(c, d)
	s.warnOutlier(d)
	s.warnStrategy(c, d)
}

// warnTime is about attempts that the whole timeout leaves no time for.
func (s section) warnTime(d actors.ServiceConfig) {
	if d.Timeout <= 0 || d.AttemptTimeout <= 0 || d.Retry.MaxAttempts > actors.AttemptsMax {
		return
	}
	before := d.Retry.MaxAttempts - 1
	switch spent := min(d.AttemptTimeout, d.Timeout) * time.Duration(before); {
	case before > 0 && spent >= d.Timeout:
		s.pointless(fmt.Sprintf("attempt %d never begins when those before it time out: %d × attempt_timeout %s is no less than timeout %s",
			before+1, before, duration(d.AttemptTimeout), duration(d.Timeout)),
			"lower attempt_timeout or max_attempts, or raise timeout",
			"retry.max_attempts", "attempt_timeout", "timeout")
	case before == 0 && d.AttemptTimeout > d.Timeout:
		s.pointless(fmt.Sprintf("no attempt lasts attempt_timeout %s: the request ends after timeout %s",
			duration(d.AttemptTimeout), duration(d.Timeout)),
			"raise timeout, or leave out attempt_timeout",
			"attempt_timeout")
	}
}

func (s section) warnRepeats(c, d actors.ServiceConfig) {
	if d.Retry.MaxAttempts == 1 && d.Retry.Budget.Ratio > 0 {
		s.pointless("a budget for retries that are never made: retry.max_attempts is 1",
			"leave out the budget, or raise max_attempts", "retry.budget")
	}
	if d.Retry.MaxAttempts > (retry.Config{}).WithDefaults().MaxAttempts && c.NotIdempotent {
		s.pointless("a service that is marked not idempotent is retried only where nothing was sent",
			"leave out max_attempts, or not_idempotent, unless that is what you want", "retry.max_attempts")
	}
}

func (s section) warnHedge(c, d actors.ServiceConfig) {
	if c.Hedge == nil {
		return
	}
	switch {
	case c.NotIdempotent:
		s.pointless("no request is hedged: a hedge sends it twice, and the service is marked not idempotent",
			"write hedge: off, or leave out not_idempotent", "hedge")
	case len(c.Methods) > 0 && !slices.ContainsFunc(c.Methods, retry.Idempotent):
		s.pointless("hedged are only requests that may be sent twice, and of methods none is: only those with an Idempotency-Key are left",
			"write hedge: off, unless callers send that header", "hedge")
	}
	if d.Retry.MaxAttempts == 1 {
		s.pointless("no request is hedged: a hedge is a second attempt, and retry.max_attempts is 1",
			"write hedge: off, or raise max_attempts", "hedge")
	}
	if len(c.Endpoints) == 1 {
		s.pointless("no request is hedged: a hedge goes to another endpoint, and there is only one",
			"list another one, or write hedge: off", "hedge")
	}
	delay := c.Hedge.Delay
	if delay == 0 {
		return
	}
	for _, end := range []struct {
		key   string
		after time.Duration
	}{{"attempt_timeout", d.AttemptTimeout}, {"timeout", d.Timeout}} {
		if end.after > 0 && delay >= end.after {
			s.pointless(fmt.Sprintf("no request is hedged: a first attempt that lasts %s has ended by %s %s", duration(delay), end.key, duration(end.after)),
				"lower the delay, or leave it out for the service's own 95th percentile", "hedge.delay")
			break
		}
	}
	preset := hedge.Config{}.WithDefaults()
	if d.Hedge.Quantile != preset.Quantile || d.Hedge.MinDelay != preset.MinDelay {
		s.pointless("has no meaning beside hedge.delay, which is fixed", "leave out one of them", "hedge.quantile", "hedge.min_delay")
	}
}

func (s section) warnCache(c actors.ServiceConfig) {
	if c.Cache != nil && len(c.Methods) > 0 && !slices.Contains(c.Methods, "GET") && !slices.Contains(c.Methods, "HEAD") {
		s.pointless("nothing is ever kept: only answers to GET and HEAD are, and methods has neither",
			"write cache: off, or add GET to methods", "cache")
	}
}

func (s section) warnBreaker(d actors.ServiceConfig) {
	b := d.Breaker
	if !b.Disabled && b.FailureThreshold < 0 && b.FailureRate < 0 && (b.SlowCall < 0 || b.SlowCallRate < 0) {
		s.pointless("nothing opens the breaker: failure_threshold and failure_rate are off",
			"leave one of them on, or write breaker: off to say so", "breaker.failure_threshold", "breaker.failure_rate")
	}
}

func (s section) warnLimits(c, d actors.ServiceConfig) {
	r, n, preset := d.RateLimit, d.Concurrency, limit.RateConfig{}.WithDefaults()
	if c.RateLimit.Limit == 0 && r != preset {
		s.pointless("nothing is limited: there is no limit", "give one, as in {limit: 100, per: 1s}, or write rate_limit: off", "rate_limit")
	}
	if r.Mode == limit.Reject && r.MaxWaiting != preset.MaxWaiting {
		s.pointless("nobody waits: mode is reject", "leave out max_waiting, or write mode: wait", "rate_limit.max_waiting")
	}
	if !n.Adaptive && n != (limit.ConcurrencyConfig{Max: n.Max}).WithDefaults() {
		s.pointless("has no meaning without adaptive, which finds the limit", "add adaptive: true, or leave it out", "concurrency.min", "concurrency.initial")
	}
}

func (s section) warnOutlier(d actors.ServiceConfig) {
	o, hosts := d.Outlier, comparing(d.Outlier)
	switch {
	case o.Disabled, o.Consecutive > 0, o == outlier.Config{}.WithDefaults():
	case hosts == 0:
		s.pointless("nobody is ever ejected: success_rate_stdev, failure_percentage and consecutive are off",
			"leave one of them on, or write outlier: off to say so", "outlier")
	case len(d.Endpoints) > 0 && len(d.Endpoints) < hosts:
		s.pointless(fmt.Sprintf("nobody is compared: that takes %d endpoints", hosts),
			"list more, lower success_rate_hosts or failure_percentage_hosts, or leave outlier out", "outlier")
	}
}

// comparing is how many endpoints it takes to compare them; 0: they never are.
func comparing(o outlier.Config) (hosts int) {
	if o.SuccessRateStdev > 0 {
		hosts = o.SuccessRateHosts
	}
	if o.FailurePercentage > 0 && (hosts == 0 || o.FailurePercentageHosts < hosts) {
		hosts = o.FailurePercentageHosts
	}
	return hosts
}

var withoutWeights = []string{"round_robin", "random", "priority"}

func (s section) warnStrategy(c, d actors.ServiceConfig) {
	pick := d.Strategy.Pick
	if d.SlowStart.Window > 0 && d.SlowStart != (balance.SlowStart{}).WithDefaults() && !d.Strategy.Warms() {
		s.pointless("the strategy "+pick+" knows no slow start", "leave it out", "slow_start")
	}
	if !slices.Contains(withoutWeights, pick) {
		return
	}
	weights := []string{"strategy.weights"}
	for i, e := range c.Endpoints {
		if e.Weight > 1 {
			weights = append(weights, item("endpoints", i)+".weight")
		}
	}
	s.pointless("the strategy "+pick+" does not look at weights", "write strategy: weighted, or leave them out", weights...)
}

// checkFallbacks is about services that fall back to themselves. Two that fall back to
// each other are fine: a request goes round once. An inherited fallback is everybody's
// but that service's own, so only what was written for one service counts.
func (s section) checkFallbacks(all map[string]actors.ServiceConfig) {
	for _, e := range s.node.entries {
		f, service := all[e.key].Fallback, section{s.loading, e.value, join(s.path, e.key), s.base}
		switch {
		case f == nil || !service.own("fallback.service"):
		case f.Service == e.key:
			service.fault("fallback.service", "the service falls back to itself: name another one, or leave it out")
		default:
			service.warnFallback(f, all)
		}
	}
}

func (s section) warnFallback(f *actors.Fallback, all map[string]actors.ServiceConfig) {
	if _, known := all[f.Service]; !known && f.Service != "" {
		s.warning("no service here has this name, so there is nothing to fall back to until one is added", "correct it, or add the service", "fallback.service")
	}
}
