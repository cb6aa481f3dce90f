package cache

import (
	"testing"
	"time"

	"github.com/understudy-go/understudy/test/check"
)

func TestDefaults(t *testing.T) {
	want := Config{TTL: time.Minute, MaxEntries: 10_000, MaxBytes: 64 << 20}
	check.Equal(t, want, Config{}.WithDefaults())
	check.Equal(t, want, want.WithDefaults())
	check.Equal(t, nil, Config{}.Validate())
	all := Config{TTL: off, MaxEntries: 1, MaxBytes: bytesMin, StaleIfError: off, StaleWhileRevalidate: off, Authorized: true}
	check.Equal(t, all, all.WithDefaults())
	check.Equal(t, nil, all.Validate())
	most := Config{TTL: durationMax, MaxEntries: entriesMax, MaxBytes: bytesMax, StaleIfError: durationMax, StaleWhileRevalidate: durationMax}
	check.Equal(t, nil, most.Validate())
}

func TestFaults(t *testing.T) {
	err := Config{TTL: -2, MaxEntries: -1, MaxBytes: 1, StaleIfError: durationMax + 1, StaleWhileRevalidate: -time.Second}.Validate()
	check.Equal(t, `ttl: cannot be negative, is -2ns
max_entries: cannot be off
max_bytes: must be from 65536 to 4294967295, is 1
stale_if_error: must be at most 8760h0m0s, is 8760h0m0.000000001s
stale_while_revalidate: cannot be negative, is -1s`, err.Error())
}
