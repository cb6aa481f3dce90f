package cluster_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/understudy-go/understudy/cluster/embedded"
)

// The throttle of protoactor's dead letters ticks on after its system's end: a
// trap that is known.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/asynkron/protoactor-go/actor.NewDeadLetter.NewThrottle.func4.1"))
}

// patience bounds every wait for something that must happen. Nothing waits for
// it to pass.
const patience = 20 * time.Second

// startServer runs an embedded server for the length of the test.
func startServer(t *testing.T, cfg embedded.Config, log *slog.Logger) *embedded.Server {
	t.Helper()
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	if cfg.Store == "" {
		cfg.Store = t.TempDir()
	}
	s, err := embedded.Start(context.Background(), cfg, log)
	noError(t, err)
	t.Cleanup(s.Close)
	return s
}

// hostPort is where a server listens, for another to take its place.
func hostPort(s *embedded.Server) string { return strings.TrimPrefix(s.URL(), "nats://") }

func receive[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("waited %v for %s", patience, what)
		panic("unreachable")
	}
}

// lines is a log that a test reads and waits on.
type lines struct {
	mu   sync.Mutex
	all  []string
	some chan struct{} // closed and replaced by each line
}

func newLines() *lines { return &lines{some: make(chan struct{})} }

func (l *lines) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, string(p))
	close(l.some)
	l.some = make(chan struct{})
	return len(p), nil
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "")
}

func (l *lines) count(part string) (int, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, line := range l.all {
		if strings.Contains(line, part) {
			n++
		}
	}
	return n, l.some
}

// wait returns when n lines contain part.
func (l *lines) wait(t *testing.T, n int, part string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		have, more := l.count(part)
		if have >= n {
			return
		}
		select {
		case <-more:
		case <-deadline:
			t.Fatalf("waited %v for %d × %q in:\n%s", patience, n, part, l.text())
		}
	}
}
