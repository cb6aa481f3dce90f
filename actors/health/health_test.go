package health

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/understudy-go/understudy/test/check"
)

var checked = Config{TCP: &TCPCheck{}}

// play gives a word of checks, one letter each: g good, s good and slow, b bad.
// It returns the states after each, by first letter.
func play(h *Health, checks string) string {
	var states strings.Builder
	for i, c := range checks {
		latency := time.Millisecond
		if c == 's' {
			latency = 600 * time.Millisecond
		}
		words := "200 OK"
		if c == 'b' {
			words = "connection refused"
		}
		h.Check(time.Duration(i)*time.Second, c != 'b', latency, words)
		states.WriteByte("HUDX"[h.State()])
	}
	return states.String()
}

func TestHysteresis(t *testing.T) {
	slow := Config{TCP: &TCPCheck{}, DegradedAbove: 500 * time.Millisecond}
	for _, c := range []struct {
		name           string
		cfg            Config
		checks, states string // H healthy, U unknown, D degraded, X unhealthy
	}{
		{"the first check alone decides: good", checked, "g", "H"},
		{"the first check alone decides: bad", checked, "b", "X"},
		{"a bad start needs rise like any other", checked, "bgg", "XXH"},
		{"one transient failure must not eject", checked, "gbg", "HHH"},
		{"fall 3 ejects; back after it recovers", checked, "gbbbgg", "HHHXXH"},
		{"only failures in a row count", checked, "gbbgbbgbbb", "HHHHHHHHHX"},
		{"only successes in a row count", checked, "gbbbgbgg", "HHHXXXXH"},
		{"fall 1, rise 1", Config{TCP: &TCPCheck{}, Fall: 1, Rise: 1}, "gbgb", "HXHX"},
		{"slow is degraded, not unhealthy", slow, "sssss", "DDDDD"},
		{"slow now, fast now", slow, "gsgs", "HDHD"},
		{"a bad check leaves degraded alone until fall", slow, "sbbbgs", "DDDXXD"},
		{"slow counts nowhere by default", checked, "ss", "HH"},
	} {
		t.Run(c.name, func(t *testing.T) { check.Equal(t, c.states, play(New(c.cfg), c.checks)) })
	}
}

// naive says the same by looking at the whole past: the state turned last where
// fall or rise results in a row, or the very first one, said so.
func naive(c Config, good []bool, latency []time.Duration) State {
	c = c.WithDefaults()
	if len(good) == 0 {
		return Unknown
	}
	same := func(i, n int, want bool) bool { // the n results up to i are all want
		for j := i; j > i-n; j-- {
			if j < 0 || good[j] != want {
				return false
			}
		}
		return true
	}
	last := len(good) - 1
	for !(last == 0 || same(last, c.Fall, false) || same(last, c.Rise, true)) {
		last--
	}
	if !good[last] {
		return Unhealthy
	}
	for i := len(good) - 1; i >= 0; i-- {
		if good[i] {
			if c.DegradedAbove > 0 && latency[i] > c.DegradedAbove {
				return Degraded
			}
			break
		}
	}
	return Healthy
}

func TestHealthAgreesWithTheNaiveModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := anyConfig(t)
		h := New(cfg)
		var good []bool
		var latency []time.Duration
		for i := range rapid.IntRange(0, 150).Draw(t, "checks") {
			before := h.State()
			check.Equal(t, naive(cfg, good, latency), before)
			good = append(good, rapid.Bool().Draw(t, "good"))
			latency = append(latency, time.Duration(rapid.IntRange(90, 110).Draw(t, "ms"))*time.Millisecond)
			change := h.Check(time.Duration(i), good[i], latency[i], "")
			check.Equal(t, Change{
				From: before, To: h.State(),
				Failing:   !good[i] && (i == 0 || good[i-1]),
				Recovered: good[i] && i > 0 && !good[i-1],
			}, change)
			check.Equal(t, before != h.State(), change.Changed())
		}
		check.Equal(t, naive(cfg, good, latency), h.State())
	})
}

func TestChangeTellsTheFirstOfEachRun(t *testing.T) {
	h := New(checked)
	var told strings.Builder
	for i, c := range "ggbbggbgbb" {
		change := h.Check(time.Duration(i), c == 'g', 0, "")
		check.Holds(t, !(change.Failing && change.Recovered))
		switch {
		case change.Failing:
			told.WriteByte('F')
		case change.Recovered:
			told.WriteByte('R')
		default:
			told.WriteByte('.')
		}
	}
	check.Equal(t, "..F.R.FRF.", told.String())
}

func TestWithoutACheck(t *testing.T) {
	h := New(Config{})
	check.Equal(t, Healthy, h.State())
	check.Holds(t, h.Eligible())
	check.Equal(t, "HHHHH", play(h, "bbbbb"), "nothing would ever bring it back")
	check.Equal(t, 5, len(h.Last(10)), "checks on demand can be asked for")
	check.Equal(t, "no check is configured", h.Reason())
	check.Equal(t, Healthy, new(Health).State())
}

func TestReadiness(t *testing.T) {
	for _, c := range []struct {
		checks                         string
		eligible, lastResort           bool // without readiness
		readyEligible, readyLastResort bool
	}{
		{"", true, false, false, false}, // traffic comes only after ready
		{"g", true, true, true, true},
		{"b", false, true, false, false},
		{"gbb", true, true, true, true},
		{"gbbb", false, true, false, false}, // readiness failing takes traffic away
		{"gbbbg", false, true, false, false},
		{"gbbbgg", true, true, true, true},
	} {
		h := New(checked)
		play(h, c.checks)
		check.Equal(t, []bool{c.eligible, c.lastResort}, []bool{h.Eligible(), h.LastResort()}, c.checks)
		h = New(Config{TCP: &TCPCheck{}, Readiness: true})
		play(h, c.checks)
		check.Equal(t, []bool{c.readyEligible, c.readyLastResort}, []bool{h.Eligible(), h.LastResort()}, "ready %s", c.checks)
	}
}

func TestPark(t *testing.T) {
	h := New(checked)
	play(h, "g")
	check.Equal(t, Change{From: Healthy, To: Unhealthy}, h.Park("3 panics in 10s"))
	check.Equal(t, "parked: 3 panics in 10s", h.Reason())
	check.Equal(t, "XXX", play(h, "ggg"), "checks do not bring it back")
	check.Holds(t, !h.Eligible())
	check.Holds(t, !h.LastResort())
	check.Equal(t, Change{From: Unhealthy, To: Unhealthy}, h.Configure(Config{}), "nor does a reload")
	check.Equal(t, Change{From: Unhealthy, To: Healthy}, h.Unpark())

	h = New(checked)
	h.Park("")
	play(h, "b")
	check.Equal(t, Change{From: Unhealthy, To: Unhealthy}, h.Unpark(), "the checks' word holds again")
	check.Equal(t, "1 check failed, last: connection refused", h.Reason())
}

func TestConfigure(t *testing.T) {
	t.Run("a new check takes no traffic away, and its first result decides", func(t *testing.T) {
		h := New(Config{})
		check.Holds(t, !h.Configure(Config{TCP: &TCPCheck{}, Readiness: true}).Changed())
		check.Holds(t, h.Eligible())
		check.Equal(t, "X", play(h, "b"))
	})
	t.Run("without its check an endpoint is healthy", func(t *testing.T) {
		h := New(checked)
		play(h, "bb")
		check.Equal(t, Change{From: Unhealthy, To: Healthy}, h.Configure(Config{}))
		check.Equal(t, 0, len(h.Last(10)))
		h.Configure(checked)
		check.Equal(t, "X", play(h, "b"))
	})
	t.Run("the state survives a change of numbers", func(t *testing.T) {
		h := New(checked)
		play(h, "gbb")
		check.Holds(t, !h.Configure(Config{TCP: &TCPCheck{}, Fall: 2, Rise: 1}).Changed())
		check.Equal(t, "XH", play(h, "bg"))
		check.Equal(t, 5, len(h.Last(10)))
	})
	t.Run("nobody is degraded by a rule that is off", func(t *testing.T) {
		h := New(Config{TCP: &TCPCheck{}, DegradedAbove: 500 * time.Millisecond})
		check.Equal(t, "D", play(h, "s"))
		check.Equal(t, Change{From: Degraded, To: Healthy}, h.Configure(checked))
	})
}

func TestReason(t *testing.T) {
	slow := Config{TCP: &TCPCheck{}, DegradedAbove: 500 * time.Millisecond}
	for checks, reason := range map[string]string{
		"":        "waiting for the first check",
		"g":       "",
		"b":       "1 check failed, last: connection refused",
		"gb":      "1 check failed, last: connection refused; unhealthy at 3",
		"gbbb":    "3 checks failed in a row, last: connection refused",
		"gbbgbbb": "3 checks failed in a row, last: connection refused",
		"gbbbg":   "3 checks failed in a row, last: connection refused; 1 good since, 2 needed",
		"gbbbgg":  "",
		"gs":      "the last good check took 600ms, above 500ms",
	} {
		h := New(slow)
		play(h, checks)
		check.Equal(t, reason, h.Reason(), checks)
	}
}

func TestStateNames(t *testing.T) {
	check.Equal(t, "healthy unknown degraded unhealthy", fmt.Sprint(Healthy, " ", Unknown, " ", Degraded, " ", Unhealthy))
}

// "120 checks: 100 kept; the last 10 can be asked for."
func TestHistoryKeepsAHundred(t *testing.T) {
	h := New(checked)
	for i := range 120 {
		h.Check(time.Duration(i)*time.Second, i%7 != 0, time.Duration(i)*time.Millisecond, fmt.Sprint("answer ", i%3))
	}
	check.Equal(t, 100, len(h.Last(1000)))
	last := h.Last(10)
	check.Equal(t, 10, len(last))
	check.Equal(t, CheckResult{At: 110 * time.Second, OK: true, Latency: 110 * time.Millisecond, Words: "answer 2"}, last[0])
	check.Equal(t, CheckResult{At: 119 * time.Second, Latency: 119 * time.Millisecond, Words: "answer 2"}, last[9])
	check.Equal(t, 0, len(h.Last(0)))
	check.Equal(t, 0, len(h.Last(-1)))
	check.Equal(t, 0, len(New(checked).Last(10)))
}

// The model keeps every result; of their texts it expects those that are among
// the newest 8 to have come new.
func TestHistoryAgreesWithTheNaiveModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := New(checked)
		var all []CheckResult
		var texts []string // in the order they came new
		variety := rapid.IntRange(1, 20).Draw(t, "variety")
		for i := range rapid.IntRange(0, 250).Draw(t, "checks") {
			r := CheckResult{At: time.Duration(i) * atStep, OK: rapid.Bool().Draw(t, "ok"), Latency: time.Duration(i) * time.Microsecond}
			if n := rapid.IntRange(0, variety).Draw(t, "text"); n > 0 {
				r.Words = fmt.Sprint("text ", n)
			}
			h.Check(r.At, r.OK, r.Latency, r.Words)
			all = append(all, r)

			known := r.Words == ""
			for _, text := range texts[max(0, len(texts)-textsMax):] {
				known = known || text == r.Words
			}
			if !known {
				texts = append(texts, r.Words)
				if gone := len(texts) - 1 - textsMax; gone >= 0 {
					for j := range all[:i] {
						if all[j].Words == texts[gone] {
							all[j].Words = ""
						}
					}
				}
			}
		}
		n := rapid.IntRange(0, 120).Draw(t, "n")
		want := all[max(0, len(all)-min(n, historyMax)):]
		got := h.Last(n)
		check.Equal(t, len(want), len(got))
		for i := range want {
			check.Equal(t, want[i], got[i])
		}
	})
}

func TestHistoryBoundsWhatItKeeps(t *testing.T) {
	h := New(checked)
	h.Check(0, false, 100*time.Hour, strings.Repeat("ü", 1000))
	got := h.Last(1)[0]
	check.Equal(t, strings.Repeat("ü", 58)+"…", got.Words)
	check.Holds(t, len(got.Words) <= textMax)
	check.Equal(t, 71*time.Minute, got.Latency.Truncate(time.Minute))
	h.Check(0, true, -time.Second, "")
	check.Equal(t, 0, h.Last(1)[0].Latency)
}

// An idle endpoint may take 3 KiB, and 3 KiB more with a check, its history, its
// prober and the schedule; so the history stays below 2 KiB and comes only with
// the first result.
func TestMemory(t *testing.T) {
	check.Holds(t, unsafe.Sizeof(history{}) <= uintptr(1792), "the size class below 2 KiB")
	check.Holds(t, unsafe.Sizeof(Health{}) <= uintptr(96))
	check.Holds(t, unsafe.Sizeof(Suspicion{}) <= uintptr(32))
	check.Holds(t, unsafe.Sizeof(Schedule{}) <= uintptr(208))
	h := New(checked)
	check.Holds(t, h.history == nil)
	h.Check(0, true, 0, "200 OK")
	check.Equal(t, 0, testing.AllocsPerRun(300, func() { h.Check(0, true, 0, "200 OK") }))
}
