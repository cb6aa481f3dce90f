package nearest

import "strings"

// wordMax bounds the work: nobody means a known name by a longer word.
const wordMax = 64

// Nearest returns the known name that is nearest to word, and whether one is near
// enough to be named. Case does not count, "-" and " " are "_". Near is a distance
// of at most a quarter of the word's length, and at least one, where inserting,
// leaving out or changing a letter and swapping two neighbours cost one each
// (optimal string alignment); failing that, a name that begins with a word of three
// letters or more. Of names equally near the first wins.
func Nearest(word string, known []string) (string, bool) {
	if len(word) > wordMax {
		return "", false
	}
	w := plain(word)
	best, least := "", max(1, len(w)/4)+1
	for _, k := range known {
		if d := distance(w, plain(k)); d < least && d < len(w) {
			best, least = k, d
		}
	}
	if best != "" {
		return best, true
	}
	for _, k := range known {
		if len(w) >= 3 && strings.HasPrefix(plain(k), w) {
			return k, true
		}
	}
	return "", false
}

var separators = strings.NewReplacer("-", "_", " ", "_")

func plain(s string) string { return separators.Replace(strings.ToLower(s)) }

// distance is the optimal string alignment distance of a and b, in bytes: rows of
// the usual table for a's prefixes, of which the last three are kept.
func distance(a, b string) int {
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, above, row = above, row, before
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := above[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(change, above[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
