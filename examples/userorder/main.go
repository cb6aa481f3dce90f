// Userorder: a user service asks an order service for a user's orders. While orders
// stalls or is down, users get a kind answer in place of an error, and once its
// breaker is open they get it at once. When orders comes back, they get their orders.
// At last it fails half the time, and seven of eight never notice.
//
//	go run ./examples/userorder
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/understudy-go/understudy"
)

const (
	attemptTimeout = 500 * time.Millisecond
	firstWait      = 200 * time.Millisecond
	secondWait     = 400 * time.Millisecond

	list  = `{"orders":["book","lamp"]}`
	sorry = `{"message":"Order service is down, please try again later."}`
)

func main() {
	o := &orders{}
	o.become(well)
	orderServer := httptest.NewServer(o)
	defer orderServer.Close()

	us, err := understudy.New(understudy.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer us.Close()
	config := understudy.ServiceConfig{
		Endpoints:      []understudy.Endpoint{{ID: "orders-1", URL: orderServer.URL}},
		AttemptTimeout: attemptTimeout,
		Retry: understudy.Retry{
			MaxAttempts: 3,
			Backoff:     understudy.Exponential(firstWait, time.Second),
			Jitter:      understudy.NoJitter, // so that the waits can be foretold
		},
		Breaker:  understudy.Breaker{FailureThreshold: 4, OpenTimeout: time.Second},
		Fallback: &understudy.Fallback{Body: sorry},
	}
	service, err := us.AddService("orders", config)
	if err != nil {
		log.Fatal(err)
	}
	userServer := httptest.NewServer(users(&http.Client{Transport: service.RoundTripper()}))
	defer userServer.Close()
	b := browser{userServer.URL + "/users/7", o}

	fmt.Println("-- orders is well --")
	b.load().expect(list, 1)

	fmt.Println("-- orders stalls: three attempts and two waits, then the fallback --")
	o.become(stalling)
	p := b.load()
	p.expect(sorry, 3)
	if least := 3*attemptTimeout + firstWait + secondWait; p.took < least {
		log.Fatalf("it took %v, less than %v", p.took, least)
	}

	fmt.Println("-- its fourth failure in a row opens the breaker: from then on it is not asked --")
	b.load().expect(sorry, 1)
	b.load().expect(sorry, 0)

	fmt.Println("-- orders comes back, the browser reloads until it shows --")
	o.become(well)
	reload := time.Tick(50 * time.Millisecond)
	for n := 0; p.body == sorry && n < 200; n++ {
		<-reload
		p = b.load()
	}
	p.expect(list, 1)

	fmt.Println("-- now orders fails half the time; there is no breaker and no wait --")
	config.Breaker.Disabled = true
	config.Retry.Backoff = understudy.Constant(0)
	config.Retry.Budget.Ratio = understudy.Off // by default, retries stay below a fifth of the requests
	if err := service.Configure(config); err != nil {
		log.Fatal(err)
	}
	o.become(tossing())
	const loads = 1000
	hits, fallbacks := 0, 0
	for range loads {
		p := b.load()
		hits += p.hits
		if p.body == sorry {
			fallbacks++
		}
	}
	mean, share := float64(hits)/loads, 100*float64(fallbacks)/loads
	fmt.Printf("%d loads: %.2f hits each, %.1f %% got the fallback; 1.75 and 12.5 %% are to be expected\n", loads, mean, share)
	if mean < 1.65 || mean > 1.85 || share < 10 || share > 15 {
		log.Fatal("that is far from it")
	}
}

// browser loads a user's page, and watches what that costs the order service.
type browser struct {
	url string
	*orders
}

type page struct {
	body string
	hits int
	took time.Duration
}

func (b *browser) load() page {
	before, began := b.hits.Load(), time.Now()
	resp, err := http.Get(b.url)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		log.Fatalf("a user sees %s: %s (%v)", resp.Status, body, err)
	}
	return page{string(body), int(b.hits.Load() - before), time.Since(began)}
}

// expect shows the page, and ends the program where it is not the one to be shown.
func (p page) expect(body string, hits int) {
	fmt.Printf("%s  %d hits, %v\n", p.body, p.hits, p.took.Round(100*time.Microsecond))
	if p.body != body || p.hits != hits {
		log.Fatalf("not %s with %d hits", body, hits)
	}
}
