// Tripandrecover: a circuit breaker trips after five failures in a row. Until its
// open time is over it refuses calls, and says when to come back. Then it lets
// exactly one of 50 calls through; that one succeeds, and the breaker is closed.
//
//	go run ./examples/tripandrecover
package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/messages"
)

const openTimeout = time.Second

// backend fails until it is mended, and can hold a request up.
type backend struct {
	hits    atomic.Int64
	mended  atomic.Bool
	arrived chan struct{} // takes a token for each request while it is mended
	goOn    chan struct{} // closed when these may be answered
}

func (b *backend) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	b.hits.Add(1)
	if !b.mended.Load() {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	b.arrived <- struct{}{}
	<-b.goOn
}

func main() {
	b := &backend{arrived: make(chan struct{}, 100), goOn: make(chan struct{})}
	server := httptest.NewServer(b)
	defer server.Close()

	us, err := understudy.New(understudy.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer us.Close()
	api, err := us.AddService("api", understudy.ServiceConfig{
		Endpoints: []understudy.Endpoint{{ID: "api-1", URL: server.URL}},
		Retry:     understudy.Retry{MaxAttempts: 1}, // so that calls and attempts are the same
		Breaker: understudy.Breaker{
			FailureThreshold: 5,
			OpenTimeout:      openTimeout,
			OpenTimeoutMax:   openTimeout,    // it does not double
			Jitter:           understudy.Off, // nor vary
			HalfOpenMaxCalls: 1,
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	next, stop := iter.Pull(us.Events(ctx, understudy.Filter{Service: "api"}))
	defer stop()
	call := func() error {
		_, err := api.Request(ctx, &messages.Request{})
		return err
	}

	fmt.Println("-- the backend fails --")
	for i := range 5 {
		fmt.Printf("call %d: %v\n", i+1, call())
	}
	await(next, messages.KindCircuitOpened)

	fmt.Println("-- it is mended at once, but calls are refused until the time is over --")
	b.mended.Store(true)
	first, second := refused(call()), refused(call())
	expect(b.hits.Load() == 5, "the backend had %d calls, not 5", b.hits.Load())
	expect(first.RetryAfter <= openTimeout && second.RetryAfter > 0, "retry after %v", first.RetryAfter)
	expect(second.RetryAfter < first.RetryAfter, "a refusal moved the time: %v, then %v", first.RetryAfter, second.RetryAfter)

	fmt.Println("-- the time is over: one call is the trial; 49 others come while it is under way --")
	trial := make(chan error)
	go func() { trial <- comeBack(second, call) }()
	await(next, messages.KindCircuitHalfOpened)
	<-b.arrived
	others := make(chan error)
	for range 49 {
		go func() { others <- call() }()
	}
	for range 49 {
		err := <-others
		expect(errors.Is(err, messages.ErrCircuitOpen), "a call beside the trial: %v", err)
	}
	fmt.Println("49 refused")
	expect(b.hits.Load() == 6, "%d calls were trials, not 1", b.hits.Load()-5)
	close(b.goOn)
	err = <-trial
	expect(err == nil, "the trial: %v", err)
	await(next, messages.KindCircuitClosed)

	for range 10 {
		err := call()
		expect(err == nil, "after it closed: %v", err)
	}
	fmt.Println("10 calls, all answered")
}

// refused checks that err is a refusal and says so.
func refused(err error) *understudy.Error {
	var e *understudy.Error
	if !errors.As(err, &e) || e.Code != messages.CodeCircuitOpen {
		log.Fatalf("not refused: %v", err)
	}
	fmt.Printf("refused: %s, retry after %v\n", e.Words, e.RetryAfter.Round(10*time.Microsecond))
	return e
}

// comeBack calls when a refusal said that it is worth it, as often as it is refused.
func comeBack(e *understudy.Error, call func() error) error {
	for {
		<-time.After(e.RetryAfter)
		err := call()
		if !errors.As(err, &e) || e.Code != messages.CodeCircuitOpen {
			return err
		}
	}
}

// await tells what happens up to the event that is waited for.
func await(next func() (understudy.Event, bool), kind messages.Kind) {
	for {
		e, ok := next()
		if !ok {
			log.Fatalf("no %s within 30 s", kind)
		}
		fmt.Printf("   %s: %s\n", e.Kind, e.Cause.Words)
		if e.Kind == kind {
			return
		}
	}
}

// expect ends the program where what it shows does not hold.
func expect(ok bool, format string, a ...any) {
	if !ok {
		log.Fatalf(format, a...)
	}
}
