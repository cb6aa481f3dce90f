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
	pickSticky   = "sticky"
)

// strategy is one way to pick; its function stands in the file of its name.
type strategy struct {
	name    string
	aliases []string
	// pick returns the index of one of the candidates, the tier's eligible members of
	// the rank last and better, of whom there is at least one.
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
	// keyed: it needs the request's key. A request without one goes by p2c_ewma, without
	// slow start, for whoever sleeps would lose its keys.
	keyed bool
	// sorts, where there is one, sets by what a tier's members are divided and sorted.
	sorts func(m *member, here Place)
	// listed, where there is one, is called when the list has changed.
	listed func(b *Balancer, old *layout)
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
	{name: "geographic", pick: (*Balancer).geographic, sorts: byNearness, listed: (*Balancer).chart},
	{name: "ip_hash", pick: (*Balancer).ipHash, anyRank: true, keyed: true, sorts: byHash, listed: (*Balancer).tabulate},
	{name: "consistent_hash", aliases: []string{"maglev"}, pick: (*Balancer).consistentHash,
		anyRank: true, keyed: true, sorts: byHash, listed: (*Balancer).tabulate},
	{name: pickSticky, pick: (*Balancer).p2cEWMA}, // Config sets how long sessions stick
	{name: pickCustom, pick: (*Balancer).custom},
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
			return s, nil
		}
		known = append(append(known, s.name), s.aliases...)
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
