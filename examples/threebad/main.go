// Threebad: three endpoints of a catalog have names that nobody can resolve, the
// fourth is well. A search is answered by the fourth, and once the first health
// checks are in, the three are not even tried.
//
//	go run ./examples/threebad
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/messages"
)

func main() {
	good := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s: 3 phones", r.Method, r.URL)
	}))
	defer good.Close()

	us, err := understudy.New(understudy.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer us.Close()
	catalog, err := us.AddService("catalog", understudy.ServiceConfig{
		Strategy: understudy.Strategy{Pick: "round_robin"}, // in order, so that the bad ones come first
		Endpoints: []understudy.Endpoint{
			{ID: "catalog-1", URL: "http://catalog-1.invalid"}, // RFC 2606: no such name, ever
			{ID: "catalog-2", URL: "http://catalog-2.invalid"},
			{ID: "catalog-3", URL: "http://catalog-3.invalid"},
			{ID: "catalog-4", URL: good.URL},
		},
		Retry: understudy.Retry{MaxAttempts: 4}, // whoever is asked first, the fourth is reached
		Health: understudy.Health{
			HTTP:         &understudy.HTTPCheck{Path: "/health"},
			InitialDelay: 500 * time.Millisecond, // leaves time for a request before anything is known
		},
	})
	if err != nil {
		log.Fatal(err)
	}

	fmt.Println("-- before the first checks: one bad endpoint after the other, then the good one --")
	search(catalog, true)

	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := us.Ready(ctx); err != nil { // every first check has its result
		log.Fatal(err)
	}
	fmt.Println("-- after the first checks --")
	before := attempts(catalog)
	for _, e := range catalog.Status().Endpoints {
		fmt.Printf("%s: %-9s  attempts: %d  %s\n", e.ID, e.Health, e.Attempts, e.HealthReason)
	}

	const searches = 100
	for i := range searches {
		search(catalog, i == 0)
	}
	after := attempts(catalog)
	fmt.Printf("%d searches: %d attempts on the bad three, %d on the good one\n", searches,
		after["catalog-1"]+after["catalog-2"]+after["catalog-3"]-before["catalog-1"]-before["catalog-2"]-before["catalog-3"],
		after["catalog-4"]-before["catalog-4"])
	before["catalog-4"] += searches
	for id, n := range after {
		if n != before[id] {
			log.Fatalf("%s had %d attempts in all, not %d", id, n, before[id])
		}
	}
}

// search makes one request; the fourth endpoint has to answer it.
func search(catalog *understudy.Service, show bool) {
	resp, err := catalog.Request(context.Background(), &messages.Request{Path: "/products/search?q=phone"})
	if err != nil {
		log.Fatal(err)
	}
	if want := "GET /products/search?q=phone: 3 phones"; resp.Endpoint != "catalog-4" || string(resp.Body) != want {
		log.Fatalf("%s answered %q, not catalog-4 %q", resp.Endpoint, resp.Body, want)
	}
	if !show {
		return
	}
	for _, a := range resp.Attempts {
		if a.Code != "" {
			fmt.Printf("%s: %s (%v)\n", a.Endpoint, a.Words, a.Duration.Round(time.Microsecond))
		}
	}
	fmt.Printf("%s: %s\n", resp.Endpoint, resp.Body)
}

// attempts tells how many each endpoint has had.
func attempts(s *understudy.Service) map[string]uint64 {
	n := make(map[string]uint64)
	for _, e := range s.Status().Endpoints {
		n[e.ID] = e.Attempts
	}
	return n
}
