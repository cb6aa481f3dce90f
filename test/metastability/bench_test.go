package metastability

import "testing"

// BenchmarkRecovery reports the share of the outages that the service recovered
// from, after how many seconds on average, and the most attempts per request in 10 s.
func BenchmarkRecovery(b *testing.B) {
	for _, o := range outages(2, servers) {
		b.Run(o.String(), func(b *testing.B) {
			var plays, recovered, seconds, attempts float64
			for b.Loop() {
				r := inTest(func(t *testing.T) *record { return through(t, o, adaptive()) })
				plays++
				if s, ok := r.recovery(); ok {
					recovered++
					seconds += float64(s)
				}
				attempts = max(attempts, r.amplification(10))
			}
			b.ReportMetric(100*recovered/plays, "%recovered")
			b.ReportMetric(seconds/max(recovered, 1), "s-to-95%")
			b.ReportMetric(attempts, "attempts/request")
		})
	}
}

// inTest runs f in a test, as virtual time needs one and a benchmark is none.
func inTest(f func(*testing.T) *record) (r *record) {
	testing.RunTests(func(string, string) (bool, error) { return true, nil },
		[]testing.InternalTest{{Name: "play", F: func(t *testing.T) { r = f(t) }}})
	return r
}
