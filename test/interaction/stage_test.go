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
	"sync/atomic"
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

	mu     sync.Mutex // requests of a burst, hedges and checks run in goroutines of their own
	acts   map[string]act
	checks map[string]check

	turn    chan struct{} // only one may wait for the others at a time
	waiting atomic.Int32  // for their turn

	shown uint64 // the newest event that a command has shown
}

// act is how an endpoint answers calls; the zero act is well.
type act struct {
	answer func(context.Context) (*messages.Response, error)
	times  int // how often; below 0: until it is changed
	every  int // only each so many-th time; 0 is every time
	asked  int
}

// check is what a health check finds.
type check struct {
	err   error
	took  time.Duration
	times int // how often; 0: until it is changed
}

// uptime is how long the system has been there when a script begins. At its very first
// moment nobody can have come back yet: slow start would not be seen.
const uptime = time.Minute

func newStage(t *testing.T) *stage {
	us, err := understudy.New(understudy.Config{Node: "stage"})
	require.NoError(t, err)
	<-time.After(uptime)
	s := &stage{t: t, us: us, began: time.Now(), acts: make(map[string]act), checks: make(map[string]check), turn: make(chan struct{}, 1)}
	t.Cleanup(func() {
		require.NoError(t, us.Close())
		s.pass(time.Second) // protoactor keeps a goroutine that long after a dead letter
	})
	return s
}

func (s *stage) now() time.Duration { return time.Since(s.began) }

func (s *stage) pass(d time.Duration) {
	<-time.After(d)
	s.settle()
}

// settle waits until nothing moves any more at this moment.
func (s *stage) settle() {
	for s.takeTurn(); s.waiting.Load() > 0; s.takeTurn() {
	}
}

// takeTurn waits until all others wait: for time to pass, or for their own turn, in the
// order in which they came.
func (s *stage) takeTurn() {
	s.waiting.Add(1)
	s.turn <- struct{}{}
	s.waiting.Add(-1)
	synctest.Wait()
	<-s.turn
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
	case "fail", "refuse", "stall", "slow", "flaky", "answer", "down", "up", "check":
		err = s.direct(words)
	case "remove":
		err = s.us.RemoveService(arg(1))
	case "request", "post":
		method := "GET"
		if words[0] == "post" {
			method = "POST"
		}
		return s.requests(method, words[1:])
	case "burst":
		return s.burst(words[1:])
	case "advance":
		d, perr := time.ParseDuration(arg(1))
		if err = perr; err == nil {
			s.pass(d)
		}
	case "drain", "maint", "ready", "force_open", "force_close", "reset":
		err = s.operate(words[0], arg(1), strings.Join(words[2:], " "))
	case "status":
		return s.status(arg(1))
	case "stats":
		return []string{counted(s.us.Service(arg(1)).Stats())}, nil
	case "events":
		n, perr := strconv.Atoi(arg(2))
		for _, e := range s.us.Service(arg(1)).History(n) {
			lines = append(lines, s.words(e))
		}
		return lines, perr
	default:
		return nil, errors.New("no such command")
	}
	s.settle()
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
		s.takeTurn() // what the attempt before has set going comes first
		done := taleOf(ctx).called(id, s.now())
		resp, err := s.next(id)(ctx)
		done(s.now(), resp, err)
		return resp, err
	}
}

// next is how the endpoint answers its next call.
func (s *stage) next(id string) func(context.Context) (*messages.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, told := s.acts[id]
	if !told {
		return status(200, "")
	}
	a.asked++
	if a.every > 0 && a.asked%a.every != 0 {
		s.acts[id] = a
		return status(200, "")
	}
	if a.times--; a.times == 0 {
		delete(s.acts, id)
	} else {
		s.acts[id] = a
	}
	return a.answer
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
	case "slow":
		took, err := time.ParseDuration(strings.Join(rest[:min(1, len(rest))], ""))
		if err != nil {
			return err
		}
		a.answer, rest = taking(took), rest[1:]
	case "flaky":
		a.answer = status(503, "")
		every, err := strconv.Atoi(strings.Join(rest, ""))
		if err != nil {
			return err
		}
		a.every, rest = every, nil
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
	case "refused":
		c.err = refused
	default:
		c.took, err = time.ParseDuration(word)
	}
	s.checks[id] = c
	return err
}

var refused = &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}

// taking answers well after some time.
func taking(d time.Duration) func(context.Context) (*messages.Response, error) {
	return func(ctx context.Context) (*messages.Response, error) {
		select {
		case <-time.After(d):
			return &messages.Response{Status: 200}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

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

// told are the kinds that the commands and the request lines tell already.
var told = []messages.Kind{messages.KindRetry, messages.KindFailover, messages.KindRecovery, messages.KindTimeout, messages.KindServiceAdded, messages.KindServiceRemoved}

// happened returns the events that no command has shown yet. What timers bring at one
// moment comes in any order, so it is put into that of the endpoints, and what follows for
// the service comes last.
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
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(place(a), place(b)), cmp.Compare(a.Sequence, b.Sequence))
	})
	for _, e := range fresh {
		s.shown = max(s.shown, e.Sequence)
		lines = append(lines, indent+s.words(e))
	}
	return lines
}

func place(e understudy.Event) string { return cmp.Or(e.Endpoint, "\xff") }

// words is an event in one line.
func (s *stage) words(e understudy.Event) string {
	who := cmp.Or(e.Endpoint, e.Service)
	line := fmt.Sprintf("%v %s %s: %s", e.Time.Sub(s.began), who, e.Kind, e.Cause.Words)
	if !e.Cause.Until.IsZero() {
		line += fmt.Sprintf("; until %v", e.Cause.Until.Sub(s.began))
	}
	return line
}

// limitUsual is how many attempts an endpoint may have in flight where nothing says so.
const limitUsual = 1024

// status tells who may be picked.
func (s *stage) status(name string) (lines []string, err error) {
	service := s.us.Service(name).Status()
	if service.Panic {
		lines = append(lines, "panic mode: health and ejections are ignored")
	}
	for _, e := range service.Endpoints {
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
		if e.EjectedReason != "" {
			why = append(why, fmt.Sprintf("ejected until %v: %s", e.EjectedUntil.Sub(s.began), e.EjectedReason))
		}
		if e.BreakerReason != "" {
			why = append(why, "breaker "+e.BreakerReason)
		}
		if !e.CoolingUntil.IsZero() {
			why = append(why, fmt.Sprintf("asked for a pause until %v", e.CoolingUntil.Sub(s.began)))
		}
		if !e.WarmingUntil.IsZero() {
			why = append(why, fmt.Sprintf("slow start until %v", e.WarmingUntil.Sub(s.began)))
		}
		if e.Limit != limitUsual {
			why = append(why, fmt.Sprintf("at most %d in flight", e.Limit))
		}
		if len(why) > 0 {
			line += " — " + strings.Join(why, "; ")
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// counted tells what the service counted, but for what there was none of.
func counted(n messages.ServiceStats) string {
	var words []string
	for _, c := range []struct {
		n    uint64
		what string
	}{
		{n.Requests, "requests"}, {n.Succeeded, "succeeded"}, {n.Failed, "failed"}, {n.Attempts, "attempts"},
		{n.Retries, "retries"}, {n.Hedges, "hedges"}, {n.Refusals, "refusals"}, {n.Fallbacks, "fallbacks"},
	} {
		if c.n > 0 {
			words = append(words, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	return strings.Join(words, ", ")
}
