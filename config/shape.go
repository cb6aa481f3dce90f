package config

import (
	"encoding"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-go/understudy/actors/nearest"
)

// shape holds one layer against the Go type that it is for: other names become
// the canonical ones, shorthands the tables they are short for, and unknown keys
// are reported and taken out. It is done before layers are put upon each other,
// so that recovery_timeout in one overrides open_timeout in another.
func (l *loading) shape(n *node, t reflect.Type, path string) {
	optional := t.Kind() == reflect.Pointer
	t = pointed(t)
	if n.null || n.broken || isText(t) {
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		n.typ = t
		if n.kind == scalar {
			shapeShorthand(n, t, optional)
		}
		l.shapeStruct(n, t, path)
	case reflect.Map:
		for _, e := range n.entries {
			l.shape(e.value, t.Elem(), join(path, e.key))
		}
	case reflect.Slice, reflect.Array:
		for i, value := range n.items {
			l.shape(value, t.Elem(), item(path, i))
		}
	}
}

func (l *loading) shapeStruct(n *node, t reflect.Type, path string) {
	fields := fieldsOf(t)
	known := entriesFirst(n)
	for _, e := range known {
		written := e.key
		if a, ok := aliases[t][e.key]; ok {
			e.key = a.key
			l.renamed[e.value.at] = written
			if a.convert != nil && e.value.kind == scalar && !e.value.null {
				e.value.text = a.convert(e.value.text)
			}
		}
		f, ok := fields[e.key]
		if !ok {
			l.unknown(e.value.at, join(path, written), written, t)
			continue
		}
		if first := n.get(e.key); first != nil {
			l.twice(e.value.at, join(path, e.key), first.value.at)
			continue
		}
		n.entries = append(n.entries, e)
		l.shape(e.value, f.typ, join(path, e.key))
	}
}

// entriesFirst takes the entries out of n, for those that are right to be put
// back.
func entriesFirst(n *node) []*entry {
	entries := n.entries
	n.entries = nil
	return entries
}

// shapeShorthand turns a single value that stands in place of a block into the
// block. It replaces what it inherits: who writes "strategy: random" does not
// want another strategy's weights.
func shapeShorthand(n *node, t reflect.Type, optional bool) {
	short := shorthands[t]
	value, key := *n, short.key
	switch off := isOff(n.text); {
	case off && short.off != "":
		value.text, key = short.offText, short.off
	case off && short.offEmpty:
		*n = node{at: n.at, kind: table, typ: t, whole: true}
		return
	case off && optional: // decoding leaves it out
		return
	case isOn(n.text) && short.on: // and this is a mistake with a hint
		return
	}
	if key != "" {
		*n = node{at: n.at, kind: table, typ: t, whole: true, entries: []*entry{{key, &value}}}
	}
}

func (l *loading) unknown(at place, path, key string, t reflect.Type) {
	names := make([]string, 0, 16)
	for name := range fieldsOf(t) {
		names = append(names, name)
	}
	for name := range aliases[t] {
		names = append(names, name)
	}
	slices.Sort(names)
	hint := ""
	if name, ok := nearest.Nearest(key, names); ok {
		hint = "did you mean " + name + "?"
	}
	l.bad(at, path, "unknown key", hint)
}

// field is one key of a struct.
type field struct {
	index []int
	typ   reflect.Type
}

// fieldsOf returns the keys of a struct as its yaml tags name them, those of
// inlined structs included.
func fieldsOf(t reflect.Type) map[string]field {
	fields := make(map[string]field, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case !f.IsExported() || name == "-":
		case options == "inline":
			for name, inner := range fieldsOf(f.Type) {
				inner.index = append([]int{i}, inner.index...)
				fields[name] = inner
			}
		default:
			if name == "" {
				name = strings.ToLower(f.Name)
			}
			fields[name] = field{f.Index, f.Type}
		}
	}
	return fields
}

var (
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
	durationType = reflect.TypeFor[time.Duration]()
)

// isText reports whether a type reads its own text.
func isText(t reflect.Type) bool { return reflect.PointerTo(t).Implements(textType) }

func pointed(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

func isOff(text string) bool {
	switch strings.ToLower(text) {
	case "off", "none", "false":
		return true
	}
	return false
}

func isOn(text string) bool {
	switch strings.ToLower(text) {
	case "on", "yes", "true":
		return true
	}
	return false
}

func itoa(i int) string { return strconv.Itoa(i) }
