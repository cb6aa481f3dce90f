package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/understudy-go/understudy/cluster"
	"github.com/understudy-go/understudy/messages"
)

// answerMax is how long a command waits for nodes unless told otherwise.
const answerMax = 5 * time.Second

// connection is how a command reaches the nodes: the flags, and for what they
// leave out the variables that the nats command has.
type connection struct {
	server                 string
	user, password, token  string
	creds, nkey            string
	tlsCA, tlsCert, tlsKey string
	prefix                 string
	timeout                time.Duration
}

func (n *connection) flags(f *pflag.FlagSet) {
	f.StringVarP(&n.server, "server", "s", "", "NATS server `URL`; NATS_URL (default nats://127.0.0.1:4222)")
	f.StringVar(&n.user, "user", "", "`name` of the user at NATS; NATS_USER")
	f.StringVar(&n.password, "password", "", "`password` at NATS; better in NATS_PASSWORD")
	f.StringVar(&n.token, "token", "", "`token` at NATS; better in NATS_TOKEN")
	f.StringVar(&n.creds, "creds", "", "credentials `file`; NATS_CREDS")
	f.StringVar(&n.nkey, "nkey", "", "`file` with an NKey seed; NATS_NKEY")
	f.StringVar(&n.tlsCA, "tlsca", "", "PEM `file` with who may sign the server's certificate; NATS_CA")
	f.StringVar(&n.tlsCert, "tlscert", "", "PEM `file` with our certificate; NATS_CERT")
	f.StringVar(&n.tlsKey, "tlskey", "", "PEM `file` with its key; NATS_KEY")
	f.StringVar(&n.prefix, "prefix", "", "first `token` of the subjects, where the nodes have another; UNDERSTUDY_PREFIX (default understudy)")
	f.DurationVar(&n.timeout, "timeout", 0, "how long to wait (default 5s; request: 35s)")
}

// config is what the flags and the environment come to. One flag that says who we
// are makes the environment's word on that void: two of them cannot be meant.
func (n *connection) config() cluster.Config {
	c := cluster.Config{
		URL:  cmp.Or(n.server, getenv("NATS_URL")),
		User: n.user, Password: n.password, Token: n.token, Creds: n.creds, NKey: n.nkey,
		TLS: cluster.TLS{CA: cmp.Or(n.tlsCA, getenv("NATS_CA")), Cert: cmp.Or(n.tlsCert, getenv("NATS_CERT")), Key: cmp.Or(n.tlsKey, getenv("NATS_KEY"))},
	}
	inURL := cluster.Redact(c.URL) != c.URL
	if n.user == "" && n.token == "" && n.creds == "" && n.nkey == "" && !inURL {
		c.User, c.Token, c.Creds, c.NKey = getenv("NATS_USER"), getenv("NATS_TOKEN"), getenv("NATS_CREDS"), getenv("NATS_NKEY")
	}
	if c.User != "" && c.Password == "" {
		c.Password = getenv("NATS_PASSWORD")
	}
	return c
}

// connect returns a client. Whoever has it calls done.
func (n *connection) connect(log *slog.Logger) (client *cluster.Client, done func(), err error) {
	nc, err := cluster.Connect(n.config(), log, nats.Name("understudy command"), nats.Timeout(cmp.Or(n.timeout, answerMax)))
	var failure *messages.Error
	if errors.As(err, &failure) && failure.Code == messages.CodeInvalidConfig {
		return nil, nil, usageError{failure.Err} // it came from the flags, or from NATS_*
	}
	if err != nil {
		return nil, nil, err
	}
	return cluster.NewClient(nc, cmp.Or(n.prefix, getenv("UNDERSTUDY_PREFIX"))), nc.Close, nil
}

// ask connects and runs f with a client and a context that ends in time.
func (n *connection) ask(c *cobra.Command, f func(context.Context, *cluster.Client) error) error {
	client, done, err := n.connect(nil)
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := context.WithTimeout(c.Context(), cmp.Or(n.timeout, answerMax))
	defer cancel()
	return f(ctx, client)
}
