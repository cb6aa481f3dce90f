package cache

import (
	"bytes"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pquerna/cachecontrol/cacheobject"

	httptransport "github.com/understudy-go/understudy/actors/transport/http"
	"github.com/understudy-go/understudy/messages"
)

// ageMax is RFC 9111's ceiling for ages, section 1.2.2: "a cache MUST consider the
// value to be 2147483648 (2^31) or the greatest positive integer it can conveniently
// represent".
const ageMax = (1 << 31) * time.Second

// namesMax is how many headers may choose among the answers of one path.
const namesMax = 16

// entry is an answer as it is kept. It never changes.
type entry struct {
	terms
	status   int
	header   messages.Header // without Age
	values   int             // how many the header has
	body     []byte
	endpoint string
}

// terms say how long an answer may be used. Each moment is the first one at which
// it may not.
type terms struct {
	born    time.Duration // when its age was 0; may lie before the origin
	fresh   time.Duration
	refresh time.Duration // while a new one is fetched; not before fresh
	onError time.Duration // in place of a failure; not before fresh
	strict  bool          // the answer forbids any other stale use
}

// said is what an answer's headers say to a cache.
type said struct {
	control              *cacheobject.ResponseCacheDirectives
	expires, date, age   string
	hasExpires, isClosed bool     // isClosed: for the one who asked, and for nobody else
	names                []string // of Vary, canonical, sorted
}

// read takes the headers of an answer apart, however their names are written.
func read(h messages.Header) (s said) {
	for name, values := range h {
		switch {
		case is(name, "Set-Cookie"):
			s.isClosed = true
		case is(name, "Expires"):
			s.hasExpires = true
		}
		if len(values) == 0 {
			continue
		}
		switch { // of those that should be there once, the first one counts
		case is(name, "Expires"):
			s.expires = values[0]
		case is(name, "Date"):
			s.date = values[0]
		case is(name, "Age"):
			s.age = values[0]
		}
	}
	for _, v := range valuesOf(h, "Vary") {
		for name := range strings.SplitSeq(v, ",") {
			if name = textproto.TrimString(name); name != "" {
				s.names = append(s.names, textproto.CanonicalMIMEHeaderKey(name))
			}
		}
	}
	slices.Sort(s.names)
	s.names = slices.Compact(s.names)
	// RFC 9111, section 4.1: "A stored response with a Vary header field value
	// containing a member '*' always fails to match."
	s.isClosed = s.isClosed || slices.Contains(s.names, "*")

	// RFC 9111, section 4.2.1: "Caches are encouraged to consider responses that have
	// invalid freshness information ... to be stale."
	// And: "When there is more than one value present for a given directive ... either
	// the first occurrence should be used or the response should be considered stale."
	control := strings.ToLower(strings.Join(valuesOf(h, "Cache-Control"), ","))
	repeated := strings.Count(control, "max-age") > 1 || strings.Count(control, "s-maxage") > 1
	var err error
	s.control, err = cacheobject.ParseResponseCacheControl(control)
	s.isClosed = s.isClosed || err != nil || repeated || s.control.NoStore || s.control.PrivatePresent || s.control.NoCachePresent
	return s
}

// terms returns those of an answer that was asked for and came at these moments,
// the date of the latter being wall; false where it has no freshness to speak of.
// It is for answers that are not closed.
func (s *said) terms(cfg *Config, status int, asked, now time.Duration, wall time.Time) (terms, bool) {
	date, err := http.ParseTime(s.date)
	if err != nil {
		date = wall
	}
	var lifetime time.Duration
	spoken := true // the answer says it, and not the configuration
	switch c := s.control; {
	case c.SMaxAge >= 0:
		lifetime = seconds(c.SMaxAge)
	case c.MaxAge >= 0:
		lifetime = seconds(c.MaxAge)
	case s.hasExpires:
		// Section 5.3: "A cache recipient MUST interpret invalid date formats, especially
		// the value '0', as representing a time in the past".
		if expires, err := http.ParseTime(s.expires); err == nil {
			lifetime = expires.Sub(date)
		}
	default:
		spoken, lifetime = false, cfg.TTL
	}
	if spoken && !mayHaveFreshness(status) || !spoken && (lifetime == off || !mayHaveTTL(status)) {
		return terms{}, false
	}
	age := s.initialAge(asked, now, wall.Sub(date))
	t := terms{born: now - age, fresh: now + min(max(lifetime, 0), durationMax)}
	if spoken {
		t.fresh -= age // the configured time counts from now
	}
	t.stale(cfg, s.control, now)
	return t, true
}

// initialAge is RFC 9111's corrected_initial_age, section 4.2.3:
// "corrected_initial_age = max(apparent_age, corrected_age_value)".
func (s *said) initialAge(asked, now, apparent time.Duration) time.Duration {
	var age time.Duration
	if n, err := strconv.ParseUint(textproto.TrimString(s.age), 10, 64); err == nil {
		age = time.Duration(min(n, 1<<31)) * time.Second
	} else if strings.Trim(s.age, "0123456789") == "" && s.age != "" {
		age = ageMax // a number past all bounds; anything else is ignored, section 5.1
	}
	return min(max(apparent, age+max(now-asked, 0), 0), ageMax)
}

// stale sets the moments past freshness.
func (t *terms) stale(cfg *Config, c *cacheobject.ResponseCacheDirectives, now time.Duration) {
	forbidden := c.MustRevalidate || c.ProxyRevalidate
	t.strict = forbidden || c.SMaxAge >= 0
	t.refresh, t.onError = t.fresh, t.fresh
	if forbidden {
		return
	}
	configured := cfg.StaleWhileRevalidate
	if t.fresh <= now && configured != off {
		configured = 0 // who says max-age=0 is not served unasked by our word alone
	}
	t.refresh += t.window(c.StaleWhileRevalidate, configured)
	t.onError += t.window(c.StaleIfError, cfg.StaleIfError)
}

// window is how long past freshness the answer says, else the configuration.
func (t *terms) window(answer cacheobject.DeltaSeconds, configured time.Duration) time.Duration {
	switch {
	case configured == off:
		return 0
	case answer >= 0:
		return seconds(answer)
	case t.strict:
		return 0
	}
	return configured
}

func seconds(d cacheobject.DeltaSeconds) time.Duration {
	return min(time.Duration(d)*time.Second, durationMax)
}

// mayHaveFreshness reports whether an answer of this status is kept if it says for
// how long. A failure stands for the moment only, whatever it says.
func mayHaveFreshness(status int) bool {
	return status >= 200 && status < 500 && status != http.StatusPartialContent && status != http.StatusNotModified
}

// mayHaveTTL reports whether it is kept though it says nothing.
func mayHaveTTL(status int) bool {
	switch status {
	case http.StatusOK, http.StatusNonAuthoritativeInfo, http.StatusNoContent,
		http.StatusMultipleChoices, http.StatusMovedPermanently, http.StatusPermanentRedirect,
		http.StatusNotFound, http.StatusGone:
		return true
	}
	return false
}

// supersedes reports whether an answer of this status, if it cannot be kept, ends
// the use of an older one: it tells of the resource and not of the moment.
func supersedes(status int) bool {
	switch status {
	case http.StatusPartialContent, http.StatusNotModified,
		http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return status >= 200 && status < 500
}

// newEntry copies an answer: the caller who asked for it may do with it as it
// likes, and a body that was read in pieces has room to spare.
func newEntry(resp *messages.Response, t terms) *entry {
	e := &entry{terms: t, status: resp.Status, body: bytes.Clone(resp.Body), endpoint: resp.Endpoint}
	e.header = cloneHeader(resp.Header, 0)
	httptransport.StripHopByHop(http.Header(e.header))
	for name, values := range e.header {
		if is(name, "Age") {
			delete(e.header, name)
		} else {
			e.values += len(values)
		}
	}
	return e
}

// freshFor reports whether the entry answers the question without anybody being
// asked.
func (e *entry) freshFor(q *question, now time.Duration) bool {
	switch {
	case q.noCache, now >= e.fresh:
		return false
	case q.maxAge >= 0 && now-e.born > q.maxAge:
		return false
	}
	return e.fresh-now >= q.minFresh
}

// standsIn reports whether the entry may be given in place of a failure. RFC 5861,
// section 4: "a cached stale response MAY be used to satisfy the request, regardless
// of other freshness information." Past says how long after its freshness somebody
// else allows that, off for ever.
func (e *entry) standsIn(q *question, now, past time.Duration) bool {
	switch {
	case q.noCache:
		return false
	case now < e.onError:
		return true
	case e.strict:
		return false
	}
	return past == off || now-e.fresh < past
}

// response makes an answer of the entry. All but the body belongs to the caller.
func (e *entry) response(now time.Duration, head bool) *messages.Response {
	r := &messages.Response{Status: e.status, Header: make(messages.Header, len(e.header)+1), Endpoint: e.endpoint, Cache: messages.CacheHit}
	if now >= e.fresh {
		r.Cache = messages.CacheStale
	}
	if !head {
		r.Body = e.body
	}
	values := copyHeader(r.Header, e.header, e.values+1)
	// RFC 9111, section 4: "When a stored response is used to satisfy a request
	// without validation, a cache MUST generate an Age header field".
	values = append(values, strconv.FormatInt(int64((now-e.born)/time.Second), 10))
	r.Header["Age"] = values[len(values)-1:]
	return r
}

// cloneHeader copies h with its values, with room for more names.
func cloneHeader(h messages.Header, more int) messages.Header {
	n := 0
	for _, values := range h {
		n += len(values)
	}
	out := make(messages.Header, len(h)+more)
	copyHeader(out, h, n)
	return out
}

// copyHeader copies h into to. All values lie in one array of that size, which is
// returned; no name's can be appended to without leaving it.
func copyHeader(to, h messages.Header, size int) []string {
	all := make([]string, 0, size)
	for name, values := range h {
		from := len(all)
		all = append(all, values...)
		to[name] = all[from:len(all):len(all)]
	}
	return all
}
