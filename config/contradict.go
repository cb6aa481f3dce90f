package config

import (
	"fmt"
	"slices"

	"github.com/understudy-go/understudy/actors"
)

// written reports whether a key stands in the file.
func (s section) written(key string) bool {
	_, exact := find(s.node, key)
	return exact
}

// warnContradictions is about policies that take the sense out of one another. The
// first of the keys is the one that comes to nothing.
func (s section) warnContradictions(c actors.ServiceConfig) {
	d := c.WithDefaults()
	for _, x := range []struct {
		when        bool
		words, hint string
		keys        []string
	}{
		{c.Hedge != nil && c.NotIdempotent, "a service that is marked not idempotent is never hedged: a hedge sends the request twice",
			"leave out hedge, or not_idempotent", []string{"hedge"}},
		{c.Hedge != nil && d.Retry.MaxAttempts == 1, "no request is hedged: a hedge is a second attempt, and retry.max_attempts is 1",
			"raise retry.max_attempts, or leave out hedge", []string{"hedge"}},
		{c.Hedge != nil && len(c.Endpoints) == 1, "no request is hedged: there is no second endpoint",
			"list another one, or leave out hedge", []string{"hedge"}},
		{c.Hedge != nil && d.Hedge.Delay > 0 && d.AttemptTimeout > 0 && d.Hedge.Delay >= d.AttemptTimeout,
			fmt.Sprintf("no request is hedged: the attempt has timed out after attempt_timeout %s", duration(d.AttemptTimeout)),
			"lower hedge.delay, or leave it out for the service's own 95th percentile", []string{"hedge.delay"}},
		{c.Cache != nil && len(c.Methods) > 0 && !slices.Contains(c.Methods, "GET") && !slices.Contains(c.Methods, "HEAD"),
			"nothing is ever kept: only answers to GET and HEAD are, and methods has neither",
			"leave out cache, or add GET to methods", []string{"cache"}},
		{s.written("retry.budget") && d.Retry.MaxAttempts == 1 && c.Hedge == nil, "a budget of retries that are never made: retry.max_attempts is 1",
			"leave out the budget, or raise retry.max_attempts", []string{"retry.budget"}},
		{s.written("retry.max_attempts") && d.Retry.MaxAttempts > 1 && c.NotIdempotent,
			"a service that is marked not idempotent is retried only where nothing was sent",
			"lower retry.max_attempts to 1 if that is not meant", []string{"retry.max_attempts"}},
		{c.RateLimit.Limit == 0 && (c.RateLimit.Dynamic || c.RateLimit.Mode != "" || c.RateLimit.Per != 0), "there is no limit without rate_limit.limit",
			"give it one: {limit: 100, per: 1s}", []string{"rate_limit"}},
		{!c.Concurrency.Adaptive && (c.Concurrency.Min != 0 || c.Concurrency.Initial != 0), "min and initial are for a limit that finds itself",
			"add adaptive: true", []string{"concurrency.min", "concurrency.initial"}},
		{s.written("outlier") && !c.Outlier.Disabled && c.Outlier.Consecutive <= 0 && len(c.Endpoints) < min(d.Outlier.SuccessRateHosts, d.Outlier.FailurePercentageHosts),
			fmt.Sprintf("nobody is compared: that takes %d endpoints", min(d.Outlier.SuccessRateHosts, d.Outlier.FailurePercentageHosts)),
			"list more, lower success_rate_hosts and failure_percentage_hosts, or leave it out", []string{"outlier"}},
		{s.written("slow_start") && d.SlowStart.Window > 0 && slices.Contains([]string{"priority", "ip_hash", "consistent_hash", "sticky"}, d.Strategy.Pick),
			"the strategy " + d.Strategy.Pick + " has no slow start: it moves no request for it", "leave it out", []string{"slow_start"}},
		{len(c.Strategy.Weights) > 0 && slices.Contains([]string{"round_robin", "random", "priority"}, d.Strategy.Pick),
			"the strategy " + d.Strategy.Pick + " does not look at weights", "use weighted, or leave them out", []string{"strategy.weights"}},
	} {
		if x.when {
			s.warning(x.words, x.hint, x.keys...)
		}
	}
}

// checkFallbacks follows the services that fall back to one another.
func (s section) checkFallbacks(all map[string]actors.ServiceConfig) {
	for _, e := range s.node.entries {
		name, seen := e.key, []string{e.key}
		service := section{s.loading, e.value, join(s.path, e.key)}
		for f := all[name].Fallback; f != nil && f.Service != ""; f = all[name].Fallback {
			next := f.Service
			if _, known := all[next]; !known {
				if len(seen) == 1 {
					service.warning("no service here has this name, so there is nothing to fall back to until one is added", "correct it, or add the service", "fallback.service")
				}
				break
			}
			if next == e.key {
				service.fault("fallback.service", fallsBack(append(seen, next)))
				break
			}
			if slices.Contains(seen, next) {
				break // a ring that this one is not part of
			}
			seen = append(seen, next)
			name = next
		}
	}
}

func fallsBack(ring []string) string {
	if len(ring) == 2 {
		return "the service falls back to itself: name another one, or leave it out"
	}
	words := ring[0]
	for _, name := range ring[1:] {
		words += " → " + name
	}
	return "the services fall back to one another: " + words
}
