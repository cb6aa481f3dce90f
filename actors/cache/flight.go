package cache

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"github.com/understudy-go/understudy/messages"
)

// refreshesMax is how many fetches in the background may be under way. Over it,
// what is stale is served without one.
const refreshesMax = 64

// flight is one fetch for all who ask the same meanwhile.
type flight struct {
	key    string
	cancel context.CancelFunc
	done   chan struct{}

	callers int // of flights.mu: who waits for it; the background is one
	// background: it was begun to refresh what was served stale.
	background bool

	// The rest is set before done is closed, and never changes after.
	resp   *messages.Response
	err    error
	open   bool            // others than the first caller may have it
	names  []string        // headers by which it varies
	header messages.Header // what it was asked for with
}

// flights are the fetches under way.
type flights struct {
	mu         sync.Mutex
	under      map[string]*flight
	background int
	closed     bool
}

// flightKey tells fetches apart whose answers cannot be shared. Who asks after a
// write must not get an answer from before it, hence the epoch.
func flightKey(q *question, p place, epoch uint64) string {
	var room [256]byte
	key := append(room[:0], 'G')
	if q.head {
		key[0] = 'H'
	}
	key = binary.BigEndian.AppendUint64(key, epoch)
	key = binary.BigEndian.AppendUint64(key, p.generation)
	key = binary.AppendUvarint(key, uint64(len(q.path)))
	key = append(key, q.path...)
	return string(appendSelected(key, q.header, p.names))
}

// begin makes a flight for who holds mu, and what it is to fetch. What its caller
// owns is copied: the caller may leave before it ends. So it is not bound to the
// caller's own Timeout and Deadline either.
func (f *flights) begin(ctx context.Context, key string, a *asking) (*flight, context.Context, asking) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	fl := &flight{key: key, cancel: cancel, done: make(chan struct{}), callers: 1}
	f.under[key] = fl
	own, m := *a, *a.m
	m.Header = cloneHeader(m.Header, 0)
	m.Timeout, m.Deadline = 0, time.Time{}
	own.m, own.header = &m, m.Header
	fl.header = m.Header
	return fl, ctx, own
}

// leave takes a caller off a flight that it waited for. The last one ends it.
func (f *flights) leave(fl *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl.callers--; fl.callers == 0 {
		f.remove(fl)
		fl.cancel()
	}
}

// land takes the flight off the list and says how many wait for it.
func (f *flights) land(fl *flight) (callers int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.remove(fl)
	return fl.callers
}

// remove is for who holds mu. Another may fly under the same key by now.
func (f *flights) remove(fl *flight) {
	if f.under[fl.key] == fl {
		delete(f.under, fl.key)
	}
}

// refreshed gives the place of a fetch in the background free.
func (f *flights) refreshed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.background--
}

// close lets no new flights begin, and ends those that nobody waits for.
func (f *flights) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for _, fl := range f.under {
		if fl.background && fl.callers == 1 {
			fl.cancel()
		}
	}
}
