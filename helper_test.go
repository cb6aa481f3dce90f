package understudy_test

import (
	"context"
	"errors"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/messages"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBroken = errors.New("broken")

// start returns a system that closes with its test.
func start(t testing.TB, opts ...understudy.Option) *understudy.System {
	t.Helper()
	us, err := understudy.New(understudy.Config{}, opts...)
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

// service returns a service of a system of its own.
func service(t testing.TB, c understudy.ServiceConfig, opts ...understudy.Option) *understudy.Service {
	t.Helper()
	return add(t, start(t, opts...), "web", c)
}

// named returns endpoints that are nothing but a name.
func named(ids ...string) (out []understudy.Endpoint) {
	for _, id := range ids {
		out = append(out, understudy.Endpoint{ID: id})
	}
	return out
}

// inOrder makes the first attempt's endpoint predictable.
var inOrder = understudy.Strategy{Pick: "round_robin"}

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

// requireIdle checks that every lease came back.
func requireIdle(t testing.TB, s *understudy.Service) {
	t.Helper()
	for _, e := range s.Status().Endpoints {
		require.Zero(t, e.Inflight, "leases of %s are still out", e.ID)
	}
}

// coded checks an error's code and returns it.
func coded(t testing.TB, err error, code messages.Code) *understudy.Error {
	t.Helper()
	var e *understudy.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, code, e.Code, "%v", err)
	return e
}

// events returns a reader that waits for the next event.
func events(t testing.TB, us *understudy.System, f understudy.Filter) (next func() understudy.Event) {
	t.Helper()
	pull, stop := iter.Pull(us.Events(t.Context(), f))
	t.Cleanup(stop)
	return func() understudy.Event {
		t.Helper()
		e, ok := pull()
		require.True(t, ok, "no more events")
		return e
	}
}

// say is a function for Do that names its endpoint.
func say(_ context.Context, t understudy.Target) (string, error) { return t.ID(), nil }

// fail is a function for Do that fails everywhere.
func fail(context.Context, understudy.Target) (string, error) { return "", errBroken }

// failOn fails at some endpoints and names the others.
func failOn(bad ...string) func(context.Context, understudy.Target) (string, error) {
	return func(ctx context.Context, t understudy.Target) (string, error) {
		for _, id := range bad {
			if t.ID() == id {
				return "", errBroken
			}
		}
		return t.ID(), nil
	}
}
