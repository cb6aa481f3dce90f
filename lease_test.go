package understudy_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/understudytest"
)

func TestSelectCountsNothing(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Strategy: inOrder, Endpoints: []understudy.Endpoint{
		{ID: "a", URL: "http://127.0.0.1:1"}, {ID: "b", Metadata: map[string]string{"k": "v"}}}})
	a, err := s.Select(t.Context())
	require.NoError(t, err)
	b, err := s.Select(t.Context())
	require.NoError(t, err)
	require.Equal(t, "a", a.ID())
	require.Equal(t, "http://127.0.0.1:1", a.URL())
	require.Equal(t, "b", b.ID())
	require.Equal(t, "v", b.Metadata("k"))
	st := s.Stats()
	require.Zero(t, st.Requests)
	require.Zero(t, st.Attempts)
	requireIdle(t, s)
}

// Register without any health known, select at once: succeeds.
func TestSelectRightAfterRegister(t *testing.T) {
	s := service(t, understudy.ServiceConfig{})
	_, err := s.Select(t.Context())
	coded(t, err, messages.CodeNoEndpoints)
	require.NoError(t, s.Register(understudy.Endpoint{ID: "a"}))
	target, err := s.Select(t.Context())
	require.NoError(t, err)
	require.Equal(t, "a", target.ID())
}

func TestSelectIsRefusedAsARequestWouldBe(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a", "b")})
	understudytest.Trip(t, s, "a")
	for range 4 {
		target, err := s.Select(t.Context())
		require.NoError(t, err)
		require.Equal(t, "b", target.ID())
	}
	understudytest.Trip(t, s, "b")
	_, err := s.Select(t.Context())
	coded(t, err, messages.CodeCircuitOpen)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.Select(ctx)
	coded(t, err, messages.CodeCanceled)
}

func TestALeaseIsOneAttempt(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a")})
	var report understudy.Report
	lease, err := s.Acquire(t.Context(), understudy.Into(&report))
	require.NoError(t, err)
	require.Equal(t, "a", lease.Target().ID())
	require.Equal(t, 1, status(t, s, "a").Inflight)
	lease.Done(nil)
	requireIdle(t, s)
	require.Equal(t, []string{"a"}, tried(report.Attempts))
	st := s.Stats()
	require.EqualValues(t, 1, st.Requests)
	require.EqualValues(t, 1, st.Attempts)
	require.EqualValues(t, 1, st.Succeeded)
}

func TestDoneCountsOnce(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a")})
	lease, err := s.Acquire(t.Context())
	require.NoError(t, err)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() { lease.Done(errBroken) })
	}
	all.Wait()
	lease.Done(nil)
	requireIdle(t, s)
	a := status(t, s, "a")
	require.EqualValues(t, 1, a.Attempts)
	require.EqualValues(t, 1, a.Failures)
	require.EqualValues(t, 1, s.Stats().Failed)
	require.Zero(t, s.Stats().Succeeded)
}

func TestFailedLeasesOpenTheBreaker(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a")})
	for range 5 {
		lease, err := s.Acquire(t.Context())
		require.NoError(t, err)
		lease.Done(errBroken)
	}
	_, err := s.Acquire(t.Context())
	coded(t, err, messages.CodeCircuitOpen)
	require.Equal(t, "open", status(t, s, "a").Breaker)
	requireIdle(t, s)
}

func TestLeasesAreBounded(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a"), Concurrency: understudy.Concurrency{Max: 2}})
	first, err := s.Acquire(t.Context())
	require.NoError(t, err)
	second, err := s.Acquire(t.Context())
	require.NoError(t, err)
	_, err = s.Acquire(t.Context())
	coded(t, err, messages.CodeOverloaded)
	first.Done(nil)
	third, err := s.Acquire(t.Context())
	require.NoError(t, err)
	second.Done(nil)
	third.Done(nil)
	requireIdle(t, s)
}

// No timeout of an attempt or a request applies to a lease; one that never comes
// back is reclaimed and harms nobody.
func TestALeaseIsReclaimed(t *testing.T) {
	clock := understudytest.NewClock()
	s := service(t, understudy.ServiceConfig{Endpoints: named("a"), Breaker: understudy.Breaker{FailureThreshold: 1}}, understudy.WithClock(clock))
	lease, err := s.Acquire(t.Context())
	require.NoError(t, err)
	clock.Advance(5*time.Minute - time.Second)
	require.Equal(t, 1, status(t, s, "a").Inflight)
	require.Zero(t, status(t, s, "a").Timeouts)
	clock.Advance(2 * time.Second)
	requireIdle(t, s)
	a := status(t, s, "a")
	require.Zero(t, a.Failures)
	require.Equal(t, "closed", a.Breaker)

	lease.Done(errBroken) // too late to mean anything
	require.Zero(t, status(t, s, "a").Failures)
	require.Equal(t, "a", lease.Target().ID())
	_, err = s.Acquire(t.Context())
	require.NoError(t, err)
}

// A lease that holds the one trial's permit decides what becomes of the breaker.
func TestALeaseCanBeTheTrial(t *testing.T) {
	clock := understudytest.NewClock()
	s := service(t, understudy.ServiceConfig{Endpoints: named("a"),
		Breaker: understudy.Breaker{FailureThreshold: 1, OpenTimeout: 5 * time.Second, Jitter: understudy.Off}}, understudy.WithClock(clock))
	lease, err := s.Acquire(t.Context())
	require.NoError(t, err)
	lease.Done(errBroken)
	clock.Advance(5 * time.Second)
	trial, err := s.Acquire(t.Context())
	require.NoError(t, err)
	require.Equal(t, "half_open", status(t, s, "a").Breaker)
	_, err = s.Acquire(t.Context())
	coded(t, err, messages.CodeCircuitOpen)
	trial.Done(nil)
	require.Equal(t, "closed", status(t, s, "a").Breaker)
}
