package config

import (
	"reflect"
	"strconv"
	"strings"

	"github.com/understudy-go/understudy/actors"
	"github.com/understudy-go/understudy/actors/balance"
	"github.com/understudy-go/understudy/actors/breaker"
	"github.com/understudy-go/understudy/actors/cache"
	"github.com/understudy-go/understudy/actors/health"
	"github.com/understudy-go/understudy/actors/hedge"
	"github.com/understudy-go/understudy/actors/limit"
	"github.com/understudy-go/understudy/actors/outlier"
	"github.com/understudy-go/understudy/actors/retry"
	"github.com/understudy-go/understudy/cluster/embedded"
)

// What a file may write that the Go types alone do not say.

// alias is another name of a key, for people who come from elsewhere.
type alias struct {
	key     string
	convert func(string) string // of the value; nil: as it is
}

var aliases = map[reflect.Type]map[string]alias{
	reflect.TypeFor[breaker.Config](): {
		"recovery_timeout": {key: "open_timeout"},
		"recovery_time":    {key: "open_timeout"},
		"delay":            {key: "open_timeout"},
		"max_failures":     {key: "failure_threshold"},
		"max_requests":     {key: "half_open_max_calls"},
	},
	reflect.TypeFor[retry.Config](): {
		"max_retries":    {key: "max_attempts", convert: oneMore},
		"retry_attempts": {key: "max_attempts"},
	},
}

// oneMore makes retries attempts: the first attempt is no retry. A negative
// number, elsewhere retries without end, stays one that cannot be: -1 would be off.
func oneMore(retries string) string {
	n, err := strconv.Atoi(retries)
	switch {
	case isOff(retries):
		return "1"
	case err != nil || n >= 1_000_000:
		return retries
	case n < 0:
		return strconv.Itoa(n - 1)
	}
	return strconv.Itoa(n + 1)
}

// shorthand is what a single value means in place of a block.
type shorthand struct {
	key      string // the key that it stands for; empty: none
	off      string // the key that off sets, to offText
	offText  string
	offEmpty bool // off is the block without anything in it
	on       bool // {} turns it on, so that on is a mistake for it
}

var shorthands = map[reflect.Type]shorthand{
	reflect.TypeFor[balance.Config]():     {key: "pick"},
	reflect.TypeFor[Admin]():              {key: "listen"},
	reflect.TypeFor[breaker.Config]():     {off: "disabled", offText: "true"},
	reflect.TypeFor[retry.Config]():       {off: "max_attempts", offText: "1"},
	reflect.TypeFor[retry.BudgetConfig](): {off: "ratio", offText: "off"},
	reflect.TypeFor[health.Config]():      {offEmpty: true},

	reflect.TypeFor[outlier.Config]():          {off: "disabled", offText: "true"},
	reflect.TypeFor[balance.SlowStart]():       {key: "window", off: "window", offText: "off", on: true},
	reflect.TypeFor[limit.ConcurrencyConfig](): {key: "max", off: "max", offText: "off", on: true},
	reflect.TypeFor[limit.RateConfig]():        {key: "limit", offEmpty: true},
	reflect.TypeFor[hedge.Config]():            {key: "delay", on: true},
	reflect.TypeFor[cache.Config]():            {key: "ttl", on: true},
}

// alternatives names for a key the keys that displace it when they stand in an
// upper layer: there is only one kind of check, one server and one way to say
// who we are, and a delay is fixed or measured.
var alternatives = map[reflect.Type]map[string][]string{
	reflect.TypeFor[health.Config](): {"http": {"tcp"}, "tcp": {"http"}},
	reflect.TypeFor[hedge.Config]():  {"delay": {"quantile", "min_delay"}, "quantile": {"delay"}, "min_delay": {"delay"}},
	reflect.TypeFor[NATS](): {
		"embedded": {"url"},
		"url":      {"embedded"},
		"user":     {"embedded", "token", "creds", "nkey"},
		"password": {"embedded", "token", "creds", "nkey"},
		"token":    {"embedded", "user", "creds", "nkey"},
		"creds":    {"embedded", "user", "token", "nkey"},
		"nkey":     {"embedded", "user", "token", "creds"},
		"tls":      {"embedded"},
	},
	reflect.TypeFor[embedded.Config](): {"user": {"token"}, "password": {"token"}, "token": {"user"}},
}

// ratio reports whether a key is a share, which is shown as a percentage.
func ratio(path string) bool {
	switch path[strings.LastIndexByte(path, '.')+1:] {
	case "failure_rate", "slow_call_rate", "ratio", "jitter", "spill_threshold", "failure_percentage", "max_ejected", "min_weight", "quantile", "hash_balance":
		return true
	}
	return false
}

// serviceType is what the keys of a service are.
var serviceType = reflect.TypeFor[actors.ServiceConfig]()
