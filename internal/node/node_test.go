package node

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/understudy-go/understudy/cluster/embedded"
	"github.com/understudy-go/understudy/config"
	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/understudytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait for something that must happen.
const patience = 20 * time.Second

func load(t *testing.T, text string) *config.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "understudy.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	f, err := config.Load([]string{path}, nil)
	require.NoError(t, err)
	return f
}

// local is a node with a server of its own on a free port.
func local(store, rest string) string {
	return "nats: {embedded: {listen: '127.0.0.1:0', store: " + store + "}}\n" + rest
}

func start(t *testing.T, f *config.File) *Node {
	t.Helper()
	n, err := Start(context.Background(), f, Options{Version: "v1.2.3"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = n.Shutdown(context.Background()) })
	return n
}

func dial(t *testing.T, n *Node) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(n.URL())
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc
}

// eventually is for what nothing announces.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	require.Eventually(t, holds, patience, 5*time.Millisecond, what)
}

func TestServesOverNATS(t *testing.T) {
	server := understudytest.Good(t)
	n := start(t, load(t, local(t.TempDir(), "node: {name: a}\nadmin: {listen: '127.0.0.1:0'}\nservices: {web: {endpoints: [{id: web-1, url: '"+server.URL+"'}]}}")))
	require.Equal(t, "a", n.Name())
	require.True(t, n.Embedded())
	reply, err := dial(t, n).Request("understudy.request.web", nil, patience)
	require.NoError(t, err)
	require.Equal(t, "ok", string(reply.Data))

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(n.AdminURL() + "/readyz")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, 200, resp.StatusCode)
}

func TestKeepsTheNameThatItMadeUp(t *testing.T) {
	store := t.TempDir()
	f := load(t, local(store, ""))
	name := func() string {
		n, err := Start(context.Background(), f, Options{})
		require.NoError(t, err)
		defer func() { require.NoError(t, n.Shutdown(context.Background())) }()
		return n.Name()
	}
	first := name()
	require.NoError(t, messages.CheckName(first))
	require.Equal(t, first, name())
	require.NoError(t, os.WriteFile(filepath.Join(store, nameFile), []byte("no name\n"), 0o600))
	second := name()
	require.NotEqual(t, first, second, "what cannot be a name is replaced")
	require.Equal(t, second, name())
}

func TestAFailedStartLeavesNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f := load(t, local(t.TempDir(), "admin: {listen: '"+l.Addr().String()+"'}"))
	_, err = Start(context.Background(), f, Options{})
	require.ErrorContains(t, err, "is taken")
	require.NoError(t, l.Close())
	start(t, f) // the store is free again, and so is the port
}

// "NATS not reachable: serve keeps trying, is not ready, and says so"
func TestNATSComesLater(t *testing.T) {
	store := t.TempDir()
	server, err := embedded.Start(context.Background(), embedded.Config{Listen: "127.0.0.1:0", Store: store}, nil)
	require.NoError(t, err)
	listen := strings.TrimPrefix(server.URL(), "nats://")
	server.Close()

	n := start(t, load(t, "nats: {url: 'nats://u:secret@"+listen+"'}\nservices: {web: {endpoints: [{id: web-1, url: '"+understudytest.Good(t).URL+"'}]}}"))
	require.Equal(t, "NATS cannot be reached at nats://xxxxx@"+listen, n.NotReady())
	status := messages.NodeStatus{Ready: true}
	n.status(&status)
	require.Equal(t, messages.NodeStatus{Reason: n.NotReady()}, status)

	server, err = embedded.Start(context.Background(), embedded.Config{Listen: listen, Store: store, User: "u", Password: "secret"}, nil)
	require.NoError(t, err)
	t.Cleanup(server.Close)
	eventually(t, "ready", func() bool { return n.NotReady() == "" })
	nc, err := nats.Connect("nats://u:secret@" + listen)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	eventually(t, "serving", func() bool {
		reply, err := nc.Request("understudy.request.web", nil, patience)
		return err == nil && string(reply.Data) == "ok"
	})
}

// "SIGTERM drains (no request lost)"
func TestShutdownAnswersWhatIsUnderWay(t *testing.T) {
	server := understudytest.BlackHole(t)
	n := start(t, load(t, local(t.TempDir(), "services: {web: {attempt_timeout: off, endpoints: [{id: web-1, url: '"+server.URL+"'}]}}")))
	nc := dial(t, n)
	const requests = 20
	answers := make(chan string, requests)
	for range requests {
		go func() {
			reply, err := nc.Request("understudy.request.web", nil, patience)
			if err != nil {
				answers <- err.Error()
				return
			}
			answers <- string(reply.Data)
		}()
	}
	server.AwaitHits(requests)
	stopped := make(chan error)
	go func() { stopped <- n.Shutdown(context.Background()) }()
	eventually(t, "no longer served", func() bool {
		_, err := nc.Request("understudy.request.web", nil, 50*time.Millisecond) // it may still come in, and be held
		return err == nats.ErrNoResponders
	})
	require.Equal(t, "draining", n.NotReady())
	server.Heal()
	for range requests {
		require.Equal(t, "ok", <-answers)
	}
	require.NoError(t, <-stopped)
}

func TestShutdownThatIsCutShort(t *testing.T) {
	server := understudytest.BlackHole(t)
	n := start(t, load(t, local(t.TempDir(), "services: {web: {attempt_timeout: off, endpoints: [{id: web-1, url: '"+server.URL+"'}]}}")))
	nc := dial(t, n)
	answer := make(chan string, 1)
	go func() {
		reply, err := nc.Request("understudy.request.web", nil, patience)
		if err != nil {
			answer <- err.Error()
			return
		}
		answer <- reply.Header.Get(messages.HeaderError)
	}()
	server.AwaitHits(1)
	ctx, cut := context.WithCancel(context.Background())
	cut()
	require.ErrorIs(t, n.Shutdown(ctx), context.Canceled)
	select {
	case <-answer: // CLOSED, or that the connection went: it waits no longer
	case <-time.After(patience):
		t.Fatal("the caller still waits")
	}
}
