package mailbox

import (
	"fmt"
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

// acquires are refused, outcomes never.
type acquire struct{ n int }
type outcome struct{ n int }

func refuseAcquires(l *list) func(any) bool {
	return func(msg any) bool {
		if _, ok := msg.(acquire); ok {
			l.add(msg)
			return true
		}
		return false
	}
}

func TestACloseRefusesAcquiresAndKeepsOutcomes(t *testing.T) {
	var refused list
	m := New(Options{Refuse: refuseAcquires(&refused)})
	first, second := &invoker{}, &invoker{}

	m.PostUserMessage(acquire{0})
	m.PostUserMessage(outcome{0})
	require.Equal(t, []any{acquire{0}}, refused.get(), "before there is an actor")
	require.True(t, m.Closed())

	spawn(t, m, first)
	require.False(t, m.Closed())
	require.Equal(t, []any{outcome{0}}, first.messages())
	m.PostSystemMessage(&actor.SuspendMailbox{})
	settle(t, m)
	for n := range 4 {
		m.PostUserMessage(acquire{n + 1})
		m.PostUserMessage(outcome{n + 1})
	}
	m.PostSystemMessage(func() { m.Close() }) // as in Receive of Stopped
	settle(t, m)
	require.Equal(t, []any{acquire{0}, acquire{1}, acquire{2}, acquire{3}, acquire{4}}, refused.get())
	require.Equal(t, 4, m.UserMessageCount())

	m.PostUserMessage(acquire{5})
	m.PostUserMessage(outcome{5})
	require.Len(t, refused.get(), 6)
	settle(t, m)
	require.Len(t, first.messages(), 1, "a closed mailbox runs none")

	m.RegisterHandlers(second, nil)
	require.False(t, m.Closed())
	m.PostUserMessage(acquire{6}) // there is somebody again: it waits for Started
	settle(t, m)
	require.Empty(t, second.messages(), "not started")
	m.Start()
	settle(t, m)
	require.Equal(t, []any{outcome{1}, outcome{2}, outcome{3}, outcome{4}, outcome{5}, acquire{6}}, second.messages())
	m.PostUserMessage("b")
	require.Equal(t, 1, second.on(goid()), "it borrows again; the suspension of the first is forgotten")
	require.Len(t, first.messages(), 1)
}

func TestWithoutRefuseEverythingIsKept(t *testing.T) {
	m, i := New(Options{}), &invoker{}
	m.PostUserMessage("a")
	spawn(t, m, i)
	require.Equal(t, []any{"a"}, i.messages())
}

func TestWhatRefusePostsWhileClosingComesAfterWhatWaited(t *testing.T) {
	var m *Mailbox
	m = New(Options{Refuse: func(msg any) bool {
		if x, ok := msg.(acquire); ok {
			m.PostUserMessage(outcome(x))
		}
		return msg == any(acquire{1})
	}})
	first, second := &invoker{}, &invoker{}
	m.RegisterHandlers(first, nil)
	for _, msg := range []any{outcome{0}, acquire{1}, outcome{2}} {
		m.Post(msg, nil)
	}
	m.Close()
	spawn(t, m, second)
	require.Equal(t, []any{outcome{0}, outcome{2}, outcome{1}}, second.messages())
}

func TestAnUnrulyRefuseLosesNothingElse(t *testing.T) {
	var m *Mailbox
	m = New(Options{Refuse: func(msg any) bool {
		if msg == any(acquire{1}) {
			m.Post(outcome{4}, nil)
			panic("hook")
		}
		return false
	}})
	m.RegisterHandlers(&invoker{}, nil)
	for _, msg := range []any{outcome{0}, acquire{1}, outcome{2}, outcome{3}} {
		m.Post(msg, nil)
	}
	require.PanicsWithValue(t, "hook", m.Close)
	i := &invoker{}
	spawn(t, m, i)
	require.Equal(t, []any{outcome{0}, outcome{2}, outcome{3}, outcome{4}}, i.messages())
}

func TestASuccessorInheritsNoPoison(t *testing.T) {
	var refused list
	m := New(Options{Refuse: func(msg any) bool { refused.add(msg); return false }})
	i := &invoker{}
	m.RegisterHandlers(&invoker{}, nil)
	m.Post(&actor.PoisonPill{}, nil)
	m.Post(&actor.MessageEnvelope{Message: &actor.PoisonPill{}}, nil)
	m.Post(outcome{1}, nil)
	m.Close()
	m.Post(&actor.ReceiveTimeout{}, nil)
	spawn(t, m, i)
	require.Equal(t, []any{outcome{1}}, i.messages())
	require.Equal(t, []any{outcome{1}}, refused.get())
}

func TestSystemMessagesOfAClosedMailboxGoToItsActor(t *testing.T) {
	m, i := New(Options{}), &invoker{}
	spawn(t, m, i)
	m.Close()
	settle(t, m) // posts one and waits until i has it
	require.Len(t, i.sys, 2)
}

// Stop and Restart may both wait: an endpoint is deregistered while it panics.
// With protoactor's own mailbox the actor stops and comes back.
func TestARestartBehindAStopBringsNobodyBack(t *testing.T) {
	m := New(Options{})
	var trace list
	system := newSystem()
	pid := system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		switch msg := c.Message().(type) {
		case func(actor.Context):
			msg(c)
			return
		case *actor.Stopped:
			m.Close()
		}
		trace.add(name(c.Message()))
	}, actor.WithMailbox(m.Producer())))
	m.PostUserMessage(func(c actor.Context) {
		c.Stop(pid)
		m.PostSystemMessage(&actor.Restart{})
	})
	rest(t, m)
	require.Equal(t, []string{"Started", "Stopping", "Stopped"}, words(trace.get()))
}

// Stopped tells the parent before the old actor's last system message returns, so
// the successor may register in the middle of it.
func TestASuccessorThatComesInTheMiddleOfTheEnd(t *testing.T) {
	var refused list
	m := New(Options{Refuse: refuseAcquires(&refused)})
	first, second := &invoker{}, &invoker{}
	spawn(t, m, first)
	ending, registered := make(chan struct{}), make(chan struct{})
	m.PostSystemMessage(&actor.SuspendMailbox{}) // it had panicked
	m.PostSystemMessage(func() {
		m.Close()
		close(ending)
		<-registered
		m.Close() // too late to harm the successor
	})
	within(t, ending, "the end")
	toFirst, toSecond := make(barrier), make(barrier)
	m.PostSystemMessage(&actor.Restart{}) // too late, too
	m.PostSystemMessage(toFirst)
	m.RegisterHandlers(second, nil)
	m.PostSystemMessage(toSecond)
	m.Start()
	m.PostUserMessage(acquire{1})
	m.PostUserMessage(outcome{1})
	close(registered)
	settle(t, m)
	require.Equal(t, any(toFirst), first.sys[len(first.sys)-1].msg, "posted before the change")
	for _, c := range first.sys {
		require.NotEqual(t, "Restart", name(c.msg))
	}
	require.Equal(t, any(toSecond), second.sys[0].msg, "posted after it")
	require.Empty(t, first.messages())
	require.Empty(t, refused.get())
	require.Equal(t, []any{acquire{1}, outcome{1}}, second.messages())
}

func TestALateStartDoesNotOpenAClosedMailbox(t *testing.T) {
	var refused list
	m := New(Options{Refuse: refuseAcquires(&refused)})
	i := &invoker{}
	m.RegisterHandlers(i, nil)
	m.PostSystemMessage(func() { m.Close() }) // started and stopped at once
	settle(t, m)
	m.Start()
	m.PostUserMessage(acquire{1})
	m.PostUserMessage(outcome{1})
	settle(t, m)
	require.Empty(t, i.messages(), "protoactor would drop it silently")
	require.Equal(t, []any{acquire{1}}, refused.get())
	require.Equal(t, 1, m.UserMessageCount())
}

func TestMessagesBeforeTheFirstActorWait(t *testing.T) {
	m, b, done := New(Options{}), make(barrier), make(chan struct{})
	m.PostSystemMessage(b)
	m.PostUserMessage("a")
	require.False(t, m.busy())
	m.RegisterHandlers(handler(func(any) { close(done) }), nil)
	within(t, b, "the system message")
	rest(t, m)
	m.Start()
	within(t, done, "the user message")
	rest(t, m)
}

func TestAMailboxThatIsOpenedWhileItCloses(t *testing.T) {
	var m *Mailbox
	done := make(chan struct{})
	m = New(Options{Refuse: func(msg any) bool {
		m.RegisterHandlers(handler(func(any) { close(done) }), nil)
		m.Start()
		return false
	}})
	m.RegisterHandlers(&invoker{}, nil)
	m.Post("a", nil)
	m.Close()
	within(t, done, "the message")
	rest(t, m)
}

func TestOverTheLimitAPoisonPillIsAMessageLikeAnyOther(t *testing.T) {
	m, i := New(Options{Limit: 1}), &invoker{}
	m.RegisterHandlers(i, nil)
	m.Post("a", nil)
	m.Post(&actor.PoisonPill{}, nil)
	m.Start()
	settle(t, m)
	require.Len(t, i.messages(), 2)
}

// The shell's use with real actors: an endpoint that its parent spawns again and
// again with one mailbox.
func TestARealActorsLife(t *testing.T) {
	var refused, failed, trace list
	m := New(Options{Refuse: refuseAcquires(&refused), Failed: failed.add})
	gone := make(chan struct{}, 10)
	incarnation := 0
	endpoint := actor.PropsFromProducer(func() actor.Actor {
		incarnation++
		me := incarnation
		return actor.ReceiveFunc(func(c actor.Context) {
			switch msg := c.Message().(type) {
			case *actor.Stopped:
				m.Close()
			case string:
				panic(msg)
			case func(actor.Context):
				msg(c)
				return
			}
			trace.add(fmt.Sprintf("%d:%s", me, name(c.Message())))
		})
	}, actor.WithMailbox(m.Producer()))

	system := newSystem()
	type spawnIt struct{ pid chan *actor.PID }
	parent := system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		switch msg := c.Message().(type) {
		case spawnIt:
			pid, err := c.SpawnNamed(endpoint, "endpoint")
			if err != nil {
				t.Error(err)
			}
			msg.pid <- pid
		case *actor.Terminated:
			gone <- struct{}{}
		}
	}))
	again := func() *actor.PID {
		ask := spawnIt{make(chan *actor.PID, 1)}
		system.Root.Send(parent, ask)
		return within(t, ask.pid, "a spawn")
	}

	pid := again()
	settleActor(t, m)
	m.PostUserMessage(acquire{1})
	m.PostUserMessage("panic") // restarts
	m.PostUserMessage(acquire{2})
	settleActor(t, m)

	// Stop it while messages wait behind a run.
	hold, held := make(chan struct{}), make(chan struct{})
	go m.PostUserMessage(func(actor.Context) { close(held); <-hold })
	within(t, held, "the actor being held")
	m.PostUserMessage(acquire{3})
	m.PostUserMessage(outcome{3})
	system.Root.Stop(pid)
	close(hold)
	within(t, gone, "its end")
	m.PostUserMessage(acquire{4})
	m.PostUserMessage(outcome{4})

	pid = again()
	settleActor(t, m)
	m.PostUserMessage(acquire{5})
	system.Root.Poison(pid)
	within(t, gone, "its end")
	again()
	settleActor(t, m)

	require.NoError(t, system.Root.StopFuture(parent).Wait())
	rest(t, m)
	require.Equal(t, []any{acquire{3}, acquire{4}}, refused.get())
	require.Equal(t, []any{"panic"}, failed.get())
	require.Equal(t, strings.Fields(`
		1:Started 1:acquire1 1:Restarting
		2:Started 2:acquire2 2:Stopping 2:Stopped
		3:Started 3:outcome3 3:outcome4 3:acquire5 3:Stopping 3:Stopped
		4:Started 4:Stopping 4:Stopped`), words(trace.get()))
}

func name(msg any) string {
	switch msg := msg.(type) {
	case acquire:
		return fmt.Sprintf("acquire%d", msg.n)
	case outcome:
		return fmt.Sprintf("outcome%d", msg.n)
	case string:
		return msg
	}
	s := fmt.Sprintf("%T", msg)
	return s[strings.LastIndexByte(s, '.')+1:]
}

func words(all []any) (s []string) {
	for _, x := range all {
		s = append(s, fmt.Sprint(x))
	}
	return s
}
