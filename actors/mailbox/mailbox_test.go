package mailbox

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

func TestAPostToAnIdleMailboxRunsOnTheSendersGoroutine(t *testing.T) {
	m, i := New(Options{}), &invoker{}
	spawn(t, m, i)
	m.PostUserMessage("a")
	m.Post("b", nil)
	require.Equal(t, []any{"a", "b"}, i.messages())
	require.Equal(t, 2, i.on(goid()))
	require.False(t, m.busy())
}

func TestSystemMessagesNeverRunOnTheSendersGoroutine(t *testing.T) {
	m, i := New(Options{}), &invoker{}
	i.receive = func(msg any) {
		if msg == "first" {
			m.PostSystemMessage("in the middle of a borrowed run")
			m.Post("second", nil)
		}
	}
	spawn(t, m, i)
	m.PostUserMessage("first")
	settle(t, m)
	for _, c := range i.sys {
		require.NotEqual(t, goid(), c.goid, "%v", c.msg)
	}
	require.Equal(t, []any{"first", "second"}, i.messages())
	require.Equal(t, 1, i.on(goid()), "the system message comes first, so the rest of the run is handed over with it")
}

func TestSystemMessagesComeFirst(t *testing.T) {
	m, i := New(Options{}), &invoker{}
	var order []any
	i.receive = func(msg any) {
		order = append(order, msg)
		if msg == "first" {
			m.Post("user", nil)
			m.PostSystemMessage(func() { order = append(order, "system") })
		}
	}
	spawn(t, m, i)
	m.PostUserMessage("first")
	settle(t, m)
	require.Equal(t, []any{"first", "system", "user"}, order)
}

func TestASenderRunsItsBudgetAndHandsTheRestOver(t *testing.T) {
	const budget, more = 10, 25
	m, i := New(Options{Budget: budget}), &invoker{}
	done := make(chan struct{})
	i.receive = func(msg any) {
		switch msg {
		case 0:
			require.Equal(t, budget-1, *m.Left())
			for n := range more {
				m.Post(n+1, m.Left())
			}
		case more:
			require.Nil(t, m.Left(), "on a goroutine of its own")
			close(done)
		}
	}
	spawn(t, m, i)
	m.PostUserMessage(0)
	within(t, done, "the last message")
	require.Equal(t, budget, i.on(goid()))
	for n, msg := range i.messages() {
		require.Equal(t, n, msg)
	}
}

// A supervisor's run forwards every message to an endpoint, which has more to do
// for each: the sender would be drafted for the product of both.
func TestOneBudgetForANestedRun(t *testing.T) {
	const budget, outerMessages, innerMessages = 16, 40, 16
	for _, test := range []struct {
		name    string
		forward func(inner, outer *Mailbox, msg any)
		drafted func(t *testing.T, n int)
	}{
		{
			name:    "shared by Post and Left",
			forward: func(inner, outer *Mailbox, msg any) { inner.Post(msg, outer.Left()) },
			drafted: func(t *testing.T, n int) { require.Equal(t, budget, n) },
		}, {
			name:    "what the sharing is there for",
			forward: func(inner, _ *Mailbox, msg any) { inner.PostUserMessage(msg) },
			drafted: func(t *testing.T, n int) { require.Equal(t, budget*(1+budget), n) },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			outer, inner := New(Options{Budget: budget}), New(Options{Budget: budget})
			o, i := &invoker{}, &invoker{}
			var all sync.WaitGroup
			all.Add(outerMessages * (1 + innerMessages))
			o.receive = func(msg any) {
				defer all.Done()
				if msg == "first" {
					for range outerMessages - 1 {
						outer.Post("next", nil)
					}
				}
				test.forward(inner, outer, "work")
			}
			i.receive = func(msg any) {
				defer all.Done()
				if msg == "work" {
					for range innerMessages - 1 {
						inner.Post("more", nil)
					}
				}
			}
			spawn(t, outer, o)
			spawn(t, inner, i)
			outer.PostUserMessage("first")
			all.Wait()
			test.drafted(t, o.on(goid())+i.on(goid()))
			settle(t, outer)
			settle(t, inner)
		})
	}
}

func TestOnAGoroutineOfItsOwnEachPostHasAWholeBudget(t *testing.T) {
	const budget = 5
	outer, inner := New(Options{Budget: 1}), New(Options{Budget: budget})
	o, i := &invoker{}, &invoker{}
	var left []int
	done := make(chan struct{})
	o.receive = func(msg any) {
		if msg == "first" {
			outer.Post("second", outer.Left())
			return
		}
		require.Nil(t, outer.Left())
		inner.Post(1, outer.Left())
		inner.Post(2, outer.Left())
		close(done)
	}
	i.receive = func(any) { left = append(left, *inner.Left()) }
	spawn(t, inner, i)
	spawn(t, outer, o)
	outer.PostUserMessage("first")
	within(t, done, "the second message")
	require.Equal(t, []int{budget - 1, budget - 1}, left)
	settle(t, outer)
}

func TestASpentBudgetDraftsNobody(t *testing.T) {
	m, i := New(Options{}), &invoker{}
	done := make(chan struct{})
	i.receive = func(any) { close(done) }
	spawn(t, m, i)
	spent := 0
	m.Post("a", &spent)
	within(t, done, "the message")
	require.Zero(t, i.on(goid()))
	settle(t, m)
}

type batch []any

func (b batch) GetMessages() []any { return b }

func TestABatchIsOpenedOnOneBudget(t *testing.T) {
	const budget = 4
	for name, msg := range map[string]any{
		"plain":    batch{1, 2, batch{3, 4}, 5, 6},
		"envelope": &actor.MessageEnvelope{Message: batch{1, 2, batch{3, 4}, 5, 6}},
	} {
		t.Run(name, func(t *testing.T) {
			m, i := New(Options{Budget: budget}), &invoker{}
			done := make(chan struct{})
			i.receive = func(got any) {
				if !isInner(got) && batchOf(got) != nil {
					close(done)
				}
			}
			spawn(t, m, i)
			m.PostUserMessage(msg)
			within(t, done, "the batch itself")
			require.Equal(t, []any{1, 2, 3, 4, batch{3, 4}, 5, 6, msg}, i.messages())
			require.Equal(t, budget, i.on(goid()))
			settle(t, m)
		})
	}
}

func isInner(msg any) bool { b, ok := msg.(batch); return ok && len(b) == 2 }

type numbered struct{ sender, n int }

func TestMessagesOfOneSenderKeepTheirOrder(t *testing.T) {
	const senders, each = 8, 5000
	m := New(Options{Budget: 7})
	next := make([]int, senders) // only the runner's
	done := make(chan struct{})
	total := 0
	spawn(t, m, handler(func(msg any) {
		x := msg.(numbered)
		if x.n != next[x.sender] {
			t.Errorf("sender %d: got %d, want %d", x.sender, x.n, next[x.sender])
		}
		next[x.sender] = x.n + 1
		if total++; total == senders*each {
			close(done)
		}
	}))
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for n := range each {
				m.PostUserMessage(numbered{s, n})
			}
		})
	}
	wg.Wait()
	within(t, done, "all messages")
	settle(t, m)
	require.Zero(t, m.UserMessageCount())
}

func TestASuspendedMailboxHoldsUserMessagesAndRunsSystemMessages(t *testing.T) {
	m, i := New(Options{}), &invoker{}
	spawn(t, m, i)
	m.PostSystemMessage(&actor.SuspendMailbox{})
	settle(t, m)
	m.PostUserMessage("a")
	m.Post("b", nil)
	settle(t, m)
	require.Empty(t, i.messages())
	require.Equal(t, 2, m.UserMessageCount())

	m.PostSystemMessage(&actor.ResumeMailbox{})
	settle(t, m)
	require.Equal(t, []any{"a", "b"}, i.messages())
	require.Zero(t, m.UserMessageCount())
	m.PostUserMessage("c")
	require.Equal(t, 1, i.on(goid()), "after it rested it borrows again")
}

func TestOverTheLimitRefuseDecides(t *testing.T) {
	const limit = 10
	var refused []any
	var m *Mailbox
	m = New(Options{Limit: limit, Refuse: func(msg any) bool {
		require.False(t, m.Closed())
		if _, outcome := msg.(string); outcome {
			return false
		}
		refused = append(refused, msg) // on this goroutine, else the race detector speaks
		return true
	}})
	i := &invoker{}
	spawn(t, m, i)
	m.PostSystemMessage(&actor.SuspendMailbox{})
	settle(t, m)
	for n := range limit + 5 {
		m.PostUserMessage(n)
	}
	m.PostUserMessage("outcome")
	require.Equal(t, []any{10, 11, 12, 13, 14}, refused)
	require.Equal(t, limit+1, m.UserMessageCount())

	m.PostSystemMessage(&actor.ResumeMailbox{})
	settle(t, m)
	require.Equal(t, []any{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, "outcome"}, i.messages())
}

func TestLimits(t *testing.T) {
	for _, test := range []struct{ limit, posts, waiting int }{
		{limit: 0, posts: limitDefault + 1, waiting: limitDefault},
		{limit: -1, posts: limitDefault + 1, waiting: limitDefault + 1},
		{limit: 1, posts: 3, waiting: 1},
	} {
		m := New(Options{Limit: test.limit, Refuse: func(any) bool { return true }})
		m.RegisterHandlers(&invoker{}, nil) // not started: they wait
		for range test.posts {
			m.Post(nil, nil)
		}
		require.Equal(t, test.waiting, m.UserMessageCount(), "limit %d", test.limit)
	}
}

func TestMemoryIsFlatAfterAFlood(t *testing.T) {
	m, handled := New(Options{Limit: -1}), 0
	spawn(t, m, handler(func(any) { handled++ }))
	m.PostSystemMessage(&actor.SuspendMailbox{})
	settle(t, m)
	require.Zero(t, m.chunksHeld())
	const flood = 100_000
	for n := range flood {
		m.PostUserMessage(n)
	}
	require.LessOrEqual(t, m.chunksHeld(), flood/chunkLen+1)
	m.PostSystemMessage(&actor.ResumeMailbox{})
	settle(t, m)
	require.Equal(t, flood, handled)
	require.Zero(t, m.chunksHeld())
	require.Zero(t, m.user.head)
}

func TestAnIdleMailboxIsSmall(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(Mailbox{}), uintptr(200))

	const n = 10_000
	refuse, failed := func(any) bool { return true }, func(any) {}
	boxes := make([]*Mailbox, n)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range boxes {
		boxes[i] = New(Options{Refuse: refuse, Failed: failed})
		boxes[i].RegisterHandlers(handler(func(any) {}), nil)
		boxes[i].Start()
		boxes[i].PostUserMessage("a")
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	require.LessOrEqual(t, int(after.HeapAlloc-before.HeapAlloc)/n, 200)
	runtime.KeepAlive(boxes)
}

func TestABorrowedRunDoesNotAllocate(t *testing.T) {
	m := New(Options{})
	m.RegisterHandlers(handler(func(any) {}), nil)
	m.Start()
	msg := any(&numbered{})
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		m.PostUserMessage(msg)
		m.Post(msg, nil)
	}))
}

// oneProcessor makes a goroutine run only when another one makes way.
func oneProcessor(t *testing.T) {
	before := runtime.GOMAXPROCS(1)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

func TestAGoroutineOfItsOwnYields(t *testing.T) {
	oneProcessor(t)
	const messages = 10 * throughput
	m := New(Options{})
	var handled atomic.Int32
	seen := make(chan int32, 1)
	spawn(t, m, handler(func(any) {
		if handled.Add(1) == 1 {
			go func() { seen <- handled.Load() }()
		}
	}))
	m.PostSystemMessage(&actor.SuspendMailbox{})
	settle(t, m)
	for n := range messages {
		m.PostUserMessage(n)
	}
	m.PostSystemMessage(&actor.ResumeMailbox{})
	require.Less(t, within(t, seen, "the other goroutine"), int32(messages))
	settle(t, m)
	require.EqualValues(t, messages, handled.Load())
}
