// Package actors is the actor system: one supervisor actor per service, one
// endpoint actor per endpoint, a prober where a check is configured, on
// protoactor-go.
//
// A request goes
//
//	caller ──Acquire──▶ supervisor ──Acquire──▶ endpoint ──lease──▶ caller ══ the call ══▶ Outcome ──▶ endpoint
//	                    strategy picks          breaker, limits                                        breaker, health,
//	                    among the ranked        admit                                                  latency, statistics
//
// The actors are thin: what they decide stands in the cores beneath this
// package (breaker, balance, health, retry), which know no clock and no I/O.
//
// Invariants:
//   - A lease is returned exactly once, whatever happens to its caller.
//   - Only an endpoint's actor writes its cell; only the supervisor writes the list.
//   - Cells outlive actors: a panic restarts an actor and changes no state.
//   - Actors never block: no call, no lock across a send, no wait.
//   - A user's function runs under recover, and in an actor only where it must
//     (Pick, Trip).
//
// To change what a strategy does, open balance; when a breaker opens, breaker;
// what a failure is, verdict.go; how a request is retried, call.go; what an
// endpoint does with an outcome, endpoint.go; when a fixed concurrency limit is
// lowered, throttle.go; the list of endpoints, members.go.
//
// This package is not stable API: the root package is.
package actors
