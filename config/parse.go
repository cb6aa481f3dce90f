package config

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// Bounds on what a file may do to the process that reads it.
const (
	sizeMax   = 32 << 20
	depthMax  = 64
	copiesMax = 100_000 // values that come from YAML aliases, all together
)

// source is the text of one file, or why there is none.
type source struct {
	name     string
	text     []byte
	err      error
	modified time.Time
}

// loading is the work on one configuration: what it may draw on, and what was
// found wrong so far.
type loading struct {
	env      map[string]string
	mistakes Mistakes
	warnings Mistakes
	secrets  []string         // texts that must not be shown
	renamed  map[place]string // keys written by another name
	hidden   map[string]bool  // keys whose values came from variables
	copied   int              // nodes made from aliases
}

func (l *loading) bad(at place, path, words, hint string) {
	if written := l.renamed[at]; written != "" {
		words += " (written as " + written + ")"
	}
	l.mistakes = append(l.mistakes, at.say(path, words, hint))
}

// parse reads one YAML document into a table. It returns nil where there is
// nothing, or nothing usable.
func (l *loading) parse(src source, path string) *node {
	if len(src.text) > sizeMax {
		l.bad(place{file: src.name}, path, "is larger than "+itoa(sizeMax>>20)+" MiB", "")
		return nil
	}
	loader, err := yaml.NewLoader(bytes.NewReader(src.text),
		yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(depthMax))))
	if err != nil {
		l.syntax(src, path, err)
		return nil
	}
	var doc, second yaml.Node
	switch err := loader.Load(&doc); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		l.syntax(src, path, err)
		return nil
	}
	switch err := loader.Load(&second); {
	case err == nil:
		l.bad(place{src.name, second.Line, second.Column}, path, "a second document begins here", "give one file for each with -c, they overlay")
	case !errors.Is(err, io.EOF):
		l.syntax(src, path, err)
	}
	if len(doc.Content) == 0 {
		return nil
	}
	r := reader{loading: l, file: src.name, open: map[*yaml.Node]bool{}}
	if n := r.read(doc.Content[0], r.place(doc.Content[0]), path); !n.null {
		return n
	}
	return nil
}

// syntax reports what the YAML parser stumbled on.
func (l *loading) syntax(src source, path string, err error) {
	var e *yaml.LoadError
	if !errors.As(err, &e) {
		l.bad(place{file: src.name}, path, "not YAML", "")
		return
	}
	words, hint := "not YAML: "+e.Message, ""
	if e.ContextMsg != "" {
		words += " " + e.ContextMsg
	}
	switch {
	case strings.Contains(e.Message, "unknown anchor"):
		// The message quotes what may be a password that begins with an asterisk.
		words, hint = "not YAML: an alias to something that is not there", "put a value that begins with * in quotes"
	case strings.Contains(e.Message, "cannot start any token"):
		hint = "indent with spaces, and put a value that begins with a special character in quotes"
	case strings.Contains(e.Message, "did not find expected ','") && bytes.Contains(src.text, []byte("${")):
		hint = "inside {…} and […] put ${VAR} in quotes"
	case strings.Contains(e.Message, "mapping values are not allowed"):
		hint = `check the indentation, and put a value that has ": " in it in quotes`
	}
	l.bad(place{src.name, e.Mark.Line, e.Mark.Column}, path, words, hint)
}

// reader turns the nodes of one YAML document into ours.
type reader struct {
	*loading
	file string
	open map[*yaml.Node]bool // aliases that are being followed
}

func (r *reader) place(n *yaml.Node) place { return place{r.file, n.Line, n.Column} }

func (r *reader) read(y *yaml.Node, at place, path string) *node {
	n := &node{at: at}
	if len(r.open) > 0 {
		if r.copied++; r.copied > copiesMax {
			n.broken = true
			if r.copied == copiesMax+1 {
				r.bad(n.at, path, "YAML aliases multiply this beyond "+itoa(copiesMax)+" values", "")
			}
			return n
		}
	}
	if tag := y.Tag; y.Style&yaml.TaggedStyle != 0 && !strings.HasPrefix(tag, "!!") {
		r.bad(n.at, path, "a tag has no meaning here", "put a value that begins with ! in quotes")
		n.broken = true
		return n
	}
	switch y.Kind {
	case yaml.AliasNode:
		return r.follow(y, at, path)
	case yaml.MappingNode:
		n.kind = table
		r.readTable(n, y, path)
	case yaml.SequenceNode:
		n.kind = list
		for i, child := range y.Content {
			n.items = append(n.items, r.read(child, r.place(child), item(path, i)))
		}
	default:
		r.readScalar(n, y, path)
	}
	return n
}

func (r *reader) follow(y *yaml.Node, at place, path string) *node {
	if y.Alias == nil || r.open[y.Alias] {
		r.bad(at, path, "an alias that contains itself", "")
		return &node{at: at, broken: true}
	}
	r.open[y.Alias] = true
	defer delete(r.open, y.Alias)
	return r.read(y.Alias, at, path)
}

func (r *reader) readTable(n *node, y *yaml.Node, path string) {
	var merges []*yaml.Node
	seen := make(map[string]*node, len(y.Content)/2)
	for i := 0; i+1 < len(y.Content); i += 2 {
		k, v := y.Content[i], y.Content[i+1]
		if k.Kind == yaml.AliasNode && k.Alias != nil {
			k = k.Alias
		}
		at := r.place(y.Content[i])
		switch first := seen[k.Value]; {
		case k.Kind != yaml.ScalarNode:
			r.bad(at, path, "a key must be a name", "")
		case k.ShortTag() == "!!merge":
			merges = append(merges, v)
		case first != nil:
			r.twice(at, join(path, k.Value), first.at)
		default:
			seen[k.Value] = r.read(v, at, join(path, k.Value))
			n.entries = append(n.entries, &entry{k.Value, seen[k.Value]})
		}
	}
	for _, m := range merges {
		r.mergeKey(n, seen, m, path)
	}
}

func (l *loading) twice(at place, path string, first place) {
	by := ""
	if written := l.renamed[first]; written != "" {
		by = written + " "
	}
	where := "in line " + itoa(first.line)
	if first.line == at.line {
		where = "in the same line"
	}
	l.bad(at, path, "given twice, the first is "+by+where, "")
}

// mergeKey carries out "<<": what it brings yields to what n has.
func (r *reader) mergeKey(n *node, has map[string]*node, y *yaml.Node, path string) {
	from := r.read(y, r.place(y), path)
	tables := []*node{from}
	if from.kind == list {
		tables = from.items
	}
	for _, t := range tables {
		if t.kind != table && !t.broken {
			r.bad(r.place(y), path, "<< takes a mapping, or a list of them", "")
			continue
		}
		for _, e := range t.entries {
			if has[e.key] == nil {
				has[e.key] = e.value
				n.entries = append(n.entries, e)
			}
		}
	}
}

func (r *reader) readScalar(n *node, y *yaml.Node, path string) {
	n.text = y.Value
	if strings.Contains(n.text, "${") {
		r.expand(n, path)
		n.null = n.text == "" // what a variable left empty was not given
		return
	}
	quotes := yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle | yaml.TaggedStyle
	n.null = y.Style&quotes == 0 && y.ShortTag() == "!!null"
}
