package cluster

import "sync"

// sparesMax is how many goroutines wait for work beyond what is under way. A
// goroutine that waits has its stack grown already; more than these are let go.
const sparesMax = 256

// workers runs jobs in goroutines of its own, a bounded number at a time, and
// never makes whoever submits one wait.
//
// Jobs that do not block are run one after another by one goroutine, which is
// what makes them cheap; jobs that block hold up nobody. For that a worker is
// woken as Go's scheduler wakes its threads: only one at a time is on its way,
// and whoever takes a job and leaves others behind wakes the next one before it
// begins. So while the lock is free and the queue is not empty, a worker is on
// its way to it.
type workers[job any] struct {
	run  func(job)
	wake chan struct{} // to those that wait
	done chan struct{} // closed when it is stopped and no goroutine is left

	mu       sync.Mutex
	queue    []job // a ring, as long as the limit
	first, n int   // what waits in it
	accepted int   // what waits and what runs
	alive    int   // goroutines
	spare    int   // of these, those that wait and have not been woken
	waking   bool  // one is on its way
	stopped  bool
}

func newWorkers[job any](limit int, run func(job)) *workers[job] {
	return &workers[job]{run: run, queue: make([]job, limit), wake: make(chan struct{}, sparesMax), done: make(chan struct{})}
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
	case w.accepted == len(w.queue):
		return full
	}
	w.accepted++
	w.queue[(w.first+w.n)%len(w.queue)] = j
	w.n++
	w.wakeOne()
	return accepted
}

// wakeOne sends a worker on its way, unless one is. It needs the lock.
func (w *workers[job]) wakeOne() {
	switch {
	case w.waking:
		return
	case w.spare > 0:
		w.spare--
		w.wake <- struct{}{} // has room for every spare
	default:
		w.alive++
		go w.work()
	}
	w.waking = true
}

func (w *workers[job]) work() {
	running := false
	defer func() {
		if running { // runtime.Goexit in a user's function
			w.mu.Lock()
			w.accepted--
		}
		w.alive--
		if w.stopped && w.alive == 0 {
			close(w.done)
		}
		w.mu.Unlock()
	}()
	w.mu.Lock()
	for {
		w.waking = false
		for w.n > 0 {
			j := w.take()
			w.mu.Unlock()
			running = true
			w.run(j)
			w.mu.Lock()
			running = false
			w.accepted--
		}
		if w.stopped || w.spare == sparesMax {
			return
		}
		w.spare++
		w.mu.Unlock()
		_, woken := <-w.wake
		w.mu.Lock()
		if !woken {
			return
		}
	}
}

// take removes the oldest job and wakes somebody for the next. It needs the lock.
func (w *workers[job]) take() job {
	var none job
	j := w.queue[w.first]
	w.queue[w.first] = none
	w.first = (w.first + 1) % len(w.queue)
	w.n--
	if w.n > 0 {
		w.wakeOne()
	}
	return j
}

// stop takes nothing more. What was accepted goes on; done says when it has ended.
func (w *workers[job]) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return
	}
	w.stopped = true
	w.spare = 0 // they hear it now
	close(w.wake)
	if w.alive == 0 {
		close(w.done)
	}
}
