package retry

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/understudy-go/understudy/test/check"
)

func TestBudget(t *testing.T) {
	b := NewBudget(BudgetConfig{})
	check.Equal(t, 100, b.Remaining(0), "10 a second, however quiet")
	for range 1000 {
		b.Request(time.Second)
	}
	check.Equal(t, 300, b.Remaining(time.Second), "and 20 % of the requests")
	granted := 0
	for range 1000 {
		if b.Allow(2 * time.Second) {
			granted++
		}
	}
	check.Equal(t, 300, granted)
	check.Equal(t, 0, b.Remaining(2*time.Second))
	check.Equal(t, 0, b.Remaining(11*time.Second), "the requests are forgotten, the retries are not yet")
	check.Equal(t, 100, b.Remaining(12*time.Second+sliceTime))
}

func TestBudgetForgetsNothingBefore10s(t *testing.T) {
	late := sliceTime - 1 // in a slice that began almost a whole one earlier
	b := NewBudget(BudgetConfig{Ratio: 0.20, MinPerSecond: 0.1})
	check.Holds(t, b.Allow(late))
	check.Equal(t, 0, b.Remaining(late+10*time.Second-1))
	check.Equal(t, 1, b.Remaining(late+10*time.Second+1))
}

func TestBudgetCountsNoRequestAfter10s(t *testing.T) {
	b := NewBudget(BudgetConfig{Ratio: 1, MinPerSecond: off})
	b.Request(0)
	check.Equal(t, 1, b.Remaining(10*time.Second-sliceTime))
	check.Equal(t, 0, b.Remaining(10*time.Second))
}

func TestBudgetTakesWholeRetries(t *testing.T) {
	b := NewBudget(BudgetConfig{Ratio: 0.20, MinPerSecond: off})
	for i := range 12 {
		check.Equal(t, i/5, b.Remaining(0), i, " requests")
		b.Request(0)
	}
	check.Holds(t, b.Allow(0))
	check.Holds(t, b.Allow(0))
	check.Holds(t, !b.Allow(0))
}

func TestBudgetOff(t *testing.T) {
	b := NewBudget(BudgetConfig{Ratio: off})
	for range 10_000 {
		check.Holds(t, b.Allow(0))
	}
	check.Equal(t, math.MaxInt, b.Remaining(0))
	b.Configure(BudgetConfig{})
	check.Holds(t, !b.Allow(0), "what was taken stays taken")
}

// The model remembers every request and retry and looks back exactly 10 s.
func TestBudgetIsNeverExceededAndNotWithheld(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := BudgetConfig{
			Ratio:        rapid.SampledFrom([]float64{0.05, 0.2, 0.5, 1, 3}).Draw(t, "ratio"),
			MinPerSecond: rapid.SampledFrom([]float64{off, 0.1, 0.5, 1}).Draw(t, "min per second"),
		}
		b := NewBudget(cfg)
		now := time.Duration(rapid.Int64Range(0, int64(1000*time.Hour)).Draw(t, "origin"))
		var requests, retries []time.Duration
		within := func(all []time.Duration, span time.Duration) (n float64) {
			for _, at := range all {
				if at > now-span {
					n++
				}
			}
			return n
		}
		limit := func(requests float64) float64 { return cfg.Ratio*requests + max(cfg.MinPerSecond, 0)*10 }
		longest := rapid.SampledFrom([]time.Duration{10 * time.Millisecond, time.Second, 15 * time.Second, time.Minute}).Draw(t, "longest pause")
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			now += time.Duration(rapid.Int64Range(0, int64(longest)).Draw(t, "pause"))
			if rapid.Bool().Draw(t, "request") {
				b.Request(now)
				requests = append(requests, now)
				continue
			}
			remaining := b.Remaining(now)
			check.Holds(t, remaining >= 0)
			granted := b.Allow(now)
			check.Equal(t, remaining > 0, granted)
			if granted {
				retries = append(retries, now)
				const rounding = 1e-9
				check.Holds(t, within(retries, 10*time.Second) <= limit(within(requests, 10*time.Second))+rounding, "exceeded at ", now)
				check.Equal(t, remaining-1, b.Remaining(now))
			} else {
				strict := limit(within(requests, 10*time.Second-sliceTime))
				check.Holds(t, within(retries, 10*time.Second+sliceTime)+1 > strict, "withheld at ", now)
			}
		}
	})
}

func TestBudgetDoesNotAllocate(t *testing.T) {
	b := NewBudget(BudgetConfig{})
	now := time.Duration(0)
	allocations := testing.AllocsPerRun(1000, func() {
		now += 10 * time.Millisecond
		b.Request(now)
		b.Allow(now)
	})
	check.Equal(t, 0, allocations)
}

func BenchmarkRequest(b *testing.B) {
	budget := NewBudget(BudgetConfig{})
	now := time.Duration(0)
	b.ReportAllocs()
	for b.Loop() {
		now += 10 * time.Microsecond
		budget.Request(now)
	}
}

func BenchmarkAllow(b *testing.B) {
	budget := NewBudget(BudgetConfig{})
	now := time.Duration(0)
	for b.Loop() {
		now += 10 * time.Microsecond
		budget.Allow(now)
	}
}
