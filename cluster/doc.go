// Package cluster is what nodes share over NATS. [Connect] makes the connection
// that everything else here runs on; it never imports the embedded server, so
// that an embedder does not link one.
//
// [Open] opens a node's [Door], which is three things:
//
//   - The front door. Each service is a NATS service (micro, ADR-32) of its own
//     under understudy.request.<service>, in a queue group that all nodes share,
//     for as long as the system has it. A subscription's one goroutine hands each
//     message to a bounded pool of workers; over the bound the answer is
//     OVERLOADED, at once. A message without a reply subject is served and not
//     answered. One whose deadline has passed reaches no endpoint; its caller, if
//     still there, gets TIMEOUT. A header that cannot be understood is
//     INVALID_REQUEST, and so are one of ours in another spelling (a timeout that
//     is passed over would be a surprise), a value of more than 16 KiB, and more
//     than 64 KiB of headers. A timeout of zero is none.
//   - The publisher: every event of the system as a CloudEvent. Without a
//     connection events are dropped, never queued.
//   - The admin service: status, endpoints and operate, answered by every node.
//
// A request's way out of the door:
//
//	open ──Drain──▶ withdrawn: no responders ──all answered──▶ drained ──Close──▶ closed
//	  └───────────────────────Close: CLOSED for what is under way──────────────────▲
//
// [Client] is the other end: what the command uses.
//
// Stability: none promised; the root package, messages and test/understudytest
// are the stable API.
package cluster
