// Package check holds the two assertions that the cores' tests live on. Equal is
// generic, so that comparing a count with a duration does not compile, and both
// work for rapid's T as for testing's.
package check

import (
	"fmt"
	"reflect"
)

// T is what *testing.T and *rapid.T have in common.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Equal ends the test unless got is want, deeply.
func Equal[V any](t T, want, got V, about ...any) {
	t.Helper()
	if !reflect.DeepEqual(want, got) {
		t.Fatalf("%swant %+v, got %+v", words(about), want, got)
	}
}

// Holds ends the test unless ok.
func Holds(t T, ok bool, about ...any) {
	t.Helper()
	if !ok {
		t.Fatalf("%sdoes not hold", words(about))
	}
}

func words(about []any) string {
	if len(about) == 0 {
		return ""
	}
	return fmt.Sprint(about...) + ": "
}
