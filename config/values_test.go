package config

import (
	"encoding"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy/actors"
)

// orders loads a service with these keys.
func orders(t *testing.T, keys string, env ...string) actors.ServiceConfig {
	t.Helper()
	return mustLoad(t, "services:\n  orders: "+keys+"\n", env...).Services["orders"]
}

func TestRatios(t *testing.T) {
	for text, want := range map[string]float64{"50%": 0.5, "0.5": 0.5, ".5": 0.5, "100%": 1, "12.5 %": 0.125, "99.9%": 0.999, "29%": 0.29, "'5%'": 0.05, "off": -1, "none": -1, "false": -1, "Off": -1, "-1": -1} {
		require.Equal(t, want, orders(t, "{breaker: {failure_rate: "+text+"}}").Breaker.FailureRate, text)
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{"1.5s": 1500 * time.Millisecond, "1h30m": 90 * time.Minute, "'2m'": 2 * time.Minute, "off": -1, "none": -1, "false": -1, "-1": -1, "": 0, "~": 0} {
		require.Equal(t, want, orders(t, "{timeout: "+text+"}").Timeout, text)
	}
	require.Equal(t, "30 has no unit", mistake(t, "defaults: {timeout: 30}").Words)
	require.Equal(t, "write 30s", mistake(t, "defaults: {timeout: 30}").Hint)
}

func TestNumbersAndSizes(t *testing.T) {
	for text, want := range map[string]int{"7": 7, "'7'": 7, "+7": 7, "010": 10, "off": -1} {
		require.Equal(t, want, orders(t, "{concurrency: "+text+"}").Concurrency.Max, text)
	}
	for text, want := range map[string]int64{"1048576": 1 << 20, "64MiB": 64 << 20, "64 MiB": 64 << 20, "2GB": 2e9, "1TiB": 1 << 40} {
		require.Equal(t, want, mustLoad(t, "nats: {embedded: {max_store: "+text+"}}").NATS.Embedded.MaxStore, text)
	}
	require.Equal(t, `"9999999TiB" is too large`, mistake(t, "nats: {embedded: {max_store: 9999999TiB}}").Words)
	require.Equal(t, `"64MiB" is no whole number`, mistake(t, "defaults: {concurrency: 64MiB}").Words)
}

func TestBooleans(t *testing.T) {
	for text, want := range map[string]bool{"true": true, "yes": true, "on": true, "TRUE": true, "false": false, "no": false, "off": false} {
		require.Equal(t, want, orders(t, "{breaker: {disabled: "+text+"}}").Breaker.Disabled, text)
	}
}

// What YAML takes for a number or a truth value is still text where text is asked for.
func TestTextIsTakenAsItIs(t *testing.T) {
	c := orders(t, `{metadata: {version: 1.10, on: true, none: off, date: 2026-01-02, empty: "", gone: ~}, retry: {on: [429, 5xx]}}`)
	require.Equal(t, map[string]string{"version": "1.10", "on": "true", "none": "off", "date": "2026-01-02", "empty": ""}, c.Metadata)
	require.Equal(t, []string{"429", "5xx"}, c.Retry.On)
}

// "Aliases for people who come from elsewhere."
func TestAliases(t *testing.T) {
	for _, key := range []string{"recovery_timeout", "recovery_time", "delay", "open_timeout"} {
		require.Equal(t, 7*time.Second, orders(t, "{breaker: {"+key+": 7s}}").Breaker.OpenTimeout, key)
	}
	require.Equal(t, 7, orders(t, "{breaker: {max_failures: 7}}").Breaker.FailureThreshold)
	require.Equal(t, 7, orders(t, "{breaker: {max_requests: 7}}").Breaker.HalfOpenMaxCalls)
	require.Equal(t, 7, orders(t, "{retry: {retry_attempts: 7}}").Retry.MaxAttempts)
	for text, want := range map[string]int{"2": 3, "0": 1, "off": 1} {
		require.Equal(t, want, orders(t, "{retry: {max_retries: "+text+"}}").Retry.MaxAttempts, text)
	}
	for _, name := range []string{"least_conn", "least_request", "least_connections"} {
		require.Equal(t, "least_connections", orders(t, "{strategy: "+name+"}").WithDefaults().Strategy.Pick)
	}
}

func TestASingleValueInPlaceOfABlock(t *testing.T) {
	require.Equal(t, "random", orders(t, "{strategy: random}").Strategy.Pick)
	require.True(t, orders(t, "{breaker: off}").Breaker.Disabled)
	require.Equal(t, 1, orders(t, "{retry: off}").Retry.MaxAttempts)
	require.Equal(t, -1.0, orders(t, "{retry: {budget: off}}").Retry.Budget.Ratio)
	require.Nil(t, orders(t, "{fallback: off, tls: off}").Fallback)
	require.Equal(t, "off", mustLoad(t, "admin: off").Admin.Listen)
	require.Equal(t, "127.0.0.1:1", mustLoad(t, "admin: 127.0.0.1:1").Admin.Listen)

	c := orders(t, "{endpoints: [{id: a, health: off}, {id: b}], health: {tcp: {}}}")
	require.NotNil(t, c.Endpoints[0].Health)
	require.False(t, c.Endpoints[0].Health.Enabled())
	require.Nil(t, c.Endpoints[1].Health)
}

func TestYAMLAnchorsAndMergeKeys(t *testing.T) {
	f := mustLoad(t, `
services:
  orders: &base
    timeout: 7s
    breaker: {failure_threshold: 7, open_timeout: 7s}
  billing:
    <<: *base
    breaker: {failure_threshold: 8}
  shipping: *base
`)
	require.Equal(t, 7*time.Second, f.Services["billing"].Timeout)
	require.Equal(t, 8, f.Services["billing"].Breaker.FailureThreshold)
	require.Zero(t, f.Services["billing"].Breaker.OpenTimeout, "a merge key is shallow, as YAML says")
	require.Equal(t, f.Services["orders"], f.Services["shipping"])
}

// picky is a configuration whose zero value has a fault of its own.
type picky struct {
	Name string `yaml:"name"`
	N    int    `yaml:"n"`
	M    int    `yaml:"m"`
}

func (p picky) WithDefaults() picky {
	if p.N == 0 {
		p.N = 3
	}
	return p
}

func (p picky) Validate() error {
	var errs []error
	if p.Name == "" {
		errs = append(errs, errors.New("name: cannot be empty"))
	}
	if p.M < 0 {
		errs = append(errs, errors.New("m: cannot be negative"))
	}
	return errors.Join(errs...)
}

// Whether a key can be off, and what its default is, is asked of the struct itself.
func TestTheOwnerIsAsked(t *testing.T) {
	decode := func(text string) (picky, error) {
		l := &loading{renamed: map[place]string{}, hidden: map[string]bool{}}
		n := l.parse(source{name: "a.yaml", text: []byte(text)}, "")
		var p picky
		l.shape(n, reflect.TypeOf(p), "")
		l.decode(n, reflect.ValueOf(&p).Elem(), "", owner{})
		return p, l.mistakes
	}
	p, err := decode("{n: off, m: 0}")
	require.Equal(t, picky{N: -1}, p)
	require.Empty(t, err)
	_, err = decode("{n: 0, m: off}")
	require.EqualError(t, err, `a.yaml:1:2: n: 0 means nothing here, leave the key out for the default of 3, or write off
a.yaml:1:8: m: cannot be off, leave the key out`)
}

// Every field of every configuration has a key and a type that can be written:
// else decode would panic on the day somebody uses it.
func TestEveryKeyCanBeWritten(t *testing.T) {
	count := 0
	var walk func(reflect.Type, string)
	walk = func(typ reflect.Type, path string) {
		typ = pointed(typ)
		if reflect.PointerTo(typ).Implements(textType) {
			require.Implements(t, (*encoding.TextMarshaler)(nil), reflect.New(typ).Interface(), "%s could not be shown", path)
			return
		}
		switch typ.Kind() {
		case reflect.Struct:
			for key, f := range fieldsOf(typ) {
				require.Equal(t, strings.ToLower(key), key, path)
				require.Regexp(t, `^[a-z0-9_]+$`, key, "%s.%s has no yaml tag of its own?", path, key)
				walk(f.typ, join(path, key))
			}
		case reflect.Map:
			require.Equal(t, reflect.String, typ.Key().Kind(), path)
			walk(typ.Elem(), path+".*")
		case reflect.Slice:
			walk(typ.Elem(), path+"[]")
		case reflect.String, reflect.Bool, reflect.Int, reflect.Int64, reflect.Float64:
			count++
		default:
			t.Errorf("%s is a %v", path, typ)
		}
	}
	walk(reflect.TypeFor[File](), "")
	require.Greater(t, count, 50)
}

// Other names must not hide real keys, and must lead to real ones.
func TestKeysAreKeys(t *testing.T) {
	for typ, names := range aliases {
		for name, a := range names {
			require.NotContains(t, fieldsOf(typ), name)
			require.Contains(t, fieldsOf(typ), a.key)
		}
	}
	for typ, s := range shorthands {
		for _, key := range []string{s.key, s.off} {
			if key != "" {
				require.Contains(t, fieldsOf(typ), key)
			}
		}
	}
	for typ, groups := range alternatives {
		for key, others := range groups {
			for _, name := range append(others, key) {
				require.Contains(t, fieldsOf(typ), name)
			}
		}
	}
}
