package cluster_test

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/understudy-go/understudy/cluster"
)

var (
	_ propagation.TextMapCarrier = cluster.Carrier(nil)
	_ propagation.ValuesGetter   = cluster.Carrier(nil)
)

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestCarrierWritesLowerCase(t *testing.T) {
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": parent})
	header := nats.Header{"Traceparent": {"stale"}, "TRACEPARENT": {"stale too"}, "Understudy-Key": {"k"}}
	propagation.TraceContext{}.Inject(ctx, cluster.Carrier(header))
	equal(t, header, nats.Header{"traceparent": {parent}, "Understudy-Key": {"k"}})
}

func TestCarrierSetLowersTheName(t *testing.T) {
	carrier := cluster.Carrier{}
	carrier.Set("TraceParent", parent)
	equal(t, carrier, cluster.Carrier{"traceparent": {parent}})
}

func TestCarrierReadsAnyCase(t *testing.T) {
	for _, name := range []string{"traceparent", "Traceparent", "TRACEPARENT", "traceParent"} {
		ctx := propagation.TraceContext{}.Extract(context.Background(), cluster.Carrier{name: {parent}, "other": {"x"}})
		equal(t, trace.SpanContextFromContext(ctx).SpanID().String(), "b7ad6b7169203331")
	}
	both := cluster.Carrier{"Traceparent": {"other"}, "traceparent": {parent}}
	equal(t, both.Get("TraceParent"), parent) // the lower-case one wins
	equal(t, both.Keys(), []string{"traceparent"})
	equal(t, both.Get("tracestate"), "")
	equal(t, cluster.Carrier(nil).Get("traceparent"), "")
}

func TestCarrierReadsEveryBaggageHeader(t *testing.T) {
	ctx := propagation.Baggage{}.Extract(context.Background(), cluster.Carrier{"Baggage": {"a=1", "b=2"}})
	bag := baggage.FromContext(ctx)
	equal(t, bag.Member("a").Value(), "1")
	equal(t, bag.Member("b").Value(), "2")
}
