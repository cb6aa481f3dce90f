package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/understudy-go/understudy/config"
	"github.com/understudy-go/understudy/internal/node"
	"github.com/understudy-go/understudy/internal/telemetry"
)

// drainMax bounds how long a node finishes what it has.
const drainMax = 30 * time.Second

type serving struct {
	*globals
	logging
	files []string
	nats  string
}

func serveCommand(g *globals) *cobra.Command {
	s := &serving{globals: g}
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run a node",
		Long: `Run a node: it takes requests over NATS for each of its services and sends them
to endpoints that are well.

Without a file it starts on defaults, with a NATS server of its own on
127.0.0.1:4222 that keeps its data in ./understudy-data, and no services: add one
with "understudy endpoint add". With files (see "understudy init"), each is laid
over the one before, and the environment upon them.

A file that changes is applied at once, as on SIGHUP: only what changed in it
changes, and a file with mistakes leaves the last good one in force. SIGTERM or
Ctrl-C finishes what is under way, for 30s at most; a second one stops at once.

A node whose NATS server cannot be reached keeps trying and is not ready until it
can. OTEL_* variables turn traces on.`,
		Example: `  understudy serve
  understudy serve -c understudy.yaml
  understudy serve -c base.yaml -c prod.yaml
  understudy serve --nats nats://nats.example:4222
  UNDERSTUDY_CFG__NATS__EMBEDDED__LISTEN=127.0.0.1:4300 understudy serve`,
		Args: none(),
		RunE: s.run,
	}
	c.Flags().StringArrayVarP(&s.files, "config", "c", nil, "configuration `file`; may be given more than once")
	c.Flags().StringVar(&s.nats, "nats", "", "`URL` of a NATS server to use, in place of one of its own")
	s.logging.flags(c.Flags(), "info")
	return c
}

func (s *serving) run(c *cobra.Command, _ []string) error {
	if c.Flags().Changed("server") {
		return usagef("serve takes --nats URL for the server to use, not --server")
	}
	log, err := s.logger(c.ErrOrStderr())
	if err != nil {
		return err
	}
	env := s.environment()
	f, err := config.Load(s.files, env)
	if err != nil {
		return s.named(err)
	}
	for _, w := range f.Warnings {
		log.Warn("configuration: " + w.String())
	}
	stops := make(chan os.Signal, 2)
	signal.Notify(stops, syscall.SIGTERM, os.Interrupt)
	tracing, err := telemetry.Start(c.Context(), buildInfo().Version, log)
	if err != nil {
		return statusError{err, exitConfig}
	}
	defer tracing.Stop()
	starting, started := signal.NotifyContext(c.Context(), syscall.SIGTERM, os.Interrupt)
	n, err := node.Start(starting, f, node.Options{Version: buildInfo().Version, Logger: log, TracerProvider: tracing.Provider()})
	started()
	if err != nil {
		return err
	}
	if err := s.announce(c.OutOrStdout(), n); err != nil {
		return errors.Join(err, n.Shutdown(ended()))
	}
	watching, stopWatching := context.WithCancel(c.Context())
	watched := s.watch(watching, n, env, log)
	sig := <-stops
	stopWatching()
	<-watched
	return s.stop(n, sig, stops, log)
}

// watch reloads the files until ctx ends; the channel closes when that is over.
func (s *serving) watch(ctx context.Context, n *node.Node, env []string, log *slog.Logger) <-chan struct{} {
	done := make(chan struct{})
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // to the end: by itself it would end the process
	go func() {
		defer close(done)
		if len(s.files) > 0 {
			n.Watch(ctx, s.files, env, hangups)
			return
		}
		for {
			select {
			case <-hangups:
				log.Info("there is no file to reload")
			case <-ctx.Done():
				return
			}
		}
	}()
	return done
}

// stop drains the node; another signal cuts that short.
func (s *serving) stop(n *node.Node, sig os.Signal, stops <-chan os.Signal, log *slog.Logger) error {
	log.Info("draining: another signal stops at once", "signal", sig.String(), "at_most", drainMax.String())
	ctx, cancel := context.WithTimeoutCause(context.Background(), drainMax,
		fmt.Errorf("not everything was finished in %v", drainMax))
	defer cancel()
	ctx, cut := context.WithCancelCause(ctx)
	go func() {
		select {
		case sig := <-stops:
			signal.Reset(syscall.SIGTERM, os.Interrupt) // a third one needs no answer of ours
			cut(fmt.Errorf("stopped at once by %v, not everything was finished", sig))
		case <-ctx.Done():
		}
	}()
	err := n.Shutdown(ctx)
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	cut(nil)
	if err != nil {
		return err
	}
	log.Info("stopped")
	return nil
}

// environment is what the configuration is read with. --nats is the key nats.url
// in place of whatever server the files choose.
func (s *serving) environment() []string {
	env := os.Environ()
	if s.nats != "" {
		env = append(env, envEmbedded+"=", envURL+"="+s.nats)
	}
	return env
}

const (
	envEmbedded = "UNDERSTUDY_CFG__NATS__EMBEDDED"
	envURL      = "UNDERSTUDY_CFG__NATS__URL"
)

// named gives a mistake in --nats its own name.
func (s *serving) named(err error) error {
	var mistakes config.Mistakes
	if s.nats != "" && errors.As(err, &mistakes) {
		for i, m := range mistakes {
			if m.File == envURL {
				mistakes[i].File = "--nats"
			}
		}
	}
	return err
}

// address is what serve prints: where it can be found.
type address struct {
	Node     string `json:"node"`
	NATS     string `json:"nats"`
	Embedded bool   `json:"embedded"`
	Admin    string `json:"admin,omitempty"`
	Services int    `json:"services"`
	Ready    bool   `json:"ready"`
	Reason   string `json:"reason,omitempty"`
}

func (s *serving) announce(w io.Writer, n *node.Node) error {
	a := address{
		Node: n.Name(), NATS: n.URL(), Embedded: n.Embedded(), Admin: n.AdminURL(),
		Services: len(n.System().Services()), Reason: n.NotReady(),
	}
	a.Ready = a.Reason == ""
	return s.print(w, a, func(w io.Writer) error {
		state := "ready"
		if !a.Ready {
			state = "not ready: " + a.Reason
		}
		whose := ""
		if a.Embedded {
			whose = " (embedded)"
		}
		lines := fmt.Sprintf("node %s with %s, %s\nNATS at %s%s\n", a.Node, plural(a.Services, "service"), state, a.NATS, whose)
		if a.Admin != "" {
			lines += "admin at " + a.Admin + "\n"
		}
		if a.Services == 0 {
			lines += "next: understudy endpoint add orders http://127.0.0.1:9001\n"
		}
		_, err := io.WriteString(w, lines)
		return err
	})
}

// ended is a context that is over: what takes it stops at once.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
