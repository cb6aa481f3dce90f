package outlier

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
	check.Equal(t, Config{
		Interval:                  10 * time.Second,
		SuccessRateStdev:          1.9,
		SuccessRateHosts:          5,
		SuccessRateRequests:       100,
		FailurePercentage:         0.85,
		FailurePercentageHosts:    5,
		FailurePercentageRequests: 50,
		Consecutive:               off,
		BaseEjection:              30 * time.Second,
		MaxEjection:               300 * time.Second,
		Jitter:                    0.1,
		MaxEjected:                0.34,
	}, Config{}.WithDefaults())

	long := Config{BaseEjection: time.Hour}.WithDefaults()
	check.Equal(t, time.Hour, long.MaxEjection, "max_ejection follows a longer base_ejection")
}

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		name   string
		cfg    Config
		faults []string
	}{
		{"zero", Config{}, nil},
		{"disabled", Config{Disabled: true}, nil},
		{"all that can be off", Config{SuccessRateStdev: off, FailurePercentage: off, Consecutive: off, Jitter: off}, nil},
		{"largest", Config{Interval: time.Hour, SuccessRateStdev: 100, FailurePercentage: 1, BaseEjection: 24 * time.Hour, MaxEjection: 24 * time.Hour, Jitter: 1, MaxEjected: 1}, nil},
		{"smallest", Config{
			Interval: time.Millisecond, SuccessRateStdev: 1e-9, SuccessRateHosts: 1, SuccessRateRequests: 1,
			FailurePercentage: 1e-9, FailurePercentageHosts: 1, FailurePercentageRequests: 1, Consecutive: 1,
			BaseEjection: 1, MaxEjection: 1, Jitter: 1e-9, MaxEjected: 1e-9,
		}, nil},
		{"what cannot be off", Config{
			Interval: off, SuccessRateHosts: off, SuccessRateRequests: off, FailurePercentageHosts: off,
			FailurePercentageRequests: off, BaseEjection: off, MaxEjection: off, MaxEjected: off,
		}, []string{
			"interval: cannot be off",
			"success_rate_hosts: cannot be off",
			"success_rate_requests: cannot be off",
			"failure_percentage_hosts: cannot be off",
			"failure_percentage_requests: cannot be off",
			"base_ejection: cannot be off",
			"max_ejected: cannot be off",
			"max_ejection: cannot be off",
		}},
		{"numbers", Config{SuccessRateStdev: 1900, SuccessRateHosts: -2, FailurePercentage: 85, Consecutive: -5, Jitter: -0.1, MaxEjected: 34}, []string{
			"success_rate_stdev: must be above 0 and at most 100, or off; is 1900",
			"success_rate_hosts: must be at least 1, is -2",
			"failure_percentage: must be above 0% and at most 100%, or off; is 8500%",
			"consecutive: must be at least 1, is -5",
			"jitter: must be above 0% and at most 100%, or off; is -10%",
			"max_ejected: must be above 0% and at most 100%, is 3400%",
		}},
		{"not a number", Config{SuccessRateStdev: math.NaN(), MaxEjected: math.NaN()}, []string{
			"success_rate_stdev: must be above 0 and at most 100, or off; is NaN",
			"max_ejected: must be above 0% and at most 100%, is NaN%",
		}},
		{"durations", Config{Interval: time.Microsecond, BaseEjection: -time.Second, MaxEjection: 25 * time.Hour}, []string{
			"interval: must be at least 1ms, is 1µs",
			"base_ejection: cannot be negative, is -1s",
			"max_ejection: must be at most 24h0m0s, is 25h0m0s",
		}},
		{"maximum below the default base", Config{MaxEjection: 3 * time.Second}, []string{"max_ejection: 3s is less than base_ejection 30s"}},
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
		period := rapid.SampledFrom([]time.Duration{0, time.Second, time.Hour})
		once := Config{
			Interval: period.Draw(t, "interval"), SuccessRateStdev: ratio.Draw(t, "success_rate_stdev"),
			FailurePercentage: ratio.Draw(t, "failure_percentage"), Consecutive: count.Draw(t, "consecutive"),
			BaseEjection: period.Draw(t, "base_ejection"), MaxEjection: period.Draw(t, "max_ejection"),
			Jitter: ratio.Draw(t, "jitter"),
		}.WithDefaults()
		check.Equal(t, once, once.WithDefaults())
	})
}

func TestKeys(t *testing.T) {
	typ := reflect.TypeFor[Config]()
	for i := range typ.NumField() {
		f := typ.Field(i)
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
