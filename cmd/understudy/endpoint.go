package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/understudy-go/understudy/cluster"
	"github.com/understudy-go/understudy/internal/show"
	"github.com/understudy-go/understudy/messages"
)

func endpointCommand(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use:   "endpoint",
		Short: "Add, change, remove and list endpoints",
		Long: `Add, change, remove and list the endpoints of services, on every node, while they
run. What is done here lasts as long as the nodes' processes; what is meant to stay
belongs into their configuration.`,
		Example: "  understudy endpoint add orders http://127.0.0.1:9001\n  understudy endpoint ls orders",
	}
	group(c)
	c.AddCommand(endpointAdd(g), endpointUpdate(g), endpointRemove(g), endpointList(g))
	return c
}

// describing is what flags say of an endpoint.
type describing struct {
	*globals
	id, url          string
	zone, region     string
	weight, priority int
	tags, metadata   []string
}

func (d *describing) flags(c *cobra.Command) {
	f := c.Flags()
	f.IntVar(&d.weight, "weight", 1, "share of the requests in weighted strategies")
	f.IntVar(&d.priority, "priority", 0, "tier; the lowest serves, the others stand by")
	f.StringVar(&d.zone, "zone", "", "the zone where it stands, for the strategy geographic")
	f.StringVar(&d.region, "region", "", "the region where it stands")
	f.StringArrayVar(&d.tags, "tag", nil, "a tag; may be given more than once")
	f.StringArrayVar(&d.metadata, "metadata", nil, "`key=value`; may be given more than once")
}

// order holds what was given; what was not is left to the nodes.
func (d *describing) order(c *cobra.Command) (messages.EndpointOrder, error) {
	o := messages.EndpointOrder{ID: d.id, URL: d.url, Zone: d.zone, Region: d.region, Tags: d.tags}
	if c.Flags().Changed("weight") {
		if d.weight < 1 {
			return o, usagef("--weight %d: 1 at least; to take it out, use drain or rm", d.weight)
		}
		o.Weight = &d.weight
	}
	if c.Flags().Changed("priority") {
		o.Priority = &d.priority
	}
	for _, pair := range d.metadata {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return o, usagef("--metadata %q: key=value is needed", pair)
		}
		if o.Metadata == nil {
			o.Metadata = map[string]string{}
		}
		o.Metadata[key] = value
	}
	return o, nil
}

func endpointAdd(g *globals) *cobra.Command {
	d := &describing{globals: g}
	c := &cobra.Command{
		Use:   "add SERVICE URL",
		Short: "Add an endpoint, and its service where there is none",
		Long: `Add an endpoint on every node. A service that is not there yet is made, on
defaults. The id is host:port of the URL unless --id says otherwise.`,
		Example: "  understudy endpoint add orders http://127.0.0.1:9001\n  understudy endpoint add orders http://10.0.0.7:80 --id orders-7 --weight 2 --metadata version=1.4",
		Args:    args(cobra.ExactArgs(2), "a service and a URL"),
		RunE: func(c *cobra.Command, given []string) error {
			d.url = given[1]
			return d.send(c, messages.ActionAdd, given[0], "added")
		},
	}
	c.Flags().StringVar(&d.id, "id", "", "`id` of the endpoint, unique in its service")
	d.flags(c)
	return c
}

func endpointUpdate(g *globals) *cobra.Command {
	d := &describing{globals: g}
	c := &cobra.Command{
		Use:   "update SERVICE ID",
		Short: "Change an endpoint",
		Long: `Change an endpoint on every node: what is given, and nothing else. It is never out
of the list meanwhile. With another URL it is another endpoint, which begins with a
fresh breaker.`,
		Example: "  understudy endpoint update orders orders-7 --weight 1\n  understudy endpoint update orders orders-7 --url http://10.0.0.8:80",
		Args:    args(cobra.ExactArgs(2), "a service and the id of an endpoint"),
		RunE: func(c *cobra.Command, given []string) error {
			d.id = given[1]
			return d.send(c, messages.ActionUpdate, given[0], "updated")
		},
	}
	c.Flags().StringVar(&d.url, "url", "", "where requests go")
	d.flags(c)
	return c
}

func endpointRemove(g *globals) *cobra.Command {
	d := &describing{globals: g}
	return &cobra.Command{
		Use:     "rm SERVICE ID",
		Aliases: []string{"remove"},
		Short:   "Remove an endpoint",
		Long:    "Remove an endpoint on every node. It finishes what it has, for up to 30 s.",
		Example: "  understudy endpoint rm orders orders-7",
		Args:    args(cobra.ExactArgs(2), "a service and the id of an endpoint"),
		RunE: func(c *cobra.Command, given []string) error {
			d.id = given[1]
			return d.send(c, messages.ActionRemove, given[0], "removed")
		},
	}
}

func (d *describing) send(c *cobra.Command, action messages.Action, service, done string) error {
	o, err := d.order(c)
	if err != nil {
		return err
	}
	return d.ask(c, func(ctx context.Context, client *cluster.Client) error {
		replies, err := client.Endpoints(ctx, messages.EndpointsRequest{Action: action, Service: service, Endpoint: o})
		return d.report(c, service, done, replies, err)
	})
}

// report prints what each node made of an order. It failed if it failed anywhere.
func (g *globals) report(c *cobra.Command, service, done string, replies []messages.AdminReply, err error) error {
	if len(replies) == 0 {
		return err
	}
	failed := []error{err}
	for _, r := range replies {
		if r.Error != nil {
			failed = append(failed, fmt.Errorf("node %s: %w", r.Node, r.Error.Err()))
		}
	}
	printed := g.print(c.OutOrStdout(), replies, func(w io.Writer) error {
		for _, r := range replies {
			if r.Error == nil {
				if _, err := fmt.Fprintf(w, "%s/%s %s on %s\n", service, show.Plain(r.Endpoint), done, show.Plain(r.Node)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return errors.Join(append(failed, printed)...)
}

func endpointList(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "ls [SERVICE]",
		Aliases: []string{"list"},
		Short:   "List endpoints",
		Long:    "List the endpoints of a service, or of all, and the nodes that have them.",
		Example: "  understudy endpoint ls\n  understudy endpoint ls orders -o json",
		Args:    args(cobra.MaximumNArgs(1), "one service at most"),
		RunE: func(c *cobra.Command, given []string) error {
			service := strings.Join(given, "")
			return g.ask(c, func(ctx context.Context, client *cluster.Client) error {
				nodes, err := client.Status(ctx, service)
				if len(nodes) == 0 {
					return err
				}
				if service != "" && !serves(nodes) {
					return &messages.Error{Code: messages.CodeNotFound, Service: service, Words: "no node has this service"}
				}
				list := listed(nodes)
				printed := g.print(c.OutOrStdout(), list, func(w io.Writer) error { return printList(w, list) })
				return errors.Join(err, printed)
			})
		},
	}
}

// item is an endpoint as the nodes have it. Where they differ, there are several.
type item struct {
	Service  string            `json:"service"`
	ID       string            `json:"id"`
	URL      string            `json:"url,omitempty"`
	Weight   int               `json:"weight"`
	Priority int               `json:"priority"`
	Tags     []string          `json:"tags,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Nodes    []string          `json:"nodes"`
}

func (i *item) same(o *item) bool {
	return i.Service == o.Service && i.ID == o.ID && i.URL == o.URL && i.Weight == o.Weight && i.Priority == o.Priority &&
		slices.Equal(i.Tags, o.Tags) && maps.Equal(i.Metadata, o.Metadata)
}

func listed(nodes []messages.NodeStatus) []*item {
	list := []*item{}
	byID := map[string][]*item{}
	for _, n := range nodes {
		for _, s := range n.Services {
			for _, e := range s.Endpoints {
				next := &item{Service: s.Service, ID: e.ID, URL: e.URL, Weight: e.Weight, Priority: e.Priority, Tags: e.Tags, Metadata: e.Metadata}
				key := s.Service + "/" + e.ID
				i := slices.IndexFunc(byID[key], next.same)
				if i < 0 {
					i = len(byID[key])
					byID[key] = append(byID[key], next)
					list = append(list, next)
				}
				byID[key][i].Nodes = append(byID[key][i].Nodes, n.Node)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b *item) int { return strings.Compare(a.Service+"/"+a.ID, b.Service+"/"+b.ID) })
	return list
}

func printList(w io.Writer, list []*item) error {
	rows := [][]string{{"SERVICE", "ENDPOINT", "URL", "WEIGHT", "PRIORITY", "TAGS", "METADATA", "NODES"}}
	for _, i := range list {
		var pairs []string
		for _, key := range slices.Sorted(maps.Keys(i.Metadata)) {
			pairs = append(pairs, key+"="+i.Metadata[key])
		}
		row := []string{i.Service, i.ID, i.URL, strconv.Itoa(i.Weight), strconv.Itoa(i.Priority),
			strings.Join(i.Tags, ","), strings.Join(pairs, ","), strings.Join(i.Nodes, ",")}
		for j := range row {
			row[j] = show.Plain(row[j])
		}
		rows = append(rows, row)
	}
	return show.Table(w, rows)
}
