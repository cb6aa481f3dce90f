package cluster

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/understudy-go/understudy/actors"
	"github.com/understudy-go/understudy/messages"
)

// offer is one service at the front door: a NATS service (ADR-32) of its own, so
// that it can be withdrawn without touching the others.
type offer struct {
	door    *Door
	service *actors.Service
	micro   micro.Service
	subject string
	span    string

	// micro times its callback, which only hands off: these are what it cannot see.
	requests, failures, unanswered atomic.Uint64
	inflight                       atomic.Int64
	spent                          atomic.Int64 // nanoseconds
}

// offerStats stand under "data" in the answer to $SRV.STATS.
type offerStats struct {
	Requests   uint64        `json:"requests"`
	Failures   uint64        `json:"failures"`
	Unanswered uint64        `json:"unanswered"` // the answer could not be sent
	Inflight   int64         `json:"inflight"`
	Average    time.Duration `json:"average_ns"` // from a request's arrival to its end
}

func newOffer(d *Door, name string) (*offer, error) {
	subject := messages.RequestSubject(d.config.Prefix, name)
	o := &offer{door: d, service: d.sys.Service(name), subject: subject, span: "process " + subject}
	var err error
	o.micro, err = micro.AddService(d.nc, micro.Config{
		Name:         "understudy",
		Version:      microVersion(d.config.Version),
		Description:  "requests for the service " + name,
		Metadata:     map[string]string{"service": name, "node": d.config.Node},
		StatsHandler: func(*micro.Endpoint) any { return o.stats() },
		Endpoint: &micro.EndpointConfig{
			Subject:    subject,
			QueueGroup: name,
			Handler:    micro.HandlerFunc(o.receive),
			Metadata:   map[string]string{"service": name, "node": d.config.Node},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("service %s cannot be offered over NATS: %w", name, err)
	}
	return o, nil
}

func (o *offer) stats() offerStats {
	s := offerStats{Requests: o.requests.Load(), Failures: o.failures.Load(), Unanswered: o.unanswered.Load(), Inflight: o.inflight.Load()}
	if s.Requests > 0 {
		s.Average = time.Duration(o.spent.Load() / int64(s.Requests))
	}
	return s
}

// delivery is a request that came in.
type delivery struct {
	offer   *offer
	request micro.Request
	arrived time.Time
}

// receive hands off: it runs in the one goroutine of the service's subscription.
func (o *offer) receive(r micro.Request) {
	o.inflight.Add(1)
	j := delivery{o, r, time.Now()}
	switch o.door.workers.submit(j) {
	case full:
		o.finish(j, nil, &messages.Error{Code: messages.CodeOverloaded, Words: fmt.Sprintf("%d requests are under way on this node", inflightMax)})
	case stopped:
		o.finish(j, nil, &messages.Error{Code: messages.CodeClosed})
	}
}

// serve answers one request, in a worker. A user's function that panics, or ends
// its goroutine, costs its own request and nothing else.
func (j delivery) serve() {
	o := j.offer
	answered := false
	defer func() {
		if answered {
			return
		}
		err := &messages.Error{Code: messages.CodeInternal, Words: "the endpoint's function ended its goroutine"}
		if p := recover(); p != nil {
			err.Words = "the endpoint's function panicked"
			o.door.log.Error("a function panicked over a request", "service", o.service.Name(), "panic", fmt.Sprint(p))
		}
		o.finish(j, nil, err)
	}()
	resp, err := o.request(j.request)
	answered = true
	o.finish(j, resp, err)
}

// request reads the message and asks the service.
func (o *offer) request(r micro.Request) (*messages.Response, error) {
	ctx := o.door.ctx
	m := &messages.Request{Service: o.service.Name()}
	var span trace.Span
	if o.door.tracer != nil {
		ctx, span = o.startSpan(r)
		defer span.End()
	}
	if err := decode(m, nats.Header(r.Headers()), r.Data()); err != nil {
		endSpan(span, nil, err)
		return nil, err
	}
	resp, err := o.service.Request(ctx, m)
	if err != nil && o.door.ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = &messages.Error{Code: messages.CodeClosed, Err: err} // it was us, not the caller
	}
	endSpan(span, resp, err)
	return resp, err
}

// finish counts, so that whoever has the answer finds it counted, and answers.
func (o *offer) finish(j delivery, resp *messages.Response, err error) {
	msg, failed := answer(o.service.Name(), resp, err)
	o.requests.Add(1)
	if failed != nil {
		o.failures.Add(1)
	}
	o.spent.Add(int64(time.Since(j.arrived)))
	o.inflight.Add(-1)
	if j.request.Reply() == "" {
		return // the caller wants no answer
	}
	if sent := o.send(j.request.Reply(), msg, resp); sent != nil && failed == nil {
		o.failures.Add(1)
	}
}

// send publishes the answer. One that NATS does not carry is replaced by an error
// that says so, since a caller who hears nothing waits in vain; it is not
// retried, for the endpoint did what was asked of it.
func (o *offer) send(reply string, msg *nats.Msg, resp *messages.Response) *messages.Error {
	msg.Subject = reply
	err := o.door.nc.PublishMsg(msg)
	if err == nil {
		return nil
	}
	e := &messages.Error{Code: messages.CodePayloadTooLarge, Service: o.service.Name(),
		Words: fmt.Sprintf("the answer of %d bytes and its headers are more than the %d bytes that NATS carries", len(msg.Data), o.door.nc.MaxPayload())}
	status := 502
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
	case errors.Is(err, nats.ErrBadHeaderMsg):
		e.Code, e.Words, status = messages.CodeInternal, "the answer has a header that NATS does not carry", 500
	default:
		o.lost(err)
		return e
	}
	if resp != nil {
		e.Endpoint, e.Attempts = resp.Endpoint, resp.Attempts
	}
	msg = refusal(e, status)
	msg.Subject = reply
	err = o.door.nc.PublishMsg(msg)
	if errors.Is(err, nats.ErrMaxPayload) {
		msg.Data = nil
		err = o.door.nc.PublishMsg(msg)
	}
	if err != nil {
		o.lost(err)
	}
	return e
}

// lost counts an answer that could not be sent: the connection is down, and its
// reporter said so.
func (o *offer) lost(err error) {
	o.unanswered.Add(1)
	o.door.log.Debug("an answer could not be sent", "service", o.service.Name(), "error", err)
}

var propagator = propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})

// startSpan starts the server span of a request, in the caller's trace.
func (o *offer) startSpan(r micro.Request) (context.Context, trace.Span) {
	ctx := propagator.Extract(o.door.ctx, Carrier(r.Headers()))
	return o.door.tracer.Start(ctx, o.span, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		attribute.String("messaging.system", "nats"),
		attribute.String("messaging.operation.name", "process"),
		attribute.String("messaging.operation.type", "process"),
		attribute.String("messaging.destination.name", o.subject),
		attribute.String("messaging.consumer.group.name", o.service.Name()),
		attribute.Int("messaging.message.body.size", len(r.Data())),
		attribute.String("understudy.service", o.service.Name()),
	))
}

// endSpan notes on the span what came of the request; nil: not traced.
func endSpan(span trace.Span, resp *messages.Response, err error) {
	if span == nil {
		return
	}
	if resp != nil {
		span.SetAttributes(attribute.Int("understudy.status", resp.Status), attribute.Int("understudy.attempts", len(resp.Attempts)))
	}
	if err == nil {
		return
	}
	e := public("", err)
	kind := string(e.Code)
	if resp != nil && resp.Status > 0 {
		kind = strconv.Itoa(resp.Status)
	}
	span.SetAttributes(attribute.String("error.type", kind))
	span.SetStatus(codes.Error, e.Error())
}
