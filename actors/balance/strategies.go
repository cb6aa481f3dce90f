package balance

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/understudy-go/understudy/actors/nearest"
	"github.com/understudy-go/understudy/messages"
)

const (
	pickDefault  = "p2c_ewma"
	pickPriority = "priority"
	pickCustom   = "custom"
)

// strategy is one way to pick; its function stands in the file of its name.
type strategy struct {
	name    string
	aliases []string
	// pick returns the index of one of the candidates, the tier's eligible members of
	// the rank last and better, of whom there is at least one. nil: not available yet.
	pick func(b *Balancer, t *tier, last Rank, now time.Duration, key string) (int, error)
	// grouped: members of one weight stand together.
	grouped bool
	// bestRankOnly: no rank joins while a better one has anyone.
	bestRankOnly bool
	// anyRank: only eligibility matters. Suspicion moves nobody, a due trial comes in
	// its turn, and there is no slow start.
	anyRank bool
	// even: weights do not matter.
	even bool
	// blind: it looks at nobody's load.
	blind bool
}

// strategies is the register, in the order in which they are told to users.
var strategies = []strategy{
	{name: "round_robin", pick: (*Balancer).roundRobin, even: true, blind: true},
	{name: "weighted", pick: (*Balancer).weighted, grouped: true, blind: true},
	{name: "least_connections", aliases: []string{"least_conn", "least_request"}, pick: (*Balancer).leastConnections},
	{name: "random", pick: (*Balancer).random, even: true, blind: true},
	{name: pickDefault, pick: (*Balancer).p2cEWMA},
	{name: pickPriority, pick: (*Balancer).priority, anyRank: true},
	{name: "health_based", pick: (*Balancer).healthBased, bestRankOnly: true},
	{name: pickCustom, pick: (*Balancer).custom},

	{name: "geographic"},
	{name: "ip_hash"},
	{name: "consistent_hash", aliases: []string{"maglev"}},
	{name: "sticky"},
}

// canonical returns the name that an alias stands for, and any other name as it is.
func canonical(name string) string {
	for _, s := range strategies {
		if slices.Contains(s.aliases, name) {
			return s.name
		}
	}
	return name
}

// find returns the strategy of that name, or the error that says why there is none.
func find(name string) (*strategy, error) {
	var known []string
	for i := range strategies {
		s := &strategies[i]
		if s.name == name {
			if s.pick == nil {
				return nil, invalid("pick: strategy %q is not available yet", name)
			}
			return s, nil
		}
		if s.pick != nil {
			known = append(append(known, s.name), s.aliases...)
		}
	}
	return nil, invalid("pick: %s", unknownName("strategy", name, known))
}

func unknownName(what, name string, known []string) string {
	if n, ok := nearest.Nearest(name, known); ok {
		return fmt.Sprintf("unknown %s %q: did you mean %q?", what, name, canonical(n))
	}
	return fmt.Sprintf("unknown %s %q: known are %s", what, name, strings.Join(known, ", "))
}

func invalid(format string, args ...any) error {
	return &messages.Error{Code: messages.CodeInvalidStrategy, Words: fmt.Sprintf(format, args...)}
}
