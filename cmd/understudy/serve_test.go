package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy/cluster/embedded"
	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/understudytest"
)

// natsServer is a NATS server that the nodes of a test use and that outlives them.
func natsServer(t *testing.T, listen string) *embedded.Server {
	t.Helper()
	s, err := embedded.Start(context.Background(), embedded.Config{Listen: listen, Store: t.TempDir()}, nil)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func dial(t *testing.T, url string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc
}

func status(t *testing.T, s *server) messages.NodeStatus {
	t.Helper()
	var nodes []messages.NodeStatus
	require.NoError(t, json.Unmarshal([]byte(s.ask("status", "-o", "json")), &nodes))
	require.Len(t, nodes, 1)
	return nodes[0]
}

// "endpoint add orders http://127.0.0.1:9001 makes the service on defaults when
// there is none, so that serve without a file leads somewhere."
func TestServeWithoutAFile(t *testing.T) {
	good := understudytest.Good(t)
	s := serve(t, ownNATS(t.TempDir()))
	require.True(t, s.Ready)
	require.True(t, s.Embedded)
	require.Empty(t, s.Admin, "no door over HTTP unless asked for")
	require.Contains(t, s.ask("status"), "no services")

	require.Equal(t, "orders/orders-1 added on "+s.Node+"\n",
		s.ask("endpoint", "add", "orders", good.URL, "--id", "orders-1", "--weight", "3", "--tag", "api", "--metadata", "version=1.4"))
	require.Equal(t, "ok", s.ask("request", "orders", "--path", "/orders?id=7", "-H", "X-Test: yes", "--key", "k"))
	seen := good.Requests()[0]
	require.Equal(t, "GET /orders?id=7 yes", seen.Method+" "+seen.URI+" "+seen.Header.Get("X-Test"))
	list := s.ask("endpoint", "ls")
	for _, part := range []string{"orders-1", good.URL, "3", "api", "version=1.4", s.Node} {
		require.Contains(t, list, part)
	}

	code, _, stderr := s.try("endpoint", "add", "orders", good.URL, "--id", "orders-1")
	require.Equal(t, exitFailed, code)
	require.Equal(t, "understudy: node "+s.Node+": orders/orders-1: already registered\n", stderr)

	s.ask("endpoint", "update", "orders", "orders-1", "--weight", "5")
	require.Equal(t, 5, status(t, s).Services[0].Endpoints[0].Weight)
	s.ask("drain", "orders", "orders-1", "--reason", "new disk")
	require.Regexp(t, `orders-1 .* drain .* new disk`, s.ask("status", "orders"))
	code, stdout, stderr := s.try("request", "orders")
	require.Equal(t, exitUnavailable, code)
	require.Empty(t, stdout)
	require.Regexp(t, `^understudy: orders: no healthy endpoints[^\n]*\n$`, stderr)
	s.ask("ready", "orders", "orders-1")
	require.Equal(t, "ok", s.ask("request", "orders"))
	s.ask("endpoint", "rm", "orders", "orders-1")
	require.Contains(t, s.ask("status", "orders"), "no endpoints")

	s.signal(syscall.SIGTERM)
	require.Zero(t, s.exit())
	require.Contains(t, s.stderr.text(), "msg=stopped")
}

func TestRequestsAndTheirExitStatus(t *testing.T) {
	good, bad, never := understudytest.Good(t), understudytest.Faulty(t, 503, 1), understudytest.BlackHole(t)
	teapot := understudytest.Faulty(t, 418, 1)
	s := serve(t, ownNATS(t.TempDir()))
	for name, server := range map[string]*understudytest.Server{"good": good, "bad": bad, "never": never, "teapot": teapot} {
		s.ask("endpoint", "add", name, server.URL, "--id", "e")
	}
	for name, tc := range map[string]struct {
		args           []string
		status         int
		stdout, stderr string
	}{
		"good":           {[]string{"good", "-v"}, exitOK, "ok", `^status 200 from e, 1 attempt, `},
		"post":           {[]string{"good", "-d", "x"}, exitOK, "ok", `^$`},
		"a client error": {[]string{"teapot"}, exitFailed, "I'm a teapot", `^understudy: e answered 418\n$`},
		"a server error": {[]string{"bad", "-X", "POST"}, exitFailed, "Service Unavailable", `^understudy: bad/e: .*\n$`},
		"no answer":      {[]string{"never", "--timeout", "100ms"}, exitTimeout, "", `^understudy: never.*\n$`},
		"no service":     {[]string{"nobody"}, exitUnavailable, "", `^understudy: nobody: no node serves it\n$`},
		"no path":        {[]string{"good", "--path", "x"}, exitUsage, "", `^understudy: good: path "x" does not begin with /\n$`},
		"no file":        {[]string{"good", "-d", "@nowhere"}, exitFailed, "", `^understudy: open nowhere: no such file or directory\n$`},
		"no header":      {[]string{"good", "-H", "x"}, exitUsage, "", `^understudy: -H "x": name:value is needed\n$`},
	} {
		t.Run(name, func(t *testing.T) {
			status, stdout, stderr := s.try(append([]string{"request"}, tc.args...)...)
			require.Equal(t, tc.status, status, stderr)
			require.Equal(t, tc.stdout, stdout)
			require.Regexp(t, tc.stderr, stderr)
		})
	}
	var r reply
	require.NoError(t, json.Unmarshal([]byte(s.ask("request", "good", "-o", "json")), &r))
	require.Equal(t, "200 e ok", fmt.Sprint(r.Status, " ", r.Endpoint, " ", r.Body))
}

func TestEventsAsTheyHappen(t *testing.T) {
	s := serve(t, ownNATS(t.TempDir()))
	events := begin(t, []string{"NATS_URL=" + s.NATS}, "events", "--kind", "endpoint_registered", "--service", "orders")
	s.ask("endpoint", "add", "orders", "http://127.0.0.1:1", "--id", "first")
	// Until the events' subscription is there, nothing tells: so it happens again.
	var line string
	for i := 0; line == ""; i++ {
		s.ask("endpoint", "add", "orders", "http://127.0.0.1:1", "--id", fmt.Sprint("e", i))
		line = events.stdout.text()
	}
	require.Regexp(t, `^\d\d:\d\d:\d\d\.\d{3}  orders/e\d+ +endpoint registered +registered\n`, line)
	events.signal(syscall.SIGINT)
	require.Zero(t, events.exit())

	code, _, stderr := s.try("events", "-n", "1", "--timeout", "50ms", "--kind", "circuit_open")
	require.Equal(t, exitTimeout, code)
	require.Equal(t, "understudy: 0 events of 1 in 50ms\n", stderr)
}

// "SIGTERM drains (no request lost)": what was sent is answered, and what comes
// later is told at once that nobody is there.
func TestSIGTERMLosesNoRequest(t *testing.T) {
	nats := natsServer(t, "127.0.0.1:-1")
	held := understudytest.BlackHole(t)
	busy := understudytest.Good(t)
	s := serve(t, nil, "--nats", nats.URL())
	s.ask("endpoint", "add", "held", held.URL)
	s.ask("endpoint", "add", "busy", busy.URL)
	nc := dial(t, nats.URL())

	const requests = 5
	answers := make(chan string, requests)
	for range requests {
		go func() { answers <- ask(nc, "held") }()
	}
	held.AwaitHits(requests)
	var served, gone atomic.Int64
	var wrong sync.Map
	var callers sync.WaitGroup
	for range 8 { // a load that meets the draining
		callers.Go(func() {
			for gone.Load() == 0 {
				switch answer := ask(nc, "busy"); answer {
				case "ok":
					served.Add(1)
				case noResponders:
					gone.Add(1)
				default:
					wrong.Store(answer, true)
				}
			}
		})
	}
	busy.AwaitHits(200)
	s.signal(syscall.SIGTERM)
	callers.Wait()
	wrong.Range(func(answer, _ any) bool { t.Errorf("a request came to %v", answer); return true })
	require.EqualValues(t, busy.Hits(), served.Load(), "every request that reached the service was answered")
	require.Contains(t, s.stderr.text(), "draining")

	held.Heal()
	for range requests {
		require.Equal(t, "ok", <-answers)
	}
	require.Zero(t, s.exit())
}

const noResponders = "no responders"

// ask sends a request as any program would and says what came of it.
func ask(nc *nats.Conn, service string) string {
	reply, err := nc.Request(messages.RequestSubject(messages.DefaultPrefix, service), nil, patience)
	switch {
	case err == nats.ErrNoResponders:
		return noResponders
	case err != nil:
		return err.Error()
	case reply.Header.Get(messages.HeaderError) != "":
		return reply.Header.Get(messages.HeaderError)
	}
	return string(reply.Data)
}

// "a second one stops at once"
func TestSecondSIGTERMStopsAtOnce(t *testing.T) {
	nats := natsServer(t, "127.0.0.1:-1")
	held := understudytest.BlackHole(t)
	file := filepath.Join(t.TempDir(), "u.yaml")
	write(t, file, "nats: {embedded: {listen: '127.0.0.1:4222'}}\nservices: {held: {attempt_timeout: off, timeout: 10m, endpoints: [{id: e, url: '"+held.URL+"'}]}}")
	s := serve(t, nil, "--nats", nats.URL(), "-c", file)
	nc := dial(t, nats.URL())
	answer := make(chan string, 1)
	go func() { answer <- ask(nc, "held") }()
	held.AwaitHits(1)
	s.signal(syscall.SIGTERM)
	s.line(s.stderr, "draining")
	s.signal(syscall.SIGTERM)
	require.Equal(t, exitFailed, s.exit())
	require.Contains(t, s.stderr.text(), "understudy: stopped at once by terminated, not everything was finished\n")
	require.Equal(t, string(messages.CodeClosed), <-answer)
}

// "A NATS server already on 4222: one line that tells how to use it."
func TestPortTaken(t *testing.T) {
	nats := natsServer(t, "127.0.0.1:-1")
	taken := strings.TrimPrefix(nats.URL(), "nats://")
	store := "UNDERSTUDY_CFG__NATS__EMBEDDED__STORE=" + t.TempDir()
	code, stdout, stderr := finish(t, []string{store, "UNDERSTUDY_CFG__NATS__EMBEDDED__LISTEN=" + taken}, "serve")
	require.Equal(t, exitFailed, code)
	require.Empty(t, stdout)
	require.Regexp(t, `^understudy: \S+ is taken by a NATS server \(\S+\): use it with --nats nats://`+taken+` [^\n]*\n$`, stderr)

	other, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer other.Close()
	code, _, stderr = finish(t, []string{store, "UNDERSTUDY_CFG__NATS__EMBEDDED__LISTEN=" + other.Addr().String()}, "serve")
	require.Equal(t, exitFailed, code)
	require.Regexp(t, `^understudy: \S+ is taken by a program [^\n]*\n$`, stderr)
}

// "store locked by another node: one clear line, exit 1, no stack trace"
func TestStoreLocked(t *testing.T) {
	store := t.TempDir()
	first := serve(t, ownNATS(store))
	code, stdout, stderr := finish(t, ownNATS(store), "serve")
	require.Equal(t, exitFailed, code)
	require.Empty(t, stdout)
	require.Equal(t, fmt.Sprintf("understudy: store %s is in use by another understudy (pid %d)\n", store, first.cmd.Process.Pid), stderr)

	first.signal(syscall.SIGKILL)
	first.exit()
	second := serve(t, ownNATS(store))
	require.Equal(t, first.Node, second.Node, "the store keeps the name")
}

// "NATS not reachable: serve keeps trying, is not ready, and says so; client
// commands exit 4."
func TestNATSUnreachable(t *testing.T) {
	nats := natsServer(t, "127.0.0.1:-1")
	listen := strings.TrimPrefix(nats.URL(), "nats://")
	nats.Close()
	file := filepath.Join(t.TempDir(), "u.yaml")
	write(t, file, "admin: {listen: '127.0.0.1:0'}\nservices: {web: {endpoints: [{id: e, url: '"+understudytest.Good(t).URL+"'}]}}")
	s := serve(t, nil, "--nats", "nats://"+listen, "-c", file)
	require.False(t, s.Ready)
	require.Equal(t, "NATS cannot be reached at nats://"+listen, s.Reason)
	s.line(s.stderr, "NATS cannot be reached, trying again")
	require.Equal(t, 503, get(t, s.Admin+"/readyz"))
	require.Equal(t, 200, get(t, s.Admin+"/livez"))

	code, _, stderr := s.try("request", "web")
	require.Equal(t, exitUnreachable, code)
	require.Equal(t, "understudy: no NATS server answers at nats://"+listen+"\n", stderr)

	natsServer(t, listen)
	require.Eventually(t, func() bool { return get(t, s.Admin+"/readyz") == 200 }, patience, 10*time.Millisecond)
	require.Eventually(t, func() bool { code, _, _ := s.try("request", "web"); return code == exitOK }, patience, 10*time.Millisecond)
	s.signal(syscall.SIGINT)
	require.Zero(t, s.exit())
}

// "OTEL_* variables work in the binary"
func TestTracesLeaveTheBinary(t *testing.T) {
	bodies := make(chan string, 16)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // what is missing fails below
		bodies <- string(body)
	}))
	t.Cleanup(collector.Close)
	good := understudytest.Good(t)
	s := serve(t, append(ownNATS(t.TempDir()), "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL))
	s.ask("endpoint", "add", "web", good.URL)
	require.Equal(t, "ok", s.ask("request", "web"))
	require.Contains(t, good.Requests()[0].Header, "Traceparent")
	s.signal(syscall.SIGTERM)
	require.Zero(t, s.exit())
	require.Contains(t, <-bodies, "process understudy.request.web")
}

func get(t *testing.T, url string) int {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

// "A changed file is applied while running (watch and SIGHUP), only where it
// changed: untouched endpoints keep their breakers, connections and statistics; an
// invalid file leaves the last good one in force and says so."
func TestReloadOfARunningNode(t *testing.T) {
	good, bad := understudytest.Good(t), understudytest.Faulty(t, 500, 1)
	file := filepath.Join(t.TempDir(), "u.yaml")
	broken := "  broken: {retry: {max_attempts: 1}, breaker: {failure_threshold: 2, open_timeout: 5m}, endpoints: [{id: e, url: '" + bad.URL + "'}]}\n"
	write(t, file, "services:\n"+broken)
	s := serve(t, ownNATS(t.TempDir()), "-c", file)
	for range 2 {
		code, _, _ := s.try("request", "broken")
		require.Equal(t, exitFailed, code)
	}
	before := status(t, s).Services[0]
	require.Equal(t, "open", before.Endpoints[0].Breaker)

	write(t, file, "services:\n"+broken+"  web: {endpoints: [{id: e, url: '"+good.URL+"'}]}\n")
	s.line(s.stderr, "configuration reloaded")
	require.Equal(t, "ok", s.ask("request", "web"))
	after := status(t, s).Services[0]
	require.Equal(t, "open", after.Endpoints[0].Breaker)
	require.Equal(t, before.Stats, after.Stats)

	write(t, file, "services:\n"+broken+"  web: {endpoints: [{id: e, ulr: 'x'}]}\n")
	require.Contains(t, s.line(s.stderr, "did you mean url"), file)
	s.line(s.stderr, "the last good one stays in force")
	require.Equal(t, "ok", s.ask("request", "web"))
	require.Contains(t, s.ask("status"), "configuration not in force: "+file+":3:")

	s.signal(syscall.SIGHUP)
	s.line(s.stderr, "the configuration is unchanged")
	require.Equal(t, 2, bad.Hits())
}
