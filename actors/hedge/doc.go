// Package hedge says when an attempt has taken so long that a second one is worth
// making. A hedged request sends at most one extra attempt, and takes the answer
// that comes first. The idea, and the 95th percentile as the moment, are from Dean
// and Barroso, "The Tail at Scale" (Communications of the ACM 56:2, 2013): at the
// price of about 5 % more attempts the slowest answers become rare.
//
// [Delays] watches the latencies of a service over the last minute and tells their
// live quantile. It is a core in that time comes in as an argument, a monotonic
// duration since an arbitrary origin, never negative. Unlike other cores it is
// safe for concurrent use, because callers' goroutines use it: nobody ever waits in
// it. What finds it busy goes without: a latency is not counted, a delay is the one
// of a moment ago. Neither method allocates.
//
// # What to observe
//
// One latency for each request, that of its first attempt: when its answer was good,
// or when it lost to the extra one, which is how long it had taken by then. Never
// the extra attempt's. The rest is not observed: failures, what the caller canceled,
// retries.
//
// The loser counts because each was slower than the delay: leave them out, and what
// is left looks faster than it is, so that the delay shrinks and makes more losers.
// With log-normal latencies 11 % of the requests are sent twice then instead of 5 %,
// and more with longer tails. The loser's time is cut short, but it is longer than
// the delay, and that is all that a quantile asks of it (TestLosersCount).
//
// # Invariants
//
//   - There is no delay, so no extra attempt, before as many latencies were observed
//     within the window as the quantile needs to leave one above it, at least 20.
//   - A live delay is at least min_delay, and exact to 1 % or 1 µs.
//   - What was observed is forgotten after 50 to 60 s.
//   - Memory is bounded: less than 180 KiB per service with a live delay, nearly
//     none with a fixed one.
//
// Stability: not stable API; the root package names what embedders use.
package hedge
