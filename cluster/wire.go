package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/understudy-go/understudy/actors/transport"
	httptransport "github.com/understudy-go/understudy/actors/transport/http"
	"github.com/understudy-go/understudy/messages"
)

// This file is the front door's side of the wire: what the headers of a
// request mean, and how an answer is written.

// Bounds on the headers of one request, in bytes.
const (
	headerMax  = 16 << 10 // one value
	headersMax = 64 << 10 // names and values together
)

// waitMax is the longest timeout that is told from none. It keeps sums of times
// within what a time.Duration can hold.
const waitMax = 365 * 24 * time.Hour

const (
	ownPrefix  = "Understudy-"
	natsPrefix = "Nats-"
)

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// decode reads a message into m, whose header is what is left of the message's:
// ours and NATS's own are taken out of it. What every way in must refuse, a path
// that does not begin with a slash, say, is left to the service.
func decode(m *messages.Request, header nats.Header, body []byte) *messages.Error {
	size := 0
	for name, values := range header {
		for _, v := range values {
			size += len(name) + len(v)
			if len(v) > headerMax {
				return invalid("header %.64q has %d bytes: %d at most", name, len(v), headerMax)
			}
		}
		switch {
		case hasPrefixFold(name, ownPrefix):
			if err := decodeOwn(m, name, values); err != nil {
				return err
			}
			delete(header, name)
		case hasPrefixFold(name, natsPrefix):
			delete(header, name)
		case strings.EqualFold(name, messages.HeaderIdempotencyKey):
			m.Idempotent = true
		}
	}
	if size > headersMax {
		return invalid("the headers have %d bytes: %d at most", size, headersMax)
	}
	m.Header, m.Body = messages.Header(header), body
	return nil
}

// decodeOwn reads a header that is addressed to us. One that we do not know is
// passed over: it may be a later version's.
func decodeOwn(m *messages.Request, name string, values []string) *messages.Error {
	known := http.CanonicalHeaderKey(name)
	switch known {
	case messages.HeaderMethod, messages.HeaderPath, messages.HeaderKey, messages.HeaderTimeout, messages.HeaderDeadline, messages.HeaderIdempotent:
	default:
		return nil
	}
	// A timeout that is not seen because of its spelling would be a surprise.
	if known != name {
		return invalid("header %q is written %s", name, known)
	}
	if len(values) != 1 {
		return invalid("header %s is there %d times", name, len(values))
	}
	v := values[0]
	if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return invalid("header %s has a control character", name)
	}
	switch name {
	case messages.HeaderMethod:
		m.Method = v
	case messages.HeaderPath:
		m.Path = v
	case messages.HeaderKey:
		m.Key = v
	case messages.HeaderTimeout:
		d, err := time.ParseDuration(v)
		if err != nil || d < 0 {
			return invalid("header %s: %.32q is not a duration like 1.5s", name, v)
		}
		m.Timeout = min(d, waitMax)
	case messages.HeaderDeadline:
		ms, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return invalid("header %s: %.32q is not a time in Unix milliseconds", name, v)
		}
		if at := time.UnixMilli(ms); time.Until(at) < waitMax {
			m.Deadline = at
		}
	case messages.HeaderIdempotent:
		if v != "true" && v != "false" {
			return invalid("header %s: %.32q is neither true nor false", name, v)
		}
		m.Idempotent = m.Idempotent || v == "true"
	}
	return nil
}

func invalid(format string, a ...any) *messages.Error {
	return &messages.Error{Code: messages.CodeInvalidRequest, Words: fmt.Sprintf(format, a...)}
}

// answer writes down what a request came to: the endpoint's answer, an error, or
// both, where the last attempt got an answer that counts as a failure.
func answer(service string, resp *messages.Response, err error) (*nats.Msg, *messages.Error) {
	var failed *messages.Error
	if err != nil {
		failed = public(service, err)
	}
	if resp == nil || resp.Status == 0 {
		if failed == nil {
			failed = &messages.Error{Code: messages.CodeInternal, Service: service, Words: "neither an answer nor an error"}
		}
		return refusal(failed, status(failed)), failed
	}
	h := answerHeader(resp)
	if failed != nil {
		h[messages.HeaderError] = []string{string(failed.Code)}
		if _, asked := h[messages.HeaderRetryAfter]; !asked {
			setRetryAfter(h, failed)
		}
		if resp.Status >= 500 {
			setServiceError(h, failed, resp.Status)
		}
	}
	return &nats.Msg{Header: h, Data: resp.Body}, failed
}

// answerHeader is the endpoint's own header with ours. It is made anew: a Go
// function may give the same map each time.
func answerHeader(resp *messages.Response) nats.Header {
	h := make(nats.Header, len(resp.Header)+4)
	for name, values := range resp.Header {
		if !hasPrefixFold(name, ownPrefix) && !hasPrefixFold(name, natsPrefix) {
			h[name] = values
		}
	}
	if len(h) > 0 {
		httptransport.StripHopByHop(http.Header(h))
	}
	ours := [3]string{strconv.Itoa(resp.Status), strconv.Itoa(len(resp.Attempts)), resp.Endpoint}
	h[messages.HeaderStatus] = ours[0:1:1]
	h[messages.HeaderAttempts] = ours[1:2:2]
	if resp.Endpoint != "" {
		h[messages.HeaderEndpoint] = ours[2:3:3]
	}
	if resp.Fallback {
		h[messages.HeaderFallback] = []string{"true"}
	}
	if resp.Cache != "" {
		h[messages.HeaderCache] = []string{string(resp.Cache)}
	}
	return h
}

// status is the error's, but for an answer that was too large: 413 would blame the request.
func status(e *messages.Error) int {
	if e.Code == messages.CodePayloadTooLarge && len(e.Attempts) > 0 {
		return http.StatusBadGateway
	}
	return e.Status()
}

// refusal is an error without an endpoint's answer.
func refusal(e *messages.Error, status int) *nats.Msg {
	h := nats.Header{
		messages.HeaderStatus: {strconv.Itoa(status)},
		messages.HeaderError:  {string(e.Code)},
		"Content-Type":        {messages.ContentTypeProblem},
	}
	if n := len(e.Attempts); n > 0 {
		h[messages.HeaderAttempts] = []string{strconv.Itoa(n)}
	}
	setRetryAfter(h, e)
	setServiceError(h, e, status)
	body, err := json.Marshal(messages.NewProblem(e, status))
	if err != nil { // it holds nothing that has no JSON
		body = nil
	}
	return &nats.Msg{Header: h, Data: body}
}

// setServiceError has micro clients see the failure.
func setServiceError(h nats.Header, e *messages.Error, status int) {
	h[messages.HeaderNATSErrorCode] = []string{strconv.Itoa(status)}
	h[messages.HeaderNATSError] = []string{string(e.Code) + ": " + messages.NewProblem(e, status).Words()}
}

// setRetryAfter writes seconds, rounded up, so that nobody comes too early.
func setRetryAfter(h nats.Header, e *messages.Error) {
	if e.RetryAfter > 0 {
		h[messages.HeaderRetryAfter] = []string{strconv.FormatInt(int64((e.RetryAfter-1)/time.Second)+1, 10)}
	}
}

// public is err as a stranger may read it: with its service, and with the words
// for its cause that hold no addresses and no secrets. What is no error of ours
// is that of a Go function.
func public(service string, err error) *messages.Error {
	var e *messages.Error
	if !errors.As(err, &e) {
		e = &messages.Error{Code: messages.CodeInternal, Words: transport.Words(err)}
	}
	out := *e
	if out.Service == "" {
		out.Service = service
	}
	if out.Err != nil {
		out.Err = errors.New(transport.Words(out.Err))
	}
	return &out
}
