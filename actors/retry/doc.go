// Package retry decides whether another attempt is worth it, how long to wait
// before it, and whether the service can bear it: three pure ideas and the
// `retry:` block of the file.
//
// [Policy] says which outcomes are tried again. [Config.Wait] gives the backoff.
// [Budget] keeps the retries of a service below a share of its requests, so that
// retries never multiply an outage. What remains is the caller's: to count
// attempts, to repeat only what is idempotent or was never sent, to go to
// endpoints not yet tried at once and without waiting, to honour Retry-After, and
// not to wait after the last attempt.
//
// # Invariants
//
//   - Whenever a budget grants a retry, the retries of the last 10 s, this one
//     included, are no more than ratio times the requests of the last 10 s plus 10
//     times min_per_second.
//   - A wait is the base (no jitter), below it (full jitter), or from the base to
//     less than base + added (added jitter). The base never shrinks from one attempt
//     to the next and never passes backoff.max.
//
// # Sources
//
// Full jitter is that of M. Brooker, "Exponential Backoff And Jitter", AWS
// Architecture Blog, 2015. The budget, with its 20 %, 10 a second and 10 s, is
// that of Twitter's Finagle (RetryBudget, 2016), as Linkerd has it too; counted
// here in a sliding window rather than in tokens.
//
// cenkalti/backoff/v5 computes such waits too, but it draws from the global random
// source, keeps the last wait in the object, knows no full and no added jitter and
// jitters its cap; the formula is three lines, and here it is a function of its
// arguments.
//
// Times are monotonic durations since an arbitrary origin, never negative. A
// Policy never changes and may be shared; a Budget belongs to one actor.
//
// Stability: internal to Understudy; the root package aliases what users name.
package retry
