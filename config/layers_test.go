package config

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// layers loads several files, one upon the other.
func layers(t *testing.T, texts ...string) *File {
	t.Helper()
	f, err := load(sourcesOf(texts...), nil)
	require.NoError(t, err)
	return f
}

func sourcesOf(texts ...string) []source {
	var sources []source
	for i, text := range texts {
		sources = append(sources, source{name: fmt.Sprintf("%d.yaml", i), text: []byte(text)})
	}
	return sources
}

func TestFilesOverlay(t *testing.T) {
	f := layers(t, `
node: {name: a, zone: z}
services:
  orders:
    endpoints: [{id: a, url: "http://a"}, {id: b, url: "http://b"}]
    breaker: {failure_threshold: 7, recovery_timeout: 7s}
    headers: {A: "1", B: "2"}
    timeout: 7s
  billing: {timeout: 3s}
`, "", `
node: {name: b}
services:
  orders:
    endpoints: [{id: c, url: "http://c"}]
    breaker: {open_timeout: 9s}
    headers: {B: "3"}
    timeout:
`)
	require.Equal(t, Node{Name: "b", Zone: "z"}, f.Node)
	c := f.Services["orders"]
	require.Len(t, c.Endpoints, 1, "a list replaces")
	require.Equal(t, "c", c.Endpoints[0].ID)
	require.Equal(t, 7, c.Breaker.FailureThreshold)
	require.Equal(t, 9*time.Second, c.Breaker.OpenTimeout, "an alias is the same key")
	require.Equal(t, map[string]string{"A": "1", "B": "3"}, c.Headers)
	require.Zero(t, c.Timeout, "an empty value takes a key back to its default")
	require.Equal(t, 3*time.Second, f.Services["billing"].Timeout)
}

func TestAMistakeNamesItsOwnFile(t *testing.T) {
	_, err := load(sourcesOf("defaults: {timeout: 3}\nnode: {name: a b}", "node:\n  name: b c"), nil)
	require.EqualError(t, err, `0.yaml:1:12: defaults.timeout: 3 has no unit, write 3s
1.yaml:2:3: node.name: name "b c" has ' ': only letters, digits, "_" and "-" are allowed`)
}

// What excludes another choice displaces it in the layers beneath.
func TestAlternativesDisplaceEachOther(t *testing.T) {
	f := layers(t, "nats: {embedded: {listen: 127.0.0.1:1}}", "nats: {url: nats://h}")
	require.Nil(t, f.NATS.Embedded)
	require.True(t, f.NATS.External())

	f = layers(t, "nats: {url: nats://h, user: u, password: p, tls: {ca: nowhere.pem}}", "nats: {embedded: {}}")
	require.NotNil(t, f.NATS.Embedded)
	require.Empty(t, f.NATS.Config)

	f = layers(t, "nats: {user: u, password: p}", "nats: {token: t}")
	require.Equal(t, "t", f.NATS.Token)
	require.Empty(t, f.NATS.User+f.NATS.Password)

	f = layers(t, "defaults: {health: {http: {path: /x}, fall: 7}}", "services: {db: {health: {tcp: {}}}}")
	require.NotNil(t, f.Services["db"].Health.TCP)
	require.Nil(t, f.Services["db"].Health.HTTP)
	require.Equal(t, 7, f.Services["db"].Health.Fall)

	_, err := load(sourcesOf("nats: {embedded: {}}", "nats: {user: u}"), nil)
	require.ErrorContains(t, err, "1.yaml:1:8: nats.user")
}

func TestServicesInheritDefaultsKeyByKey(t *testing.T) {
	f := layers(t, `
defaults:
  timeout: 7s
  strategy: {pick: weighted, weights: {a: 2}}
  breaker: {failure_threshold: 7, open_timeout: 7s}
  retry: {backoff: {initial: 7ms}}
  metadata: {team: shop}
  fallback: {status: 503, body: sorry}
services:
  plain:
  one: {breaker: {failure_threshold: 8}, retry: {backoff: {max: 8s}}, metadata: {tier: gold}}
  two: {strategy: random, fallback: off, timeout: off, breaker: off}
  three: {strategy: {tier: priority}}
`)
	plain, one, two, three := f.Services["plain"], f.Services["one"], f.Services["two"], f.Services["three"]
	require.Equal(t, *f.Defaults, plain)
	require.Equal(t, 7*time.Second, one.Timeout)
	require.Equal(t, 8, one.Breaker.FailureThreshold)
	require.Equal(t, 7*time.Second, one.Breaker.OpenTimeout)
	require.Equal(t, 7*time.Millisecond, one.Retry.Backoff.Initial)
	require.Equal(t, 8*time.Second, one.Retry.Backoff.Max)
	require.Equal(t, map[string]string{"team": "shop", "tier": "gold"}, one.Metadata)
	require.Equal(t, "sorry", one.Fallback.Body)
	require.Equal(t, "random", two.Strategy.Pick)
	require.Empty(t, two.Strategy.Weights, "a plain name replaces the whole strategy")
	require.Nil(t, two.Fallback)
	require.Equal(t, -1*time.Nanosecond, two.Timeout)
	require.True(t, two.Breaker.Disabled)
	require.Equal(t, "weighted", three.Strategy.Pick)

	four := layers(t, "defaults: {strategy: {pick: weighted, weights: {a: 2}}}\nservices: {s: {strategy: random}}", "services: {s: {strategy: {tier: priority}}}").Services["s"]
	require.Equal(t, "random", four.Strategy.Pick)
	require.Equal(t, "priority", four.Strategy.Tier)
	require.Empty(t, four.Strategy.Weights, "nor does what another file adds to it bring them back")

	one.Fallback.Body = "changed"
	require.Equal(t, "sorry", plain.Fallback.Body, "services share nothing")
	one.Metadata["team"] = "changed"
	require.Equal(t, "shop", plain.Metadata["team"])
}

// Property: overlay is what merging the same maps by hand gives, for any number
// of layers, and changes none of them.
func TestOverlayMergesAsMapsDo(t *testing.T) {
	value := rapid.Custom(func(t *rapid.T) any { return drawValue(t, 3) })
	rapid.Check(t, func(t *rapid.T) {
		var want any
		var got *node
		var kept []any
		var trees []*node
		for range rapid.IntRange(1, 4).Draw(t, "layers") {
			v := value.Draw(t, "layer")
			n := treeOf(v)
			kept, trees = append(kept, v), append(trees, n)
			want, got = mergeMaps(want, v), overlay(got, n)
		}
		require.Equal(t, want, mapOf(got))
		for i := range trees {
			require.Equal(t, kept[i], mapOf(trees[i]))
		}
	})
}

func drawValue(t *rapid.T, depth int) any {
	if depth == 0 || rapid.Bool().Draw(t, "scalar") {
		return rapid.StringMatching(`[xyz]`).Draw(t, "text")
	}
	m := map[string]any{}
	for range rapid.IntRange(0, 3).Draw(t, "keys") {
		m[rapid.StringMatching(`[abc]`).Draw(t, "key")] = drawValue(t, depth-1)
	}
	return m
}

func mergeMaps(base, over any) any {
	b, ok1 := base.(map[string]any)
	o, ok2 := over.(map[string]any)
	if !ok1 || !ok2 {
		return over
	}
	m := maps.Clone(b)
	for key, v := range o {
		m[key] = mergeMaps(b[key], v)
	}
	return m
}

func treeOf(v any) *node {
	m, ok := v.(map[string]any)
	if !ok {
		return &node{text: v.(string)}
	}
	n := &node{kind: table}
	for key, value := range m {
		n.entries = append(n.entries, &entry{key, treeOf(value)})
	}
	return n
}

func mapOf(n *node) any {
	if n.kind == scalar {
		return n.text
	}
	m := map[string]any{}
	for _, e := range n.entries {
		m[e.key] = mapOf(e.value)
	}
	return m
}
