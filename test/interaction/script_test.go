package interaction

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write what comes of each command into the scripts")

const indent = "    "

// Each script gives what stands beneath its commands.
func TestScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			want := string(text)
			var got string
			synctest.Test(t, func(t *testing.T) { got = run(t, want) })
			if *update {
				require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
				return
			}
			compare(t, path, want, got)
		})
	}
}

// compare tells of the first line that came out otherwise.
func compare(t *testing.T, path, want, got string) {
	t.Helper()
	wanted, given := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(wanted), len(given)) {
		if wanted[i] != given[i] {
			t.Fatalf("%s:%d:\nwant %q\n got %q\nAfter a change that is meant: go test ./test/interaction -update", path, i+1, wanted[i], given[i])
		}
	}
	require.Equal(t, want, got)
}

// A script that expects something else fails.
func TestAScriptCanFail(t *testing.T) {
	const script = `service orders strategy=round_robin endpoints=a,b
request orders 2
    served by b a
`
	synctest.Test(t, func(t *testing.T) {
		require.Equal(t, strings.Replace(script, "b a", "a b", 1), run(t, script))
	})
}

// run runs a script and returns it with what came of its commands.
func run(t *testing.T, script string) string {
	var out strings.Builder
	stage := newStage(t)
	for i, line := range strings.Split(strings.TrimSuffix(script, "\n"), "\n") {
		switch {
		case strings.HasPrefix(line, indent):
			continue // what was expected
		case line != "" && line[0] != '#':
			out.WriteString(line + "\n")
			result, err := stage.command(strings.Fields(line))
			require.NoError(t, err, "line %d: %s", i+1, line)
			for _, l := range result {
				out.WriteString(indent + l + "\n")
			}
			continue
		}
		out.WriteString(line + "\n")
	}
	return out.String()
}
