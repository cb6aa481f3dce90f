package retry

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/check"
)

const off = -1

func TestDefaults(t *testing.T) {
	want := Config{
		MaxAttempts: 3,
		On:          []string{"connect", "timeout", "429", "502", "503", "504"},
		Backoff:     Backoff{Initial: 25 * time.Millisecond, Multiplier: 2, Max: 250 * time.Millisecond},
		Jitter:      FullJitter,
		Budget:      BudgetConfig{Ratio: 0.20, MinPerSecond: 10},
	}
	check.Equal(t, want, Config{}.WithDefaults())
	check.Equal(t, want, want.WithDefaults(), "settled")
	check.Equal(t, nil, Config{}.Validate())
	check.Equal(t, nil, want.Validate())

	Config{}.WithDefaults().On[0] = "changed"
	check.Equal(t, "connect", Config{}.WithDefaults().On[0], "nobody changes another's defaults")

	check.Equal(t, 1, Config{MaxAttempts: off}.WithDefaults().MaxAttempts)
	check.Equal(t, 1, Config{MaxAttempts: 1}.WithDefaults().MaxAttempts)
	check.Equal(t, nil, Config{MaxAttempts: off}.Validate())
	check.Equal(t, nil, BudgetConfig{}.Validate())
	check.Equal(t, nil, BudgetConfig{Ratio: off, MinPerSecond: off}.Validate())
}

func TestDefaultsFollowTheBackoff(t *testing.T) {
	for _, c := range []struct {
		about  string
		given  Backoff
		max    time.Duration
		jitter Jitter
	}{
		{"ten times the initial", Backoff{Initial: time.Second}, 10 * time.Second, FullJitter},
		{"an hour at most", Backoff{Initial: 30 * time.Minute}, time.Hour, FullJitter},
		{"as given", Exponential(2*time.Second, 3*time.Second), 3 * time.Second, FullJitter},
		{"who asks for 5 s gets 5 s", Constant(5 * time.Second), 5 * time.Second, NoJitter},
		{"constant in the file", Backoff{Initial: 5 * time.Second, Multiplier: 1}, 50 * time.Second, NoJitter},
		{"off", Backoff{Initial: off}, 0, FullJitter},
	} {
		d := Config{Backoff: c.given}.WithDefaults()
		check.Equal(t, c.max, d.Backoff.Max, c.about)
		check.Equal(t, c.jitter, d.Jitter, c.about)
		check.Equal(t, d, d.WithDefaults(), c.about)
		check.Equal(t, nil, Config{Backoff: c.given}.Validate(), c.about)
	}
	check.Equal(t, Jitter(time.Second), Config{Backoff: Constant(time.Second), Jitter: Jitter(time.Second)}.WithDefaults().Jitter)
}

func TestEveryFaultIsNamed(t *testing.T) {
	for field, c := range map[string]Config{
		"max_attempts: ":          {MaxAttempts: -2},
		"on: ":                    {On: []string{"connect", "refused"}},
		"backoff.initial: ":       {Backoff: Backoff{Initial: -time.Second}},
		"backoff.multiplier: ":    {Backoff: Backoff{Multiplier: 0.5}},
		"backoff.max: ":           {Backoff: Backoff{Initial: time.Second, Max: time.Millisecond}},
		"jitter: ":                {Jitter: -3},
		"budget.ratio: ":          {Budget: BudgetConfig{Ratio: 20}},
		"budget.min_per_second: ": {Budget: BudgetConfig{MinPerSecond: -2}},
	} {
		err := c.Validate()
		check.Holds(t, err != nil, field)
		check.Holds(t, strings.HasPrefix(err.Error(), field) && !strings.Contains(err.Error(), "\n"), field, err)
	}
	for about, c := range map[string]Config{
		"initial":    {Backoff: Backoff{Initial: 2 * time.Hour, Max: 2 * time.Hour}},
		"max":        {Backoff: Backoff{Max: 2 * time.Hour}},
		"off max":    {Backoff: Backoff{Max: off}},
		"multiplier": {Backoff: Backoff{Multiplier: math.NaN()}},
		"jitter":     {Jitter: Jitter(2 * time.Hour)},
		"ratio":      {Budget: BudgetConfig{Ratio: math.NaN()}},
		"floor":      {Budget: BudgetConfig{MinPerSecond: math.Inf(1)}},
	} {
		check.Holds(t, c.Validate() != nil, about)
	}
	all := Config{MaxAttempts: -2, On: []string{"x", "y"}, Jitter: -3, Budget: BudgetConfig{Ratio: -3}}.Validate()
	check.Equal(t, 5, len(strings.Split(all.Error(), "\n")), "all at once")
	check.Holds(t, BudgetConfig{Ratio: -3}.Validate() != nil)
}

func TestRetryable(t *testing.T) {
	const (
		ignored = messages.Ignored
		success = messages.Success
		failure = messages.Failure
		timeout = messages.Timeout
		connect = messages.ConnectFailure
	)
	for _, c := range []struct {
		on      []string
		outcome messages.Outcome
		status  int
		want    bool
	}{
		{nil, connect, 0, true},
		{nil, timeout, 0, true},
		{nil, failure, 503, true},
		{nil, failure, 502, true},
		{nil, failure, 504, true},
		{nil, failure, 500, false},
		{nil, failure, 501, false},
		{nil, ignored, 429, true}, // no failure, and listed
		{nil, success, 429, true},
		{nil, success, 200, false},
		{nil, success, 404, false},
		{nil, success, 0, false},
		{nil, ignored, 0, false}, // cancelled, or our own refusal
		{nil, failure, 0, false}, // a plain error is not listed
		{[]string{"error"}, failure, 0, true},
		{[]string{"error"}, ignored, 0, false},
		{[]string{"error"}, success, 0, false},
		{[]string{"error"}, failure, 503, false},
		{[]string{"error"}, connect, 0, false},
		{[]string{"error"}, timeout, 0, false},
		{[]string{"503"}, timeout, 503, false}, // the answer began, then stalled
		{[]string{"5xx"}, failure, 500, true},
		{[]string{"5xx"}, failure, 599, true},
		{[]string{"5xx"}, failure, 499, false},
		{[]string{"5xx"}, failure, 600, false},
		{[]string{"5xx"}, failure, -1, false},
		{[]string{"404"}, success, 404, true},
		{[]string{"404"}, success, 405, false},
		{[]string{"100", "599"}, failure, 599, true},
	} {
		check.Equal(t, c.want, NewPolicy(Config{On: c.on}).Retryable(c.outcome, c.status), c)
	}
}

func TestWordsOfOn(t *testing.T) {
	for _, word := range []string{"", "Connect", "5XX", "5x", "5xxx", "6xx", "0xx", "099", "600", "50", "5x3", "50x", "+50", "1e2", "५०३"} {
		err := Config{On: []string{word}}.Validate()
		check.Holds(t, err != nil && strings.Contains(err.Error(), "on: "), word)
		check.Holds(t, !NewPolicy(Config{On: []string{word}}).Retryable(messages.Failure, 503), word)
	}
	for _, word := range []string{"connect", "timeout", "error", "100", "503", "599", "1xx", "5xx"} {
		check.Equal(t, nil, Config{On: []string{word}}.Validate(), word)
	}
}

func TestIdempotent(t *testing.T) {
	for method, want := range map[string]bool{
		"GET": true, "HEAD": true, "PUT": true, "DELETE": true, "OPTIONS": true, "TRACE": true,
		"POST": false, "PATCH": false, "CONNECT": false, "": false, "get": false,
	} {
		check.Equal(t, want, Idempotent(method), method)
	}
}
