package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/understudy-go/understudy/actors/nearest"
)

// run is the whole command: it returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(context.Background())
	if err == nil {
		return exitOK
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintln(stderr, "understudy: "+line)
	}
	return exitStatus(err)
}

// globals are the flags that every command takes.
type globals struct {
	connection
	output string
}

func newRoot() *cobra.Command {
	g := &globals{}
	root := &cobra.Command{
		Use:   "understudy",
		Short: "Keeps a system answering when the services behind it fail",
		Long: `Understudy keeps a system answering when the services behind it fail.

A node takes requests over NATS and sends each to an endpoint of a service that
is well. Endpoints that fail are left alone, others answer in their place.

  understudy demo                                        see it happen, 20 seconds
  understudy serve                                       run a node
  understudy endpoint add orders http://127.0.0.1:9001   give it something to do
  understudy request orders --path /orders               ask
  understudy status                                      who is out, and why

Exit status: 0 ok, 1 failed, 2 usage, 3 invalid configuration, 4 NATS
unreachable, 5 timeout, 6 unavailable.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			switch {
			case !slices.Contains([]string{"table", "json", "yaml"}, g.output):
				return usagef("-o %s: table, json or yaml is needed", g.output)
			case g.timeout < 0:
				return usagef("--timeout %v is negative", g.timeout)
			}
			return nil
		},
	}
	group(root)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usagef("%w; see %s --help", err, c.CommandPath())
	})
	root.CompletionOptions.DisableDefaultCmd = true
	flags := root.PersistentFlags()
	flags.StringVarP(&g.output, "output", "o", "table", "`format` of the result: table, json or yaml")
	g.connection.flags(flags)
	root.AddCommand(
		serveCommand(g), demoCommand(g), ordersCommand(),
		requestCommand(g), statusCommand(g), eventsCommand(g), endpointCommand(g),
		checkCommand(g), initCommand(), versionCommand(g), completionCommand(),
	)
	for _, o := range orders {
		root.AddCommand(orderCommand(g, o))
	}
	return root
}

// group makes c a command that only holds others: alone it prints its help, and
// a name that it does not know is a usage error with the nearest one that it does.
func group(c *cobra.Command) {
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		var names []string
		for _, sub := range c.Commands() {
			if !sub.Hidden {
				names = append(names, sub.Name())
			}
		}
		hint := "see " + c.CommandPath() + " --help"
		if near, ok := nearest.Nearest(args[0], names); ok {
			hint = "did you mean " + near + "?"
		}
		return usagef("no command %q: %s", strings.TrimPrefix(c.CommandPath()+" "+args[0], "understudy "), hint)
	}
}

// args wraps cobra's judgement of arguments, whose errors are usage errors.
func args(judge cobra.PositionalArgs, want string) cobra.PositionalArgs {
	return func(c *cobra.Command, given []string) error {
		if judge(c, given) == nil {
			return nil
		}
		return usagef("%s needs %s; see %s --help", c.CommandPath(), want, c.CommandPath())
	}
}

func none() cobra.PositionalArgs { return args(cobra.NoArgs, "no arguments") }

// getenv returns the first of the variables that is set.
func getenv(names ...string) string {
	for _, name := range names {
		if value := os.Getenv(name); value != "" {
			return value
		}
	}
	return ""
}
