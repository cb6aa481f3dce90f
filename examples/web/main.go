// Web: three web servers take turns in strict order. One is killed while customers
// are at it, and comes back later. No customer notices.
//
//	go run ./examples/web
package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/messages"
)

// machine is a web server that can be killed and started again under its address.
type machine struct {
	name, addr string
	server     *http.Server
}

func (m *machine) start() {
	l, err := net.Listen("tcp", m.addr)
	if err != nil {
		log.Fatal(err)
	}
	m.addr, m.server = l.Addr().String(), &http.Server{Handler: m}
	go m.server.Serve(l)
}

func (m *machine) kill() { m.server.Close() } // in the middle of whatever it does

func (m *machine) ServeHTTP(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, m.name) }

func main() {
	var machines []*machine
	var endpoints []understudy.Endpoint
	for _, name := range []string{"web-1", "web-2", "web-3"} {
		m := &machine{name: name, addr: "127.0.0.1:0"}
		m.start()
		defer m.kill()
		machines = append(machines, m)
		endpoints = append(endpoints, understudy.Endpoint{ID: name, URL: "http://" + m.addr})
	}

	us, err := understudy.New(understudy.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer us.Close()
	web, err := us.AddService("web", understudy.ServiceConfig{
		Strategy:  understudy.Strategy{Pick: "round_robin"},
		Endpoints: endpoints,
		Health:    understudy.Health{HTTP: &understudy.HTTPCheck{Path: "/"}, Interval: 200 * time.Millisecond},
		// Who comes back would get its share little by little; here its turn is to be seen at once.
		SlowStart: understudy.SlowStart{Window: understudy.Off},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := us.Ready(ctx); err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: web.RoundTripper()}
	inTurns(client)

	fmt.Println("-- four customers come in --")
	next, stop := iter.Pull(us.Events(ctx, understudy.Filter{Service: "web", Endpoint: "web-2"}))
	defer stop()
	var customers sync.WaitGroup
	inside := make(chan struct{})
	shopping, leave := context.WithCancel(ctx)
	for range 4 {
		customers.Go(func() {
			get(client)
			inside <- struct{}{}
			for shopping.Err() == nil {
				get(client)
			}
		})
	}
	for range 4 {
		<-inside
	}

	fmt.Println("-- web-2 is killed --")
	machines[1].kill()
	await(next, messages.KindEndpointDown)
	fmt.Println("-- web-2 comes back --")
	machines[1].start()
	await(next, messages.KindEndpointUp)
	for get(client) != "web-2" && ctx.Err() == nil {
	}
	fmt.Println("   it serves again")

	leave()
	customers.Wait()
	stats := web.Stats()
	fmt.Printf("-- %d requests so far, all answered; %d of them by the second server that was asked --\n",
		stats.Requests, stats.Recoveries)
	inTurns(client)
	if stats.Failed > 0 {
		log.Fatalf("not what was to be shown: %+v", stats)
	}
}

// inTurns makes nine requests. Whoever is first, they go round in order.
func inTurns(client *http.Client) {
	order := map[string]string{"web-1": "web-2", "web-2": "web-3", "web-3": "web-1"}
	last := ""
	for range 9 {
		name := get(client)
		fmt.Print(name, " ")
		if last != "" && name != order[last] {
			log.Fatalf("after %s it was the turn of %s", last, order[last])
		}
		last = name
	}
	fmt.Println()
}

// get makes a request as any program does, and ends this one if it fails.
func get(client *http.Client) string {
	resp, err := client.Get("http://web/")
	if err != nil {
		log.Fatal("a customer noticed: ", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		log.Fatalf("a customer noticed: %s, %v", resp.Status, err)
	}
	return string(body)
}

// await tells what happens to web-2 up to the event that is waited for.
func await(next func() (understudy.Event, bool), kind messages.Kind) {
	for {
		e, ok := next()
		if !ok {
			log.Fatalf("no %s within 30 s", kind)
		}
		switch e.Kind {
		case messages.KindRetry, messages.KindFailover, messages.KindRecovery: // those of single requests
		default:
			fmt.Printf("   %s: %s: %s\n", e.Endpoint, e.Kind, e.Cause.Words)
		}
		if e.Kind == kind {
			return
		}
	}
}
