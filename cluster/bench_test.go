package cluster_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/understudy-go/understudy/actors"
	"github.com/understudy-go/understudy/cluster"
	"github.com/understudy-go/understudy/cluster/embedded"
	"github.com/understudy-go/understudy/messages"
)

// The budget is 0.7 of a plain micro echo's throughput: 128 callers, 128 bytes,
// the same server.
func BenchmarkFrontDoor(b *testing.B) {
	server, err := embedded.Start(context.Background(), embedded.Config{Listen: "127.0.0.1:0", Store: b.TempDir()}, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer server.Close()
	dial := func() *nats.Conn {
		nc, err := nats.Connect(server.URL())
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(nc.Close)
		return nc
	}
	echo, err := micro.AddService(dial(), micro.Config{Name: "echo", Version: "0.0.0", Endpoint: &micro.EndpointConfig{
		Subject: "echo", Handler: micro.HandlerFunc(func(r micro.Request) { _ = r.Respond(r.Data()) })}})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = echo.Stop() }()
	sys := actors.New(actors.Options{Node: "a"})
	defer func() { _ = sys.Close() }()
	if _, err := sys.AddService("echo", function(func(_ context.Context, m *messages.Request) (*messages.Response, error) {
		return &messages.Response{Body: m.Body}, nil
	})); err != nil {
		b.Fatal(err)
	}
	node := dial()
	door, err := cluster.Open(node, sys, cluster.DoorConfig{})
	if err != nil {
		b.Fatal(err)
	}
	defer door.Close()
	if err := node.Flush(); err != nil {
		b.Fatal(err)
	}
	caller := dial()
	for _, bench := range []struct{ name, subject string }{{"micro", "echo"}, {"understudy", "understudy.request.echo"}} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			body := make([]byte, 128)
			var wg sync.WaitGroup
			for range 128 {
				wg.Go(func() {
					for range b.N / 128 {
						msg, err := caller.Request(bench.subject, body, patience)
						if err != nil || len(msg.Data) != len(body) {
							b.Error(err, msg)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}
