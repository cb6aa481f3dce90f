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
// than its share, whatever the strategy: see slow_start.go.
//
// To add a strategy, write its file and its line in strategies.go.
//
// Invariants:
//   - never a member that is out, a last resort only in panic mode
//   - never one that the request tried, while another may be picked
//   - slow start never keeps a request from being served, nor a rank or tier from
//     counting as there
//   - a state's change costs the same among ten members as among 100,000, and so does
//     a pick, but where a strategy says otherwise; no pick allocates but the custom one's
//
// How it is laid out: members stand at positions, sorted by tier, group (members of
// one weight, where the strategy asks for groups) and the order in which they were
// given. Strategies that go in order walk bitsets over positions, one per rank.
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
