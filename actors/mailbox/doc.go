// Package mailbox is the mailbox of supervisors and endpoints. It borrows: a post
// to an idle mailbox runs the actor on the sender's goroutine, so a request that
// meets nobody pays two compare-and-swaps instead of a goroutine switch. It is
// bounded, it outlives its actor, and it loses no message.
//
// # Running
//
//	         post (compare-and-swap)
//	idle ─────────────────────────────▶ borrowed by the sender
//	 ▲ ▲                                  │          │
//	 │ └────── nothing else came in ──────┘          │ Budget used up, or a
//	 │                                               │ system message, or Goexit
//	 │      queue empty, suspended or closed         ▼
//	 └──────────────────────────────────── on a goroutine of its own
//
// System messages (protoactor's: start, stop, restart, watch, …) always run on
// the mailbox's own goroutine: lifecycle is never a sender's burden. They come
// before user messages, and suspension, panics, stop and restart are as in
// protoactor's default mailbox, with one exception: a Restart that waits behind the
// Stop that ended the actor is dropped, where protoactor would bring the actor back
// without name and parent. The dispatcher of the actor's Props is not used;
// as with the default one, a goroutine of the mailbox's own yields every 300
// messages.
//
// A sender that is never made to wait keeps its processor for a time slice of 10 ms,
// and whoever had to wait here pays with the slowest thousandth. The mailbox does not
// yield for its senders: one that cares for the tail under contention yields itself,
// as actors.makeWay does.
//
// # One budget for a nested run
//
// An actor that posts to another mailbox while it runs uses [Mailbox.Post] with
// its own [Mailbox.Left], so that the inner run takes from the outer run's budget:
//
//	endpoint.Post(acquire, supervisor.Left())
//
// A sender is so drafted for Budget user messages in all, not for Budget times
// Budget. On a mailbox's own goroutine Left is nil, and each post has a budget of
// its own. Left is a pointer into the running mailbox rather than a field of the
// message: a message that waits in a queue would carry it to another goroutine.
//
// # Life
//
//	          RegisterHandlers            Start                  Close
//	closed ─────────────────────▶ starting ─────▶ open ─────────────────▶ closed
//	user messages are offered     they wait       they run
//	to Refuse, others wait
//
// New makes it closed. The mailbox belongs to a cell, not to an actor, and each
// new incarnation is spawned with the same one ([Mailbox.Producer]). What waits is
// handled by the next incarnation, after its Started. System messages go to the
// invoker that was registered when they were posted.
//
// How a shell uses it, by what its Receive gets:
//
//   - Restarting (a panic): nothing. The mailbox is suspended, posts wait for the
//     new instance. Failed is told of the message that panicked. A restart that
//     somebody orders without a panic does not suspend: until its children are
//     gone, the old instance goes on receiving user messages.
//   - Stopping: do not Close yet (a panic in Stopping makes protoactor revive the
//     actor, without a Start that would open the mailbox). Until the children are
//     gone user messages still come to Receive, which must answer them itself.
//   - Stopped: Close, as the first thing. It is the last moment: Receive returns,
//     watchers and parent are told, the context's state becomes "stopped", and
//     from then on protoactor silently drops what its mailbox hands it. All that
//     happens within one system message, so no user message comes in between; and
//     after Close none is handed over.
//   - Spawn the next incarnation when the old one's Terminated has come.
//
// Post to the mailbox, not to the PID, whatever must not be lost: between an
// actor's end and its successor a PID leads to the dead letters, while the mailbox
// still answers by Refuse. Never post while holding a lock that a Receive or a hook
// may take.
//
// # Invariants
//
//   - At most one goroutine runs the actor at any time.
//   - A user message is run once, or given to Refuse and handled there, or waits;
//     if its run panics or exits it is given to Failed once.
//   - Messages of one sender run in the order in which they were posted.
//   - No hook and no actor is called with the mailbox's lock held.
//   - An idle mailbox owns no queue memory.
//
// Stability: not a stable API.
package mailbox
