// Package breaker is the circuit breaker of one endpoint: it stops calls to an
// endpoint that fails, and lets a few trials through to see when it is well.
//
//	           failures in a row, failure rate,
//	           slow calls, the custom rule
//	┌────────┐ ──────────────────────────────▶ ┌────────┐
//	│ closed │                                 │  open  │ ◀─┐
//	└────────┘                                 └────────┘   │
//	     ▲                    first call after    │         │ a trial failed:
//	     │                    the open time       ▼         │ open again, for
//	     │ success_threshold               ┌───────────┐    │ twice as long
//	     └──────────────────────────────── │ half_open │ ───┘
//	                  trials succeeded     └───────────┘
//
// An operator's word (ForceOpen, ForceClosed) puts it into a state that no result
// and no time moves; Reset takes it back and forgets everything.
//
// It is a pure core. Time comes in as a monotonic duration since an arbitrary
// origin, never negative; randomness as a number in [0, 1). It is not safe for
// concurrent use: its actor owns it. Acquire and Record allocate nothing, except
// for the words of an opening.
//
// Invariants:
//   - Open admits nothing before its time, however often it is asked, and being
//     asked does not move that time.
//   - At most half_open_max_calls trial permits are out at once. Whatever the
//     outcome, Ignored included, a permit comes back.
//   - Each entry into a state begins an epoch. A result from an earlier epoch
//     changes nothing, so what was sent before the breaker opened neither closes
//     it nor opens it again.
//   - Only a failed or a slow call opens it: a success that fills the window up to
//     min_calls leaves the verdict to the next failure.
//
// # Errors in an outage
//
// SetOutage(true) says that half or more of the service's other endpoints are out
// here, so that opening this one may leave nobody. Errors that the endpoint
// answered with then need twice failure_threshold and twice min_calls; failures
// without an answer (connection failures, timeouts) do not. A mixed run is judged
// twice: the failures without an answer alone by the plain threshold, and all
// failures together by the doubled one. The window likewise: from min_calls on,
// the failures without an answer alone make the failure rate, and from twice
// min_calls on all failures do. Slow calls are no errors, so their rule stays as
// it is. The word counts at the next failure; by itself it opens nothing.
//
// Stability: not stable API; the root package names what embedders use.
package breaker
