package mailbox

import (
	"bytes"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// Protoactor's own, started by a dead letter, under its two names: inlined and not.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/asynkron/protoactor-go/actor.NewDeadLetter.NewThrottle.func4.1"),
		goleak.IgnoreAnyFunction("github.com/asynkron/protoactor-go/actor.NewThrottle.func1.1"))
}

// newSystem returns an actor system that says nothing.
func newSystem() *actor.ActorSystem {
	return actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.NewTextHandler(io.Discard, nil))
	}))
}

// goid names the goroutine that calls it.
func goid() string {
	var buf [64]byte
	return string(bytes.Fields(buf[:runtime.Stack(buf[:], false)])[1])
}

// within fails the test unless c is closed, or gives something, in time.
func within[T any](t *testing.T, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(20 * time.Second):
		require.FailNow(t, "waited in vain", what)
	}
	return v
}

// barrier is a system message that the invoker below closes.
type barrier chan struct{}

// call is one call of an invoker.
type call struct {
	msg  any
	goid string
}

// invoker stands for an actor: it notes what it is given.
type invoker struct {
	receive func(msg any) // of user messages; may be nil

	mu        sync.Mutex
	user, sys []call
	escalated []any // reasons
}

func (i *invoker) InvokeUserMessage(msg any) {
	i.mu.Lock()
	i.user = append(i.user, call{msg, goid()})
	i.mu.Unlock()
	if i.receive != nil {
		i.receive(msg)
	}
}

func (i *invoker) InvokeSystemMessage(msg any) {
	i.mu.Lock()
	i.sys = append(i.sys, call{msg, goid()})
	i.mu.Unlock()
	switch msg := msg.(type) {
	case barrier:
		close(msg)
	case func():
		msg()
	}
}

func (i *invoker) EscalateFailure(reason, _ any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.escalated = append(i.escalated, reason)
}

// handler is a quick invoker that notes nothing.
type handler func(msg any)

func (h handler) InvokeUserMessage(msg any) { h(msg) }
func (h handler) InvokeSystemMessage(msg any) {
	if b, ok := msg.(barrier); ok {
		close(b)
	}
}
func (h handler) EscalateFailure(any, any) {}

func (i *invoker) messages() []any {
	i.mu.Lock()
	defer i.mu.Unlock()
	var all []any
	for _, c := range i.user {
		all = append(all, c.msg)
	}
	return all
}

// on counts the user messages that were run on a goroutine.
func (i *invoker) on(goid string) (n int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, c := range i.user {
		if c.goid == goid {
			n++
		}
	}
	return n
}

// spawn does with an invoker what protoactor's spawner does with a context, and
// waits until its Started was run.
func spawn(t *testing.T, m *Mailbox, i actor.MessageInvoker) {
	t.Helper()
	m.RegisterHandlers(i, nil)
	m.Start()
	settle(t, m)
}

// settle waits until the mailbox has run every system message posted so far, and
// rests if it has nothing to do.
func settle(t *testing.T, m *Mailbox) {
	t.Helper()
	b := make(barrier)
	m.PostSystemMessage(b)
	within(t, b, "a system message")
	rest(t, m)
}

// settleActor is settle for a real actor whose Receive calls functions. It waits
// for a restart, too.
func settleActor(t *testing.T, m *Mailbox) {
	t.Helper()
	done := make(chan struct{})
	m.Post(func(actor.Context) { close(done) }, nil)
	within(t, done, "a user message")
	rest(t, m)
}

func rest(t *testing.T, m *Mailbox) {
	t.Helper()
	rested := make(chan struct{})
	go func() {
		defer close(rested)
		for m.busy() {
			runtime.Gosched()
		}
	}()
	within(t, rested, "the mailbox coming to rest")
}

func (m *Mailbox) busy() bool { return m.state.Load()&running != 0 }

// chunksHeld is how much queue memory the mailbox owns.
func (m *Mailbox) chunksHeld() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, q := range []*queue{&m.sys, &m.user} {
		for c := q.head; c != nil; c = c.next {
			n++
		}
	}
	return n
}
