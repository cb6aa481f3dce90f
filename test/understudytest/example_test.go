package understudytest_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/test/understudytest"
)

// A breaker opens, its time passes, and a trial closes it, though nothing sleeps.
func ExampleClock() {
	clock := understudytest.NewClock()
	us, err := understudy.New(understudy.Config{}, understudy.WithClock(clock))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer us.Close()
	db, err := us.AddService("db", understudy.ServiceConfig{
		Endpoints: []understudy.Endpoint{{ID: "db-1"}},
		Breaker:   understudy.Breaker{FailureThreshold: 2, OpenTimeout: 5 * time.Second, Jitter: understudy.Off},
		Retry:     understudy.Retry{MaxAttempts: 1},
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	answer := errors.New("disk full")
	ask := func() {
		_, err := understudy.Do(context.Background(), db, func(context.Context, understudy.Target) (string, error) {
			return "row", answer
		})
		fmt.Println(err)
	}
	ask()
	ask()
	ask() // refused
	answer = nil
	clock.Advance(5 * time.Second)
	ask()
	// Output:
	// db/db-1: the attempt failed: disk full
	// db/db-1: the attempt failed: disk full
	// db: circuit open, retry after 5s
	// <nil>
}
