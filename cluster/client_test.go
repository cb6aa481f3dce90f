package cluster_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/understudy-go/understudy/actors"
	"github.com/understudy-go/understudy/cluster"
	"github.com/understudy-go/understudy/cluster/embedded"
	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/understudytest"
)

func TestClientRequest(t *testing.T) {
	web := understudytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Own", r.Header.Get("X-Mine"))
		if r.URL.Path == "/fail" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = w.Write([]byte(r.Method + r.URL.RequestURI()))
	}))
	n := startNode(t, services{"orders": over(web), "empty": {}})
	client := cluster.NewClient(n.caller, "")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	resp, err := client.Request(ctx, "orders", &messages.Request{Method: "PUT", Path: "/x?y", Header: messages.Header{"X-Mine": {"mine"}}})
	noError(t, err)
	equal(t, string(resp.Body), "PUT/x?y")
	equal(t, []any{resp.Status, resp.Endpoint, resp.Header.Get("X-Own"), resp.Fallback}, []any{200, "orders-1", "mine", false})
	equal(t, resp.Attempts, []messages.Attempt{{Endpoint: "orders-1", Status: 200}})

	resp, err = client.Request(ctx, "orders", &messages.Request{Path: "/fail"})
	errorIs(t, err, messages.ErrRetryExhausted)
	equal(t, err.Error(), "orders/orders-1: status 500")
	equal(t, string(resp.Body), "GET/fail")
	equal(t, resp.Status, 500)
	errorIs(t, resp.Err, messages.ErrRetryExhausted)

	resp, err = client.Request(ctx, "empty", &messages.Request{})
	errorIs(t, err, messages.ErrNoEndpoints)
	equal(t, err.Error(), "empty: no healthy endpoints: none is registered")
	equal(t, resp, nil)
}

func TestClientErrors(t *testing.T) {
	entered := make(chan struct{}, 1)
	n := startNode(t, services{"orders": function(func(ctx context.Context, _ *messages.Request) (*messages.Response, error) {
		entered <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	})})
	client := cluster.NewClient(n.caller, "")
	for name, tc := range map[string]struct {
		service string
		m       messages.Request
		want    error
	}{
		"unknown":        {"payments", messages.Request{}, messages.ErrNotFound},
		"no name":        {"or ders", messages.Request{}, messages.ErrInvalidRequest},
		"line break":     {"orders", messages.Request{Header: messages.Header{"A": {"b\r\nc"}}}, messages.ErrInvalidRequest},
		"in the path":    {"orders", messages.Request{Path: "/\n"}, messages.ErrInvalidRequest},
		"no header name": {"orders", messages.Request{Header: messages.Header{"A B": {"c"}}}, messages.ErrInvalidRequest},
		"negative":       {"orders", messages.Request{Timeout: -time.Second}, messages.ErrInvalidRequest},
		"too large":      {"orders", messages.Request{Body: make([]byte, n.caller.MaxPayload()+1)}, messages.ErrPayloadTooLarge},
		"timeout":        {"orders", messages.Request{Method: "POST", Timeout: time.Millisecond}, messages.ErrTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := client.Request(t.Context(), tc.service, &tc.m)
			errorIs(t, err, tc.want)
			select {
			case <-entered:
				equal(t, name, "timeout")
			default:
			}
		})
	}

	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-entered
		cancel()
	}()
	_, err := client.Request(ctx, "orders", &messages.Request{Method: "POST"})
	errorIs(t, err, context.Canceled)
	errorIs(t, err, messages.ErrCanceled)
}

// The caller's deadline goes along, so that nobody works for a caller who left.
func TestClientTellsItsDeadline(t *testing.T) {
	left := make(chan time.Duration, 1)
	n := startNode(t, services{"orders": function(func(ctx context.Context, _ *messages.Request) (*messages.Response, error) {
		end, _ := ctx.Deadline()
		left <- time.Until(end)
		return &messages.Response{}, nil
	})})
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	_, err := cluster.NewClient(n.caller, "").Request(ctx, "orders", &messages.Request{})
	noError(t, err)
	d := <-left
	holds(t, d > 0 && d <= 1500*time.Millisecond, d.String()) // attempt_timeout alone would be 2 s
}

func TestClientWithoutNodes(t *testing.T) {
	server := startServer(t, embedded.Config{}, nil)
	nc := plainClient(t, server)
	client := cluster.NewClient(nc, "")
	_, err := client.Status(t.Context(), "")
	errorIs(t, err, messages.ErrServiceUnavailable)
	equal(t, err.Error(), "no node answers")
	_, err = client.Operate(t.Context(), messages.OperateRequest{})
	errorIs(t, err, messages.ErrServiceUnavailable)
	_, err = client.Request(t.Context(), "orders", &messages.Request{})
	errorIs(t, err, messages.ErrNotFound)

	nc.Close()
	var unreachable *cluster.UnreachableError
	_, err = client.Status(t.Context(), "")
	holds(t, errors.As(err, &unreachable), "unreachable")
	_, err = client.Request(t.Context(), "orders", &messages.Request{})
	holds(t, errors.As(err, &unreachable), "unreachable")
	for _, err := range client.Events(t.Context(), cluster.EventFilter{}) {
		holds(t, errors.As(err, &unreachable), "unreachable")
	}
}

// A node that is stopped (SIGSTOP) keeps its place and says nothing: the others'
// answers come, and a caller that asks it alone is told in time.
func TestClientGathersWhatComes(t *testing.T) {
	n := startNode(t, nil)
	silent := plainClient(t, n.server)
	_, err := silent.Subscribe("understudy.admin.*", func(*nats.Msg) {})
	noError(t, err)
	garbled, err := silent.Subscribe("understudy.admin.status", func(m *nats.Msg) { _ = m.Respond([]byte("not JSON")) })
	noError(t, err)
	noError(t, silent.Flush())
	client := cluster.NewClient(n.caller, "")
	all, err := client.Status(t.Context(), "")
	equal(t, len(all), 1)
	contains(t, err.Error(), "a node's answer cannot be read")
	noError(t, garbled.Unsubscribe())
	noError(t, silent.Flush())
	n.door.Close()
	noError(t, n.nc.Flush())
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = client.Status(ctx, "")
	errorIs(t, err, messages.ErrTimeout)
}

func TestClientEvents(t *testing.T) {
	n := startNode(t, nil)
	client := cluster.NewClient(n.caller, "")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	mine := client.Events(ctx, cluster.EventFilter{Service: "orders", Kind: messages.KindEndpointRegistered})
	all := client.Events(ctx, cluster.EventFilter{})
	odd := client.Events(ctx, cluster.EventFilter{Endpoint: "a.b*>"})
	s, err := n.sys.AddService("orders", actors.ServiceConfig{})
	noError(t, err)
	_, err = n.sys.AddService("other", actors.ServiceConfig{})
	noError(t, err)
	noError(t, s.Register(actors.Endpoint{ID: "a.b*>"}))
	first := func(seq func(func(messages.Event, error) bool)) messages.Event {
		for e, err := range seq {
			noError(t, err)
			return e
		}
		t.Fatal("no event")
		return messages.Event{}
	}
	equal(t, first(mine).Endpoint, "a.b*>")
	equal(t, first(all).Kind, messages.KindServiceAdded)
	equal(t, first(odd).Service, "orders")

	// What cannot be read is an error, and the next one follows; then the end.
	retries := client.Events(ctx, cluster.EventFilter{Kind: messages.KindRetry})
	noError(t, n.caller.Publish("understudy.event.orders._.retry", []byte("not JSON")))
	noError(t, n.caller.Publish("understudy.event.orders._.retry", []byte(`{"data":{"kind":"retry"}}`)))
	var seen []string
	for e, err := range retries {
		seen = append(seen, string(e.Kind))
		if len(seen) == 1 {
			errorIs(t, err, messages.ErrInternal)
		} else {
			noError(t, err)
			cancel()
		}
	}
	equal(t, seen, []string{"", "retry"})
}

// Credentials in the servers' addresses show in no error.
func TestUnreachableShowsNoSecret(t *testing.T) {
	server := startServer(t, embedded.Config{User: "u", Password: "hidden"}, nil)
	nc, err := nats.Connect("nats://u:hidden@" + hostPort(server))
	noError(t, err)
	nc.Close()
	_, err = cluster.NewClient(nc, "").Status(t.Context(), "")
	holds(t, err != nil && !strings.Contains(err.Error(), "hidden"), "no secret in "+err.Error())
}
