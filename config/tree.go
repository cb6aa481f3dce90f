package config

import (
	"reflect"
	"slices"
	"strconv"
)

// place is where something was written.
type place struct {
	file         string
	line, column int
}

type kind uint8

const (
	scalar kind = iota
	list
	table
)

func (k kind) String() string {
	return [...]string{"a single value", "a list", "a mapping of keys"}[k]
}

// node is a value as it was written, with where. Files, environment variables
// and shorthands all become nodes; the Go types come last. That keeps "not
// given" apart from "given as zero" while layers are put upon each other.
//
// A node is never changed once [loading.shape] is through with it, so layers
// may share it.
type node struct {
	at   place // of its key, where it has one
	kind kind

	text   string // of a scalar, with its variables put in
	null   bool   // a scalar of which nothing was written, or ~
	secret bool   // part of text came from a variable
	broken bool   // already reported: stands for nothing

	items   []*node // of a list
	entries []*entry

	// typ is the struct that a table is for.
	typ reflect.Type
	// whole makes it replace what lies below instead of merging into it.
	whole bool
}

// entry is one key of a table, by its canonical name. The key stands at value.at.
type entry struct {
	key   string
	value *node
}

// get returns the entry of that key, or nil.
func (n *node) get(key string) *entry {
	if n == nil {
		return nil
	}
	for _, e := range n.entries {
		if e.key == key {
			return e
		}
	}
	return nil
}

// value returns what stands under keys, one below the other, or nil.
func (n *node) value(keys ...string) *node {
	for _, key := range keys {
		e := n.get(key)
		if e == nil {
			return nil
		}
		n = e.value
	}
	return n
}

// index is for those who look up many keys.
func (n *node) index() map[string]*node {
	m := make(map[string]*node, len(n.entries))
	for _, e := range n.entries {
		m[e.key] = e.value
	}
	return m
}

// given reports whether something stands under key.
func (n *node) given(key string) bool {
	v := n.value(key)
	return v != nil && !v.null && !v.broken
}

// overlay puts over upon base. Tables merge key by key; a list, a scalar and
// whatever is marked whole replace what lies below. An empty value replaces too:
// it takes a key back to its default.
func overlay(base, over *node) *node {
	if base == nil || base.kind != table || over.kind != table || over.whole {
		return over
	}
	merged := &node{at: over.at, kind: table, typ: over.typ, whole: base.whole}
	upper, lower := over.index(), base.index()
	for _, e := range base.entries {
		switch {
		case upper[e.key] != nil:
			merged.entries = append(merged.entries, &entry{e.key, overlay(e.value, upper[e.key])})
		case !displaced(e.key, over):
			merged.entries = append(merged.entries, e)
		}
	}
	for _, e := range over.entries {
		if lower[e.key] == nil {
			merged.entries = append(merged.entries, e)
		}
	}
	return merged
}

// displaced reports whether over chooses something that takes the place of key:
// a service with a tcp check has no use for an inherited http check.
func displaced(key string, over *node) bool {
	return slices.ContainsFunc(alternatives[over.typ][key], over.given)
}

// join makes the path of a key.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// item makes the path of a list's item.
func item(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }
