package balance

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/understudy-go/understudy/messages"
)

// trialAgain is how soon a trial that is still due is offered again, if the endpoint
// said nothing: the request that was to make it may have been given up.
const trialAgain = 100 * time.Millisecond

// ErrNobody is what Pick returns when no member may be picked. Whoever knows the
// members' states says why.
var ErrNobody = errors.New("no endpoint is eligible")

var errKeyless = &messages.Error{Code: messages.CodeInvalidRequest, Words: "a key is required: the service's affinity is required, and the request has none"}

// Member is one endpoint as the strategies know it.
type Member struct {
	ID       string
	Weight   int   // 1 to WeightMax; less counts as 1, more as WeightMax
	Priority int   // the tier, where there are tiers: the lowest number is the best
	Load     *Load // written by the endpoint; nil: always idle
	Place    Place // geographic: where it stands
	Limit    int   // geographic: at so many requests in flight it is full; 0: never
}

// Status is the state of a member. The zero value, which a new member has, is out.
type Status struct {
	// Ready: no operator took it out. The ready ones are what the spill threshold is
	// a share of.
	Ready bool
	// Eligible: it may be picked now, if it is Ready.
	Eligible bool
	// Rank is where it stands among the eligible.
	Rank Rank
	// LastResort: if it is Ready and not Eligible, this is only because of its health or
	// an ejection, and panic mode may pick it.
	LastResort bool
	// TrialDue: its breaker's open time is over. The next first attempt is offered to
	// it, whatever the strategy, so that a trial comes when it was promised, even to
	// an endpoint whose rank or latency attracts nothing. It costs at most one attempt,
	// and a retry follows. While the trial runs the endpoint is not eligible.
	TrialDue bool
	// Warming is when its slow start began; 0: it is in none. It may stay when the
	// window is over.
	Warming time.Duration
}

// Request is what a pick depends on, besides the members.
type Request struct {
	// Key is the request's affinity.
	Key string
	// Tried are the ids of the members that this request tried, or that turned it
	// down; they are picked only when nobody else may be.
	Tried []string
	// Retry: an attempt was made and failed. It does not spill over and makes no trial.
	Retry bool
}

// Counts is how many members there are.
type Counts struct {
	Members  int
	Ready    int
	Eligible int
}

// Balancer picks among the members of one service. It is not safe for concurrent use.
type Balancer struct {
	layout
	config   Config
	strategy *strategy
	unkeyed  *strategy // of requests without a key
	rnd      *rand.Rand
	spill    float64 // the spill threshold
	slow     bool    // slow start matters
	keyed    bool    // requests need a key
	keyless  uint64

	hidden    []int32               // members that a pick leaves out for its time
	trialFrom int32                 // where to look for the next trial, a position
	coldFrom  int32                 // where to look for the next member in slow start
	unforced  int                   // p2c_ewma: picks since the last forced one
	sessions  *sessions             // nil: nothing sticks
	spots     []spot                // of the hash strategies, by position
	places    map[placeName][]group // of geographic: where members stand
}

// New returns a balancer without members. It fails where c.Validate does.
func New(c Config, rnd *rand.Rand) (*Balancer, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.WithDefaults()
	s, _ := find(c.Pick) // Validate found it
	b := &Balancer{config: c, strategy: s, unkeyed: s, keyed: c.keyed(), rnd: rnd, spill: c.SpillThreshold}
	if s.bestRankOnly {
		b.spill = off
	}
	b.slow = c.SlowStart.Window != off && c.Warms()
	if s.keyed {
		b.unkeyed, _ = find(pickDefault)
	}
	if c.Sticky > 0 {
		b.sessions = newSessions(c.Sticky, c.StickyMax)
	}
	b.SetMembers(nil)
	return b, nil
}

// SetMembers replaces the list. Ids are unique. A member keeps its status and its
// turn by its id; index i is list[i] from now on. It costs O(n log n).
func (b *Balancer) SetMembers(list []Member) {
	members := make([]Member, len(list))
	for i, m := range list {
		if w, ok := b.config.Weights[m.ID]; ok {
			m.Weight = w
		}
		m.Weight = min(max(m.Weight, 1), WeightMax)
		if m.Load == nil {
			m.Load = new(Load)
		}
		members[i] = m
	}
	old := b.layout
	b.layout = newLayout(members, b.config.Tier != "", b.strategy, b.config.Here)
	for i := range old.members {
		was := &old.members[i]
		if j, ok := b.byID[was.ID]; ok {
			b.SetStatus(int(j), was.status)
			m := &b.members[j]
			m.offered = was.offered
			b.slots[m.slot].picked = old.slots[was.slot].picked
			if m.cold && was.cold {
				m.paid = was.paid - old.tiers[was.tier].rounds // the new tier's rounds begin at 0
				b.rest(m, was.asleep)
			}
		}
	}
	for i := range old.groups {
		b.inherit(&old, &old.groups[i])
	}
	if b.strategy.listed != nil {
		b.strategy.listed(b, &old)
	}
	if b.sessions != nil {
		b.sessions.follow(old.members, b.byID)
	}
}

// inherit gives what an old group had to the group that its members are in now: its
// credit, and the turn to the member whose turn it was or, if that one is gone, to
// the next that is not.
func (b *Balancer) inherit(old *layout, was *group) {
	for k, pos := int32(0), was.next; k < was.hi-was.lo; k, pos = k+1, pos+1 {
		if pos >= was.hi {
			pos = was.lo
		}
		before := &old.members[old.at[pos]]
		j, ok := b.byID[before.ID]
		if !ok {
			continue
		}
		m := &b.members[j]
		if (!b.strategy.grouped || m.Weight == before.Weight) && (b.config.Tier == "" || m.Priority == before.Priority) {
			g := &b.groups[m.group]
			g.next, g.credit = m.pos, was.credit
			return
		}
	}
}

// SetStatus says what state member i is in.
func (b *Balancer) SetStatus(i int, s Status) {
	m := &b.members[i]
	t := &b.tiers[m.tier]
	if s.Ready != m.status.Ready {
		change := -1
		if s.Ready {
			change = 1
		}
		b.ready += change
		t.ready += change
		t.judge(b.spill)
	}
	if s.TrialDue && !m.status.TrialDue {
		m.offered = never
	}
	m.status = s
	b.chill(m, b.slow && s.Warming > 0 && b.place(s) <= Suspect)
	b.settle(int32(i))
	b.panic = b.panics()
}

// place is where a member of the status s stands.
func (b *Balancer) place(s Status) Rank {
	switch {
	case s.Ready && s.Eligible:
		return min(s.Rank, Suspect)
	case s.Ready && s.LastResort && b.config.PanicThreshold != off:
		return LastResort
	}
	return out
}

// settle brings a member to the place that its status says.
func (b *Balancer) settle(i int32) {
	m := &b.members[i]
	b.move(i, b.place(m.status), b.spill)
	b.due.put(m.pos, m.status.TrialDue && m.place <= Suspect)
}

// Pick returns the index of the member that gets the request. It fails with
// ErrNobody when nobody is eligible nor, in panic mode, a last resort, with
// INVALID_REQUEST when a key is required and there is none, and with INVALID_STRATEGY
// when a custom function is missing or its choice is not there.
func (b *Balancer) Pick(now time.Duration, req Request) (int, error) {
	if req.Key == "" && b.keyed {
		if b.config.Affinity == affinityRequired {
			return -1, errKeyless
		}
		if len(req.Tried) == 0 && !req.Retry {
			b.keyless++
		}
	}
	switch {
	case len(req.Tried) > 0:
		return b.pickUntried(now, req)
	case b.sessions != nil:
		return b.stick(now, req.Key, req.Retry)
	}
	return b.choose(now, req.Key, req.Retry)
}

// choose picks a member without regard to sessions.
func (b *Balancer) choose(now time.Duration, key string, retry bool) (int, error) {
	t := b.first()
	if t == nil {
		return -1, ErrNobody
	}
	s := b.strategy
	if key == "" {
		s = b.unkeyed
	}
	last := t.reach
	if b.panic {
		last = LastResort
	}
	switch {
	case s.anyRank:
		last = b.lowest()
	case retry:
		last = t.best
	case !b.due.empty():
		if i, ok := b.trial(t, now); ok {
			return i, nil
		}
	}
	if !b.cold.empty() {
		return b.pickWarming(s, t, last, now, key)
	}
	return s.pick(b, t, last, now, key)
}

// trial returns a member of the best tier whose trial is due, if it was not offered
// just now. Tiers go first: a standby's trial takes no request from the active tier.
func (b *Balancer) trial(t *tier, now time.Duration) (int, bool) {
	pos := b.due.next(b.trialFrom, t.hi)
	if pos == t.hi { // from the front: before this tier nobody is eligible, so none is due
		if pos = b.due.next(0, t.hi); pos == t.hi {
			return 0, false
		}
	}
	b.trialFrom = pos + 1
	m := &b.members[b.at[pos]]
	if now-m.offered < trialAgain {
		return 0, false
	}
	m.offered = now
	return int(b.at[pos]), true
}

// pickUntried leaves those out that were tried, for the time of this pick. Where
// that leaves nobody, all count again.
func (b *Balancer) pickUntried(now time.Duration, req Request) (int, error) {
	defer b.show() // after a panic in a user's function too
	for _, id := range req.Tried {
		if i, ok := b.byID[id]; ok {
			b.hidden = append(b.hidden, i)
			b.move(i, out, b.spill)
			b.due.put(b.members[i].pos, false)
		}
	}
	if b.nobody() {
		b.show()
	}
	if b.sessions != nil {
		return b.stick(now, req.Key, req.Retry)
	}
	return b.choose(now, req.Key, req.Retry)
}

func (b *Balancer) show() {
	for _, i := range b.hidden {
		b.settle(i)
	}
	b.hidden = b.hidden[:0]
}

// Keyless returns how many requests came without a key where the strategy needs one.
// A request's further attempts do not count.
func (b *Balancer) Keyless() uint64 { return b.keyless }

// Counts returns how many members there are, are ready, and are eligible.
func (b *Balancer) Counts() Counts {
	return Counts{Members: len(b.members), Ready: b.ready, Eligible: b.eligible}
}

// Out returns how many members other than i are ready, and how many of these are
// not eligible. Whoever an operator took out is in neither: that is no outage.
func (b *Balancer) Out(i int) (out, others int) {
	out, others = b.ready-b.eligible, b.ready
	if s := b.members[i].status; s.Ready {
		others--
		if !s.Eligible {
			out--
		}
	}
	return out, others
}
