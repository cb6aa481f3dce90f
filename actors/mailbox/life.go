package mailbox

import "github.com/asynkron/protoactor-go/actor"

type life uint8

const (
	closed   life = iota // user messages are offered to Refuse; what it leaves waits
	starting             // an actor is registered; user messages wait for its Started
	open                 // user messages run
)

// registration is a system message of the mailbox's own. It makes the invoker
// change between the system messages that were meant for the old actor and those
// for the new one.
type registration struct{ inv actor.MessageInvoker }

// RegisterHandlers gives the mailbox to an actor: the first one or a successor,
// whose system messages follow. User messages wait until Start. The dispatcher is
// not used.
func (m *Mailbox) RegisterHandlers(inv actor.MessageInvoker, _ actor.Dispatcher) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.life = starting
	if m.state.Or(guarded)&running != 0 {
		// The old actor told its parent that it has gone and is about to return.
		m.heir = true
		m.sys.push(registration{inv})
		return
	}
	m.inv, m.suspended = inv, false
	m.wake()
}

// Start opens a mailbox that an actor was registered with. Protoactor calls it
// after it posted Started.
func (m *Mailbox) Start() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.life == starting {
		m.life = open
	}
	m.wake()
}

// PostSystemMessage delivers protoactor's own messages. They run on the mailbox's
// own goroutine, in a closed mailbox too; but there a Restart comes too late and is
// dropped.
func (m *Mailbox) PostSystemMessage(msg any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sys.push(msg)
	m.wake()
}

// Close ends the actor's time: no user message is handed to it any more, those
// that wait are offered to Refuse at once, and so are those that come until a
// successor is registered. What Refuse leaves is kept for the successor, in order.
//
// The actor calls it first thing when it gets [actor.Stopped], and not before; see
// the package comment. If a successor is registered already, Close does nothing.
func (m *Mailbox) Close() {
	m.mu.Lock()
	if m.heir {
		m.mu.Unlock()
		return
	}
	m.life = closed
	waiting := m.user
	m.user = queue{}
	m.mu.Unlock()

	var kept queue
	defer func() { // whatever Refuse does
		m.mu.Lock()
		defer m.mu.Unlock()
		for _, later := range []*queue{&waiting, &m.user} {
			for later.n > 0 {
				kept.push(later.pop())
			}
		}
		m.user = kept
		m.wake()
	}()
	for waiting.n > 0 {
		if msg := waiting.pop(); !m.offer(msg, true) {
			kept.push(msg)
		}
	}
}

// Closed reports whether the mailbox is closed. In Refuse it tells why: true for
// "nobody is there", false for "too many wait".
func (m *Mailbox) Closed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.life == closed
}

// offer reports whether msg is dealt with. A successor must not inherit what
// protoactor posts as user messages to end or to time one actor.
func (m *Mailbox) offer(msg any, isClosed bool) bool {
	if isClosed {
		switch actor.UnwrapEnvelopeMessage(msg).(type) {
		case *actor.PoisonPill, *actor.ReceiveTimeout:
			return true
		}
	}
	return m.refuse != nil && m.refuse(msg)
}
