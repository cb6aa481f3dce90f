// Natsrequest: a client that knows nothing but NATS asks a service. What stands in
// front of its endpoints is this node.
//
//	go run ./examples/natsrequest
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/cluster/embedded"
)

func main() {
	// A NATS server, here in this process; any other one does as well.
	dir, err := os.MkdirTemp("", "natsrequest")
	check(err)
	defer os.RemoveAll(dir)
	server, err := embedded.Start(context.Background(), embedded.Config{Listen: "127.0.0.1:0", Store: dir}, nil)
	check(err)
	defer server.Close()

	// The node: it takes requests from NATS because it is given a connection.
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprintf(w, "%s %s for %s", r.Method, r.URL, r.Header.Get("X-Customer"))
	}))
	defer shop.Close()
	nodes, err := nats.Connect(server.URL())
	check(err)
	defer nodes.Close()
	us, err := understudy.New(understudy.Config{Services: map[string]understudy.ServiceConfig{
		"orders": {Endpoints: []understudy.Endpoint{
			{ID: "orders-1", URL: "http://127.0.0.1:1"}, // nobody is there
			{ID: "orders-2", URL: shop.URL},
		}},
	}}, understudy.WithNATS(nodes))
	check(err)
	defer us.Close()
	check(nodes.Flush()) // New waits for no server; here somebody asks at once

	// The client: plain NATS. Headers beginning with Understudy- are for the node,
	// the others go on to the endpoint.
	client, err := nats.Connect(server.URL())
	check(err)
	defer client.Close()
	ask := func(service string) *nats.Msg {
		m := nats.NewMsg("understudy.request." + service)
		m.Header.Set("Understudy-Path", "/list?page=2")
		m.Header.Set("Understudy-Timeout", "2s")
		m.Header.Set("X-Customer", "Ada")
		answer, err := client.RequestMsg(m, 5*time.Second)
		check(err)
		return answer
	}
	for range 4 {
		answer := ask("orders")
		fmt.Printf("%s from %s, attempts %s: %s\n", answer.Header.Get("Understudy-Status"),
			answer.Header.Get("Understudy-Endpoint"), answer.Header.Get("Understudy-Attempts"), answer.Data)
		if string(answer.Data) != "GET /list?page=2 for Ada" {
			log.Fatal("that is not the endpoint's answer")
		}
	}

	// A failure says so in headers that every NATS client can read.
	check(us.Service("orders").Deregister("orders-1"))
	check(us.Service("orders").Deregister("orders-2"))
	answer := ask("orders")
	fmt.Printf("%s: %s\n", answer.Header.Get("Nats-Service-Error-Code"), answer.Header.Get("Nats-Service-Error"))
	if answer.Header.Get("Understudy-Error") != "NO_ENDPOINTS" {
		log.Fatal("that is not the failure which was to be shown")
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
