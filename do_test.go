package understudy_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/understudytest"
)

func TestDoReturnsWhatTheFunctionReturns(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: []understudy.Endpoint{
		{ID: "a", URL: "http://127.0.0.1:1", Metadata: map[string]string{"version": "2"}}}})
	var report understudy.Report
	n, err := understudy.Do(t.Context(), s, func(_ context.Context, target understudy.Target) (int, error) {
		require.Equal(t, "a", target.ID())
		require.Equal(t, "http://127.0.0.1:1", target.URL())
		require.Equal(t, "2", target.Metadata("version"))
		require.Empty(t, target.Metadata("none"))
		require.Nil(t, target.Value())
		return 7, nil
	}, understudy.Into(&report))
	require.NoError(t, err)
	require.Equal(t, 7, n)
	require.Equal(t, "a", report.Endpoint)
	require.Len(t, report.Attempts, 1)
	require.Empty(t, report.Attempts[0].Code)
	require.Positive(t, report.Duration)
	require.False(t, report.Fallback)
	requireIdle(t, s)
}

func TestDoGoesOnWithAnotherEndpoint(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a", "b", "c"), Strategy: inOrder})
	var report understudy.Report
	got, err := understudy.Do(t.Context(), s, failOn("a", "b"), understudy.Into(&report))
	require.NoError(t, err)
	require.Equal(t, "c", got)
	require.Equal(t, "c", report.Endpoint)
	require.Equal(t, []string{"a", "b", "c"}, tried(report.Attempts))
	st := s.Stats()
	require.EqualValues(t, 1, st.Requests)
	require.EqualValues(t, 1, st.Succeeded)
	require.EqualValues(t, 3, st.Attempts)
	require.EqualValues(t, 2, st.Retries)
	require.EqualValues(t, 2, st.Failovers)
	require.EqualValues(t, 1, st.Recoveries)
}

func tried(attempts []messages.Attempt) (ids []string) {
	for _, a := range attempts {
		ids = append(ids, a.Endpoint)
	}
	return ids
}

func TestDoThatFailsEverywhere(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a", "b", "c"), Strategy: inOrder})
	var report understudy.Report
	_, err := understudy.Do(t.Context(), s, fail, understudy.Into(&report))
	e := coded(t, err, messages.CodeRetryExhausted)
	require.ErrorIs(t, err, errBroken, "the last cause")
	require.ErrorIs(t, err, messages.ErrRetryExhausted)
	require.Equal(t, "web", e.Service)
	require.Equal(t, []string{"a", "b", "c"}, tried(e.Attempts))
	require.Equal(t, []string{"a", "b", "c"}, tried(report.Attempts))
	for _, a := range e.Attempts {
		require.Equal(t, "broken", a.Words)
		require.NotEmpty(t, a.Code)
	}
	st := s.Stats()
	require.EqualValues(t, 1, st.Failed)
	require.Zero(t, st.Succeeded)
	requireIdle(t, s)
}

// Between two tries of one endpoint the caller waits, and never after the last.
func TestDoWaitsBeforeTheSameEndpoint(t *testing.T) {
	clock := understudytest.NewClock()
	s := service(t, understudy.ServiceConfig{Endpoints: named("a"),
		Retry: understudy.Retry{MaxAttempts: 3, Backoff: understudy.Constant(5 * time.Second)}}, understudy.WithClock(clock))
	began := clock.Now()
	var at []time.Duration
	done := make(chan error)
	go func() {
		_, err := understudy.Do(t.Context(), s, func(context.Context, understudy.Target) (string, error) {
			at = append(at, clock.Now().Sub(began))
			return "", errBroken
		})
		done <- err
	}()
	for range 2 {
		clock.BlockUntilDue(5 * time.Second)
		clock.Advance(5 * time.Second)
	}
	coded(t, <-done, messages.CodeRetryExhausted)
	require.Equal(t, []time.Duration{0, 5 * time.Second, 10 * time.Second}, at)
}

// A wait that would pass the deadline is not begun.
func TestDoDoesNotWaitInVain(t *testing.T) {
	clock := understudytest.NewClock()
	s := service(t, understudy.ServiceConfig{Endpoints: named("a"), Timeout: 4 * time.Second,
		Retry: understudy.Retry{Backoff: understudy.Constant(5 * time.Second)}}, understudy.WithClock(clock))
	_, err := understudy.Do(t.Context(), s, fail)
	require.Len(t, coded(t, err, messages.CodeRetryExhausted).Attempts, 1)
	require.ErrorIs(t, err, errBroken)
}

func TestPermanentStopsRetries(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a", "b")})
	var calls int
	_, err := understudy.Do(t.Context(), s, func(context.Context, understudy.Target) (string, error) {
		calls++
		return "", understudy.Permanent(errBroken)
	})
	require.ErrorIs(t, err, errBroken)
	require.Equal(t, 1, calls)
	require.NoError(t, understudy.Permanent(nil))
}

// many is an error of a type that cannot be compared, as validators make them.
type many []error

func (m many) Error() string { return "many" }

func TestPermanentTakesAnyError(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a"), Hooks: understudy.Hooks{
		Classify: func(understudy.Result) understudy.Verdict { return understudy.Success }}})
	_, err := understudy.Do(t.Context(), s, func(context.Context, understudy.Target) (string, error) {
		return "", understudy.Permanent(many{errBroken})
	})
	require.Equal(t, many{errBroken}, err)
}

func TestNotIdempotentIsMadeOnce(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a", "b")})
	_, err := understudy.Do(t.Context(), s, fail, understudy.NotIdempotent())
	require.ErrorIs(t, err, errBroken)
	require.EqualValues(t, 1, s.Stats().Attempts)
}

// What never left may be made again whatever it is.
func TestNotIdempotentIsRepeatedWhileNothingWasSent(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a", "b"), Strategy: inOrder})
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	got, err := understudy.Do(t.Context(), s, func(_ context.Context, target understudy.Target) (string, error) {
		if target.ID() == "a" {
			return "", refused
		}
		return target.ID(), nil
	}, understudy.NotIdempotent())
	require.NoError(t, err)
	require.Equal(t, "b", got)
}

func TestMaxAttempts(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a", "b", "c", "d", "e"), Breaker: understudy.Breaker{Disabled: true}})
	for n, want := range map[int]int{-1: 1, 0: 1, 1: 1, 2: 2, 5: 5} {
		var report understudy.Report
		_, err := understudy.Do(t.Context(), s, fail, understudy.MaxAttempts(n), understudy.Into(&report))
		require.Error(t, err)
		require.Len(t, report.Attempts, want, "MaxAttempts(%d)", n)
	}
}

func TestTimeoutShortensAndNeverLengthens(t *testing.T) {
	for name, c := range map[string]struct {
		config, option, want time.Duration
	}{
		"default":     {0, 0, 30 * time.Second},
		"service's":   {10 * time.Second, 0, 10 * time.Second},
		"shorter":     {10 * time.Second, time.Second, time.Second},
		"longer":      {10 * time.Second, time.Minute, 10 * time.Second},
		"instead off": {understudy.Off, time.Minute, time.Minute},
		"negative":    {10 * time.Second, -time.Second, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			clock := understudytest.NewClock()
			s := service(t, understudy.ServiceConfig{Endpoints: named("a"), Timeout: c.config, AttemptTimeout: understudy.Off},
				understudy.WithClock(clock))
			began := clock.Now()
			_, err := understudy.Do(t.Context(), s, func(ctx context.Context, _ understudy.Target) (string, error) {
				deadline, ok := ctx.Deadline()
				require.True(t, ok)
				require.Equal(t, c.want, deadline.Sub(began))
				return "", nil
			}, understudy.Timeout(c.option))
			require.NoError(t, err)
		})
	}
}

func TestWithoutAnyTimeoutThereIsNoDeadline(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a"), Timeout: understudy.Off, AttemptTimeout: understudy.Off})
	_, err := understudy.Do(t.Context(), s, func(ctx context.Context, _ understudy.Target) (string, error) {
		_, ok := ctx.Deadline()
		require.False(t, ok)
		return "", nil
	})
	require.NoError(t, err)
}

// The attempt's own timeout ends its context; another endpoint gets the request.
func TestAttemptTimeout(t *testing.T) {
	clock := understudytest.NewClock()
	s := service(t, understudy.ServiceConfig{Endpoints: named("a", "b"), Strategy: inOrder}, understudy.WithClock(clock))
	var report understudy.Report
	type answer struct {
		got string
		err error
	}
	done := make(chan answer)
	stalling := make(chan struct{})
	go func() {
		got, err := understudy.Do(t.Context(), s, func(ctx context.Context, target understudy.Target) (string, error) {
			if target.ID() == "b" {
				return "b", nil
			}
			waits := ctx.Done() // from here on it has a timer
			close(stalling)
			<-waits
			return "", ctx.Err()
		}, understudy.Into(&report))
		done <- answer{got, err}
	}()
	<-stalling
	clock.Advance(2 * time.Second)
	require.Equal(t, answer{"b", nil}, <-done)
	require.Equal(t, messages.CodeTimeout, report.Attempts[0].Code)
	require.Equal(t, 2*time.Second, report.Attempts[0].Duration)
	require.EqualValues(t, 1, status(t, s, "a").Timeouts)
}

// What is derived from an attempt's context ends with it, and after the call
// nothing of it goes on.
func TestTheAttemptsContext(t *testing.T) {
	type key struct{}
	clock := understudytest.NewClock()
	s := service(t, understudy.ServiceConfig{Endpoints: named("a", "b"), Strategy: inOrder}, understudy.WithClock(clock))
	ctx := context.WithValue(t.Context(), key{}, "mine")
	var left context.Context
	_, err := understudy.Do(ctx, s, func(ctx context.Context, target understudy.Target) (string, error) {
		require.Equal(t, "mine", ctx.Value(key{}))
		left = ctx
		if target.ID() == "b" {
			return "", nil
		}
		child, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		require.NoError(t, child.Err())
		clock.Advance(2 * time.Second)
		<-child.Done()
		require.ErrorIs(t, child.Err(), context.DeadlineExceeded)
		require.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
		return "", child.Err()
	})
	require.NoError(t, err)
	<-left.Done()
	require.ErrorIs(t, left.Err(), context.Canceled)
	require.NoError(t, ctx.Err())
}

func TestOverallTimeout(t *testing.T) {
	clock := understudytest.NewClock()
	s := service(t, understudy.ServiceConfig{Endpoints: named("a", "b"), Timeout: time.Second}, understudy.WithClock(clock))
	done := make(chan error)
	stalling := make(chan struct{})
	go func() {
		_, err := understudy.Do(t.Context(), s, func(ctx context.Context, target understudy.Target) (string, error) {
			waits := ctx.Done()
			close(stalling) // a second attempt would panic
			<-waits
			return "", ctx.Err()
		})
		done <- err
	}()
	<-stalling
	clock.Advance(time.Second)
	err := <-done
	coded(t, err, messages.CodeTimeout)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	var timeout net.Error
	require.False(t, errors.As(err, &timeout) && !timeout.Timeout(), "Timeout() is true")
	requireIdle(t, s)
}

// A function that does not look at its context is counted at its deadline, and
// its answer is still the caller's.
func TestALateSuccessIsReturned(t *testing.T) {
	clock := understudytest.NewClock()
	s := service(t, understudy.ServiceConfig{Endpoints: named("a")}, understudy.WithClock(clock))
	got, err := understudy.Do(t.Context(), s, func(context.Context, understudy.Target) (string, error) {
		clock.Advance(3 * time.Second)
		require.EqualValues(t, 1, status(t, s, "a").Timeouts, "counted at the deadline")
		require.Equal(t, 1, status(t, s, "a").Inflight, "and its slot is held")
		return "late", nil
	})
	require.NoError(t, err)
	require.Equal(t, "late", got)
	a := status(t, s, "a")
	require.EqualValues(t, 1, a.Timeouts, "counted once")
	require.EqualValues(t, 1, a.Attempts)
	require.Zero(t, a.Inflight)
	require.EqualValues(t, 1, s.Stats().Succeeded)
}

func TestACallerThatGoesAway(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a", "b"), Breaker: understudy.Breaker{FailureThreshold: 1}})
	ctx, cancel := context.WithCancel(t.Context())
	var calls int
	_, err := understudy.Do(ctx, s, func(ctx context.Context, _ understudy.Target) (string, error) {
		calls++
		cancel()
		return "", ctx.Err()
	})
	coded(t, err, messages.CodeCanceled)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 1, calls, "nobody waits for another try")
	st := s.Stats()
	require.EqualValues(t, 1, st.Canceled)
	require.Zero(t, st.Failed)
	for _, e := range s.Status().Endpoints {
		require.Equal(t, "closed", e.Breaker)
		require.Zero(t, e.Failures)
	}

	_, err = understudy.Do(ctx, s, func(context.Context, understudy.Target) (string, error) {
		t.Error("called for nobody")
		return "", nil
	})
	coded(t, err, messages.CodeCanceled)
	requireIdle(t, s)
}

func TestACallerWhoseTimeIsUp(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a")})
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	_, err := understudy.Do(ctx, s, say)
	coded(t, err, messages.CodeTimeout)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// A caller that waits for its next try hears its own context at once.
func TestTheWaitHearsTheCaller(t *testing.T) {
	clock := understudytest.NewClock()
	s := service(t, understudy.ServiceConfig{Endpoints: named("a"),
		Retry: understudy.Retry{Backoff: understudy.Constant(5 * time.Second)}}, understudy.WithClock(clock))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { _, err := understudy.Do(ctx, s, fail); done <- err }()
	clock.BlockUntilDue(5 * time.Second)
	cancel()
	err := <-done
	require.Len(t, coded(t, err, messages.CodeCanceled).Attempts, 1)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, errBroken, "what it waited for")
}

func TestAPanicIsTheCallersAndGivesTheLeaseBack(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a", "b"), Strategy: inOrder})
	require.PanicsWithValue(t, "mine", func() {
		_, _ = understudy.Do(t.Context(), s, func(context.Context, understudy.Target) (string, error) { panic("mine") })
	})
	requireIdle(t, s)
	require.EqualValues(t, 1, status(t, s, "a").Failures, "as a failure")
	require.EqualValues(t, 1, s.Stats().Failed)
	got, err := understudy.Do(t.Context(), s, say)
	require.NoError(t, err)
	require.Equal(t, "b", got)
}

func TestAGoroutineThatEndsGivesTheLeaseBack(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a")})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = understudy.Do(t.Context(), s, func(context.Context, understudy.Target) (string, error) {
			runtime.Goexit()
			return "", nil
		})
	}()
	<-done
	requireIdle(t, s)
	require.EqualValues(t, 1, status(t, s, "a").Failures)
}

func TestDoJudgesHTTPResponses(t *testing.T) {
	bad, good := understudytest.Faulty(t, 503, 1), understudytest.Good(t)
	s := service(t, understudy.ServiceConfig{Strategy: inOrder,
		Endpoints: []understudy.Endpoint{bad.Endpoint("bad"), good.Endpoint("good")}})
	client := newClient(t)
	get := func(ctx context.Context, target understudy.Target) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.URL(), nil)
		if err != nil {
			return nil, err
		}
		return client.Do(req)
	}
	resp, err := understudy.Do(t.Context(), s, get)
	require.NoError(t, err)
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, "ok", bodyOf(t, resp))
	requireIdle(t, s)
	require.EqualValues(t, 1, status(t, s, "bad").Failures)

	good.Break(404)
	resp, err = understudy.Do(t.Context(), s, get)
	require.NoError(t, err)
	require.Equal(t, 404, resp.StatusCode, "an answer like any other")
	bodyOf(t, resp)

	// Whoever looks at the error first, as everybody does, leaks nothing.
	good.Break(503)
	_, err = understudy.Do(t.Context(), s, get)
	e := coded(t, err, messages.CodeRetryExhausted)
	require.Equal(t, 503, e.Attempts[len(e.Attempts)-1].Status)
	requireIdle(t, s)
}

func bodyOf(t testing.TB, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return string(b)
}

// Responses that a function made up, with nothing but a status.
func TestBareResponses(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a", "b")})
	for _, code := range []int{200, 503} {
		resp, err := understudy.Do(t.Context(), s, func(context.Context, understudy.Target) (*http.Response, error) {
			return &http.Response{StatusCode: code}, nil
		})
		require.Equal(t, code, resp.StatusCode)
		require.Equal(t, code != 200, err != nil)
		requireIdle(t, s)
	}
	resp, err := understudy.Do(t.Context(), s, func(context.Context, understudy.Target) (*http.Response, error) { return nil, nil })
	require.NoError(t, err)
	require.Nil(t, resp)
}

// The attempt's context outlives the function for as long as the body is open, and
// without its deadline; the lease does not.
func TestABodyKeepsItsContext(t *testing.T) {
	clock := understudytest.NewClock()
	s := service(t, understudy.ServiceConfig{Endpoints: named("a")}, understudy.WithClock(clock))
	body := &closable{Reader: strings.NewReader("long")}
	var attempt context.Context
	resp, err := understudy.Do(t.Context(), s, func(ctx context.Context, _ understudy.Target) (*http.Response, error) {
		attempt = ctx
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: body}, nil
	})
	require.NoError(t, err)
	requireIdle(t, s)
	require.EqualValues(t, 1, s.Stats().Succeeded)
	clock.Advance(time.Hour)
	require.NoError(t, attempt.Err())
	require.NoError(t, resp.Body.Close())
	require.True(t, body.closed)
	require.ErrorIs(t, attempt.Err(), context.Canceled)
	require.Zero(t, status(t, s, "a").Timeouts)
}

// Whoever gets an error closes nothing: neither the last answer nor those before.
func TestAnswersThatFailAreClosed(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a", "b", "c")})
	var bodies []*closable
	_, err := understudy.Do(t.Context(), s, func(context.Context, understudy.Target) (*http.Response, error) {
		bodies = append(bodies, &closable{Reader: strings.NewReader("out of order")})
		return &http.Response{StatusCode: 503, Body: bodies[len(bodies)-1]}, nil
	})
	coded(t, err, messages.CodeRetryExhausted)
	require.Len(t, bodies, 3)
	for i, body := range bodies {
		require.True(t, body.closed, "attempt %d", i+1)
	}
}

type closable struct {
	io.Reader
	closed bool
}

func (c *closable) Close() error { c.closed = true; return nil }

func TestTooManyRequestsCoolsTheEndpointDown(t *testing.T) {
	clock := understudytest.NewClock()
	s := service(t, understudy.ServiceConfig{Endpoints: named("a")}, understudy.WithClock(clock))
	answer := func(status int, header http.Header) (*http.Response, error) {
		resp, err := understudy.Do(t.Context(), s, func(context.Context, understudy.Target) (*http.Response, error) {
			return &http.Response{StatusCode: status, Header: header, Body: http.NoBody}, nil
		}, understudy.MaxAttempts(1))
		return resp, err
	}
	_, err := answer(429, http.Header{"Retry-After": {"2"}})
	require.Equal(t, 2*time.Second, coded(t, err, messages.CodeRateLimited).RetryAfter)
	_, err = answer(200, nil)
	require.Equal(t, 2*time.Second, coded(t, err, messages.CodeRateLimited).RetryAfter, "refused")
	require.Equal(t, "closed", status(t, s, "a").Breaker)
	clock.Advance(2 * time.Second)
	_, err = answer(200, http.Header{})
	require.NoError(t, err)
}

func TestABreakerRefuses(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a"), Breaker: understudy.Breaker{FailureThreshold: 2}})
	for range 2 {
		_, err := understudy.Do(t.Context(), s, fail, understudy.MaxAttempts(1))
		require.ErrorIs(t, err, errBroken)
	}
	_, err := understudy.Do(t.Context(), s, func(context.Context, understudy.Target) (string, error) {
		t.Error("an open breaker let a call through")
		return "", nil
	})
	e := coded(t, err, messages.CodeCircuitOpen)
	require.Positive(t, e.RetryAfter)
	require.Empty(t, e.Attempts)
	require.EqualValues(t, 1, s.Stats().Refusals)
}

// A report tells of its own call and nothing of the one before.
func TestAReportMayBeUsedAgain(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a", "b", "c"), Strategy: inOrder})
	var report understudy.Report
	_, err := understudy.DoOr(t.Context(), s, fail, instead, understudy.Into(&report))
	require.NoError(t, err)
	require.Len(t, report.Attempts, 3)
	require.True(t, report.Fallback)

	_, err = understudy.Do(t.Context(), s, say, understudy.Into(&report))
	require.NoError(t, err)
	require.Len(t, report.Attempts, 1)
	require.False(t, report.Fallback)

	understudytest.Trip(t, s, "a")
	understudytest.Trip(t, s, "b")
	understudytest.Trip(t, s, "c")
	_, err = understudy.Do(t.Context(), s, say, understudy.Into(&report))
	require.ErrorIs(t, err, messages.ErrCircuitOpen)
	require.Empty(t, report.Attempts)
	require.Empty(t, report.Endpoint)
}

func instead(context.Context, error) (string, error) { return "instead", nil }

func TestDoOr(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a", "b")})
	got, err := understudy.DoOr(t.Context(), s, say, instead)
	require.NoError(t, err)
	require.Contains(t, []string{"a", "b"}, got)
	require.Zero(t, s.Stats().Fallbacks)

	var cause error
	var report understudy.Report
	got, err = understudy.DoOr(t.Context(), s, fail, func(ctx context.Context, err error) (string, error) {
		require.NoError(t, ctx.Err())
		cause = err
		return "instead", nil
	}, understudy.Into(&report))
	require.NoError(t, err)
	require.Equal(t, "instead", got)
	require.ErrorIs(t, cause, errBroken)
	coded(t, cause, messages.CodeRetryExhausted)
	require.True(t, report.Fallback)
	st := s.Stats()
	require.EqualValues(t, 1, st.Fallbacks)
	require.EqualValues(t, 1, st.Succeeded, "a fallback is no success")
	require.EqualValues(t, 1, st.Failed)
}

func TestAFallbackThatFails(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a")})
	own := errors.New("nothing in the cache")
	_, err := understudy.DoOr(t.Context(), s, fail, func(context.Context, error) (string, error) { return "", own }, understudy.MaxAttempts(1))
	require.ErrorIs(t, err, own)
}

func TestAFallbackThatPanics(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a")})
	_, err := understudy.DoOr(t.Context(), s, fail, func(context.Context, error) (string, error) { panic("boom") }, understudy.MaxAttempts(1))
	e := coded(t, err, messages.CodeInternal)
	require.Contains(t, e.Error(), "boom")
	require.ErrorIs(t, err, errBroken, "what it was to make good for")
}

// Nobody waits for the answer of a call that was cancelled.
func TestNoFallbackForNobody(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a")})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := understudy.DoOr(ctx, s, say, func(context.Context, error) (string, error) {
		t.Error("called for nobody")
		return "", nil
	})
	coded(t, err, messages.CodeCanceled)
}

func TestAFallbackAnswersForAnOpenBreaker(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a")})
	understudytest.Trip(t, s, "a")
	var cause error
	got, err := understudy.DoOr(t.Context(), s, say, func(_ context.Context, err error) (string, error) { cause = err; return "instead", nil })
	require.NoError(t, err)
	require.Equal(t, "instead", got)
	coded(t, cause, messages.CodeCircuitOpen)
	require.Zero(t, s.Stats().Attempts)
}

// Whatever happens to many callers at once, every lease comes back and every
// request is counted once.
func TestDoTogether(t *testing.T) {
	s := service(t, understudy.ServiceConfig{Endpoints: named("a", "b", "c", "d"), Breaker: understudy.Breaker{Disabled: true},
		Retry: understudy.Retry{Backoff: understudy.Constant(time.Microsecond), Budget: understudy.RetryBudget{Ratio: understudy.Off}}})
	var succeeded, failed, canceled atomic.Uint64
	var all sync.WaitGroup
	for worker := range 32 {
		all.Go(func() {
			for i := range 100 {
				ctx, cancel := context.WithCancel(t.Context())
				_, err := understudy.Do(ctx, s, func(ctx context.Context, target understudy.Target) (string, error) {
					switch (worker + i) % 5 {
					case 0:
						return "", errBroken
					case 1:
						cancel()
						return "", ctx.Err()
					case 2:
						return failOn("a", "b")(ctx, target)
					}
					runtime.Gosched()
					return target.ID(), nil
				})
				cancel()
				switch {
				case err == nil:
					succeeded.Add(1)
				case errors.Is(err, context.Canceled):
					canceled.Add(1)
				default:
					failed.Add(1)
				}
			}
		})
	}
	all.Wait()
	requireIdle(t, s)
	st := s.Stats()
	require.EqualValues(t, 3200, st.Requests)
	require.Equal(t, succeeded.Load(), st.Succeeded)
	require.Equal(t, failed.Load(), st.Failed)
	require.Equal(t, canceled.Load(), st.Canceled)
	require.Equal(t, st.Requests+st.Retries, st.Attempts)
	var attempts uint64
	for _, e := range s.Status().Endpoints {
		attempts += e.Attempts
	}
	require.Equal(t, st.Attempts, attempts)
	require.True(t, slices.IsSortedFunc(s.History(100), func(a, b understudy.Event) int { return int(a.Sequence) - int(b.Sequence) }))
}
