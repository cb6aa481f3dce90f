package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// orders is one instance of the order service that the demo runs as a process of
// its own. It is an ordinary web service which knows nothing of Understudy, but
// for one page with which the demo makes it sick.
//
//	GET  /orders                    what is on order
//	GET  /health                    200
//	POST /stall?every=2&for=6s      from now on every second call of /orders takes 6 s; every=0 ends it
type orders struct {
	id string

	mu    sync.Mutex
	calls int
	every int // 0: never
	delay time.Duration
	ended chan struct{} // closed when the stall ends, so that nobody is kept longer
}

// workTime is what an order costs, so that latencies are not all zero.
const workTime = 2 * time.Millisecond

// delayMax bounds what /stall takes.
const delayMax = time.Minute

// ServeOrders runs an instance at address until in ends, which it does when the
// demo's process is gone in whatever way. It writes its URL to out, one line,
// when it listens.
func ServeOrders(id, address string, in io.Reader, out io.Writer) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: newOrders(id).handler(), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	if _, err := fmt.Fprintf(out, "http://%s\n", l.Addr()); err != nil {
		return errors.Join(err, server.Close())
	}
	orphaned := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, in) // an error ends it as well
		close(orphaned)
	}()
	select {
	case err := <-served:
		return err
	case <-orphaned:
		return server.Close()
	}
}

func newOrders(id string) *orders { return &orders{id: id, ended: make(chan struct{})} }

func (o *orders) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders", o.list)
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("POST /stall", o.stall)
	return mux
}

func (o *orders) list(w http.ResponseWriter, r *http.Request) {
	wait, ended := o.next()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ended:
	case <-r.Context().Done():
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{ // who went away needs no answer
		"served_by": o.id,
		"orders":    []map[string]any{{"id": 7, "item": "tea", "quantity": 2}, {"id": 8, "item": "milk", "quantity": 1}},
	})
}

// next is how long the next call takes, and what cuts that short.
func (o *orders) next() (time.Duration, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls++
	if o.every > 0 && o.calls%o.every == 0 {
		return o.delay, o.ended
	}
	return workTime, nil
}

func (o *orders) stall(w http.ResponseWriter, r *http.Request) {
	every, err := strconv.Atoi(r.FormValue("every"))
	delay, derr := time.ParseDuration(r.FormValue("for"))
	if err != nil || every < 0 || every > 0 && (derr != nil || delay < 0 || delay > delayMax) {
		http.Error(w, "need every=<calls> and for=<duration>", http.StatusBadRequest)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.every, o.delay = every, delay
	close(o.ended)
	o.ended = make(chan struct{})
}

// setStall makes every n-th call of the instance at url take that long; 0 ends it.
func setStall(ctx context.Context, url string, every int, delay time.Duration) error {
	target := fmt.Sprintf("%s/stall?every=%d&for=%v", url, every, delay)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", target, resp.Status)
	}
	return nil
}
