package nearest

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestNearest(t *testing.T) {
	known := []string{"round_robin", "weighted", "least_connections", "random", "p2c_ewma", "priority", "timeout"}
	for word, want := range map[string]string{
		"round_robin":                  "round_robin",
		"roundrobin":                   "round_robin", // one left out
		"Round-Robin":                  "round_robin", // case and separator are free
		"wieghted":                     "weighted",    // two swapped
		"weigthed":                     "weighted",
		"priorty":                      "priority",
		"priorrity":                    "priority",
		"tandom":                       "random",
		"least_conection":              "least_connections",
		"p2c":                          "p2c_ewma", // a beginning
		"least":                        "least_connections",
		"timeut":                       "timeout",
		"":                             "",
		"x":                            "",
		"p2":                           "", // too short a beginning
		"magic":                        "",
		"ranom_x":                      "",
		strings.Repeat("random", 9999): "",
	} {
		if got, ok := Nearest(word, known); got != want || ok != (want != "") {
			t.Errorf("Nearest(%.20q) = %q, %v; want %q", word, got, ok, want)
		}
	}
	if got, ok := Nearest("random", nil); ok {
		t.Errorf("%q is near, but nothing is known", got)
	}
	if got, _ := Nearest("cart", []string{"card", "carp"}); got != "card" {
		t.Errorf("%q, want the first of two equally near", got)
	}
}

// The distance against its definition, written as a recursion.
func TestDistanceIsOptimalStringAlignment(t *testing.T) {
	var naive func(a, b string) int
	naive = func(a, b string) int {
		if a == "" || b == "" {
			return len(a) + len(b)
		}
		x, y := a[len(a)-1], b[len(b)-1]
		change := naive(a[:len(a)-1], b[:len(b)-1])
		if x != y {
			change++
		}
		d := min(change, naive(a[:len(a)-1], b)+1, naive(a, b[:len(b)-1])+1)
		if len(a) > 1 && len(b) > 1 && x == b[len(b)-2] && a[len(a)-2] == y {
			d = min(d, naive(a[:len(a)-2], b[:len(b)-2])+1)
		}
		return d
	}
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[abc]{0,5}`)
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		if got, want := distance(a, b), naive(a, b); got != want {
			t.Fatalf("distance(%q, %q) = %d, want %d", a, b, got, want)
		}
	})
}

func TestOneSlipIsForgiven(t *testing.T) {
	known := []string{"round_robin", "weighted", "least_connections", "random", "p2c_ewma", "priority", "health_based", "custom"}
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.SampledFrom(known).Draw(t, "name")
		i := rapid.IntRange(0, len(k)-1).Draw(t, "at")
		c := rapid.StringMatching(`[a-z]`).Draw(t, "letter")
		word := rapid.SampledFrom([]string{k[:i] + c + k[i:], k[:i] + k[i+1:], k[:i] + c + k[i+1:]}).Draw(t, "slip")
		if got, ok := Nearest(word, known); !ok || got != k {
			t.Fatalf("Nearest(%q) = %q, %v; want %q", word, got, ok, k)
		}
	})
}
