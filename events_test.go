package understudy_test

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/understudytest"
)

func TestEventsComeInOrderWithTheirCauses(t *testing.T) {
	clock := understudytest.NewClock()
	us := start(t, understudy.WithClock(clock))
	next := events(t, us, understudy.Filter{})
	s := add(t, us, "web", understudy.ServiceConfig{Endpoints: named("a"), Retry: understudy.Retry{MaxAttempts: 1},
		Breaker: understudy.Breaker{FailureThreshold: 2, OpenTimeout: 5 * time.Second, Jitter: understudy.Off}})
	_, _ = understudy.Do(t.Context(), s, fail)
	_, _ = understudy.Do(t.Context(), s, fail)
	clock.Advance(5 * time.Second)
	_, err := understudy.Do(t.Context(), s, say)
	require.NoError(t, err)

	last := uint64(0)
	want := func(kind messages.Kind) understudy.Event {
		t.Helper()
		for {
			e := next()
			require.Equal(t, last+1, e.Sequence, "one after the other")
			last = e.Sequence
			require.Equal(t, "web", e.Service)
			require.NotEmpty(t, e.Node)
			require.NotEmpty(t, e.Cause.Words, e.Kind)
			require.WithinDuration(t, clock.Now(), e.Time, 5*time.Second)
			if e.Kind == kind {
				return e
			}
		}
	}
	want(messages.KindServiceAdded)
	opened := want(messages.KindCircuitOpened)
	require.Equal(t, "a", opened.Endpoint)
	require.Equal(t, "closed", opened.Cause.From)
	require.Equal(t, "open", opened.Cause.To)
	require.Equal(t, 2, opened.Cause.Failures)
	require.Equal(t, "broken", opened.Cause.LastError)
	require.True(t, clock.Now().Equal(opened.Cause.Until), "%v", opened.Cause.Until)
	half := want(messages.KindCircuitHalfOpened)
	require.Equal(t, "open", half.Cause.From)
	require.Equal(t, "half_open", half.Cause.To)
	closed := want(messages.KindCircuitClosed)
	require.Equal(t, "half_open", closed.Cause.From)
	require.Equal(t, "closed", closed.Cause.To)
}

func TestEventsOfOneRequest(t *testing.T) {
	us := start(t)
	s := add(t, us, "web", understudy.ServiceConfig{Endpoints: named("a", "b"), Strategy: inOrder})
	next := events(t, us, understudy.Filter{Endpoint: "b"})
	_, err := understudy.Do(t.Context(), s, failOn("a"))
	require.NoError(t, err)
	for _, kind := range []messages.Kind{messages.KindRetry, messages.KindFailover, messages.KindRecovery} {
		require.Equal(t, kind, next().Kind)
	}
}

func TestFilters(t *testing.T) {
	us := start(t)
	for _, name := range []string{"one", "two"} {
		s := add(t, us, name, understudy.ServiceConfig{})
		for _, id := range []string{"a", "b"} {
			require.NoError(t, s.Register(understudy.Endpoint{ID: id}))
			require.NoError(t, s.Deregister(id))
		}
	}
	count := func(f understudy.Filter) (n int) {
		f.Since = time.Unix(1, 0) // all that is remembered
		next, stop := iter.Pull(us.Events(t.Context(), f))
		defer stop()
		last := us.Service("two").History(1)[0].Sequence
		for {
			e, _ := next()
			n++
			if e.Sequence == last {
				return n
			}
		}
	}
	require.Equal(t, 10, count(understudy.Filter{}))
	require.Equal(t, 5, count(understudy.Filter{Service: "two"}))
	require.Equal(t, 4, count(understudy.Filter{Endpoint: "b"}))
	require.Equal(t, 4, count(understudy.Filter{Kind: messages.KindEndpointRemoved}))
	require.Equal(t, 1, count(understudy.Filter{Kind: messages.KindEndpointRemoved, Service: "two", Endpoint: "b"}))
}

// Without Since a reader hears what happens from its call on, also before its
// first step, and nothing from before.
func TestEventsBeginAtTheCall(t *testing.T) {
	us := start(t)
	s := add(t, us, "web", understudy.ServiceConfig{})
	seq := us.Events(t.Context(), understudy.Filter{})
	require.NoError(t, s.Register(understudy.Endpoint{ID: "a"}))
	for e := range seq {
		require.Equal(t, messages.KindEndpointRegistered, e.Kind)
		break
	}
}

func TestEventsEnd(t *testing.T) {
	for name, end := range map[string]func(us *understudy.System, cancel func()){
		"with the context": func(_ *understudy.System, cancel func()) { cancel() },
		"with the system":  func(us *understudy.System, _ func()) { _ = us.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			us := start(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			over := make(chan struct{})
			seq := us.Events(ctx, understudy.Filter{})
			go func() {
				for range seq {
				}
				close(over)
			}()
			add(t, us, "web", understudy.ServiceConfig{})
			end(us, cancel)
			<-over
		})
	}
}

// A reader that is too slow is told how much it missed; nobody else is.
func TestLostEventsAreAnEvent(t *testing.T) {
	for name, before := range map[string]int{"from the first event on": 0, "later": 10} {
		t.Run(name, func(t *testing.T) {
			us := start(t)
			make := func(n int) {
				for range n {
					us.Emit(understudy.Event{Kind: messages.KindConfigRejected, Cause: messages.Cause{Words: "test"}})
				}
			}
			make(before)
			slow := us.Events(t.Context(), understudy.Filter{})
			const lost = 904
			make(4096 + lost)
			require.NoError(t, us.Close()) // what is remembered can still be read
			var got []understudy.Event
			for e := range slow {
				got = append(got, e)
			}
			require.Len(t, got, 1+4096)
			require.Equal(t, messages.KindEventsLost, got[0].Kind)
			require.EqualValues(t, lost, got[0].Cause.Lost)
			require.NotEmpty(t, got[0].Cause.Words)
			for i, e := range got[1:] {
				require.EqualValues(t, before+lost+1+i, e.Sequence)
			}
		})
	}
}

// What a filter lets through is little, but what the reader missed it cannot know.
func TestLostEventsPassEveryFilter(t *testing.T) {
	us := start(t)
	seq := us.Events(t.Context(), understudy.Filter{Kind: messages.KindCircuitOpened, Service: "web"})
	for range 4097 {
		us.Emit(understudy.Event{Kind: messages.KindConfigRejected})
	}
	require.NoError(t, us.Close())
	var kinds []messages.Kind
	for e := range seq {
		kinds = append(kinds, e.Kind)
	}
	require.Equal(t, []messages.Kind{messages.KindEventsLost}, kinds)
}

func TestHistory(t *testing.T) {
	us := start(t)
	s := add(t, us, "web", understudy.ServiceConfig{})
	other := add(t, us, "other", understudy.ServiceConfig{})
	for range 3 {
		for _, s := range []*understudy.Service{s, other} {
			require.NoError(t, s.Register(understudy.Endpoint{ID: "a"}))
			require.NoError(t, s.Deregister("a"))
		}
	}
	kinds := func(n int) (out []messages.Kind) {
		for _, e := range s.History(n) {
			require.Equal(t, "web", e.Service)
			out = append(out, e.Kind)
		}
		return out
	}
	require.Equal(t, []messages.Kind{messages.KindEndpointRegistered, messages.KindEndpointRemoved}, kinds(2), "the newest, oldest first")
	require.Len(t, kinds(100), 7)
	require.Equal(t, messages.KindServiceAdded, kinds(100)[0])
	require.Empty(t, kinds(0))
	require.Empty(t, kinds(-1))
}
