package interaction

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/messages"
)

// stage is where a script plays: a system, and the endpoints as the script has them
// behave.
type stage struct {
	t     *testing.T
	us    *understudy.System
	began time.Time

	mu     sync.Mutex // the checks run in goroutines of their own
	acts   map[string]act
	checks map[string]check
	calls  []call // of the request under way

	shown uint64 // the newest event that a command has shown
}

// act is how an endpoint answers calls; the zero act is well.
type act struct {
	answer func(context.Context) (*messages.Response, error)
	times  int // how often, -1 until it is changed
}

// check is what a health check finds.
type check struct {
	err   error
	took  time.Duration
	times int // how often; 0: until it is changed
}

// call is one that reached an endpoint.
type call struct{ began, ended time.Duration }

func newStage(t *testing.T) *stage {
	us, err := understudy.New(understudy.Config{Node: "stage"})
	require.NoError(t, err)
	s := &stage{t: t, us: us, began: time.Now(), acts: make(map[string]act), checks: make(map[string]check)}
	t.Cleanup(func() {
		require.NoError(t, us.Close())
		s.pass(time.Second) // protoactor keeps a goroutine that long after a dead letter
	})
	return s
}

func (s *stage) now() time.Duration { return time.Since(s.began) }

func (s *stage) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// command carries one out and returns its trace: its own lines and, further in, what
// happened.
func (s *stage) command(words []string) (lines []string, err error) {
	arg := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	switch words[0] {
	case "service", "reload":
		err = s.configure(words[0] == "reload", arg(1), words[2:])
	case "fail", "refuse", "stall", "answer", "down", "up", "check":
		err = s.direct(words)
	case "remove":
		err = s.us.RemoveService(arg(1))
	case "request", "post":
		method := "GET"
		if words[0] == "post" {
			method = "POST"
		}
		return s.requests(method, words[1:])
	case "advance":
		d, perr := time.ParseDuration(arg(1))
		if err = perr; err == nil {
			s.pass(d)
		}
	case "drain", "maint", "ready", "force_open", "force_close", "reset":
		err = s.operate(words[0], arg(1), strings.Join(words[2:], " "))
	case "status":
		return s.status(arg(1))
	case "events":
		n, perr := strconv.Atoi(arg(2))
		for _, e := range s.us.Service(arg(1)).History(n) {
			lines = append(lines, s.words(e))
		}
		return lines, perr
	default:
		return nil, errors.New("no such command")
	}
	synctest.Wait()
	return append(lines, s.happened()...), err
}

// configure adds a service or gives it another configuration.
func (s *stage) configure(again bool, name string, settings []string) error {
	c, err := parseConfig(settings)
	if err != nil {
		return err
	}
	for i := range c.Endpoints {
		c.Endpoints[i].Handler = s.handler(c.Endpoints[i].ID)
	}
	if c.Health.Interval > 0 {
		c.Hooks.Check = s.check
	}
	if again {
		return s.us.Service(name).Configure(c)
	}
	_, err = s.us.AddService(name, c)
	return err
}

func (s *stage) handler(id string) understudy.Handler {
	return func(ctx context.Context, _ *messages.Request) (*messages.Response, error) {
		synctest.Wait() // what the attempt before has set going comes first
		began := s.now()
		s.mu.Lock()
		a := s.acts[id]
		if a.times > 0 {
			a.times--
			s.acts[id] = a
		}
		if a.times == 0 {
			delete(s.acts, id)
		}
		if a.answer == nil {
			a.answer = status(200, "")
		}
		s.mu.Unlock()
		resp, err := a.answer(ctx)
		s.mu.Lock()
		s.calls = append(s.calls, call{began, s.now()})
		s.mu.Unlock()
		return resp, err
	}
}

func (s *stage) check(ctx context.Context, target understudy.Target) error {
	s.mu.Lock()
	c := s.checks[target.ID()]
	if c.times--; c.times == 0 {
		s.checks[target.ID()] = check{}
	} else {
		s.checks[target.ID()] = c
	}
	s.mu.Unlock()
	if c.took > 0 {
		select {
		case <-time.After(c.took):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return c.err
}

// direct tells an endpoint how to behave.
func (s *stage) direct(words []string) error {
	if len(words) < 2 {
		return errors.New("which endpoint?")
	}
	id, rest := words[1], words[2:]
	s.mu.Lock()
	defer s.mu.Unlock()
	a := act{times: -1}
	switch words[0] {
	case "up":
		delete(s.acts, id)
		return nil
	case "check":
		return s.directCheck(id, rest)
	case "fail", "down":
		a.answer = status(503, "")
	case "refuse":
		a.answer = func(context.Context) (*messages.Response, error) { return nil, refused }
	case "stall":
		a.answer = func(ctx context.Context) (*messages.Response, error) { <-ctx.Done(); return nil, ctx.Err() }
	case "answer":
		code, err := strconv.Atoi(strings.Join(rest[:min(1, len(rest))], ""))
		if err != nil {
			return err
		}
		rest = rest[1:]
		after := ""
		if len(rest) > 0 && strings.HasSuffix(rest[0], "s") {
			after, rest = strings.TrimSuffix(rest[0], "s"), rest[1:]
		}
		a.answer = status(code, after)
	}
	if len(rest) > 0 {
		n, err := strconv.Atoi(rest[0])
		if err != nil || n < 1 || len(rest) > 1 {
			return fmt.Errorf("how often is %q?", strings.Join(rest, " "))
		}
		a.times = n
	}
	s.acts[id] = a
	return nil
}

func (s *stage) directCheck(id string, rest []string) error {
	c := check{}
	if len(rest) == 2 {
		n, err := strconv.Atoi(rest[1])
		if err != nil {
			return err
		}
		c.times, rest = n, rest[:1]
	}
	var err error
	switch word := strings.Join(rest, " "); word {
	case "good":
	case "bad":
		c.err = errors.New("not ready")
	default:
		c.took, err = time.ParseDuration(word)
	}
	s.checks[id] = c
	return err
}

var refused = &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}

func status(code int, retryAfter string) func(context.Context) (*messages.Response, error) {
	return func(context.Context) (*messages.Response, error) {
		resp := &messages.Response{Status: code}
		if retryAfter != "" {
			resp.Header = messages.Header{"Retry-After": {retryAfter}}
		}
		return resp, nil
	}
}

func (s *stage) operate(verb, id, reason string) error {
	for _, name := range s.us.Services() {
		for _, e := range s.us.Service(name).Endpoints() {
			if e.ID == id {
				return s.us.Service(name).Operate(s.t.Context(), understudy.Order{Endpoint: id, Verb: understudy.Verb(verb), Reason: reason})
			}
		}
	}
	return fmt.Errorf("no endpoint %q", id)
}

// countedFrom is how many requests are no longer told one by one.
const countedFrom = 21

// requests makes some and tells of each, or counts them.
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
	tell := teller{}
	if n >= countedFrom {
		tell.counts = make(map[string]int)
	}
	for range n {
		tell.request(s.request(s.us.Service(name), method))
		tell.happened(s.happened())
		if every > 0 {
			s.pass(every)
			tell.happened(s.happened())
		}
	}
	return tell.done(), nil
}

// request makes one and returns who served it and, where that is not all there is to
// say, the words for it.
func (s *stage) request(service *understudy.Service, method string) (server, words string) {
	s.calls = nil
	asked := s.now()
	resp, err := service.Request(s.t.Context(), &messages.Request{Method: method})
	synctest.Wait()
	var e *understudy.Error
	var attempts []messages.Attempt
	switch {
	case errors.As(err, &e):
		attempts = e.Attempts
	case err == nil:
		attempts = resp.Attempts
	}
	var parts []string
	last := asked
	for i, a := range attempts {
		part := ""
		if i < len(s.calls) {
			if waited := s.calls[i].began - last; waited > 0 {
				part = fmt.Sprintf("%v later ", waited)
			}
			last = s.calls[i].ended
		}
		part += a.Endpoint
		switch {
		case a.Words == "" && resp.Status == 200:
			part += " serves"
		case a.Words == "":
			part += fmt.Sprintf(" answers %d", resp.Status)
		case a.Duration > 0:
			part += fmt.Sprintf(" fails after %v (%s)", a.Duration, a.Words)
		default:
			part += fmt.Sprintf(" fails (%s)", a.Words)
		}
		parts = append(parts, part)
	}
	switch {
	case err != nil && len(attempts) == 0:
		return "", fmt.Sprintf("refused: %v [%s]", err, e.Code)
	case err != nil:
		return "", fmt.Sprintf("%s: %v [%s]", strings.Join(parts, ", "), err, e.Code)
	case len(parts) == 1 && strings.HasSuffix(parts[0], " serves"):
		return attempts[0].Endpoint, ""
	}
	return "", strings.Join(parts, ", ")
}

// teller puts the lines of some requests together.
type teller struct {
	lines  []string
	served []string       // the newest requests of which there is no more to say
	counts map[string]int // nil: each is told
	events []string
}

func (t *teller) request(server, words string) {
	switch {
	case t.counts != nil && words == "":
		t.counts["served by "+server]++
	case t.counts != nil:
		t.counts[words]++
	case words == "":
		t.served = append(t.served, server)
	default:
		t.flush()
		t.lines = append(t.lines, words)
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
		t.lines = append(t.lines, "served by "+strings.Join(t.served, " "))
		t.served = nil
	}
}

func (t *teller) done() []string {
	t.flush()
	if t.counts == nil {
		return t.lines
	}
	for words, n := range t.counts {
		t.lines = append(t.lines, fmt.Sprintf("%4d × %s", n, words))
	}
	slices.SortFunc(t.lines, func(a, b string) int { return cmp.Compare(a[strings.Index(a, "×"):], b[strings.Index(b, "×"):]) })
	return append(t.lines, t.events...)
}

// told are the kinds that the commands and the request lines tell already.
var told = []messages.Kind{messages.KindRetry, messages.KindFailover, messages.KindRecovery, messages.KindTimeout, messages.KindServiceAdded, messages.KindServiceRemoved}

// happened returns the events that no command has shown yet. What timers bring at one
// moment comes in any order, so it is put into that of the endpoints.
func (s *stage) happened() (lines []string) {
	var fresh []understudy.Event
	for _, name := range s.us.Services() {
		for _, e := range s.us.Service(name).History(4096) {
			if e.Sequence > s.shown && !slices.Contains(told, e.Kind) {
				fresh = append(fresh, e)
			}
		}
	}
	slices.SortFunc(fresh, func(a, b understudy.Event) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Endpoint, b.Endpoint), cmp.Compare(a.Sequence, b.Sequence))
	})
	for _, e := range fresh {
		s.shown = max(s.shown, e.Sequence)
		lines = append(lines, indent+s.words(e))
	}
	return lines
}

// words is an event in one line.
func (s *stage) words(e understudy.Event) string {
	who := cmp.Or(e.Endpoint, e.Service)
	line := fmt.Sprintf("%v %s %s: %s", e.Time.Sub(s.began), who, e.Kind, e.Cause.Words)
	if !e.Cause.Until.IsZero() {
		line += fmt.Sprintf("; until %v", e.Cause.Until.Sub(s.began))
	}
	return line
}

// status tells who may be picked.
func (s *stage) status(name string) (lines []string, err error) {
	for _, e := range s.us.Service(name).Status().Endpoints {
		line := e.ID + ": not eligible"
		if e.Eligible {
			line = e.ID + ": eligible"
			if e.Rank != "healthy" {
				line += ", ranks " + e.Rank
			}
		}
		var why []string
		if e.Admin != messages.AdminReady {
			why = append(why, strings.TrimSuffix(fmt.Sprintf("%s: %s", e.Admin, e.AdminReason), ": "))
		}
		if e.Health != "healthy" {
			why = append(why, e.Health+": "+e.HealthReason)
		} else if e.HealthReason != "" && e.HealthReason != "no check is configured" {
			why = append(why, e.HealthReason)
		}
		if e.BreakerReason != "" {
			why = append(why, "breaker "+e.BreakerReason)
		}
		if !e.CoolingUntil.IsZero() {
			why = append(why, fmt.Sprintf("asked for a pause until %v", e.CoolingUntil.Sub(s.began)))
		}
		if len(why) > 0 {
			line += " — " + strings.Join(why, "; ")
		}
		lines = append(lines, line)
	}
	return lines, nil
}
