package understudytest

import (
	"context"
	"testing"

	"github.com/understudy-go/understudy"
)

// Trip opens the breaker of an endpoint. No time and no result closes it, only
// [Heal].
func Trip(t testing.TB, s *understudy.Service, id string) {
	t.Helper()
	operate(t, s, id, understudy.VerbForceOpen)
}

// Heal closes the breaker of an endpoint, whatever opened it, and has it forget
// what it counted.
func Heal(t testing.TB, s *understudy.Service, id string) {
	t.Helper()
	operate(t, s, id, understudy.VerbReset)
}

func operate(t testing.TB, s *understudy.Service, id string, verb understudy.Verb) {
	t.Helper()
	order := understudy.Order{Endpoint: id, Verb: verb, Reason: t.Name(), By: "understudytest"}
	if err := s.Operate(context.Background(), order); err != nil {
		t.Fatalf("understudytest: %v", err)
	}
}
