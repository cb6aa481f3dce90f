package interaction

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/messages"
)

// tale is what came of one request: the calls that reached endpoints, and the answer.
type tale struct {
	asked, ended time.Duration
	resp         *messages.Response
	err          error

	mu    sync.Mutex // an attempt has another one beside it, or goes on in the background
	calls []*call    // in the order in which they began
}

// call is one that reached an endpoint, with what came of it there.
type call struct {
	endpoint     string
	began, ended time.Duration
	status       int // 0: no answer
	calledOff    bool
	over         bool
	told         *messages.Attempt // what the answer or the error says of it
}

type taleKey struct{}

func taleOf(ctx context.Context) *tale { return ctx.Value(taleKey{}).(*tale) }

// called notes a call; the function that it returns notes its end.
func (t *tale) called(id string, now time.Duration) func(now time.Duration, resp *messages.Response, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := &call{endpoint: id, began: now, ended: now}
	t.calls = append(t.calls, c)
	return func(now time.Duration, resp *messages.Response, err error) {
		t.mu.Lock()
		defer t.mu.Unlock()
		c.ended, c.over, c.calledOff = now, true, errors.Is(err, context.Canceled)
		if resp != nil {
			c.status = resp.Status
		}
	}
}

// request makes one.
func (s *stage) request(service *understudy.Service, method string) *tale {
	t := &tale{asked: s.now()}
	ctx := context.WithValue(s.t.Context(), taleKey{}, t)
	t.resp, t.err = service.Request(ctx, &messages.Request{Method: method})
	t.ended = s.now()
	return t
}

// told says who served the request and, where that is not all there is to say, the
// words for it.
func (t *tale) told() (server, words string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var e *understudy.Error
	var attempts []messages.Attempt
	switch {
	case errors.As(t.err, &e):
		attempts = e.Attempts
	case t.err == nil:
		attempts = t.resp.Attempts
	}
	var parts []string
	for i := range attempts {
		if !t.match(&attempts[i]) { // of who asked the same before
			parts = append(parts, "shares what came of asking "+attempts[i].Endpoint)
		}
	}
	for i, c := range t.calls {
		parts = append(parts, t.when(i)+c.words())
	}
	switch {
	case t.err != nil && len(parts) == 0:
		return "", fmt.Sprintf("refused: %v [%s]", t.err, e.Code)
	case t.err != nil:
		return "", fmt.Sprintf("%s: %v [%s]", strings.Join(parts, ", "), t.err, e.Code)
	}
	parts = t.origin(parts)
	if len(parts) == 1 {
		if who, plain := strings.CutSuffix(parts[0], " serves"); plain && !strings.Contains(who, " ") {
			return who, ""
		}
	}
	return "", strings.Join(parts, ", ")
}

// match finds the call that an attempt tells of.
func (t *tale) match(a *messages.Attempt) bool {
	for _, c := range t.calls {
		if c.told == nil && c.endpoint == a.Endpoint {
			c.told = a
			return true
		}
	}
	return false
}

// when says when a call began, where that was not at once.
func (t *tale) when(i int) string {
	c, last := t.calls[i], t.asked
	for _, before := range t.calls[:i] {
		if before.ended > c.began || before.calledOff {
			return fmt.Sprintf("beside it after %v ", c.began-before.began)
		}
		last = max(last, before.ended)
	}
	if c.began > last {
		return fmt.Sprintf("%v later ", c.began-last)
	}
	return ""
}

// words is what came of a call.
func (c *call) words() string {
	took := c.ended - c.began
	if c.told != nil && c.told.Words != "" {
		took = c.told.Duration
	}
	after := ""
	if took > 0 {
		after = fmt.Sprintf(" after %v", took)
	}
	switch {
	case !c.over:
		return c.endpoint + " is asked in the background"
	case c.calledOff:
		return c.endpoint + " is called off" + after
	case c.told != nil && c.told.Words != "":
		return fmt.Sprintf("%s fails%s (%s)", c.endpoint, after, c.told.Words)
	case c.status == 200:
		return c.endpoint + " serves" + after
	case c.status >= 500:
		return fmt.Sprintf("%s fails%s (status %d)", c.endpoint, after, c.status)
	}
	return fmt.Sprintf("%s answers %d%s", c.endpoint, c.status, after)
}

// origin adds where the answer comes from, if not from the last call.
func (t *tale) origin(parts []string) []string {
	who := ""
	switch r := t.resp; {
	case r.Cache == messages.CacheHit:
		who = "cache serves"
	case r.Cache == messages.CacheStale:
		who = "cache(stale) serves"
	case !r.Fallback:
		return parts
	case r.Endpoint == "":
		who = fmt.Sprintf("%d %s", r.Status, r.Body)
	default: // of the other service, which was asked last
		who, parts = parts[len(parts)-1], parts[:len(parts)-1]
	}
	if t.resp.Fallback {
		who = "fallback: " + who
	}
	return append(parts, who)
}

// countedFrom is how many requests are no longer told one by one.
const countedFrom = 21

// requests makes some, one after the other, and tells of each or counts them.
func (s *stage) requests(method string, words []string) ([]string, error) {
	name, n, every := words[0], 1, time.Duration(0)
	var err error
	if len(words) > 1 && words[1] != "every" {
		n, err = strconv.Atoi(words[1])
	}
	if i := slices.Index(words, "every"); i > 0 && err == nil {
		every, err = time.ParseDuration(strings.Join(words[i+1:], ""))
	}
	if err != nil {
		return nil, err
	}
	tell := newTeller(n)
	for range n {
		t := s.request(s.us.Service(name), method)
		s.settle()
		tell.request(anytime, t)
		tell.happened(s.happened())
		if every > 0 {
			s.pass(every)
			tell.happened(s.happened())
		}
	}
	return tell.done(), nil
}

// burst makes some at the same moment, and tells when each was answered.
func (s *stage) burst(words []string) ([]string, error) {
	n, err := strconv.Atoi(strings.Join(words[1:], ""))
	if err != nil {
		return nil, err
	}
	tales := make([]*tale, n)
	var all sync.WaitGroup
	for i := range tales {
		all.Go(func() { tales[i] = s.request(s.us.Service(words[0]), "GET") })
		s.settle() // so that they come in order
	}
	all.Wait()
	s.settle()
	tell := newTeller(n)
	slices.SortStableFunc(tales, func(a, b *tale) int { return cmp.Compare(a.ended, b.ended) })
	for _, t := range tales {
		tell.request(t.ended, t)
	}
	tell.happened(s.happened())
	return tell.done(), nil
}

// teller puts the lines of some requests together.
type teller struct {
	lines  []string
	at     time.Duration   // when the newest requests were answered of which there is no more to say
	served []string        // and by whom
	counts map[outcome]int // nil: each is told
	events []string
}

// outcome is what came of some requests.
type outcome struct {
	at    time.Duration // when; anytime: that is not told
	words string
}

const anytime = -1

func (o outcome) String() string {
	if o.at == anytime {
		return o.words
	}
	return fmt.Sprintf("at %v %s", o.at, o.words)
}

func newTeller(requests int) *teller {
	t := &teller{}
	if requests >= countedFrom {
		t.counts = make(map[outcome]int)
	}
	return t
}

func (t *teller) request(at time.Duration, request *tale) {
	server, words := request.told()
	switch {
	case t.counts != nil && words == "":
		t.counts[outcome{at, "served by " + server}]++
	case t.counts != nil:
		t.counts[outcome{at, words}]++
	case words == "":
		if at != t.at {
			t.flush()
		}
		t.at, t.served = at, append(t.served, server)
	default:
		t.flush()
		t.lines = append(t.lines, outcome{at, words}.String())
	}
}

func (t *teller) happened(events []string) {
	if t.counts != nil {
		t.events = append(t.events, events...)
	} else if len(events) > 0 {
		t.flush()
		t.lines = append(t.lines, events...)
	}
}

func (t *teller) flush() {
	if len(t.served) > 0 {
		t.lines = append(t.lines, outcome{t.at, "served by " + strings.Join(t.served, " ")}.String())
		t.served = nil
	}
}

func (t *teller) done() []string {
	t.flush()
	if t.counts == nil {
		return t.lines
	}
	for _, o := range slices.SortedFunc(maps.Keys(t.counts), func(a, b outcome) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.words, b.words))
	}) {
		t.lines = append(t.lines, fmt.Sprintf("%4d × %v", t.counts[o], o))
	}
	return append(t.lines, t.events...)
}
