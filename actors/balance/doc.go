// Package balance decides which endpoint gets the next request.
//
// It is a core: no goroutine, no clock, no lock. One actor at a time, a service's
// supervisor, calls a [Balancer]; it tells it the members and their states, and asks
// it to pick. Only what the endpoints write, their [Load] and the service's [Average],
// is atomic.
//
// A pick narrows in three steps:
//
//	every member ── tier ──▶ the best tier with somebody eligible
//	             ── rank ──▶ its best rank, and lower ones while too few stand above
//	             ── pick ──▶ one of them, by the strategy
//
// A member is eligible, a last resort or out. Eligible members have a [Rank]: healthy,
// unknown, degraded, suspect. A lower rank joins only while those above it together are
// fewer than the spill threshold, a share of the tier's ready members, so that a blip
// never piles all traffic on the last healthy one. A retry does not spill over: it takes
// the best rank that has somebody not yet tried.
//
// In panic mode, when nobody is eligible or, if so configured, too few are, every rank
// is a candidate, the last resort too: see panic.go. In slow start a member gets less
// than its share of what the strategy has to share out: see slow_start.go.
//
// By ip_hash, consistent_hash and priority, and for a session that sticks, rank does not
// matter and there is no slow start: only who may be picked counts, the eligible and in
// panic mode the last resort. A session comes before all three steps:
//
//	the key's session, if its member may be picked ──▶ that member
//	else ── tier, rank, pick ──▶ one of them, and the session stays with it
//
// So a session makes no trial: where every request belongs to one, an endpoint whose
// breaker opened is tried again when a new session comes, or a check is good.
//
// The hashes look a key up in a Maglev table over all members of the tier, eligible or
// not (maglev.go), and go on to the key's next choice past those that are out, were
// tried or have more than their share in flight (hash.go). For geographic, members
// that are equally near form a class, and a class is a tier within the tier (place.go),
// also for spill-over, panic mode and slow start.
//
// To add a strategy, write its file and its line in strategies.go.
//
// Invariants:
//   - never a member that is out, a last resort only in panic mode
//   - never one that the request tried, while another may be picked
//   - slow start never keeps a request from being served, nor a rank or tier from
//     counting as there
//   - a member that turns out, or back, moves its own keys and sessions and no other, and
//     so does each last resort when panic mode begins or ends
//   - a hash depends on ids, weights and tiers alone: all nodes agree
//   - a state's change costs the same among ten members as among 100,000, and so does
//     a pick, but where a strategy says otherwise; no pick allocates but the custom
//     one's and, while their number grows, a new session's
//
// How it is laid out: members stand at positions, sorted by tier, group (members of
// one weight, where the strategy asks for groups) and the order in which they were
// given; for hashes in the order of the ids' hashes, and for geographic by class, region
// and zone first. Strategies that go in order walk bitsets over positions, one per rank.
// Strategies that draw or compare use slots, an array in which each tier's members
// are kept together by rank:
//
//	tier 0: healthy… unknown… degraded… suspect… last resort… out… │ tier 1: healthy… …
//
// The candidates of a pick are thus always the front of their tier's slots, and a
// change of rank is a swap or two. Who is in slow start and not owed a request sleeps:
// it stands among those that are out, and is counted apart.
//
// Stability: not stable API; the root package aliases what users name.
package balance
