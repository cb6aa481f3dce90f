package outlier

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// Sample is what one endpoint did in one interval.
type Sample struct {
	Successes, Failures uint64
	// Out says that it takes no part: it is ejected, or not ready.
	Out bool
}

func (s Sample) requests() uint64 { return s.Successes + s.Failures }

func (s Sample) successRate() float64 { return float64(s.Successes) / float64(s.requests()) }

func (s Sample) failurePercentage() float64 { return float64(s.Failures) / float64(s.requests()) }

// counts reports whether s takes part in a rule that wants so many requests.
func (s Sample) counts(requests int) bool { return !s.Out && s.requests() >= uint64(requests) }

// Finding is one outlier.
type Finding struct {
	Index int    // of its sample
	Why   string // in words
	rate  float64
}

const (
	// chance is how many standard deviations of pure luck do not yet make an outlier.
	// With 4 it takes at least 5 failures, as the breaker's failure_threshold does;
	// among endpoints that fail alike, luck finds one in tens of thousands of samples
	// at most.
	chance = 4

	// rounding is more than floating point errs here: of two endpoints one is exactly
	// one deviation below the mean, and 0.29 × 100 is not 28.999999999999996.
	rounding = 1e-9
)

// Sweep returns the outliers among the samples of one interval, the worst first;
// findings is used for them if it is large enough. An endpoint is found once, even
// where both rules hit.
//
// Success rate, as in Envoy's successRateEjectionThreshold: of the n endpoints with
// enough requests the rates r give the mean m = Σr/n and the deviation
// σ = √(Σ(r-m)²/n), and who is below m - success_rate_stdev × σ is an outlier. Our
// addition: it must also have failed more often than chance has it, which is more
// than e + 4·√(e+1) times where it would have been e = requests × (1-m) times at the
// mean rate. (√e is the deviation of a Poisson count, above the binomial one; the 1
// stands for the luck of counts near zero.)
//
// Failure percentage: of the endpoints with enough requests, whose share of failures
// is at least failure_percentage is an outlier.
func Sweep(samples []Sample, c Config, findings []Finding) []Finding {
	findings = findings[:0]
	if c.Disabled {
		return findings
	}
	c = c.WithDefaults()
	mean, stdev, compared := successRates(samples, c)
	threshold := mean - c.SuccessRateStdev*stdev
	flat := c.FailurePercentage != off && enough(samples, c.FailurePercentageRequests, c.FailurePercentageHosts)
	for i, s := range samples {
		why := ""
		switch {
		case compared && s.counts(c.SuccessRateRequests) && s.successRate() < threshold-rounding && s.unlucky(mean):
			why = fmt.Sprintf("success rate %s is below %s (mean %s, %g standard deviations) over %d requests",
				percent(s.successRate()), percent(threshold), percent(mean), c.SuccessRateStdev, s.requests())
		case flat && s.counts(c.FailurePercentageRequests) && s.failurePercentage() >= c.FailurePercentage:
			why = fmt.Sprintf("failure percentage %s is at or above %s over %d requests",
				percent(s.failurePercentage()), percent(c.FailurePercentage), s.requests())
		default:
			continue
		}
		findings = append(findings, Finding{Index: i, Why: why, rate: s.successRate()})
	}
	slices.SortFunc(findings, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(a.rate, b.rate),
			cmp.Compare(samples[b.Index].requests(), samples[a.Index].requests()),
			cmp.Compare(a.Index, b.Index))
	})
	return findings
}

// successRates returns the mean and the deviation of the success rates, or false
// where that rule is off or too few endpoints had enough requests.
func successRates(samples []Sample, c Config) (mean, stdev float64, ok bool) {
	if c.SuccessRateStdev == off || !enough(samples, c.SuccessRateRequests, c.SuccessRateHosts) {
		return 0, 0, false
	}
	n, sum, squares := 0.0, 0.0, 0.0
	for _, s := range samples {
		if s.counts(c.SuccessRateRequests) {
			n++
			sum += s.successRate()
		}
	}
	mean = sum / n
	for _, s := range samples {
		if s.counts(c.SuccessRateRequests) {
			d := s.successRate() - mean
			squares += d * d
		}
	}
	return mean, math.Sqrt(squares / n), true
}

// unlucky reports whether s failed more often than chance has it at the mean rate.
func (s Sample) unlucky(mean float64) bool {
	expected := float64(s.requests()) * (1 - mean)
	return float64(s.Failures) > expected+chance*math.Sqrt(expected+1)
}

// enough reports whether so many samples have so many requests.
func enough(samples []Sample, requests, hosts int) bool {
	for _, s := range samples {
		if s.counts(requests) {
			hosts--
		}
	}
	return hosts <= 0
}

// percent has one decimal, and three close to 100 %, where they are what matters.
func percent(ratio float64) string {
	p := 100 * ratio
	scale := 10.0
	if p > 99 {
		scale = 1000
	}
	return strconv.FormatFloat(math.Round(p*scale)/scale, 'f', -1, 64) + "%"
}
