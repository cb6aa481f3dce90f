package cluster_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/understudy-go/understudy/actors"
	"github.com/understudy-go/understudy/actors/retry"
	"github.com/understudy-go/understudy/cluster"
	"github.com/understudy-go/understudy/cluster/embedded"
	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/understudytest"
)

// node is one node with a door, and a caller that is a plain NATS client.
type node struct {
	server *embedded.Server
	sys    *actors.System
	door   *cluster.Door
	nc     *nats.Conn // the node's
	caller *nats.Conn
	log    *lines
}

type services map[string]actors.ServiceConfig

// startNode starts a node named "a" and returns when a caller can reach it.
func startNode(t *testing.T, s services, mod ...func(*cluster.DoorConfig)) *node {
	t.Helper()
	return joinNode(t, startServer(t, embedded.Config{}, nil), "a", s, mod...)
}

func joinNode(t *testing.T, server *embedded.Server, name string, s services, mod ...func(*cluster.DoorConfig)) *node {
	t.Helper()
	n := &node{server: server, log: newLines()}
	n.nc = connect(t, cluster.Config{URL: server.URL()}, n.log)
	n.caller = plainClient(t, server)
	config := cluster.DoorConfig{Node: name, Logger: n.log.logger()}
	for _, m := range mod {
		m(&config)
	}
	n.sys = actors.New(actors.Options{Node: name, Logger: n.log.logger(), TracerProvider: config.TracerProvider})
	t.Cleanup(func() { noError(t, n.sys.Close()) })
	for service, c := range s {
		_, err := n.sys.AddService(service, c)
		noError(t, err)
	}
	var err error
	n.door, err = cluster.Open(n.nc, n.sys, config)
	noError(t, err)
	t.Cleanup(n.door.Close)
	noError(t, n.nc.Flush())
	return n
}

// plainClient is a caller that knows nothing of us.
func plainClient(t *testing.T, server *embedded.Server) *nats.Conn {
	t.Helper()
	closed := make(chan struct{})
	nc, err := nats.Connect(server.URL(), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	noError(t, err)
	t.Cleanup(func() {
		nc.Close()
		receive(t, closed, "the caller's connection to close")
	})
	return nc
}

// raw speaks NATS by hand.
type raw struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func dialRaw(t *testing.T, server *embedded.Server) *raw {
	t.Helper()
	conn, err := net.Dial("tcp", hostPort(server))
	noError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	noError(t, conn.SetDeadline(time.Now().Add(patience)))
	r := &raw{t, conn, bufio.NewReader(conn)}
	r.until("INFO")
	r.send(`CONNECT {"verbose":false,"headers":true,"no_responders":true}` + "\r\n")
	return r
}

func (r *raw) send(text string) {
	r.t.Helper()
	_, err := r.conn.Write([]byte(text))
	noError(r.t, err)
}

// until returns the first line that contains part.
func (r *raw) until(part string) string {
	r.t.Helper()
	for {
		line, err := r.in.ReadString('\n')
		noError(r.t, err)
		if strings.Contains(line, part) {
			return line
		}
	}
}

// ask sends a request to a service and returns what comes back.
func (n *node) ask(t *testing.T, service string, header nats.Header, body string) *nats.Msg {
	t.Helper()
	msg, err := n.caller.RequestMsg(&nats.Msg{Subject: "understudy.request." + service, Header: header, Data: []byte(body)}, patience)
	noError(t, err)
	return msg
}

func problem(t *testing.T, msg *nats.Msg) messages.Problem {
	t.Helper()
	var p messages.Problem
	noError(t, json.Unmarshal(msg.Data, &p))
	equal(t, msg.Header.Get("Content-Type"), "application/problem+json")
	equal(t, msg.Header.Get("Understudy-Error"), string(p.Code))
	equal(t, msg.Header.Get("Understudy-Status"), strconv.Itoa(p.Status))
	equal(t, msg.Header.Get("Nats-Service-Error-Code"), strconv.Itoa(p.Status))
	equal(t, msg.Header.Get("Nats-Service-Error"), string(p.Code)+": "+p.Words())
	return p
}

// function is a service of one endpoint that is a Go function.
func function(h actors.Handler) actors.ServiceConfig {
	return actors.ServiceConfig{Endpoints: []actors.Endpoint{{ID: "fn", Handler: h}}}
}

func over(servers ...*understudytest.Server) actors.ServiceConfig {
	var c actors.ServiceConfig
	for i, s := range servers {
		c.Endpoints = append(c.Endpoints, s.Endpoint(fmt.Sprintf("orders-%d", i+1)))
	}
	return c
}

func TestRequestReachesTheService(t *testing.T) {
	web := understudytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Own", "theirs")
		w.Header().Set("Understudy-Error", "a lie")
		w.Header().Set("Nats-Service-Error", "a lie")
		w.Header().Set("Keep-Alive", "timeout=5")
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte("made\x00\xff"))
	}))
	n := startNode(t, services{"orders": over(web)})
	reply := n.ask(t, "orders", nats.Header{
		"Understudy-Method": {"PUT"}, "Understudy-Path": {"/orders/7?dry=1"}, "Understudy-Idempotent": {"false"}, "Understudy-Timeout": {"1.5s"},
		"Understudy-Deadline": {strconv.FormatInt(time.Now().Add(time.Hour).UnixMilli(), 10)}, "Understudy-Key": {"k"}, "Understudy-Later": {"unknown"},
		"Nats-Expected-Stream": {"x"}, "x-mine": {"1", "2"}, "Connection": {"X-Hop"}, "X-Hop": {"hop"},
	}, "body\x00")
	equal(t, string(reply.Data), "made\x00\xff")
	equal(t, reply.Header.Get("Understudy-Status"), "201")
	equal(t, reply.Header.Get("Understudy-Endpoint"), "orders-1")
	equal(t, reply.Header.Get("Understudy-Attempts"), "1")
	equal(t, reply.Header.Get("X-Own"), "theirs")
	for _, name := range []string{"Understudy-Error", "Understudy-Fallback", "Nats-Service-Error", "Nats-Service-Error-Code", "Keep-Alive"} {
		equal(t, reply.Header.Values(name), nil)
	}
	got := web.Requests()[0]
	equal(t, got.Method+" "+got.URI, "PUT /orders/7?dry=1")
	equal(t, string(got.Body), "body\x00")
	equal(t, got.Header.Values("X-Mine"), []string{"1", "2"})
	for name := range got.Header {
		holds(t, !strings.HasPrefix(name, "Understudy-") && !strings.HasPrefix(name, "Nats-") && name != "X-Hop", name+" stays here")
	}
}

func TestRequestDefaults(t *testing.T) {
	web := understudytest.Good(t)
	n := startNode(t, services{"orders": over(web)})
	n.ask(t, "orders", nil, "")
	n.ask(t, "orders", nil, "x")
	n.ask(t, "orders", nats.Header{"Understudy-Method": {""}, "Understudy-Path": {""}}, "")
	var got []string
	for _, r := range web.Requests() {
		got = append(got, r.Method+" "+r.URI)
	}
	equal(t, got, []string{"GET /", "POST /", "GET /"})
}

func TestBadInput(t *testing.T) {
	web := understudytest.Good(t)
	n := startNode(t, services{"orders": over(web)})
	big := strings.Repeat("x", 16<<10)
	for name, tc := range map[string]struct {
		header nats.Header
		words  string
	}{
		"timeout unparsable":     {nats.Header{"Understudy-Timeout": {"soon"}}, `header Understudy-Timeout: "soon" is not a duration like 1.5s`},
		"timeout without a unit": {nats.Header{"Understudy-Timeout": {"5"}}, `header Understudy-Timeout: "5" is not a duration like 1.5s`},
		"timeout negative":       {nats.Header{"Understudy-Timeout": {"-1s"}}, `header Understudy-Timeout: "-1s" is not a duration like 1.5s`},
		"timeout overflow":       {nats.Header{"Understudy-Timeout": {"9999999h"}}, `header Understudy-Timeout: "9999999h" is not a duration like 1.5s`},
		"timeout twice":          {nats.Header{"Understudy-Timeout": {"1s", "2s"}}, "header Understudy-Timeout is there 2 times"},
		"timeout misspelled":     {nats.Header{"understudy-timeout": {"1s"}}, `header "understudy-timeout" is written Understudy-Timeout`},
		"deadline unparsable":    {nats.Header{"Understudy-Deadline": {"2025-01-01"}}, `header Understudy-Deadline: "2025-01-01" is not a time in Unix milliseconds`},
		"idempotent":             {nats.Header{"Understudy-Idempotent": {"yes"}}, `header Understudy-Idempotent: "yes" is neither true nor false`},
		"method is no token":     {nats.Header{"Understudy-Method": {"GET /"}}, `method "GET /" is not a token`},
		"path without slash":     {nats.Header{"Understudy-Path": {"orders"}}, `path "orders" does not begin with /`},
		"path is a URL":          {nats.Header{"Understudy-Path": {"http://elsewhere/"}}, `path "http://elsewhere/" does not begin with /`},
		"path with a space":      {nats.Header{"Understudy-Path": {"/a HTTP/1.1"}}, `path "/a HTTP/1.1" has a space, a control character or a fragment`},
		"key with a control":     {nats.Header{"Understudy-Key": {"a\x01b"}}, "header Understudy-Key has a control character"},
		"header value too large": {nats.Header{"X-Big": {big + "x"}}, `header "X-Big" has 16385 bytes: 16384 at most`},
		"headers too large":      {nats.Header{"A": {big}, "B": {big}, "C": {big}, "D": {big}}, "the headers have 65540 bytes: 65536 at most"},
	} {
		t.Run(name, func(t *testing.T) {
			p := problem(t, n.ask(t, "orders", tc.header, ""))
			equal(t, p.Code, messages.CodeInvalidRequest)
			equal(t, p.Status, 400)
			equal(t, p.Detail, tc.words)
			equal(t, p.Service, "orders")
		})
	}
	equal(t, web.Hits(), 0)
}

// nats.go sends no line breaks and no header that has no name; somebody else's
// client does.
func TestRawHeadersAreRefused(t *testing.T) {
	web := understudytest.Good(t)
	n := startNode(t, services{"orders": over(web)})
	for name, line := range map[string]string{
		"in ours": "Understudy-Key: a\rb", "in another": "X-Other: a\rb", "in the path": "Understudy-Path: /a\rb", "no token": "X(Y): z",
	} {
		t.Run(name, func(t *testing.T) {
			raw := dialRaw(t, n.server)
			raw.send("SUB inbox 1\r\n")
			header := "NATS/1.0\r\n" + line + "\r\n\r\n"
			raw.send(fmt.Sprintf("HPUB understudy.request.orders inbox %d %d\r\n%s\r\n", len(header), len(header), header))
			contains(t, raw.until("Understudy-Error"), "Understudy-Error: INVALID_REQUEST")
		})
	}
	equal(t, web.Hits(), 0)
}

func TestExpiredDeadlineReachesNoEndpoint(t *testing.T) {
	web := understudytest.Good(t)
	n := startNode(t, services{"orders": over(web)})
	for _, at := range []int64{time.Now().Add(-time.Millisecond).UnixMilli(), 0, -1 << 60} {
		p := problem(t, n.ask(t, "orders", nats.Header{"Understudy-Deadline": {strconv.FormatInt(at, 10)}}, ""))
		equal(t, p.Code, messages.CodeTimeout)
		equal(t, p.Status, 504)
	}
	equal(t, web.Hits(), 0)
	far := nats.Header{"Understudy-Deadline": {"9223372036854775807"}, "Understudy-Timeout": {"2562047h"}}
	equal(t, n.ask(t, "orders", far, "").Header.Get("Understudy-Status"), "200")
}

func TestUnknownServiceHasNoResponders(t *testing.T) {
	n := startNode(t, services{"orders": over(understudytest.Good(t))})
	_, err := n.caller.Request("understudy.request.payments", nil, patience)
	errorIs(t, err, nats.ErrNoResponders)
}

func TestFailoverShowsInTheHeaders(t *testing.T) {
	good := understudytest.Good(t)
	c := over(good, good)
	c.Strategy.Pick = "priority"
	c.Endpoints[0].URL = understudytest.Dead(t)
	c.Endpoints[1].Priority = 1
	n := startNode(t, services{"orders": c})
	reply := n.ask(t, "orders", nil, "")
	equal(t, reply.Header.Get("Understudy-Status"), "200")
	equal(t, reply.Header.Get("Understudy-Endpoint"), "orders-2")
	equal(t, reply.Header.Get("Understudy-Attempts"), "2")
	equal(t, reply.Header.Get("Understudy-Error"), "")
}

// The main job: a service dies under load and no caller notices.
func TestKilledServiceIsNotNoticed(t *testing.T) {
	one, two := understudytest.Good(t), understudytest.Good(t)
	c := over(one, two)
	c.Strategy.Pick = "round_robin"
	n := startNode(t, services{"orders": c})
	const callers, each = 8, 100
	var wg sync.WaitGroup
	failed := make(chan string, callers*each)
	for range callers {
		wg.Go(func() {
			for i := range each {
				if i == each/2 {
					one.Drop()
				}
				msg, err := n.caller.Request("understudy.request.orders", nil, patience)
				if err != nil {
					failed <- err.Error()
				} else if msg.Header.Get("Understudy-Status") != "200" {
					failed <- string(msg.Data)
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	for f := range failed {
		t.Error(f)
	}
	holds(t, one.Hits() > 0 && two.Hits() > callers*each/2, "both served")
}

func TestLastAnswerIsHandedOn(t *testing.T) {
	web := understudytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Own", "theirs")
		status, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		w.WriteHeader(status)
		_, _ = w.Write([]byte("sorry"))
	}))
	c := over(web, web)
	c.Retry = retry.Config{MaxAttempts: 2}
	n := startNode(t, services{"orders": c})

	reply := n.ask(t, "orders", nats.Header{"Understudy-Path": {"/503"}}, "")
	equal(t, string(reply.Data), "sorry")
	equal(t, reply.Header.Get("X-Own"), "theirs")
	equal(t, reply.Header.Get("Understudy-Status"), "503")
	equal(t, reply.Header.Get("Understudy-Attempts"), "2")
	equal(t, reply.Header.Get("Understudy-Error"), "RETRY_EXHAUSTED")
	equal(t, reply.Header.Get("Nats-Service-Error-Code"), "503")
	equal(t, reply.Header.Get("Nats-Service-Error"), "RETRY_EXHAUSTED: all 2 attempts failed, the last: status 503")

	reply = n.ask(t, "orders", nats.Header{"Understudy-Path": {"/404"}}, "")
	equal(t, reply.Header.Get("Understudy-Status"), "404")
	equal(t, reply.Header.Get("Understudy-Error")+reply.Header.Get("Nats-Service-Error"), "")

	reply = n.ask(t, "orders", nats.Header{"Understudy-Path": {"/429"}}, "")
	equal(t, reply.Header.Get("Understudy-Status"), "429")
	holds(t, reply.Header.Get("Understudy-Error") != "" && reply.Header.Get("Retry-After") != "", "it says that it failed, and when to come back")
	equal(t, reply.Header.Get("Nats-Service-Error"), "") // from 500 up
}

// What the endpoint says of its pause is its own word, and is not shortened.
func TestRetryAfterOfTheEndpointStays(t *testing.T) {
	n := startNode(t, services{"orders": function(func(context.Context, *messages.Request) (*messages.Response, error) {
		return &messages.Response{Status: 503, Header: messages.Header{"Retry-After": {"9999"}}}, nil
	})})
	equal(t, n.ask(t, "orders", nil, "").Header.Values("Retry-After"), []string{"9999"})
}

func TestRefusalIsAProblem(t *testing.T) {
	dead := understudytest.Dead(t)
	n := startNode(t, services{
		"empty": {},
		"dead":  {Endpoints: []actors.Endpoint{{ID: "one", URL: dead}, {ID: "two", URL: dead}}},
		"cool": function(func(context.Context, *messages.Request) (*messages.Response, error) {
			return &messages.Response{Status: 429, Header: messages.Header{"Retry-After": {"7"}}}, nil
		}),
	})
	p := problem(t, n.ask(t, "empty", nil, ""))
	equal(t, p.Code, messages.CodeNoEndpoints)
	equal(t, p.Status, 503)
	equal(t, p.Service, "empty")

	reply := n.ask(t, "dead", nil, "")
	p = problem(t, reply)
	equal(t, p.Code, messages.CodeRetryExhausted)
	equal(t, p.Status, 502)
	equal(t, reply.Header.Get("Understudy-Attempts"), "3")
	equal(t, len(p.Attempts), 3)
	equal(t, p.Attempts[0].Code, messages.CodeConnectionError)
	equal(t, p.Attempts[0].Words, "connection refused")
	holds(t, p.Attempts[0].Duration > 0, "it took a moment")
	lacks(t, string(reply.Data)+reply.Header.Get("Nats-Service-Error"), "127.0.0.1")

	n.ask(t, "cool", nil, "")
	reply = n.ask(t, "cool", nil, "")
	p = problem(t, reply)
	equal(t, p.Code, messages.CodeRateLimited)
	equal(t, reply.Header.Get("Retry-After"), "7") // rounded up
	holds(t, p.RetryAfter > 5000 && p.RetryAfter <= 7000, "in milliseconds")
}

func TestFallbackIsMarked(t *testing.T) {
	c := actors.ServiceConfig{Fallback: &actors.Fallback{Status: 200, Body: "later"}}
	n := startNode(t, services{"orders": c})
	reply := n.ask(t, "orders", nil, "")
	equal(t, string(reply.Data), "later")
	equal(t, reply.Header.Get("Understudy-Status"), "200")
	equal(t, reply.Header.Get("Understudy-Fallback"), "true")
	equal(t, reply.Header.Get("Understudy-Error"), "")
}

// A service that answers more than NATS carries has done what was asked of it:
// nobody is asked again.
func TestAnswerTooLargeForNATS(t *testing.T) {
	var calls, size int
	n := startNode(t, services{"orders": function(func(context.Context, *messages.Request) (*messages.Response, error) {
		calls++
		return &messages.Response{Body: make([]byte, size)}, nil
	})})
	size = int(n.nc.MaxPayload())
	p := problem(t, n.ask(t, "orders", nats.Header{"Understudy-Idempotent": {"true"}}, ""))
	equal(t, p.Code, messages.CodePayloadTooLarge)
	equal(t, p.Status, 502)
	equal(t, p.Endpoint, "fn")
	equal(t, calls, 1)
	size -= 1024
	equal(t, len(n.ask(t, "orders", nil, "").Data), size)
}

// What a Go function does wrong costs its own request.
func TestFunctionsThatMisbehave(t *testing.T) {
	header := messages.Header{"X-Static": {"same each time"}, "Connection": {"close"}}
	n := startNode(t, services{"orders": function(func(_ context.Context, m *messages.Request) (*messages.Response, error) {
		switch m.Path {
		case "/panic":
			panic("password=hidden")
		case "/header":
			return &messages.Response{Header: messages.Header{"X Y": {"z"}}}, nil
		case "/error":
			return nil, errors.New("no user@host at https://u:hidden@h/")
		}
		return &messages.Response{Header: header, Body: []byte("fine")}, nil
	})})
	once := func(path string) nats.Header {
		return nats.Header{"Understudy-Path": {path}, "Understudy-Method": {"POST"}}
	}
	for path, code := range map[string]messages.Code{"/panic": messages.CodeInternal, "/header": messages.CodeInternal, "/error": messages.CodeRetryExhausted} {
		reply := n.ask(t, "orders", once(path), "")
		equal(t, problem(t, reply).Code, code)
		lacks(t, string(reply.Data), "hidden")
		reply = n.ask(t, "orders", once("/"), "")
		equal(t, string(reply.Data), "fine")
		equal(t, reply.Header.Get("X-Static"), "same each time")
	}
	equal(t, len(header), 2) // nobody wrote into it
}

func TestRequestWithoutReplyIsServed(t *testing.T) {
	served := make(chan string, 1)
	n := startNode(t, services{"orders": function(func(_ context.Context, m *messages.Request) (*messages.Response, error) {
		served <- string(m.Body)
		return &messages.Response{}, nil
	})})
	noError(t, n.caller.Publish("understudy.request.orders", []byte("fire and forget")))
	equal(t, receive(t, served, "the request"), "fire and forget")
}

// A function sees nothing that was meant for us or for NATS.
func TestFunctionsSeeTheCallersHeadersOnly(t *testing.T) {
	seen := make(chan messages.Request, 1)
	n := startNode(t, services{"orders": function(func(_ context.Context, m *messages.Request) (*messages.Response, error) {
		seen <- *m
		return &messages.Response{}, nil
	})})
	n.ask(t, "orders", nats.Header{"Understudy-Key": {"k"}, "nats-x": {"1"}, "idempotency-key": {"i"}, "traceparent": {parent}}, "x")
	got := receive(t, seen, "the request")
	equal(t, got.Header, messages.Header{"idempotency-key": {"i"}, "traceparent": {parent}})
	equal(t, got.Key, "k")
	holds(t, got.Idempotent, "by its key")
}

func TestServicesComeAndGo(t *testing.T) {
	n := startNode(t, nil)
	events, err := n.caller.SubscribeSync("understudy.event.orders._.*")
	noError(t, err)
	noError(t, n.caller.Flush())
	await := func(kind string) {
		t.Helper()
		msg, err := events.NextMsg(patience)
		noError(t, err)
		equal(t, msg.Subject, "understudy.event.orders._."+kind)
	}
	for range 3 {
		_, err := n.sys.AddService("orders", function(func(context.Context, *messages.Request) (*messages.Response, error) {
			return &messages.Response{}, nil
		}))
		noError(t, err)
		await("service_added")
		equal(t, n.ask(t, "orders", nil, "").Header.Get("Understudy-Status"), "200")
		noError(t, n.sys.RemoveService("orders"))
		await("service_removed")
		_, err = n.caller.Request("understudy.request.orders", nil, patience)
		errorIs(t, err, nats.ErrNoResponders)
	}
}

func TestDrainLosesNothing(t *testing.T) {
	const inside = 50
	entered, leave := make(chan struct{}, 10_000), make(chan struct{})
	n := startNode(t, services{"orders": function(func(ctx context.Context, _ *messages.Request) (*messages.Response, error) {
		entered <- struct{}{}
		<-leave
		return &messages.Response{Body: []byte("done")}, nil
	})})
	answers, err := n.caller.SubscribeSync("answers")
	noError(t, err)
	for range inside {
		noError(t, n.caller.PublishRequest("understudy.request.orders", "answers", nil))
	}
	for range inside {
		receive(t, entered, "a request to be under way")
	}
	drained := make(chan error, 1)
	go func() { drained <- n.door.Drain(context.Background()) }()
	for {
		_, err := n.caller.Request("understudy.request.orders", nil, time.Millisecond)
		if errors.Is(err, nats.ErrNoResponders) {
			break
		}
		// It was accepted before the door closed: it is one of those to be answered.
		errorIs(t, err, nats.ErrTimeout)
	}
	select {
	case err := <-drained:
		t.Fatalf("drained with requests under way: %v", err)
	default:
	}
	close(leave)
	noError(t, receive(t, drained, "the drain"))
	for range inside {
		msg, err := answers.NextMsg(patience)
		noError(t, err)
		equal(t, string(msg.Data), "done")
	}
	noError(t, n.door.Drain(context.Background())) // again
}

func TestDrainEndsWithItsContext(t *testing.T) {
	entered := make(chan struct{})
	n := startNode(t, services{"orders": function(func(ctx context.Context, _ *messages.Request) (*messages.Response, error) {
		close(entered)
		<-ctx.Done()
		return nil, ctx.Err()
	})})
	reply := n.caller.NewInbox()
	answers, err := n.caller.SubscribeSync(reply)
	noError(t, err)
	noError(t, n.caller.PublishRequest("understudy.request.orders", reply, nil))
	receive(t, entered, "the request")
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	errorIs(t, n.door.Drain(ctx), context.DeadlineExceeded)
	n.door.Close()
	msg, err := answers.NextMsg(patience)
	noError(t, err)
	equal(t, problem(t, msg).Code, messages.CodeClosed)
}

func TestNilDoor(t *testing.T) {
	var d *cluster.Door
	noError(t, d.Drain(context.Background()))
	d.Close()
}

func TestOpenRefuses(t *testing.T) {
	sys := actors.New(actors.Options{})
	defer func() { noError(t, sys.Close()) }()
	_, err := cluster.Open(nil, sys, cluster.DoorConfig{Prefix: "a..b", Node: "a b"})
	errorIs(t, err, messages.ErrInvalidConfig)
	for _, part := range []string{"connection to NATS cannot be nil", "prefix: name cannot be empty", `node: name "a b"`} {
		contains(t, err.Error(), part)
	}
	nc := plainClient(t, startServer(t, embedded.Config{}, nil))
	nc.Close()
	_, err = cluster.Open(nc, sys, cluster.DoorConfig{})
	errorIs(t, err, nats.ErrConnectionClosed)
}

// Other prefixes are other worlds.
func TestPrefix(t *testing.T) {
	web := understudytest.Good(t)
	n := startNode(t, services{"orders": over(web)}, func(c *cluster.DoorConfig) { c.Prefix = "shop.understudy" })
	_, err := n.caller.Request("shop.understudy.request.orders", nil, patience)
	noError(t, err)
	_, err = n.caller.Request("understudy.request.orders", nil, patience)
	errorIs(t, err, nats.ErrNoResponders)
}

// The tools that know NATS services find ours (ADR-32).
func TestMicroDiscovery(t *testing.T) {
	web := understudytest.Good(t)
	n := startNode(t, services{"orders": over(web)}, func(c *cluster.DoorConfig) { c.Version = "v1.2.3-rc1" })
	n.ask(t, "orders", nil, "")
	n.ask(t, "orders", nats.Header{"Understudy-Timeout": {"x"}}, "")
	var ping micro.Ping
	var info micro.Info
	var stats micro.Stats
	for subject, into := range map[string]any{"$SRV.PING": &ping, "$SRV.INFO.understudy": &info, "$SRV.STATS.understudy": &stats} {
		msg, err := n.caller.Request(subject, nil, patience)
		noError(t, err)
		noError(t, json.Unmarshal(msg.Data, into))
	}
	for _, id := range []micro.ServiceIdentity{ping.ServiceIdentity, info.ServiceIdentity, stats.ServiceIdentity} {
		equal(t, id.Name, "understudy")
		equal(t, id.Version, "1.2.3")
		equal(t, id.Metadata, map[string]string{"service": "orders", "node": "a"})
	}
	equal(t, info.Endpoints[0].Subject, "understudy.request.orders")
	equal(t, info.Endpoints[0].QueueGroup, "orders")
	equal(t, stats.Endpoints[0].NumRequests, 2)
	var data struct{ Requests, Failures, Inflight int }
	noError(t, json.Unmarshal(stats.Endpoints[0].Data, &data))
	equal(t, data, struct{ Requests, Failures, Inflight int }{2, 1, 0})
}

// Two nodes share the load of one service.
func TestNodesShareAQueueGroup(t *testing.T) {
	server := startServer(t, embedded.Config{}, nil)
	named := func(name string) services {
		return services{"orders": function(func(context.Context, *messages.Request) (*messages.Response, error) {
			return &messages.Response{Body: []byte(name)}, nil
		})}
	}
	a, b := joinNode(t, server, "a", named("a")), joinNode(t, server, "b", named("b"))
	count := map[string]int{}
	for range 200 {
		count[string(a.ask(t, "orders", nil, "").Data)]++
	}
	holds(t, count["a"]+count["b"] == 200 && count["a"] > 50 && count["b"] > 50, fmt.Sprint(count))
	noError(t, b.door.Drain(context.Background()))
	for range 50 {
		equal(t, string(a.ask(t, "orders", nil, "").Data), "a")
	}
}
