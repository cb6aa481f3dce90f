// Package health decides what checks and failures say about one endpoint: three
// pure cores and the `health:` block of the file.
//
// [Health] turns check results into a state, with rise and fall counted in a row
// (as HAProxy does, whose inter 2s, fall 3 and rise 2 are the defaults here):
//
//	        first good       ┌──────────┐   fall bad in a row
//	unknown ────────────────▶│ healthy  │─────────────────────▶ unhealthy
//	   │                     │    ▲▼    │                          ▲ │
//	   │                     │ degraded │◀─────────────────────────┼─┘
//	   │                     └──────────┘   rise good in a row     │
//	   └───────────────────────────────────────────────────────────┘
//	        first bad
//
// Of the two in the box, the latency of the newest good check decides. Park makes
// any of them unhealthy, and Unpark brings back what the checks say.
//
// [Suspicion] is the quick and soft reaction between two checks: it ranks an
// endpoint last and ejects nobody.
//
// [Schedule] says when the next check is due, so that a prober needs one timer.
//
// # Invariants
//
//   - One bad check never ejects an endpoint that a check found good (unless fall
//     is 1).
//   - Only a check that is configured moves the state: an endpoint without one is
//     healthy, and no single result can lock it out for ever.
//   - A reload never takes traffic away: a check that is added to an endpoint in
//     service leaves it healthy until its first result.
//   - At most one check runs at a time, at most fall quick ones follow a
//     suspicion, and none comes before the initial delay.
//   - Suspicion always ends: by evidence, or by itself after at most 30 s without
//     new evidence.
//   - The history holds at most 100 results in less than 2 KiB and 8 different
//     texts of at most 120 bytes.
//
// Times are monotonic durations since an arbitrary origin, never negative. None
// of the cores is safe for concurrent use: an actor owns them.
//
// Stability: internal to Understudy; the root package aliases what users name.
package health
