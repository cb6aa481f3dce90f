package limit

import (
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
	check.Equal(t, RateConfig{Limit: off, Per: time.Second, Mode: Wait, MaxWaiting: 1024}, RateConfig{}.WithDefaults())
	check.Equal(t, ConcurrencyConfig{Max: 1024, Min: 1, Initial: 20}, ConcurrencyConfig{}.WithDefaults())

	check.Equal(t, 8, ConcurrencyConfig{Max: 8}.WithDefaults().Initial, "initial stays below max")
	check.Equal(t, 80, ConcurrencyConfig{Min: 80}.WithDefaults().Initial, "and above min")
	check.Equal(t, ConcurrencyConfig{Max: off, Min: 1, Initial: 20}, ConcurrencyConfig{Max: off}.WithDefaults())
}

// validator is either configuration.
type validator interface{ Validate() error }

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		name   string
		cfg    validator
		faults []string
	}{
		{"zero", RateConfig{}, nil},
		{"off", RateConfig{Limit: off}, nil},
		{"largest", RateConfig{Limit: 1_000_000, Per: 24 * time.Hour, Mode: "reject", MaxWaiting: 1_000_000}, nil},
		{"smallest", RateConfig{Limit: 1, Per: time.Millisecond, Mode: "wait", MaxWaiting: 1}, nil},
		{"too small", RateConfig{Limit: -2, Per: time.Microsecond, Mode: "drop", MaxWaiting: -2}, []string{
			"limit: must be at least 1, is -2",
			"per: must be at least 1ms, is 1µs",
			"max_waiting: must be at least 1, is -2",
			`mode: "drop" is neither wait nor reject`,
		}},
		{"too large", RateConfig{Limit: 1_000_001, Per: 25 * time.Hour, MaxWaiting: 1_000_001}, []string{
			"limit: must be at most 1000000, is 1000001",
			"per: must be at most 24h0m0s, is 25h0m0s",
			"max_waiting: must be at most 1000000, is 1000001",
		}},
		{"what cannot be off", RateConfig{Per: off, MaxWaiting: off}, []string{
			"per: cannot be off",
			"max_waiting: cannot be off",
		}},

		{"zero", ConcurrencyConfig{}, nil},
		{"no limit", ConcurrencyConfig{Max: off, Adaptive: true}, nil},
		{"one", ConcurrencyConfig{Max: 1, Min: 1, Initial: 1}, nil},
		{"a max below the usual initial", ConcurrencyConfig{Max: 5, Adaptive: true}, nil},
		{"a min above it", ConcurrencyConfig{Min: 500, Adaptive: true}, nil},
		{"negative", ConcurrencyConfig{Max: -2, Min: -3, Initial: -4}, []string{
			"max: must be at least 1, is -2",
			"min: must be at least 1, is -3",
			"initial: must be at least 1, is -4",
		}},
		{"min above max", ConcurrencyConfig{Max: 5, Min: 6}, []string{"min: 6 is above max 5"}},
		{"min above the default max", ConcurrencyConfig{Min: 2000}, []string{"min: 2000 is above max 1024"}},
		{"initial above max", ConcurrencyConfig{Max: 5, Initial: 6}, []string{"initial: 6 is not from min 1 to max 5"}},
		{"initial below min", ConcurrencyConfig{Min: 5, Initial: 4}, []string{"initial: 4 is not from min 5 to max 1024"}},
		{"what cannot be off", ConcurrencyConfig{Min: off, Initial: off}, []string{"min: cannot be off", "initial: cannot be off"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.cfg.Validate()
			if tc.faults == nil {
				check.Equal(t, nil, err)
				return
			}
			check.Holds(t, err != nil, "faults are found")
			check.Equal(t, strings.Join(tc.faults, "\n"), err.Error())
		})
	}
}

func TestWithDefaultsIsIdempotentAndValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.SampledFrom([]int{0, 1, 7, 100})
		r := RateConfig{Limit: count.Draw(t, "limit"), Mode: rapid.SampledFrom([]string{"", Wait, Reject}).Draw(t, "mode"), MaxWaiting: count.Draw(t, "max_waiting")}
		check.Equal(t, r.WithDefaults(), r.WithDefaults().WithDefaults())
		check.Equal(t, nil, r.WithDefaults().Validate())
		c := ConcurrencyConfig{Max: rapid.SampledFrom([]int{off, 0, 1, 7, 100}).Draw(t, "max"), Min: count.Draw(t, "min"), Initial: count.Draw(t, "initial")}
		check.Equal(t, c.WithDefaults(), c.WithDefaults().WithDefaults())
		check.Equal(t, c.Validate() == nil, c.WithDefaults().Validate() == nil)
	})
}

func TestKeys(t *testing.T) {
	for _, typ := range []reflect.Type{reflect.TypeFor[RateConfig](), reflect.TypeFor[ConcurrencyConfig]()} {
		for i := range typ.NumField() {
			check.Equal(t, snake(typ.Field(i).Name), typ.Field(i).Tag.Get("yaml"))
		}
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
