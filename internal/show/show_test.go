package show

import (
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/understudy-go/understudy/messages"
)

func TestState(t *testing.T) {
	good := messages.EndpointStatus{Eligible: true, Rank: "healthy", Admin: messages.AdminReady, Health: "healthy", HealthReason: "no check is configured", Breaker: "closed"}
	with := func(f func(*messages.EndpointStatus)) messages.EndpointStatus {
		e := good
		f(&e)
		return e
	}
	for name, tc := range map[string]struct {
		e          messages.EndpointStatus
		state, why string
	}{
		"well":                      {good, "serving", ""},
		"forced closed is no fault": {with(func(e *messages.EndpointStatus) { e.BreakerReason = "forced closed" }), "serving", ""},
		"drained": {with(func(e *messages.EndpointStatus) {
			e.Eligible, e.Admin, e.AdminReason = false, messages.AdminDrain, "new disk"
		}), "drain", "new disk"},
		"open": {with(func(e *messages.EndpointStatus) {
			e.Eligible, e.Breaker, e.BreakerReason = false, "open", "open 12s: 5 failures in a row; trial in 3s"
		}), "out", "open 12s: 5 failures in a row; trial in 3s"},
		"unhealthy and open": {with(func(e *messages.EndpointStatus) {
			e.Eligible, e.Health, e.HealthReason, e.Breaker = false, "unhealthy", "3 checks failed in a row", "open"
		}), "out", "unhealthy: 3 checks failed in a row; open"},
		"suspect by a call": {with(func(e *messages.EndpointStatus) {
			e.Suspect, e.Rank, e.LastError = true, "suspect", "connection refused"
		}), "last choice", "suspect: connection refused"},
		"suspect by a check": {with(func(e *messages.EndpointStatus) {
			e.Suspect, e.Rank, e.HealthReason, e.LastError = true, "suspect", "suspect: a check failed", "x"
		}), "last choice", "suspect: a check failed"},
		"degraded": {with(func(e *messages.EndpointStatus) { e.Rank, e.Health, e.HealthReason = "degraded", "degraded", "slow" }),
			"degraded", "degraded: slow"},
	} {
		t.Run(name, func(t *testing.T) {
			state, why := State(&tc.e)
			require.Equal(t, tc.state, state)
			require.Equal(t, tc.why, why)
		})
	}
	cooling := with(func(e *messages.EndpointStatus) {
		e.Eligible, e.CoolingUntil = false, time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	})
	state, why := State(&cooling)
	require.Equal(t, "out", state)
	require.Equal(t, "asked for a pause until 03:04:05", why)
}

func TestEventSaysWhatWhyAndWho(t *testing.T) {
	for want, e := range map[string]messages.Event{
		"circuit open: 5 failures in a row":            {Kind: messages.KindCircuitOpened, Cause: messages.Cause{Words: "5 failures in a row"}},
		"endpoint up: from unhealthy to healthy":       {Kind: messages.KindEndpointUp, Cause: messages.Cause{From: "unhealthy", To: "healthy"}},
		"admin changed: drain: new disk (by ann@here)": {Kind: messages.KindAdminChanged, Cause: messages.Cause{Words: "drain: new disk", By: "ann@here"}},
		"endpoint up":      {Kind: messages.KindEndpointUp},
		"timeout: a [31mb": {Kind: messages.KindTimeout, Cause: messages.Cause{Words: "a\x1b[31mb"}},
	} {
		require.Equal(t, want, Event(&e))
	}
	require.Equal(t, "orders/a", Whom(&messages.Event{Node: "n", Service: "orders", Endpoint: "a"}))
	require.Equal(t, "orders", Whom(&messages.Event{Node: "n", Service: "orders"}))
	require.Equal(t, "n", Whom(&messages.Event{Node: "n"}))
}

func TestLatencyHasThreeFigures(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "-", 188541: "188µs", 2758765: "2.8ms", 150 * time.Millisecond: "150ms", 1234567890: "1.23s",
	} {
		require.Equal(t, want, Latency(d))
	}
}

func TestTable(t *testing.T) {
	var b strings.Builder
	require.NoError(t, Table(&b, [][]string{{"ID", "STATE", "WHY"}, {"a", "serving"}, {"långt", "out", "x"}}))
	require.Equal(t, "ID     STATE    WHY\na      serving\nlångt  out      x\n", b.String())
}

// However long a line is and whatever it is made of, it fits, and what fits stays.
func TestCutFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		line := rapid.String().Draw(t, "line")
		width := rapid.IntRange(1, 40).Draw(t, "width")
		got := Cut(line, width)
		if n := utf8.RuneCountInString(line); n <= width && got != line || utf8.RuneCountInString(got) > width {
			t.Fatalf("%q in %d became %q", line, width, got)
		}
	})
}

// What others wrote moves no cursor and rings no bell.
func TestPlainHasNoControls(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		for _, r := range Plain(rapid.String().Draw(t, "text")) {
			if r < ' ' || r >= 0x7f && r < 0xa0 {
				t.Fatalf("%q is left", r)
			}
		}
	})
}

func TestAFileIsNoTerminal(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/f")
	require.NoError(t, err)
	defer f.Close()
	require.Zero(t, Terminal(f))
	require.Zero(t, Terminal(&strings.Builder{}))
}
