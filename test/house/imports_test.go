package house

import (
	"fmt"
	"slices"
	"strings"
)

// layer is a floor of the house. Imports point to lower ones or stay on theirs.
type layer int

const (
	nowhere layer = iota
	noun          // messages
	core
	shell // the actor system and what belongs to it
	cluster
	config
	root
	kit     // test/understudytest, which an embedder tests with
	private // internal: what only the binary needs
	command
	example // may use stable API only
	trial   // test: may use everything
)

var layerNames = [...]string{"nowhere", "messages", "cores", "actors", "cluster", "config", "root", testKit, "internal", "cmd", "examples", "test"}

func (l layer) String() string { return layerNames[l] }

// shells are the packages under actors/ that are no cores.
var shells = []string{"actors/cache", "actors/mailbox", "actors/transport"}

const testKit = "test/understudytest"

// stable is what an embedder may lean on.
var stable = []string{".", "messages", testKit}

func layerOf(dir string) layer {
	switch {
	case dir == ".":
		return root
	case within(dir, "messages"):
		return noun
	case dir == "actors" || within(dir, shells...):
		return shell
	case within(dir, "actors"):
		return core
	case within(dir, "cluster"):
		return cluster
	case within(dir, "config"):
		return config
	case within(dir, testKit):
		return kit
	case within(dir, "internal"):
		return private
	case within(dir, "cmd"):
		return command
	case within(dir, "examples"):
		return example
	case within(dir, "test"):
		return trial
	}
	return nowhere
}

// importsPointDown holds tests to the same direction, except that they may use
// what lies under test/.
func importsPointDown(files []*file) (out []finding) {
	for _, f := range files {
		from := layerOf(f.dir)
		if from == nowhere {
			if !f.nested {
				out = append(out, f.find(f.tree.Package, f.dir+" has no place in the house: see CONTRIBUTING.md"))
			}
			continue
		}
		for _, s := range f.tree.Imports {
			p := importPath(s)
			if !within(p, module) {
				continue
			}
			dir := strings.TrimPrefix(strings.TrimPrefix(p, module), "/")
			if dir == "" {
				dir = "."
			}
			to := layerOf(dir)
			switch {
			case to == from, f.test() && (to == kit || to == trial):
			case from == example:
				// A program that brings its own NATS server has no other way to one.
				if !slices.Contains(stable, dir) && dir != "cluster/embedded" {
					out = append(out, f.find(s.Pos(), fmt.Sprintf("an example imports %s, which is no stable API: the root, messages and %s are", dir, testKit)))
				}
			case to > from:
				out = append(out, f.find(s.Pos(), fmt.Sprintf("%s imports %s: %s is above %s, declare the interface that is needed and let the root wire it", f.dir, dir, to, from)))
			}
		}
	}
	return out
}

// messagesIsStandard keeps messages importable by anybody.
func messagesIsStandard(files []*file) (out []finding) {
	for _, f := range files {
		if layerOf(f.dir) != noun || f.test() {
			continue
		}
		for _, s := range f.tree.Imports {
			if p := importPath(s); !standard(p) {
				out = append(out, f.find(s.Pos(), fmt.Sprintf("messages imports %s: it uses the standard library only", p)))
			}
		}
	}
	return out
}

const natsServer = "github.com/nats-io/nats-server/v2"

// serverHasOneDoor keeps the server's weight where it can be left out.
func serverHasOneDoor(files []*file) (out []finding) {
	for _, f := range files {
		if within(f.dir, "cluster/embedded", "test") || f.test() {
			continue
		}
		for _, s := range f.tree.Imports {
			if within(importPath(s), natsServer) {
				out = append(out, f.find(s.Pos(), f.dir+" imports nats-server: only cluster/embedded does"))
			}
		}
	}
	return out
}

// standard reports whether p is in the standard library: no dot in its first part.
func standard(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return !strings.Contains(first, ".")
}
