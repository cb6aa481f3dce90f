package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// users is the user service. All that it has of Understudy is its client's transport.
func users(client *http.Client) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		resp, err := client.Get("http://orders" + r.URL.Path + "/orders")
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	}
}

// orders is the order service.
type orders struct {
	hits atomic.Int64
	is   atomic.Value // an http.HandlerFunc
}

func (o *orders) become(h http.HandlerFunc) { o.is.Store(h) }

func (o *orders) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.hits.Add(1)
	o.is.Load().(http.HandlerFunc)(w, r)
}

func well(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, list) }

func failing(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }

// stalling says that it cannot when nobody listens any more.
func stalling(w http.ResponseWriter, r *http.Request) {
	select {
	case <-time.After(attemptTimeout + 100*time.Millisecond):
		failing(w, r)
	case <-r.Context().Done():
	}
}

// tossing is well or failing, always with the same luck.
func tossing() http.HandlerFunc {
	var mu sync.Mutex
	coin := rand.New(rand.NewPCG(1, 3))
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		heads := coin.IntN(2) == 0
		mu.Unlock()
		if heads {
			well(w, r)
		} else {
			failing(w, r)
		}
	}
}
