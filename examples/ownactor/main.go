// Ownactor: an actor of one's own, in one's own protoactor system, asks a service
// by message and is answered by message. It never blocks.
//
//	go run ./examples/ownactor
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/messages"
)

// till is the actor: it sells until its stock is gone.
type till struct {
	stock   *actor.PID // the service's supervisor
	sold    int
	soldOut chan<- int
}

func (t *till) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		t.sell(c)
	case *messages.Response:
		if m.Err != nil {
			fmt.Println("sold out:", m.Err)
			t.soldOut <- t.sold
			return
		}
		t.sold++
		fmt.Printf("%s: %s\n", m.Endpoint, m.Body)
		t.sell(c)
	}
}

func (t *till) sell(c actor.Context) { c.Request(t.stock, &messages.Request{Path: "/take"}) }

func main() {
	quiet := func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }
	system := actor.NewActorSystem(actor.WithLoggerFactory(quiet))
	defer system.Shutdown()
	us, err := understudy.New(understudy.Config{}, understudy.WithActorSystem(system))
	if err != nil {
		log.Fatal(err)
	}
	defer us.Close() // the actor system stays ours

	// Endpoints may be Go functions; a URL would do as well.
	stock, err := us.AddService("stock", understudy.ServiceConfig{
		Strategy:  understudy.Strategy{Pick: "round_robin"},
		Endpoints: []understudy.Endpoint{{ID: "cellar", Handler: shelf(2)}, {ID: "attic", Handler: shelf(3)}},
		Retry:     understudy.Retry{On: []string{"connect", "timeout", "503", "error"}},
	})
	if err != nil {
		log.Fatal(err)
	}

	soldOut := make(chan int)
	system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor {
		return &till{stock: stock.PID(), soldOut: soldOut}
	}))
	if sold := <-soldOut; sold != 5 {
		log.Fatalf("%d sold of 5", sold)
	}
}

// shelf is an endpoint with n of them.
func shelf(n int) understudy.Handler {
	return func(context.Context, *messages.Request) (*messages.Response, error) {
		if n--; n < 0 {
			return nil, errors.New("the shelf is empty")
		}
		return &messages.Response{Body: fmt.Appendf(nil, "%d left", n)}, nil
	}
}
