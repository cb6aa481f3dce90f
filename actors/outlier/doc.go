// Package outlier finds the endpoints that do worse than their siblings and says
// for how long to leave them alone. The algorithm is Envoy's outlier detection:
//
//	                 a finding, and Room for it
//	┌────────────┐ ─────────────────────────────▶ ┌─────────┐
//	│ in service │                                │ ejected │
//	└────────────┘ ◀───────────────────────────── └─────────┘
//	 times − 1 each        the time is over,        times + 1
//	 base_ejection             or Return
//
// [Sweep] looks at what all endpoints of a service did in one interval and returns
// the outliers. [Row] counts one endpoint's failures in a row, for services whose
// breaker is disabled. [Room] says how many of the findings may be acted upon, and
// [Ejection] is the state of one endpoint, its time growing with every ejection.
//
// All of it is pure. Time comes in as a monotonic duration since an arbitrary
// origin, never negative; randomness as a number in [0, 1). Nothing is safe for
// concurrent use: actors own the values.
//
// # Where it differs from Envoy
//
//   - An endpoint is below the mean only if its failures are more than chance makes
//     of the mean: see [Sweep]. Envoy's rule alone ejects one of five hosts for one
//     failed call in a hundred, as long as the other four had none, and of many
//     that all fail alike about one in thirty at each sweep.
//   - The failure percentage rule is in force by default.
//   - A third of the endpoints may be ejected instead of a tenth, always one, and
//     never the last one that is eligible.
//   - The jitter is a share of the ejection time and has a default.
//
// # Invariants
//
//   - Endpoints that do alike are never found, however badly they do, unless their
//     failures reach failure_percentage.
//   - One failed call never ejects, unless consecutive or failure_percentage_requests
//     is set so low.
//   - At most max(1, max_ejected of the endpoints, rounded down) are ejected at any
//     time, and never the last eligible one, if what is ejected stays within Room.
//   - An ejection lasts at most max_ejection × (1 + jitter), and the memory of it
//     fades while the endpoint is in service.
//
// Stability: not stable API; the root package names what embedders use.
package outlier
