package cluster_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/understudy-go/understudy/actors"
	"github.com/understudy-go/understudy/cluster"
	"github.com/understudy-go/understudy/cluster/embedded"
	"github.com/understudy-go/understudy/messages"
)

// Over the bound the answer is OVERLOADED, at once; what was accepted is served.
func TestOverloadIsSaidAtOnce(t *testing.T) {
	const bound, more = 4096, 20
	leave := make(chan struct{})
	c := function(func(context.Context, *messages.Request) (*messages.Response, error) {
		<-leave
		return &messages.Response{}, nil
	})
	c.Concurrency.Max, c.AttemptTimeout, c.Timeout = actors.Off, actors.Off, actors.Off
	n := startNode(t, services{"orders": c})
	answers, err := n.caller.SubscribeSync("answers")
	noError(t, err)
	for range bound + more {
		noError(t, n.caller.PublishRequest("understudy.request.orders", "answers", nil))
	}
	for range more {
		msg, err := answers.NextMsg(patience)
		noError(t, err)
		p := problem(t, msg)
		equal(t, p.Code, messages.CodeOverloaded)
		equal(t, p.Detail, "4096 requests are under way on this node")
	}
	close(leave)
	for range bound {
		msg, err := answers.NextMsg(patience)
		noError(t, err)
		equal(t, msg.Header.Get("Understudy-Status"), "200")
	}
}

// Nobody waits in vain when the door is closed: neither who is served just then
// nor whose request lies in the subscription.
func TestCloseAnswersEverybody(t *testing.T) {
	n := startNode(t, services{"orders": function(func(ctx context.Context, _ *messages.Request) (*messages.Response, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})})
	answers, err := n.caller.SubscribeSync("answers")
	noError(t, err)
	const sent = 400
	for range sent {
		noError(t, n.caller.PublishRequest("understudy.request.orders", "answers", nil))
	}
	noError(t, n.caller.Flush())
	noError(t, n.nc.Flush()) // all of them are here
	n.door.Close()
	for range sent {
		msg, err := answers.NextMsg(patience)
		noError(t, err)
		equal(t, problem(t, msg).Code, messages.CodeClosed)
	}
}

// A server that carries very little still carries that something went wrong.
func TestTinyPayload(t *testing.T) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, MaxPayload: 400, NoSigs: true, NoLog: true})
	noError(t, err)
	s.Start()
	defer s.WaitForShutdown()
	defer s.Shutdown()
	sys := actors.New(actors.Options{Node: "a"})
	defer func() { noError(t, sys.Close()) }()
	_, err = sys.AddService("orders", function(func(context.Context, *messages.Request) (*messages.Response, error) {
		return &messages.Response{Body: make([]byte, 500)}, nil
	}))
	noError(t, err)
	nc, err := nats.Connect(s.ClientURL())
	noError(t, err)
	defer nc.Close()
	door, err := cluster.Open(nc, sys, cluster.DoorConfig{Node: "a"})
	noError(t, err)
	defer door.Close()
	msg, err := nc.Request("understudy.request.orders", nil, patience)
	noError(t, err)
	equal(t, len(msg.Data), 0)
	equal(t, msg.Header.Get("Understudy-Error"), "PAYLOAD_TOO_LARGE")
	equal(t, msg.Header.Get("Nats-Service-Error-Code"), "502")
	_, err = cluster.NewClient(nc, "").Request(t.Context(), "orders", &messages.Request{})
	errorIs(t, err, messages.ErrPayloadTooLarge)
	contains(t, err.Error(), "400 bytes that NATS carries")
}

// The server dies with a request under way: its answer is lost and counted, and
// draining waits for nobody.
func TestDrainWithoutNATS(t *testing.T) {
	store := t.TempDir()
	s := startServer(t, embedded.Config{Store: store}, nil)
	entered, leave := make(chan struct{}), make(chan struct{})
	n := joinNode(t, s, "a", services{"orders": function(func(context.Context, *messages.Request) (*messages.Response, error) {
		close(entered)
		<-leave
		return &messages.Response{}, nil
	})})
	noError(t, n.caller.PublishRequest("understudy.request.orders", "answers", nil))
	receive(t, entered, "the request")
	changed := n.nc.StatusChanged(nats.RECONNECTING)
	s.Close()
	receive(t, changed, "the loss")
	close(leave)
	n.log.wait(t, 1, `msg="an answer could not be sent" service=orders`)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	noError(t, n.door.Drain(ctx))
}

// Doors open and close under fire, and nothing is left of them.
func TestOpenAndCloseUnderFire(t *testing.T) {
	s := startServer(t, embedded.Config{}, nil)
	caller := plainClient(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	fired := make(chan int)
	go func() {
		n := 0
		for ctx.Err() == nil {
			if _, err := caller.Request("understudy.request.orders", nil, time.Second); err == nil {
				n++
			}
		}
		fired <- n
	}()
	for i := range 20 {
		n := joinNode(t, s, fmt.Sprintf("n%d", i), services{"orders": function(func(context.Context, *messages.Request) (*messages.Response, error) {
			return &messages.Response{}, nil
		})})
		go n.door.Close()
		_, _ = n.sys.AddService("late", actors.ServiceConfig{})
		noError(t, n.door.Drain(ctx))
		n.door.Close()
	}
	cancel()
	<-fired
}
