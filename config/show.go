package config

import (
	"encoding"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Redacted is f as a file would say it, defaults filled in, every secret replaced
// by "[redacted]", and so everything that came from a variable.
func (f *File) Redacted() string { return f.show(f.WithDefaults()) }

// Redact is any other configuration, a [actors.ServiceConfig] say, in the same
// form.
func Redact(v any) string { return (&File{}).show(v) }

func (f *File) show(v any) string {
	n := f.encode(reflect.ValueOf(v), "")
	if n == nil {
		return "{}\n"
	}
	text, err := yaml.Dump(n, yaml.WithV4Defaults(), yaml.WithLineWidth(-1))
	if err != nil {
		return "# cannot be shown: " + err.Error() + "\n"
	}
	return string(text)
}

// encode returns nil for what is not given.
func (f *File) encode(v reflect.Value, path string) *yaml.Node {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		n := f.encode(v.Elem(), path)
		if n == nil && v.Elem().Kind() == reflect.Struct {
			n = &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle} // {} says more than nothing
		}
		return n
	}
	if m, ok := v.Interface().(encoding.TextMarshaler); ok && isText(v.Type()) {
		text, err := m.MarshalText()
		if err != nil || len(text) == 0 {
			return nil
		}
		return f.text(string(text), path)
	}
	switch v.Kind() {
	case reflect.Struct:
		return f.encodeStruct(v, path)
	case reflect.Map:
		return f.encodeMap(v, path)
	case reflect.Slice:
		return f.encodeList(v, path)
	case reflect.String:
		if v.Len() == 0 {
			return nil
		}
		return f.text(v.String(), path)
	case reflect.Bool:
		if !v.Bool() {
			return nil
		}
		return f.plain("true", path)
	default:
		if v.IsZero() && !strings.HasSuffix(path, "]") {
			return nil
		}
		return f.plain(written(v, path), path)
	}
}

func (f *File) encodeStruct(v reflect.Value, path string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	t := v.Type()
	for _, key := range orderedKeys(t) {
		if child := f.encode(v.FieldByIndex(fieldsOf(t)[key].index), join(path, key)); child != nil {
			n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, child)
		}
	}
	if len(n.Content) == 0 {
		return nil
	}
	return n
}

// orderedKeys are the keys of a struct in the order of its fields.
func orderedKeys(t reflect.Type) []string {
	fields := fieldsOf(t)
	keys := make([]string, 0, len(fields))
	for key := range fields {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b string) int { return slices.Compare(fields[a].index, fields[b].index) })
	return keys
}

func (f *File) encodeMap(v reflect.Value, path string) *yaml.Node {
	if v.Len() == 0 {
		return nil
	}
	n := &yaml.Node{Kind: yaml.MappingNode}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	for _, key := range keys {
		child := f.encode(v.MapIndex(key), join(path, key.String()))
		if child == nil {
			child = &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
			if v.Type().Elem().Kind() != reflect.Struct {
				child = f.text("", join(path, key.String()))
			}
		}
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key.String()}, child)
	}
	return n
}

func (f *File) encodeList(v reflect.Value, path string) *yaml.Node {
	if v.Len() == 0 {
		return nil
	}
	n := &yaml.Node{Kind: yaml.SequenceNode}
	if v.Type().Elem().Kind() != reflect.Struct {
		n.Style = yaml.FlowStyle
	}
	for i := range v.Len() {
		child := f.encode(v.Index(i), item(path, i))
		if child == nil {
			child = f.text("", path)
		}
		n.Content = append(n.Content, child)
	}
	return n
}

func (f *File) secret(path string) bool { return f.hidden[path] || secretPath(path) }

// text is a string, in quotes where YAML needs them.
func (f *File) text(s, path string) *yaml.Node {
	n := &yaml.Node{}
	if s = withoutUser(s, path); s != "" && f.secret(path) {
		s = redacted
	}
	n.SetString(s)
	return n
}

// plain is a number, a duration or true.
func (f *File) plain(s, path string) *yaml.Node {
	if f.secret(path) {
		return f.text(s, path)
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Value: s}
}
