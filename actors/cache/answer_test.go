package cache

import (
	"strings"
	"testing"
	"time"

	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/check"
)

const s = time.Second

// freshFor is how long the service's next answer is served without it being asked
// again, 1000 s at most; -1: it was not kept at all.
func freshFor(t *testing.T, cfg Config, status int, pairs []string) time.Duration {
	h := newHouse(t, cfg).says(pairs...)
	h.status = status
	h.get(miss)
	e, _ := h.state.Load().find(&question{path: "/"})
	if e == nil {
		return -1
	}
	if h.now = min(e.fresh, 1000*s); h.now == e.fresh {
		h.now--
		h.get(hit)
		h.now++
		h.get(miss)
	}
	return h.now
}

func TestFreshness(t *testing.T) {
	cc := func(v string, more ...string) []string { return append([]string{"Cache-Control", v}, more...) }
	plain := Config{TTL: 300 * s}
	for _, c := range []struct {
		rule   string // of RFC 9111 where it is a section
		cfg    Config
		status int
		header []string
		want   time.Duration // fresh; -1: not kept
	}{
		{"nothing said: the ttl", plain, 200, nil, 300 * s},
		{"nothing said, no ttl", Config{TTL: off}, 200, nil, -1},

		// 5.2.2.1: "The max-age response directive indicates that the response is to be
		// considered stale after its age is greater than the specified number of seconds."
		{"max-age", plain, 200, cc("max-age=10"), 10 * s},
		{"max-age without ttl", Config{TTL: off}, 200, cc("max-age=10"), 10 * s},
		{"longer than the ttl", plain, 200, cc("max-age=900"), 900 * s},
		{"in any case, with spaces", plain, 200, cc(" Public ,  MAX-AGE=10 "), 10 * s},
		{"quoted, which it should not be", plain, 200, cc(`max-age="10"`), 10 * s},
		{"the header's name in any case", plain, 200, []string{"cache-control", "max-age=10"}, 10 * s},
		{"in two lines", plain, 200, cc("public", "Cache-Control", "max-age=10"), 10 * s},
		{"none at all", plain, 200, cc("max-age=0"), -1},
		{"for ever is a year", plain, 200, cc("max-age=99999999999999999999"), 1000 * s},

		// 5.2.2.10: "the maximum age specified by this directive overrides the maximum age
		// specified by either the max-age directive or the Expires header field."
		{"s-maxage", plain, 200, cc("max-age=10, s-maxage=20"), 20 * s},
		{"s-maxage of none", plain, 200, cc("max-age=10, s-maxage=0"), -1},

		// 5.3: "If a response includes a Cache-Control header field with the max-age
		// directive, a recipient MUST ignore the Expires header field."
		{"Expires", plain, 200, []string{"Expires", date(20 * s), "Date", date(0)}, 20 * s},
		{"Expires without Date", plain, 200, []string{"Expires", date(20 * s)}, 20 * s},
		{"Expires by the service's clock", plain, 200, []string{"Expires", date(3620 * s), "Date", date(3600 * s)}, 20 * s},
		{"max-age before Expires", plain, 200, cc("max-age=10", "Expires", date(20*s)), 10 * s},
		{"Expires in the past", plain, 200, []string{"Expires", date(-s)}, -1},
		{"Expires 0", plain, 200, []string{"Expires", "0"}, -1},
		{"an empty Expires", plain, 200, []string{"Expires", ""}, -1},

		// 4.2.3: "The Age header field value ... the sender's estimate of the time since
		// the response was generated or validated at the origin server."
		{"Age", plain, 200, cc("max-age=10", "Age", "4"), 6 * s},
		{"older than allowed", plain, 200, cc("max-age=10", "Age", "10"), -1},
		{"past all numbers", plain, 200, cc("max-age=10", "Age", "99999999999999999999"), -1},
		{"no number: 5.1, ignored", plain, 200, cc("max-age=10", "Age", "a day"), 10 * s},
		{"apparent_age = max(0, response_time - date_value)", plain, 200, cc("max-age=10", "Date", date(-3*s)), 7 * s},
		{"a Date in the future", plain, 200, cc("max-age=10", "Date", date(time.Hour)), 10 * s},
		{"the larger of the two", plain, 200, cc("max-age=10", "Date", date(-3*s), "Age", "5"), 5 * s},
		{"the ttl counts from now on", plain, 200, []string{"Date", date(-time.Hour), "Age", "3600"}, 300 * s},

		// 4.2.1: "Caches are encouraged to consider responses that have invalid freshness
		// information (e.g., a max-age directive with non-integer content) to be stale."
		{"no number", plain, 200, cc("max-age=ten"), -1},
		{"half a number", plain, 200, cc("max-age=10.5"), -1},
		{"negative", plain, 200, cc("max-age=-1"), -1},
		{"missing", plain, 200, cc("max-age"), -1},
		{"an open quote", plain, 200, cc(`max-age=10, x="`), -1},
		{"twice", plain, 200, cc("max-age=10, max-age=20"), -1},
		{"s-maxage twice", plain, 200, cc("s-maxage=10, s-maxage=20"), -1},

		// 5.2.2.5: "a cache MUST NOT store any part of either the immediate request or the
		// response".
		{"no-store", plain, 200, cc("no-store, max-age=10"), -1},
		{"no-store in a line of its own", plain, 200, cc("max-age=10", "Cache-Control", "No-Store"), -1},
		{"no-store in lower case besides", plain, 200, cc("max-age=10", "cache-control", "no-store"), -1},
		{"the word in quotes is none", plain, 200, cc(`x="a, no-store", max-age=10`), 10 * s},
		// 5.2.2.7: "a shared cache MUST NOT store the response".
		{"private", plain, 200, cc("private, max-age=10"), -1},
		{"private fields", plain, 200, cc(`private="X-User", max-age=10`), -1},
		{"private fields without quotes", plain, 200, cc("private=X-User,max-age=10"), -1},
		// 5.2.2.4: "the response MUST NOT be used to satisfy any other request without
		// forwarding it for validation and receiving a successful response".
		{"no-cache", plain, 200, cc("no-cache, max-age=10"), -1},
		{"no-cache fields", plain, 200, cc(`no-cache="X-User", max-age=10`), -1},
		// 5.2.3: "A cache MUST ignore unrecognized cache directives."
		{"unknown", plain, 200, cc("max-age=10, x-y, z=1, immutable, must-understand"), 10 * s},
		{"public alone says no time", plain, 200, cc("public"), 300 * s},

		{"a cookie for one", plain, 200, cc("max-age=10", "Set-Cookie", "a=b"), -1},
		{"a cookie in lower case", plain, 200, cc("max-age=10", "set-cookie", "a=b"), -1},
		// 4.1: "A stored response with a Vary header field value containing a member '*'
		// always fails to match."
		{"Vary: *", plain, 200, cc("max-age=10", "Vary", "*"), -1},
		{"Vary: * among others", plain, 200, cc("max-age=10", "vary", "Accept, *"), -1},
		{"too many names", plain, 200, cc("max-age=10", "Vary", "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q"), -1},

		// RFC 9110, section 15.1: "Responses with status codes that are defined as
		// heuristically cacheable (e.g., 200, 203, 204, 206, 300, 301, 308, 404, 405, 410,
		// 414, and 501 in this specification) can be reused by a cache with heuristic
		// expiration unless otherwise indicated".
		{"203", plain, 203, nil, 300 * s},
		{"204", plain, 204, nil, 300 * s},
		{"300", plain, 300, nil, 300 * s},
		{"301", plain, 301, nil, 300 * s},
		{"308", plain, 308, nil, 300 * s},
		{"404", plain, 404, nil, 300 * s},
		{"410", plain, 410, nil, 300 * s},
		{"201 says nothing", plain, 201, nil, -1},
		{"302 says nothing", plain, 302, nil, -1},
		{"302 says it", plain, 302, cc("max-age=10"), 10 * s},
		{"403 says nothing", plain, 403, nil, -1},
		{"403 says it", plain, 403, cc("max-age=10"), 10 * s},
		{"405", plain, 405, nil, -1},
		{"206 needs ranges", plain, 206, cc("max-age=10"), -1},
		{"304 was no question of ours", plain, 304, cc("max-age=10"), -1},
		{"500", plain, 500, cc("max-age=10"), -1},
		{"501", plain, 501, cc("max-age=10"), -1},
		{"503", plain, 503, nil, -1},
	} {
		check.Equal(t, c.want, freshFor(t, c.cfg, c.status, c.header), c.rule)
	}
}

func TestStaleTimes(t *testing.T) {
	none := Config{}
	both := Config{StaleIfError: 60 * s, StaleWhileRevalidate: 30 * s}
	never := Config{StaleIfError: off, StaleWhileRevalidate: off}
	for _, c := range []struct {
		rule             string
		cfg              Config
		control          string
		refresh, onError time.Duration // past freshness
		strict           bool
	}{
		{"nobody says so", none, "max-age=10", 0, 0, false},
		{"configured", both, "max-age=10", 30 * s, 60 * s, false},
		// RFC 5861, section 3: "caches MAY serve the response in which it appears after it
		// becomes stale, up to the indicated number of seconds."
		{"the answer says", none, "max-age=10, stale-while-revalidate=5, stale-if-error=7", 5 * s, 7 * s, false},
		{"its word goes first", both, "max-age=10, stale-while-revalidate=5, stale-if-error=7", 5 * s, 7 * s, false},
		{"also when it says none", both, "max-age=10, stale-while-revalidate=0, stale-if-error=0", 0, 0, false},
		{"off is off", never, "max-age=10, stale-while-revalidate=5, stale-if-error=7", 0, 0, false},
		// RFC 9111, section 5.2.2.2: "once the response has become stale, a cache MUST NOT
		// reuse that response to satisfy another request until it has been successfully
		// validated by the origin".
		{"must-revalidate", both, "max-age=10, must-revalidate, stale-if-error=7", 0, 0, true},
		{"proxy-revalidate", both, "max-age=10, proxy-revalidate, stale-while-revalidate=5", 0, 0, true},
		// Section 5.2.2.10: "also incorporates the semantics of the proxy-revalidate
		// response directive for a shared cache".
		{"s-maxage", both, "s-maxage=10", 0, 0, true},
		{"s-maxage that says so itself", both, "s-maxage=10, stale-while-revalidate=5", 5 * s, 0, true},
		{"never fresh is not served unasked", both, "max-age=0", 0, 60 * s, false},
		{"unless it says so", both, "max-age=0, stale-while-revalidate=5", 5 * s, 60 * s, false},
	} {
		said := read(headers("Cache-Control", c.control))
		check.Holds(t, !said.isClosed, c.rule)
		tm, ok := said.terms(&c.cfg, 200, 100*s, 100*s, start)
		check.Holds(t, ok, c.rule)
		check.Equal(t, c.refresh, tm.refresh-tm.fresh, c.rule, ": while revalidate")
		check.Equal(t, c.onError, tm.onError-tm.fresh, c.rule, ": if error")
		check.Equal(t, c.strict, tm.strict, c.rule, ": strict")
	}
}

// "response_delay = response_time - request_time": what it took counts as age.
func TestTheTimeOfTheFetchIsAge(t *testing.T) {
	h := newHouse(t, Config{}).says("Cache-Control", "max-age=10")
	h.delay = 4 * s
	h.get(miss)
	h.now += 6*s - 1
	check.Equal(t, []string{"9"}, h.get(hit).Header["Age"])
	h.now++
	h.get(miss)
}

func TestAge(t *testing.T) {
	h := newHouse(t, Config{StaleIfError: time.Hour}).says("Cache-Control", "max-age=60", "age", "7", "Age", "7")
	h.get(miss)
	h.now += 1500 * time.Millisecond
	r := h.get(hit)
	check.Equal(t, []string{"8"}, r.Header["Age"], "7 s before it came, 1.5 s here, whole seconds")
	_, twice := r.Header["age"]
	check.Holds(t, !twice, "one Age")
	h.now = time.Hour
	h.err = &messages.Error{Code: messages.CodeAllEndpointsDown}
	check.Equal(t, "3607", h.get2(stale).Header.Get("Age"))
}

// get2 expects an answer whether or not the service was asked.
func (h *house) get2(want messages.Cache, pairs ...string) *messages.Response {
	h.t.Helper()
	r, err := h.do("GET", "/", pairs...)
	check.Equal(h.t, nil, err)
	check.Equal(h.t, want, r.Cache)
	return r
}

func TestHopByHopIsNotKept(t *testing.T) {
	h := newHouse(t, Config{}).says("Connection", "X-Hop", "X-Hop", "1", "Keep-Alive", "1", "X-Kept", "1")
	h.get(miss)
	check.Equal(t, headers("X-Kept", "1", "Age", "0"), h.get(hit).Header)
}

// What a caller does to its answer reaches nobody else.
func TestAnswersAreTheCallers(t *testing.T) {
	h := newHouse(t, Config{}).says("X", "1", "X", "2", "Y", "1")
	spoil := func(r *messages.Response) {
		r.Header["X"][0] = "spoilt"
		_, _ = append(r.Header["X"], "spoilt"), append(r.Header["Y"], "spoilt")
		check.Equal(t, []string{"2", "1"}, []string{r.Header["X"][1], r.Header["Y"][0]}, "an append reaches no other header")
		r.Header.Set("Z", "spoilt")
		r.Status = 500
	}
	r := h.get(miss)
	spoil(r)
	copy(r.Body, "spoilt")
	for range 2 {
		r := h.get(hit)
		check.Equal(t, messages.Response{Status: 200, Header: headers("X", "1", "X", "2", "Y", "1", "Age", "0"), Body: []byte("body"), Endpoint: "e1", Cache: hit}, *r)
		spoil(r)
	}
}

func TestDirectivesOfALongHeader(t *testing.T) {
	h := newHouse(t, Config{}).says("Cache-Control", strings.Repeat("x,", 10_000)+"no-store")
	h.get(miss)
	h.get(miss)
}
