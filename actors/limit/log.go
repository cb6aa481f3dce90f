package limit

import "time"

// log holds the moments of the newest admissions, oldest first, in a ring. It keeps
// at least those that are not released and grows only for them, so it takes 8 bytes
// for each admission of the fullest window so far, rounded up to a power of two: at
// most 8 MiB at the highest limit.
type log struct {
	times []time.Duration // the length is a power of two, or 0
	first int             // place of the oldest
	count int
}

// back returns the n-th newest, counted from 1.
func (l *log) back(n int) time.Duration {
	return l.times[(l.first+l.count-n)&(len(l.times)-1)]
}

// newest returns the last admission, 0 if there is none.
func (l *log) newest() time.Duration {
	if l.count == 0 {
		return 0
	}
	return l.back(1)
}

// add puts now behind the others. The oldest makes room if it was admitted at
// released or before.
func (l *log) add(now, released time.Duration) {
	if l.count == len(l.times) {
		if l.count > 0 && l.back(l.count) <= released {
			l.first++
			l.count--
		} else {
			l.resize(max(2*len(l.times), 4))
		}
	}
	l.times[(l.first+l.count)&(len(l.times)-1)] = now
	l.count++
}

// release forgets what was admitted at that moment or before.
func (l *log) release(at time.Duration) {
	for l.count > 0 && l.back(l.count) <= at {
		l.first++
		l.count--
	}
}

// shrink gives memory back that a fuller window needed.
func (l *log) shrink() {
	size := len(l.times)
	for size > 4 && size >= 4*l.count {
		size /= 2
	}
	if size < len(l.times) {
		l.resize(size)
	}
}

func (l *log) resize(size int) {
	times := make([]time.Duration, size)
	for i := range l.count {
		times[i] = l.back(l.count - i)
	}
	l.times, l.first = times, 0
}
