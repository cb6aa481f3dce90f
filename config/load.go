package config

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
)

// Load reads the files, one upon the other, and the environment, given as
// [os.Environ] does. Without files it is the defaults and the environment.
//
// It returns [Mistakes] if anything is wrong, all at once; then there is no File.
func Load(paths, env []string) (*File, error) { return load(readAll(paths), env) }

func readAll(paths []string) []source {
	sources := make([]source, len(paths))
	for i, path := range paths {
		text, err := os.ReadFile(path)
		sources[i] = source{name: path, text: text, err: err}
		if info, err := os.Stat(path); err == nil {
			sources[i].modified = info.ModTime()
		}
	}
	return sources
}

func load(sources []source, env []string) (*File, error) {
	l := &loading{env: envMap(env), renamed: map[place]string{}, hidden: map[string]bool{}}
	var root *node
	for _, src := range sources {
		if layer := l.layer(src); layer != nil {
			root = overlay(root, layer)
		}
	}
	root = l.inherit(l.natsEnv(l.overrides(root)))
	l.collect(root, "")

	f := &File{hidden: l.hidden, sum: sumOf(sources)}
	l.decode(root, reflect.ValueOf(f).Elem(), "", owner{})
	l.check(f, root)
	if len(l.mistakes) > 0 {
		return nil, l.scrub(l.mistakes).tidy()
	}
	f.Warnings = l.scrub(l.warnings).tidy()
	return f, nil
}

// sumOf tells one content of the files from another.
func sumOf(sources []source) [sha256.Size]byte {
	h := sha256.New()
	for _, src := range sources {
		fmt.Fprintf(h, "%q %d %v\n", src.name, len(src.text), src.err)
		h.Write(src.text)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// layer is one file as a tree that fits [File].
func (l *loading) layer(src source) *node {
	if src.err != nil {
		words, hint := "cannot be read", ""
		var e *fs.PathError
		switch {
		case errors.Is(src.err, fs.ErrNotExist):
			words, hint = "no such file", "understudy init writes one"
		case errors.As(src.err, &e):
			words += ": " + e.Err.Error()
		}
		l.bad(place{file: src.name}, "", words, hint)
		return nil
	}
	n := l.parse(src, "")
	switch {
	case n == nil || n.broken:
		return nil
	case n.kind != table:
		l.misfit(n, "", table)
		return nil
	}
	l.shape(n, reflect.TypeFor[File](), "")
	l.collect(n, "")
	return n
}

// inherit puts every service upon the defaults. What is wrong with the defaults
// themselves is reported first, as theirs.
func (l *loading) inherit(root *node) *node {
	defaults, services := root.value("defaults"), root.value("services")
	if defaults == nil || services == nil || services.kind != table {
		return root
	}
	l.decode(defaults, reflect.New(serviceType).Elem(), "defaults", owner{})
	heirs := &node{at: services.at, kind: table}
	for _, e := range services.entries {
		own := e.value
		if own.null {
			own = &node{at: own.at, kind: table, typ: serviceType}
		}
		heirs.entries = append(heirs.entries, &entry{e.key, overlay(defaults, own)})
	}
	with := *root
	with.entries = slices.Clone(root.entries)
	i := slices.IndexFunc(with.entries, func(e *entry) bool { return e.value == services })
	with.entries[i] = &entry{"services", heirs}
	return &with
}
