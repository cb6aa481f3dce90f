// Weighted: three API servers of different size share the calls 3:2:1. Of 600
// calls, from six callers at a time, they get exactly 300, 200 and 100.
//
//	go run ./examples/weighted
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/understudy-go/understudy"
)

// api is a server that counts what it is asked.
type api struct {
	*httptest.Server
	name  string
	calls atomic.Int64
}

func serve(name string) *api {
	a := &api{name: name}
	a.Server = httptest.NewServer(a)
	return a
}

func (a *api) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	a.calls.Add(1)
	fmt.Fprint(w, a.name)
}

func main() {
	large, medium, small := serve("large"), serve("medium"), serve("small")
	defer large.Close()
	defer medium.Close()
	defer small.Close()

	us, err := understudy.New(understudy.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer us.Close()
	service, err := us.AddService("api", understudy.ServiceConfig{
		Strategy: understudy.Strategy{Pick: "weighted"},
		Endpoints: []understudy.Endpoint{
			{ID: "large", URL: large.URL, Weight: 3},
			{ID: "medium", URL: medium.URL, Weight: 2},
			{ID: "small", URL: small.URL}, // the default is 1
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: service.RoundTripper()}

	// One after the other: no server gets its share in one go.
	var order []string
	for range 12 {
		order = append(order, call(client))
	}
	fmt.Println("the first 12:", strings.Join(order, " "))

	// The rest from six callers at a time; who calls does not matter.
	var callers sync.WaitGroup
	for range 6 {
		callers.Go(func() {
			for range 98 {
				call(client)
			}
		})
	}
	callers.Wait()

	for _, s := range []struct {
		*api
		want int64
	}{{large, 300}, {medium, 200}, {small, 100}} {
		got := s.calls.Load()
		fmt.Printf("%-6s  %d calls  %s\n", s.name, got, strings.Repeat("█", int(got/10)))
		if got != s.want {
			log.Fatalf("%s had %d calls, not %d", s.name, got, s.want)
		}
	}
}

// call returns the name of the server that answered.
func call(client *http.Client) string {
	resp, err := client.Get("http://api/")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	name, err := io.ReadAll(resp.Body)
	if err != nil {
		log.Fatal(err)
	}
	return string(name)
}
