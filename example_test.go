package understudy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/messages"
)

// A call goes on with another endpoint when one fails.
func ExampleDo() {
	us, err := understudy.New(understudy.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer us.Close()
	web, err := us.AddService("web", understudy.ServiceConfig{
		Strategy:  understudy.Strategy{Pick: "round_robin"},
		Endpoints: []understudy.Endpoint{{ID: "web-1"}, {ID: "web-2"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	var report understudy.Report
	answer, err := understudy.Do(context.Background(), web, func(ctx context.Context, t understudy.Target) (string, error) {
		if t.ID() == "web-1" {
			return "", errors.New("disk full")
		}
		return "hello from " + t.ID(), nil
	}, understudy.Into(&report))

	fmt.Println(answer, err)
	for _, a := range report.Attempts {
		fmt.Printf("%s: %q\n", a.Endpoint, a.Words)
	}
	// Output:
	// hello from web-2 <nil>
	// web-1: "disk full"
	// web-2: ""
}

// When every endpoint fails, the fallback answers in their place.
func ExampleDoOr() {
	us, err := understudy.New(understudy.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer us.Close()
	orders, err := us.AddService("orders", understudy.ServiceConfig{
		Endpoints: []understudy.Endpoint{{ID: "orders-1"}, {ID: "orders-2"}, {ID: "orders-3"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	fetch := func(context.Context, understudy.Target) ([]string, error) { return nil, errors.New("out of order") }
	empty := func(_ context.Context, err error) ([]string, error) {
		fmt.Println(err)
		return []string{}, nil
	}
	list, err := understudy.DoOr(context.Background(), orders, fetch, empty)
	fmt.Println(list, err)
	// Output:
	// orders: all 3 attempts failed: out of order
	// [] <nil>
}

// Any http.Client becomes resilient by its transport.
func ExampleService_RoundTripper() {
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }))
	defer broken.Close()
	good := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "you asked for ", r.URL) }))
	defer good.Close()

	us, err := understudy.New(understudy.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer us.Close()
	orders, err := us.AddService("orders", understudy.ServiceConfig{
		Strategy: understudy.Strategy{Pick: "round_robin"},
		Endpoints: []understudy.Endpoint{
			{ID: "orders-1", URL: broken.URL},
			{ID: "orders-2", URL: good.URL + "/api"},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	client := &http.Client{Transport: orders.RoundTripper()}
	resp, err := client.Get("http://orders/list?page=2") // the host is only a name here
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Println(resp.StatusCode, string(body))
	// Output: 200 you asked for /api/list?page=2
}

// An actor of one's own asks a service by message.
func ExampleService_PID() {
	system := actor.NewActorSystem()
	defer system.Shutdown()
	us, err := understudy.New(understudy.Config{}, understudy.WithActorSystem(system))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer us.Close()
	hello := func(_ context.Context, m *messages.Request) (*messages.Response, error) {
		return &messages.Response{Body: []byte("hello " + m.Path)}, nil
	}
	greeter, err := us.AddService("greeter", understudy.ServiceConfig{
		Endpoints: []understudy.Endpoint{{ID: "greeter-1", Handler: hello}}, // an endpoint may be a function
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	done := make(chan struct{})
	own := system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		switch m := c.Message().(type) {
		case *actor.Started:
			c.Request(greeter.PID(), &messages.Request{Path: "/you"}) // the answer is a message too
		case *messages.Response:
			fmt.Println(m.Endpoint, m.Status, string(m.Body))
			close(done)
		}
	}))
	<-done
	system.Root.Stop(own)
	// Output: greeter-1 200 hello /you
}

// Hooks are functions where a file has words: what a failure is, when a breaker
// opens, what an endpoint's connections are.
func ExampleHooks() {
	us, err := understudy.New(understudy.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer us.Close()
	errNotFound := errors.New("no such row")
	db, err := us.AddService("db", understudy.ServiceConfig{
		Endpoints: []understudy.Endpoint{{ID: "db-1", URL: "http://127.0.0.1:5432"}},
		Hooks: understudy.Hooks{
			Open: func(_ context.Context, e understudy.Endpoint) (any, error) {
				fmt.Println("open", e.ID)
				return "pool of " + e.ID, nil // a *sql.DB, say
			},
			Close: func(v any) error {
				fmt.Println("close", v)
				return nil
			},
			Classify: func(r understudy.Result) understudy.Verdict {
				if errors.Is(r.Err, errNotFound) {
					return understudy.Ignore // says nothing about the database
				}
				return understudy.Auto
			},
			OnAttempt: func(a messages.Attempt) { fmt.Println("attempt on", a.Endpoint, a.Words) },
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	for range 2 {
		_, err = understudy.Do(context.Background(), db, func(_ context.Context, t understudy.Target) (int, error) {
			fmt.Println("ask", t.Value())
			return 0, errNotFound
		})
		fmt.Println(err == errNotFound)
	}
	// Output:
	// open db-1
	// ask pool of db-1
	// attempt on db-1 no such row
	// true
	// ask pool of db-1
	// attempt on db-1 no such row
	// true
	// close pool of db-1
}

// Just the choice, for a program that makes the call in its own way.
func ExampleService_Select() {
	us, err := understudy.New(understudy.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer us.Close()
	web, err := us.AddService("web", understudy.ServiceConfig{
		Strategy:  understudy.Strategy{Pick: "round_robin"},
		Endpoints: []understudy.Endpoint{{ID: "web-1"}, {ID: "web-2"}, {ID: "web-3"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	for range 4 {
		t, err := web.Select(context.Background())
		fmt.Println(t.ID(), err)
	}
	// Output:
	// web-1 <nil>
	// web-2 <nil>
	// web-3 <nil>
	// web-1 <nil>
}

// A lease is one attempt in the caller's own hands: limits, breaker and statistics
// see it, and what came of it is said at the end.
func ExampleService_Acquire() {
	us, err := understudy.New(understudy.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer us.Close()
	smtp, err := us.AddService("smtp", understudy.ServiceConfig{
		Endpoints: []understudy.Endpoint{{ID: "smtp-1"}},
		Breaker:   understudy.Breaker{FailureThreshold: 2, OpenTimeout: time.Minute, Jitter: understudy.Off},
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	for range 3 {
		lease, err := smtp.Acquire(context.Background())
		if err != nil {
			var refused *understudy.Error
			if errors.As(err, &refused) {
				fmt.Println(refused.Code, refused.RetryAfter > 59*time.Second)
			}
			continue
		}
		fmt.Println("talking to", lease.Target().ID())
		lease.Done(errors.New("hung up in mid-sentence"))
	}
	// Output:
	// talking to smtp-1
	// talking to smtp-1
	// CIRCUIT_OPEN true
}
