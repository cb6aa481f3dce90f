package config

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Mistake is one thing that is wrong, or risky, in what was configured.
type Mistake struct {
	// File is the file as it was given, or the name of an environment variable.
	File string
	// Line and Column count from 1. Zero: the file, or the variable, as a whole.
	Line, Column int
	// Key is the dotted path, as services.orders.endpoints[0].url. It is empty
	// where no key is at fault.
	Key string
	// Words say what is wrong, Hint what to do about it; the hint may be empty.
	// Neither holds a secret.
	Words string
	Hint  string
}

// String reads like
// "orders.yaml:12:7: services.orders.timeout: 30 has no unit, write 30s".
func (m Mistake) String() string {
	var b strings.Builder
	b.WriteString(m.File)
	if m.Line > 0 {
		b.WriteString(":" + strconv.Itoa(m.Line) + ":" + strconv.Itoa(m.Column))
	}
	if m.Key != "" {
		b.WriteString(": " + m.Key)
	}
	b.WriteString(": " + m.Words)
	if m.Hint != "" {
		b.WriteString(", " + m.Hint)
	}
	return b.String()
}

// say makes the mistake at a place. Names and values come from anywhere, and must
// neither break the line nor reach a terminal's controls.
func (p place) say(key, words, hint string) Mistake {
	plain := func(s string) string {
		return strings.Map(func(r rune) rune {
			if unicode.IsPrint(r) {
				return r
			}
			return '·'
		}, s)
	}
	return Mistake{p.file, p.line, p.column, plain(key), plain(words), plain(hint)}
}

// Mistakes are all that is wrong, by file and line. It is the error that [Load]
// returns, and never empty there.
type Mistakes []Mistake

// Error has one line for each mistake.
func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i, mistake := range m {
		lines[i] = mistake.String()
	}
	return strings.Join(lines, "\n")
}

// tidy sorts by file and line, and keeps one of those that say the same of the
// same place: what stands under defaults is found again in every service.
func (m Mistakes) tidy() Mistakes {
	type spot struct {
		place
		words string
	}
	seen := make(map[spot]bool, len(m))
	m = slices.DeleteFunc(m, func(x Mistake) bool {
		s := spot{place{x.File, x.Line, x.Column}, x.Words}
		twice := seen[s]
		seen[s] = true
		return twice
	})
	slices.SortStableFunc(m, func(a, b Mistake) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return m
}
