package actors

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/messages"
)

// hold has a call under way until release is called; it returns the call's endpoint.
func hold(s *Service) (id string, release func()) {
	at, end := make(chan string, 1), make(chan struct{})
	go func() {
		_, _ = Do(context.Background(), s, func(_ context.Context, target Target) (int, error) {
			at <- target.ID()
			<-end
			return 1, nil
		})
	}()
	return <-at, func() { close(end) }
}

// A call that is longer under way than its endpoint may drain still ends its
// request, or a shutdown would wait for it for ever.
func TestACallThatOutlivesItsEndpointsDrainingIsCounted(t *testing.T) {
	c := ServiceConfig{Endpoints: endpoints(2), Timeout: Off, AttemptTimeout: Off}
	virtual(t, c, func(t *testing.T, s *Service) {
		id, release := hold(s)
		if err := s.Deregister(id); err != nil {
			t.Fatal(err)
		}
		advance(drainTimeout + 10*time.Second)
		release()
		settled(t, s)
		if st := s.Stats(); st.Requests != 1 || st.Succeeded != 1 {
			t.Errorf("%+v", st)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.sys.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
}

// What an endpoint counted is the service's, on the list, while it drains and after.
func TestCountsNeverGoBackWhileAnEndpointDrains(t *testing.T) {
	virtual(t, ServiceConfig{Endpoints: endpoints(1)}, func(t *testing.T, s *Service) {
		const calls = 10
		for range calls {
			_, _ = Do(t.Context(), s, good)
		}
		id, release := hold(s)
		if err := s.Deregister(id); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if st := s.Stats(); st.Succeeded != calls || st.Attempts != calls+1 {
			t.Errorf("while it drains: %+v", st)
		}
		release()
		settled(t, s)
		if st := s.Stats(); st.Succeeded != calls+1 || st.Attempts != calls+1 {
			t.Errorf("afterwards: %+v", st)
		}
	})
}

// opening gives each endpoint a value and counts those that are closed.
func opening(n int) (c ServiceConfig, closed *atomic.Int32) {
	c.Endpoints, closed = endpoints(n), new(atomic.Int32)
	c.Hooks.Open = func(context.Context, Endpoint) (any, error) { return "pool", nil }
	c.Hooks.Close = func(any) error { closed.Add(1); return nil }
	return c, closed
}

// What a removed service still holds when the system closes is closed too.
func TestValuesOfARemovedServiceAreClosedWithTheSystem(t *testing.T) {
	c, closed := opening(1)
	virtual(t, c, func(t *testing.T, s *Service) {
		lease, err := s.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.sys.RemoveService("svc"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := closed.Load(); n != 0 {
			t.Fatalf("closed %d times while in use", n)
		}
		if err := s.sys.Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := closed.Load(); n != 1 {
			t.Errorf("closed %d times", n)
		}
		lease.Done(nil)
	})
}

// A system may close while a service is being removed.
func TestTheSystemClosesWhileAServiceIsRemoved(t *testing.T) {
	c, closed := opening(1)
	virtual(t, c, func(t *testing.T, s *Service) {
		_, _ = Do(t.Context(), s, good)
		names := make(chan []string)
		s.sys.actors.Root.Send(s.sys.root, &listServices{names}) // holds the root up until somebody listens
		synctest.Wait()
		go func() { _ = s.sys.RemoveService("svc") }()
		synctest.Wait()
		down := make(chan error, 1)
		go func() { down <- s.sys.Close() }()
		synctest.Wait()
		<-names
		if err := <-down; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := closed.Load(); n != 1 {
			t.Errorf("its value was closed %d times", n)
		}
		if _, err := Do(context.Background(), s, good); code(err) != messages.CodeClosed {
			t.Errorf("got %v", err)
		}
	})
}
