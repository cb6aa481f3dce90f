package hedge

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/understudy-go/understudy/test/check"
)

func TestDefaults(t *testing.T) {
	want := Config{Quantile: 0.95, MinDelay: time.Millisecond}
	check.Equal(t, want, Config{}.WithDefaults())
	check.Equal(t, want, want.WithDefaults(), "settled")
	given := Config{Delay: time.Second, Quantile: 0.5, MinDelay: off}
	check.Equal(t, given, given.WithDefaults(), "as given")
}

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		name   string
		cfg    Config
		faults []string
	}{
		{"zero", Config{}, nil},
		{"smallest", Config{Delay: 1, Quantile: 0.5, MinDelay: 1}, nil},
		{"largest", Config{Delay: 5 * time.Minute, Quantile: 0.999, MinDelay: 5 * time.Minute}, nil},
		{"no floor", Config{MinDelay: off}, nil},
		{"too small", Config{Delay: -time.Second, Quantile: 0.49, MinDelay: -time.Second}, []string{
			"delay: cannot be negative, is -1s",
			"quantile: must be from 50% to 99.9%, is 49%",
			"min_delay: cannot be negative, is -1s",
		}},
		{"too large", Config{Delay: time.Hour, Quantile: 95, MinDelay: time.Hour}, []string{
			"delay: must be at most 5m0s, is 1h0m0s",
			"quantile: must be from 50% to 99.9%, is 9500%",
			"min_delay: must be at most 5m0s, is 1h0m0s",
		}},
		{"off", Config{Delay: off, Quantile: off}, []string{
			"delay: cannot be off: leave hedge away",
			"quantile: must be from 50% to 99.9%, is -100%",
		}},
		{"not a number", Config{Quantile: math.NaN()}, []string{"quantile: must be from 50% to 99.9%, is NaN%"}},
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
