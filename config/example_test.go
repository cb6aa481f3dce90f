package config

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheExampleLoads(t *testing.T) {
	f := mustLoad(t, string(Example()))
	require.Empty(t, f.Warnings)
	require.Len(t, f.Services["orders"].Endpoints, 2)
	require.Equal(t, f.Services["orders"].WithDefaults().Breaker, f.WithDefaults().Services["orders"].Breaker)
}

// What is commented out is as right as the rest: each line by itself, taken out of
// its comment, is a key that is known there and contradicts nothing.
func TestWhatTheExampleCommentsOut(t *testing.T) {
	lines := strings.Split(string(Example()), "\n")
	option := regexp.MustCompile(`^(\s+)# ([a-z_]+: .*)$`)
	count := 0
	for i, line := range lines {
		m := option.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		count++
		lines[i] = m[1] + m[2]
		f, err := loadText(t, strings.Join(lines, "\n"), "ORDERS_API_KEY=x")
		if err == nil {
			require.Empty(t, f.Warnings, line)
		} else {
			require.NotContains(t, err.Error(), "unknown key", line)
			require.NotContains(t, err.Error(), "not YAML", line)
			require.NotContains(t, err.Error(), "needs a", line)
		}
		lines[i] = line
	}
	require.Greater(t, count, 15)
}

// The defaults that the example's keys repeat are the defaults.
func TestTheExampleRepeatsTheDefaults(t *testing.T) {
	f := mustLoad(t, string(Example()))
	require.Equal(t, mustLoad(t, "defaults: {}").WithDefaults().Defaults, f.WithDefaults().Defaults)
	require.Equal(t, mustLoad(t, "nats: {embedded: {}}").WithDefaults().NATS, f.WithDefaults().NATS)
}
