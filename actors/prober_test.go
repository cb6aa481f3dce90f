package actors

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// A check that hangs counts as failed at its timeout, again whenever the next one
// is due, and no second one is begun beside it.
func TestAHangingCheckFailsAtItsTimeout(t *testing.T) {
	var hang atomic.Pointer[chan struct{}] // made in the bubble
	var begun atomic.Int32
	c := ServiceConfig{Endpoints: endpoints(1)}
	c.Hooks.Check = func(context.Context, Target) error {
		begun.Add(1)
		<-*hang.Load()
		return nil
	}
	c.Health.Timeout, c.Health.Interval, c.Health.IdleInterval, c.Health.Fall, c.Health.Rise = time.Second, 2*time.Second, 2*time.Second, 3, 1
	c.Health.InitialDelay = time.Second
	virtual(t, c, func(t *testing.T, s *Service) {
		release := make(chan struct{})
		hang.Store(&release)
		advance(11 * time.Second)
		if e := status(t, s, "e0"); e.Health != "unhealthy" || e.CheckFailures < 3 || e.CheckFailures != e.Checks {
			t.Errorf("while it hangs: %+v", e)
		}
		if n := begun.Load(); n != 1 {
			t.Errorf("%d begun", n)
		}
		close(release)
		advance(5 * time.Second)
		if e := status(t, s, "e0"); e.Health != "healthy" || begun.Load() < 2 {
			t.Errorf("when it has returned: %+v", e)
		}
	})
}

func TestACheckThatEndsItsGoroutineFails(t *testing.T) {
	c := ServiceConfig{Endpoints: endpoints(1)}
	c.Hooks.Check = func(context.Context, Target) error { runtime.Goexit(); return nil }
	c.Health.Interval, c.Health.IdleInterval, c.Health.Fall = 2*time.Second, 2*time.Second, 3
	virtual(t, c, func(t *testing.T, s *Service) {
		advance(10 * time.Second)
		if e := status(t, s, "e0"); e.Health != "unhealthy" || e.CheckFailures < 3 {
			t.Errorf("%+v", e)
		}
	})
}
