package balance

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// model says in the words of the design whom a pick may choose, by looking at
// everybody each time.
type model struct {
	config Config
	list   []Member
	status map[string]Status
	turn   map[int]string // round_robin: whose turn it is, by tier
	sticks []stuck        // sessions, the one used last at the end
}

type stuck struct {
	key, id string // id "": its member is gone
	used    time.Duration
}

func (m *model) priority(i int) int {
	if m.config.Tier == "" {
		return 0
	}
	return m.list[i].Priority
}

// tierOf numbers the tiers; the classes of geographic are tiers within tiers.
func (m *model) tierOf(e Member) (n int) {
	if m.config.Tier != "" {
		n = e.Priority << 16
	}
	if m.config.Pick == "geographic" {
		n += int(e.Place.nearness(m.config.Here))
	}
	return n
}

// keyed: the request goes by its key, and neither rank nor trial matters.
func (m *model) keyed(req Request) bool {
	return (m.config.Pick == "ip_hash" || m.config.Pick == "consistent_hash") && req.Key != ""
}

// session returns the id of the session's member, if it is not over, and begins its
// idle time anew.
func (m *model) session(key string, now time.Duration) (id string) {
	i := slices.IndexFunc(m.sticks, func(s stuck) bool { return s.key == key })
	if i < 0 || now-m.sticks[i].used >= m.config.Sticky {
		return ""
	}
	id = m.sticks[i].id
	m.stick(key, id, now)
	return id
}

func (m *model) stick(key, id string, now time.Duration) {
	m.sticks = append(slices.DeleteFunc(m.sticks, func(s stuck) bool { return s.key == key }), stuck{key, id, now})
	if len(m.sticks) > m.config.StickyMax {
		m.sticks = m.sticks[1:]
	}
}

// tier returns the indexes of a tier in order.
func (m *model) tier(p int) (all []int) {
	for i, e := range m.list {
		if m.tierOf(e) == p {
			all = append(all, i)
		}
	}
	return all
}

func (m *model) eligible(i int) bool {
	s := m.status[m.list[i].ID]
	return s.Ready && s.Eligible
}

func (m *model) reserve(i int) bool {
	s := m.status[m.list[i].ID]
	return s.Ready && !s.Eligible && s.LastResort && m.config.PanicThreshold != off
}

// rank is that of a member that may be picked.
func (m *model) rank(i int) Rank {
	if m.reserve(i) {
		return LastResort
	}
	return m.status[m.list[i].ID].Rank
}

// panic is panic mode: there is a last resort, and nobody is eligible in any tier, or
// fewer than the threshold, if that is a share.
func (m *model) panic() bool {
	ready, eligible, reserve := 0, 0, 0
	for i, e := range m.list {
		if m.status[e.ID].Ready {
			ready++
		}
		if m.eligible(i) {
			eligible++
		}
		if m.reserve(i) {
			reserve++
		}
	}
	return reserve > 0 && (eligible == 0 || float64(eligible) < m.config.PanicThreshold*float64(ready))
}

// counts: member i may be picked.
func (m *model) counts(i int) bool { return m.eligible(i) || m.panic() && m.reserve(i) }

// pool is who counts for the request: those that may be picked and that it has not
// tried yet, or those that it tried when there is nobody else; all of them, and those
// of the best tier with somebody eligible or, when no tier has, of the best one.
func (m *model) pool(req Request) (all, pool []int) {
	var untried, eligible []int
	for i, e := range m.list {
		if m.counts(i) {
			all = append(all, i)
			if !slices.Contains(req.Tried, e.ID) {
				untried = append(untried, i)
			}
		}
	}
	if len(untried) > 0 {
		all = untried
	}
	for _, i := range all {
		if m.eligible(i) {
			eligible = append(eligible, i)
		}
	}
	if len(eligible) == 0 {
		eligible = all
	}
	best := math.MaxInt
	for _, i := range eligible {
		best = min(best, m.tierOf(m.list[i]))
	}
	for _, i := range all {
		if m.tierOf(m.list[i]) == best {
			pool = append(pool, i)
		}
	}
	return all, pool
}

// allowed is whom of the pool, which is not empty, a pick may choose.
func (m *model) allowed(pool []int, req Request) (choice []int) {
	if m.config.Pick == pickPriority {
		return pool[max(0, slices.IndexFunc(pool, m.eligible)):][:1]
	}
	if m.keyed(req) {
		return pool
	}
	if !req.Retry {
		for _, i := range pool {
			if m.status[m.list[i].ID].TrialDue && m.eligible(i) {
				choice = append(choice, i)
			}
		}
		if choice != nil {
			return choice
		}
		if m.panic() {
			return pool
		}
	}
	ready := 0
	for _, i := range m.tier(m.tierOf(m.list[pool[0]])) {
		if m.status[m.list[i].ID].Ready {
			ready++
		}
	}
	enough := m.config.SpillThreshold * float64(ready)
	if req.Retry || m.config.Pick == "health_based" || m.config.SpillThreshold == off {
		enough = 0
	}
	for r := Healthy; r <= LastResort; r++ {
		if above := len(choice); above > 0 && float64(above) >= enough {
			break
		}
		for _, i := range pool {
			if m.rank(i) == r {
				choice = append(choice, i)
			}
		}
	}
	slices.Sort(choice)
	return choice
}

// near is the rule of geographic: who counts of all in the tier that may be picked, and
// not tried where somebody is not, and that spill-over allows in the nearest class. Who
// sleeps has no room, but not all of those who would count may sleep.
func (m *model) near(t *rapid.T, all, choice []int, key string, sleeps func(i int) bool) []int {
	roomy := func(who []int, ok func(i int) bool) (roomy []int) {
		who = slices.DeleteFunc(slices.Clone(who), func(i int) bool { return !ok(i) })
		for _, i := range who {
			if e := m.list[i]; !sleeps(i) && (e.Limit == 0 || int(e.Load.Inflight.Load()) < e.Limit) {
				roomy = append(roomy, i)
			}
		}
		if len(who) > 0 && !slices.ContainsFunc(who, func(i int) bool { return !sleeps(i) }) {
			t.Fatalf("all of %v sleep", who)
		}
		return roomy
	}
	lowest := LastResort
	if slices.ContainsFunc(all, m.eligible) {
		lowest = Suspect
	}
	all = slices.DeleteFunc(slices.Clone(all), func(i int) bool {
		return m.priority(i) != m.priority(choice[0]) || m.rank(i) > lowest
	})
	classes := map[int]bool{}
	for _, i := range all {
		classes[m.tierOf(m.list[i])] = true
	}
	inOrder := slices.Sorted(maps.Keys(classes))
	for r := Healthy; r <= lowest && key != ""; r++ {
		for _, c := range inOrder {
			in := roomy(all, func(i int) bool {
				e := m.list[i]
				return (e.Place.Zone == key || e.Place.Region == key) && m.tierOf(e) == c && m.rank(i) <= r
			})
			if len(in) > 0 {
				return in
			}
		}
	}
	if in := roomy(choice, func(int) bool { return true }); len(in) > 0 {
		return in
	}
	for _, c := range inOrder[1:] {
		best := LastResort
		for _, i := range all {
			if m.tierOf(m.list[i]) == c {
				best = min(best, m.rank(i))
			}
		}
		if in := roomy(all, func(i int) bool { return m.tierOf(m.list[i]) == c && m.rank(i) == best }); len(in) > 0 {
			return in
		}
	}
	return choice
}

// narrow is the strategy's own rule, where there is one to say.
func (m *model) narrow(choice []int, now time.Duration) []int {
	rate := func(i int) float64 {
		s := &slot{load: m.list[i].Load, share: 1 / float32(max(m.list[i].Weight, 1))}
		if m.config.Pick == "least_connections" {
			return connections(s, 0)
		}
		return score(s, tickOf(now))
	}
	switch m.config.Pick {
	case "least_connections", "health_based":
		least := rate(choice[0])
		for _, i := range choice {
			least = min(least, rate(i))
		}
		return slices.DeleteFunc(choice, func(i int) bool { return rate(i) > least })
	case "round_robin":
		order := m.tier(m.tierOf(m.list[choice[0]]))
		first := slices.IndexFunc(order, func(i int) bool { return m.list[i].ID == m.turn[m.tierOf(m.list[i])] })
		order = append(order[first:], order[:first]...)
		for k, i := range order {
			if slices.Contains(choice, i) {
				m.turn[m.tierOf(m.list[i])] = m.list[order[(k+1)%len(order)]].ID
				return []int{i}
			}
		}
	}
	return choice
}

// setMembers passes the turns of members that are gone to the next ones that stay.
func (m *model) setMembers(list []Member) {
	stays := func(e Member) bool {
		return slices.ContainsFunc(list, func(x Member) bool { return x.ID == e.ID && m.tierOf(x) == m.tierOf(e) })
	}
	for p, id := range m.turn {
		delete(m.turn, p)
		order := m.tier(p)
		first := slices.IndexFunc(order, func(i int) bool { return m.list[i].ID == id })
		for k := range order {
			if e := m.list[order[(first+k)%len(order)]]; stays(e) {
				m.turn[p] = e.ID
				break
			}
		}
	}
	status := map[string]Status{}
	for _, e := range list {
		status[e.ID] = m.status[e.ID]
	}
	m.list, m.status = list, status
	for k := range m.sticks {
		if !slices.ContainsFunc(list, func(e Member) bool { return e.ID == m.sticks[k].id }) {
			m.sticks[k].id = ""
		}
	}
	for _, e := range list {
		if p := m.tierOf(e); m.turn[p] == "" {
			m.turn[p] = e.ID
		}
	}
}

var places = []Place{{}, {"z1", "r1", nil}, {"z2", "r1", nil}, {"z3", "r2", &Location{10, 0}}, {"z4", "r3", &Location{40, 0}}, {"z5", "r3", &Location{-40, 0}}}

func drawMembers(t *rapid.T, loads map[string]*Load) (list []Member) {
	ids := rapid.Permutation([]string{"a", "b", "c", "d", "e", "f", "g", "h"}).Draw(t, "ids")
	for _, id := range ids[:rapid.IntRange(0, len(ids)).Draw(t, "n")] {
		list = append(list, Member{
			ID: id, Weight: rapid.IntRange(0, 4).Draw(t, "weight"),
			Priority: rapid.IntRange(0, 2).Draw(t, "priority"), Load: loads[id],
			Place: rapid.SampledFrom(places).Draw(t, "place"), Limit: rapid.IntRange(0, 3).Draw(t, "limit")})
	}
	return list
}

func TestPickAgainstModel(t *testing.T) {
	for _, tier := range []string{"", tierPriority} {
		for _, pick := range append(available(), pickCustom) {
			if pick == "consistent_hash" {
				continue // it is ip_hash but for the hash, and tables take time
			}
			t.Run(tier+"/"+pick, rapid.MakeCheck(func(t *rapid.T) { checkAgainstModel(t, tier, pick) }))
		}
	}
}

func checkAgainstModel(t *rapid.T, tier, pick string) {
	c := Config{Tier: tier, Pick: pick,
		SpillThreshold: rapid.SampledFrom([]float64{0, off, 0.1, 0.34, 0.75, 1}).Draw(t, "spill"),
		PanicThreshold: rapid.SampledFrom([]float64{0, off, 0.3, 0.5, 1}).Draw(t, "panic"),
		SlowStart: SlowStart{
			Window:    rapid.SampledFrom([]time.Duration{off, time.Second, time.Minute}).Draw(t, "window"),
			MinWeight: rapid.SampledFrom([]float64{0.2, 0.9}).Draw(t, "min weight")},
		StickyMax: 2, Here: Place{"z1", "r1", &Location{0, 0}}}
	if pick == pickSticky || rapid.IntRange(0, 3).Draw(t, "sticks") == 0 {
		c.Sticky = 5 * trialAgain
	}
	if pick == pickCustom {
		c.Custom = func(_ string, c []Candidate) int { return rapid.IntRange(0, len(c)-1).Draw(t, "chosen") }
	}
	b, err := New(c, rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)))
	if err != nil {
		t.Fatal(err)
	}
	m := &model{config: c.WithDefaults(), status: map[string]Status{}, turn: map[int]string{}}
	loads := map[string]*Load{}
	for _, id := range "abcdefgh" {
		loads[string(id)] = new(Load)
	}
	setMembers := func(t *rapid.T) {
		list := drawMembers(t, loads)
		m.setMembers(list)
		b.SetMembers(list)
	}
	setMembers(t)
	now := time.Duration(0)
	t.Repeat(map[string]func(*rapid.T){
		"members": func(t *rapid.T) {
			if pick != "ip_hash" || rapid.IntRange(0, 3).Draw(t, "again") == 0 {
				setMembers(t)
			}
		},
		"status": func(t *rapid.T) {
			well := rapid.SampledFrom([]int{0, 1, 4}).Draw(t, "eligible of five")
			for i, e := range m.list {
				if rapid.Bool().Draw(t, "change "+e.ID) {
					m.status[e.ID] = Status{
						Ready: rapid.IntRange(0, 9).Draw(t, "ready") > 0, Eligible: rapid.IntRange(0, 4).Draw(t, "eligible") < well,
						LastResort: rapid.Bool().Draw(t, "last resort"),
						Rank:       Rank(rapid.IntRange(0, 3).Draw(t, "rank")), TrialDue: rapid.IntRange(0, 9).Draw(t, "due") == 0}
					if s := m.status[e.ID]; rapid.IntRange(0, 2).Draw(t, "warming") == 0 {
						s.Warming = max(now, 1)
						m.status[e.ID] = s
					}
					b.SetStatus(i, m.status[e.ID])
				}
			}
		},
		"load": func(t *rapid.T) {
			for _, e := range m.list {
				e.Load.Inflight.Store(rapid.Int32Range(0, 3).Draw(t, "inflight"))
				e.Load.Observe(now, time.Duration(rapid.IntRange(1, 4).Draw(t, "latency"))*time.Millisecond)
			}
		},
		"pick": func(t *rapid.T) {
			for range rapid.IntRange(1, 8).Draw(t, "picks") {
				now += trialAgain // so that each trial that is due may be offered
				checkPick(t, b, m, now)
			}
		},
		"": func(t *rapid.T) {
			checkCounts(t, b, m)
			checkLayout(t, b)
		},
	})
}

func checkPick(t *rapid.T, b *Balancer, m *model, now time.Duration) {
	req := Request{Retry: rapid.Bool().Draw(t, "retry"),
		Key:   rapid.SampledFrom([]string{"", "", "k1", "k2", "k3", "z3", "r1", "r3"}).Draw(t, "key"),
		Tried: rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "z"}), 0, 5).Draw(t, "tried")}
	before := slices.Clone(b.members)
	i, err := b.Pick(now, req)
	sticks := m.config.Sticky > 0 && req.Key != ""
	session := nobody
	if sticks {
		id := m.session(req.Key, now)
		session = slices.IndexFunc(m.list, func(e Member) bool { return e.ID == id })
	}
	all, pool := m.pool(req)
	if len(pool) == 0 {
		if !errors.Is(err, ErrNobody) {
			t.Fatalf("picked %d, %v, but nobody may be", i, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	choice := []int{session}
	if !slices.Contains(all, session) {
		choice = m.choice(t, b, before, i, all, pool, now, req)
	}
	if !slices.Contains(choice, i) {
		t.Fatalf("picked %s for %+v of %s: allowed are %v", m.list[i].ID, req, m, choice)
	}
	if sticks && (session == nobody || !m.counts(session)) {
		m.stick(req.Key, m.list[i].ID, now)
	}
}

// choice is whom a pick without regard to sessions may choose, when it chose i.
func (m *model) choice(t *rapid.T, b *Balancer, before []member, i int, all, pool []int, now time.Duration, req Request) []int {
	choice := m.allowed(pool, req)
	first := choice[0]
	trial := m.status[m.list[first].ID].TrialDue && m.eligible(first)
	switch {
	case trial && !req.Retry && m.config.Pick != pickPriority && !m.keyed(req):
		return choice
	case m.config.Pick == "geographic":
		awake(t, b, choice, i)
		choice = m.near(t, all, choice, req.Key, func(j int) bool { return j != i && b.members[j].asleep })
		servedSleeper(t, b, choice, before, i, now)
		return choice
	case servedSleeper(t, b, choice, before, i, now) && b.strategy.blind: // out of turn
		return choice
	}
	return m.narrow(awake(t, b, choice, i), now)
}

// warm reports whether one of the choice is in no slow start.
func warm(b *Balancer, choice []int) bool {
	return slices.ContainsFunc(choice, func(j int) bool { return !b.members[j].cold })
}

// servedSleeper reports whether i slept before the pick, and then was owed a request.
func servedSleeper(t *rapid.T, b *Balancer, choice []int, before []member, i int, now time.Duration) bool {
	m := &b.members[i]
	if !before[i].asleep || !m.cold || !warm(b, choice) {
		return false
	}
	if owed := (b.tiers[m.tier].rounds - before[i].paid) * float64(m.weight) * b.warmth(m, now); owed < 1 {
		t.Fatalf("picked %s, which was owed %v requests", m.ID, owed)
	}
	return true
}

// awake leaves out of the choice who slept during the pick of i: who sleeps after it
// and is not i. When all of the choice are in slow start, none may.
func awake(t *rapid.T, b *Balancer, choice []int, i int) []int {
	up := slices.DeleteFunc(slices.Clone(choice), func(j int) bool { return j != i && b.members[j].asleep })
	if !warm(b, choice) && len(up) < len(choice) {
		t.Fatalf("of %v only %v are awake, but all are in slow start", choice, up)
	}
	return up
}

func checkCounts(t *rapid.T, b *Balancer, m *model) {
	var want Counts
	for i := range m.list {
		want.Members++
		if m.status[m.list[i].ID].Ready {
			want.Ready++
		}
		if m.eligible(i) {
			want.Eligible++
		}
	}
	equal(t, "counts", b.Counts(), want)
	equal(t, "panic", b.Panic(), m.panic())
	for i := range m.list {
		equal(t, "reserve", b.Reserve(i), m.reserve(i))
		wantOut, wantOthers := 0, 0
		for j := range m.list {
			if j != i && m.status[m.list[j].ID].Ready {
				wantOthers++
				if !m.eligible(j) {
					wantOut++
				}
			}
		}
		out, others := b.Out(i)
		equal(t, "out", out, wantOut)
		equal(t, "others", others, wantOthers)
	}
}

func (m *model) String() (s string) {
	for i, e := range m.list {
		s += fmt.Sprintf("\n%d: %s priority %d %+v limit %d of %d, %+v", i, e.ID, e.Priority, e.Place, e.Load.Inflight.Load(), e.Limit, m.status[e.ID])
	}
	return s
}
