package mailbox

import (
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// list collects what a hook is told, from any goroutine.
type list struct {
	mu  sync.Mutex
	all []any
}

func (l *list) add(x any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, x)
}

func (l *list) get() []any {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]any(nil), l.all...)
}

func TestAPanicIsEscalatedAndTheRestGoesOn(t *testing.T) {
	var failed list
	m := New(Options{Failed: failed.add})
	i := &invoker{}
	i.receive = func(msg any) {
		if msg == "bad" {
			m.Post("next", nil)
			panic("oh")
		}
	}
	spawn(t, m, i)
	m.PostUserMessage("bad")
	require.Equal(t, []any{"bad", "next"}, i.messages())
	require.Equal(t, []any{"oh"}, i.escalated)
	require.Equal(t, []any{"bad"}, failed.get())
	require.False(t, m.busy())

	m.PostSystemMessage(func() { panic("system") })
	settle(t, m)
	require.Equal(t, []any{"oh", "system"}, i.escalated)
	require.Equal(t, []any{"bad"}, failed.get(), "only user messages are answered")
}

// exits runs f on a goroutine that must die before f returns.
func exits(t *testing.T, f func()) {
	t.Helper()
	dead := make(chan bool)
	go func() {
		returned := false
		defer func() { dead <- !returned }()
		f()
		returned = true
	}()
	require.True(t, within(t, dead, "the end of the goroutine"), "Goexit cannot be held up")
}

func TestGoexitInABorrowedRun(t *testing.T) {
	var failed list
	m := New(Options{Failed: failed.add})
	i := &invoker{}
	i.receive = func(msg any) {
		if msg == "bad" {
			m.Post("next", nil)
			runtime.Goexit()
		}
	}
	spawn(t, m, i)
	exits(t, func() { m.PostUserMessage("bad") })
	settle(t, m)
	require.Equal(t, []any{"bad", "next"}, i.messages())
	require.Equal(t, []any{errGoexit}, i.escalated)
	require.Equal(t, []any{"bad"}, failed.get())
	m.PostUserMessage("after")
	require.Equal(t, 1, i.on(goid()))
}

func TestGoexitOnTheMailboxesOwnGoroutine(t *testing.T) {
	var failed list
	m := New(Options{Failed: failed.add})
	i := &invoker{}
	i.receive = func(msg any) {
		if msg == "bad" {
			runtime.Goexit()
		}
	}
	spawn(t, m, i)
	spent := 0
	m.Post("bad", &spent)
	m.PostSystemMessage(func() { runtime.Goexit() })
	m.Post("next", &spent)
	settle(t, m)
	require.Equal(t, []any{"bad", "next"}, i.messages())
	require.Equal(t, []any{errGoexit, errGoexit}, i.escalated)
	require.Equal(t, []any{"bad"}, failed.get())
}

// Three mailboxes run on one goroutine when the innermost actor exits it: each
// loses the message it was at, and nothing else.
func TestGoexitInANestedRun(t *testing.T) {
	const depth = 3
	var failed [depth]list
	var boxes [depth]*Mailbox
	var actors [depth]*invoker
	for d := range depth {
		boxes[d], actors[d] = New(Options{Failed: failed[d].add}), &invoker{}
		actors[d].receive = func(msg any) {
			switch {
			case msg != "bad":
			case d+1 == depth:
				boxes[d].Post("next", nil)
				runtime.Goexit()
			default:
				boxes[d].Post("next", nil)
				boxes[d+1].Post(msg, boxes[d].Left())
			}
		}
		spawn(t, boxes[d], actors[d])
	}
	exits(t, func() { boxes[0].PostUserMessage("bad") })
	for d := range depth {
		settle(t, boxes[d])
		require.Equal(t, []any{"bad", "next"}, actors[d].messages(), "mailbox %d", d)
		require.Equal(t, []any{errGoexit}, actors[d].escalated, "mailbox %d", d)
		require.Equal(t, []any{"bad"}, failed[d].get(), "mailbox %d", d)
	}
}

// A supervisor that handles the failure on the dying goroutine may itself panic.
func TestAPanicWhileTheGoroutineDies(t *testing.T) {
	other, o := New(Options{}), &invoker{receive: func(any) { panic("again") }}
	spawn(t, other, o)
	m := New(Options{Failed: func(any) { other.PostUserMessage("help") }})
	i := &invoker{receive: func(any) { runtime.Goexit() }}
	spawn(t, m, i)
	exits(t, func() { m.PostUserMessage("bad") })
	settle(t, m)
	settle(t, other)
	require.Equal(t, []any{errGoexit}, i.escalated)
	require.Equal(t, []any{"again"}, o.escalated)
}

func TestAPanicInTheInnerRunLeavesTheOuterAlone(t *testing.T) {
	outer, inner := New(Options{}), New(Options{})
	o, i := &invoker{}, &invoker{receive: func(any) { panic("oh") }}
	finished := false
	o.receive = func(any) {
		inner.Post("a", outer.Left())
		finished = true
	}
	spawn(t, outer, o)
	spawn(t, inner, i)
	outer.PostUserMessage("a")
	require.True(t, finished)
	require.Empty(t, o.escalated)
	require.Equal(t, []any{"oh"}, i.escalated)
}

// brokenSupervision panics when it is told of a failure.
type brokenSupervision struct{ *invoker }

func (b brokenSupervision) EscalateFailure(_, _ any) { panic("supervision") }

func TestAPanicInEscalationGoesToTheSenderAndWedgesNothing(t *testing.T) {
	var failed list
	m := New(Options{Failed: failed.add})
	i := &invoker{}
	i.receive = func(msg any) {
		if msg == "bad" {
			m.Post("next", nil)
			panic("oh")
		}
	}
	m.RegisterHandlers(brokenSupervision{i}, nil)
	m.Start()
	require.PanicsWithValue(t, "supervision", func() { m.PostUserMessage("bad") })
	settle(t, m)
	require.Equal(t, []any{"bad", "next"}, i.messages())
	require.Equal(t, []any{"bad"}, failed.get())
}

func TestAPanicInFailedWedgesNothing(t *testing.T) {
	m := New(Options{Failed: func(any) { panic("hook") }})
	i := &invoker{receive: func(msg any) {
		if msg == "bad" {
			panic("oh")
		}
	}}
	spawn(t, m, i)
	require.PanicsWithValue(t, "hook", func() { m.PostUserMessage("bad") })
	settle(t, m)
	m.PostUserMessage("next")
	require.Equal(t, []any{"bad", "next"}, i.messages())
	require.Equal(t, []any{"oh"}, i.escalated)
}
