package demo

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/understudy-go/understudy/internal/show"
)

// newsMax is how many of the last things that happened stand under the table.
const newsMax = 10

const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	up         = "\x1b[%dA"
	clearBelow = "\x1b[J"
	bold       = "\x1b[1m"
	red        = "\x1b[31m"
	green      = "\x1b[32m"
	yellow     = "\x1b[33m"
	faint      = "\x1b[2m"
	reset      = "\x1b[0m"
)

// Screen is a [View] that draws a table in place on a terminal.
type Screen struct {
	w     io.Writer
	width int

	mu    sync.Mutex
	drawn int // lines of the picture that is there
	news  []string
	then  Scene // the picture of about a second ago, for rates
}

// NewScreen returns one on a terminal of that many columns. Close gives the
// cursor back.
func NewScreen(w io.Writer, width int) *Screen { return &Screen{w: w, width: width} }

// Say implements [View].
func (s *Screen) Say(at time.Duration, words string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.news = append(s.news, fmt.Sprintf("%6.2fs  %s", at.Seconds(), words))
	s.news = s.news[max(0, len(s.news)-newsMax):]
}

// Draw implements [View].
func (s *Screen) Draw(now Scene) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := s.picture(now)
	if now.Elapsed-s.then.Elapsed >= time.Second {
		s.then = now
	}
	var b strings.Builder
	if s.drawn > 0 {
		fmt.Fprintf(&b, up, s.drawn)
	} else {
		b.WriteString(hideCursor)
	}
	b.WriteString("\r" + clearBelow)
	for _, line := range lines {
		b.WriteString(line + "\n")
	}
	s.drawn = len(lines)
	_, _ = io.WriteString(s.w, b.String()) // nobody looks: the show goes on
}

// picture is the lines of one drawing, each within the width.
func (s *Screen) picture(now Scene) []string {
	failed := paint(green, "0 failed")
	if now.Failed > 0 {
		failed = paint(red, fmt.Sprintf("%d failed", now.Failed))
	}
	lines := []string{
		fmt.Sprintf("%s  %5.1fs   %d requests, %s, p50 %.1f ms, p99 %.1f ms",
			paint(bold, "understudy demo"), now.Elapsed.Seconds(), now.Requests, failed, now.P50, now.P99),
		"",
	}
	rows := [][]string{{"ENDPOINT", "STATE", "PER SECOND", "INFLIGHT", "LATENCY", "WHY"}}
	for i, e := range now.Endpoints {
		rows = append(rows, []string{e.ID, e.State, now.rate(i, &s.then), fmt.Sprint(e.Inflight), show.Latency(e.Latency), e.Why})
	}
	for i, line := range show.Lines(rows) {
		line = show.Cut(line, s.width-1)
		if i == 0 {
			lines = append(lines, paint(faint, line))
			continue
		}
		state := now.Endpoints[i-1].State
		lines = append(lines, strings.Replace(line, state, paint(colour(state), state), 1))
	}
	lines = append(lines, "")
	for i := range newsMax {
		line := ""
		if i < len(s.news) {
			line = show.Cut(s.news[i], s.width-1)
		}
		lines = append(lines, line)
	}
	return lines
}

func colour(state string) string {
	switch state {
	case "serving":
		return green
	case "out":
		return red
	}
	return yellow
}

func paint(colour, text string) string { return colour + text + reset }

// Close leaves the last picture and gives the cursor back. What is drawn after it
// begins below.
func (s *Screen) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drawn > 0 {
		_, _ = io.WriteString(s.w, showCursor)
	}
	s.drawn = 0
}
