// Httpclient: an ordinary http.Client becomes resilient by its transport. The code
// that uses the client stays as it is.
//
//	go run ./examples/httpclient
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/messages"
)

func main() {
	overloaded := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, "too much to do")
	}))
	defer overloaded.Close()
	well := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s", r.Method, r.URL)
	}))
	defer well.Close()

	us, err := understudy.New(understudy.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer us.Close()
	if _, err := us.AddService("orders", understudy.ServiceConfig{
		Strategy: understudy.Strategy{Pick: "round_robin"},
		Endpoints: []understudy.Endpoint{
			{ID: "orders-1", URL: overloaded.URL},
			{ID: "orders-2", URL: well.URL + "/v1"}, // the request's path comes behind it
		},
	}); err != nil {
		log.Fatal(err)
	}

	// The URL's host is a service's name; other hosts are reached as always.
	client := &http.Client{Transport: us.RoundTripper(nil)}

	// A GET may be repeated, so the second endpoint answers for the first.
	show(client.Get("http://orders/list?page=2"))
	show(client.Get(well.URL + "/not-a-service"))

	// A POST may not, as it could be carried out twice: it gets what the endpoint
	// says. (An Idempotency-Key header would allow it.)
	for range 2 {
		show(client.Post("http://orders/new", "text/plain", nil))
	}
	if stats := us.Service("orders").Stats(); stats.Recoveries != 1 || stats.Failed != 1 {
		log.Fatalf("not what was to be shown: %+v", stats)
	}
}

func show(resp *http.Response, err error) {
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s  %q  %s\n", resp.Status, body, resp.Header.Get(messages.HeaderError))
}
