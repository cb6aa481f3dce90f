package config

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy/actors"
)

// docs/configuration.md lists every key. What it says of them is tried out.

// row is a key as the document has it.
type row struct{ section, key, preset, may string }

var (
	heading = regexp.MustCompile("(?m)^##+ `?([^`\n]+)`?$")
	cells   = regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\| (.*?) \\| (.*?) \\| .*\\|$")
	span    = regexp.MustCompile("^`([^`]+)`")
	least   = regexp.MustCompile("^(?:from )?`([^`]+)`")
	most    = regexp.MustCompile(" to `([^`]+)`")
)

// document is the text of each section, by its title.
func document(t *testing.T) map[string]string {
	text := readFile(t, "../docs/configuration.md")
	sections := map[string]string{}
	titles := heading.FindAllStringSubmatchIndex(text, -1)
	for i, at := range titles {
		end := len(text)
		if i+1 < len(titles) {
			end = titles[i+1][0]
		}
		sections[text[at[2]:at[3]]] = text[at[1]:end]
	}
	return sections
}

func rows(t *testing.T) map[string][]row {
	all := map[string][]row{}
	for title, text := range document(t) {
		if !strings.Contains(text, "| key | default | may be |") {
			continue
		}
		table, _, _ := strings.Cut(text[strings.Index(text, "| key |"):], "\n\n")
		for _, c := range cells.FindAllStringSubmatch(table, -1) {
			all[title] = append(all[title], row{title, c[1], c[2], c[3]})
		}
	}
	return all
}

// blocks are the structs of the file, by the title of their section.
func blocks() map[string]reflect.Type {
	all := map[string]reflect.Type{"The file": reflect.TypeFor[File](), "A service": serviceType}
	var walk func(reflect.Type, string)
	walk = func(t reflect.Type, path string) {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct || t == serviceType && path != "" || isText(t) || path == "endpoints.health" || t.NumField() == 0 {
			return
		}
		if path != "" {
			all[path] = t
		}
		for key, f := range fieldsOf(t) {
			walk(f.typ, join(path, key))
		}
	}
	walk(reflect.TypeFor[File](), "")
	walk(serviceType, "")
	return all
}

func TestEveryKeyIsDocumented(t *testing.T) {
	documented := rows(t)
	for title, typ := range blocks() {
		var keys []string
		for _, r := range documented[title] {
			keys = append(keys, r.key)
		}
		if title == "strategy" {
		}
		require.ElementsMatch(t, slices.Collect(maps.Keys(fieldsOf(typ))), keys, title)
	}
	require.Len(t, documented, len(blocks()))
}

// written is a file with this one key, what stands beside it being besides.
func (r row) written(value string) string {
	besides := map[string]string{
		"nats.url": "user: u", "breaker.slow_call_rate": "slow_call: 1s", "error_rules.status": "outcome: failure", "error_rules.outcome": "status: 404",
	}[r.section+"."+r.key]
	way := strings.Split("services.orders."+r.section, ".")
	switch r.section {
	case "The file":
		way = nil
	case "A service":
		way = way[:2]
	case "node", "nats", "nats.tls", "nats.embedded", "admin":
		way = way[2:]
	case "endpoints":
		if r.key != "id" {
			besides = "id: a"
		}
	}
	text := "{" + besides
	if value != "" {
		text += ", " + r.key + ": " + value
	}
	text = strings.Replace(text+"}", "{, ", "{", 1)
	for _, key := range slices.Backward(way) {
		if key == "endpoints" || key == "error_rules" {
			text = "[" + text + "]"
		}
		text = "{" + key + ": " + text + "}"
	}
	return text
}

func (r row) typ() reflect.Type { return fieldsOf(blocks()[r.section])[r.key].typ }

func (r row) number() bool {
	switch t := r.typ(); t.Kind() {
	case reflect.Int, reflect.Int64, reflect.Float64:
		return !isText(t)
	}
	return false
}

// Who writes a default gets what he gets without it; and where the document names no
// default, there is none.
func TestDocumentedDefaults(t *testing.T) {
	count := 0
	for _, section := range rows(t) {
		for _, r := range section {
			name := join(r.section, r.key)
			if preset := span.FindStringSubmatch(r.preset); preset != nil {
				count++
				require.Equal(t, mustLoad(t, r.written("")).Redacted(), mustLoad(t, r.written(preset[1])).Redacted(), "%s: %s", name, preset[1])
				continue
			}
			typ := blocks()[r.section]
			if !hasDefaults(typ) || r.typ().Kind() == reflect.Struct {
				continue
			}
			v := withDefaults(reflect.New(typ).Elem()).FieldByIndex(fieldsOf(typ)[r.key].index)
			require.True(t, v.IsZero() || v.Kind() == reflect.Map && v.Len() == 0, "%s has the default %v", name, v)
		}
	}
	require.Greater(t, count, 80)
}

// "off" stands where off can be, and the ends of a range are its ends.
func TestDocumentedRanges(t *testing.T) {
	count := 0
	for _, section := range rows(t) {
		for _, r := range section {
			if !r.number() {
				continue
			}
			name := join(r.section, r.key)
			_, err := loadText(t, r.written("off"))
			require.Equal(t, strings.HasSuffix(r.may, ", off"), err == nil, "%s: off: %v", name, err)
			for bound, step := range map[*regexp.Regexp]int{least: -1, most: 1} {
				m := bound.FindStringSubmatch(r.may)
				if m == nil {
					continue
				}
				count++
				_, err := loadText(t, r.written(m[1]))
				require.NoError(t, err, "%s: %s", name, m[1])
				_, err = loadText(t, r.written(beyond(t, m[1], step)))
				require.Error(t, err, "%s: %s", name, beyond(t, m[1], step))
			}
		}
	}
	require.Greater(t, count, 60)
}

// beyond is the next value, down or up.
func beyond(t *testing.T, text string, step int) string {
	if d, err := time.ParseDuration(text); err == nil {
		return (d + time.Duration(step)).String()
	}
	if number, ok := strings.CutSuffix(text, "%"); ok {
		f, err := strconv.ParseFloat(number, 64)
		require.NoError(t, err)
		return fmt.Sprintf("%.2f%%", f+0.01*float64(step))
	}
	i, err := parseInt(text, true)
	require.NoError(t, err)
	return strconv.FormatInt(i+int64(step), 10)
}

// The other ways to write something are what the document says, and are all there.
func TestDocumentedShorthands(t *testing.T) {
	text := document(t)["How a file is read"]
	count := 0
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+): ([^`]+)` \\| `([a-z_]+: [^`]+)` \\|$").FindAllStringSubmatch(text, -1) {
		one, block := m[1]+": "+m[2], m[3]
		if m[1] == "max_retries" {
			one, block = "retry: {"+one+"}", "retry: {"+block+"}"
		}
		if m[1] != "admin" {
			one, block = "services: {orders: {"+one+"}}", "services: {orders: {"+block+"}}"
		}
		count++
		require.Equal(t, mustLoad(t, block).Redacted(), mustLoad(t, one).Redacted(), one)
	}
	require.Equal(t, 9, count)
	for _, names := range aliases {
		for name, a := range names {
			require.Regexp(t, "`"+name+"[`:].*`"+a.key, text)
		}
	}
	for typ, s := range shorthands {
		if s.key != "" {
			require.Contains(t, text, "{"+s.key+": ", typ)
		}
	}
}

func TestEveryStrategyIsDocumented(t *testing.T) {
	m := mistake(t, "services: {orders: {strategy: xyzzy}}")
	_, names, _ := strings.Cut(m.Words, "known are ")
	all := document(t)
	for name := range strings.SplitSeq(names, ", ") {
		require.Contains(t, all["strategy"]+all["How a file is read"], "`"+name+"`")
	}
}

// Links within the document lead somewhere.
func TestLinksOfTheDocument(t *testing.T) {
	text := readFile(t, "../docs/configuration.md")
	anchors := map[string]bool{}
	for title := range document(t) {
		anchors[strings.ReplaceAll(strings.ToLower(strings.ReplaceAll(title, ".", "")), " ", "-")] = true
	}
	links := regexp.MustCompile(`\]\(#([^)]+)\)`).FindAllStringSubmatch(text, -1)
	require.Greater(t, len(links), 20)
	for _, m := range links {
		require.True(t, anchors[m[1]], m[1])
	}
	require.Equal(t, "10,000", comma(actors.ServicesMax), "as the document says")
	require.Equal(t, "100,000", comma(actors.EndpointsMax))
}

func comma(n int) string { return strconv.Itoa(n/1000) + "," + fmt.Sprintf("%03d", n%1000) }
