package retry

import (
	"fmt"
	"reflect"
)

// failer is what *testing.T and *rapid.T have in common.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

func equal[T any](t failer, want, got T, about ...any) {
	t.Helper()
	if !reflect.DeepEqual(want, got) {
		t.Fatalf("%swant %+v, got %+v", words(about), want, got)
	}
}

func holds(t failer, ok bool, about ...any) {
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
