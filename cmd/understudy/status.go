package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/understudy-go/understudy/cluster"
	"github.com/understudy-go/understudy/internal/show"
	"github.com/understudy-go/understudy/messages"
)

func statusCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "status [SERVICE]",
		Short: "Show what every endpoint does, and why",
		Long: `Show every node, and for each of its services what every endpoint does and why.

STATE is "serving", "last choice" (a fresh failure; others are asked first),
"degraded", "out", or what an operator made of it (drain, maint). Each node judges
for itself, so two may differ. ATTEMPTS and FAILED count since the endpoint was
registered; LATENCY is a moving average.`,
		Example: "  understudy status\n  understudy status orders\n  understudy status -o json",
		Args:    args(cobra.MaximumNArgs(1), "one service at most"),
		RunE: func(c *cobra.Command, given []string) error {
			service := ""
			if len(given) == 1 {
				service = given[0]
			}
			return g.ask(c, func(ctx context.Context, client *cluster.Client) error {
				nodes, err := client.Status(ctx, service)
				if len(nodes) == 0 {
					return err
				}
				if service != "" && !serves(nodes) {
					return &messages.Error{Code: messages.CodeNotFound, Service: service, Words: "no node has this service"}
				}
				if printed := g.print(c.OutOrStdout(), nodes, func(w io.Writer) error { return printNodes(w, nodes) }); printed != nil {
					return printed
				}
				return err
			})
		},
	}
}

func serves(nodes []messages.NodeStatus) bool {
	for _, n := range nodes {
		if len(n.Services) > 0 {
			return true
		}
	}
	return false
}

func printNodes(w io.Writer, nodes []messages.NodeStatus) error {
	for i := range nodes {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := printNode(w, &nodes[i]); err != nil {
			return err
		}
	}
	return nil
}

func printNode(w io.Writer, n *messages.NodeStatus) error {
	ready := "ready"
	if !n.Ready {
		ready = "not ready: " + show.Plain(n.Reason)
	}
	fmt.Fprintf(w, "node %s (%s), up %v, %s\n", show.Plain(n.Node), show.Plain(n.Version), time.Since(n.Started).Round(time.Second), ready)
	for line := range strings.SplitSeq(n.Config, "\n") {
		if line != "" {
			fmt.Fprintf(w, "configuration not in force: %s\n", show.Plain(line))
		}
	}
	if len(n.Services) == 0 {
		_, err := fmt.Fprintln(w, "no services")
		return err
	}
	rows := [][]string{{"SERVICE", "ENDPOINT", "URL", "STATE", "BREAKER", "HEALTH", "INFLIGHT", "LATENCY", "ATTEMPTS", "FAILED", "WHY"}}
	for i := range n.Services {
		rows = append(rows, serviceRows(&n.Services[i])...)
	}
	return show.Table(w, rows)
}

func serviceRows(s *messages.ServiceStatus) (rows [][]string) {
	if len(s.Endpoints) == 0 {
		return [][]string{{s.Service, "-", "", "no endpoints"}}
	}
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		state, why := show.State(e)
		if s.Draining {
			state = "draining"
		}
		rows = append(rows, []string{
			s.Service, show.Plain(e.ID), show.Plain(e.URL), state, e.Breaker, e.Health, strconv.Itoa(e.Inflight),
			show.Latency(e.Latency), strconv.FormatUint(e.Attempts, 10), strconv.FormatUint(e.Failures, 10), show.Plain(why),
		})
	}
	return rows
}
