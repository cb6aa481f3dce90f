// Tracing: one request, three attempts, one trace. The spans are kept in memory
// and printed as a tree; a real program gives its own TracerProvider.
//
//	go run ./examples/tracing
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/understudy-go/understudy"
)

func main() {
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))

	// The endpoint hears of the trace too, by the header traceparent.
	heard := make(chan string, 1)
	well := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { heard <- r.Header.Get("traceparent") }))
	defer well.Close()
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }))
	defer broken.Close()

	us, err := understudy.New(understudy.Config{}, understudy.WithTracerProvider(provider))
	if err != nil {
		log.Fatal(err)
	}
	defer us.Close()
	orders, err := us.AddService("orders", understudy.ServiceConfig{
		Strategy: understudy.Strategy{Pick: "round_robin"},
		Endpoints: []understudy.Endpoint{
			{ID: "orders-1", URL: "http://127.0.0.1:1"}, // nobody is there
			{ID: "orders-2", URL: broken.URL},
			{ID: "orders-3", URL: well.URL},
		},
	})
	if err != nil {
		log.Fatal(err)
	}

	// The program's own span; the attempts hang beneath it, side by side.
	ctx, span := provider.Tracer("shop").Start(context.Background(), "checkout")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://orders/", nil)
	if err != nil {
		log.Fatal(err)
	}
	resp, err := (&http.Client{Transport: orders.RoundTripper()}).Do(req)
	if err != nil {
		log.Fatal(err)
	}
	resp.Body.Close() // the attempt ends with its body
	span.End()

	all := spans.GetSpans()
	show(all, trace.SpanID{}, 0)
	traceparent := <-heard
	fmt.Println("the endpoint heard", traceparent)
	if len(all) != 4 || !strings.Contains(traceparent, span.SpanContext().TraceID().String()) {
		log.Fatal("that is not one tree of four spans")
	}
}

// show prints the spans beneath parent in the order in which they began.
func show(spans tracetest.SpanStubs, parent trace.SpanID, depth int) {
	for _, s := range spans {
		if s.Parent.SpanID() != parent {
			continue
		}
		fmt.Printf("%s%s", strings.Repeat("  ", depth), s.Name)
		for _, a := range s.Attributes {
			switch a.Key {
			case "understudy.attempt.number", "understudy.endpoint.id", "understudy.outcome", "http.response.status_code", "error.type":
				fmt.Printf("  %s=%s", a.Key, a.Value.String())
			}
		}
		fmt.Println()
		show(spans, s.SpanContext.SpanID(), depth+1)
	}
}
