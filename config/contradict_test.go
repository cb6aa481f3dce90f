package config

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// "A policy that contradicts another (attempts × attempt timeout far over the timeout,
// hedging on a service marked not idempotent, cache on a service with only POST,
// weights all zero, budgets without retries, fallback service that falls back to
// itself) is a warning or an error from `check`, each with its line and what to do."
func TestAPolicyThatContradictsAnother(t *testing.T) {
	for _, x := range []struct {
		keys  string // below the endpoints, which stand in line 3
		key   string
		line  int
		words string
		error bool // its words say what to do
	}{
		{"retry: {max_attempts: 5}\n    attempt_timeout: 20s", "retry.max_attempts", 4, "attempt 5 never begins", false},
		{"hedge: {}\n    not_idempotent: true", "hedge", 4, "the service is marked not idempotent", false},
		{"methods: [POST]\n    cache: {}", "cache", 5, "only answers to GET and HEAD are", false},
		{"strategy:\n      pick: weighted\n      weights: {a: 0, b: 0}", "strategy.weights.a", 6, "must be from 1 to 65535, is 0", true},
		{"retry:\n      max_attempts: 1\n      budget: {ratio: 20%}", "retry.budget", 6, "retries that are never made", false},
		{"fallback: {service: orders}", "fallback.service", 4, "falls back to itself", true},
	} {
		f, err := loadText(t, "services:\n  orders:\n    endpoints: [{id: a, url: 'http://a'}, {id: b, url: 'http://b'}]\n    "+x.keys)
		var got Mistakes
		if x.error {
			require.ErrorAs(t, err, &got, x.keys)
		} else {
			require.NoError(t, err, x.keys)
			got = f.Warnings
			require.Len(t, got, 1, x.keys)
		}
		require.Equal(t, "services.orders."+x.key, got[0].Key)
		require.Equal(t, x.line, got[0].Line, x.keys)
		require.Contains(t, got[0].Words, x.words)
		require.Equal(t, x.error, got[0].Hint == "", x.keys)
	}
}

// Each service of the file is one contradiction, and gets one warning with what to do.
func TestOneWarningPerContradiction(t *testing.T) {
	f, err := Load([]string{"testdata/mistakes/contradictions.yaml"}, nil)
	require.NoError(t, err)
	told := map[string]int{}
	for _, w := range f.Warnings {
		told[strings.Split(w.Key, ".")[1]]++
		require.NotEmpty(t, w.Hint, w.Words)
	}
	for name := range f.Services {
		require.Equal(t, 1, told[name], name)
	}
}

// A warning names the file, or the variable, that has the line to change.
func TestAContradictionNamesItsLayer(t *testing.T) {
	base := "services:\n  orders:\n    endpoints: [{id: a, url: 'http://a'}, {id: b, url: 'http://b'}]\n    not_idempotent: true\n"
	warned := func(layer string, env ...string) Mistakes {
		f, err := load(sourcesOf(base, layer), env)
		require.NoError(t, err)
		return f.Warnings
	}
	require.Empty(t, warned(""))
	require.Empty(t, warned("defaults: {hedge: {}}"), "inherited, and nothing comes of it here")
	require.Empty(t, warned("services: {orders: {hedge: {}, not_idempotent: false}}"))
	require.Empty(t, warned("services: {orders: {hedge: {}}}", "UNDERSTUDY_CFG__SERVICES__ORDERS__HEDGE=off"))

	all := warned("services: {orders: {hedge: {}}}")
	require.Len(t, all, 1)
	require.Equal(t, Mistake{File: "1.yaml", Line: 1, Column: 21, Key: "services.orders.hedge", Words: all[0].Words, Hint: all[0].Hint}, all[0])

	all = warned("defaults: {hedge: {quantile: 90%}}", "UNDERSTUDY_CFG__SERVICES__ORDERS__HEDGE__QUANTILE=99%")
	require.Len(t, all, 1)
	require.Equal(t, "UNDERSTUDY_CFG__SERVICES__ORDERS__HEDGE", strings.TrimSuffix(all[0].File, "__QUANTILE"))

	all = warned("defaults: {hedge: {}, not_idempotent: true}")
	require.Len(t, all, 1, "once, and of the defaults")
	require.Equal(t, "defaults.hedge", all[0].Key)
	require.Equal(t, "1.yaml", all[0].File)
}

// An anchor is written once and used anywhere: it counts where it is used.
func TestAContradictionOfAnAnchor(t *testing.T) {
	f := mustLoad(t, `
services:
  orders: &base
    endpoints: [{id: a, url: "http://a"}, {id: b, url: "http://b"}]
    hedge: {}
  billing:
    <<: *base
    not_idempotent: true
`)
	require.Len(t, f.Warnings, 1)
	require.Equal(t, 5, f.Warnings[0].Line)
	require.Equal(t, "services.billing.hedge", f.Warnings[0].Key)
}

// Where a name comes from a variable, the words do not repeat it.
func TestAContradictionTellsNoSecret(t *testing.T) {
	f, err := loadText(t, "services:\n  orders: {fallback: {service: \"${C}\"}}\n  c4n4ry: {fallback: {service: orders}}", "C="+canary)
	require.NotContains(t, told(f, err), "→ "+canary)
	f, err = loadText(t, "services: {orders: {strategy: '${S}', slow_start: 10s}}", "S=priority")
	require.NoError(t, err)
	require.Len(t, f.Warnings, 2)
	require.Equal(t, "the strategy [redacted] knows no slow start", f.Warnings[1].Words)
}
