package transport

import (
	"strings"
	"unicode"
)

// wordsMax is how many bytes of an error's own text are shown at most.
const wordsMax = 120

// Words says in a few words what err is, for events, statistics and reports. For
// what [Classify] knows these are fixed words ("connection refused"). Of any
// other error it is the text on one line, cut to 120 bytes, where "…" stands for
// each word of the kind that carries secrets: with a URL, an "@", a "?" or a "="
// in it. Nil has none.
func Words(err error) string {
	if err == nil {
		return ""
	}
	if v := judge(err); v.words != "" {
		return v.words
	}
	return Safe(err.Error())
}

// Safe is text as Words shows it: on one line, cut, and without what may be secret.
func Safe(text string) string {
	words := strings.Fields(text)
	for i, w := range words {
		if strings.ContainsAny(w, "@=?") || strings.Contains(w, "://") {
			words[i] = "…"
		}
	}
	text = strings.Map(printable, strings.ToValidUTF8(strings.Join(words, " "), "…"))
	if len(text) <= wordsMax {
		return text
	}
	cut := wordsMax - len("…")
	for cut > 0 && text[cut]&0xC0 == 0x80 { // not within a rune
		cut--
	}
	return text[:cut] + "…"
}

// printable drops what could steer a terminal.
func printable(r rune) rune {
	if unicode.IsControl(r) {
		return -1
	}
	return r
}
