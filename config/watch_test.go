package config

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// heard is one callback: the node's name in the file applied, or the error.
type heard struct {
	name string
	err  error
}

// watching is a Watcher at work on real files.
type watching struct {
	t      *testing.T
	calls  chan heard
	reload chan os.Signal
}

// watch watches path from now on, with what is there in force.
func watch(t *testing.T, path string, change ...func(*Watcher)) *watching {
	t.Helper()
	current, err := Load([]string{path}, nil)
	require.NoError(t, err)
	return watchWith(t, path, current, change...)
}

func watchWith(t *testing.T, path string, current *File, change ...func(*Watcher)) *watching {
	w := &watching{t, make(chan heard, 100), make(chan os.Signal)}
	watcher := Watcher{
		Paths: []string{path}, Current: current, Reload: w.reload,
		Apply:     func(f *File) { w.calls <- heard{name: f.Node.Name} },
		Rejected:  func(err error) { w.calls <- heard{err: err} },
		lookEvery: time.Hour, // what these tests see, they see by events
	}
	for _, c := range change {
		c(&watcher)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); watcher.Watch(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

func (w *watching) next() heard {
	w.t.Helper()
	select {
	case h := <-w.calls:
		return h
	case <-time.After(10 * time.Second):
		require.FailNow(w.t, "nothing was heard of the change")
		return heard{}
	}
}

func (w *watching) applied(name string) {
	w.t.Helper()
	require.Equal(w.t, heard{name: name}, w.next())
}

func (w *watching) rejected(words string) {
	w.t.Helper()
	require.ErrorContains(w.t, w.next().err, words)
}

// look makes it look now, and returns when it is ready to look again.
func (w *watching) look() {
	w.reload <- syscall.SIGHUP
	w.reload <- syscall.SIGHUP
}

// nothing checks that all that was to be heard was heard.
func (w *watching) nothing() {
	w.t.Helper()
	w.look()
	require.Empty(w.t, w.calls)
}

// write puts a new file in the place of path. (One that is edited in place must
// not be looked at by force meanwhile: half of it may be there.)
func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path+".new", []byte(text), 0o600))
	require.NoError(t, os.Rename(path+".new", path))
}

func named(name string) string { return "node: {name: " + name + "}\n" }

func start(t *testing.T) (path string, w *watching) {
	path = filepath.Join(t.TempDir(), "understudy.yaml")
	write(t, path, named("a"))
	return path, watch(t, path)
}

func TestWatchEditInPlace(t *testing.T) {
	path, w := start(t)
	for _, name := range []string{"b", "c", "d"} {
		require.NoError(t, os.WriteFile(path, []byte(named(name)), 0o600))
		w.applied(name)
	}
	w.nothing()
}

func TestWatchRenameOver(t *testing.T) {
	path, w := start(t)
	for _, name := range []string{"b", "c", "d"} {
		write(t, path, named(name))
		w.applied(name)
	}
	w.nothing()
}

// Between the moment that an editor empties a file and the moment that it has
// filled it, an empty file would be a valid one without services.
func TestWhatIsBeingWrittenIsNotJudged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "understudy.yaml")
	write(t, path, named("a"))
	var names []string
	l := lookout{Watcher: Watcher{Paths: []string{path}, Apply: func(f *File) { names = append(names, f.Node.Name) }}}
	require.Equal(t, unsettled, l.look(false))
	require.NoError(t, os.Chtimes(path, time.Time{}, time.Now().Add(-2*quiet)))
	require.Equal(t, judged, l.look(false))
	require.Equal(t, unchanged, l.look(false))

	require.NoError(t, os.Truncate(path, 0))
	require.Equal(t, unsettled, l.look(false))
	require.NoError(t, os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)))
	require.Equal(t, judged, l.look(false), "another machine's clock")

	write(t, path, named("b"))
	require.Equal(t, judged, l.look(true), "somebody wants it now")
	require.Equal(t, []string{"a", "", "b"}, names)
}

// Kubernetes swaps ..data; the file that was given is never touched.
func TestWatchConfigMap(t *testing.T) {
	dir := t.TempDir()
	swap := func(version string) {
		require.NoError(t, os.Mkdir(filepath.Join(dir, version), 0o755))
		write(t, filepath.Join(dir, version, "understudy.yaml"), named(strings.TrimLeft(version, ".")))
		require.NoError(t, os.Symlink(version, filepath.Join(dir, "..tmp")))
		require.NoError(t, os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")))
	}
	swap("..v1")
	path := filepath.Join(dir, "understudy.yaml")
	require.NoError(t, os.Symlink("..data/understudy.yaml", path))
	w := watch(t, path)
	for _, version := range []string{"v2", "v3", "v4"} {
		swap(".." + version)
		w.applied(version)
	}
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "..v1")))
	w.nothing()
}

// A directory on the way may be the link that is swapped.
func TestWatchReleaseDirectory(t *testing.T) {
	dir := t.TempDir()
	for _, release := range []string{"one", "two"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, release, "etc"), 0o755))
		write(t, filepath.Join(dir, release, "etc", "understudy.yaml"), named(release))
	}
	link := filepath.Join(dir, "current")
	require.NoError(t, os.Symlink(filepath.Join(dir, "one"), link))
	w := watch(t, filepath.Join(link, "etc", "understudy.yaml"))

	require.NoError(t, os.Symlink("two", link+".new"))
	require.NoError(t, os.Rename(link+".new", link))
	w.applied("two")
	write(t, filepath.Join(dir, "two", "etc", "understudy.yaml"), named("three"))
	w.applied("three")
	write(t, filepath.Join(dir, "one", "etc", "understudy.yaml"), named("old"))
	w.nothing()
}

// "An invalid file leaves the last good one in force and says so."
func TestWatchInvalidThenValid(t *testing.T) {
	path, w := start(t)
	write(t, path, "nodes: {}")
	w.rejected("1:1: nodes: unknown key, did you mean node?")
	write(t, path, "node: [")
	w.rejected("not YAML")
	w.nothing()
	write(t, path, named("b"))
	w.applied("b")
	w.nothing()
}

func TestWatchRemovedAndRestored(t *testing.T) {
	path, w := start(t)
	require.NoError(t, os.Remove(path))
	w.rejected("no such file")
	w.nothing()
	write(t, path, named("a"))
	w.applied("a") // unchanged, but somebody must hear that all is well again
	w.nothing()
}

func TestWatchDirectoryRemovedAndRestored(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "etc", "understudy")
	path := filepath.Join(dir, "understudy.yaml")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	write(t, path, named("a"))
	w := watch(t, path)
	require.NoError(t, os.RemoveAll(filepath.Dir(dir)))
	w.rejected("no such file")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	write(t, path, named("b"))
	w.applied("b")
	write(t, path, named("c"))
	w.applied("c")
}

func TestUntouchedContentIsNotAppliedAgain(t *testing.T) {
	path, w := start(t)
	w.nothing()
	write(t, path, named("a"))
	require.NoError(t, os.Chtimes(path, time.Now(), time.Now().Add(time.Hour)))
	write(t, path+".other", "x")
	w.nothing()
	write(t, path, named("b"))
	w.look()
	w.applied("b")
	w.nothing()
}

// What changed between Load and Watch is not lost, and without anything in force
// the first look tells.
func TestWatchBeginsWithALook(t *testing.T) {
	path := filepath.Join(t.TempDir(), "understudy.yaml")
	write(t, path, named("a"))
	current, err := Load([]string{path}, nil)
	require.NoError(t, err)
	write(t, path, named("b"))
	watchWith(t, path, current).applied("b")
	watchWith(t, path, nil).applied("b")
	require.NoError(t, os.Remove(path))
	watchWith(t, path, nil).rejected("no such file")
}

// Where the system reports nothing, it is seen all the same.
func TestWatchWithoutEvents(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "understudy.yaml")
	write(t, path, named("a"))
	w := watch(t, path, func(w *Watcher) { w.lookEvery = time.Millisecond })
	for _, name := range []string{"b", "c"} {
		write(t, path, named(name))
		w.applied(name)
	}
}

func TestWatchSeveralFiles(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	base, prod := filepath.Join(dir, "base.yaml"), filepath.Join(other, "prod.yaml")
	write(t, base, named("a"))
	write(t, prod, "admin: off")
	w := watchWith(t, base, nil, func(w *Watcher) { w.Paths = []string{base, prod} })
	w.applied("a")
	write(t, prod, named("b"))
	w.applied("b")
	write(t, base, named("c")+"prefix: p")
	w.applied("b")
}

func TestAClosedReloadChannelIsNoReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "understudy.yaml")
	write(t, path, named("a"))
	closed := make(chan os.Signal)
	close(closed)
	w := watch(t, path, func(w *Watcher) { w.Reload = closed })
	write(t, path, named("b"))
	w.applied("b")
}

func TestSpots(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	in := func(names ...string) []string {
		for i, name := range names {
			names[i] = filepath.Join(dir, name)
		}
		return names
	}
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "a", "b"), 0o755))
	write(t, filepath.Join(dir, "a", "b", "file"), "")
	for link, target := range map[string]string{"up": "a/b/../b", "abs": filepath.Join(dir, "up"), "loop": "loop", "a/link": "../abs/file", "lost": "a/none/file"} {
		require.NoError(t, os.Symlink(target, filepath.Join(dir, link)))
	}
	require.Equal(t, in("a/b/file"), spots(filepath.Join(dir, "a/./b//file")))
	require.Equal(t, in("up", "a/b/file"), spots(filepath.Join(dir, "up/file")))
	require.Equal(t, in("a/link", "abs", "up", "a/b/file"), spots(filepath.Join(dir, "a/link")))
	require.Equal(t, in("lost", "a/none"), spots(filepath.Join(dir, "lost")))
	require.Len(t, spots(filepath.Join(dir, "loop")), linksMax+1)
}
