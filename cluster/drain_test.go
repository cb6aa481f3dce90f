package cluster

import (
	"context"
	"net"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/understudy-go/understudy/actors"
	"github.com/understudy-go/understudy/cluster/embedded"
	"github.com/understudy-go/understudy/messages"
)

// drainage is a door with requests on their way to it, somewhere.
type drainage struct {
	t        *testing.T
	door     *Door
	caller   *nats.Conn
	answers  *nats.Subscription
	delivery sync.Mutex // held: what the server sends does not arrive
}

func (d *drainage) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// late is a connection on which reading can be held up.
type late struct {
	net.Conn
	gate *sync.Mutex
}

func (l late) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	l.gate.Lock()
	defer l.gate.Unlock()
	return n, err
}

// Dial implements nats.CustomDialer.
func (d *drainage) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	return late{conn, &d.delivery}, err
}

func newDrainage(t *testing.T) *drainage {
	t.Helper()
	d := &drainage{t: t}
	server, err := embedded.Start(t.Context(), embedded.Config{Listen: "127.0.0.1:0", Store: t.TempDir()}, nil)
	d.must(err)
	t.Cleanup(server.Close)
	d.caller, err = nats.Connect(server.URL())
	d.must(err)
	t.Cleanup(d.caller.Close)
	nc, err := nats.Connect(server.URL(), nats.SetCustomDialer(d))
	d.must(err)
	t.Cleanup(nc.Close)
	sys := actors.New(actors.Options{})
	t.Cleanup(func() { d.must(sys.Close()) })
	_, err = sys.AddService("orders", actors.ServiceConfig{Endpoints: []actors.Endpoint{{ID: "fn",
		Handler: func(context.Context, *messages.Request) (*messages.Response, error) { return &messages.Response{}, nil }}}})
	d.must(err)
	d.door, err = Open(nc, sys, DoorConfig{})
	d.must(err)
	t.Cleanup(d.door.Close)
	d.must(nc.Flush())
	d.answers, err = d.caller.SubscribeSync("answers")
	d.must(err)
	return d
}

// drainWhile drains while lock holds up requests that the server has sent. Each
// of them must be served. A round trip gives a Drain that does not wait for them
// the time to go wrong.
func (d *drainage) drainWhile(lock sync.Locker, trip func() error) {
	d.t.Helper()
	const sent = 4000
	lock.Lock()
	for range sent {
		d.must(d.caller.PublishRequest("understudy.request.orders", "answers", nil))
	}
	d.must(d.caller.Flush())
	drained := make(chan error, 1)
	go func() { drained <- d.door.Drain(context.Background()) }()
	for !d.door.draining() {
		d.must(d.caller.Flush())
	}
	for range 20 {
		d.must(trip())
	}
	lock.Unlock()
	d.must(<-drained)
	for range sent {
		msg, err := d.answers.NextMsgWithContext(d.t.Context())
		d.must(err)
		if status := msg.Header.Get(messages.HeaderStatus); status != "200" {
			d.t.Fatalf("status %s: %s", status, msg.Data)
		}
	}
}

// What the server had sent when it heard of the drain was accepted, though it is
// not here yet.
func TestDrainWaitsForTheServer(t *testing.T) {
	d := newDrainage(t)
	d.drainWhile(&d.delivery, d.caller.Flush)
}

// So was what lies in the subscription, where nobody has looked at it yet.
func TestDrainWaitsForTheSubscription(t *testing.T) {
	d := newDrainage(t)
	d.drainWhile(&d.door.workers.mu, d.door.nc.Flush)
}
