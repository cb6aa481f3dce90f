package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const canary = "c4n4ry"

// told is everything that loading a text tells anybody.
func told(f *File, err error) string {
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, w := range f.Warnings {
		b.WriteString(w.String() + "\n")
	}
	return b.String() + f.Redacted()
}

// "Secrets never appear in logs, status, events, traces or errors."
func TestSecretsAreNeverTold(t *testing.T) {
	service := func(keys string) string {
		return "services: {orders: {endpoints: [{id: a, url: 'http://a'}], " + keys + "}}"
	}
	for _, text := range []string{
		"nats: {url: nats://h, token: c4n4ry}",
		"nats: {url: nats://h, user: u, password: c4n4ry}",
		"nats: {url: nats://h, creds: /c4n4ry}",
		"nats: {url: nats://h, nkey: /c4n4ry}",
		"nats: {url: 'nats://c4n4ry@h'}",
		"nats: {url: 'nats://u:c4n4ry@h'}",
		"nats: {url: 'nats://u:c4n4ry@h,nats://w:c4n4ry@i'}",
		"nats: {url: 'natz://u:c4n4ry@h, c4n4ry@x'}",
		"nats: {url: 'u:c4n4ry@h'}",
		"nats: {url: 'nats://u:c4/n4ry c4n4ry@h'}",
		"nats: {url: 'nats://h', token: [c4n4ry]}",
		"nats: {url: 'nats://h', token: {c4n4ry: c4n4ry}}",
		"nats: {password: *c4n4ry}",
		"nats: {password: !c4n4ry x}",
		"nats: {password: 'c4n4ry${'}",
		"nats: {password: 'c4n4ry${UNSET}'}",
		"nats: {embedded: {user: u, password: c4n4ry}}",
		"nats: {embedded: {token: c4n4ry, password: c4n4ry}}",
		"nats: {embedded: {token: '$2a$11$c4n4ry'}}",
		service("headers: {Authorization: 'Bearer c4n4ry'}"),
		service(`headers: {X-Anything: "c4n4ry\n"}`),
		service("headers: {X-Anything: [c4n4ry]}"),
		service("headers: c4n4ry"),
		service("fallback: {headers: {X: c4n4ry}}"),
		service("health: {http: {headers: {X: c4n4ry}}}"),
		service(`health: {http: {headers: {"b d": "c4n4ry\n"}}}`),
		service("metadata: {api_token: c4n4ry, Password: c4n4ry}"),
		"services: {orders: {endpoints: [{id: a, url: 'http://u:c4n4ry@h'}]}}",
		"services: {orders: {endpoints: [{id: a, url: 'http://c4n4ry@h/?q'}]}}",
		"services: {orders: {endpoints: [{id: a, url: 'http://u:c4n4ry@:1'}]}}",
		"services: {orders: {endpoints: [{id: a, url: 'u:c4n4ry@h'}]}}",
		"services: {orders: {endpoints: ['http://u:c4n4ry@h']}}",
		"services: {orders: {endpoints: 'http://u:c4n4ry@h'}}",
		"services: {orders: {endpoints: [{id: a, url: 'http://h', metadata: {home: 'http://u:c4n4ry@h', secret: c4n4ry}}]}}",
		"defaults: {headers: {A: c4n4ry}, timeout: 3}\nservices: {a: {}, b: {}}",
	} {
		f, err := loadText(t, text)
		require.NotContains(t, told(f, err), canary, text)
	}
	for _, env := range []string{"NATS_PASSWORD=c4n4ry", "NATS_URL=nats://u:c4n4ry@h", "NATS_URL=natz://u:c4n4ry@h", "NATS_TOKEN=c4n4ry", "NATS_CREDS=/c4n4ry", "NATS_NKEY=c4n4ry",
		"UNDERSTUDY_CFG__NATS__TOKEN=c4n4ry", "UNDERSTUDY_CFG__SERVICES__ORDERS__HEADERS__X=c4n4ry"} {
		f, err := loadText(t, service("timeout: 3s"), env)
		require.NotContains(t, told(f, err), canary, env)
	}
}

// Whatever key a variable is used for, and however the value is at fault, nothing
// repeats it.
func TestWhatVariablesHoldIsNeverTold(t *testing.T) {
	paths := leaves(reflect.TypeFor[File](), nil)
	require.Greater(t, len(paths), 100)
	for _, path := range paths {
		for _, value := range []string{canary, "c4n4ry://c4n4ry", "http://c4n4ry", "nats://u:c4n4ry@c4n4ry:x", "c4n4ry c4n4ry:1\n", `"c4n4ry"`, "c4n4ry.c4n4ry/c4n4ry?c4n4ry"} {
			for _, text := range []string{"${C}", "x${C}", "http://${C}", "${NONE:-${C}}"} {
				f, err := loadText(t, nested(path, text), "C="+value)
				require.NotContains(t, told(f, err), canary, "%s: %s with %q", path, text, value)
			}
		}
	}
}

// leaves are the ways to all single values of a type; "[" stands for a list.
func leaves(t reflect.Type, way []string) [][]string {
	t = pointed(t)
	var all [][]string
	switch {
	case isText(t):
	case t.Kind() == reflect.Struct:
		for key, f := range fieldsOf(t) {
			all = append(all, leaves(f.typ, append(way[:len(way):len(way)], key))...)
		}
		return all
	case t.Kind() == reflect.Map:
		return leaves(t.Elem(), append(way[:len(way):len(way)], "name"))
	case t.Kind() == reflect.Slice:
		return leaves(t.Elem(), append(way[:len(way):len(way)], "["))
	}
	return append(all, way)
}

func nested(way []string, text string) string {
	if len(way) == 0 {
		return fmt.Sprintf("%q", text)
	}
	if way[0] == "[" {
		return "[" + nested(way[1:], text) + "]"
	}
	return "{" + way[0] + ": " + nested(way[1:], text) + "}"
}

// Hiding must not eat the message: what is no secret is still said.
func TestMessagesSurviveHiding(t *testing.T) {
	m := mistake(t, "services: {orders: {endpoints: [{id: a, url: '${U}'}]}}", "U=ftp://host.example")
	require.Equal(t, `scheme "ftp" is not supported: http or https`, m.Words, "three letters tell nothing")
	m = mistake(t, "services: {orders: {strategy: '${S}'}}", "S=round_robbin")
	require.Contains(t, m.Words, `unknown strategy "[redacted]"`)
	m = mistake(t, "services: {orders: {concurrency: '${S}'}}", "S=many")
	require.Equal(t, "the value is no whole number", m.Words)
	m = mistake(t, "services: {orders: {concurrency: '${S:-many}'}}")
	require.Equal(t, `"many" is no whole number`, m.Words, "the default stands in the file")
}

func TestRedactedIsTheConfigurationInForce(t *testing.T) {
	f := mustLoad(t, `
nats: {url: 'nats://u:p4ssw0rd@h:4222'}
services:
  orders:
    endpoints: [{id: a, url: 'http://u:p4ssw0rd@h:1', health: off}, {id: b, url: '${URL}'}]
    headers: {Authorization: x}
    breaker: {failure_rate: 25%, jitter: off}
    timeout: ${T}
    health: {tcp: {}}
    metadata: {weird: "a: b", version: "1"}
`, "URL=http://h2", "T=7s")
	require.Equal(t, `endpoints:
- id: a
  url: http://[redacted]@h:1
  health: {}
- id: b
  url: '[redacted]'
health:
  tcp: {}
`, extract(f.Redacted(), "    endpoints:", "      interval: 2s"))
	for _, line := range []string{"  url: nats://[redacted]@h:4222\n", "failure_rate: 25%\n", "jitter: off\n", "timeout: '[redacted]'\n", "Authorization: '[redacted]'\n", "weird: 'a: b'\n", "version: '1'\n", "open_timeout_max: 1m\n"} {
		require.Contains(t, f.Redacted(), line)
	}
	f = mustLoad(t, "node: {location: [-1, 0]}\nservices: {headers: {metadata: {a: b}}, token: {timeout: 7s}}")
	require.Contains(t, f.Redacted(), "location: [-1, 0]\n", "-1 is off only where off can be")
	require.NotContains(t, f.Redacted(), redacted, "services may have any name")
	f = mustLoad(t, twoServices)
	require.Contains(t, Redact(f.Services["orders"]), "X-Api-Key: '[redacted]'")
	require.Equal(t, "{}\n", Redact(Node{}))
}

// extract is the part of text from one line up to another, less indented.
func extract(text, from, to string) string {
	_, rest, _ := strings.Cut(text, from)
	i := strings.LastIndex(rest, to)
	indent := len(from) - len(strings.TrimLeft(from, " "))
	return strings.ReplaceAll(from+rest[:i], "\n"+strings.Repeat(" ", indent), "\n")[indent:]
}

// What is shown can be loaded again and means the same.
func TestRedactedLoadsAgain(t *testing.T) {
	for name, text := range map[string]string{"example": string(Example()), "design": readFile(t, "testdata/design.yaml"), "two services": twoServices} {
		f := mustLoad(t, strings.ReplaceAll(text, "${ORDERS_API_KEY}", "x"))
		again := mustLoad(t, f.Redacted()).WithDefaults()
		want := f.WithDefaults()
		for _, s := range again.Services {
			for key := range s.Headers {
				s.Headers[key] = f.Services["orders"].Headers[key]
			}
		}
		again.hidden, again.sum, again.Warnings = want.hidden, want.sum, want.Warnings
		require.Equal(t, want, again, name)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// A path is relative to the file that names it, whatever the working directory.
func TestPathsAreRelativeToTheirFile(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "tls"), 0o755))
	ca := filepath.Join(dir, "tls", "ca.pem")
	require.NoError(t, os.WriteFile(ca, nil, 0o600))
	base := filepath.Join(dir, "base.yaml")
	require.NoError(t, os.WriteFile(base, []byte("defaults: {tls: {ca: tls/ca.pem}}\nnats: {url: 'tls://h', tls: {ca: tls/ca.pem}}\nservices: {a: {}, b: {tls: {ca: "+ca+"}}}"), 0o600))
	f, err := Load([]string{base}, nil)
	require.NoError(t, err)
	require.Equal(t, ca, f.Defaults.TLS.CA)
	require.Equal(t, ca, f.Services["a"].TLS.CA)
	require.Equal(t, ca, f.Services["b"].TLS.CA)
	require.Equal(t, ca, f.NATS.TLS.CA)
}
