package mailbox

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

// Senders post while the actor panics, exits its goroutine, is restarted, stopped
// and spawned again with the same mailbox. Every message must be handled, failed or
// refused exactly once, outcomes must never be refused, and what is handled must
// keep each sender's order.
func TestEveryMessageExactlyOnce(t *testing.T) {
	const senders, each = 8, 4000
	const none, handled, failed, refused = 0, 1, 2, 3
	var fates [senders][each]atomic.Int32
	var all sync.WaitGroup
	all.Add(senders * each)
	fate := func(x numbered, f int32) {
		if !fates[x.sender][x.n].CompareAndSwap(none, f) {
			t.Errorf("%v: %d after %d", x, f, fates[x.sender][x.n].Load())
			return
		}
		all.Done()
	}
	isOutcome := func(x numbered) bool { return x.n%2 == 0 }

	m := New(Options{
		Budget: 5,
		Limit:  1000,
		Refuse: func(msg any) bool {
			x, ok := msg.(numbered)
			if !ok || isOutcome(x) {
				return false
			}
			fate(x, refused)
			return true
		},
		Failed: func(msg any) { fate(msg.(numbered), failed) },
	})

	var last [senders]int // the runner's
	var inside atomic.Int32
	var ended atomic.Bool
	gone := make(chan struct{}, 1)
	endpoint := actor.PropsFromFunc(func(c actor.Context) {
		if inside.Add(1) != 1 {
			t.Error("two goroutines run one actor")
		}
		defer inside.Add(-1)
		switch x := c.Message().(type) {
		case *actor.Stopped:
			m.Close()
		case numbered:
			if x.n < last[x.sender] {
				t.Errorf("%v after %d", x, last[x.sender])
			}
			last[x.sender] = x.n
			switch {
			case x.n%97 == 5:
				panic("oh")
			case x.n%193 == 7:
				runtime.Goexit()
			}
			fate(x, handled)
		}
	}, actor.WithMailbox(m.Producer()))

	system := newSystem()
	var mu sync.Mutex
	var pid *actor.PID
	parent := system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		again := func() {
			p, err := c.SpawnNamed(endpoint, "endpoint")
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			pid = p
		}
		switch c.Message().(type) {
		case *actor.Started:
			again()
		case *actor.Terminated:
			if ended.Load() {
				return
			}
			again()
			gone <- struct{}{}
		}
	}, actor.WithSupervisor(actor.RestartingSupervisorStrategy())))

	var posting sync.WaitGroup
	posting.Add(senders)
	var send func(sender, n int)
	send = func(sender, n int) { // until the actor takes the goroutine with it
		defer func() {
			if n < each {
				go send(sender, n)
			} else {
				posting.Done()
			}
		}()
		for n < each {
			n++
			m.PostUserMessage(numbered{sender, n - 1})
			for m.UserMessageCount() > 900+20*sender { // only some go over the limit
				runtime.Gosched()
			}
		}
	}
	for s := range senders {
		go send(s, 0)
	}
	posted := make(chan struct{})
	go func() { posting.Wait(); close(posted) }()

	stops := 0
	for busy := true; busy; {
		mu.Lock()
		p := pid
		mu.Unlock()
		if p != nil {
			system.Root.Stop(p)
			within(t, gone, "the end of the actor")
			stops++
		}
		select {
		case <-posted:
			busy = false
		default:
			runtime.Gosched()
		}
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	within(t, done, "the last message")
	ended.Store(true)
	require.NoError(t, system.Root.StopFuture(parent).Wait())
	rest(t, m)

	counts := map[int32]int{}
	for s := range fates {
		for n := range fates[s] {
			f := fates[s][n].Load()
			counts[f]++
			if f == refused && isOutcome(numbered{s, n}) {
				t.Errorf("outcome %d of sender %d was refused", n, s)
			}
		}
	}
	t.Logf("%d stops; handled %d, failed %d, refused %d", stops, counts[handled], counts[failed], counts[refused])
	require.Zero(t, m.UserMessageCount())
	require.Zero(t, m.chunksHeld())
}

// Many short lives of one mailbox, each with something still waiting.
func TestStartAndStopAgainAndAgain(t *testing.T) {
	const lives = 500
	var refused atomic.Int32
	m := New(Options{Refuse: func(msg any) bool {
		_, ok := msg.(acquire)
		if ok {
			refused.Add(1)
		}
		return ok
	}})
	var outcomes, acquires atomic.Int32
	endpoint := actor.PropsFromFunc(func(c actor.Context) {
		switch c.Message().(type) {
		case *actor.Stopped:
			m.Close()
		case outcome:
			outcomes.Add(1)
		case acquire:
			acquires.Add(1)
		}
	}, actor.WithMailbox(m.Producer()))
	system := newSystem()
	var posts sync.WaitGroup
	for n := range lives {
		pid, err := system.Root.SpawnNamed(endpoint, "endpoint")
		require.NoError(t, err)
		posts.Go(func() { m.PostUserMessage(acquire{n}) })
		posts.Go(func() { m.PostUserMessage(outcome{n}) })
		require.NoError(t, system.Root.StopFuture(pid).Wait())
	}
	posts.Wait()
	pid, err := system.Root.SpawnNamed(endpoint, "endpoint")
	require.NoError(t, err)
	require.NoError(t, system.Root.PoisonFuture(pid).Wait()) // behind what waits
	rest(t, m)
	require.EqualValues(t, lives, outcomes.Load())
	require.EqualValues(t, lives, refused.Load()+acquires.Load())
}
