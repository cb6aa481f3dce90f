package main

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/cluster/embedded"
	"github.com/understudy-go/understudy/messages"
)

// door compares a request over NATS to an endpoint that is a Go function with a
// plain micro echo service on the same server: 128 callers, 128 bytes. The budget
// of 0.7 of its throughput is 1/0.7 of its time per request.
func door(span time.Duration) float64 {
	dir, err := os.MkdirTemp("", "understudy-bench")
	check(err)
	defer os.RemoveAll(dir)
	server, err := embedded.Start(context.Background(), embedded.Config{Listen: "127.0.0.1:-1", Store: dir}, slog.New(slog.DiscardHandler))
	check(err)
	defer server.Close()
	dial := func() *nats.Conn {
		nc, err := nats.Connect(server.URL())
		check(err)
		return nc
	}
	serving, echoing, calling := dial(), dial(), dial()
	defer serving.Close()
	defer echoing.Close()
	defer calling.Close()

	us, err := understudy.New(understudy.Config{Node: "bench", Services: map[string]understudy.ServiceConfig{
		"echo": {Endpoints: []understudy.Endpoint{{ID: "fn", Handler: func(_ context.Context, m *messages.Request) (*messages.Response, error) {
			return &messages.Response{Body: m.Body}, nil
		}}}},
	}}, understudy.WithNATS(serving))
	check(err)
	defer us.Close()

	service, err := micro.AddService(echoing, micro.Config{Name: "echo", Version: "1.0.0", Endpoint: &micro.EndpointConfig{
		Subject: "plain.echo", Handler: micro.HandlerFunc(func(r micro.Request) { _ = r.Respond(r.Data()) }),
	}})
	check(err)
	defer func() { _ = service.Stop() }()
	check(serving.Flush())
	check(echoing.Flush())

	payload := make([]byte, 128)
	request := func(subject string) func() {
		return func() {
			m, err := calling.Request(subject, payload, 5*time.Second)
			check(err)
			if len(m.Data) != len(payload) {
				panic("the answer is not the request: " + string(m.Data))
			}
		}
	}
	ours := subject{"understudy over NATS", request(messages.RequestSubject(messages.DefaultPrefix, "echo"))}
	theirs := subject{"micro echo", request("plain.echo")}
	return compare(ours, theirs, 128, span)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
