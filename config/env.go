package config

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/understudy-go/understudy/actors/nearest"
)

// envPrefix begins the variables that override a key. Its double underscore keeps
// apart what Kubernetes injects for a service that is named understudy.
const envPrefix = "UNDERSTUDY_CFG__"

func envMap(env []string) map[string]string {
	m := make(map[string]string, len(env))
	for _, pair := range env {
		if name, value, ok := strings.Cut(pair, "="); ok {
			m[name] = value
		}
	}
	return m
}

// overrides puts the variables UNDERSTUDY_CFG__… upon root, a block before its
// keys.
func (l *loading) overrides(root *node) *node {
	for _, name := range slices.Sorted(maps.Keys(l.env)) {
		if rest, ok := strings.CutPrefix(name, envPrefix); ok {
			o := override{loading: l, name: name, value: l.env[name]}
			if over := o.build(root, reflect.TypeFor[File](), strings.Split(rest, "__"), ""); over != nil {
				root = overlay(root, over)
			}
		}
	}
	return root
}

// override is one such variable.
type override struct {
	*loading
	name, value string
}

// build makes the layer that changes one key: what keys lead to from base, of
// type t. It returns nil after a mistake.
func (o *override) build(base *node, t reflect.Type, keys []string, path string) *node {
	if len(keys) == 0 {
		return o.read(t, path)
	}
	t = pointed(t)
	switch {
	case isText(t):
	case t.Kind() == reflect.Struct:
		return o.buildField(base, t, keys, path)
	case t.Kind() == reflect.Map:
		return o.buildEntry(base, t, keys, path)
	case t.Kind() == reflect.Slice:
		return o.buildItem(base, t, keys, path)
	}
	o.bad(o.place(), join(path, strings.ToLower(keys[0])), "unknown key", path+" is a single value")
	return nil
}

func (o *override) place() place { return place{file: o.name} }

// read turns the variable's value into a node. Where a single value is wanted it
// is taken as it is, so that a password needs no quotes; else it is YAML.
func (o *override) read(t reflect.Type, path string) *node {
	n := &node{at: o.place(), text: o.value, null: o.value == ""}
	switch pointed(t).Kind() {
	case reflect.Struct, reflect.Map, reflect.Slice:
		if isText(t) {
			return n
		}
		before := len(o.mistakes)
		if parsed := o.parse(source{name: o.name, text: []byte(o.value)}, path); parsed != nil {
			n = parsed
		} else if n.null = true; len(o.mistakes) > before {
			return nil
		}
		n.at = o.place()
		o.shape(n, t, path)
	}
	return n
}

func (o *override) buildField(base *node, t reflect.Type, keys []string, path string) *node {
	fields := fieldsOf(t)
	names := slices.Collect(maps.Keys(fields))
	names = slices.AppendSeq(names, maps.Keys(aliases[t]))
	slices.Sort(names)
	i := slices.IndexFunc(names, func(name string) bool { return strings.EqualFold(name, keys[0]) })
	if i < 0 {
		key, hint := strings.ToLower(keys[0]), ""
		if name, ok := nearest.Nearest(key, names); ok {
			hint = "did you mean " + strings.ToUpper(name) + "?"
		}
		o.bad(o.place(), join(path, key), "unknown key", hint)
		return nil
	}
	name := names[i]
	a, aliased := aliases[t][name]
	if aliased {
		if a.convert != nil {
			o.value = a.convert(o.value)
		}
		name = a.key
	}
	child := o.build(base.value(name), fields[name].typ, keys[1:], join(path, name))
	if child == nil {
		return nil
	}
	return &node{at: o.place(), kind: table, typ: t, entries: []*entry{{name, child}}}
}

// buildEntry finds the key of a map as a variable's name can spell it: any case,
// and "_" for whatever no variable's name may hold. A new key is lower case.
func (o *override) buildEntry(base *node, t reflect.Type, keys []string, path string) *node {
	key := strings.ToLower(keys[0])
	var found []string
	if base != nil {
		for _, e := range base.entries {
			if spelled(e.key) == key {
				found = append(found, e.key)
			}
		}
	}
	switch len(found) {
	case 0:
	case 1:
		key = found[0]
	default:
		o.bad(o.place(), join(path, key), "could be "+strings.Join(found, " or "), "change it in the file")
		return nil
	}
	child := o.build(base.value(key), t.Elem(), keys[1:], join(path, key))
	if child == nil {
		return nil
	}
	return &node{at: o.place(), kind: table, entries: []*entry{{key, child}}}
}

func spelled(key string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToLower(key))
}

// buildItem changes one item of a list, by its index, or adds one behind the last.
func (o *override) buildItem(base *node, t reflect.Type, keys []string, path string) *node {
	var items []*node
	if base != nil {
		items = base.items
	}
	i, err := strconv.Atoi(keys[0])
	if err != nil || i < 0 || i > len(items) {
		o.bad(o.place(), join(path, strings.ToLower(keys[0])), "no such item", "there are "+itoa(len(items))+", counted from 0")
		return nil
	}
	whole := &node{at: o.place(), kind: list, items: slices.Clone(items)}
	if i == len(items) {
		whole.items = append(whole.items, &node{at: o.place(), kind: table})
	}
	child := o.build(whole.items[i], t.Elem(), keys[1:], item(path, i))
	if child == nil {
		return nil
	}
	whole.items[i] = overlay(whole.items[i], child)
	return whole
}

// natsEnv puts root upon a layer of NATS_* variables, named as the nats command
// names them. Their credentials do not count beside an address that has some.
func (l *loading) natsEnv(root *node) *node {
	file := reflect.TypeFor[File]()
	layer := &node{at: place{file: "environment"}, kind: table, typ: file}
	for _, v := range natsVariables {
		value := l.env[v.name]
		if value == "" || v.credential && (hasUser(root) || hasUser(layer)) {
			continue
		}
		o := override{loading: l, name: v.name, value: value}
		layer = overlay(layer, o.build(nil, file, v.keys, ""))
	}
	if root == nil {
		return layer
	}
	return overlay(layer, root)
}

// hasUser reports whether the address of NATS says who we are.
func hasUser(root *node) bool {
	url := root.value("nats", "url")
	return url != nil && strings.Contains(url.text, "@")
}

var natsVariables = []struct {
	name       string
	keys       []string
	credential bool
}{
	{"NATS_URL", []string{"nats", "url"}, false},
	{"NATS_USER", []string{"nats", "user"}, true},
	{"NATS_PASSWORD", []string{"nats", "password"}, true},
	{"NATS_TOKEN", []string{"nats", "token"}, true},
	{"NATS_CREDS", []string{"nats", "creds"}, true},
	{"NATS_NKEY", []string{"nats", "nkey"}, true},
	{"NATS_CA", []string{"nats", "tls", "ca"}, false},
	{"NATS_CERT", []string{"nats", "tls", "cert"}, false},
	{"NATS_KEY", []string{"nats", "tls", "key"}, false},
}
