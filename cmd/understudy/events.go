package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/understudy-go/understudy/actors/nearest"
	"github.com/understudy-go/understudy/cluster"
	"github.com/understudy-go/understudy/internal/show"
	"github.com/understudy-go/understudy/messages"
)

type following struct {
	*globals
	filter cluster.EventFilter
	kind   string
	count  int
}

func eventsCommand(g *globals) *cobra.Command {
	e := &following{globals: g}
	c := &cobra.Command{
		Use:   "events",
		Short: "Watch what happens, with the reasons",
		Long: `Watch what happens on all nodes from now on, one line for each event with its
reason, until Ctrl-C, --count events, or --timeout. With -o json each event is one
line of JSON.

Kinds: ` + kindNames(),
		Example: "  understudy events\n  understudy events --service orders --kind circuit_open\n  understudy events -n 1 --kind endpoint_down --timeout 1m && page-me",
		Args:    none(),
		RunE:    e.run,
	}
	f := c.Flags()
	f.BoolP("follow", "f", true, "go on until Ctrl-C; that is how it always is, as nodes keep no events for it yet")
	f.StringVar(&e.filter.Service, "service", "", "events of this `service` only")
	f.StringVar(&e.filter.Endpoint, "endpoint", "", "events of this `endpoint` only")
	f.StringVar(&e.kind, "kind", "", "events of this `kind` only")
	f.IntVarP(&e.count, "count", "n", 0, "end after so many events")
	return c
}

func (e *following) run(c *cobra.Command, _ []string) error {
	if e.kind != "" && !slices.Contains(kinds, messages.Kind(e.kind)) {
		names := make([]string, len(kinds))
		for i, k := range kinds {
			names[i] = string(k)
		}
		hint := "see understudy events --help"
		if near, ok := nearest.Nearest(e.kind, names); ok {
			hint = "did you mean " + near + "?"
		}
		return usagef("--kind %s: there is none of that name: %s", e.kind, hint)
	}
	e.filter.Kind = messages.Kind(e.kind)
	log := slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	client, done, err := e.connect(log)
	if err != nil {
		return err
	}
	defer done()
	ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if e.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, e.timeout)
		defer cancel()
	}
	seen := 0
	for event, err := range client.Events(ctx, e.filter) {
		if err != nil {
			return err
		}
		if err := e.show(c.OutOrStdout(), &event); err != nil {
			return err
		}
		if seen++; seen == e.count {
			return nil
		}
	}
	if e.count > 0 && context.Cause(ctx) == context.DeadlineExceeded {
		return &messages.Error{Code: messages.CodeTimeout, Words: fmt.Sprintf("%s of %d in %v", plural(seen, "event"), e.count, e.timeout)}
	}
	return nil
}

func (e *following) show(w io.Writer, event *messages.Event) error {
	switch e.output {
	case "json":
		return json.NewEncoder(w).Encode(event)
	case "yaml":
		if _, err := io.WriteString(w, "---\n"); err != nil {
			return err
		}
		return e.print(w, event, nil)
	}
	_, err := fmt.Fprintf(w, "%s  %-20s  %-22s %s\n", event.Time.Local().Format(time.StampMilli[7:]),
		show.Plain(show.Whom(event)), show.What(event.Kind), show.Why(event))
	return err
}

// kinds are all that there are, as messages has them.
var kinds = []messages.Kind{
	messages.KindHealthCheckFailed, messages.KindHealthCheckPassed,
	messages.KindEndpointDown, messages.KindEndpointUp, messages.KindEndpointDegraded,
	messages.KindEndpointEjected, messages.KindEndpointReturned,
	messages.KindEndpointSuspected, messages.KindSuspicionCleared,
	messages.KindCircuitOpened, messages.KindCircuitHalfOpened, messages.KindCircuitClosed,
	messages.KindFailover, messages.KindRecovery, messages.KindRetry, messages.KindHedge, messages.KindTimeout, messages.KindCooldown,
	messages.KindEndpointRegistered, messages.KindEndpointUpdated, messages.KindEndpointRemoved,
	messages.KindEndpointParked, messages.KindActorRestarted, messages.KindAdminChanged,
	messages.KindPanicStarted, messages.KindPanicEnded,
	messages.KindServiceAdded, messages.KindServiceConfigured, messages.KindServiceRemoved,
	messages.KindConfigRejected, messages.KindEventsLost,
}

// kindNames are in lines that fit a terminal.
func kindNames() string {
	text, width := "", len("Kinds: ")
	for i, k := range kinds {
		word := string(k)
		if i < len(kinds)-1 {
			word += ", "
		} else {
			word += "."
		}
		if width += len(word); width > 80 {
			text += "\n"
			width = len(word)
		}
		text += word
	}
	return text
}
