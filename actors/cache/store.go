package cache

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/understudy-go/understudy/messages"
)

const (
	// entryShare is the largest part of max_bytes that one answer may take.
	entryShare = 8
	// slotCost is about what keeping an answer takes beside its bytes, valueCost what
	// a header does.
	slotCost, valueCost = 384, 48
)

// credentials choose among answers, where such are kept at all.
var credentials = []string{"Authorization", "Cookie"}

// slot is what lies under a key. Under a path lies the answer itself, or, where
// headers choose among several, their names: then the answers lie under
// variantKey. It never changes.
type slot struct {
	entry *entry // nil: none
	// names are all that answers of this path were ever seen to vary by, since none
	// of them is wrong to ask for. Of a path only.
	names []string
	// generation is unique. It is part of the variants' keys, so that a path that is
	// forgotten, or gains a name, leaves none of them in reach. Of a path only.
	generation uint64
	apart      time.Duration // until then, nobody waits for another's answer. Of a path only
	bytes      int64
}

// place is where the answer to a question is, or would be.
type place struct {
	names      []string
	generation uint64 // 0: nothing is known of the path
	apart      time.Duration
}

// store keeps answers within bounds.
type store struct {
	slots    *otter.Cache[string, *slot]
	unit     int64 // what an entry weighs at least
	entryMax int64
	base     []string // names that every path begins with

	mu    sync.Mutex // of who writes
	bytes atomic.Int64
	tally *tally
}

// tally is what outlives a store.
type tally struct {
	hits, misses, stale, shared, evictions atomic.Uint64
	generation                             atomic.Uint64
	epochs                                 epochs
}

func newStore(cfg *Config, t *tally) *store {
	s := &store{
		unit:     (cfg.MaxBytes + int64(cfg.MaxEntries) - 1) / int64(cfg.MaxEntries),
		entryMax: cfg.MaxBytes / entryShare,
		tally:    t,
	}
	if cfg.Authorized {
		s.base = credentials
	}
	s.slots = otter.Must(&otter.Options[string, *slot]{
		MaximumWeight: uint64(cfg.MaxBytes),
		Weigher:       func(_ string, v *slot) uint32 { return uint32(max(v.bytes, s.unit)) },
		Executor:      func(f func()) { f() }, // no goroutine: it only moves entries between queues
		OnAtomicDeletion: func(e otter.DeletionEvent[string, *slot]) {
			s.bytes.Add(-e.Value.bytes)
			if e.Cause == otter.CauseOverflow {
				t.evictions.Add(1)
			}
		},
	})
	return s
}

// find returns what is kept for the question, in whatever state, and its place.
func (s *store) find(q *question) (*entry, place) {
	root, ok := s.slots.GetIfPresent(q.path)
	if !ok {
		return nil, place{names: s.base}
	}
	p := place{names: root.names, generation: root.generation, apart: root.apart}
	got := root.entry
	if len(p.names) > 0 {
		got = s.variant(q, p, false)
	}
	// What answers a GET answers a HEAD; the reverse it does not.
	if q.head {
		if own := s.variant(q, p, true); own != nil && (got == nil || own.fresh > got.fresh) {
			got = own
		}
	}
	return got, p
}

func (s *store) variant(q *question, p place, head bool) *entry {
	if v, ok := s.slots.GetIfPresent(variantKey(p, q.header, head)); ok {
		return v.entry
	}
	return nil
}

// variantKey never begins as a path does.
func variantKey(p place, h messages.Header, head bool) string {
	var room [128]byte
	key := append(room[:0], 'G')
	if head {
		key[0] = 'H'
	}
	key = binary.BigEndian.AppendUint64(key, p.generation)
	return string(appendSelected(key, h, p.names))
}

// keep puts an answer in its place, unless it is too large or was asked for before
// the path was last forgotten.
func (s *store) keep(q *question, names []string, resp *messages.Response, t terms, epoch uint64) {
	bytes := slotCost + int64(len(q.path)+len(resp.Body))
	for name, values := range resp.Header {
		for _, v := range values {
			bytes += valueCost + int64(len(name)+len(v))
		}
	}
	if bytes > s.entryMax {
		s.drop(q)
		return
	}
	e := newEntry(resp, t)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tally.epochs.of(q.path) != epoch {
		return
	}
	root := s.root(q.path)
	known := union(root.names, names)
	if len(known) > namesMax {
		return
	}
	if len(known) == 0 && !q.head {
		s.set(q.path, &slot{entry: e, generation: root.generation, apart: root.apart, bytes: bytes})
		return
	}
	if len(known) > len(root.names) { // what is kept was chosen by too little
		root = slot{names: known, generation: s.tally.generation.Add(1), apart: root.apart}
	}
	if root.bytes == 0 {
		s.set(q.path, root.marker(q.path))
	}
	key := variantKey(place{names: known, generation: root.generation}, q.header, q.head)
	if bytes += int64(len(key)); bytes <= s.entryMax {
		s.set(key, &slot{entry: e, bytes: bytes})
	}
}

// root returns a copy of what lies under a path; one of no bytes is new.
func (s *store) root(path string) slot {
	if e, ok := s.slots.GetEntryQuietly(path); ok {
		return *e.Value
	}
	return slot{names: s.base, generation: s.tally.generation.Add(1)}
}

// marker is a root as it can be set.
func (v slot) marker(path string) *slot {
	if v.bytes == 0 {
		v.bytes = slotCost + int64(len(path))
		for _, name := range v.names {
			v.bytes += int64(len(name))
		}
	}
	return &v
}

// set is for who holds mu. When it returns, the bounds hold.
func (s *store) set(key string, v *slot) {
	s.bytes.Add(v.bytes)
	s.slots.Set(strings.Clone(key), v) // a path may be part of something large
	s.slots.CleanUp()
}

// drop takes out what is kept for the question, because it is no longer so.
func (s *store) drop(q *question) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.slots.GetEntryQuietly(q.path)
	if !ok {
		return
	}
	root := e.Value
	p := place{names: root.names, generation: root.generation}
	if root.entry != nil {
		s.slots.Invalidate(q.path)
		return
	}
	s.slots.Invalidate(variantKey(p, q.header, false))
	s.slots.Invalidate(variantKey(p, q.header, true))
}

// setApart lets nobody wait for another's answer of this path until then.
func (s *store) setApart(path string, until time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	root := s.root(path)
	root.apart = until
	s.set(path, root.marker(path))
}

// forget drops all that is kept of a path, and what is being fetched for it will
// not be kept.
func (s *store) forget(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tally.epochs.advance(path)
	s.slots.Invalidate(path)
}

// union returns the names of both, a itself if b has nothing new.
func union(a, b []string) []string {
	for _, name := range b {
		if !slices.Contains(a, name) {
			a = append(slices.Clip(a), name)
		}
	}
	return a
}

// epochs tell which fetches began before their path was last forgotten. They are
// shared by the paths of a hash: what that costs is an answer that is not kept
// though it could be.
type epochs struct {
	seed  maphash.Seed
	stamp [1024]atomic.Uint64
}

func (e *epochs) of(path string) uint64 { return e.at(path).Load() }
func (e *epochs) advance(path string)   { e.at(path).Add(1) }
func (e *epochs) at(path string) *atomic.Uint64 {
	return &e.stamp[maphash.String(e.seed, path)%uint64(len(e.stamp))]
}
