package embedded_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/understudy-go/understudy/cluster/embedded"
)

func TestStartServes(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "127.0.0.1:-1", "localhost:0"} {
		t.Run(listen, func(t *testing.T) {
			cfg := local(t)
			cfg.Listen = listen
			log := &lines{}
			s := start(t, cfg, log.logger())

			nc := dial(t, s.URL())
			equal(t, nc.ConnectedServerName(), "understudy")
			sub, err := nc.SubscribeSync("greeting")
			noError(t, err)
			noError(t, nc.Flush())
			noError(t, dial(t, "", s.InProcess()).Publish("greeting", []byte("hello")))
			msg, err := sub.NextMsg(patience)
			noError(t, err)
			equal(t, string(msg.Data), "hello")

			lacks(t, log.text(), "docs.nats.io") // its banner
			contains(t, log.text(), "level=DEBUG msg=\"Server is ready\" source=nats-server")
			for _, level := range []string{"INFO", "WARN", "ERROR"} {
				lacks(t, log.text(), "level="+level)
			}
		})
	}
}

// JetStream's limits are ours and not three quarters of the machine.
func TestJetStreamIsBounded(t *testing.T) {
	s := start(t, local(t), nil)
	js, err := jetstream.New(dial(t, s.URL()))
	noError(t, err)
	for kind, limit := range map[jetstream.StorageType]int64{
		jetstream.MemoryStorage: embedded.DefaultMaxMemory,
		jetstream.FileStorage:   embedded.DefaultMaxStore,
	} {
		// The refused one may still be on its way out, so it has another name.
		_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: kind.String() + "-over", Subjects: []string{"s"}, Storage: kind, MaxBytes: limit + 1})
		holds(t, err != nil, "a stream over the limit is refused")
		within := kind.String() + "-within"
		_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: within, Subjects: []string{"s"}, Storage: kind, MaxBytes: limit})
		noError(t, err)
		noError(t, js.DeleteStream(t.Context(), within))
	}
}

func TestStoreOutlivesTheServer(t *testing.T) {
	cfg := local(t)
	s := start(t, cfg, nil)
	js, err := jetstream.New(dial(t, s.URL()))
	noError(t, err)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
	noError(t, err)
	_, err = js.Publish(t.Context(), "s", []byte("kept"))
	noError(t, err)
	s.Close()

	js, err = jetstream.New(dial(t, "", start(t, cfg, nil).InProcess()))
	noError(t, err)
	stream, err := js.Stream(t.Context(), "S")
	noError(t, err)
	msg, err := stream.GetMsg(t.Context(), 1)
	noError(t, err)
	equal(t, string(msg.Data), "kept")
	_, err = os.Stat(filepath.Join(cfg.Store, "jetstream"))
	noError(t, err)
}

func TestAuthentication(t *testing.T) {
	for name, tc := range map[string]struct {
		secure func(*embedded.Config)
		right  nats.Option
		wrong  nats.Option
	}{
		"user": {
			func(c *embedded.Config) { c.User, c.Password = "u", "hidden-right" },
			nats.UserInfo("u", "hidden-right"), nats.UserInfo("u", "hidden-wrong"),
		},
		"token": {
			func(c *embedded.Config) { c.Token = "hidden-right" },
			nats.Token("hidden-right"), nats.Token("hidden-wrong"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			log := &lines{}
			cfg := local(t)
			cfg.Listen = "0.0.0.0:0"
			tc.secure(&cfg)
			s := start(t, cfg, log.logger())
			holds(t, strings.HasPrefix(s.URL(), "nats://127.0.0.1:"), "URL can be dialled: "+s.URL())

			dial(t, s.URL(), tc.right)
			dial(t, "", s.InProcess())
			for _, opts := range [][]nats.Option{{tc.wrong}, {}} {
				_, err := nats.Connect(s.URL(), opts...)
				errorIs(t, err, nats.ErrAuthorization)
			}
			contains(t, log.text(), "level=ERROR")
			contains(t, log.text(), "authentication error")
			lacks(t, log.text(), "hidden")
		})
	}
}

func TestCloseTwice(t *testing.T) {
	cfg := local(t)
	s := start(t, cfg, nil)
	nc := dial(t, s.URL(), nats.NoReconnect())
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			s.Close()
			// Whoever called: it is over when Close returns.
			_, err := nats.Connect(s.URL())
			if !errors.Is(err, nats.ErrNoServers) {
				t.Errorf("connecting to a closed server: %v", err)
			}
		})
	}
	all.Wait()
	<-closed
	start(t, cfg, nil)
}

// Whatever stops a start, nothing is left of it: the same start succeeds once
// the reason is gone.
func TestFailedStartLeavesNothing(t *testing.T) {
	cfg := local(t)
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	noError(t, err)
	cfg.Listen = probe.Addr().String()
	noError(t, probe.Close())
	blocker := filepath.Join(cfg.Store, "jetstream")
	noError(t, os.WriteFile(blocker, nil, 0o600))

	_, err = embedded.Start(context.Background(), cfg, nil)
	holds(t, err != nil, "a store that cannot be used is an error")
	contains(t, err.Error(), "embedded NATS server: Can't start JetStream: ")

	noError(t, os.Remove(blocker))
	dial(t, start(t, cfg, nil).URL())
}

// A start that is given up keeps the store until it has really ended.
func TestStartGivenUp(t *testing.T) {
	cfg := local(t)
	ctx, cancel := context.WithCancelCause(context.Background())
	enough := errors.New("enough")
	release := make(chan struct{})
	log := &lines{on: func(line string) {
		if strings.Contains(line, "Starting JetStream") { // the server stands still here
			cancel(enough)
			<-release
		}
	}}
	s, err := embedded.Start(ctx, cfg, log.logger())
	holds(t, s == nil, "no server")
	errorIs(t, err, enough)
	var locked *embedded.StoreLockedError
	_, err = embedded.Start(context.Background(), cfg, nil)
	holds(t, errors.As(err, &locked), "the store is still in use")

	close(release)
	waitForLock(t, cfg.Store)
	start(t, cfg, nil)
}

func TestStoreThatCannotBeMade(t *testing.T) {
	cfg := local(t)
	file := filepath.Join(cfg.Store, "file")
	noError(t, os.WriteFile(file, nil, 0o600))
	cfg.Store = filepath.Join(file, "store")
	_, err := embedded.Start(context.Background(), cfg, nil)
	holds(t, err != nil, "a store under a file is an error")
	contains(t, err.Error(), "store: ")
	contains(t, err.Error(), file)
}

// Nothing is written to the process's standard output and error.
func TestServerIsQuiet(t *testing.T) {
	r, w, err := os.Pipe()
	noError(t, err)
	stdout, stderr := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = w, w
	s, err := embedded.Start(context.Background(), local(t), nil)
	if err == nil {
		s.Close()
	}
	os.Stdout, os.Stderr = stdout, stderr
	noError(t, err)
	noError(t, w.Close())
	said, err := io.ReadAll(r)
	noError(t, err)
	equal(t, string(said), "")
}
