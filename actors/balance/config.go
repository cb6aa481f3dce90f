package balance

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// off is how a configuration turns a number off.
const off = -1

// WeightMax is the greatest weight, that of a DNS SRV record.
const WeightMax = math.MaxUint16

const (
	affinityOptional = "optional"
	affinityRequired = "required"
)

// stickyMost is the greatest number of sessions.
const stickyMost = 1_000_000

// tierPriority is the only tier there is yet.
const tierPriority = "priority"

// Config names the strategy. The zero value is p2c_ewma among all members.
type Config struct {
	// Tier divides the members first; the best tier that has somebody eligible gets
	// the request. "priority": the lowest priority number is the best tier, so the
	// others stand by. Zero: one tier; priority if that is the pick.
	Tier string `yaml:"tier"`

	// Pick chooses inside the tier: round_robin, weighted, least_connections, random,
	// p2c_ewma, priority, health_based, geographic, ip_hash, consistent_hash, sticky
	// (p2c_ewma, with Sticky) or custom. Zero: p2c_ewma; custom if Custom is given.
	Pick string `yaml:"pick"`

	// Weights are weights by endpoint id, in place of the endpoints' own. 1 to 65535;
	// who is not named keeps its own. weighted gives requests in proportion to them,
	// the hashes keys, least_connections, p2c_ewma and what goes by it divide the load
	// by them, the others do not look.
	Weights map[string]int `yaml:"weights"`

	// SpillThreshold is the share of a tier's ready members below which a lower rank
	// joins those above it. Above 0, at most 1; zero: 0.5, Envoy's panic threshold;
	// -1: off, a lower rank joins only when nobody stands above it.
	SpillThreshold float64 `yaml:"spill_threshold"`

	// PanicThreshold is the share of the service's ready members below which the
	// eligible are too few: panic mode then picks the last resort too, as an equal of
	// the others. Above 0, at most 1; zero: last_resort, only when nobody is eligible;
	// -1: off, never.
	PanicThreshold float64 `yaml:"-"`

	// SlowStart is not part of the strategy in a file: it stands beside it. It matters
	// not to ip_hash, consistent_hash and priority, nor to a session that is there; custom
	// is told of it.
	SlowStart SlowStart `yaml:"-"`

	// Sticky is the idle time of a session: as long as a request with its key comes
	// sooner, the session stays with the endpoint that Pick chose first, until that
	// can no longer be picked. Zero: 30m if Pick is sticky, else off; -1: off.
	Sticky time.Duration `yaml:"sticky"`

	// StickyMax is how many sessions are remembered, at some 60 bytes each; when there
	// are more, those go whose last request is longest ago. 1 to 1000000; zero: 100000.
	StickyMax int `yaml:"sticky_max"`

	// HashBalance is how many times the mean of its tier's requests in flight, for its
	// weight, a member may have before ip_hash and consistent_hash pass a request on to
	// the key's next choice; 4 in flight it may always have. Above 1, at most 100; zero:
	// 1.25 (Mirrokni et al., "Consistent Hashing with Bounded Loads"); -1: off, a key
	// leaves its member only when that cannot be picked.
	HashBalance float64 `yaml:"hash_balance"`

	// Affinity says what becomes of a request without a key where one is needed, that
	// is by ip_hash, by consistent_hash and with Sticky. "optional": it goes by p2c_ewma
	// without slow start, or by Pick with Sticky, and is counted. "required": it is
	// refused with INVALID_REQUEST, also where Pick is custom. Zero: optional.
	Affinity string `yaml:"affinity"`

	// Here is where the balancer stands, from where geographic looks for the nearest.
	Here Place `yaml:"-"`

	// Custom is the strategy "custom": it is given the request's key and the
	// candidates, at least one, in the members' order, and returns the index of its
	// choice among them. It must be quick and must not call the balancer. An index
	// that is not there is an INVALID_STRATEGY error for that request; a panic goes on
	// to the caller of Pick and changes nothing here.
	Custom func(key string, candidates []Candidate) int `yaml:"-"`
}

// WithDefaults returns c with every zero field set to its default and aliases
// replaced by the name that they stand for.
func (c Config) WithDefaults() Config {
	switch {
	case c.Pick != "":
		c.Pick = canonical(c.Pick)
	case c.Custom != nil:
		c.Pick = pickCustom
	default:
		c.Pick = pickDefault
	}
	if c.Tier == "" && c.Pick == pickPriority {
		c.Tier = tierPriority
	}
	if c.SpillThreshold == 0 {
		c.SpillThreshold = 0.5
	}
	c.SlowStart = c.SlowStart.WithDefaults()
	if c.Sticky == 0 && c.Pick == pickSticky {
		c.Sticky = 30 * time.Minute
	}
	if c.StickyMax == 0 {
		c.StickyMax = 100_000
	}
	if c.HashBalance == 0 {
		c.HashBalance = 1.25
	}
	if c.Affinity == "" {
		c.Affinity = affinityOptional
	}
	return c
}

// Validate joins everything that is wrong with c, or returns nil. A strategy that
// is not there is a *messages.Error with the code INVALID_STRATEGY. The strategy
// custom without a function is valid, because a file can name it before the program
// sets the function; until then each pick is an error.
func (c Config) Validate() error {
	c = c.WithDefaults()
	var faults []error
	if c.Tier != "" && c.Tier != tierPriority {
		faults = append(faults, invalid("tier: %s", unknownName("tier", c.Tier, []string{tierPriority})))
	}
	if _, err := find(c.Pick); err != nil {
		faults = append(faults, err)
	} else if c.Custom != nil && c.Pick != pickCustom {
		faults = append(faults, fmt.Errorf("pick: is %s, so the custom function would never be asked", c.Pick))
	}
	for _, id := range slices.Sorted(maps.Keys(c.Weights)) {
		if w := c.Weights[id]; w < 1 || w > WeightMax {
			faults = append(faults, fmt.Errorf("weights.%s: must be from 1 to %d, is %d", id, WeightMax, w))
		}
	}
	if s := c.SpillThreshold; s != off && !(s > 0 && s <= 1) { // so worded, it refuses NaN too
		faults = append(faults, fmt.Errorf("spill_threshold: must be above 0 and at most 1, or off, is %v", s))
	}
	if p := c.PanicThreshold; p != off && !(p >= 0 && p <= 1) {
		faults = append(faults, fmt.Errorf("panic_threshold: must be last_resort, above 0 and at most 1, or off, is %v", p))
	}
	for _, fault := range c.SlowStart.faults() {
		faults = append(faults, fmt.Errorf("slow_start.%w", fault))
	}
	return errors.Join(append(faults, c.affinityFaults()...)...)
}

func (c Config) affinityFaults() (faults []error) {
	fault := func(wrong bool, format string, args ...any) {
		if wrong {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(c.Sticky < off, "sticky: must be above 0, or off, is %v", c.Sticky)
	fault(c.Sticky == off && c.Pick == pickSticky, "sticky: cannot be off, for sticky is the pick")
	fault(c.StickyMax < 1 || c.StickyMax > stickyMost, "sticky_max: must be from 1 to %d, is %d", stickyMost, c.StickyMax)
	h := c.HashBalance
	fault(h != off && !(h > 1 && h <= 100), "hash_balance: must be above 1 and at most 100, or off, is %v", h)
	switch c.Affinity {
	case affinityOptional:
	case affinityRequired:
		_, err := find(c.Pick)
		fault(err == nil && !c.keyed(), "affinity: is required, but %s needs no key and nothing is sticky", c.Pick)
	default:
		fault(true, "affinity: %s", unknownName("affinity", c.Affinity, []string{affinityOptional, affinityRequired}))
	}
	if err := c.Here.Validate(); err != nil {
		faults = append(faults, err)
	}
	return faults
}

// keyed reports whether a request needs a key.
func (c Config) keyed() bool {
	s, err := find(c.Pick)
	return c.Sticky > 0 || err == nil && s.keyed || c.Pick == pickCustom && c.Affinity == affinityRequired
}
