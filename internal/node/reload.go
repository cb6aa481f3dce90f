package node

import (
	"context"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/config"
	"github.com/understudy-go/understudy/messages"
)

// Watch applies changes of the files until ctx ends. It looks at once for
// whatever comes from reload.
func (n *Node) Watch(ctx context.Context, paths, env []string, reload <-chan os.Signal) {
	config.Watcher{
		Paths: paths, Env: env, Current: n.started, Reload: reload, Logger: n.log,
		Apply: n.apply, Rejected: n.reject,
	}.Watch(ctx)
}

// apply puts a configuration in force, where it differs from the one before.
func (n *Node) apply(f *config.File) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range f.Warnings {
		n.log.Warn("configuration: " + w.String())
	}
	var faults []string
	changed := 0
	for _, name := range n.names(f) {
		did, err := n.applyService(name, f.Services)
		if err != nil {
			n.log.Error("configuration: a service is not changed", "service", name, "error", err)
			faults = append(faults, err.Error())
		} else if did {
			changed++
		}
	}
	if keys := n.fixed(f); len(keys) > 0 {
		words := strings.Join(keys, ", ") + ": in force after the next start"
		n.log.Warn("configuration: " + words)
		faults = append(faults, words)
	}
	n.config = strings.Join(faults, "; ")
	n.log.Info("configuration reloaded", "services_changed", changed)
}

// names are the services that are in the new file or were in the old, in order.
func (n *Node) names(f *config.File) []string {
	names := slices.Concat(slices.Collect(maps.Keys(f.Services)), slices.Collect(maps.Keys(n.inForce)))
	slices.Sort(names)
	return slices.Compact(names)
}

// applyService adds, removes or configures one service, and reports whether
// there was something to do.
func (n *Node) applyService(name string, services map[string]understudy.ServiceConfig) (bool, error) {
	old, had := n.inForce[name]
	c, has := services[name]
	switch {
	case had && !has:
		if err := n.sys.RemoveService(name); err != nil && !isNotFound(err) {
			return false, err
		}
		delete(n.inForce, name)
		return true, nil
	case had && reflect.DeepEqual(old, c):
		return false, nil
	}
	if _, there := n.sys.Lookup(name); there {
		s := n.sys.Service(name)
		now := c
		now.Hooks = s.Config().Hooks
		now.Endpoints = merge(old.Endpoints, c.Endpoints, s.Endpoints())
		if err := s.Configure(now); err != nil {
			return false, err
		}
	} else if _, err := n.sys.AddService(name, c); err != nil {
		return false, err
	}
	n.inForce[name] = c
	return true, nil
}

func isNotFound(err error) bool {
	e, ok := err.(*messages.Error)
	return ok && e.Code == messages.CodeNotFound
}

// merge is the list that a reload puts in force: what changed between the files
// is as the new one says, everything else as it is now, whoever made it so.
func merge(old, file, now []understudy.Endpoint) []understudy.Endpoint {
	before, current := byID(old), byID(now)
	var out []understudy.Endpoint
	for _, e := range file {
		was, known := before[e.ID]
		is, there := current[e.ID]
		switch {
		case !known || !reflect.DeepEqual(was, e):
			out = append(out, e)
		case there:
			out = append(out, is)
		}
	}
	listed := byID(file)
	for _, e := range now {
		_, inFile := listed[e.ID]
		_, wasInFile := before[e.ID]
		if !inFile && !wasInFile {
			out = append(out, e)
		}
	}
	return out
}

func byID(list []understudy.Endpoint) map[string]understudy.Endpoint {
	m := make(map[string]understudy.Endpoint, len(list))
	for _, e := range list {
		m[e.ID] = e
	}
	return m
}

// fixed are the keys that changed and cannot change while the node runs.
func (n *Node) fixed(f *config.File) (keys []string) {
	for _, part := range []struct {
		key      string
		was, now any
	}{
		{"node", n.started.Node, f.Node},
		{"nats", n.started.NATS, f.NATS},
		{"admin", n.started.Admin, f.Admin},
		{"prefix", n.started.Prefix, f.Prefix},
	} {
		if !reflect.DeepEqual(part.was, part.now) {
			keys = append(keys, part.key)
		}
	}
	return keys
}

// reject says that the newest files are not in force.
func (n *Node) reject(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.config = err.Error()
	lines := strings.Split(n.config, "\n")
	for _, line := range lines {
		n.log.Error("configuration: " + line)
	}
	words := fmt.Sprintf("the last good configuration stays in force, the new one has %d at fault: %s", len(lines), lines[0])
	n.log.Error("the configuration is not reloaded, the last good one stays in force", "mistakes", len(lines))
	n.sys.Emit(messages.Event{Kind: messages.KindConfigRejected, Cause: messages.Cause{Words: words}})
}
