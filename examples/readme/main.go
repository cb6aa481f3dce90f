// Readme is the program that the README shows.
//
//	go run ./examples/readme
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"

	"github.com/understudy-go/understudy"
)

func main() {
	us, err := understudy.New(understudy.Config{}) // never waits for a network
	if err != nil {
		log.Fatal(err)
	}
	defer us.Close()

	web, err := us.AddService("web", understudy.ServiceConfig{
		Strategy: understudy.Strategy{Pick: "round_robin"},
		Endpoints: []understudy.Endpoint{
			{ID: "web-1", URL: "http://127.0.0.1:9001"},
			{ID: "web-2", URL: "http://127.0.0.1:9002"},
		},
	})
	if err != nil {
		log.Fatal(err)
	}

	// Any function, with an endpoint that is well:
	where, err := understudy.Do(context.Background(), web,
		func(ctx context.Context, t understudy.Target) (string, error) { return "served by " + t.ID(), nil })
	fmt.Println(where, err)

	// Or the standard client, unchanged but for its transport:
	client := &http.Client{Transport: web.RoundTripper()}
	resp, err := client.Get("http://web/")
	if err != nil {
		fmt.Println(err) // nobody listens on those ports: web: all 3 attempts failed: …
		return
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	fmt.Println(resp.Status)
}
