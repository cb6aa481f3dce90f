package config

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const redacted = "[redacted]"

// secretPath reports whether the value of a key is never shown: what is named
// like a credential, and whatever stands in headers.
func secretPath(path string) bool {
	if rest, ok := strings.CutPrefix(path, "services."); ok {
		_, path, _ = strings.Cut(rest, ".") // a service may be named headers or token
	}
	path = strings.ToLower(path)
	if strings.HasPrefix(path, "headers.") || strings.Contains(path, ".headers.") {
		return true
	}
	last := path[strings.LastIndexByte(path, '.')+1:]
	return slices.ContainsFunc(secretWords, func(word string) bool { return strings.Contains(last, word) })
}

var secretWords = []string{"token", "password", "secret", "creds", "nkey", "authorization", "apikey", "api_key"}

// user matches what stands before the host of a URL. It takes the last "@", for a
// password that should have been escaped and was not.
var user = regexp.MustCompile(`(://)\S*@`)

// withoutUser hides the user of every URL in a text. What is an address by its
// key may lack the scheme, and may be a list.
func withoutUser(text, path string) string {
	if strings.HasSuffix(path, "url") {
		if i := strings.LastIndexByte(text, '@'); i >= 0 {
			scheme, _, _ := strings.Cut(text[:i], "://")
			if len(scheme) == i {
				return redacted + text[i:]
			}
			return scheme + "://" + redacted + text[i:]
		}
		return text
	}
	return user.ReplaceAllString(text, "${1}"+redacted+"@")
}

// collect remembers every secret text below n.
func (l *loading) collect(n *node, path string) {
	if n == nil {
		return
	}
	for _, e := range n.entries {
		l.collect(e.value, join(path, e.key))
	}
	for i, value := range n.items {
		l.collect(value, item(path, i))
	}
	if n.kind != scalar {
		return
	}
	if n.secret || secretPath(path) {
		l.secrets = append(l.secrets, n.text)
		l.secrets = append(l.secrets, strings.Fields(n.text)...) // Bearer and what follows
	}
	if i := strings.LastIndexByte(n.text, '@'); i >= 0 && withoutUser(n.text, path) != n.text {
		_, users, found := strings.Cut(n.text[:i], "://")
		if !found {
			users = n.text[:i]
		}
		pieces := strings.FieldsFunc(users, func(r rune) bool { return strings.ContainsRune(" :/@,", r) })
		if len(pieces) > 1 {
			pieces = pieces[1:] // the name, which may be any word
		}
		l.secrets = append(append(l.secrets, users), pieces...)
	}
}

// partMin is the length from which a part of a secret is hidden too. Shorter ones
// would take common words along.
const partMin = 4

// scrub takes the secrets out of all words. Ours hold none; those of a Validate
// may quote what they judge.
func (l *loading) scrub(all Mistakes) Mistakes {
	secrets := slices.DeleteFunc(l.secrets, func(s string) bool { return len(s) < partMin })
	slices.SortFunc(secrets, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	var pairs []string
	for _, s := range slices.Compact(secrets) {
		pairs = append(pairs, s, redacted, inQuotes(s), redacted)
	}
	mask := strings.NewReplacer(pairs...) // the longest first
	for i := range all {
		all[i].Words, all[i].Hint = mask.Replace(all[i].Words), mask.Replace(all[i].Hint)
	}
	return all
}

// inQuotes is s as %q has it between the quotes.
func inQuotes(s string) string { return strings.Trim(strconv.Quote(s), `"`) }

var token = regexp.MustCompile("[^\\s\"'`(),;]+")

// withoutParts hides every word that is a part of the secret that the words are
// about, as the scheme of an address may be.
func withoutParts(words, secret string) string {
	if len(secret) >= partMin {
		words = strings.NewReplacer(secret, redacted, inQuotes(secret), redacted).Replace(words)
	}
	return token.ReplaceAllStringFunc(words, func(word string) string {
		bare := strings.Trim(word, ".:")
		if bare != secret && (len(bare) < partMin || !strings.Contains(secret, bare)) {
			return word
		}
		return strings.Replace(word, bare, redacted, 1)
	})
}
