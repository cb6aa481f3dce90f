package retry

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"
)

const (
	// budgetWindow is how far back requests and retries count.
	budgetWindow = 10 * time.Second
	// sliceTime is the window's grain: up to that much later than exactly after
	// 10 s, a retry is forgotten, and up to that much earlier a request.
	sliceTime = 250 * time.Millisecond
	// slicesCounted are wholly or partly within the window; slicesKept is the next
	// power of two, which makes the place in the ring cheap.
	slicesCounted = int64(budgetWindow/sliceTime) + 1
	slicesKept    = 64
)

// BudgetConfig is the `budget:` block: how many retries a service may see.
type BudgetConfig struct {
	// Ratio is the share of the requests of the last 10 s that may be retried.
	// Zero: 0.20 (20 %). Up to 10 (1000 %). Off: no budget, retries without end.
	Ratio float64 `yaml:"ratio"`
	// MinPerSecond is how many retries a second, on average over 10 s, are allowed
	// besides, so that a quiet service may retry too. Zero: 10. Off: none.
	MinPerSecond float64 `yaml:"min_per_second"`
}

// WithDefaults returns c with every zero value replaced by its default.
func (c BudgetConfig) WithDefaults() BudgetConfig {
	c.Ratio = cmp.Or(c.Ratio, 0.20)
	c.MinPerSecond = cmp.Or(c.MinPerSecond, 10)
	return c
}

// Validate returns every fault of c at once, or nil.
func (c BudgetConfig) Validate() error { return errors.Join(c.WithDefaults().faults()...) }

// faults of a c that has its defaults.
func (c BudgetConfig) faults() (faults []error) {
	if c.Ratio != -1 && !(c.Ratio >= 0 && c.Ratio <= 10) {
		faults = append(faults, fmt.Errorf("budget.ratio: %v is not from 0 to 10 (1000%%)", c.Ratio))
	}
	if c.MinPerSecond != -1 && !(c.MinPerSecond >= 0 && c.MinPerSecond <= 1e6) {
		faults = append(faults, fmt.Errorf("budget.min_per_second: %v is not from 0 to 1000000", c.MinPerSecond))
	}
	return faults
}

// Budget keeps the retries of a service in proportion to its requests over a
// sliding window of 10 s. It is asked only for retries that cost the endpoints
// something: an attempt of which nothing was sent is free, and its caller does
// not ask.
type Budget struct {
	ratio     float64
	floor     float64 // retries allowed however few the requests
	unlimited bool
	slices    [slicesKept]slice
}

// slice counts what came within one sliceTime.
type slice struct {
	number   int64 // of the sliceTime since the origin
	requests uint32
	retries  uint32
}

// NewBudget returns a budget of which nothing is used.
func NewBudget(cfg BudgetConfig) *Budget {
	b := &Budget{}
	b.Configure(cfg)
	return b
}

// Configure puts cfg in force. What was counted stays counted.
func (b *Budget) Configure(cfg BudgetConfig) {
	cfg = cfg.WithDefaults()
	b.ratio = cfg.Ratio
	b.floor = max(cfg.MinPerSecond, 0) * budgetWindow.Seconds()
	b.unlimited = cfg.Ratio < 0
}

// Request counts a request: one, however many attempts it makes.
func (b *Budget) Request(now time.Duration) { b.at(now).requests++ }

// Allow takes one retry from the budget, or reports that there is none left.
func (b *Budget) Allow(now time.Duration) bool {
	if b.Remaining(now) == 0 {
		return false
	}
	b.at(now).retries++
	return true
}

// Remaining returns how many retries may be taken now; math.MaxInt where there is
// no budget.
func (b *Budget) Remaining(now time.Duration) int {
	if b.unlimited {
		return math.MaxInt
	}
	// On the window's far edge a slice lies partly outside: its retries count and
	// its requests do not, so that rounding never breaks the promise.
	requests, retries := 0, 0
	newest := int64(now / sliceTime)
	for i := range b.slices {
		s := &b.slices[i]
		if age := newest - s.number; age < slicesCounted {
			retries += int(s.retries)
			if age < slicesCounted-1 {
				requests += int(s.requests)
			}
		}
	}
	return max(int(b.ratio*float64(requests)+b.floor)-retries, 0)
}

// at returns the slice of now, emptied if it was last used a ring ago.
func (b *Budget) at(now time.Duration) *slice {
	number := int64(now / sliceTime)
	s := &b.slices[number%slicesKept]
	if s.number != number {
		*s = slice{number: number}
	}
	return s
}
