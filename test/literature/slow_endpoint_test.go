package literature

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// cases are what each strategy must reach, in percent.
var cases = []struct {
	world       string
	in          world
	strategy    string
	least, most float64
}{
	{"quick", quick, "round_robin", 94, 96},
	{"quick", quick, "least_connections", 98.5, 100}, // see doc.go
	{"quick", quick, "p2c_ewma", 99.9, 100},
	{"article", article, "round_robin", 94, 96},
	{"article", article, "least_connections", 98.5, 99.6},
	{"article", article, "p2c_ewma", 99.9, 100},
}

// "Success: round robin about 95 %, least connections about 99 %, peak EWMA at least
// 99.9 %."
func TestSlowEndpoint(t *testing.T) {
	for _, c := range cases {
		for name, between := range map[string]gap{"even": even, "poisson": poisson} {
			t.Run(c.world+"/"+c.strategy+"/"+name, func(t *testing.T) {
				got, err := c.in.success(c.strategy, between, 0)
				require.NoError(t, err)
				require.GreaterOrEqual(t, got, c.least)
				require.LessOrEqual(t, got, c.most)
			})
		}
	}
}

// BenchmarkSlowEndpoint reports the success of each strategy, requests coming at
// random.
func BenchmarkSlowEndpoint(b *testing.B) {
	for _, c := range cases {
		b.Run(c.world+"/"+c.strategy, func(b *testing.B) {
			got := 0.0
			for b.Loop() {
				var err error
				if got, err = c.in.success(c.strategy, poisson, 0); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(got, "%success")
		})
	}
}
