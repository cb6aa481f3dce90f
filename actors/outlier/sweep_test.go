package outlier

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/understudy-go/understudy/test/check"
)

// of returns one sample per percentage of success, over so many requests each.
func of(requests uint64, percentages ...uint64) (all []Sample) {
	for _, p := range percentages {
		good := requests * p / 100
		all = append(all, Sample{Successes: good, Failures: requests - good})
	}
	return all
}

// but returns samples with one of them replaced.
func but(samples []Sample, i int, s Sample) []Sample {
	samples = slices.Clone(samples)
	samples[i] = s
	return samples
}

func TestSweep(t *testing.T) {
	nine := []uint64{100, 100, 100, 100, 100, 100, 100, 100, 100}
	alone := Config{FailurePercentage: off}
	for _, tc := range []struct {
		name    string
		samples []Sample
		cfg     Config
		want    []int // indices in order
		why     string
	}{
		{"nobody", nil, Config{}, nil, ""},
		// The example in Envoy's successRateEjectionThreshold: mean 90, deviation 20,
		// threshold 52.
		{"Envoy's example", of(100, 50, 100, 100, 100, 100), Config{}, []int{0}, "success rate 50% is below 52% (mean 90%, 1.9 standard deviations) over 100 requests"},
		{"exactly 2 deviations below is not below 2", of(100, 50, 100, 100, 100, 100), Config{SuccessRateStdev: 2}, nil, ""},
		{"nor is one of two below 1", []Sample{{Successes: 1, Failures: 98}, {Successes: 36, Failures: 14}}, Config{SuccessRateStdev: 1, SuccessRateHosts: 1, SuccessRateRequests: 1}, nil, ""},
		{"one bad of ten, half of its calls fail", of(100, append(nine, 50)...), Config{}, []int{9}, "success rate 50% is below 66.5% (mean 95%, 1.9 standard deviations) over 100 requests"},
		{"99 requests are too few", but(of(100, append(nine, 50)...), 9, Sample{Successes: 49, Failures: 50}), Config{}, nil, ""},
		{"four hosts are too few", of(100, 0, 100, 100, 100), Config{SuccessRateHosts: 4}, nil, ""}, // 0.75 is √3 deviations
		{"of four hosts with a factor that suits them", of(100, 0, 100, 100, 100), Config{SuccessRateHosts: 4, SuccessRateStdev: 1.7}, []int{0}, "success rate 0% is below 1.4% (mean 75%, 1.7 standard deviations) over 100 requests"},
		{"four of five with requests are too few", but(of(100, 50, 100, 100, 100, 100), 4, Sample{Successes: 99}), Config{SuccessRateStdev: 1}, nil, ""},
		{"the ejected take no part", but(of(100, 50, 100, 100, 100, 100), 4, Sample{Successes: 100, Out: true}), Config{SuccessRateStdev: 1}, nil, ""},
		{"the ejected are not found", but(of(100, append(nine, 50)...), 9, Sample{Failures: 100, Out: true}), Config{}, nil, ""},
		{"off", of(100, append(nine, 50)...), Config{SuccessRateStdev: off}, nil, ""},
		{"disabled", of(100, append(nine, 0)...), Config{Disabled: true}, nil, ""},
		{"close to 100 % the decimals matter", but(of(100_000, append(nine, 100)...), 9, Sample{Successes: 99_900, Failures: 100}), Config{}, []int{9}, "success rate 99.9% is below 99.933% (mean 99.99%, 1.9 standard deviations) over 100000 requests"},

		// What chance makes of the mean is no finding.
		{"one failed call in a hundred", of(100, 100, 100, 99, 100, 100), Config{}, nil, ""},
		{"four failed calls", of(100, append(nine, 96)...), Config{}, nil, ""},
		{"seven failed calls where the others had none", of(100, append(nine, 93)...), Config{}, []int{9}, "success rate 93% is below 95.3% (mean 99.3%, 1.9 standard deviations) over 100 requests"},

		// Envoy: "greater than or equal to this value".
		{"85 % failed", of(100, 15, 15, 15, 15, 15), Config{}, []int{0, 1, 2, 3, 4}, "failure percentage 85% is at or above 85% over 100 requests"},
		{"84 % failed", of(100, 16, 16, 16, 16, 16), Config{}, nil, ""},
		{"of 50 requests each", of(50, 100, 100, 100, 100, 10), Config{}, []int{4}, "failure percentage 90% is at or above 85% over 50 requests"},
		{"of 49", but(of(50, 100, 100, 100, 100, 10), 4, Sample{Failures: 49}), Config{}, nil, ""},
		{"four hosts", of(50, 100, 100, 100, 10), Config{}, nil, ""},
		{"four hosts are enough if it says so", of(50, 100, 100, 100, 10), Config{FailurePercentageHosts: 4}, []int{3}, "failure percentage 90% is at or above 85% over 50 requests"},
		{"failure percentage off", of(50, 100, 100, 100, 100, 0), alone, nil, ""},

		{"both rules, found once", of(100, append(nine, 5)...), Config{}, []int{9}, "success rate 5% is below 36.4% (mean 90.5%, 1.9 standard deviations) over 100 requests"},
		{"the worst first, then the busier, then the first", []Sample{
			{Successes: 10, Failures: 90}, {Failures: 100}, {Successes: 1000}, {Failures: 200}, {Successes: 10, Failures: 90}, {Successes: 1000},
		}, Config{SuccessRateStdev: off}, []int{3, 1, 0, 4}, "failure percentage 100% is at or above 85% over 200 requests"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var indices []int
			found := Sweep(tc.samples, tc.cfg, nil)
			for _, f := range found {
				indices = append(indices, f.Index)
			}
			check.Equal(t, tc.want, indices)
			if len(found) > 0 {
				check.Equal(t, tc.why, found[0].Why)
			}
		})
	}
}

func TestSweepUsesTheFindingsItIsGiven(t *testing.T) {
	samples := of(100, 50, 100, 100, 100, 100)
	first := Sweep(samples, Config{}, make([]Finding, 3, 8))
	second := Sweep(samples, Config{}, first)
	check.Equal(t, 1, len(second), "what it held is gone")
	check.Holds(t, &first[0] == &second[0], "the same memory")
}

// found is Sweep as a textbook has it: no shortcuts, rates in percent as Envoy has
// them.
func found(samples []Sample, c Config) map[int]bool {
	out := map[int]bool{}
	rates := func(requests int) (rates map[int]float64) {
		rates = map[int]float64{}
		for i, s := range samples {
			if total := s.Successes + s.Failures; !s.Out && total >= uint64(requests) {
				rates[i] = 100 * float64(s.Successes) / float64(total)
			}
		}
		return rates
	}
	if r := rates(c.SuccessRateRequests); len(r) >= c.SuccessRateHosts && c.SuccessRateStdev != off {
		mean, variance := 0.0, 0.0
		for _, x := range r {
			mean += x / float64(len(r))
		}
		for _, x := range r {
			variance += math.Pow(x-mean, 2) / float64(len(r))
		}
		for i, x := range r {
			s := samples[i]
			expected := float64(s.Successes+s.Failures) * (100 - mean) / 100
			if x < mean-c.SuccessRateStdev*math.Sqrt(variance)-1e-7 && float64(s.Failures)-expected > 4*math.Sqrt(1+expected) {
				out[i] = true
			}
		}
	}
	if r := rates(c.FailurePercentageRequests); len(r) >= c.FailurePercentageHosts && c.FailurePercentage != off {
		for i, x := range r {
			if 100-x >= 100*c.FailurePercentage-1e-7 {
				out[i] = true
			}
		}
	}
	return out
}

func drawSamples(t *rapid.T) []Sample {
	usual := rapid.IntRange(0, 100).Draw(t, "usual success percentage")
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Sample {
		p := usual
		if rapid.IntRange(0, 3).Draw(t, "odd") == 0 {
			p = rapid.IntRange(0, 100).Draw(t, "success percentage")
		}
		requests := rapid.SampledFrom([]int{0, 1, 49, 50, 99, 100, 101, 1000}).Draw(t, "requests")
		good := requests * p / 100
		return Sample{Successes: uint64(good), Failures: uint64(requests - good), Out: rapid.IntRange(0, 9).Draw(t, "out") == 0}
	}), 0, 40).Draw(t, "samples")
}

func TestSweepAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		samples := drawSamples(t)
		cfg := Config{
			SuccessRateStdev:          rapid.SampledFrom([]float64{0, off, 0.3, 1, 3}).Draw(t, "success_rate_stdev"),
			SuccessRateHosts:          rapid.SampledFrom([]int{0, 1, 8}).Draw(t, "success_rate_hosts"),
			SuccessRateRequests:       rapid.SampledFrom([]int{0, 1, 50}).Draw(t, "success_rate_requests"),
			FailurePercentage:         rapid.SampledFrom([]float64{0, off, 0.3, 1}).Draw(t, "failure_percentage"),
			FailurePercentageHosts:    rapid.SampledFrom([]int{0, 1, 8}).Draw(t, "failure_percentage_hosts"),
			FailurePercentageRequests: rapid.SampledFrom([]int{0, 1, 100}).Draw(t, "failure_percentage_requests"),
		}
		want := found(samples, cfg.WithDefaults())
		worst := -1.0
		for _, f := range Sweep(samples, cfg, nil) {
			s := samples[f.Index]
			check.Holds(t, want[f.Index], "not in the model, or twice: ", f.Index, " ", f.Why)
			delete(want, f.Index)
			check.Holds(t, !s.Out && f.Why != "")
			check.Holds(t, s.successRate() >= worst, "worst first")
			worst = s.successRate()
		}
		check.Equal(t, 0, len(want), "all are found")
	})
}

// Whoever does as all others do is no outlier, however badly they do and however
// sharp the factor.
func TestIdenticalHostsAreNeverFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		one := Sample{Successes: rapid.Uint64Range(0, 1e6).Draw(t, "successes"), Failures: rapid.Uint64Range(0, 1e6).Draw(t, "failures")}
		samples := slices.Repeat([]Sample{one}, rapid.IntRange(0, 500).Draw(t, "hosts"))
		for i := range samples { // the same rate, not the same traffic
			times := rapid.Uint64Range(1, 5).Draw(t, "times")
			samples[i] = Sample{Successes: one.Successes * times, Failures: one.Failures * times}
		}
		factor := rapid.SampledFrom([]float64{1e-9, 0.5, 1.9}).Draw(t, "factor")
		check.Equal(t, 0, len(Sweep(samples, Config{SuccessRateStdev: factor, FailurePercentage: off}, nil)))
	})
}

// "One transient failure must not eject."
func TestOneFailureIsNeverFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		samples := slices.Repeat([]Sample{{Successes: rapid.Uint64Range(100, 1e6).Draw(t, "requests")}}, rapid.IntRange(1, 1000).Draw(t, "hosts"))
		samples[0].Successes--
		samples[0].Failures++
		check.Equal(t, 0, len(Sweep(samples, Config{SuccessRateStdev: 0.1}, nil)))
	})
}

// Errors scattered evenly: by the deviation alone, as in Envoy, about 3 % of the
// hosts are found at each sweep; nobody is where chance is allowed for.
func TestScatteredErrorsEjectNobody(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, rate := range []float64{0.001, 0.01, 0.1, 0.3, 0.7} {
		byDeviation, byUs, all := 0, 0, 0
		samples := make([]Sample, 10)
		for range 500 {
			for i := range samples {
				samples[i] = Sample{}
				for range 200 {
					if rng.Float64() < rate {
						samples[i].Failures++
					} else {
						samples[i].Successes++
					}
				}
				all++
			}
			mean, stdev, ok := successRates(samples, Config{}.WithDefaults())
			check.Holds(t, ok)
			for _, s := range samples {
				if s.successRate() < mean-1.9*stdev {
					byDeviation++
				}
			}
			for _, f := range Sweep(samples, Config{}, nil) {
				check.Holds(t, strings.HasPrefix(f.Why, "success rate"))
				byUs++
			}
		}
		t.Logf("%g%% errors: of %d samples the deviation alone finds %d, we %d", 100*rate, all, byDeviation, byUs)
		check.Equal(t, 0, byUs, rate)
		check.Holds(t, byDeviation > all/100, "else this test proves nothing: ", rate)
	}
}

func BenchmarkSweep(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	samples := make([]Sample, 100_000)
	for i := range samples {
		samples[i] = Sample{Successes: 900 + rng.Uint64N(100), Failures: rng.Uint64N(100)}
		if i%1000 == 0 {
			samples[i].Failures = 900
		}
	}
	var findings []Finding
	b.ReportAllocs()
	for b.Loop() {
		findings = Sweep(samples, Config{}, findings)
	}
}
