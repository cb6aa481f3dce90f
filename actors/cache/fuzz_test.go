package cache

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/check"
)

// forbids is a naive look at a Cache-Control: what no reading of it may overlook.
// In quotes a word is no directive, so that it looks at nothing with quotes.
func forbids(control string) bool {
	if strings.ContainsAny(control, `"\`) {
		return false
	}
	for d := range strings.SplitSeq(strings.ToLower(control), ",") {
		name, _, _ := strings.Cut(strings.Trim(d, " \t"), "=")
		if slices.Contains([]string{"no-store", "private", "no-cache"}, name) {
			return true
		}
	}
	return false
}

func FuzzHeaders(f *testing.F) {
	for _, control := range []string{"", "max-age=10", "no-store", "private", "PRIVATE=a,max-age=1", "no-cache=\"a\"", "s-maxage=1, max-age=99999999999999999999", "stale-while-revalidate=5,stale-if-error", "=", ",,", "max-age=\"1", "a=b=c", "no-store=", "x=\"\\", "must-revalidate"} {
		f.Add(control, "", "", "", "", 200)
		f.Add(control, date(time.Hour), date(0), "5", "Accept, *", 404)
	}
	f.Add("", "0", "never", "-1", ",", 301)
	f.Add("", "Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 0001 00:00:00 GMT", "99999999999999999999", "A,a, A ,b c", 500)
	h := newHouse(nil, Config{StaleIfError: time.Hour, StaleWhileRevalidate: time.Minute})
	h.now = 1000 * s
	f.Fuzz(func(t *testing.T, control, expires, dated, age, vary string, status int) {
		h.t, h.status = t, 200
		h.ask(none, "DELETE", "/")
		h.status = status
		h.header = messages.Header{}
		for name, v := range map[string]string{"Cache-Control": control, "expires": expires, "Date": dated, "Age": age, "Vary": vary} {
			if v != "" {
				h.header.Set(name, v)
			}
		}
		h.get(miss)
		h.wait()
		e, _ := h.state.Load().find(&question{path: "/"})
		if e != nil {
			check.Holds(t, !forbids(control), "kept")
			check.Holds(t, !strings.Contains(vary, "*") || !slices.ContainsFunc(strings.Split(vary, ","), func(v string) bool { return strings.Trim(v, " \t") == "*" }), "kept")
			check.Holds(t, e.born <= h.now && e.fresh <= h.now+durationMax, e.terms)
			check.Holds(t, e.refresh >= e.fresh && e.refresh <= e.fresh+durationMax && e.onError >= e.fresh && e.onError <= e.fresh+durationMax, e.terms)
			check.Holds(t, max(e.refresh, e.onError) > h.now, e.terms)
			r := e.response(h.now, false)
			check.Equal(t, 1, len(r.Header["Age"]))
		}

		// The same words in a request.
		q, ok := ask(&messages.Request{Header: headers("cache-control", control, "Pragma", expires)}, "GET", false)
		check.Holds(t, !ok || !strings.EqualFold(control, "no-store"))
		check.Holds(t, q.minFresh >= 0 && q.maxAge >= off)
	})
}
