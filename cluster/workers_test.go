package cluster

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// Of any mix of jobs, never more than the limit run at once, each accepted one
// runs exactly once, and after stop nothing is left.
func TestWorkers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 8).Draw(t, "limit")
		n := rapid.IntRange(0, 200).Draw(t, "jobs")
		senders := rapid.IntRange(1, 4).Draw(t, "senders")
		goexit := rapid.IntRange(0, 3).Draw(t, "every n-th ends its goroutine")
		var running, ran, taken atomic.Int64
		w := newWorkers(limit, func(i int) {
			if running.Add(1) > int64(limit) {
				t.Error("over the limit")
			}
			runtime.Gosched()
			running.Add(-1)
			ran.Add(1)
			if goexit > 0 && i%goexit == 0 {
				runtime.Goexit()
			}
		})
		var wg sync.WaitGroup
		for range senders {
			wg.Go(func() {
				for i := range n {
					if w.submit(i) == accepted {
						taken.Add(1)
					}
				}
			})
		}
		wg.Wait()
		w.stop()
		w.stop()
		<-w.done
		if w.submit(0) != stopped {
			t.Error("takes more")
		}
		if ran.Load() != taken.Load() || n > 0 && taken.Load() == 0 {
			t.Errorf("%d ran of %d taken", ran.Load(), taken.Load())
		}
		if w.accepted != 0 || w.alive != 0 || w.n != 0 {
			t.Errorf("%d accepted, %d alive, %d queued", w.accepted, w.alive, w.n)
		}
	})
}

// Over the limit a job is refused at once, and a place that is free again is used.
func TestWorkersAreBounded(t *testing.T) {
	release := make(chan struct{})
	ended := make(chan struct{}, 3)
	w := newWorkers(2, func(int) { <-release; ended <- struct{}{} })
	for i, want := range []submission{accepted, accepted, full, full} {
		if got := w.submit(i); got != want {
			t.Fatalf("job %d: %v, want %v", i, got, want)
		}
	}
	release <- struct{}{}
	<-ended
	for w.submit(9) == full { // its place is free a moment later
		runtime.Gosched()
	}
	close(release)
	w.stop()
	<-w.done
}

// A flood leaves a bounded number of goroutines behind.
func TestWorkersKeepFewSpares(t *testing.T) {
	const flood = 4 * sparesMax
	var in sync.WaitGroup
	in.Add(flood)
	release := make(chan struct{})
	w := newWorkers(flood, func(int) { in.Done(); <-release })
	for range flood {
		w.submit(0)
	}
	in.Wait()
	close(release)
	for {
		w.mu.Lock()
		busy, alive, spare := w.accepted, w.alive, w.spare
		w.mu.Unlock()
		if busy == 0 && alive == spare {
			if spare != sparesMax {
				t.Errorf("%d spares", spare)
			}
			break
		}
		runtime.Gosched()
	}
	w.stop()
	<-w.done
}

// What waits in the queue when it is stopped is run, whoever is to be woken for it.
func TestWorkersStopWithAQueue(t *testing.T) {
	for range 100 {
		const n = 4
		var ran atomic.Int64
		var together sync.WaitGroup
		together.Add(n)
		w := newWorkers(n, func(warming bool) {
			if warming {
				together.Done()
				together.Wait() // so that there are n goroutines
			}
			ran.Add(1)
		})
		for range n {
			w.submit(true)
		}
		for idle := false; !idle; runtime.Gosched() {
			w.mu.Lock()
			idle = w.spare == n
			w.mu.Unlock()
		}
		for range n {
			w.submit(false)
		}
		w.stop()
		<-w.done
		if ran.Load() != 2*n {
			t.Fatalf("%d ran", ran.Load())
		}
	}
}
