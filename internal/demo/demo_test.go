package demo

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/understudy-go/understudy/config"
	"github.com/understudy-go/understudy/messages"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSettingsHaveNoMistake(t *testing.T) {
	path := filepath.Join(t.TempDir(), "understudy.yaml")
	require.NoError(t, os.WriteFile(path, []byte(ExampleSettings()), 0o600))
	f, err := config.Load([]string{path}, nil)
	require.NoError(t, err)
	require.Empty(t, f.Warnings)
	require.Len(t, f.Services[service].Endpoints, len(ids))
}

func TestOrdersServesAndStalls(t *testing.T) {
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	o := newOrders("orders-7")
	server := httptest.NewServer(o.handler())
	defer server.Close()
	get := func(path string) string {
		resp, err := http.Get(server.URL + path)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return string(body)
	}
	require.Contains(t, get("/orders"), `"served_by":"orders-7"`)
	require.Equal(t, "ok\n", get("/health"))

	ctx := context.Background()
	require.NoError(t, setStall(ctx, server.URL, 2, 30*time.Second))
	delays := map[bool]int{}
	for range 10 {
		delay, _ := o.next()
		delays[delay == 30*time.Second]++
	}
	require.Equal(t, map[bool]int{true: 5, false: 5}, delays, "half of its calls")

	// The end of the stall frees who is caught in it.
	answered := make(chan string)
	go func() { answered <- get("/orders") }()
	for { // until it is caught
		o.mu.Lock()
		calls := o.calls
		o.mu.Unlock()
		if calls == 12 {
			break
		}
	}
	require.NoError(t, setStall(ctx, server.URL, 0, 0))
	select {
	case body := <-answered:
		require.Contains(t, body, "orders-7")
	case <-time.After(20 * time.Second):
		t.Fatal("it is still caught")
	}
	require.Error(t, setStall(ctx, server.URL, -1, time.Second))
	require.Error(t, setStall(ctx, server.URL, 2, time.Hour))
}

func TestOrdersEndsWithItsInput(t *testing.T) {
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	in, parent := io.Pipe()
	out, said := io.Pipe()
	ended := make(chan error)
	go func() { ended <- ServeOrders("a", "127.0.0.1:0", in, said) }()
	line := make([]byte, 64)
	n, err := out.Read(line)
	require.NoError(t, err)
	resp, err := http.Get(strings.TrimSpace(string(line[:n])) + "/health")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.NoError(t, parent.Close())
	require.NoError(t, <-ended)
	require.Error(t, ServeOrders("a", "nowhere", nil, nil))
}

// What is no 200 of an endpoint has failed, whatever it looks like.
func TestLoadCounts(t *testing.T) {
	l := newLoad(nil, "s", 100)
	now := time.Now()
	due := now.Add(-4 * time.Millisecond)
	ok := func(id string) *nats.Msg {
		return &nats.Msg{Header: nats.Header{messages.HeaderStatus: {"200"}, messages.HeaderEndpoint: {id}}}
	}
	awaited := l.await("b")
	l.record(due, now, ok("a"), nil)
	require.Empty(t, awaited)
	l.record(due, now, ok("b"), nil)
	require.Equal(t, now, <-awaited)
	fallback := ok("")
	fallback.Header.Set(messages.HeaderFallback, "true")
	l.record(due, now, fallback, nil)
	l.record(due, now, nil, nats.ErrNoResponders)
	l.record(due, now, &nats.Msg{Header: nats.Header{messages.HeaderStatus: {"503"}, messages.HeaderNATSError: {"CIRCUIT_OPEN: x"}}}, nil)
	l.record(due, now, &nats.Msg{Header: nats.Header{messages.HeaderStatus: {"404"}}}, nil)
	l.record(due, now, &nats.Msg{}, nil)
	require.Equal(t, counts{requests: 7, failed: 4, fallbacks: 1}, l.counts)
	require.Equal(t, []string{"nats: no responders available for request", "CIRCUIT_OPEN: x", "status 404", "status "}, l.failures)
	require.Equal(t, map[string]uint64{"a": 1, "b": 1, "": 1}, l.served)
	require.InDelta(t, 4, l.percentile(50), 0.01, "from when it was due")
}

var scene = Scene{
	Elapsed: 4 * time.Second, Requests: 2000, P50: 1.2, P99: 9.9,
	Endpoints: []EndpointScene{
		{ID: "orders-1", State: "out", Why: "unhealthy: connection refused", Answers: 500, Latency: time.Millisecond},
		{ID: "orders-2", State: "serving", Answers: 900, Inflight: 2, Latency: 2 * time.Millisecond},
	},
}

func TestLines(t *testing.T) {
	var b bytes.Buffer
	v := NewLines(&b)
	v.Say(3*time.Second, "SIGKILL to orders-1")
	v.Draw(scene)
	soon := scene
	soon.Elapsed += time.Second
	v.Draw(soon)
	require.Equal(t, `  3.000s  SIGKILL to orders-1
  4.000s  2000 requests, 0 failed, p99 9.9 ms; orders-1 out 125/s, orders-2 serving 225/s
`, b.String())
}

func TestScreenDrawsInPlace(t *testing.T) {
	var b bytes.Buffer
	v := NewScreen(&b, 60)
	v.Say(3*time.Second, "SIGKILL to orders-1")
	v.Draw(scene)
	first := b.String()
	require.True(t, strings.HasPrefix(first, hideCursor))
	for _, part := range []string{red + "out" + reset, green + "serving" + reset, "0 failed", "3.00s  SIGKILL to orders-1", "…"} {
		require.Contains(t, first, part)
	}
	lines := strings.Count(first, "\n")
	b.Reset()
	for range 3 * newsMax {
		v.Say(0, "news")
	}
	v.Draw(scene)
	require.True(t, strings.HasPrefix(b.String(), "\x1b["+strconv.Itoa(lines)+"A\r"+clearBelow), "%q", b.String())
	require.Equal(t, lines, strings.Count(b.String(), "\n"), "the picture keeps its height")
	v.Close()
	require.True(t, strings.HasSuffix(b.String(), showCursor))
}
