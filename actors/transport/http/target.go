package http

import (
	"net/url"
	"strings"
)

// target is where a request for u goes on base. See the package comment for the
// rules.
func target(base, u *url.URL) *url.URL {
	t := *base
	t.RawQuery, t.ForceQuery = u.RawQuery, u.ForceQuery
	switch {
	case u.Path == "": // the base path as it stands
	case u.Path == "*":
		t.Path, t.RawPath = u.Path, ""
	default:
		// Joined as they are encoded: a slash that is written %2F is none.
		t.RawPath = strings.TrimSuffix(base.EscapedPath(), "/") + "/" + strings.TrimPrefix(u.EscapedPath(), "/")
		t.Path, _ = url.PathUnescape(t.RawPath) // both halves are valid by EscapedPath's contract
	}
	return &t
}
