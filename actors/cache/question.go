package cache

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pquerna/cachecontrol/cacheobject"

	"github.com/understudy-go/understudy/messages"
)

// question is what a request asks of the cache.
type question struct {
	path   string
	head   bool
	header messages.Header

	maxAge       time.Duration // the oldest answer wanted; off: any
	minFresh     time.Duration // how long the answer must stay fresh
	noCache      bool          // nothing that is kept is wanted
	onlyIfCached bool          // nothing else is wanted
}

// ask reads the request, or reports that it is not for the cache.
func ask(m *messages.Request, method string, authorized bool) (q question, ok bool) {
	q = question{path: m.Path, head: method == "HEAD", header: m.Header, maxAge: off}
	if q.path == "" {
		q.path = "/"
	}
	if method != "GET" && !q.head || len(m.Body) > 0 || q.path[0] != '/' {
		return q, false
	}
	control, pragma := false, false
	for name := range m.Header {
		switch len(name) { // spares most names the comparison
		case len("Cookie"), len("Authorization"):
			switch {
			case is(name, "Cookie"), is(name, "Authorization"):
				if !authorized {
					return q, false
				}
			case is(name, "Pragma"):
				pragma = true
			case is(name, "Cache-Control"):
				control = true
			}
		case len("Range"):
			if is(name, "Range") {
				return q, false
			}
		}
		if len(name) > 3 && is(name[:3], "If-") {
			return q, false
		}
	}
	switch {
	case control:
		ok = q.control(strings.Join(valuesOf(m.Header, "Cache-Control"), ","))
	case pragma:
		// RFC 7234, section 5.4: "When the Cache-Control header field is not present in a
		// request, caches MUST consider the no-cache request pragma-directive as having
		// the same effect as if Cache-Control: no-cache were present". Deprecated since.
		q.noCache = strings.Contains(strings.ToLower(strings.Join(valuesOf(m.Header, "Pragma"), ",")), "no-cache")
		ok = true
	default:
		ok = true
	}
	return q, ok
}

// control takes in a Cache-Control, or reports that the request passes by.
// max-stale and stale-if-error are let be: a client may have less than it would
// take.
func (q *question) control(value string) bool {
	d, err := cacheobject.ParseRequestCacheControl(value)
	if err != nil || d.NoStore {
		return false
	}
	if d.MaxAge >= 0 {
		q.maxAge = seconds(d.MaxAge)
	}
	q.minFresh = max(seconds(d.MinFresh), 0)
	q.noCache, q.onlyIfCached = d.NoCache, d.OnlyIfCached
	return true
}

// reload reports that only an answer made from now on will do.
func (q *question) reload() bool { return q.noCache || q.maxAge == 0 }

// takesStale reports that the request sets no terms of its own. RFC 9111, section
// 5.2.1.1: "Unless the max-stale request directive is also present, the client does
// not wish to receive a stale response."
func (q *question) takesStale() bool { return !q.noCache && q.maxAge < 0 && q.minFresh == 0 }

// is compares names of headers.
func is(name, want string) bool { return len(name) == len(want) && strings.EqualFold(name, want) }

// valuesOf returns the values of a header, whatever the case of its name.
func valuesOf(h messages.Header, name string) []string {
	var values []string
	names := 0
	for n, v := range h {
		if is(n, name) {
			values = v
			names++
		}
	}
	if names < 2 {
		return values
	}
	values = nil // written in several ways: all of them, always in one order
	for _, n := range slices.Sorted(maps.Keys(h)) {
		if is(n, name) {
			values = append(values, h[n]...)
		}
	}
	return values
}

// appendSelected adds to a key what the header has in names. No two different
// selections give the same bytes.
func appendSelected(key []byte, h messages.Header, names []string) []byte {
	for _, name := range names {
		values := valuesOf(h, name)
		key = binary.AppendUvarint(key, uint64(len(values)))
		for _, v := range values {
			key = binary.AppendUvarint(key, uint64(len(v)))
			key = append(key, v...)
		}
	}
	return key
}

// selectsSame reports whether two requests are the same to an answer that varies
// by names.
func selectsSame(a, b messages.Header, names []string) bool {
	for _, name := range names {
		if !slices.Equal(valuesOf(a, name), valuesOf(b, name)) {
			return false
		}
	}
	return true
}
