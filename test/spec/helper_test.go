package spec

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/messages"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBroken = errors.New("broken")

// noSuchHost is what the resolver says of a name that is not there.
var noSuchHost = &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "nowhere.invalid", IsNotFound: true}}

// once makes each call a single attempt, so that calls and hits are the same.
var once = understudy.Retry{MaxAttempts: 1}

// inOrder makes it predictable who is asked first.
var inOrder = understudy.Strategy{Pick: "round_robin"}

// start returns a system that closes with its test.
func start(t testing.TB, opts ...understudy.Option) *understudy.System {
	t.Helper()
	us, err := understudy.New(understudy.Config{Node: "spec"}, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, us.Close()) })
	return us
}

func add(t testing.TB, us *understudy.System, name string, c understudy.ServiceConfig) *understudy.Service {
	t.Helper()
	s, err := us.AddService(name, c)
	require.NoError(t, err)
	return s
}

// virtually runs f with a service on virtual time.
func virtually(t *testing.T, c understudy.ServiceConfig, f func(t *testing.T, s *understudy.Service)) {
	t.Helper()
	bubble(t, func(t *testing.T) {
		s := add(t, start(t), "svc", c)
		synctest.Wait() // the first checks have their results
		f(t, s)
	})
}

// bubble runs f on virtual time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { pass(time.Second) }) // protoactor keeps a goroutine that long after a dead letter
		f(t)
	})
}

// pass lets d pass and whatever falls due by then happen.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func named(ids ...string) (out []understudy.Endpoint) {
	for _, id := range ids {
		out = append(out, understudy.Endpoint{ID: id})
	}
	return out
}

// backend is what stands behind a service: how each endpoint behaves, and who was
// asked. An endpoint that was told nothing is well.
type backend struct {
	mu   sync.Mutex
	does map[string]func(context.Context) error
	hits []string // who was asked, in order
}

// set says how endpoints behave from now on; nil: well.
func (b *backend) set(does func(context.Context) error, ids ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.does == nil {
		b.does = make(map[string]func(context.Context) error)
	}
	for _, id := range ids {
		b.does[id] = does
	}
}

// call is a function for Do; it returns who answered.
func (b *backend) call(ctx context.Context, t understudy.Target) (string, error) {
	b.mu.Lock()
	b.hits = append(b.hits, t.ID())
	does := b.does[t.ID()]
	b.mu.Unlock()
	if does == nil {
		return t.ID(), nil
	}
	return t.ID(), does(ctx)
}

// total is how often it was asked.
func (b *backend) total() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.hits)
}

// of is how often an endpoint was asked.
func (b *backend) of(id string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, hit := range b.hits {
		if hit == id {
			n++
		}
	}
	return n
}

func broken(context.Context) error { return errBroken }

// stalled answers nothing until its caller goes away.
func stalled(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// taking answers after d, with err.
func taking(d time.Duration, err error) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-time.After(d):
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// do makes n calls and returns the last one's error.
func do(t testing.TB, s *understudy.Service, b *backend, n int) (err error) {
	t.Helper()
	for range n {
		_, err = understudy.Do(t.Context(), s, b.call)
	}
	return err
}

// coded checks an error's code and returns the error.
func coded(t testing.TB, err error, code messages.Code) *understudy.Error {
	t.Helper()
	var e *understudy.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, code, e.Code, "%v", err)
	return e
}

func status(t testing.TB, s *understudy.Service, id string) messages.EndpointStatus {
	t.Helper()
	for _, e := range s.Status().Endpoints {
		if e.ID == id {
			return e
		}
	}
	require.Fail(t, "no endpoint "+id)
	return messages.EndpointStatus{}
}

// happened returns the kinds of the service's events so far that are among those
// asked for, each as "kind endpoint".
func happened(s *understudy.Service, kinds ...messages.Kind) (out []string) {
	for _, e := range s.History(4096) {
		for _, k := range kinds {
			if e.Kind == k {
				out = append(out, fmt.Sprintf("%s %s", e.Kind, e.Endpoint))
			}
		}
	}
	return out
}

func tried(attempts []messages.Attempt) (ids []string) {
	for _, a := range attempts {
		ids = append(ids, a.Endpoint)
	}
	return ids
}
