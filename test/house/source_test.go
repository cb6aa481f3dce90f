package house

import (
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
)

// nothingSleeps: a test waits on events or a fake clock, and a library's wait must
// see its context. Programs may pace themselves.
func nothingSleeps(files []*file) (out []finding) {
	for _, f := range files {
		if l := layerOf(f.dir); !f.test() && (f.nested || l == command || l == example) {
			continue
		}
		f.names(func(n name, pos token.Pos) {
			if n == (name{"time", "Sleep"}) {
				out = append(out, f.find(pos, "time.Sleep: wait on an event, a context or a fake clock"))
			}
		})
	}
	return out
}

// noSkips: a test that cannot run fails.
func noSkips(files []*file) (out []finding) {
	for _, f := range files {
		if !f.test() && layerOf(f.dir) != trial {
			continue
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			c, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if s, ok := c.Fun.(*ast.SelectorExpr); ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, s.Sel.Name) {
				out = append(out, f.find(s.Sel.Pos(), s.Sel.Name+": a test runs or fails"))
			}
			return true
		})
	}
	return out
}

// globals are the names that change what the whole process shares; the Set
// functions of setters do too.
var globals = map[string][]string{
	"log":       {"Fatal", "Fatalf", "Fatalln", "SetFlags", "SetOutput", "SetPrefix"},
	"log/slog":  {"SetDefault", "SetLogLoggerLevel"},
	"math/rand": {"Seed"},
	"net/http":  {"DefaultServeMux", "Handle", "HandleFunc"},
	"os":        {"Chdir", "Clearenv", "Exit", "Setenv", "Unsetenv"},
	"os/signal": {"Ignore", "Notify", "NotifyContext", "Reset"},
	"github.com/prometheus/client_golang/prometheus": {"DefaultRegisterer", "MustRegister", "Register"},
}

var setters = []string{"go.opentelemetry.io/otel", "go.opentelemetry.io/otel/log/global"}

// globalImports change the process by being imported.
var globalImports = []string{"flag", "expvar", "net/http/pprof"}

// librariesSetNoGlobals: the process belongs to whoever embeds us. The binary's own
// packages may do as programs do.
func librariesSetNoGlobals(files []*file) (out []finding) {
	for _, f := range files {
		l := layerOf(f.dir)
		library := l != nowhere && l <= kit
		if !library || f.test() || f.main() {
			continue
		}
		for _, s := range f.tree.Imports {
			if p := importPath(s); slices.Contains(globalImports, p) {
				out = append(out, f.find(s.Pos(), fmt.Sprintf("library %s imports %s, which registers itself in the process", f.dir, p)))
			}
		}
		f.names(func(n name, pos token.Pos) {
			set := strings.HasPrefix(n.name, "Set") && slices.Contains(setters, n.path)
			if slices.Contains(globals[n.path], n.name) || set {
				out = append(out, f.find(pos, fmt.Sprintf("library %s uses %s.%s: the process belongs to the embedder", f.dir, n.path, n.name)))
			}
		})
	}
	return out
}

// packagesSayWhatTheyAre: a doc.go, of which the package comment begins as Go's do.
// A program may say it in any file.
func packagesSayWhatTheyAre(files []*file) (out []finding) {
	first := map[string]*file{}
	said := map[string]bool{}
	for _, f := range files {
		if first[f.dir] == nil {
			first[f.dir] = f
		}
		words := f.tree.Doc.Text()
		if f.main() {
			said[f.dir] = said[f.dir] || words != ""
		} else if f.name == "doc.go" {
			said[f.dir] = strings.HasPrefix(words, "Package "+f.tree.Name.Name+" ")
		}
	}
	for _, f := range files {
		if first[f.dir] == f && !said[f.dir] {
			name := strings.TrimSuffix(f.tree.Name.Name, "_test")
			out = append(out, f.findLine(1, fmt.Sprintf("package %s has no doc.go that begins \"Package %s \"", f.dir, name)))
		}
	}
	return out
}

// linesMax is the longest a file may be that is no test. Past it, it is two ideas.
const linesMax = 600

func filesAreShort(files []*file) (out []finding) {
	for _, f := range files {
		if !f.test() && f.lines > linesMax {
			out = append(out, f.findLine(linesMax+1, fmt.Sprintf("%d lines, %d at most: it is probably two files", f.lines, linesMax)))
		}
	}
	return out
}

var unfinished = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`)

// nothingIsUnfinished: what is left to do goes where people look for it.
func nothingIsUnfinished(files []*file) (out []finding) {
	for _, f := range files {
		for _, g := range f.tree.Comments {
			for _, c := range g.List {
				if m := unfinished.FindStringIndex(c.Text); m != nil {
					line := f.fset.Position(c.Pos()).Line + strings.Count(c.Text[:m[0]], "\n")
					out = append(out, f.findLine(line, c.Text[m[0]:m[1]]+" in a comment: do it, or write an issue"))
				}
			}
		}
	}
	return out
}

// examplesAreBuilt: make examples runs each folder under examples as a program.
func examplesAreBuilt(files []*file) (out []finding) {
	first := map[string]*file{}
	built := map[string]bool{}
	for _, f := range files {
		parts := strings.Split(f.dir, "/")
		if parts[0] != "examples" || len(parts) < 2 {
			continue
		}
		dir := parts[0] + "/" + parts[1]
		if first[dir] == nil {
			first[dir] = f
		}
		if f.dir == dir && f.name == "main.go" && f.main() {
			built[dir] = true
		}
	}
	for dir, f := range first {
		if !built[dir] {
			out = append(out, f.findLine(1, dir+" has no main.go of package main: make examples cannot run it"))
		}
	}
	return out
}
