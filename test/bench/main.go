package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"time"
)

// subject is one thing to measure: op does one request; it must be safe for
// concurrent use.
type subject struct {
	name string
	op   func()
}

// rounds is how often the subjects take turns.
const rounds = 7

func main() {
	quick := flag.Bool("quick", false, "a short run that shows that everything works; its figures mean little")
	only := flag.String("only", "", "measure only budgets whose name matches this expression")
	flag.Parse()
	match, err := regexp.Compile(*only)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	span := 400 * time.Millisecond
	if *quick {
		span = 20 * time.Millisecond
	}
	failed := false
	for _, b := range budgets {
		if !match.MatchString(b.name) {
			continue
		}
		runtime.GC() // what the one before left is not this one's
		value := b.measure(span)
		fmt.Printf("ratio %s %.2f budget %.2f\n", b.name, value, b.limit)
		failed = failed || value > b.limit
	}
	if failed && !*quick {
		fmt.Fprintln(os.Stderr, "over budget")
		os.Exit(1)
	}
}

// budget is one line of the report: what is measured, and what it may be at most.
type budget struct {
	name    string
	limit   float64
	measure func(span time.Duration) float64
}

// compare returns ours/theirs in time per request: the median over interleaved rounds.
func compare(ours, theirs subject, callers int, span time.Duration) float64 {
	a, b := calibrate(ours, callers, span), calibrate(theirs, callers, span)
	var ratios []float64
	for range rounds {
		x, y := perOp(ours, callers, a), perOp(theirs, callers, b)
		fmt.Fprintf(os.Stderr, "  %-28s %4d callers  %8.1f ns   %-40s %8.1f ns\n", ours.name, callers, x, theirs.name, y)
		ratios = append(ratios, x/y)
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
}

// calibrate finds how many requests fill the span.
func calibrate(s subject, callers int, span time.Duration) int {
	n := 16
	for {
		begin := time.Now()
		run(s, callers, n)
		if d := time.Since(begin); d > span/8 {
			return max(n, int(float64(n)*float64(span)/float64(d)))
		}
		n *= 4
	}
}

func perOp(s subject, callers, n int) float64 {
	begin := time.Now()
	total := run(s, callers, n)
	return float64(time.Since(begin).Nanoseconds()) / float64(total)
}

// run makes about n requests, split among the callers.
func run(s subject, callers, n int) int {
	each := max(n/callers, 1)
	if callers == 1 {
		for range each {
			s.op()
		}
		return each
	}
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				s.op()
			}
		})
	}
	wg.Wait()
	return each * callers
}

// tail returns the 99.9th percentile of a request under that many callers.
func tail(s subject, callers, n int) time.Duration {
	each := max(n/callers, 1)
	all := make([][]time.Duration, callers)
	var wg sync.WaitGroup
	for g := range callers {
		wg.Go(func() {
			mine := make([]time.Duration, 0, each)
			for range each {
				begin := time.Now()
				s.op()
				mine = append(mine, time.Since(begin))
			}
			all[g] = mine
		})
	}
	wg.Wait()
	flat := slices.Concat(all...)
	slices.Sort(flat)
	return flat[len(flat)*999/1000]
}
