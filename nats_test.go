package understudy_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/cluster/embedded"
	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/understudytest"
)

func connect(t *testing.T, server *embedded.Server) *nats.Conn {
	nc, err := nats.Connect(server.URL())
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc
}

// A connection is all that a node needs to be asked over NATS, and it stays its
// owner's.
func TestWithNATS(t *testing.T) {
	server, err := embedded.Start(t.Context(), embedded.Config{Listen: "127.0.0.1:0", Store: t.TempDir()}, nil)
	require.NoError(t, err)
	t.Cleanup(server.Close)
	ours, client := connect(t, server), connect(t, server)
	heard, err := client.SubscribeSync("shop.event.>")
	require.NoError(t, err)
	require.NoError(t, client.Flush())

	endpoint := understudytest.Good(t)
	us, err := understudy.New(understudy.Config{Node: "n1", Prefix: "shop", Services: map[string]understudy.ServiceConfig{
		"web": {Endpoints: []understudy.Endpoint{endpoint.Endpoint("a")}}}}, understudy.WithNATS(ours))
	require.NoError(t, err)
	defer us.Close()
	require.NoError(t, ours.Flush()) // New waits for no server
	ask := func() (*nats.Msg, error) {
		m := nats.NewMsg(messages.RequestSubject("shop", "web"))
		m.Header.Set(messages.HeaderPath, "/orders?id=7")
		return client.RequestMsg(m, 10*time.Second)
	}
	answer, err := ask()
	require.NoError(t, err)
	require.Equal(t, "ok", string(answer.Data))
	require.Equal(t, "200", answer.Header.Get(messages.HeaderStatus))
	require.Equal(t, "/orders?id=7", endpoint.Requests()[0].URI)

	understudytest.Trip(t, us.Service("web"), "a")
	for {
		m, err := heard.NextMsg(10 * time.Second)
		require.NoError(t, err)
		var event messages.CloudEvent
		require.NoError(t, json.Unmarshal(m.Data, &event))
		require.Equal(t, "n1", event.Data.Node)
		if event.Data.Kind == messages.KindAdminChanged {
			break
		}
	}
	answer, err = ask()
	require.NoError(t, err)
	require.Equal(t, "CIRCUIT_OPEN", answer.Header.Get(messages.HeaderError))

	m, err := client.Request(messages.AdminSubject("shop", "status"), nil, 10*time.Second)
	require.NoError(t, err)
	var status messages.NodeStatus
	require.NoError(t, json.Unmarshal(m.Data, &status))
	require.Equal(t, "n1", status.Node, "one name everywhere")

	require.NoError(t, us.Shutdown(t.Context()))
	require.True(t, ours.IsConnected(), "never closed by us")
	_, err = ask()
	require.ErrorIs(t, err, nats.ErrNoResponders)
}
