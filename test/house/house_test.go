package house

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// rule looks at all files, because some rules are about what is missing.
type rule func([]*file) []finding

var rules = map[string]rule{
	"imports point down":         importsPointDown,
	"messages is standard":       messagesIsStandard,
	"server has one door":        serverHasOneDoor,
	"cores are pure":             coresArePure,
	"nothing sleeps":             nothingSleeps,
	"no skips":                   noSkips,
	"libraries set no globals":   librariesSetNoGlobals,
	"packages say what they are": packagesSayWhatTheyAre,
	"files are short":            filesAreShort,
	"nothing is unfinished":      nothingIsUnfinished,
	"examples are built":         examplesAreBuilt,
}

func TestHouse(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	files := load(t, root, ".go")
	for name, rule := range rules {
		t.Run(name, func(t *testing.T) {
			for _, f := range rule(files) {
				t.Error(f)
			}
		})
	}
}

// want is what a line of testdata/house says must be found on it.
var want = regexp.MustCompile(`// want( "[^"]+")+$`)

// TestRulesCanFail runs every rule on a small house that breaks each of them:
// what is found is what its lines say, no more and no less.
func TestRulesCanFail(t *testing.T) {
	const root = "testdata/house"
	files := load(t, root, ".go.txt")
	wanted := map[string][]string{} // by file and line
	for _, f := range files {
		where := finding{file: f.dir + "/" + f.name}
		if f.dir == "." {
			where.file = f.name
		}
		src, err := os.ReadFile(filepath.Join(root, where.file+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(src), "\n") {
			if m := want.FindString(line); m != "" {
				where.line = i + 1
				for _, w := range regexp.MustCompile(`"[^"]+"`).FindAllString(m, -1) {
					wanted[where.String()] = append(wanted[where.String()], strings.Trim(w, `"`))
				}
			}
		}
	}
	for name, rule := range rules {
		found := rule(files)
		if len(found) == 0 {
			t.Errorf("%s: no file of %s breaks this rule", name, root)
		}
		for _, f := range found {
			at := finding{file: f.file, line: f.line}.String()
			i := 0
			for i < len(wanted[at]) && !strings.Contains(f.what, wanted[at][i]) {
				i++
			}
			if i == len(wanted[at]) {
				t.Errorf("%s: found and not wanted: %s", name, f)
				continue
			}
			wanted[at] = append(wanted[at][:i:i], wanted[at][i+1:]...)
		}
	}
	for at, missing := range wanted {
		for _, w := range missing {
			t.Errorf("%swanted and not found: %s", at, w)
		}
	}
}
