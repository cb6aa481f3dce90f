package interaction

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-go/understudy"
)

// parseConfig reads key=value settings onto defaults without chance.
func parseConfig(settings []string) (understudy.ServiceConfig, error) {
	var c understudy.ServiceConfig
	c.Breaker.Jitter, c.Health.Jitter, c.Retry.Jitter, c.Health.IdleInterval = understudy.Off, understudy.Off, understudy.Off, understudy.Off
	c.Outlier.Jitter = understudy.Off
	for _, setting := range settings {
		key, value, _ := strings.Cut(setting, "=")
		set := keys[key]
		if set == nil {
			return c, fmt.Errorf("no such key: %s", key)
		}
		if err := set(&c, value); err != nil {
			return c, fmt.Errorf("%s: %w", setting, err)
		}
	}
	return c, nil
}

type setter func(*understudy.ServiceConfig, string) error

// keys are those of the file, without the blocks that they stand in there. Some are
// shorter: backoff=5s is constant, backoff=2s..10s doubles from one to the other, check=2s
// is the interval of a check and sweep=10s that of outlier detection, slow_start=30s its
// window, hedge=100ms a fixed delay. A fallback is stale, service:NAME or STATUS:BODY;
// several are given one after the other.
var keys = map[string]setter{
	"strategy":   text(func(c *understudy.ServiceConfig) *string { return &c.Strategy.Pick }),
	"tier":       text(func(c *understudy.ServiceConfig) *string { return &c.Strategy.Tier }),
	"endpoints":  endpoints, // a,b or, with addresses, a@http://a:1,b@http://b:1
	"weights":    numbers(func(c *understudy.ServiceConfig, e *understudy.Endpoint) *int { return &e.Weight }),
	"priorities": numbers(func(c *understudy.ServiceConfig, e *understudy.Endpoint) *int { return &e.Priority }),

	"panic_threshold": func(c *understudy.ServiceConfig, v string) error { return c.PanicThreshold.UnmarshalText([]byte(v)) },
	"slow_start":      span(func(c *understudy.ServiceConfig) *time.Duration { return &c.SlowStart.Window }),

	"timeout":         span(func(c *understudy.ServiceConfig) *time.Duration { return &c.Timeout }),
	"attempt_timeout": span(func(c *understudy.ServiceConfig) *time.Duration { return &c.AttemptTimeout }),

	"disabled":            flagged(func(c *understudy.ServiceConfig) *bool { return &c.Breaker.Disabled }),
	"failure_threshold":   number(func(c *understudy.ServiceConfig) *int { return &c.Breaker.FailureThreshold }),
	"failure_rate":        ratio(func(c *understudy.ServiceConfig) *float64 { return &c.Breaker.FailureRate }),
	"min_calls":           number(func(c *understudy.ServiceConfig) *int { return &c.Breaker.MinCalls }),
	"open_timeout":        span(func(c *understudy.ServiceConfig) *time.Duration { return &c.Breaker.OpenTimeout }),
	"open_timeout_max":    span(func(c *understudy.ServiceConfig) *time.Duration { return &c.Breaker.OpenTimeoutMax }),
	"half_open_max_calls": number(func(c *understudy.ServiceConfig) *int { return &c.Breaker.HalfOpenMaxCalls }),
	"success_threshold":   number(func(c *understudy.ServiceConfig) *int { return &c.Breaker.SuccessThreshold }),

	"max_attempts":   number(func(c *understudy.ServiceConfig) *int { return &c.Retry.MaxAttempts }),
	"backoff":        backoff,
	"ratio":          ratio(func(c *understudy.ServiceConfig) *float64 { return &c.Retry.Budget.Ratio }),
	"min_per_second": ratio(func(c *understudy.ServiceConfig) *float64 { return &c.Retry.Budget.MinPerSecond }),

	"hedge": hedge,

	"sweep":                       span(func(c *understudy.ServiceConfig) *time.Duration { return &c.Outlier.Interval }),
	"success_rate_stdev":          ratio(func(c *understudy.ServiceConfig) *float64 { return &c.Outlier.SuccessRateStdev }),
	"success_rate_hosts":          number(func(c *understudy.ServiceConfig) *int { return &c.Outlier.SuccessRateHosts }),
	"success_rate_requests":       number(func(c *understudy.ServiceConfig) *int { return &c.Outlier.SuccessRateRequests }),
	"failure_percentage":          ratio(func(c *understudy.ServiceConfig) *float64 { return &c.Outlier.FailurePercentage }),
	"failure_percentage_hosts":    number(func(c *understudy.ServiceConfig) *int { return &c.Outlier.FailurePercentageHosts }),
	"failure_percentage_requests": number(func(c *understudy.ServiceConfig) *int { return &c.Outlier.FailurePercentageRequests }),
	"consecutive":                 number(func(c *understudy.ServiceConfig) *int { return &c.Outlier.Consecutive }),
	"base_ejection":               span(func(c *understudy.ServiceConfig) *time.Duration { return &c.Outlier.BaseEjection }),
	"max_ejection":                span(func(c *understudy.ServiceConfig) *time.Duration { return &c.Outlier.MaxEjection }),
	"max_ejected":                 ratio(func(c *understudy.ServiceConfig) *float64 { return &c.Outlier.MaxEjected }),

	"limit":       number(func(c *understudy.ServiceConfig) *int { return &c.RateLimit.Limit }),
	"per":         span(func(c *understudy.ServiceConfig) *time.Duration { return &c.RateLimit.Per }),
	"mode":        text(func(c *understudy.ServiceConfig) *string { return &c.RateLimit.Mode }),
	"dynamic":     flagged(func(c *understudy.ServiceConfig) *bool { return &c.RateLimit.Dynamic }),
	"max_waiting": number(func(c *understudy.ServiceConfig) *int { return &c.RateLimit.MaxWaiting }),

	"concurrency": number(func(c *understudy.ServiceConfig) *int { return &c.Concurrency.Max }),
	"adaptive":    flagged(func(c *understudy.ServiceConfig) *bool { return &c.Concurrency.Adaptive }),
	"initial":     number(func(c *understudy.ServiceConfig) *int { return &c.Concurrency.Initial }),

	"ttl":                    cached(func(c *understudy.Cache) *time.Duration { return &c.TTL }),
	"stale_if_error":         cached(func(c *understudy.Cache) *time.Duration { return &c.StaleIfError }),
	"stale_while_revalidate": cached(func(c *understudy.Cache) *time.Duration { return &c.StaleWhileRevalidate }),
	"fallback":               fallback,

	"check":          span(func(c *understudy.ServiceConfig) *time.Duration { return &c.Health.Interval }),
	"initial_delay":  span(func(c *understudy.ServiceConfig) *time.Duration { return &c.Health.InitialDelay }),
	"fall":           number(func(c *understudy.ServiceConfig) *int { return &c.Health.Fall }),
	"rise":           number(func(c *understudy.ServiceConfig) *int { return &c.Health.Rise }),
	"readiness":      flagged(func(c *understudy.ServiceConfig) *bool { return &c.Health.Readiness }),
	"degraded_above": span(func(c *understudy.ServiceConfig) *time.Duration { return &c.Health.DegradedAbove }),
}

func text(field func(*understudy.ServiceConfig) *string) setter {
	return func(c *understudy.ServiceConfig, v string) error { *field(c) = v; return nil }
}

func flagged(field func(*understudy.ServiceConfig) *bool) setter {
	return func(c *understudy.ServiceConfig, v string) (err error) {
		*field(c), err = strconv.ParseBool(v)
		return err
	}
}

func number(field func(*understudy.ServiceConfig) *int) setter {
	return func(c *understudy.ServiceConfig, v string) (err error) {
		if v == "off" {
			v = "-1"
		}
		*field(c), err = strconv.Atoi(v)
		return err
	}
}

func ratio(field func(*understudy.ServiceConfig) *float64) setter {
	return func(c *understudy.ServiceConfig, v string) (err error) {
		percent := strings.TrimSuffix(v, "%")
		if v == "off" {
			percent = "-1"
		}
		f, err := strconv.ParseFloat(percent, 64)
		if percent != v && v != "off" {
			f /= 100
		}
		*field(c) = f
		return err
	}
}

func span(field func(*understudy.ServiceConfig) *time.Duration) setter {
	return func(c *understudy.ServiceConfig, v string) (err error) {
		if v == "off" {
			*field(c) = understudy.Off
			return nil
		}
		*field(c), err = time.ParseDuration(v)
		return err
	}
}

func endpoints(c *understudy.ServiceConfig, v string) error {
	for _, e := range strings.Split(v, ",") {
		id, url, _ := strings.Cut(e, "@")
		c.Endpoints = append(c.Endpoints, understudy.Endpoint{ID: id, URL: url})
	}
	return nil
}

// numbers reads a:3,b:2 into the endpoints, which stand before it.
func numbers(field func(*understudy.ServiceConfig, *understudy.Endpoint) *int) setter {
	return func(c *understudy.ServiceConfig, v string) error {
		for _, pair := range strings.Split(v, ",") {
			id, n, _ := strings.Cut(pair, ":")
			found := false
			for i := range c.Endpoints {
				if e := &c.Endpoints[i]; e.ID == id {
					found = true
					var err error
					if *field(c, e), err = strconv.Atoi(n); err != nil {
						return err
					}
				}
			}
			if !found {
				return fmt.Errorf("no endpoint %q yet", id)
			}
		}
		return nil
	}
}

func backoff(c *understudy.ServiceConfig, v string) error {
	from, to, doubles := strings.Cut(v, "..")
	first, err := time.ParseDuration(from)
	if err != nil {
		return err
	}
	c.Retry.Backoff = understudy.Constant(first)
	if doubles {
		last, err := time.ParseDuration(to)
		c.Retry.Backoff = understudy.Exponential(first, last)
		return err
	}
	return nil
}

func hedge(c *understudy.ServiceConfig, v string) (err error) {
	c.Hedge = &understudy.Hedge{}
	c.Hedge.Delay, err = time.ParseDuration(v)
	return err
}

// cached is a setting of the cache, which is there as soon as one is given.
func cached(field func(*understudy.Cache) *time.Duration) setter {
	return func(c *understudy.ServiceConfig, v string) error {
		if c.Cache == nil {
			c.Cache = &understudy.Cache{}
		}
		return span(func(*understudy.ServiceConfig) *time.Duration { return field(c.Cache) })(c, v)
	}
}

func fallback(c *understudy.ServiceConfig, v string) (err error) {
	if c.Fallback == nil {
		c.Fallback = &understudy.Fallback{}
	}
	switch kind, rest, _ := strings.Cut(v, ":"); kind {
	case "stale":
		c.Fallback.Stale = true
	case "service":
		c.Fallback.Service = rest
	default:
		c.Fallback.Status, err = strconv.Atoi(kind)
		c.Fallback.Body = rest
	}
	return err
}
