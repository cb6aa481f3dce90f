package main

import (
	"context"
	"os"
	"os/user"

	"github.com/spf13/cobra"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/cluster"
	"github.com/understudy-go/understudy/messages"
)

// order is one of an operator's words on an endpoint.
type order struct {
	name  string
	verb  understudy.Verb
	short string
	long  string
	done  string
}

var orders = []order{
	{"drain", understudy.VerbDrain, "Take an endpoint out when it has finished",
		"Give an endpoint nothing new. It finishes what it has.", "drains"},
	{"ready", understudy.VerbReady, "Bring an endpoint back",
		"Bring an endpoint back that drain or maint took out.", "is ready"},
	{"maint", understudy.VerbMaint, "Take an endpoint out for maintenance",
		"Take an endpoint out for maintenance: like drain, and status says so.", "is in maintenance"},
	{"force-open", understudy.VerbForceOpen, "Hold an endpoint's breaker open",
		"Hold an endpoint's breaker open: it is not called until reset or force-close.", "is held open"},
	{"force-close", understudy.VerbForceClose, "Hold an endpoint's breaker closed",
		"Hold an endpoint's breaker closed: it is called however it fails, until reset or\nforce-open.", "is held closed"},
	{"reset", understudy.VerbReset, "Let an endpoint's breaker judge for itself, from zero",
		"Take back force-open or force-close, and forget what the breaker has counted.", "is reset"},
}

func orderCommand(g *globals, o order) *cobra.Command {
	var reason, by string
	c := &cobra.Command{
		Use:     o.name + " SERVICE ENDPOINT",
		Short:   o.short,
		Long:    o.long + "\n\nThe order goes to every node, and status and events show its reason.",
		Example: "  understudy " + o.name + " orders orders-2 --reason \"new disk\"",
		Args:    args(cobra.ExactArgs(2), "a service and the id of an endpoint"),
		RunE: func(c *cobra.Command, given []string) error {
			return g.ask(c, func(ctx context.Context, client *cluster.Client) error {
				replies, err := client.Operate(ctx, messages.OperateRequest{
					Service: given[0], Endpoint: given[1], Verb: string(o.verb), Reason: reason, By: by})
				return g.report(c, given[0], o.done, replies, err)
			})
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "`why`, for status and events")
	c.Flags().StringVar(&by, "by", whoami(), "`who` says so")
	return c
}

// whoami is user@host, as far as the system tells.
func whoami() string {
	name := ""
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}
