package main

import (
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/understudy-go/understudy/actors/balance"
	"github.com/understudy-go/understudy/actors/breaker"
	"github.com/understudy-go/understudy/actors/retry"
	"github.com/understudy-go/understudy/messages"
)

// What Understudy's two actors would be on protoactor's own mailbox and
// dispatcher: the same cores decide, the messages are pooled, the answer comes
// through a pooled channel. The mailbox and what hangs on it is the difference.

// question asks for a lease; the same memory comes back as the result.
type question struct {
	reply    chan *actor.PID
	at       time.Duration
	permit   breaker.Permit
	finished time.Duration
}

type result question

var questions = sync.Pool{New: func() any { return &question{reply: make(chan *actor.PID, 1)} }}

// plainSupervisor picks.
type plainSupervisor struct {
	balancer *balance.Balancer
	budget   *retry.Budget
	children []*actor.PID
}

func (s *plainSupervisor) Receive(c actor.Context) {
	if q, ok := c.Message().(*question); ok {
		s.budget.Request(q.at)
		i, err := s.balancer.Pick(q.at, balance.Request{})
		check(err)
		c.Send(s.children[i], q)
	}
}

// plainEndpoint admits and takes the result.
type plainEndpoint struct {
	breaker  *breaker.Breaker
	load     *balance.Load
	average  *balance.Average
	inflight int32
}

func (e *plainEndpoint) Receive(c actor.Context) {
	switch q := c.Message().(type) {
	case *question:
		q.permit, _ = e.breaker.Acquire(q.at)
		e.inflight++
		e.load.Inflight.Store(e.inflight)
		q.reply <- c.Self()
	case *result:
		e.inflight--
		e.load.Inflight.Store(e.inflight)
		e.breaker.Record(q.finished, q.permit, messages.Success, q.finished-q.at, 0)
		e.load.Observe(q.finished, q.finished-q.at)
		e.average.Observe(q.finished, q.finished-q.at)
		questions.Put((*question)(q))
	}
}

func defaultDispatcher() (subject, func()) {
	sys := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.NewTextHandler(io.Discard, nil))
	}))
	balancer, err := balance.New(balance.Config{}.WithDefaults(), rand.New(rand.NewPCG(1, 2)))
	check(err)
	super := &plainSupervisor{balancer: balancer, budget: retry.NewBudget(retry.BudgetConfig{}.WithDefaults())}
	var members []balance.Member
	average := new(balance.Average)
	for _, id := range []string{"a", "b", "c", "d"} {
		e := &plainEndpoint{breaker: breaker.New(breaker.Config{}), load: new(balance.Load), average: average}
		members = append(members, balance.Member{ID: id, Load: e.load})
		super.children = append(super.children, sys.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return e })))
	}
	balancer.SetMembers(members)
	for i := range members {
		balancer.SetStatus(i, balance.Status{Ready: true, Eligible: true})
	}
	pid := sys.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return super }))
	base := time.Now()
	return subject{"the same on the default dispatcher", func() {
		q := questions.Get().(*question)
		q.at = time.Since(base)
		sys.Root.Send(pid, q)
		child := <-q.reply
		q.finished = time.Since(base)
		sys.Root.Send(child, (*result)(q))
	}}, sys.Shutdown
}
