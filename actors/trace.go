package actors

import (
	"context"
	"fmt"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/understudy-go/understudy/messages"
)

// One client span per attempt, siblings under whatever span the caller's context
// holds; waits and refusals are events on that one. Without a tracer provider
// none of this runs.

// propagator carries trace context in and out: W3C trace context and baggage.
var propagator = propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})

func (c *call) startSpan() {
	name := c.method
	if name == "" {
		name = c.cell.name
	}
	attrs := []attribute.KeyValue{
		attribute.String("understudy.service", c.cell.name),
		attribute.String("understudy.endpoint.id", c.target.ID()),
		attribute.Int("understudy.attempt.number", c.attempt),
	}
	if c.method != "" {
		attrs = append(attrs, attribute.String("http.request.method", c.method))
		if c.attempt > 1 {
			attrs = append(attrs, attribute.Int("http.request.resend_count", c.attempt-1))
		}
	}
	state := "closed"
	if c.lease.permit.Trial {
		state = "half_open"
	}
	attrs = append(attrs, attribute.String("understudy.breaker.state", state))
	c.attemptCtx, c.span = c.cell.sys.tracer.Start(c.attemptCtx, name,
		trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attrs...))
}

// endSpan closes the attempt's span with what came of it.
func (c *call) endSpan(j *judgement, r *result, status int) {
	c.span.SetAttributes(attribute.String("understudy.outcome", j.outcome.String()))
	if status > 0 {
		c.span.SetAttributes(attribute.Int("http.response.status_code", status))
	}
	if j.outcome != messages.Success && !r.lost {
		errorType := string(j.code)
		if status > 0 {
			errorType = fmt.Sprint(status)
		}
		c.span.SetAttributes(attribute.String("error.type", errorType))
		c.span.SetStatus(codes.Error, r.failure)
	}
	c.span.End()
	c.span = nil
}

// spanEvent notes on the caller's span what happened between two attempts.
func (c *call) spanEvent(name, format string, a ...any) {
	c.cell.sys.spanEvent(c.ctx, name, format, a...)
}

func (s *System) spanEvent(ctx context.Context, name, format string, a ...any) {
	if s.tracer == nil {
		return
	}
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.AddEvent(name, trace.WithAttributes(attribute.String("understudy.reason", fmt.Sprintf(format, a...))))
	}
}

// inject writes the attempt's trace context into the request's headers.
func (c *call) inject(h http.Header) {
	if c.span != nil {
		propagator.Inject(c.attemptCtx, propagation.HeaderCarrier(h))
	}
}

// extract takes the trace context that a message brought.
func extract(ctx context.Context, h messages.Header) context.Context {
	if len(h) == 0 {
		return ctx
	}
	return propagator.Extract(ctx, propagation.HeaderCarrier(http.Header(h)))
}
