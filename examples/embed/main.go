// Embed: a program calls a service that has two servers. One of them is killed in
// mid-run, and the program never notices.
//
//	go run ./examples/embed
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/understudy-go/understudy"
)

func main() {
	// Two servers of the same kind, here in this process.
	first, second := serve("first"), serve("second")
	defer second.Close()

	us, err := understudy.New(understudy.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer us.Close()
	web, err := us.AddService("web", understudy.ServiceConfig{
		Strategy: understudy.Strategy{Pick: "round_robin"}, // in turns; the default looks at latency
		Endpoints: []understudy.Endpoint{
			{ID: "web-1", URL: first.URL},
			{ID: "web-2", URL: second.URL},
		},
	})
	if err != nil {
		log.Fatal(err)
	}

	for i := range 10 {
		if i == 4 {
			fmt.Println("-- the first server is killed --")
			first.CloseClientConnections()
			first.Close()
		}
		var report understudy.Report // tells how the call went
		answer, err := understudy.Do(context.Background(), web, get, understudy.Into(&report))
		if err != nil {
			log.Fatalf("request %d: %v", i, err) // this never happens
		}
		fmt.Printf("request %d: %s", i, answer)
		for _, a := range report.Attempts {
			if a.Code != "" {
				fmt.Printf("   (%s: %s)", a.Endpoint, a.Words)
			}
		}
		fmt.Println()
	}

	stats := web.Stats()
	fmt.Printf("%d requests, %d succeeded, %d attempts\n", stats.Requests, stats.Succeeded, stats.Attempts)
	for _, e := range web.Status().Endpoints {
		fmt.Printf("%s: breaker %s, %d failures, last: %q\n", e.ID, e.Breaker, e.Failures, e.LastError)
	}
}

// get is the call itself: ordinary code that is told where to go. It is called
// again with another target when it fails.
func get(ctx context.Context, t understudy.Target) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.URL(), nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func serve(name string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "hello from the ", name)
	}))
}
