package metastability

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy"
)

const attemptTimeout = 500 * time.Millisecond

// adaptive and fixed are the services of doc.go.
func adaptive() understudy.ServiceConfig {
	return understudy.ServiceConfig{AttemptTimeout: attemptTimeout, Concurrency: understudy.Concurrency{Adaptive: true}}
}

func fixed() understudy.ServiceConfig {
	return understudy.ServiceConfig{AttemptTimeout: attemptTimeout, Concurrency: understudy.Concurrency{Max: 25}}
}

// shipped leaves the concurrency at its default.
func shipped() understudy.ServiceConfig {
	return understudy.ServiceConfig{AttemptTimeout: attemptTimeout}
}

// bare has nothing that holds anybody back.
func bare() understudy.ServiceConfig {
	c := understudy.ServiceConfig{AttemptTimeout: attemptTimeout, Concurrency: understudy.Concurrency{Max: understudy.Off}}
	c.Breaker.Disabled = true
	c.Retry.Budget.Ratio = understudy.Off
	return c
}

// "Offers 80 % of capacity, breaks the services for 10 s, heals them, and shows at
// least 95 % of the earlier goodput within 30 s without help."
func TestRecoversWithoutHelp(t *testing.T) {
	for name, tried := range map[string]struct {
		config  func() understudy.ServiceConfig
		outages []outage
	}{
		"shipped":  {shipped, outages(1, 2, servers)},
		"adaptive": {adaptive, outages(2)},
		"fixed":    {fixed, outages(2)},
	} {
		for _, o := range tried.outages {
			t.Run(name+"/"+o.String(), func(t *testing.T) {
				t.Parallel()
				r := through(t, o, tried.config())
				t.Log(r)
				requireBoundedAttempts(t, r)
				seconds, ok := r.recovery()
				require.True(t, ok && seconds <= 30, "%v", r)
			})
		}
	}
}

// "Upstream attempts never above 1.25 × offered." It looks at 10 s at a time, as the
// retry budget does: its 20 % and 10 a second are 1.23 × at this load. What it saved
// may go within a second.
func requireBoundedAttempts(t *testing.T, r *record) {
	t.Helper()
	require.LessOrEqual(t, r.amplification(10), 1.25, "%v", r)
}

// The retry budget keeps to that without the breaker's help.
func TestBudgetBoundsAttempts(t *testing.T) {
	c := shipped()
	c.Breaker.Disabled = true
	r := through(t, outage{fails, servers}, c)
	t.Log(r)
	requireBoundedAttempts(t, r)
	require.Greater(t, r.amplification(10), 1.15, "the budget was not used: %v", r)
}

// The trap is there: without breaker, budget and bound a stall outlives its cause.
func TestBareServiceStaysDown(t *testing.T) {
	r := through(t, outage{stalls, servers}, bare())
	t.Log(r)
	require.Less(t, r.goodput(heals+30, ends), 0.5*r.goodput(breaks-10, breaks), "%v", r)
	require.Greater(t, r.amplification(10), 1.25, "%v", r)
}
