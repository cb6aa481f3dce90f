package house

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// heavy is what an embedder must never link: a NATS server (19 MB), a command line,
// a terminal.
var heavy = []string{
	natsServer,
	"github.com/spf13/cobra", "github.com/spf13/pflag",
	"charm.land/bubbletea", "github.com/charmbracelet/bubbletea",
}

func TestEmbedderLinksNothingHeavy(t *testing.T) {
	cmd := exec.Command("go", "list", "-e", "-deps", "-json=ImportPath,Imports", ".")
	cmd.Dir = "../.."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}

	imports := map[string][]string{}
	root := "" // what -deps names last
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		imports[p.ImportPath], root = p.Imports, p.ImportPath
	}
	if way := wayTo(heavy, root, imports); way != nil {
		t.Errorf("whoever imports the root links %s, by way of\n\t%s", way[len(way)-1], strings.Join(way, "\n\t"))
	}
}

func TestWayTo(t *testing.T) {
	imports := map[string][]string{
		"root":        {"fmt", "cluster", "config"},
		"config":      {"actors"},
		"cluster":     {"actors", "embedded"},
		"embedded":    {"heavy/v2/server"},
		"actors":      {"cluster"}, // a cycle must not hold it up
		"heavyweight": {"fmt"},
	}
	want := []string{"root", "cluster", "embedded", "heavy/v2/server"}
	if way := wayTo([]string{"heavy/v2"}, "root", imports); !slices.Equal(way, want) {
		t.Errorf("%v, want %v", way, want)
	}
	if way := wayTo([]string{"heavy/v2"}, "heavyweight", imports); way != nil {
		t.Errorf("%v, want none", way)
	}
}

// wayTo returns the shortest chain of imports from a package to a forbidden one,
// or nil.
func wayTo(forbidden []string, from string, imports map[string][]string) []string {
	by := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		p := queue[0]
		if slices.ContainsFunc(forbidden, func(f string) bool { return within(p, f) }) {
			var way []string
			for ; p != ""; p = by[p] {
				way = append(way, p)
			}
			slices.Reverse(way)
			return way
		}
		for _, i := range imports[p] {
			if _, seen := by[i]; !seen {
				by[i] = p
				queue = append(queue, i)
			}
		}
	}
	return nil
}
