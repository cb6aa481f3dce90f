package actors

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/understudy-go/understudy/messages"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBoom = errors.New("boom")

// virtual runs f in a bubble whose time passes when everybody waits for it.
func virtual(t *testing.T, c ServiceConfig, f func(t *testing.T, s *Service)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sys := New(Options{Node: "n"})
		defer func() {
			_ = sys.Close()
			advance(2 * time.Second) // protoactor's dead-letter throttle ends by itself
		}()
		s, err := sys.AddService("svc", c)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		f(t, s)
	})
}

// advance lets d pass.
func advance(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// endpoints are n endpoints without a URL: e0, e1, ….
func endpoints(n int) []Endpoint {
	var out []Endpoint
	for i := range n {
		out = append(out, Endpoint{ID: fmt.Sprintf("e%d", i)})
	}
	return out
}

func good(_ context.Context, t Target) (string, error) { return t.ID(), nil }
func bad(_ context.Context, t Target) (string, error)  { return t.ID(), errBoom }

// failing fails at the endpoints that are named.
func failing(ids ...string) func(context.Context, Target) (string, error) {
	return func(_ context.Context, t Target) (string, error) {
		if contains(ids, t.ID()) {
			return t.ID(), errBoom
		}
		return t.ID(), nil
	}
}

func (s *Service) endpointCell(t *testing.T, id string) *endpointCell {
	t.Helper()
	cell, err := s.find(id)
	if err != nil {
		t.Fatal(err)
	}
	return cell
}

func status(t *testing.T, s *Service, id string) messages.EndpointStatus {
	t.Helper()
	for _, e := range s.Status().Endpoints {
		if e.ID == id {
			return e
		}
	}
	t.Fatalf("no endpoint %s", id)
	return messages.EndpointStatus{}
}

func kinds(s *Service) []messages.Kind {
	var out []messages.Kind
	for _, e := range s.History(eventsKept) {
		out = append(out, e.Kind)
	}
	return out
}

func count(s *Service, k messages.Kind) int {
	n := 0
	for _, x := range kinds(s) {
		if x == k {
			n++
		}
	}
	return n
}

func code(err error) messages.Code {
	var e *messages.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// settled fails unless every lease is back and every request has ended.
func settled(t *testing.T, s *Service) {
	t.Helper()
	synctest.Wait()
	if s.busy() {
		t.Fatalf("something is still under way: %+v", s.Status())
	}
}
