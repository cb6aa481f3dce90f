package actors

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/understudy-go/understudy/messages"
)

// eventsKept is how many events the system remembers, and how far a reader may
// fall behind before it loses some.
const eventsKept = 4096

// eventLog keeps the newest events in a ring. Readers hold a cursor into it, so
// there is no queue per reader: whoever is slower than the ring loses the
// oldest, and is told how many.
type eventLog struct {
	mu     sync.Mutex
	ring   []messages.Event
	next   uint64        // sequence of the next event; the first is 1
	more   chan struct{} // closed when something is added; nil while nobody waits
	closed bool
}

func newEventLog(size int) *eventLog {
	return &eventLog{ring: make([]messages.Event, 0, min(size, 64)), next: 1}
}

func (l *eventLog) add(e messages.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	e.Sequence = l.next
	l.next++
	if len(l.ring) < eventsKept {
		l.ring = append(l.ring, e)
	} else {
		l.ring[(e.Sequence-1)%eventsKept] = e
	}
	l.wakeReaders()
}

func (l *eventLog) wakeReaders() {
	if l.more != nil {
		close(l.more)
		l.more = nil
	}
}

func (l *eventLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.wakeReaders()
}

// read returns the event at cursor and the next cursor. Where the ring has moved
// past the cursor, lost says by how many. With nothing to read, wait is the
// channel that closes when there is; it is nil at the end.
func (l *eventLog) read(cursor uint64) (e messages.Event, next, lost uint64, wait <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if cursor >= l.next {
		if l.closed {
			return e, cursor, 0, nil
		}
		if l.more == nil {
			l.more = make(chan struct{})
		}
		return e, cursor, 0, l.more
	}
	if oldest := l.next - uint64(len(l.ring)); cursor < oldest {
		lost = oldest - cursor
		cursor = oldest
	}
	return l.ring[(cursor-1)%eventsKept], cursor + 1, lost, nil
}

// Filter chooses events. Zero fields choose all.
type Filter struct {
	Service  string
	Endpoint string
	Kind     messages.Kind
	// Since includes what is still remembered from that moment on. Zero: only
	// what happens from now on.
	Since time.Time
}

func (f *Filter) matches(e *messages.Event) bool {
	return (f.Service == "" || f.Service == e.Service) &&
		(f.Endpoint == "" || f.Endpoint == e.Endpoint) &&
		(f.Kind == "" || f.Kind == e.Kind) &&
		!e.Time.Before(f.Since)
}

// Events yields what happens, in order, until ctx ends, the system closes or the
// loop breaks. It starts at the call, not at the first step. A reader that falls
// more than 4096 events behind gets an events_lost event in place of what it missed.
func (s *System) Events(ctx context.Context, f Filter) iter.Seq[messages.Event] {
	s.events.mu.Lock()
	cursor := s.events.next
	if !f.Since.IsZero() {
		cursor -= uint64(len(s.events.ring))
	}
	s.events.mu.Unlock()
	return func(yield func(messages.Event) bool) {
		for {
			e, next, lost, wait := s.events.read(cursor)
			if lost > 0 && !yield(s.lostEvent(lost)) {
				return
			}
			if next == cursor {
				if wait == nil {
					return
				}
				select {
				case <-wait:
					continue
				case <-ctx.Done():
					return
				}
			}
			cursor = next
			if f.matches(&e) && !yield(e) {
				return
			}
			if ctx.Err() != nil {
				return
			}
		}
	}
}

func (s *System) lostEvent(n uint64) messages.Event {
	return messages.Event{Kind: messages.KindEventsLost, Node: s.node, Time: s.clock.wall(s.clock.now()),
		Cause: messages.Cause{Words: fmt.Sprintf("%d events lost: the reader is too slow", n), Lost: n}}
}

// history returns the newest n events of a service, oldest first.
func (l *eventLog) history(service string, n int) []messages.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []messages.Event
	for seq := l.next - 1; seq >= l.next-uint64(len(l.ring)) && seq > 0 && len(out) < n; seq-- {
		if e := l.ring[(seq-1)%eventsKept]; e.Service == service {
			out = append(out, e)
		}
	}
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out
}

// Emit adds an event of somebody outside the actors: the configuration, say.
func (s *System) Emit(e messages.Event) {
	e.Node = s.node
	if e.Time.IsZero() {
		e.Time = s.clock.wall(s.clock.now())
	}
	s.events.add(e)
}

func (s *serviceCell) emit(now time.Duration, kind messages.Kind, endpoint string, cause messages.Cause) {
	s.sys.events.add(messages.Event{Time: s.sys.clock.wall(now), Kind: kind, Node: s.sys.node,
		Service: s.name, Endpoint: endpoint, Cause: cause})
}

// listen has the hook OnTransition hear the service's events, in a goroutine of
// its own, for as long as the service is there.
func (s *serviceCell) listen() {
	if s.settings.Load().config.Hooks.OnTransition == nil || s.listening.Swap(true) {
		return
	}
	events := s.sys.Events(s.sys.ctx, Filter{Service: s.name})
	go func() {
		for e := range events {
			hook := s.settings.Load().config.Hooks.OnTransition
			if hook == nil {
				continue
			}
			if err := guard("OnTransition", func() error { hook(e); return nil }); err != nil {
				s.sys.logger.Error(err.Error(), "service", s.name)
			}
			if e.Kind == messages.KindServiceRemoved {
				return
			}
		}
	}()
}
