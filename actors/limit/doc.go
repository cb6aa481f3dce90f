// Package limit keeps a service from being sent more than it was meant to get, and
// an endpoint from being sent more than it can do: two pure ideas and the
// `rate_limit:` and `concurrency:` blocks of the file.
//
// # Rate
//
// [Rate] admits at most limit attempts in any half-open stretch of time of length
// per: the n-th one not before t(n) = t(n-limit) + per. That is a sliding window log,
// exact, where a token bucket lets up to twice as many through. It costs 8 bytes for
// each admission of the fullest window so far, and every call takes the same few
// nanoseconds however many wait.
//
// A dynamic limit is limit × share, rounded down, at least 1. The share is judged
// once per step, a second or per if that is longer:
//
//	failing: failed > 10 % × (attempts + 10)        share ← max(0.7 × share, 0.1)
//	slow:    latency > 2 × usual latency            share ← max(0.7 × share, 0.1)
//	else, nothing sent included                     share ← min(share + 0.1, 1)
//
// Additive increase and multiplicative decrease is how TCP shares a line fairly among
// those who do not know of each other; 0.7 is CUBIC's factor (RFC 9438, 4.6), which
// the AWS SDKs' adaptive retry mode uses for a client's rate, too. A tenth of the
// limit is left as the probe that sees the service get well, which takes 9 steps
// back to all. The 10 assumed attempts keep a single failure of a quiet service from
// being a verdict; 10 % and 2 × are ours, well above what a healthy service shows
// and well below a breaker's 50 %. The usual latency is an exponentially weighted
// average over some 60 steps, of steps that were neither failing nor slow. One
// exception: when the latency stays where it is through a minute at the lowest rate,
// our load is not what slows the service, and this is its usual latency from now on.
//
// # Concurrency
//
// [Adaptive] finds how many attempts an endpoint can have in flight before they
// queue there. By Little's law the attempts that are being worked on are throughput ×
// latency without a queue, so a limit in force tells by its own latency how far it is
// off. After each window of at least 100 ms in which half the limit or more was used:
//
//	gradient = 1.5 × unloaded latency / mean latency, from ½ to 1
//	l        = limit × gradient
//	limit    ← l × (1 - dropped/2) + √l × (1 - dropped)
//
// The gradient and the square root for growth are those of Netflix's
// concurrency-limits (Gradient2Limit: tolerance, no growth below half use) and of
// Envoy's adaptive concurrency filter (square root, probes of the unloaded latency);
// the cut by half the share of drops is DCTCP's (RFC 8257, 3.3), so that a rare
// timeout weighs little and a black hole halves the limit in each window. A window
// begins one mean latency after the limit changed, when what was sent under the
// former one is done, so the loop has no delay to overshoot by. It ends with four
// samples for each attempt that may be in flight, 20 to 100. Means, not minima nor
// medians: they are what Little's law speaks of, and a minimum of noise is no
// baseline.
//
//	        ┌────────────┐  every 5 s, where the limit is used and a queue shows  ┌─────────┐
//	        │ regulating │ ─────────────────────────────────────────────────────▶ │ probing │
//	        └────────────┘ ◀───────────────────────────────────────────────────── └─────────┘
//	next limit per window      the mean is the unloaded latency       a third of the limit
//
// The unloaded latency is what a probe measures, as in BBR and Envoy: clearly off (a
// quarter) at once, else smoothed. So a service that became slower for good is
// understood at the next probe, and one that was never seen without a queue is
// measured down to the truth, a probe per second. Windows that need less than half of
// the limit measure it too, without a probe; and so does one that shows less than half
// of what was known, since a queue only adds. A probe costs about 2 % of the
// throughput while the service is overloaded, and nothing else while it is not.
//
// Where several nodes share an endpoint, one that probes alone measures the others'
// queue, and would take that for the service's own time, then the others would: a
// spiral. So all probe at the same moments, multiples of 5 s of a common clock, and
// only there the unloaded latency may rise. Clocks may differ by 0.2 s in all. Where
// they differ by more, the latency creeps up to the attempts' timeout, whose drops
// then hold it (five nodes 0.9 s apart, after 5 minutes at five times the capacity:
// 0.8 s, and 88 % of the goodput).
//
// # Invariants
//
//   - Never more than the limit in force are admitted in any window, through changes
//     of limit and share; and whoever is refused would have broken that.
//   - What [Rate.WaitFor] says is what then happens.
//   - A dynamic limit returns to its full height by time alone.
//   - The concurrency limit is from min to max, grows only with use, and nothing that
//     was dropped counts as fast.
//
// Times are monotonic durations since an arbitrary origin, never negative. Nothing
// here is safe for concurrent use: a Rate belongs to the supervisor, an Adaptive to
// the endpoint. Nothing allocates, but for the log of a Rate as it grows.
//
// Stability: internal to Understudy; the root package aliases what users name.
package limit
