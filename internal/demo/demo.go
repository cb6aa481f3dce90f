package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/config"
	"github.com/understudy-go/understudy/internal/node"
	"github.com/understudy-go/understudy/messages"
)

// startMax bounds how long the demo waits for its first answer.
const startMax = 15 * time.Second

// Options say what to show.
type Options struct {
	// Command starts an instance; its id and address are appended, and it must
	// call [ServeOrders] with them.
	Command  []string
	Duration time.Duration // of the show. Zero: 20s
	Rate     int           // requests per second. Zero: 500
	View     View

	Logger         *slog.Logger
	TracerProvider trace.TracerProvider
}

// Demo is one that has been set up.
type Demo struct {
	o    Options
	dir  string
	file string

	node   *node.Node
	nc     *nats.Conn // the requests' own, over TCP as any client's
	load   *load
	cancel context.CancelFunc // of what runs beside
	beside sync.WaitGroup

	began time.Time // of the show

	mu        sync.Mutex
	instances []*child
	killed    time.Time
	isolated  time.Duration // since killed; 0: not yet
}

// Start sets everything up and returns when requests are answered. Close must be
// called, after an error too.
func Start(ctx context.Context, o Options) (*Demo, error) {
	if o.Duration == 0 {
		o.Duration = 20 * time.Second
	}
	if o.Rate == 0 {
		o.Rate = 500
	}
	d := &Demo{o: o, instances: make([]*child, len(ids))}
	if err := d.start(ctx); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func (d *Demo) start(ctx context.Context) error {
	var err error
	if d.dir, err = os.MkdirTemp("", "understudy-demo-"); err != nil {
		return err
	}
	urls := make([]string, len(ids))
	for i, id := range ids {
		if d.instances[i], err = startChild(d.o.Command, id, "127.0.0.1:0"); err != nil {
			return fmt.Errorf("starting %s: %w", id, err)
		}
		urls[i] = d.instances[i].url
	}
	d.file = filepath.Join(d.dir, "understudy.yaml")
	if err := os.WriteFile(d.file, []byte(Settings(d.dir, urls)), 0o600); err != nil {
		return err
	}
	f, err := config.Load([]string{d.file}, nil)
	if err != nil {
		return err
	}
	if d.node, err = node.Start(ctx, f, node.Options{Version: "demo", Logger: d.o.Logger, TracerProvider: d.o.TracerProvider}); err != nil {
		return err
	}
	if d.nc, err = nats.Connect(d.node.URL()); err != nil {
		return err
	}
	d.load = newLoad(d.nc, messages.RequestSubject(messages.DefaultPrefix, service), d.o.Rate)
	beside, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	d.beside.Go(func() { d.node.Watch(beside, []string{d.file}, nil, nil) })
	events := d.node.System().Events(beside, understudy.Filter{Service: service})
	d.beside.Go(func() {
		for e := range events {
			d.happened(&e)
		}
	})
	return d.firstAnswer(ctx)
}

// firstAnswer returns when a request is answered.
func (d *Demo) firstAnswer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startMax)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		reply, err := d.nc.RequestWithContext(ctx, d.load.subject, nil)
		if err == nil && reply.Header.Get(messages.HeaderNATSError) == "" {
			return nil
		}
		if err == nil {
			err = errors.New(reply.Header.Get(messages.HeaderNATSError))
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("the node does not serve: %w", err)
		}
	}
}

// Close stops everything and leaves nothing behind.
func (d *Demo) Close() {
	if d.cancel != nil {
		d.cancel()
	}
	d.beside.Wait()
	if d.nc != nil {
		d.nc.Close()
	}
	if d.node != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = d.node.Shutdown(ctx) // nobody waits for an answer any more
	}
	for _, c := range d.instances {
		if c != nil {
			c.kill()
		}
	}
	if d.dir != "" {
		_ = os.RemoveAll(d.dir) // it lies where the system clears up
	}
}

// URL is where the demo's NATS server listens.
func (d *Demo) URL() string { return d.node.URL() }

// File is the configuration that the node runs on, and watches.
func (d *Demo) File() string { return d.file }

// PIDs are the instances' processes, by id.
func (d *Demo) PIDs() map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	pids := make(map[string]int, len(ids))
	for i, id := range ids {
		pids[id] = d.instances[i].pid
	}
	return pids
}
