package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/understudy-go/understudy/internal/demo"
	"github.com/understudy-go/understudy/internal/show"
	"github.com/understudy-go/understudy/internal/telemetry"
)

const ordersName = "demo-service"

type demonstration struct {
	*globals
	logging
	duration time.Duration
	rate     int
	stay     bool
	show     bool
}

func demoCommand(g *globals) *cobra.Command {
	d := &demonstration{globals: g}
	c := &cobra.Command{
		Use:   "demo",
		Short: "Watch endpoints fail and the requests go on, in 20 seconds",
		Long: `Watch endpoints fail and the requests go on.

The demo runs a node with a NATS server of its own on a free port, three instances
of an order service as processes that speak HTTP, and sends 500 requests a second
over NATS. It kills one instance with SIGKILL, has another one stall for 6 s on
half of its calls, and brings both back. On a terminal it shows as it happens who
serves, who is out, and why; else it writes plain lines.

The result goes to standard output. Exit status 0 means that not one request
failed. Everything is on loopback and nothing is left behind.

The services' configuration (--show-config) is the default but for:

  attempt_timeout: 1s                              a stalled call costs another attempt
  health: {http: {path: /health}, interval: 500ms}`,
		Example: `  understudy demo
  understudy demo -o json
  understudy demo --stay        # then: understudy status -s nats://127.0.0.1:…`,
		Args: none(),
		RunE: d.run,
	}
	f := c.Flags()
	f.DurationVar(&d.duration, "duration", 20*time.Second, "length of the show; its steps scale with it")
	f.IntVar(&d.rate, "rate", 500, "requests per second, 1 to 5000")
	f.BoolVar(&d.stay, "stay", false, "go on until Ctrl-C, to be played with")
	f.BoolVar(&d.show, "show-config", false, "print the configuration of its node and end")
	d.logging.flags(f, "error")
	return c
}

func (d *demonstration) run(c *cobra.Command, _ []string) error {
	stdout, stderr := c.OutOrStdout(), c.ErrOrStderr()
	if d.show {
		_, err := io.WriteString(stdout, demo.ExampleSettings())
		return err
	}
	switch {
	case d.rate < 1 || d.rate > 5000:
		return usagef("--rate %d: 1 to 5000 is needed", d.rate)
	case d.duration < time.Second || d.duration > time.Hour:
		return usagef("--duration %v: 1s to 1h is needed", d.duration)
	}
	log, err := d.logger(stderr)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGTERM, os.Interrupt, syscall.SIGHUP)
	defer stop()
	tracing, err := telemetry.Start(ctx, buildInfo().Version, log)
	if err != nil {
		return statusError{err, exitConfig}
	}
	defer tracing.Stop()
	var view demo.View = demo.NewLines(stderr)
	closeView := func() {} // more than once does no harm
	if width := show.Terminal(stderr); width > 0 && d.output == "table" {
		screen := demo.NewScreen(stderr, width)
		view, closeView = screen, screen.Close
	}
	defer closeView()
	running, err := demo.Start(ctx, demo.Options{
		Command: []string{self, ordersName}, Duration: d.duration, Rate: d.rate, View: view,
		Logger: log, TracerProvider: tracing.Provider(),
	})
	if err != nil {
		return err
	}
	defer running.Close()
	result, err := running.Play(ctx)
	closeView()
	if ctx.Err() != nil {
		return fmt.Errorf("stopped before the end")
	}
	if err != nil {
		return err
	}
	if err := d.print(stdout, result, func(w io.Writer) error { return printResult(w, result) }); err != nil {
		return err
	}
	if d.stay {
		invite(stderr, running)
		running.Stay(ctx)
	}
	if result.Failed > 0 {
		return fmt.Errorf("%s failed, the first: %s", plural(int(result.Failed), "request"), result.Failures[0])
	}
	return nil
}

func printResult(w io.Writer, r *demo.Result) error {
	count := func(n uint64) string { return strconv.FormatUint(n, 10) }
	return show.Table(w, [][]string{
		{"requests", count(r.Requests)},
		{"failed", count(r.Failed)},
		{"fallbacks", count(r.Fallbacks)},
		{"retries", count(r.Retries)},
		{"failovers", count(r.Failovers)},
		{"p50", fmt.Sprintf("%.1f ms", r.P50)},
		{"p99", fmt.Sprintf("%.1f ms", r.P99)},
		{"time to isolate", elapsed(r.TimeToIsolate), "from SIGKILL until the endpoint is avoided"},
		{"time to recover", elapsed(r.TimeToRecover), "from its being back until it answers again"},
	})
}

func elapsed(ms *float64) string {
	if ms == nil {
		return "not seen"
	}
	return fmt.Sprintf("%.1f ms", *ms)
}

// invite says what to play with.
func invite(w io.Writer, d *demo.Demo) {
	fmt.Fprintf(w, `
The node stays, and so do the requests. Ctrl-C ends it. In another terminal:

  export NATS_URL=%s
  understudy status
  understudy events -f
  understudy request orders --path /orders
  understudy drain orders orders-2 --reason "a closer look"
`, d.URL())
	fmt.Fprintf(w, "  kill -9 %d    # orders-3\n  $EDITOR %s    # applied as it is saved\n\n", d.PIDs()["orders-3"], d.File())
}

// ordersCommand is one instance of the demo's service. The demo starts it.
func ordersCommand() *cobra.Command {
	return &cobra.Command{
		Use:    ordersName + " ID ADDRESS",
		Short:  "One instance of the demo's order service",
		Hidden: true,
		Args:   args(cobra.ExactArgs(2), "an id and an address"),
		RunE: func(c *cobra.Command, given []string) error {
			return demo.ServeOrders(given[0], given[1], os.Stdin, os.Stdout)
		},
	}
}
