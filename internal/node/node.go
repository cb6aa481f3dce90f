package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/cluster"
	"github.com/understudy-go/understudy/cluster/embedded"
	"github.com/understudy-go/understudy/config"
	"github.com/understudy-go/understudy/internal/admin"
	"github.com/understudy-go/understudy/messages"
)

// Options are what a node is started with besides its configuration.
type Options struct {
	Version        string
	Logger         *slog.Logger
	TracerProvider trace.TracerProvider // nil: no traces
}

// Node is a running node.
type Node struct {
	name string
	url  string // of NATS, without credentials
	log  *slog.Logger

	server *embedded.Server // nil: NATS is another process
	nc     *nats.Conn
	sys    *understudy.System
	door   *cluster.Door
	admin  *admin.Server // nil: none

	started  *config.File // what cannot change while running is compared with this
	draining atomic.Bool

	mu      sync.Mutex
	inForce map[string]understudy.ServiceConfig // by service, as the files have it
	config  string                              // why the newest file is not in force, or not all of it
}

// Start runs a node as the file says. ctx bounds the start alone. Errors are
// those of [embedded.Start], [cluster.Connect] and [understudy.New], or that the
// admin address is taken; nothing is left running then.
func Start(ctx context.Context, f *config.File, o Options) (*Node, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	n := &Node{log: o.Logger, started: f, inForce: map[string]understudy.ServiceConfig{}}
	if err := n.start(ctx, f, o); err != nil {
		n.stop(ctx)
		return nil, err
	}
	return n, nil
}

func (n *Node) start(ctx context.Context, f *config.File, o Options) error {
	if err := n.connect(ctx, f); err != nil {
		return err
	}
	var err error
	if n.name, err = n.ownName(f); err != nil {
		return err
	}
	place, err := f.Node.Place()
	if err != nil {
		return err
	}
	n.sys, err = understudy.New(understudy.Config{Node: n.name, Place: place, Services: f.Services},
		understudy.WithLogger(n.log), understudy.WithTracerProvider(o.TracerProvider))
	if err != nil {
		return err
	}
	maps.Copy(n.inForce, f.Services)
	// The door is not the system's own, because it has more to tell: whether the
	// node is ready, and whether its newest file is in force.
	n.door, err = cluster.Open(n.nc, n.sys.System, cluster.DoorConfig{
		Prefix: f.Prefix, Node: n.name, Version: o.Version, Status: n.status,
		Logger: n.log, TracerProvider: o.TracerProvider,
	})
	if err != nil {
		return err
	}
	// Whoever hears that the node is up finds it. An error is a lost connection,
	// which NotReady tells.
	if n.nc.IsConnected() {
		_ = n.nc.FlushTimeout(flushMax)
	}
	if listen := f.Admin.Listen; listen != "" && listen != "off" {
		n.admin, err = admin.Listen(listen, n.NotReady, n.log)
	}
	return err
}

// connect starts the embedded server, or connects to another one without waiting
// for it.
func (n *Node) connect(ctx context.Context, f *config.File) error {
	var err error
	if f.NATS.External() {
		n.url = cluster.Redact(f.NATS.WithDefaults().URL)
		n.nc, err = cluster.Connect(f.NATS.Config, n.log, nats.RetryOnFailedConnect(true))
		return err
	}
	if n.server, err = embedded.Start(ctx, embeddedConfig(f), n.log); err != nil {
		return err
	}
	n.url = n.server.URL()
	n.nc, err = cluster.Connect(cluster.Config{}, n.log, n.server.InProcess())
	return err
}

func embeddedConfig(f *config.File) embedded.Config {
	if f.NATS.Embedded == nil {
		return embedded.Config{}.WithDefaults()
	}
	return f.NATS.Embedded.WithDefaults()
}

// flushMax bounds the wait for the server to have heard of the node's services.
const flushMax = 5 * time.Second

// nameFile keeps the name that a node made up, so that a restart is no new node.
const nameFile = "node-name"

// ownName is the configured name, or the one in the store, or a new one that is
// kept there. Without a store of our own there is nowhere to keep it.
func (n *Node) ownName(f *config.File) (string, error) {
	if f.Node.Name != "" {
		return f.Node.Name, nil
	}
	if n.server == nil {
		return cluster.NodeName(), nil
	}
	path := filepath.Join(embeddedConfig(f).Store, nameFile)
	text, err := os.ReadFile(path)
	if name := strings.TrimSpace(string(text)); err == nil && messages.CheckName(name) == nil {
		return name, nil
	}
	name := cluster.NodeName()
	if err := os.WriteFile(path, []byte(name+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("node name: %w", err)
	}
	return name, nil
}

// Name is the node's name.
func (n *Node) Name() string { return n.name }

// URL is where NATS is, without credentials.
func (n *Node) URL() string { return n.url }

// Embedded reports whether NATS runs in this process.
func (n *Node) Embedded() bool { return n.server != nil }

// AdminURL is where the admin door listens, "" if there is none.
func (n *Node) AdminURL() string {
	if n.admin == nil {
		return ""
	}
	return n.admin.URL()
}

// System holds the services.
func (n *Node) System() *understudy.System { return n.sys }

// NotReady says why the node does not serve, or "".
func (n *Node) NotReady() string {
	switch {
	case n.draining.Load():
		return "draining"
	case !n.nc.IsConnected():
		return "NATS cannot be reached at " + n.url
	}
	return ""
}

// status completes what the door says of the node.
func (n *Node) status(s *messages.NodeStatus) {
	if why := n.NotReady(); why != "" {
		s.Ready, s.Reason = false, why
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	s.Config = n.config
}

// Shutdown takes nothing new, lets what is under way finish until ctx ends, and
// stops everything. An error says that something was cut off.
func (n *Node) Shutdown(ctx context.Context) error {
	n.draining.Store(true)
	return n.stop(ctx)
}

// stop takes down what is up, in the order in which nothing is lost: the door
// first, while the services still answer, then they, then the connection with the
// last answers on it, then the server that carries them.
func (n *Node) stop(ctx context.Context) error {
	errs := []error{n.door.Drain(ctx)}
	if n.sys != nil {
		errs = append(errs, n.sys.Shutdown(ctx))
	}
	n.door.Close()
	if n.nc != nil {
		errs = append(errs, cluster.Drain(ctx, n.nc))
	}
	if n.admin != nil {
		errs = append(errs, n.admin.Close(ctx))
	}
	if n.server != nil {
		n.server.Close()
	}
	return errors.Join(errs...)
}
