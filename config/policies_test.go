package config

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy/actors"
	"github.com/understudy-go/understudy/actors/balance"
	"github.com/understudy-go/understudy/actors/cache"
	"github.com/understudy-go/understudy/actors/hedge"
	"github.com/understudy-go/understudy/actors/limit"
	"github.com/understudy-go/understudy/actors/outlier"
)

type service = actors.ServiceConfig

// policies are the ways to write the policies around an attempt.
var policies = []struct {
	key, value string
	want       service
}{
	{"outlier", "{}", service{}},
	{"outlier", "off", service{Outlier: outlier.Config{Disabled: true}}},
	{"outlier", "{disabled: true}", service{Outlier: outlier.Config{Disabled: true}}},
	{"outlier", "{interval: 5s, success_rate_stdev: 2.5, success_rate_hosts: 3, success_rate_requests: 10, failure_percentage: 50%, failure_percentage_hosts: 2, failure_percentage_requests: 20, " +
		"consecutive: 7, base_ejection: 10s, max_ejection: 2m, jitter: off, max_ejected: 20%}",
		service{Outlier: outlier.Config{Interval: 5 * time.Second, SuccessRateStdev: 2.5, SuccessRateHosts: 3, SuccessRateRequests: 10, FailurePercentage: 0.5, FailurePercentageHosts: 2,
			FailurePercentageRequests: 20, Consecutive: 7, BaseEjection: 10 * time.Second, MaxEjection: 2 * time.Minute, Jitter: -1, MaxEjected: 0.2}}},
	{"slow_start", "{}", service{}},
	{"slow_start", "20s", service{SlowStart: balance.SlowStart{Window: 20 * time.Second}}},
	{"slow_start", "off", service{SlowStart: balance.SlowStart{Window: -1}}},
	{"slow_start", "{window: 1m, aggression: 1.5, min_weight: 5%}", service{SlowStart: balance.SlowStart{Window: time.Minute, Aggression: 1.5, MinWeight: 0.05}}},
	{"panic_threshold", "last_resort", service{}},
	{"panic_threshold", "30%", service{PanicThreshold: 0.3}},
	{"panic_threshold", "0.3", service{PanicThreshold: 0.3}},
	{"panic_threshold", "off", service{PanicThreshold: -1}},
	{"hedge", "{}", service{Hedge: &hedge.Config{}}},
	{"hedge", "50ms", service{Hedge: &hedge.Config{Delay: 50 * time.Millisecond}}},
	{"hedge", "off", service{}},
	{"hedge", "{delay: 50ms}", service{Hedge: &hedge.Config{Delay: 50 * time.Millisecond}}},
	{"hedge", "{quantile: 99%, min_delay: off}", service{Hedge: &hedge.Config{Quantile: 0.99, MinDelay: -1}}},
	{"concurrency", "{}", service{}},
	{"concurrency", "50", service{Concurrency: limit.ConcurrencyConfig{Max: 50}}},
	{"concurrency", "off", service{Concurrency: limit.ConcurrencyConfig{Max: -1}}},
	{"concurrency", "{max: 50, adaptive: true, min: 2, initial: 5}", service{Concurrency: limit.ConcurrencyConfig{Max: 50, Adaptive: true, Min: 2, Initial: 5}}},
	{"rate_limit", "off", service{}},
	{"rate_limit", "100", service{RateLimit: limit.RateConfig{Limit: 100}}},
	{"rate_limit", "{limit: off}", service{RateLimit: limit.RateConfig{Limit: -1}}},
	{"rate_limit", "{limit: 5, per: 2s, mode: reject, dynamic: true, max_waiting: 9}",
		service{RateLimit: limit.RateConfig{Limit: 5, Per: 2 * time.Second, Mode: limit.Reject, Dynamic: true, MaxWaiting: 9}}},
	{"cache", "{}", service{Cache: &cache.Config{}}},
	{"cache", "300s", service{Cache: &cache.Config{TTL: 5 * time.Minute}}},
	{"cache", "off", service{}},
	{"cache", "{ttl: off, max_entries: 7, max_bytes: 1MiB, stale_if_error: 1h, stale_while_revalidate: off, authorized: true}",
		service{Cache: &cache.Config{TTL: -1, MaxEntries: 7, MaxBytes: 1 << 20, StaleIfError: time.Hour, StaleWhileRevalidate: -1, Authorized: true}}},
	{"fallback", "{}", service{Fallback: &actors.Fallback{}}},
	{"fallback", "off", service{}},
	{"fallback", "{service: billing}", service{Fallback: &actors.Fallback{Service: "billing"}}},
	{"fallback", "{status: 503, body: sorry}", service{Fallback: &actors.Fallback{Status: 503, Body: "sorry"}}},
	{"fallback", "{service: billing, body: sorry}", service{Fallback: &actors.Fallback{Service: "billing", Body: "sorry"}}},
	{"methods", "[GET, POST]", service{Methods: []string{"GET", "POST"}}},
	{"not_idempotent", "true", service{NotIdempotent: true}},
	{"not_idempotent", "no", service{}},
}

// A policy means the same in a file, in a layer over another, inherited, from a
// variable, and after it was shown.
func TestPoliciesAreReadEverywhere(t *testing.T) {
	for _, p := range policies {
		t.Run(p.key+" "+p.value, func(t *testing.T) {
			text := "{" + p.key + ": " + p.value + "}"
			f := mustLoad(t, "services: {orders: "+text+"}")
			variable := envPrefix + "SERVICES__ORDERS__" + strings.ToUpper(p.key) + "=" + p.value
			require.Equal(t, p.want, f.Services["orders"], "file")
			require.Equal(t, p.want, layers(t, "services: {orders: {"+p.key+": }}", "services: {orders: "+text+"}").Services["orders"], "layer")
			require.Equal(t, p.want, mustLoad(t, "defaults: "+text+"\nservices: {orders: {}}").Services["orders"], "inherited")
			require.Equal(t, p.want, mustLoad(t, "services: {orders: {}}", variable).Services["orders"], "variable")
			require.Equal(t, p.want, mustLoad(t, "", variable).Services["orders"], "variable alone")
			require.Equal(t, f.WithDefaults().Services, mustLoad(t, f.Redacted()).WithDefaults().Services, "%s", f.Redacted())
		})
	}
	c := mustLoad(t, "services: {orders: {cache: {}, fallback: {stale: true}}}")
	require.Equal(t, &actors.Fallback{Stale: true}, c.Services["orders"].Fallback)
	require.Equal(t, &actors.Fallback{Stale: true}, mustLoad(t, c.Redacted()).Services["orders"].Fallback, "no static answer comes in")
}

// A variable reaches into a block, whatever stood in its place.
func TestAVariableReachesIntoAPolicy(t *testing.T) {
	for _, below := range []string{"{}", "{outlier: off, slow_start: off, hedge: off, concurrency: off, rate_limit: off, cache: off, fallback: off, methods: []}"} {
		c := mustLoad(t, "services: {orders: "+below+"}",
			"UNDERSTUDY_CFG__SERVICES__ORDERS__OUTLIER__MAX_EJECTED=20%",
			"UNDERSTUDY_CFG__SERVICES__ORDERS__OUTLIER__DISABLED=false",
			"UNDERSTUDY_CFG__SERVICES__ORDERS__SLOW_START__WINDOW=1m",
			"UNDERSTUDY_CFG__SERVICES__ORDERS__HEDGE__QUANTILE=99%",
			"UNDERSTUDY_CFG__SERVICES__ORDERS__CONCURRENCY__MAX=50",
			"UNDERSTUDY_CFG__SERVICES__ORDERS__CONCURRENCY__ADAPTIVE=true",
			"UNDERSTUDY_CFG__SERVICES__ORDERS__RATE_LIMIT__LIMIT=5",
			"UNDERSTUDY_CFG__SERVICES__ORDERS__CACHE__MAX_BYTES=1MiB",
			"UNDERSTUDY_CFG__SERVICES__ORDERS__FALLBACK__SERVICE=billing",
			"UNDERSTUDY_CFG__SERVICES__ORDERS__METHODS__0=GET",
			"UNDERSTUDY_CFG__SERVICES__ORDERS__ENDPOINTS__0={id: a, region: eu-1, location: [-1, 2.5]}",
			"UNDERSTUDY_CFG__SERVICES__ORDERS__ENDPOINTS__0__LOCATION__1=-2.5",
		).Services["orders"]
		require.Equal(t, service{
			Outlier:     outlier.Config{MaxEjected: 0.2},
			SlowStart:   balance.SlowStart{Window: time.Minute},
			Hedge:       &hedge.Config{Quantile: 0.99},
			Concurrency: limit.ConcurrencyConfig{Max: 50, Adaptive: true},
			RateLimit:   limit.RateConfig{Limit: 5},
			Cache:       &cache.Config{MaxBytes: 1 << 20},
			Fallback:    &actors.Fallback{Service: "billing"},
			Methods:     []string{"GET"},
			Endpoints:   []actors.Endpoint{{ID: "a", Region: "eu-1", Location: []float64{-1, -2.5}}},
		}, c)
	}
}

// A block merges key by key with the one beneath it; a single value replaces it, and
// off takes it away. A delay that is measured displaces one that is fixed.
func TestPoliciesInLayers(t *testing.T) {
	upon := func(below, above string) service {
		t.Helper()
		c := layers(t, "services: {s: "+below+"}", "services: {s: "+above+"}").Services["s"]
		require.Equal(t, c, layers(t, "defaults: "+below+"\nservices: {s: "+above+"}").Services["s"], "inherited is as layered")
		return c
	}
	for _, x := range []struct {
		below, above string
		want         service
	}{
		{"{outlier: {interval: 5s, jitter: 5%}}", "{outlier: {jitter: 20%}}", service{Outlier: outlier.Config{Interval: 5 * time.Second, Jitter: 0.2}}},
		{"{outlier: {interval: 5s}}", "{outlier: off}", service{Outlier: outlier.Config{Disabled: true}}},
		{"{outlier: off}", "{outlier: }", service{}},
		{"{slow_start: {aggression: 2}}", "{slow_start: {window: 10s}}", service{SlowStart: balance.SlowStart{Window: 10 * time.Second, Aggression: 2}}},
		{"{slow_start: {aggression: 2}}", "{slow_start: 10s}", service{SlowStart: balance.SlowStart{Window: 10 * time.Second}}},
		{"{panic_threshold: 30%}", "{panic_threshold: last_resort}", service{}},
		{"{hedge: 50ms}", "{hedge: off}", service{}},
		{"{hedge: off}", "{hedge: {}}", service{Hedge: &hedge.Config{}}},
		{"{hedge: 50ms}", "{hedge: {}}", service{Hedge: &hedge.Config{Delay: 50 * time.Millisecond}}},
		{"{hedge: 50ms}", "{hedge: {quantile: 99%}}", service{Hedge: &hedge.Config{Quantile: 0.99}}},
		{"{hedge: {quantile: 99%, min_delay: 5ms}}", "{hedge: {delay: 50ms}}", service{Hedge: &hedge.Config{Delay: 50 * time.Millisecond}}},
		{"{concurrency: {adaptive: true}}", "{concurrency: {max: 50}}", service{Concurrency: limit.ConcurrencyConfig{Adaptive: true, Max: 50}}},
		{"{concurrency: {adaptive: true}}", "{concurrency: 50}", service{Concurrency: limit.ConcurrencyConfig{Max: 50}}},
		{"{rate_limit: {limit: 5, per: 1m}}", "{rate_limit: {limit: 6}}", service{RateLimit: limit.RateConfig{Limit: 6, Per: time.Minute}}},
		{"{rate_limit: {limit: 5, per: 1m}}", "{rate_limit: off}", service{}},
		{"{cache: {ttl: 5m, max_entries: 7}}", "{cache: {ttl: 1m}}", service{Cache: &cache.Config{TTL: time.Minute, MaxEntries: 7}}},
		{"{cache: {ttl: 5m, max_entries: 7}}", "{cache: 1m}", service{Cache: &cache.Config{TTL: time.Minute}}},
		{"{cache: {ttl: 5m, max_entries: 7}}", "{cache: off}", service{}},
		{"{fallback: {status: 503}}", "{fallback: {service: t}}", service{Fallback: &actors.Fallback{Status: 503, Service: "t"}}},
		{"{methods: [GET, POST]}", "{methods: [GET]}", service{Methods: []string{"GET"}}},
		{"{not_idempotent: true}", "{not_idempotent: false}", service{}},
	} {
		require.Equal(t, x.want, upon(x.below, x.above), "%s upon %s", x.above, x.below)
	}
}

// "Ratios are written 50% or 0.5, shown as percent", and sizes with their unit.
func TestPoliciesAsTheyAreShown(t *testing.T) {
	shown := mustLoad(t, `
services:
  orders:
    outlier: {failure_percentage: 0.5, jitter: 5%, max_ejected: 0.29}
    slow_start: {min_weight: 0.05}
    hedge: {quantile: 0.99}
    panic_threshold: 0.3
    cache: {max_bytes: 1048576}
  billing: {hedge: 50ms, outlier: off, slow_start: off, concurrency: off, cache: {max_bytes: 65537}}
`).Redacted()
	for _, line := range []string{
		"failure_percentage: 50%", "jitter: 5%", "max_ejected: 29%", "min_weight: 5%", "quantile: 99%", "panic_threshold: 30%", "max_bytes: 1MiB",
		"delay: 50ms", "disabled: true", "window: off", "max: off", "max_bytes: 65537", "panic_threshold: last_resort", "success_rate_stdev: 1.9", "limit: off", "consecutive: off",
	} {
		require.Contains(t, shown, " "+line+"\n")
	}
}

// Every whole percentage is shown as it was written, and comes back.
func TestWholePercentages(t *testing.T) {
	for i := 1; i <= 100; i++ {
		text := strconv.Itoa(i) + "%"
		f := mustLoad(t, "services: {orders: {outlier: {max_ejected: "+text+"}}}")
		require.Contains(t, f.Redacted(), "max_ejected: "+text+"\n")
		require.Equal(t, f.Services["orders"].Outlier.MaxEjected, mustLoad(t, f.Redacted()).Services["orders"].Outlier.MaxEjected)
	}
}

// What was shown says no more than what was written: it loads without a new warning.
func TestWhatIsShownIsNotWarnedOf(t *testing.T) {
	for _, p := range append(policies[:len(policies):len(policies)], struct {
		key, value string
		want       service
	}{key: "strategy", value: "priority"}) {
		f := mustLoad(t, "services: {orders: {endpoints: [{id: a, url: 'http://a'}, {id: b, url: 'http://b'}], "+p.key+": "+p.value+"}}")
		require.Len(t, mustLoad(t, f.Redacted()).Warnings, len(f.Warnings), "%s: %s\n%v", p.key, p.value, mustLoad(t, f.Redacted()).Warnings)
	}
}
