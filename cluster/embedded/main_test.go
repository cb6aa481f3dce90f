package embedded_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/understudy-go/understudy/cluster/embedded"
)

// holderStore makes this binary, started again, a process that runs a server on
// the store named there until its standard input ends.
const holderStore = "EMBEDDED_TEST_STORE"

func TestMain(m *testing.M) {
	if store := os.Getenv(holderStore); store != "" {
		hold(store)
		return
	}
	goleak.VerifyTestMain(m)
}

func hold(store string) {
	s, err := embedded.Start(context.Background(), embedded.Config{Listen: "127.0.0.1:0", Store: store}, nil)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, bufio.NewReader(os.Stdin))
	s.Close()
}

// patience bounds every wait for something that must happen. Nothing waits for
// it to pass.
const patience = 20 * time.Second

// local is a server on a free port with a store of its own.
func local(t *testing.T) embedded.Config {
	return embedded.Config{Listen: "127.0.0.1:0", Store: t.TempDir()}
}

func start(t *testing.T, cfg embedded.Config, log *slog.Logger) *embedded.Server {
	t.Helper()
	s, err := embedded.Start(context.Background(), cfg, log)
	noError(t, err)
	t.Cleanup(s.Close)
	return s
}

func dial(t *testing.T, url string, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, opts...)
	noError(t, err)
	t.Cleanup(nc.Close)
	return nc
}

// lines is a log that a test reads, and that can act on a line as it is written.
type lines struct {
	mu  sync.Mutex
	all strings.Builder
	on  func(line string)
}

func (l *lines) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	l.all.Write(p)
	l.mu.Unlock()
	if l.on != nil {
		l.on(string(p))
	}
	return len(p), nil
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}
