package config

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// quiet is how long nothing must have happened to the files before they are
	// judged: an editor empties a file before it fills it, and an empty file is a
	// valid one without services. quietMax bounds the wait where it never becomes
	// quiet.
	quiet    = 100 * time.Millisecond
	quietMax = time.Second
	// lookEvery is for file systems that report nothing: NFS, FUSE, bind mounts.
	lookEvery = 10 * time.Second
	linksMax  = 40
)

// Watcher tells when the files change.
type Watcher struct {
	Paths, Env []string // as given to [Load]
	// Current is what is in force at the start. Nil: nothing, so that the first
	// look calls Apply or Rejected.
	Current *File
	// Reload makes it look at once, for whatever is received: SIGHUP. Nil: never.
	Reload <-chan os.Signal
	// Logger hears what the callbacks cannot tell. Nil: nobody.
	Logger *slog.Logger
	// Apply is given each changed configuration that has no mistakes, and
	// Rejected the mistakes of one that has; then the last good one stays in
	// force. Both run in the goroutine of Watch, one at a time, and never twice
	// in a row for the same content. A file that goes and comes back unchanged
	// is Rejected and then Applied.
	Apply    func(*File)
	Rejected func(error)

	lookEvery time.Duration // zero: the constant
}

// Watch watches until ctx ends.
func (w Watcher) Watch(ctx context.Context) {
	if w.Logger == nil {
		w.Logger = slog.New(slog.DiscardHandler)
	}
	if w.lookEvery == 0 {
		w.lookEvery = lookEvery
	}
	l := &lookout{Watcher: w}
	if w.Current != nil {
		l.sum = w.Current.sum
	}
	var events chan fsnotify.Event
	var errs chan error
	if notify, err := fsnotify.NewWatcher(); err != nil {
		w.Logger.Warn("changes of the configuration are seen late: the system does not report them", "error", err, "every", w.lookEvery)
	} else {
		defer notify.Close()
		l.notify, events, errs = notify, notify.Events, notify.Errors
	}
	l.run(ctx, events, errs)
}

// lookout is a Watcher at work.
type lookout struct {
	Watcher
	notify *fsnotify.Watcher // nil: there is none
	spots  []string          // directory entries that decide what the files are
	sum    [sha256.Size]byte // of the content that was judged last
}

func (l *lookout) run(ctx context.Context, events <-chan fsnotify.Event, errs <-chan error) {
	tick := time.NewTicker(l.lookEvery)
	defer tick.Stop()
	settle := time.NewTimer(0) // the first look
	defer settle.Stop()
	var since time.Time // of the first thing that was not looked into; zero: none
	wait := func() {
		if since.IsZero() {
			since = time.Now()
		}
		settle.Reset(max(0, min(quiet, quietMax-time.Since(since))))
	}
	look := func(now bool) {
		switch l.look(now || !since.IsZero() && time.Since(since) >= quietMax) {
		case unsettled:
			wait()
		case unchanged:
			if now {
				l.Logger.Info("the configuration is unchanged")
			}
			since = time.Time{}
		case judged:
			since = time.Time{}
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-events:
			if slices.ContainsFunc(l.spots, func(spot string) bool { return spot == e.Name || filepath.Dir(spot) == e.Name }) {
				wait()
			}
		case err := <-errs: // events were lost
			l.Logger.Warn("watching the configuration", "error", err)
			wait()
		case <-settle.C:
			look(false)
		case <-tick.C:
			look(false)
		case _, open := <-l.Reload:
			if !open {
				l.Reload = nil
				continue
			}
			look(true)
		}
	}
}

// What a look found.
type found uint8

const (
	unchanged found = iota
	unsettled       // new content that may be half of something
	judged
)

// look judges the files if their content is new, and has rested or must be taken
// as it is now. It watches first and reads then, so that no change falls between,
// and begins anew where a link was swapped meanwhile.
func (l *lookout) look(now bool) found {
	result := unchanged
	for range linksMax {
		l.spots = l.allSpots()
		l.watch()
		sources := readAll(l.Paths)
		switch sum := sumOf(sources); {
		case sum == l.sum:
		case !now && fresh(sources):
			return unsettled
		default:
			l.sum, result = sum, judged
			l.judge(sources)
		}
		if slices.Equal(l.spots, l.allSpots()) {
			break
		}
	}
	return result
}

// fresh reports whether somebody may still be writing. A time in the future is
// another machine's clock and says nothing.
func fresh(sources []source) bool {
	return slices.ContainsFunc(sources, func(src source) bool {
		age := time.Since(src.modified)
		return age >= 0 && age < quiet
	})
}

func (l *lookout) allSpots() []string {
	var all []string
	for _, path := range l.Paths {
		all = append(all, spots(path)...)
	}
	return all
}

func (l *lookout) judge(sources []source) {
	f, err := load(sources, l.Env)
	if err != nil {
		l.Rejected(err)
		return
	}
	l.Apply(f)
}

// watch watches the directories of all spots and no others. A directory is added
// again each time: another one may have taken its name.
func (l *lookout) watch() {
	if l.notify == nil {
		return
	}
	var dirs []string
	for _, spot := range l.spots {
		dirs = append(dirs, filepath.Dir(spot))
	}
	for _, old := range l.notify.WatchList() {
		if !slices.Contains(dirs, old) {
			_ = l.notify.Remove(old) // it may be gone already
		}
	}
	slices.Sort(dirs)
	for _, dir := range slices.Compact(dirs) {
		if err := l.notify.Add(dir); err != nil {
			l.Logger.Warn("changes of the configuration are seen late", "directory", dir, "error", err, "every", l.lookEvery)
		}
	}
}

// spots returns the directory entries that decide what path means: the file, and
// every symbolic link on the way to it. A ConfigMap is changed by swapping one
// such link, and nothing happens to the file itself. Where the way ends, the last
// spot is what is missing.
func spots(path string) []string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil
	}
	var found []string
	at := filepath.VolumeName(abs) + string(filepath.Separator)
	rest := parts(abs)
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		if name == ".." {
			at = filepath.Dir(at)
			continue
		}
		next := filepath.Join(at, name)
		info, err := os.Lstat(next)
		switch {
		case err != nil:
			return append(found, next)
		case info.Mode()&os.ModeSymlink != 0:
			found = append(found, next)
			target, err := os.Readlink(next)
			if links++; err != nil || links > linksMax {
				return found
			}
			if filepath.IsAbs(target) {
				at = filepath.VolumeName(target) + string(filepath.Separator)
			}
			rest = append(parts(target), rest...)
		default:
			at = next
		}
	}
	return append(found, at)
}

// parts takes a path apart at its separators; "." and nothing are left out.
func parts(path string) []string {
	path = path[len(filepath.VolumeName(path)):]
	all := strings.FieldsFunc(path, func(r rune) bool { return r < 0x80 && os.IsPathSeparator(uint8(r)) })
	return slices.DeleteFunc(all, func(s string) bool { return s == "." })
}
