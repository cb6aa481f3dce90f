package cluster_test

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/understudy-go/understudy/cluster"
	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/understudytest"
)

func tracing(t *testing.T) (*tracetest.InMemoryExporter, func(*cluster.DoorConfig)) {
	t.Helper()
	memory := tracetest.NewInMemoryExporter()
	provider := trace.NewTracerProvider(trace.WithSyncer(memory))
	t.Cleanup(func() { noError(t, provider.Shutdown(context.Background())) })
	return memory, func(c *cluster.DoorConfig) { c.TracerProvider = provider }
}

func attr(s tracetest.SpanStub, key string) attribute.Value {
	for _, a := range s.Attributes {
		if string(a.Key) == key {
			return a.Value
		}
	}
	return attribute.Value{}
}

// The caller's span ← the process span ← one client span per attempt ← what the
// services see: one tree.
func TestOneTraceTree(t *testing.T) {
	memory, with := tracing(t)
	bad, good := understudytest.Faulty(t, 503, 1), understudytest.Good(t)
	c := over(bad, good)
	c.Strategy.Pick = "round_robin"
	n := startNode(t, services{"orders": c}, with)
	n.ask(t, "orders", nats.Header{"TraceParent": {parent}, "Baggage": {"team=shop"}}, "")

	caller := oteltrace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": parent}))
	spans := memory.GetSpans()
	equal(t, len(spans), 3)
	process := spans[2] // the last to end
	equal(t, process.Name, "process understudy.request.orders")
	equal(t, process.SpanKind, oteltrace.SpanKindServer)
	equal(t, process.Parent.SpanID(), caller.SpanID())
	equal(t, attr(process, "messaging.system").AsString(), "nats")
	equal(t, attr(process, "messaging.operation.type").AsString(), "process")
	equal(t, attr(process, "messaging.destination.name").AsString(), "understudy.request.orders")
	equal(t, attr(process, "understudy.status").AsInt64(), 200)
	equal(t, process.Status.Code, codes.Unset)
	for i, web := range []*understudytest.Server{bad, good} {
		attempt := spans[i]
		equal(t, attempt.SpanKind, oteltrace.SpanKindClient)
		equal(t, attempt.Parent.SpanID(), process.SpanContext.SpanID())
		equal(t, attempt.SpanContext.TraceID(), caller.TraceID())
		got := web.Requests()[0].Header
		equal(t, got.Values("Traceparent"), []string{"00-" + caller.TraceID().String() + "-" + attempt.SpanContext.SpanID().String() + "-01"})
		equal(t, got.Get("Baggage"), "team=shop")
	}
}

func TestProcessSpanTellsOfFailure(t *testing.T) {
	memory, with := tracing(t)
	n := startNode(t, services{"orders": {}}, with)
	for _, tc := range []struct {
		header nats.Header
		code   messages.Code
	}{{nil, messages.CodeNoEndpoints}, {nats.Header{"Understudy-Timeout": {"x"}}, messages.CodeInvalidRequest}} {
		memory.Reset()
		n.ask(t, "orders", tc.header, "")
		spans := memory.GetSpans()
		equal(t, len(spans), 1)
		equal(t, attr(spans[0], "error.type").AsString(), string(tc.code))
		equal(t, spans[0].Status.Code, codes.Error)
	}
}

// The client puts its caller's trace on the way.
func TestClientPassesTheTraceOn(t *testing.T) {
	memory, with := tracing(t)
	n := startNode(t, services{"orders": over(understudytest.Good(t))}, with)
	ctx := propagation.TraceContext{}.Extract(t.Context(), propagation.MapCarrier{"traceparent": parent})
	_, err := cluster.NewClient(n.caller, "").Request(ctx, "orders", &messages.Request{})
	noError(t, err)
	equal(t, memory.GetSpans()[1].Parent.SpanID().String(), "b7ad6b7169203331")
}

// Without a provider a trace goes through untouched.
func TestTraceGoesThroughWithoutTracing(t *testing.T) {
	web := understudytest.Good(t)
	n := startNode(t, services{"orders": over(web)})
	n.ask(t, "orders", nats.Header{"traceparent": {parent}}, "")
	equal(t, web.Requests()[0].Header.Values("Traceparent"), []string{parent})
}
