// Database: a primary and its replica, with a connection pool of database/sql for
// each. The primary answers while it can. When it is killed the replica answers, and
// when it is back it has its queries back: no query fails, and nobody has to do
// anything.
//
//	go run ./examples/database
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"log"
	"sync/atomic"
	"time"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/messages"
)

const pause = 200 * time.Millisecond

func main() {
	users := map[string]string{"7": "Ada"}
	primary := &server{name: "primary", addr: "127.0.0.1:0", users: users}
	replica := &server{name: "replica", addr: "127.0.0.1:0", users: users}
	primary.start()
	replica.start()
	var pools atomic.Int64 // that are open

	us, err := understudy.New(understudy.Config{})
	if err != nil {
		log.Fatal(err)
	}
	db, err := us.AddService("db", understudy.ServiceConfig{
		Strategy: understudy.Strategy{Pick: "priority"}, // the replica stands by
		Endpoints: []understudy.Endpoint{
			{ID: "primary", Priority: 0, Metadata: map[string]string{"dsn": primary.addr}},
			{ID: "replica", Priority: 1, Metadata: map[string]string{"dsn": replica.addr}},
		},
		Breaker: understudy.Breaker{FailureThreshold: 3, OpenTimeout: time.Minute},
		Retry:   understudy.Retry{MaxAttempts: 3, Backoff: understudy.Constant(pause)}, // waits only where there is no other
		Health:  understudy.Health{Interval: 100 * time.Millisecond, Fall: 3, Rise: 2},
		Hooks: understudy.Hooks{
			Open: func(_ context.Context, e understudy.Endpoint) (any, error) {
				pools.Add(1)
				return sql.Open("fakedb", e.Metadata["dsn"])
			},
			Close: func(v any) error {
				pools.Add(-1)
				return v.(*sql.DB).Close()
			},
			Check: func(ctx context.Context, t understudy.Target) error { return t.Value().(*sql.DB).PingContext(ctx) },
			Classify: func(r understudy.Result) understudy.Verdict {
				if errors.Is(r.Err, sql.ErrNoRows) {
					return understudy.Success // it did what it was asked to
				}
				return understudy.Auto
			},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := us.Ready(ctx); err != nil {
		log.Fatal(err)
	}
	next, stop := iter.Pull(us.Events(ctx, understudy.Filter{Service: "db", Endpoint: "primary"}))
	defer stop()

	fmt.Println("-- both are well --")
	find(db, "primary")
	_, _, err = query(db, "8")
	fmt.Println("user 8:", err)
	expect(err == sql.ErrNoRows, "the error is not as it came: %v", err)

	fmt.Println("-- the primary is killed --")
	primary.kill()
	report := find(db, "replica")
	expect(report.Duration < pause, "it waited before it asked the other one: %v", report.Duration)
	for range 99 {
		_, report, err = query(db, "7")
		expect(err == nil && report.Endpoint == "replica", "%s answered: %v", report.Endpoint, err)
	}
	fmt.Printf("and 99 times more; the primary was tried in vain %d times\n", failures(db, "primary"))
	expect(failures(db, "primary") <= 3, "its breaker did not open")
	await(next, messages.KindEndpointDown)

	fmt.Println("-- the primary comes back --")
	primary.start()
	await(next, messages.KindEndpointUp)
	for report.Endpoint != "primary" && ctx.Err() == nil { // the news travels
		_, report, _ = query(db, "7")
	}
	find(db, "primary")

	fmt.Println("-- the replica is being repaired, and the primary has too much to do for a moment --")
	if err := db.Operate(ctx, understudy.Order{Endpoint: "replica", Verb: understudy.VerbMaint, Reason: "new disk"}); err != nil {
		log.Fatal(err)
	}
	primary.turnDown(2)
	report = find(db, "primary")
	expect(len(report.Attempts) == 3 && report.Duration >= 2*pause, "%d attempts in %v", len(report.Attempts), report.Duration)

	stats := db.Stats()
	fmt.Printf("%d queries, %d failed; %d attempts\n", stats.Requests, stats.Failed, stats.Attempts)
	expect(stats.Failed == 0, "somebody noticed")
	us.Close()
	expect(pools.Load() == 0, "%d pools are still open", pools.Load())
}

// query finds a user's name, with whichever database is to be asked.
func query(db *understudy.Service, id string) (name string, report understudy.Report, err error) {
	name, err = understudy.Do(context.Background(), db, func(ctx context.Context, t understudy.Target) (name string, err error) {
		err = t.Value().(*sql.DB).QueryRowContext(ctx, id).Scan(&name)
		return name, err
	}, understudy.Into(&report))
	return name, report, err
}

// find shows who user 7 is. It is the database of that id that has to answer.
func find(db *understudy.Service, from string) understudy.Report {
	name, report, err := query(db, "7")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("user 7:", name)
	for _, a := range report.Attempts {
		if a.Code != "" {
			fmt.Printf("   the %s failed before: %s\n", a.Endpoint, a.Words)
		}
	}
	expect(report.Endpoint == from, "the %s answered, not the %s", report.Endpoint, from)
	return report
}

// failures tells how many calls of an endpoint have failed.
func failures(db *understudy.Service, id string) (n uint64) {
	for _, e := range db.Status().Endpoints {
		if e.ID == id {
			n = e.Failures
		}
	}
	return n
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
