package main

import (
	"encoding/json"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy/internal/demo"
	"github.com/understudy-go/understudy/messages"
)

// "Exit 0 only if no request failed."
func TestDemo(t *testing.T) {
	temp := t.TempDir()
	code, stdout, stderr := finish(t, []string{"TMPDIR=" + temp}, "demo", "-o", "json", "--duration", "6s", "--rate", "200")
	require.Zero(t, code, stderr)
	var r demo.Result
	require.NoError(t, json.Unmarshal([]byte(stdout), &r))
	require.Zero(t, r.Failed)
	require.InDelta(t, 1200, float64(r.Requests), 100)
	require.NotNil(t, r.TimeToIsolate)
	require.NotNil(t, r.TimeToRecover)
	require.Greater(t, r.P99, 0.0)
	for _, key := range []string{"requests", "failed", "fallbacks", "retries", "failovers", "p50_ms", "p99_ms", "time_to_isolate_ms", "time_to_recover_ms"} {
		require.Contains(t, stdout, `"`+key+`":`)
	}
	for _, step := range []string{"SIGKILL to orders-1", "orders-1 is back", "orders-1 serves again", "orders-2 now stalls for 6s on half of its calls", "orders-2 is well again"} {
		require.Contains(t, stderr, step)
	}
	require.Regexp(t, `orders-1 +(endpoint suspected|endpoint down|circuit open): \w`, stderr)
	left, err := os.ReadDir(temp)
	require.NoError(t, err)
	require.Empty(t, left)
}

// Its services do not outlive it, however it ends.
func TestDemoLeavesNoProcess(t *testing.T) {
	for name, end := range map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGKILL": syscall.SIGKILL} {
		t.Run(name, func(t *testing.T) {
			p := begin(t, []string{"TMPDIR=" + t.TempDir()}, "demo", "--stay", "--duration", "1s", "--rate", "50")
			url := regexp.MustCompile(`nats://\S+`).FindString(p.line(p.stderr, "export NATS_URL="))
			s := &server{process: p, address: address{NATS: url}}
			var nodes []messages.NodeStatus
			require.NoError(t, json.Unmarshal([]byte(s.ask("status", "orders", "-o", "json")), &nodes))
			p.signal(end)
			code := p.exit()
			require.Equal(t, end == syscall.SIGTERM, code == exitOK, "to be ended by Ctrl-C is how it ends")
			for _, e := range nodes[0].Services[0].Endpoints {
				require.Eventually(t, func() bool { return refused(e.URL) }, patience, 10*time.Millisecond, e.URL)
			}
		})
	}
}

func refused(url string) bool {
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err == nil {
		conn.Close()
	}
	return err != nil
}
