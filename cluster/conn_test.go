package cluster_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/understudy-go/understudy/cluster"
	"github.com/understudy-go/understudy/cluster/embedded"
	"github.com/understudy-go/understudy/messages"
)

// What needs a server with TLS, nkeys or credentials is tested in embedded, the
// only package that imports nats-server.

// retryFast makes a connection look for its server every few milliseconds.
func retryFast(o *nats.Options) error {
	o.ReconnectWait, o.ReconnectJitter = 5*time.Millisecond, 0
	return nil
}

func connect(t *testing.T, cfg cluster.Config, log *lines, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := cluster.Connect(cfg, log.logger(), opts...)
	noError(t, err)
	closed := nc.StatusChanged(nats.CLOSED)
	t.Cleanup(func() {
		if !nc.IsClosed() {
			nc.Close()
			receive(t, closed, "the connection to close")
		}
	})
	return nc
}

// echo proves that a message goes round.
func echo(t *testing.T, nc *nats.Conn, sub *nats.Subscription, text string) {
	t.Helper()
	noError(t, nc.Publish(sub.Subject, []byte(text)))
	msg, err := sub.NextMsg(patience)
	noError(t, err)
	equal(t, string(msg.Data), text)
}

func TestConnectCarriesMessages(t *testing.T) {
	server := startServer(t, embedded.Config{}, nil)
	for name, with := range map[string]struct {
		cfg  cluster.Config
		opts []nats.Option
	}{
		"by URL":     {cfg: cluster.Config{URL: server.URL()}},
		"in process": {opts: []nats.Option{server.InProcess()}},
	} {
		t.Run(name, func(t *testing.T) {
			log := newLines()
			nc := connect(t, with.cfg, log, with.opts...)
			sub, err := nc.SubscribeSync("greeting")
			noError(t, err)
			echo(t, nc, sub, "hello")
			equal(t, nc.ConnectedUrl(), server.URL())
			log.wait(t, 1, `level=INFO msg="connected to NATS" url=`+server.URL()+` server=understudy`)

			noError(t, nc.ForceReconnect())
			log.wait(t, 1, `level=WARN msg="NATS connection lost, trying again" error="reconnecting on request"`)
			log.wait(t, 2, `msg="connected to NATS"`)
			echo(t, nc, sub, "hello again")

			nc.Close()
			log.wait(t, 1, `level=DEBUG msg="NATS connection closed"`)
		})
	}
}

// The connection survives its server: subscriptions come back by themselves,
// and nothing published meanwhile runs late.
func TestConnectionOutlivesItsServer(t *testing.T) {
	store := t.TempDir()
	server := startServer(t, embedded.Config{Store: store, User: "u", Password: "hidden-1"}, nil)
	log := newLines()
	nc := connect(t, cluster.Config{URL: "nats://u:hidden-1@" + hostPort(server)}, log, retryFast)
	sub, err := nc.SubscribeSync("greeting")
	noError(t, err)
	echo(t, nc, sub, "before")

	changed := nc.StatusChanged(nats.RECONNECTING, nats.CONNECTED)
	server.Close()
	equal(t, receive(t, changed, "the loss"), nats.RECONNECTING)
	errorIs(t, nc.Publish("greeting", []byte("late")), nats.ErrReconnectBufExceeded)
	log.wait(t, 1, `level=WARN msg="NATS connection lost, trying again"`)
	log.wait(t, 3, `msg="NATS cannot be reached, trying again"`)
	warned, _ := log.count(`level=WARN msg="NATS cannot be reached, trying again"`)
	equal(t, warned, 1) // the same complaint again is debug

	again := startServer(t, embedded.Config{Listen: hostPort(server), Store: store, User: "u", Password: "hidden-1"}, nil)
	log.wait(t, 2, `msg="connected to NATS"`)
	holds(t, nc.IsConnected(), "connected")
	echo(t, nc, sub, "after")

	again.Close() // the next outage is told as the first was
	log.wait(t, 2, `level=WARN msg="NATS connection lost, trying again"`)
	log.wait(t, 2, `level=WARN msg="NATS cannot be reached, trying again"`)
	lacks(t, log.text(), "hidden-1")
}

// A node may come up before its NATS server.
func TestConnectBeforeTheServer(t *testing.T) {
	store := t.TempDir()
	server := startServer(t, embedded.Config{Store: store}, nil)
	server.Close()

	log := newLines()
	nc := connect(t, cluster.Config{URL: server.URL()}, log, retryFast, nats.RetryOnFailedConnect(true))
	holds(t, !nc.IsConnected(), "not connected yet")
	sub, err := nc.SubscribeSync("greeting")
	noError(t, err)
	log.wait(t, 2, "NATS cannot be reached, trying again")

	startServer(t, embedded.Config{Listen: hostPort(server), Store: store}, nil)
	log.wait(t, 1, "connected to NATS")
	echo(t, nc, sub, "hello")
}

// nats.go by itself gives a connection up for good at the second refusal.
func TestConnectionOutlivesRefusals(t *testing.T) {
	for name, connectFirst := range map[string]bool{"refused from the start": false, "refused later": true} {
		t.Run(name, func(t *testing.T) {
			store := t.TempDir()
			right := embedded.Config{Store: store, Token: "hidden-right"}
			server := startServer(t, right, nil)
			right.Listen = hostPort(server)
			log := newLines()
			connectNow := func() *nats.Conn {
				return connect(t, cluster.Config{URL: server.URL(), Token: "hidden-right"}, log, retryFast, nats.RetryOnFailedConnect(true))
			}
			var nc *nats.Conn
			if connectFirst {
				nc = connectNow()
				log.wait(t, 1, "connected to NATS")
			}
			server.Close()

			wrong, refusals := right, newLines()
			wrong.Token = "hidden-other"
			other := startServer(t, wrong, refusals.logger())
			if !connectFirst {
				nc = connectNow()
			}
			refusals.wait(t, 4, "authentication error")
			holds(t, !nc.IsClosed(), "not given up")
			log.wait(t, 1, "level=WARN msg=\"NATS ")
			other.Close()

			before, _ := log.count("connected to NATS")
			startServer(t, right, nil)
			log.wait(t, before+1, "connected to NATS")
			holds(t, nc.IsConnected(), "connected")
			lacks(t, log.text()+refusals.text(), "hidden")
		})
	}
}

func TestUnreachableIsTold(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	noError(t, err)
	defer silent.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	noError(t, err)
	noError(t, gone.Close())

	for name, tc := range map[string]struct{ addr, words string }{
		"nobody there": {gone.Addr().String(), "no NATS server answers at nats://xxxxx@" + gone.Addr().String()},
		"silent":       {silent.Addr().String(), "cannot connect to NATS at nats://xxxxx@" + silent.Addr().String() + ": "},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := cluster.Connect(cluster.Config{URL: "nats://u:hidden@" + tc.addr}, nil, nats.Timeout(20*time.Millisecond))
			var unreachable *cluster.UnreachableError
			holds(t, errors.As(err, &unreachable), "unreachable")
			equal(t, unreachable.URL, "nats://xxxxx@"+tc.addr)
			contains(t, err.Error(), tc.words)
			lacks(t, err.Error(), "hidden")
		})
	}
}

// A closed embedded server is unreachable under its own address.
func TestUnreachableInProcess(t *testing.T) {
	server := startServer(t, embedded.Config{}, nil)
	server.Close()
	_, err := cluster.Connect(cluster.Config{}, nil, server.InProcess())
	var unreachable *cluster.UnreachableError
	holds(t, errors.As(err, &unreachable), "unreachable")
	equal(t, unreachable.URL, server.URL())
}

// A dead link, which nobody closes, is noticed after three silent pings.
func TestConnectionSettings(t *testing.T) {
	server := startServer(t, embedded.Config{}, nil)
	nc := connect(t, cluster.Config{URL: server.URL()}, newLines())
	equal(t, time.Duration(nc.Opts.MaxPingsOut+1)*nc.Opts.PingInterval, 15*time.Second)
	equal(t, nc.Opts.Name, "understudy")
	nc = connect(t, cluster.Config{URL: server.URL()}, newLines(), nats.Name("understudy top"))
	equal(t, nc.Opts.Name, "understudy top")
}

func TestRefusalIsNotUnreachable(t *testing.T) {
	byUser := startServer(t, embedded.Config{User: "u", Password: "right"}, nil)
	byToken := startServer(t, embedded.Config{Token: "right"}, nil)
	for name, tc := range map[string]struct {
		cfg cluster.Config
		ok  bool
	}{
		"user":             {cluster.Config{URL: byUser.URL(), User: "u", Password: "right"}, true},
		"user in url":      {cluster.Config{URL: "nats://u:right@" + hostPort(byUser)}, true},
		"wrong password":   {cluster.Config{URL: byUser.URL(), User: "u", Password: "hidden"}, false},
		"wrong in url":     {cluster.Config{URL: "nats://u:hidden@" + hostPort(byUser)}, false},
		"no user":          {cluster.Config{URL: byUser.URL()}, false},
		"token":            {cluster.Config{URL: byToken.URL(), Token: "right"}, true},
		"token in url":     {cluster.Config{URL: "nats://right@" + hostPort(byToken)}, true},
		"wrong token":      {cluster.Config{URL: byToken.URL(), Token: "hidden"}, false},
		"wrong tok in url": {cluster.Config{URL: "nats://hidden@" + hostPort(byToken)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			log := newLines()
			nc, err := cluster.Connect(tc.cfg, log.logger())
			if tc.ok {
				noError(t, err)
				noError(t, cluster.Drain(context.Background(), nc))
				lacks(t, log.text(), "right")
				return
			}
			errorIs(t, err, messages.ErrUnauthorized)
			var unreachable *cluster.UnreachableError
			holds(t, !errors.As(err, &unreachable), "no word of unreachable")
			lacks(t, err.Error()+log.text(), "hidden")
		})
	}
}

// A path that is wrong is told at once, also to a node that would keep trying.
func TestFilesAreReadAtConnect(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for field, cfg := range map[string]cluster.Config{
		"creds":    {Creds: missing},
		"nkey":     {NKey: missing},
		"tls.ca":   {TLS: cluster.TLS{CA: missing}},
		"tls.cert": {TLS: cluster.TLS{Cert: missing, Key: missing}},
	} {
		t.Run(field, func(t *testing.T) {
			_, err := cluster.Connect(cfg, nil, nats.RetryOnFailedConnect(true))
			errorIs(t, err, messages.ErrInvalidConfig)
			contains(t, err.Error(), field+": ")
			contains(t, err.Error(), missing)
		})
	}
}

func TestInvalidConfigIsRefused(t *testing.T) {
	_, err := cluster.Connect(cluster.Config{URL: "http://127.0.0.1"}, nil)
	errorIs(t, err, messages.ErrInvalidConfig)
}

// A subscription that drops messages says so: once, not once per message.
func TestSlowSubscriptionIsTold(t *testing.T) {
	server := startServer(t, embedded.Config{}, nil)
	log := newLines()
	nc := connect(t, cluster.Config{URL: server.URL()}, log)
	release := make(chan struct{})
	sub, err := nc.QueueSubscribe("work", "q", func(*nats.Msg) { <-release })
	noError(t, err)
	defer close(release)
	noError(t, sub.SetPendingLimits(1, -1))
	for range 10 {
		noError(t, nc.Publish("work", nil))
	}
	log.wait(t, 1, `level=WARN msg="NATS subscription is too slow, messages were dropped" subject=work queue=q dropped=`)
}

func TestDrainFinishesWhatIsInHand(t *testing.T) {
	server := startServer(t, embedded.Config{}, nil)
	nc := connect(t, cluster.Config{URL: server.URL()}, newLines())
	started, release, handled := make(chan struct{}, 3), make(chan struct{}), make(chan struct{}, 3)
	_, err := nc.Subscribe("work", func(*nats.Msg) {
		started <- struct{}{}
		<-release
		handled <- struct{}{}
	})
	noError(t, err)
	for range 3 {
		noError(t, nc.Publish("work", nil))
	}
	noError(t, nc.Flush())
	receive(t, started, "the first message")

	draining := nc.StatusChanged(nats.DRAINING_SUBS)
	drained := make(chan error, 1)
	go func() { drained <- cluster.Drain(context.Background(), nc) }()
	receive(t, draining, "the drain to begin")
	equal(t, len(drained), 0)
	close(release)
	noError(t, receive(t, drained, "the drain"))
	equal(t, len(handled), 3)
	holds(t, nc.IsClosed(), "closed")
	noError(t, cluster.Drain(context.Background(), nc))
}

func TestDrainIsBounded(t *testing.T) {
	server := startServer(t, embedded.Config{}, nil)
	nc := connect(t, cluster.Config{URL: server.URL()}, newLines())
	started, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	_, err := nc.Subscribe("work", func(*nats.Msg) {
		close(started)
		<-release
	})
	noError(t, err)
	noError(t, nc.Publish("work", nil))
	receive(t, started, "the message")

	ctx, cancel := context.WithCancelCause(context.Background())
	enough := errors.New("enough")
	cancel(enough)
	errorIs(t, cluster.Drain(ctx, nc), enough)
	holds(t, nc.IsClosed(), "closed")
}

// nats.go closes a drain that takes too long without an error.
func TestDrainThatTimesOutIsTold(t *testing.T) {
	server := startServer(t, embedded.Config{}, nil)
	nc := connect(t, cluster.Config{URL: server.URL()}, newLines(), nats.DrainTimeout(time.Millisecond))
	started, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	_, err := nc.Subscribe("work", func(*nats.Msg) {
		close(started)
		<-release
	})
	noError(t, err)
	noError(t, nc.Publish("work", nil))
	receive(t, started, "the message")
	errorIs(t, cluster.Drain(context.Background(), nc), nats.ErrDrainTimeout)
}

func TestDrainWithoutServerCloses(t *testing.T) {
	server := startServer(t, embedded.Config{}, nil)
	nc := connect(t, cluster.Config{URL: server.URL()}, newLines())
	lost := nc.StatusChanged(nats.RECONNECTING)
	server.Close()
	receive(t, lost, "the loss")
	noError(t, cluster.Drain(context.Background(), nc))
	holds(t, nc.IsClosed(), "closed")
}
