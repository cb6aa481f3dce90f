package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// loadText loads one file with that text.
func loadText(t *testing.T, text string, env ...string) (*File, error) {
	t.Helper()
	return load([]source{{name: "a.yaml", text: []byte(text)}}, env)
}

func mustLoad(t *testing.T, text string, env ...string) *File {
	t.Helper()
	f, err := loadText(t, text, env...)
	require.NoError(t, err)
	return f
}

// mistake loads a text that has exactly one mistake.
func mistake(t *testing.T, text string, env ...string) Mistake {
	t.Helper()
	_, err := loadText(t, text, env...)
	var all Mistakes
	require.ErrorAs(t, err, &all)
	require.Len(t, all, 1, "%v", err)
	return all[0]
}

// "All mistakes are reported at once with file, line, key and the nearest known
// key."
func TestMistakesOfEachFile(t *testing.T) {
	files, err := filepath.Glob("testdata/mistakes/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			f, err := Load([]string{file}, []string{"SECRET=hunter2"})
			var got strings.Builder
			if err != nil {
				require.Nil(t, f)
				got.WriteString(err.Error() + "\n")
			} else {
				for _, w := range f.Warnings {
					got.WriteString("warning: " + w.String() + "\n")
				}
			}
			require.NotContains(t, got.String(), "hunter2")
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(got.String()), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), got.String())
		})
	}
}

func TestAMistakeIsTakenApart(t *testing.T) {
	m := mistake(t, "services:\n  orders:\n    endpoints: [{id: a, url: 'http://a'}]\n    breaker:\n      failure_treshold: 3\n")
	require.Equal(t, Mistake{
		File: "a.yaml", Line: 5, Column: 7, Key: "services.orders.breaker.failure_treshold",
		Words: "unknown key", Hint: "did you mean failure_threshold?",
	}, m)
	require.Equal(t, "a.yaml:5:7: services.orders.breaker.failure_treshold: unknown key, did you mean failure_threshold?", m.String())
}

// A fault is found where its key was written, or at the nearest block around it;
// names may hold dots.
func TestFind(t *testing.T) {
	root := (&loading{}).parse(source{text: []byte("a:\n  x.y: {z: 1}\n  x: {y: 2}\n  x.y[0]: 3\n  list:\n    - {b: 4}\n")}, "")
	for path, want := range map[string]struct {
		line  int
		exact bool
	}{
		"": {1, true}, "a": {1, true}, "a.x.y.z": {2, true}, "a.x": {3, true}, "a.x.y[0]": {4, true}, "a.x.y.q": {2, false}, "a.q": {1, false},
		"a.list": {5, true}, "a.list[0].b": {6, true}, "a.list[1].b": {5, false}, "a.list[x]": {5, false}, "b": {1, false}, "a.xx": {1, false},
	} {
		n, exact := find(root, path)
		require.Equal(t, want.line, n.at.line, path)
		require.Equal(t, want.exact, exact, path)
	}
}

// One mistake is one line, whatever a name holds.
func TestAMistakeIsOneLine(t *testing.T) {
	m := mistake(t, `{"a\nb\e[31m": 1}`)
	require.Equal(t, "a.yaml:1:2: a·b·[31m: unknown key", m.String())
}

func TestNothingIsFine(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "comment": "# later\n", "null": "~\n", "document": "---\n", "table": "{}", "bom": "\ufeff"} {
		t.Run(name, func(t *testing.T) {
			f := mustLoad(t, text)
			require.Empty(t, f.Services)
			require.Empty(t, f.WithDefaults().Admin.Listen)
			require.Equal(t, "understudy", f.WithDefaults().Prefix)
		})
	}
	f, err := Load(nil, nil)
	require.NoError(t, err)
	require.Empty(t, f.Warnings)
	require.False(t, f.NATS.External())
}

func TestAFileThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "none.yaml")
	_, err := Load([]string{missing, dir}, nil)
	require.EqualError(t, err, dir+": cannot be read: is a directory\n"+missing+": no such file, understudy init writes one")
	var all Mistakes
	require.True(t, errors.As(err, &all))
}

func TestAFileThatIsTooLarge(t *testing.T) {
	text := make([]byte, sizeMax+1)
	_, err := load([]source{{name: "a.yaml", text: text}}, nil)
	require.EqualError(t, err, "a.yaml: is larger than 32 MiB")
}

// A few lines of YAML must not become a million values.
func TestAliasesDoNotMultiply(t *testing.T) {
	text := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'h'; c++ {
		text += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+string(c-1)+",", 10) + "]\n"
	}
	_, err := loadText(t, text)
	require.ErrorContains(t, err, "YAML aliases multiply this beyond 100000 values")
}

func TestDepthIsBounded(t *testing.T) {
	_, err := loadText(t, strings.Repeat("[", 1000))
	require.ErrorContains(t, err, "exceeded max depth")
}

// The example of the design is understood whole, but for the keys of later steps.
func TestTheExampleOfTheDesign(t *testing.T) {
	f, err := Load([]string{"testdata/design.yaml"}, []string{"ORDERS_API_KEY=x"})
	require.NoError(t, err)
	require.Empty(t, f.Warnings)
	c := f.Services["orders"]
	require.Equal(t, map[string]int{"orders-1": 3}, c.Strategy.Weights)
	require.Equal(t, 0.5, c.Breaker.FailureRate)
	require.Equal(t, []string{"connect", "timeout", "429", "502", "503", "504"}, c.Retry.On)
	require.Equal(t, "Bearer x", c.Headers["Authorization"])
}
