package config

import "strings"

// expand puts the environment into a scalar: ${VAR}, ${VAR:-default} where VAR is
// unset or empty, and $${ for the two characters themselves. A default may hold
// variables again. What comes in is text and cannot become YAML.
func (l *loading) expand(n *node, path string) {
	text := n.text
	var out strings.Builder
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			break
		}
		if i > 0 && text[i-1] == '$' {
			out.WriteString(text[:i-1] + "${")
			text = text[i+2:]
			continue
		}
		out.WriteString(text[:i])
		end := closing(text[i:])
		if end < 0 {
			l.fail(n, path, "${ is not closed", "write $${ for these two characters")
			return
		}
		rest := text[i+end+1:]
		name, fallback, defaulted := strings.Cut(text[i+2:i+end], ":-")
		value, set := l.env[name]
		switch {
		case !variable(name):
			l.fail(n, path, "what stands between ${ and } is not the name of a variable", "write ${NAME}, ${NAME:-default}, or $${ for these two characters")
			return
		case value != "":
			n.secret = true
			l.secrets = append(l.secrets, value)
			out.WriteString(value)
		case defaulted:
			text = fallback + rest
			continue // the default may hold variables too
		case !set:
			l.fail(n, path, "the environment variable "+name+" is not set", "set it, or write ${"+name+":-default}")
			return
		}
		text = rest
	}
	n.text = out.String() + text
}

// fail reports a value that cannot be used at all.
func (l *loading) fail(n *node, path, words, hint string) {
	n.broken = true
	l.bad(n.at, path, words, hint)
}

// closing returns the index of the brace that closes the one text begins with,
// or -1.
func closing(text string) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch {
		case strings.HasPrefix(text[i:], "${"):
			depth++
			i++
		case text[i] == '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

func variable(name string) bool {
	for i := 0; i < len(name); i++ {
		c := name[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}
