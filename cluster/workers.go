package cluster

import "sync"

// sparesMax is how many goroutines wait for work beyond what is under way. A
// goroutine that waits has its stack grown already; more than these are let go.
const sparesMax = 256

// workers runs jobs in goroutines of its own, a bounded number at a time. It
// starts one where none waits, and never makes a caller wait.
type workers[job any] struct {
	run   func(job)
	limit int
	jobs  chan job      // to those that wait
	done  chan struct{} // closed when it is stopped and no goroutine is left

	mu      sync.Mutex
	busy    int
	spare   int // waiting, and nothing sent to them
	alive   int
	stopped bool
}

func newWorkers[job any](limit int, run func(job)) *workers[job] {
	return &workers[job]{run: run, limit: limit, jobs: make(chan job, sparesMax), done: make(chan struct{})}
}

// submission is what became of a job.
type submission int

const (
	accepted submission = iota
	full
	stopped
)

// submit has j run. It does not wait.
func (w *workers[job]) submit(j job) submission {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.stopped:
		return stopped
	case w.busy >= w.limit:
		return full
	}
	w.busy++
	if w.spare > 0 {
		w.spare--
		w.jobs <- j // has room for every spare
		return accepted
	}
	w.alive++
	go w.work(j)
	return accepted
}

func (w *workers[job]) work(j job) {
	ended := false
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if !ended { // runtime.Goexit in a user's function
			w.busy--
		}
		w.alive--
		w.closeIfDone()
	}()
	for {
		w.run(j)
		if !w.rest() {
			ended = true
			return
		}
		var more bool
		if j, more = <-w.jobs; !more {
			ended = true
			return
		}
	}
}

// rest ends a job; false: this goroutine is one too many.
func (w *workers[job]) rest() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy--
	if w.stopped || w.spare >= sparesMax {
		return false
	}
	w.spare++
	return true
}

// stop takes nothing more. What is under way goes on; done says when it has ended.
func (w *workers[job]) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stopped {
		w.stopped = true
		close(w.jobs)
		w.closeIfDone()
	}
}

// closeIfDone needs the lock.
func (w *workers[job]) closeIfDone() {
	if w.stopped && w.alive == 0 {
		close(w.done)
	}
}
