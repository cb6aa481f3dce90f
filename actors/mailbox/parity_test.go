package mailbox

import (
	"fmt"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

// world is one actor, its parent and a watcher, with the default mailbox or ours.
type world struct {
	t       *testing.T
	system  *actor.ActorSystem
	pid     *actor.PID
	watcher *actor.PID
	trace   list
	ended   chan struct{} // the watcher heard Terminated
	gone    chan struct{} // the parent did
}

// hold keeps the actor busy until released, so that messages wait behind it.
type hold struct{ held, release chan struct{} }

type spawnChild struct{}

func newWorld(t *testing.T, mailbox actor.MailboxProducer, decide actor.DeciderFunc, receive func(w *world, incarnation int, c actor.Context)) *world {
	w := &world{t: t, system: newSystem(), ended: make(chan struct{}, 10), gone: make(chan struct{}, 10)}
	var opts []actor.PropsOption
	if mailbox != nil {
		opts = append(opts, actor.WithMailbox(mailbox))
	}
	incarnation := 0
	subject := actor.PropsFromProducer(func() actor.Actor {
		incarnation++
		me := incarnation
		return actor.ReceiveFunc(func(c actor.Context) { w.receive(me, c, receive) })
	}, opts...)

	w.watcher = w.system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		switch msg := c.Message().(type) {
		case *actor.PID:
			c.Watch(msg)
			c.Respond(true)
		case *actor.Terminated:
			w.trace.add("watcher:Terminated " + msg.Why.String())
			w.ended <- struct{}{}
		}
	}))
	spawned := make(chan *actor.PID, 1)
	w.system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		switch c.Message().(type) {
		case *actor.Started:
			spawned <- c.Spawn(subject)
		case *actor.Terminated:
			w.gone <- struct{}{}
		}
	}, actor.WithSupervisor(actor.NewOneForOneStrategy(10, time.Minute, decide))))
	w.pid = <-spawned
	return w
}

func (w *world) receive(me int, c actor.Context, custom func(*world, int, actor.Context)) {
	note := func() { w.trace.add(fmt.Sprintf("%d:%s", me, name(c.Message()))) }
	switch msg := c.Message().(type) {
	case func(actor.Context):
		msg(c)
		return
	case hold:
		note()
		close(msg.held)
		<-msg.release
		return
	case spawnChild:
		note()
		c.Spawn(actor.PropsFromFunc(func(c actor.Context) {
			if _, stopped := c.Message().(*actor.Stopped); stopped {
				w.trace.add("child:Stopped")
			}
		}))
		return
	}
	note()
	if c.Message() == any("panic") {
		panic("panic")
	}
	if c.Sender() != nil && name(c.Message()) == "ask" {
		c.Respond("answer")
	}
	if custom != nil {
		custom(w, me, c)
	}
}

func (w *world) send(msgs ...any) {
	for _, msg := range msgs {
		w.system.Root.Send(w.pid, msg)
	}
}

// holding runs f while the actor is busy, so that what f sends waits.
func (w *world) holding(f func()) {
	h := hold{make(chan struct{}), make(chan struct{})}
	sent := make(chan struct{})
	go func() { w.send(h); close(sent) }()
	within(w.t, h.held, "the actor being held")
	f()
	close(h.release)
	within(w.t, sent, "the sender")
}

// settle waits until what was sent is handled.
func (w *world) settle() {
	done := make(chan struct{})
	w.send(func(actor.Context) { close(done) })
	within(w.t, done, "a message")
}

func (w *world) watch() {
	_, err := w.system.Root.RequestFuture(w.watcher, w.pid, 10*time.Second).Result()
	require.NoError(w.t, err)
}

func always(d actor.Directive) actor.DeciderFunc { return func(any) actor.Directive { return d } }

var restart = always(actor.RestartDirective)

// TestAsProtoactor plays each scene with the default mailbox and with ours.
func TestAsProtoactor(t *testing.T) {
	for _, scene := range []struct {
		name    string
		decide  actor.DeciderFunc
		receive func(w *world, incarnation int, c actor.Context)
		play    func(w *world)
		want    []any
	}{
		{
			name: "panic, restart, next message",
			play: func(w *world) { w.send("a", "panic", "b"); w.settle() },
			want: []any{"1:Started", "1:a", "1:panic", "1:Restarting", "2:Started", "2:b"},
		}, {
			name: "messages that wait behind a panic",
			play: func(w *world) { w.holding(func() { w.send("panic", "b", "panic", "c") }); w.settle() },
			want: []any{"1:Started", "1:hold", "1:panic", "1:Restarting", "2:Started", "2:b", "2:panic", "2:Restarting", "3:Started", "3:c"},
		}, {
			name:   "panic, resume",
			decide: always(actor.ResumeDirective),
			play:   func(w *world) { w.send("panic", "b"); w.settle() },
			want:   []any{"1:Started", "1:panic", "1:b"},
		}, {
			name:   "panic, stop",
			decide: always(actor.StopDirective),
			play: func(w *world) {
				w.watch()
				w.holding(func() { w.send("panic", "b") })
				within(w.t, w.ended, "Terminated")
			},
			want: []any{"1:Started", "1:hold", "1:panic", "1:Stopping", "1:Stopped", "watcher:Terminated Stopped"},
		}, {
			name: "panic in Started",
			receive: func(_ *world, incarnation int, c actor.Context) {
				if _, started := c.Message().(*actor.Started); started && incarnation < 3 {
					panic("early")
				}
			},
			play: func(w *world) { w.send("a"); w.settle() },
			want: []any{"1:Started", "1:Restarting", "2:Started", "2:Restarting", "3:Started", "3:a"},
		}, {
			name: "panic in Stopping",
			receive: func(_ *world, incarnation int, c actor.Context) {
				if _, stopping := c.Message().(*actor.Stopping); stopping && incarnation == 1 {
					panic("late")
				}
			},
			play: func(w *world) { w.system.Root.Stop(w.pid); w.settle() },
			want: []any{"1:Started", "1:Stopping", "1:Restarting", "2:Started"},
		}, {
			name: "restart with a child",
			play: func(w *world) {
				w.holding(func() { w.send(spawnChild{}, "panic", "b") })
				w.settle()
			},
			want: []any{"1:Started", "1:hold", "1:spawnChild", "1:panic", "1:Restarting", "child:Stopped", "1:Terminated", "2:Started", "2:b"},
		}, {
			name: "stop while messages wait",
			play: func(w *world) {
				w.watch()
				w.holding(func() { w.send("a", "b"); w.system.Root.Stop(w.pid) })
				within(w.t, w.ended, "Terminated")
				w.send("c")
			},
			want: []any{"1:Started", "1:hold", "1:Stopping", "1:Stopped", "watcher:Terminated Stopped"},
		}, {
			name: "poison while messages wait",
			play: func(w *world) {
				w.watch()
				w.holding(func() { w.send("a"); w.system.Root.Poison(w.pid); w.send("b") })
				within(w.t, w.ended, "Terminated")
			},
			want: []any{"1:Started", "1:hold", "1:a", "1:Stopping", "1:Stopped", "watcher:Terminated Stopped"},
		}, {
			name: "stop with a child: user messages until it is gone",
			play: func(w *world) {
				w.watch()
				w.send(spawnChild{})
				w.settle()
				w.system.Root.Stop(w.pid)
				within(w.t, w.ended, "Terminated")
			},
			want: []any{"1:Started", "1:spawnChild", "1:Stopping", "child:Stopped", "1:Terminated", "1:Stopped", "watcher:Terminated Stopped"},
		}, {
			name: "watch what has gone",
			play: func(w *world) {
				w.system.Root.Stop(w.pid)
				within(w.t, w.gone, "Terminated")
				w.watch()
				within(w.t, w.ended, "Terminated")
			},
			want: []any{"1:Started", "1:Stopping", "1:Stopped", "watcher:Terminated NotFound"},
		}, {
			name: "batches",
			play: func(w *world) { w.send("a", batch{"b", batch{"c"}}, "d"); w.settle() },
			want: []any{"1:Started", "1:a", "1:b", "1:c", "1:batch", "1:batch", "1:d"},
		}, {
			name: "request and future",
			play: func(w *world) {
				got, err := w.system.Root.RequestFuture(w.pid, "ask", 10*time.Second).Result()
				w.trace.add(fmt.Sprint(got, err))
			},
			want: []any{"1:Started", "1:ask", "answer<nil>"},
		}, {
			name: "reenter",
			receive: func(w *world, _ int, c actor.Context) {
				if c.Message() == any("later") {
					f := actor.NewFuture(w.system, 10*time.Second)
					c.ReenterAfter(f, func(got any, err error) { w.trace.add(fmt.Sprint(got, err)); w.ended <- struct{}{} })
					c.Send(f.PID(), "reentered")
				}
			},
			play: func(w *world) { w.send("later"); within(w.t, w.ended, "Terminated"); w.send("b"); w.settle() },
			want: []any{"1:Started", "1:later", "reentered<nil>", "1:b"},
		},
	} {
		for _, kind := range []struct {
			name    string
			mailbox actor.MailboxProducer
		}{{"default", nil}, {"borrowing", New(Options{}).Producer()}} {
			t.Run(scene.name+"/"+kind.name, func(t *testing.T) {
				decide := scene.decide
				if decide == nil {
					decide = restart
				}
				w := newWorld(t, kind.mailbox, decide, scene.receive)
				scene.play(w)
				require.Equal(t, words(scene.want), words(w.trace.get()))
			})
		}
	}
}
