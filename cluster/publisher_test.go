package cluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/understudy-go/understudy/actors"
	"github.com/understudy-go/understudy/cluster"
	"github.com/understudy-go/understudy/cluster/embedded"
	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/understudytest"
)

func TestEventsArePublished(t *testing.T) {
	web := understudytest.Faulty(t, 503, 1)
	c := over(web)
	c.Breaker.FailureThreshold = 1
	n := startNode(t, services{"orders": c})
	all, err := n.caller.SubscribeSync("understudy.event.>")
	noError(t, err)
	noError(t, n.caller.Flush())
	n.ask(t, "orders", nil, "")
	n.sys.Emit(messages.Event{Kind: messages.KindConfigRejected, Cause: messages.Cause{Words: "line 3"}})

	bySubject := map[string]messages.CloudEvent{}
	ids := map[string]bool{}
	for bySubject["understudy.event._._.config_rejected"].ID == "" {
		msg, err := all.NextMsg(patience)
		noError(t, err)
		equal(t, msg.Header.Get("Content-Type"), "application/cloudevents+json")
		var e messages.CloudEvent
		noError(t, json.Unmarshal(msg.Data, &e))
		holds(t, !ids[e.ID], "no id twice: "+e.ID)
		ids[e.ID] = true
		bySubject[msg.Subject] = e
		equal(t, e.SpecVersion+" "+e.DataContentType+" "+e.Source, "1.0 application/json understudy/a")
		equal(t, e.Time, e.Data.Time)
		equal(t, e.Data.Node, "a")
	}
	opened := bySubject["understudy.event.orders.orders-1.circuit_open"]
	equal(t, opened.Type, "understudy.circuit_open")
	equal(t, opened.Subject, "orders/orders-1")
	equal(t, opened.Data.Cause.LastError, "status 503")
	contains(t, opened.ID, fmt.Sprintf("-%d", opened.Data.Sequence))
	equal(t, bySubject["understudy.event._._.config_rejected"].Subject, "")
}

// Without NATS events are dropped, said once, and nobody waits; with it they flow again.
func TestEventsWithoutNATS(t *testing.T) {
	store := t.TempDir()
	server := startServer(t, embedded.Config{Store: store}, nil)
	log := newLines()
	// A connection that buffers while it is down would send old news later.
	nc := connect(t, cluster.Config{URL: server.URL()}, log, retryFast, nats.ReconnectBufSize(8<<20))
	sys := actors.New(actors.Options{Node: "a"})
	defer func() { noError(t, sys.Close()) }()
	door, err := cluster.Open(nc, sys, cluster.DoorConfig{Node: "a", Logger: log.logger()})
	noError(t, err)
	defer door.Close()

	changed := nc.StatusChanged(nats.RECONNECTING)
	server.Close()
	receive(t, changed, "the loss")
	const lost = 100
	for i := range lost {
		sys.Emit(messages.Event{Kind: messages.KindRetry, Service: "s", Endpoint: fmt.Sprint(i)})
	}
	log.wait(t, lost, "an event could not be published")
	warned, _ := log.count(`level=WARN msg="an event could not be published"`)
	equal(t, warned, 1)

	startServer(t, embedded.Config{Listen: hostPort(server), Store: store}, nil)
	log.wait(t, 2, "connected to NATS")
	client := plainClient(t, server)
	sub, err := client.SubscribeSync("understudy.event.>")
	noError(t, err)
	noError(t, client.Flush())
	sys.Emit(messages.Event{Kind: messages.KindRecovery, Service: "s"})
	msg, err := sub.NextMsg(patience)
	noError(t, err)
	equal(t, msg.Subject, "understudy.event.s._.recovery")
	log.wait(t, 1, fmt.Sprintf(`msg="events were not published" lost=%d`, lost))
}

// A reader that is too slow hears of its loss, the publisher too: what it missed
// stands as an event of its own.
func TestPublisherTellsOfItsLoss(t *testing.T) {
	n := startNode(t, nil)
	client := cluster.NewClient(n.caller, "")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	events := client.Events(ctx, cluster.EventFilter{})
	const flood = 50_000
	go func() {
		for range flood {
			n.sys.Emit(messages.Event{Kind: messages.KindRetry, Service: "s"})
		}
		n.sys.Emit(messages.Event{Kind: messages.KindConfigRejected})
	}()
	seen, lost := 0, 0
	for e, err := range events {
		noError(t, err)
		if e.Kind == messages.KindEventsLost {
			lost += int(e.Cause.Lost)
		} else if seen++; e.Kind == messages.KindConfigRejected {
			break
		}
	}
	equal(t, seen+lost, flood+1)
}
