package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/understudy-go/understudy/messages"
)

// startMax bounds the start. JetStream reads its whole store before the server
// listens, which takes seconds where the store is full and the disk slow.
const startMax = time.Minute

// Server is a running NATS server. Its methods are safe for concurrent use.
type Server struct {
	cfg  Config
	ns   *server.Server
	log  *serverLog
	lock *os.File
	url  string
	once sync.Once
}

// Start runs a server and returns when it accepts connections. ctx bounds the
// start, not the server's life; a nil logger keeps it silent.
//
// Errors: a [messages.Error] with INVALID_CONFIG, a [StoreLockedError], a
// [PortTakenError], or what nats-server has to say.
func Start(ctx context.Context, cfg Config, log *slog.Logger) (*Server, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, &messages.Error{Code: messages.CodeInvalidConfig, Err: err}
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	lock, err := lockStore(cfg.Store)
	if err != nil {
		return nil, err
	}
	if err := checkPort(cfg.Listen); err != nil {
		unlockStore(lock)
		return nil, err
	}
	ns, err := server.NewServer(cfg.options())
	if err != nil {
		unlockStore(lock)
		return nil, fmt.Errorf("embedded NATS server: %w", err)
	}
	s := &Server{cfg: cfg, ns: ns, log: &serverLog{log: log.With("source", "nats-server")}, lock: lock}
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// options are nats-server's. Its zero values would listen on every interface and
// take the process's signals.
func (c Config) options() *server.Options {
	host, port, _ := splitListen(c.Listen)
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return &server.Options{
		ServerName:             c.Name,
		Host:                   host,
		Port:                   port,
		Username:               c.User,
		Password:               c.Password,
		Authorization:          c.Token,
		JetStream:              true,
		StoreDir:               c.Store, // files go to <store>/jetstream
		JetStreamMaxMemory:     c.MaxMemory,
		JetStreamMaxStore:      c.MaxStore,
		DisableJetStreamBanner: true,
		NoSigs:                 true,
	}
}

// start brings the server up, or takes everything down again.
func (s *Server) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startMax)
	defer cancel()
	s.ns.SetLoggerV2(s.log, false, false, false)
	returned := make(chan struct{})
	go func() {
		s.ns.Start()
		close(returned)
	}()
	select {
	case <-returned:
	case <-ctx.Done():
		// The store may still be read: it stays ours until that is over.
		go func() {
			<-returned
			s.Close()
		}()
		return fmt.Errorf("embedded NATS server: not ready: %w", context.Cause(ctx))
	}
	addr, up := s.ns.Addr().(*net.TCPAddr)
	if !up {
		s.Close()
		return s.startError()
	}
	host, _, _ := splitListen(s.cfg.Listen)
	s.url = "nats://" + dialable(host, addr.Port)
	return nil
}

// startError says why the server, now closed, did not come up.
func (s *Server) startError() error {
	// Somebody may have taken the port after we had looked.
	if err := checkPort(s.cfg.Listen); err != nil {
		return err
	}
	if text := s.log.fatal.Load(); text != nil {
		return fmt.Errorf("embedded NATS server: %s", *text)
	}
	return errors.New("embedded NATS server: did not start")
}

// URL is where clients on this machine connect, without credentials.
func (s *Server) URL() string { return s.url }

// InProcess is the option that makes a connection to this server without a
// socket and with its credentials, whatever its other options say.
func (s *Server) InProcess() nats.Option {
	return func(o *nats.Options) error {
		o.InProcessServer = s.ns
		o.Url, o.Servers = s.url, nil // what the connection calls its server
		o.User, o.Password, o.Token = s.cfg.User, s.cfg.Password, s.cfg.Token
		return nil
	}
}

// Close stops the server, waits until it has stopped, and gives the store back.
// It may be called again, and then waits for the same.
func (s *Server) Close() {
	s.once.Do(func() {
		s.ns.Shutdown()
		s.ns.WaitForShutdown()
		unlockStore(s.lock)
	})
}
