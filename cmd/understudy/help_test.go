package main

import (
	"bytes"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// "Each has a --help that teaches."
func TestEveryCommandTeaches(t *testing.T) {
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Hidden {
			return
		}
		require.NotEmpty(t, c.Short, c.CommandPath())
		require.NotEmpty(t, c.Long, c.CommandPath())
		require.LessOrEqual(t, len(c.Short), 60, c.CommandPath())
		if c.HasParent() {
			require.Contains(t, c.Example, c.CommandPath(), c.CommandPath())
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(newRoot())
}

// Nothing of the environment is shown by --help: it may be a secret.
func TestHelpShowsNoSecrets(t *testing.T) {
	for _, name := range []string{"NATS_URL", "NATS_PASSWORD", "NATS_TOKEN"} {
		t.Setenv(name, "nats://u:secret@h")
	}
	var stdout, stderr bytes.Buffer
	require.Zero(t, run([]string{"status", "--help"}, &stdout, &stderr))
	require.NotContains(t, stdout.String(), "secret")
	require.Empty(t, stderr.String())
}

func TestConnectionFlagsBeforeEnvironment(t *testing.T) {
	for name, tc := range map[string]struct {
		flags connection
		env   map[string]string
		want  string
	}{
		"nothing":             {connection{}, nil, "   "},
		"environment":         {connection{}, map[string]string{"NATS_URL": "a", "NATS_USER": "u", "NATS_PASSWORD": "p"}, "a u p "},
		"a flag for one":      {connection{server: "b"}, map[string]string{"NATS_URL": "a", "NATS_USER": "u", "NATS_PASSWORD": "p"}, "b u p "},
		"another way":         {connection{token: "t"}, map[string]string{"NATS_USER": "u", "NATS_PASSWORD": "p"}, "   t"},
		"password from there": {connection{user: "v"}, map[string]string{"NATS_USER": "u", "NATS_PASSWORD": "p"}, " v p "},
		"user in the URL":     {connection{server: "nats://x:y@b"}, map[string]string{"NATS_TOKEN": "t"}, "nats://x:y@b   "},
	} {
		t.Run(name, func(t *testing.T) {
			for _, key := range []string{"NATS_URL", "NATS_USER", "NATS_PASSWORD", "NATS_TOKEN", "NATS_CREDS", "NATS_NKEY"} {
				t.Setenv(key, tc.env[key])
			}
			c := tc.flags.config()
			require.Equal(t, tc.want, c.URL+" "+c.User+" "+c.Password+" "+c.Token)
		})
	}
}
