package config

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// owner knows, for one key, the configuration struct that it belongs to, and so
// can ask that struct about the key's default and about off.
type owner struct {
	typ   reflect.Type // has WithDefaults; nil: nobody to ask
	index []int        // the way from it to the field
	path  string       // the same way in keys, as its Validate names it
}

// at steps from a struct to one of its fields. The innermost struct that knows
// defaults is asked; failing that, the innermost that can judge.
func (o owner) at(t reflect.Type, index []int, key string) owner {
	if hasDefaults(t) || o.typ == nil && t.Implements(validType) {
		o = owner{typ: t}
	}
	if o.typ == nil {
		return o
	}
	return owner{o.typ, append(o.index[:len(o.index):len(o.index)], index...), join(o.path, key)}
}

type validator interface{ Validate() error }

var validType = reflect.TypeFor[validator]()

// hasDefaults looks at the result too: a method that an inlined struct lends
// gives that struct, not the one around it.
func hasDefaults(t reflect.Type) bool {
	m, ok := t.MethodByName("WithDefaults")
	return ok && m.Type.NumOut() == 1 && m.Type.Out(0) == t
}

// sample is the zero configuration with this one field set to number, and a
// value wherever a pointer stands in the way.
func (o owner) sample(number int64) reflect.Value {
	v := reflect.New(o.typ).Elem()
	f := v
	for _, i := range o.index {
		if f.Kind() == reflect.Pointer {
			f.Set(reflect.New(f.Type().Elem()))
			f = f.Elem()
		}
		f = f.Field(i)
	}
	setNumber(f, number)
	return v
}

func setNumber(v reflect.Value, number int64) {
	if v.CanFloat() {
		v.SetFloat(float64(number))
	} else {
		v.SetInt(number)
	}
}

// withDefaults returns v with its defaults, or v where it has none.
func withDefaults(v reflect.Value) reflect.Value {
	if !hasDefaults(v.Type()) {
		return v
	}
	return v.MethodByName("WithDefaults").Call(nil)[0]
}

// preset is the field's default; the zero Value where there is nobody to ask.
func (o owner) preset() reflect.Value {
	if o.typ == nil {
		return reflect.Value{}
	}
	v := withDefaults(o.sample(0))
	for _, i := range o.index {
		v = reflect.Indirect(v).Field(i)
	}
	return v
}

func (o owner) zeroIsDefault() bool {
	v := o.preset()
	return v.IsValid() && !v.IsZero()
}

// allows reports whether the struct's own Validate finds nothing wrong with the
// field at that number. Where there is nobody to ask, everything is allowed.
func (o owner) allows(number int64) bool {
	if o.typ == nil {
		return true
	}
	v, ok := o.sample(number).Interface().(validator)
	if !ok {
		return true
	}
	return !slices.ContainsFunc(flatten(v.Validate()), func(f fault) bool { return f.path == o.path })
}

// orDefault says what happens without the key.
func (o owner) orDefault() string {
	v := o.preset()
	if !v.IsValid() || v.IsZero() || written(v, o.path) == "off" {
		return "leave the key out"
	}
	return "leave the key out for the default of " + written(v, o.path)
}

// fault is one thing that a Validate found: "path: words".
type fault struct{ path, words string }

// flatten takes a joined error apart.
func flatten(err error) []fault {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []fault
		for _, e := range joined.Unwrap() {
			all = append(all, flatten(e)...)
		}
		return all
	}
	text := err.Error()
	path, words, ok := strings.Cut(text, ": ")
	if !ok {
		return []fault{{"", text}}
	}
	return []fault{{path, words}}
}

// written is a value as a file has it.
func written(v reflect.Value, path string) string {
	item := strings.HasSuffix(path, "]") // never off: a longitude may be -1
	switch {
	case v.Type() == durationType:
		return duration(time.Duration(v.Int()))
	case !item && (v.CanInt() && v.Int() == -1 || v.CanFloat() && v.Float() == -1):
		return "off"
	case v.Kind() == reflect.Int64:
		return size(v.Int())
	case v.CanInt():
		return strconv.FormatInt(v.Int(), 10)
	case v.CanFloat() && ratio(path):
		return strconv.FormatFloat(100*v.Float(), 'g', 12, 64) + "%"
	case v.CanFloat():
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	}
	return v.String()
}

// size has the largest unit that leaves a whole number: 64MiB.
func size(bytes int64) string {
	unit := ""
	for _, larger := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if bytes == 0 || bytes%1024 != 0 {
			break
		}
		bytes, unit = bytes/1024, larger
	}
	return strconv.FormatInt(bytes, 10) + unit
}

// duration leaves out what [time.Duration.String] has too much: 2m, not 2m0s.
func duration(d time.Duration) string {
	if d == -1 {
		return "off"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
