package demo

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// drawEvery is how often plain lines say how things are.
const drawEvery = 2 * time.Second

// Lines is a [View] of plain lines with the time in front, for where there is no
// terminal.
type Lines struct {
	w    io.Writer
	mu   sync.Mutex
	last Scene // when it last said how things are
}

// NewLines returns one that writes to w.
func NewLines(w io.Writer) *Lines { return &Lines{w: w} }

// Say implements [View].
func (l *Lines) Say(at time.Duration, words string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.write(at, words)
}

func (l *Lines) write(at time.Duration, words string) {
	_, _ = fmt.Fprintf(l.w, "%7.3fs  %s\n", at.Seconds(), words) // nobody reads it: the show goes on
}

// Draw implements [View].
func (l *Lines) Draw(s Scene) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.Elapsed-l.last.Elapsed < drawEvery {
		return
	}
	parts := make([]string, len(s.Endpoints))
	for i, e := range s.Endpoints {
		parts[i] = fmt.Sprintf("%s %s %s/s", e.ID, e.State, s.rate(i, &l.last))
	}
	l.write(s.Elapsed, fmt.Sprintf("%d requests, %d failed, p99 %.1f ms; %s",
		s.Requests, s.Failed, s.P99, strings.Join(parts, ", ")))
	l.last = s
}
