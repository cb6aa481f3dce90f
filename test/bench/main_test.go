package main

import (
	"testing"
	"time"
)

// The comparison itself works: every budget gets a figure.
func TestEveryBudgetGetsAFigure(t *testing.T) {
	for _, b := range budgets {
		if v := b.measure(5 * time.Millisecond); v < 0 || v == 0 && b.limit > 0 {
			t.Errorf("%s: %v", b.name, v)
		}
	}
}
