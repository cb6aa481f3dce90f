package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/understudy-go/understudy/messages"
)

// Request sends m to a service, whichever node serves it, and returns the answer.
// When the last attempt got an answer that counts as a failure, both response and
// error are there. Of the attempts that led to an answer only the number is
// known, and the last one's endpoint and status.
//
// ctx bounds the wait, and its deadline goes along; without one, a node that dies
// leaves its caller waiting for ever. A trace in ctx goes along too.
//
// Errors are *messages.Error, NOT_FOUND where no node serves the service, or an
// [UnreachableError] without a connection.
func (c *Client) Request(ctx context.Context, service string, m *messages.Request) (*messages.Response, error) {
	if err := messages.CheckName(service); err != nil {
		return nil, &messages.Error{Code: messages.CodeInvalidRequest, Words: "service", Err: err}
	}
	header, refused := encode(ctx, m)
	if refused != nil {
		refused.Service = service
		return nil, refused
	}
	msg, err := c.nc.RequestMsgWithContext(ctx, &nats.Msg{Subject: messages.RequestSubject(c.prefix, service), Header: header, Data: m.Body})
	if errors.Is(err, nats.ErrNoResponders) {
		return nil, &messages.Error{Code: messages.CodeNotFound, Service: service, Words: "no node serves it"}
	}
	if err != nil {
		err = c.failure(ctx, err)
		var e *messages.Error
		if errors.As(err, &e) {
			e.Service = service
		}
		return nil, err
	}
	return readReply(service, msg)
}

// encode writes down a request's header.
func encode(ctx context.Context, m *messages.Request) (nats.Header, *messages.Error) {
	h := make(nats.Header, len(m.Header)+8)
	maps.Copy(h, m.Header)
	set := func(name, value string) {
		if value != "" {
			h[name] = []string{value}
		}
	}
	set(messages.HeaderMethod, m.Method)
	set(messages.HeaderPath, m.Path)
	set(messages.HeaderKey, m.Key)
	timeout := m.Timeout
	if end, ok := ctx.Deadline(); ok {
		if left := max(time.Until(end), time.Millisecond); timeout == 0 || left < timeout {
			timeout = left // as a duration: clocks need not agree
		}
	}
	if timeout != 0 {
		set(messages.HeaderTimeout, timeout.String())
	}
	if !m.Deadline.IsZero() {
		set(messages.HeaderDeadline, strconv.FormatInt(m.Deadline.UnixMilli(), 10))
	}
	if m.Idempotent {
		set(messages.HeaderIdempotent, "true")
	}
	propagator.Inject(ctx, Carrier(h))
	for name, values := range h {
		for _, v := range values {
			if strings.ContainsAny(v, "\r\n") { // NATS would make spaces of them
				return nil, invalid("header %.64q has a line break", name)
			}
		}
	}
	return h, nil
}

// readReply reads what the front door wrote.
func readReply(service string, msg *nats.Msg) (*messages.Response, error) {
	status, err := strconv.Atoi(msg.Header.Get(messages.HeaderStatus))
	if err != nil {
		return nil, &messages.Error{Code: messages.CodeInternal, Service: service, Words: "the answer is not one of Understudy's"}
	}
	code := messages.Code(msg.Header.Get(messages.HeaderError))
	endpoint := msg.Header.Get(messages.HeaderEndpoint)
	var failed *messages.Error
	if code != "" {
		failed = readFailure(service, code, msg)
		if endpoint == "" {
			return nil, failed
		}
		failed.Endpoint = endpoint
	}
	resp := &messages.Response{Status: status, Header: messages.Header{}, Body: msg.Data, Endpoint: endpoint,
		Fallback: msg.Header.Get(messages.HeaderFallback) == "true", Cache: messages.Cache(msg.Header.Get(messages.HeaderCache)), Err: failed}
	for name, values := range msg.Header {
		if !hasPrefixFold(name, ownPrefix) && !hasPrefixFold(name, natsPrefix) {
			resp.Header[name] = values
		}
	}
	if n, err := strconv.Atoi(msg.Header.Get(messages.HeaderAttempts)); err == nil && n > 0 && n <= attemptsMax {
		resp.Attempts = make([]messages.Attempt, n)
		resp.Attempts[n-1] = messages.Attempt{Endpoint: endpoint, Status: status}
	}
	if failed != nil {
		failed.Attempts = resp.Attempts
		return resp, failed
	}
	return resp, nil
}

// attemptsMax bounds what a stranger can make us allocate.
const attemptsMax = 1024

// readFailure reads the problem document, or what the headers tell of it.
func readFailure(service string, code messages.Code, msg *nats.Msg) *messages.Error {
	var p messages.Problem
	if msg.Header.Get(messages.HeaderEndpoint) == "" && json.Unmarshal(msg.Data, &p) == nil && p.Code == code {
		return p.Err()
	}
	e := &messages.Error{Code: code, Service: service}
	if _, words, ok := strings.Cut(msg.Header.Get(messages.HeaderNATSError), ": "); ok {
		e.Words = words
	}
	if s, err := strconv.ParseInt(msg.Header.Get(messages.HeaderRetryAfter), 10, 32); err == nil && s > 0 {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	return e
}
