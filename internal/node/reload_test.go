package node

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/understudytest"
)

func TestMerge(t *testing.T) {
	e := func(id string, weight int) understudy.Endpoint { return understudy.Endpoint{ID: id, Weight: weight} }
	type list = []understudy.Endpoint
	for name, tc := range map[string]struct{ old, file, now, want list }{
		"nothing new":                 {list{e("a", 1)}, list{e("a", 1)}, list{e("a", 1)}, list{e("a", 1)}},
		"added":                       {list{e("a", 1)}, list{e("a", 1), e("b", 1)}, list{e("a", 1)}, list{e("a", 1), e("b", 1)}},
		"removed":                     {list{e("a", 1), e("b", 1)}, list{e("b", 1)}, list{e("a", 1), e("b", 1)}, list{e("b", 1)}},
		"changed":                     {list{e("a", 1)}, list{e("a", 2)}, list{e("a", 1)}, list{e("a", 2)}},
		"registered at run time":      {list{e("a", 1)}, list{e("a", 2)}, list{e("a", 1), e("x", 1)}, list{e("a", 2), e("x", 1)}},
		"changed at run time":         {list{e("a", 1)}, list{e("a", 1)}, list{e("a", 7)}, list{e("a", 7)}},
		"changed at both":             {list{e("a", 1)}, list{e("a", 2)}, list{e("a", 7)}, list{e("a", 2)}},
		"removed at run time":         {list{e("a", 1), e("b", 1)}, list{e("a", 1), e("b", 1)}, list{e("b", 1)}, list{e("b", 1)}},
		"removed, then changed":       {list{e("a", 1)}, list{e("a", 2)}, nil, list{e("a", 2)}},
		"comes to be in the file too": {nil, list{e("x", 2)}, list{e("x", 1)}, list{e("x", 2)}},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, tc.want, merge(tc.old, tc.file, tc.now)) })
	}
}

// watched is a node on a file that it watches.
type watched struct {
	t    *testing.T
	node *Node
	path string
}

func watch(t *testing.T, text string) *watched {
	t.Helper()
	w := &watched{t: t, path: filepath.Join(t.TempDir(), "understudy.yaml")}
	text = local(t.TempDir(), text)
	f := load(t, text)
	require.NoError(t, os.WriteFile(w.path, []byte(text), 0o600))
	w.node = start(t, f)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.node.Watch(ctx, []string{w.path}, nil, nil)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

// write changes what stands beneath the NATS block.
func (w *watched) write(text string) {
	w.t.Helper()
	old, err := os.ReadFile(w.path)
	require.NoError(w.t, err)
	first := old[:len(old)-len(afterFirstLine(old))]
	require.NoError(w.t, os.WriteFile(w.path, append(first, text...), 0o600))
}

func afterFirstLine(text []byte) []byte {
	for i, c := range text {
		if c == '\n' {
			return text[i+1:]
		}
	}
	return nil
}

func (w *watched) config() string {
	var s messages.NodeStatus
	w.node.status(&s)
	return s.Config
}

// "A changed file is applied while running, only where it changed: untouched
// endpoints keep their breakers, connections and statistics; an invalid file leaves
// the last good one in force and says so."
func TestReloadChangesOnlyWhatChanged(t *testing.T) {
	good, bad := understudytest.Good(t), understudytest.Faulty(t, 500, 1)
	ends := func(s *understudytest.Server) string { return "endpoints: [{id: e, url: '" + s.URL + "'}]" }
	broken := "broken: {retry: {max_attempts: 1}, breaker: {failure_threshold: 2, open_timeout: 5m}, " + ends(bad) + "}"
	w := watch(t, "services: {"+broken+", gone: {"+ends(good)+"}, web: {"+ends(good)+"}}")
	sys := w.node.System()
	ask := func(service string) int {
		resp, err := sys.Service(service).Request(context.Background(), &messages.Request{})
		if resp == nil {
			require.Error(t, err)
			return 0
		}
		return resp.Status
	}
	for range 2 {
		require.Equal(t, 500, ask("broken"))
	}
	require.Equal(t, 0, ask("broken"), "its breaker is open")
	for range 3 {
		require.Equal(t, 200, ask("web"))
	}
	_, err := sys.AddService("made-at-run-time", understudy.ServiceConfig{})
	require.NoError(t, err)
	require.NoError(t, sys.Service("web").Register(understudy.Endpoint{ID: "extra", URL: good.URL}))
	before := sys.Service("broken").Status()

	w.write("services: {" + broken + ", new: {" + ends(good) + "}, web: {timeout: 7s, " + ends(good) + "}}")
	eventually(t, "the new service", func() bool { return ask("new") == 200 })
	require.Equal(t, "7s", sys.Service("web").Config().Timeout.String())
	require.Len(t, sys.Service("web").Endpoints(), 2, "what was registered at run time stays")
	require.EqualValues(t, 3, sys.Service("web").Stats().Requests)
	require.ElementsMatch(t, []string{"broken", "web", "new", "made-at-run-time"}, sys.Services())
	after := sys.Service("broken").Status()
	require.Equal(t, "open", after.Endpoints[0].Breaker)
	before.Endpoints[0].BreakerReason, after.Endpoints[0].BreakerReason = "", "" // it has the time in it
	require.Equal(t, before, after)
	require.Equal(t, 0, configured(sys, "broken"), "nothing was put in force where nothing changed")
	require.Equal(t, 1, configured(sys, "web"))
	require.Empty(t, w.config())
	require.Equal(t, 200, ask("web"))

	events := sys.Events(context.Background(), understudy.Filter{Kind: messages.KindConfigRejected})
	w.write("services: {web: {timeot: 7s}}\nnode: {zone: 7, nope: 1}")
	for e := range events {
		require.Contains(t, e.Cause.Words, "the last good configuration stays in force")
		break
	}
	require.Contains(t, w.config(), "timeot")
	require.Contains(t, w.config(), "nope")
	require.Equal(t, 200, ask("new"))

	w.write("services: {" + broken + ", web: {timeout: 7s, " + ends(good) + "}}")
	eventually(t, "the correction", func() bool { return w.config() == "" })
	require.Equal(t, 0, ask("new"), "it is gone")
	require.Equal(t, 0, ask("broken"), "its breaker is still open")
	require.EqualValues(t, 4, sys.Service("web").Stats().Requests)
}

// configured is how often a service got another configuration.
func configured(sys *understudy.System, service string) (n int) {
	for _, e := range sys.Service(service).History(100) {
		if e.Kind == messages.KindServiceConfigured {
			n++
		}
	}
	return n
}

func TestReloadSaysWhatWaitsForTheNextStart(t *testing.T) {
	w := watch(t, "services: {}")
	w.write("node: {name: b}\nprefix: other\nadmin: {listen: '127.0.0.1:0'}\nservices: {}")
	const words = "node, admin, prefix: in force after the next start"
	eventually(t, "it says so", func() bool { return w.config() == words })
	w.write("services: {}")
	eventually(t, "it is as it was", func() bool { return w.config() == "" })
}

// A status over NATS carries all of this.
func TestStatusOverNATS(t *testing.T) {
	w := watch(t, "services: {web: {}}")
	w.write("services: {web: {endpints: []}}")
	eventually(t, "rejected", func() bool { return w.config() != "" })
	reply, err := dial(t, w.node).Request(messages.AdminSubject(messages.DefaultPrefix, messages.VerbStatus), nil, patience)
	require.NoError(t, err)
	var s messages.NodeStatus
	require.NoError(t, json.Unmarshal(reply.Data, &s))
	require.True(t, s.Ready)
	require.Equal(t, "v1.2.3", s.Version)
	require.Contains(t, s.Config, "endpints")
	require.Equal(t, "web", s.Services[0].Service)
}
