package health

import (
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/understudy-go/understudy/test/check"
)

const off = -1

func TestDefaults(t *testing.T) {
	check.Equal(t, Config{
		Interval: 2 * time.Second, Timeout: time.Second, Fall: 3, Rise: 2, Jitter: 0.10, IdleInterval: time.Minute,
	}, Config{}.WithDefaults())
	check.Equal(t, nil, Config{}.Validate())
	check.Holds(t, !(Config{Interval: time.Second}.Enabled()))

	for name, c := range map[string]Config{"http": {HTTP: &HTTPCheck{}}, "tcp": {TCP: &TCPCheck{}}, "hook": {Hook: true}} {
		check.Holds(t, c.Enabled(), name)
		check.Equal(t, nil, c.Validate(), name)
	}
}

func TestDefaultsOfTheHTTPCheckLeaveTheGivenOneAlone(t *testing.T) {
	given := &HTTPCheck{Statuses: []int{204}}
	c := Config{HTTP: given}.WithDefaults()
	check.Equal(t, &HTTPCheck{Path: "/", Method: "GET", Statuses: []int{204}}, c.HTTP)
	check.Equal(t, &HTTPCheck{Statuses: []int{204}}, given)
	check.Holds(t, c.HTTP == c.WithDefaults().HTTP, "nothing left to fill in, nothing to copy per endpoint")
}

func TestExpects(t *testing.T) {
	for _, c := range []struct {
		statuses []int
		status   int
		good     bool
	}{
		{nil, 199, false}, {nil, 200, true}, {nil, 399, true}, {nil, 400, false}, {nil, 503, false},
		{[]int{401, 503}, 503, true}, {[]int{401, 503}, 200, false},
	} {
		check.Equal(t, c.good, (&HTTPCheck{Statuses: c.statuses}).Expects(c.status), c)
	}
}

func TestEveryFaultIsNamed(t *testing.T) {
	for field, c := range map[string]Config{
		"tcp: ":            {HTTP: &HTTPCheck{}, TCP: &TCPCheck{}},
		"http.path: ":      {HTTP: &HTTPCheck{Path: "health"}},
		"http.method: ":    {HTTP: &HTTPCheck{Method: "GET /"}},
		"http.headers: ":   {HTTP: &HTTPCheck{Headers: map[string]string{"a b": "c"}}},
		"http.statuses: ":  {HTTP: &HTTPCheck{Statuses: []int{200, 600}}},
		"initial_delay: ":  {InitialDelay: -2},
		"interval: ":       {Interval: off},
		"timeout: ":        {Timeout: time.Microsecond},
		"fall: ":           {Fall: off},
		"rise: ":           {Rise: 101},
		"jitter: ":         {Jitter: 1.01},
		"degraded_above: ": {DegradedAbove: time.Second},
		"idle_interval: ":  {IdleInterval: -time.Second},
	} {
		err := c.Validate()
		check.Holds(t, strings.Contains(err.Error(), field), err)
		check.Holds(t, strings.HasPrefix(err.Error(), field), err)
		check.Holds(t, !strings.Contains(err.Error(), "\n"), "one fault, one line")
	}
	check.Holds(t, strings.Contains(Config{Jitter: math.NaN()}.Validate().Error(), "jitter: "), Config{Jitter: math.NaN()}.Validate())
	check.Holds(t, strings.Contains(Config{HTTP: &HTTPCheck{Path: "/a b"}}.Validate().Error(), "http.path: "), Config{HTTP: &HTTPCheck{Path: "/a b"}}.Validate())

	all := Config{Fall: off, Rise: off, HTTP: &HTTPCheck{Path: "x", Method: "?"}}.Validate()
	check.Equal(t, 4, len(strings.Split(all.Error(), "\n")), "all at once")

	secret := Config{HTTP: &HTTPCheck{Headers: map[string]string{"Authorization": "Bearer s3cret\r\n"}}}.Validate()
	check.Holds(t, strings.Contains(secret.Error(), "Authorization"), secret)
	check.Holds(t, !strings.Contains(secret.Error(), "s3cret"))
}

func TestOffIsAllowedWhereItMeansSomething(t *testing.T) {
	c := Config{TCP: &TCPCheck{}, InitialDelay: off, Jitter: off, DegradedAbove: off, IdleInterval: off}
	check.Equal(t, nil, c.Validate())
	d := c.WithDefaults()
	check.Equal(t, []any{c.InitialDelay, c.Jitter, c.DegradedAbove, c.IdleInterval}, []any{d.InitialDelay, d.Jitter, d.DegradedAbove, d.IdleInterval}, "off stays off")
}

func anyConfig(t *rapid.T) Config {
	c := Config{
		InitialDelay:  time.Duration(rapid.Int64Range(-1, int64(10*time.Second)).Draw(t, "initial delay")),
		Interval:      time.Duration(rapid.Int64Range(int64(intervalMin), int64(10*time.Second)).Draw(t, "interval")),
		Fall:          rapid.IntRange(0, 6).Draw(t, "fall"),
		Rise:          rapid.IntRange(0, 6).Draw(t, "rise"),
		Jitter:        rapid.SampledFrom([]float64{off, 0, 0.1, 0.5, 1}).Draw(t, "jitter"),
		Readiness:     rapid.Bool().Draw(t, "readiness"),
		DegradedAbove: rapid.SampledFrom([]time.Duration{off, 0, 100 * time.Millisecond}).Draw(t, "degraded above"),
		IdleInterval:  rapid.SampledFrom([]time.Duration{off, 0, 5 * time.Second}).Draw(t, "idle interval"),
	}
	switch rapid.IntRange(0, 2).Draw(t, "kind") {
	case 0:
		c.HTTP = &HTTPCheck{}
	case 1:
		c.TCP = &TCPCheck{}
	case 2:
		c.Hook = true
	}
	return c
}

func TestDefaultsAreValidAndSettled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyConfig(t)
		check.Equal(t, nil, c.Validate())
		d := c.WithDefaults()
		check.Equal(t, nil, d.Validate())
		check.Equal(t, d, d.WithDefaults())
	})
}
