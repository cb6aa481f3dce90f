package breaker

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"

	"pgregory.net/rapid"

	"github.com/understudy-go/understudy/test/check"
)

func TestDefaults(t *testing.T) {
	// The defaults.
	check.Equal(t, Config{
		FailureThreshold: 5,
		FailureRate:      0.5,
		MinCalls:         20,
		Window:           10 * time.Second,
		SlowCall:         off,
		SlowCallRate:     0.5,
		OpenTimeout:      5 * time.Second,
		OpenTimeoutMax:   60 * time.Second,
		Jitter:           0.25,
		HalfOpenMaxCalls: 1,
		SuccessThreshold: 1,
	}, Config{}.WithDefaults())

	long := Config{OpenTimeout: 2 * time.Minute}.WithDefaults()
	check.Equal(t, 2*time.Minute, long.OpenTimeoutMax, "open_timeout_max follows a longer open_timeout")
}

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		name   string
		cfg    Config
		faults []string
	}{
		{"zero", Config{}, nil},
		{"all that can be off", Config{FailureThreshold: off, FailureRate: off, SlowCall: off, SlowCallRate: off, Jitter: off}, nil},
		{"largest", Config{FailureRate: 1, Window: time.Hour, SlowCall: 24 * time.Hour, SlowCallRate: 1, OpenTimeout: 24 * time.Hour, OpenTimeoutMax: 24 * time.Hour, Jitter: 1}, nil},
		{"smallest", Config{FailureThreshold: 1, FailureRate: 1e-9, MinCalls: 1, Window: time.Millisecond, SlowCall: 1, SlowCallRate: 1e-9, OpenTimeout: 1, OpenTimeoutMax: 1, Jitter: 1e-9}, nil},
		{"a rate kept for a slow call that is off", Config{SlowCall: off, SlowCallRate: 0.5}, nil},
		{"counts below off", Config{FailureThreshold: -2, MinCalls: -2, HalfOpenMaxCalls: -3, SuccessThreshold: -4}, []string{
			"failure_threshold: must be at least 1, is -2",
			"min_calls: must be at least 1, is -2",
			"half_open_max_calls: must be at least 1, is -3",
			"success_threshold: must be at least 1, is -4",
		}},
		{"what cannot be off", Config{MinCalls: off, Window: off, OpenTimeout: off, OpenTimeoutMax: off, HalfOpenMaxCalls: off, SuccessThreshold: off}, []string{
			"min_calls: cannot be off",
			"window: cannot be off",
			"open_timeout: cannot be off",
			"half_open_max_calls: cannot be off",
			"success_threshold: cannot be off",
			"open_timeout_max: cannot be off",
		}},
		{"rates", Config{FailureRate: 1.5, SlowCall: 1, SlowCallRate: -0.5, Jitter: 25}, []string{
			"failure_rate: must be above 0% and at most 100%, or off; is 150%",
			"slow_call_rate: must be above 0% and at most 100%, or off; is -50%",
			"jitter: must be above 0% and at most 100%, or off; is 2500%",
		}},
		{"not a number", Config{FailureRate: math.NaN()}, []string{
			"failure_rate: must be above 0% and at most 100%, or off; is NaN%",
		}},
		{"negative durations", Config{Window: -time.Second, SlowCall: -time.Second, OpenTimeout: -time.Second}, []string{
			"window: cannot be negative, is -1s",
			"open_timeout: cannot be negative, is -1s",
			"slow_call: cannot be negative, is -1s",
		}},
		{"too short", Config{Window: time.Microsecond}, []string{"window: must be at least 1ms, is 1µs"}},
		{"too long", Config{Window: 2 * time.Hour, SlowCall: 25 * time.Hour, OpenTimeout: 25 * time.Hour, OpenTimeoutMax: 26 * time.Hour}, []string{
			"window: must be at most 1h0m0s, is 2h0m0s",
			"open_timeout: must be at most 24h0m0s, is 25h0m0s",
			"slow_call: must be at most 24h0m0s, is 25h0m0s",
			"open_timeout_max: must be at most 24h0m0s, is 26h0m0s",
		}},
		{"slow call forgotten", Config{SlowCallRate: 0.5}, []string{"slow_call_rate: has no effect without slow_call"}},
		{"maximum below the default open time", Config{OpenTimeoutMax: 3 * time.Second}, []string{"open_timeout_max: 3s is less than open_timeout 5s"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.cfg.Validate()
			if tc.faults == nil {
				check.Equal(t, nil, err)
				check.Equal(t, nil, tc.cfg.WithDefaults().Validate())
				return
			}
			check.Holds(t, err != nil, "faults are found")
			check.Equal(t, strings.Join(tc.faults, "\n"), err.Error())
		})
	}
}

func TestWithDefaultsIsIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.SampledFrom([]int{off, 0, 1, 7})
		ratio := rapid.SampledFrom([]float64{off, 0, 0.1, 1})
		period := rapid.SampledFrom([]time.Duration{off, 0, time.Second, time.Hour})
		c := Config{
			FailureThreshold: count.Draw(t, "failure_threshold"), FailureRate: ratio.Draw(t, "failure_rate"),
			MinCalls: count.Draw(t, "min_calls"), Window: period.Draw(t, "window"),
			SlowCall: period.Draw(t, "slow_call"), SlowCallRate: ratio.Draw(t, "slow_call_rate"),
			OpenTimeout: period.Draw(t, "open_timeout"), OpenTimeoutMax: period.Draw(t, "open_timeout_max"),
			Jitter: ratio.Draw(t, "jitter"), HalfOpenMaxCalls: count.Draw(t, "half_open_max_calls"),
			SuccessThreshold: count.Draw(t, "success_threshold"),
		}
		once := c.WithDefaults()
		check.Equal(t, once, once.WithDefaults())
	})
}

func TestKeys(t *testing.T) {
	typ := reflect.TypeFor[Config]()
	for i := range typ.NumField() {
		f := typ.Field(i)
		if f.Type.Kind() == reflect.Func {
			check.Equal(t, "-", f.Tag.Get("yaml"), f.Name)
			continue
		}
		check.Equal(t, snake(f.Name), f.Tag.Get("yaml"))
	}
}

func snake(name string) string {
	var s strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			s.WriteByte('_')
		}
		s.WriteRune(unicode.ToLower(r))
	}
	return s.String()
}
