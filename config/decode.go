package config

import (
	"encoding"
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// decode fills v from n, which [loading.shape] has been through. A value that
// does not fit is reported and leaves v as it was.
func (l *loading) decode(n *node, v reflect.Value, path string, o owner) {
	if n.null || n.broken {
		return
	}
	if v.Kind() == reflect.Pointer {
		l.decodePointer(n, v, path, o)
		return
	}
	want := scalar
	switch {
	case isText(v.Type()):
	case v.Kind() == reflect.Struct, v.Kind() == reflect.Map:
		want = table
	case v.Kind() == reflect.Slice:
		want = list
	}
	if n.kind != want {
		l.misfit(n, path, want)
		return
	}
	switch {
	case want == scalar:
		l.decodeScalar(n, v, path, o)
	case want == list:
		v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
		for i, value := range n.items {
			l.decode(value, v.Index(i), item(path, i), owner{})
		}
	case v.Kind() == reflect.Map:
		l.decodeMap(n, v, path)
	default:
		fields := fieldsOf(v.Type())
		for _, e := range n.entries {
			f := fields[e.key]
			l.decode(e.value, v.FieldByIndex(f.index), join(path, e.key), o.at(v.Type(), f.index, e.key))
		}
	}
}

// decodePointer sets what is optional. Off is as if it were not given.
func (l *loading) decodePointer(n *node, v reflect.Value, path string, o owner) {
	if n.kind == scalar && isOff(n.text) && v.Type().Elem().Kind() == reflect.Struct {
		return
	}
	value := reflect.New(v.Type().Elem())
	l.decode(n, value.Elem(), path, o)
	v.Set(value)
}

func (l *loading) decodeMap(n *node, v reflect.Value, path string) {
	v.Set(reflect.MakeMapWithSize(v.Type(), len(n.entries)))
	for _, e := range n.entries {
		value := reflect.New(v.Type().Elem()).Elem()
		if e.value.null && value.Kind() != reflect.Struct {
			continue // taken back; a service of which nothing is said is one on defaults
		}
		l.decode(e.value, value, join(path, e.key), owner{})
		v.SetMapIndex(reflect.ValueOf(e.key).Convert(v.Type().Key()), value)
	}
}

// misfit reports a value of the wrong shape.
func (l *loading) misfit(n *node, path string, want kind) {
	hint := ""
	switch {
	case n.kind == scalar && want == list && isOff(n.text):
		hint = "write [] for none"
	case n.kind == scalar && want == list:
		hint = "put it in brackets: [" + l.shown(n, path) + "]"
	case n.kind == scalar && want == table && isOn(n.text):
		hint = "write {} for its defaults"
	}
	l.fail(n, path, "is "+n.kind.String()+", needs "+want.String(), hint)
}

// shown is a scalar as a message may quote it.
func (l *loading) shown(n *node, path string) string {
	if n.secret || secretPath(path) {
		return "…"
	}
	text := withoutUser(n.text, path)
	if len(text) > 60 {
		text = strings.ToValidUTF8(text[:57], "") + "…"
	}
	return text
}

// quoted begins a sentence about a scalar.
func (l *loading) quoted(n *node, path string) string {
	if n.secret || secretPath(path) {
		return "the value"
	}
	return strconv.Quote(l.shown(n, path))
}

func (l *loading) decodeScalar(n *node, v reflect.Value, path string, o owner) {
	if n.secret {
		l.hidden[path] = true
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if err := u.UnmarshalText([]byte(n.text)); err != nil {
			words := strings.TrimPrefix(err.Error(), path[strings.LastIndexByte(path, '.')+1:]+": ")
			if n.secret || secretPath(path) {
				words = "the value cannot be read"
			}
			l.fail(n, path, words, "")
		}
		return
	}
	switch {
	case v.Kind() == reflect.String:
		v.SetString(n.text)
	case v.Kind() == reflect.Bool:
		l.decodeBool(n, v, path)
	case isOff(n.text), v.Type() == durationType && n.text == "-1":
		if !o.allows(-1) {
			l.fail(n, path, "cannot be off", o.orDefault())
			return
		}
		setNumber(v, -1)
	case v.Type() == durationType:
		l.decodeDuration(n, v, path)
		l.checkZero(n, v, path, o)
	case v.CanInt():
		l.decodeInt(n, v, path)
		l.checkZero(n, v, path, o)
	case v.CanFloat():
		l.decodeFloat(n, v, path)
		l.checkZero(n, v, path, o)
	default:
		panic("config: no way to write a " + v.Type().String() + " at " + path)
	}
}

func (l *loading) decodeBool(n *node, v reflect.Value, path string) {
	switch {
	case isOn(n.text):
		v.SetBool(true)
	case isOff(n.text), strings.EqualFold(n.text, "no"):
		v.SetBool(false)
	default:
		l.fail(n, path, l.quoted(n, path)+" is neither true nor false", "")
	}
}

func (l *loading) decodeDuration(n *node, v reflect.Value, path string) {
	if d, err := time.ParseDuration(n.text); err == nil {
		v.SetInt(int64(d))
		return
	}
	words, hint := l.quoted(n, path)+" is no duration", "write it like 250ms, 1.5s or 2m"
	number, bare := parseFloat(n.text)
	days, inDays := parseFloat(strings.TrimSuffix(n.text, "d"))
	switch {
	case n.secret:
	case bare && number > 0:
		words, hint = n.text+" has no unit", "write "+n.text+"s"
	case inDays && days > 0 && days < 10_000:
		hint = "write " + strconv.FormatFloat(24*days, 'f', -1, 64) + "h"
	}
	l.fail(n, path, words, hint)
}

func parseFloat(text string) (float64, bool) {
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
}

func (l *loading) decodeInt(n *node, v reflect.Value, path string) {
	i, err := parseInt(n.text, v.Kind() == reflect.Int64)
	switch {
	case errors.Is(err, strconv.ErrRange) || v.OverflowInt(i):
		l.fail(n, path, l.quoted(n, path)+" is too large", "")
	case err != nil:
		l.fail(n, path, l.quoted(n, path)+" is no whole number", "")
	default:
		v.SetInt(i)
	}
}

var byteUnits = []struct {
	name  string
	bytes int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}}

// parseInt reads a whole number. Sizes, which are the int64 of our
// configurations, may have a unit: 64MiB.
func parseInt(text string, size bool) (int64, error) {
	unit := int64(1)
	if size {
		for _, u := range byteUnits {
			if number, ok := strings.CutSuffix(text, u.name); ok {
				text, unit = strings.TrimSpace(number), u.bytes
				break
			}
		}
	}
	i, err := strconv.ParseInt(text, 10, 64)
	if err == nil && (i > math.MaxInt64/unit || i < math.MinInt64/unit) {
		err = strconv.ErrRange
	}
	return i * unit, err
}

func (l *loading) decodeFloat(n *node, v reflect.Value, path string) {
	text, percent := strings.CutSuffix(n.text, "%")
	if text = strings.TrimSpace(text); percent {
		text += "e-2" // and no division, after which 99.9% would be more than 0.999
	}
	f, ok := parseFloat(text)
	if !ok {
		l.fail(n, path, l.quoted(n, path)+" is no number", "write it like 0.5 or 50%")
		return
	}
	v.SetFloat(f)
}

// checkZero reports a zero that was written where zero means the default: who
// writes failure_threshold: 0 wants something, and it is not 5.
func (l *loading) checkZero(n *node, v reflect.Value, path string, o owner) {
	if n.broken || !v.IsZero() || !o.zeroIsDefault() {
		return
	}
	hint := o.orDefault()
	if o.allows(-1) {
		hint += ", or write off"
	}
	l.fail(n, path, "0 means nothing here", hint)
}
