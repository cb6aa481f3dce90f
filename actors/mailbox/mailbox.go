package mailbox

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
)

// Options are the numbers and hooks of a mailbox. The zero value is usable.
type Options struct {
	// Budget is how many user messages a sender runs before the mailbox moves to
	// a goroutine of its own. 0 or less: 64.
	Budget int
	// Limit is how many user messages may wait. A post over it is offered to
	// Refuse. 0: 65536; negative: no limit.
	Limit int
	// Refuse is offered a user message that came to a closed mailbox, waits in one
	// while it closes, or comes over the limit ([Mailbox.Closed] tells which). True
	// means that it was dealt with and is forgotten here; false that it must not be
	// lost: it waits, over the limit too. It gets the message as it was posted,
	// envelope included, and runs on the goroutine that posted, or closes. If it
	// posts, it does so by Post with a nil budget: it is in no run of this mailbox.
	// Nil refuses nothing.
	Refuse func(msg any) (handled bool)
	// Failed is told the user message whose handling panicked or called
	// runtime.Goexit, once, after the failure was escalated. Nil: nobody is told.
	Failed func(msg any)
}

const (
	budgetDefault = 64
	limitDefault  = 1 << 16

	// throughput is after how many messages a goroutine of the mailbox's own
	// yields; protoactor's default dispatcher has the same number.
	throughput = 300
)

// The states of a mailbox. A fast post moves between 0 and running alone; once
// guarded is set no such move succeeds, and only a holder of the lock may change
// the state. 0 means: open, not suspended, nothing waits, nobody runs it.
const (
	running uint32 = 1 << iota // a goroutine runs the actor: the runner
	guarded                    // something waits, or user messages may not run
)

// Mailbox implements [actor.Mailbox]. Use [New].
type Mailbox struct {
	state atomic.Uint32

	mu        sync.Mutex // guards life, suspended, heir, sys and user
	life      life
	suspended bool
	heir      bool // a registration waits in sys
	sys, user queue

	// The runner's own; while nobody runs, the lock holder's.
	inv  actor.MessageInvoker
	left *int // what is left of the run's budget, nil on the mailbox's own goroutine
	own  int  // the budget, where the run is not a nested one

	budget, limit int
	refuse        func(msg any) bool
	failed        func(msg any)
}

var _ actor.Mailbox = (*Mailbox)(nil)

// New returns a closed mailbox: it opens when an actor is spawned with its
// [Mailbox.Producer].
func New(o Options) *Mailbox {
	m := &Mailbox{budget: o.Budget, limit: o.Limit, refuse: o.Refuse, failed: o.Failed}
	if m.budget <= 0 {
		m.budget = budgetDefault
	}
	if m.limit == 0 {
		m.limit = limitDefault
	}
	m.state.Store(guarded)
	return m
}

// Producer is for [actor.WithMailbox]. It always returns m, so only one actor at a
// time may be spawned with it.
func (m *Mailbox) Producer() actor.MailboxProducer {
	return func() actor.Mailbox { return m }
}

// PostUserMessage delivers msg from outside: from a caller's goroutine, or
// protoactor's send to a PID. A shell that posts to another mailbox from its
// Receive uses [Mailbox.Post].
//
// Batches are opened as protoactor does it: their messages first, then the batch
// itself.
func (m *Mailbox) PostUserMessage(msg any) {
	var left *int
	if batch := batchOf(msg); batch != nil {
		budget := m.budget
		left = &budget
		m.postBatch(batch, left)
	}
	m.post(msg, left)
}

func batchOf(msg any) actor.MessageBatch {
	if env, ok := msg.(*actor.MessageEnvelope); ok {
		msg = env.Message
	}
	batch, _ := msg.(actor.MessageBatch)
	return batch
}

func (m *Mailbox) postBatch(batch actor.MessageBatch, left *int) {
	for _, msg := range batch.GetMessages() {
		if inner := batchOf(msg); inner != nil {
			m.postBatch(inner, left)
		}
		m.post(msg, left)
	}
}

// Post delivers msg from within a run of another mailbox, whose [Mailbox.Left] is
// left: the run that it leads to takes from that budget. A nil left means a whole
// budget. Batches are not opened.
func (m *Mailbox) Post(msg any, left *int) { m.post(msg, left) }

// Left returns what is left of the budget of this run, for [Mailbox.Post], and nil
// where the run is on a goroutine of the mailbox's own. It must be called from the
// actor's Receive or from Failed, and its result used there, synchronously.
func (m *Mailbox) Left() *int { return m.left }

func (m *Mailbox) post(msg any, left *int) {
	if left != nil && *left <= 0 || !m.state.CompareAndSwap(0, running) {
		m.enqueue(msg, left)
		return
	}
	m.left = m.budgetFor(left)
	*m.left--
	if m.invoke(msg, false) && !m.state.CompareAndSwap(running, 0) {
		m.mu.Lock()
		m.run(m.left)
	}
}

// budgetFor returns the budget of a borrowed run.
func (m *Mailbox) budgetFor(outer *int) *int {
	if outer != nil {
		return outer
	}
	m.own = m.budget
	return &m.own
}

func (m *Mailbox) enqueue(msg any, left *int) {
	m.mu.Lock()
	if m.life == closed || m.user.n >= m.limit && m.limit > 0 {
		isClosed := m.life == closed
		m.mu.Unlock()
		if m.offer(msg, isClosed) {
			return
		}
		m.mu.Lock()
	}
	m.user.push(msg)
	if m.claim() {
		m.run(m.budgetFor(left))
		return
	}
	m.mu.Unlock()
}

// claim makes the caller the runner if there is something to run and nobody runs
// it. With the lock held.
func (m *Mailbox) claim() bool {
	if m.state.Or(guarded)&running != 0 {
		return false
	}
	if !m.ready() {
		m.rest()
		return false
	}
	m.state.Store(guarded | running)
	return true
}

// wake starts a goroutine of the mailbox's own where one is needed. With the lock
// held.
func (m *Mailbox) wake() {
	if m.claim() {
		go m.runOwn()
	}
}

// ready reports whether there is a message that may run. With the lock held.
func (m *Mailbox) ready() bool {
	return m.sys.n > 0 && m.inv != nil || m.user.n > 0 && m.life == open && !m.suspended
}

// rest gives up running: nothing is ready. With the lock held.
func (m *Mailbox) rest() {
	if m.life == open && !m.suspended {
		m.state.Store(0)
	} else {
		m.state.Store(guarded)
	}
}

func (m *Mailbox) runOwn() {
	m.mu.Lock()
	m.run(nil)
}

// run runs what is ready, system messages first, until nothing is, or until a
// borrowed run has to be handed over. The caller is the runner and holds the lock;
// run gives up both.
func (m *Mailbox) run(left *int) {
	m.left = left
	for n := 1; m.ready(); n++ {
		if left != nil && (*left <= 0 || m.sys.n > 0) {
			m.mu.Unlock()
			go m.runOwn()
			return
		}
		var msg any
		system := m.sys.n > 0
		if system {
			if msg = m.sys.pop(); m.obey(msg) {
				continue
			}
		} else {
			msg = m.user.pop()
			if left != nil {
				*left--
			}
		}
		m.mu.Unlock()
		if left == nil && n%throughput == 0 {
			runtime.Gosched()
		}
		if !m.invoke(msg, system) {
			return
		}
		m.mu.Lock()
	}
	m.rest()
	m.mu.Unlock()
}

// obey reports whether a system message ends here, and carries it out if it is
// meant for the mailbox. With the lock held.
func (m *Mailbox) obey(msg any) bool {
	switch msg := msg.(type) {
	case *actor.SuspendMailbox:
		m.suspended = true
	case *actor.ResumeMailbox:
		m.suspended = false
	case registration:
		m.inv, m.suspended, m.heir = msg.inv, false, false
	case *actor.Restart:
		// Protoactor brings an actor back that is restarted after it has Stopped,
		// without its parent, its name and, here, its mailbox.
		return m.life == closed || m.heir
	default:
		return false
	}
	return true
}

// UserMessageCount returns how many user messages wait, the one that runs not
// counted.
func (m *Mailbox) UserMessageCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.user.n
}
