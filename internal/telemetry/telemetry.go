package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// flushMax bounds how long the end waits for a collector to take the last spans.
const flushMax = 3 * time.Second

// Tracing is what [Start] set up.
type Tracing struct {
	sdk *sdktrace.TracerProvider // nil: nothing is to be traced
}

// Start sets up what the environment asks for. Errors: a variable that has no
// meaning. What goes wrong later is logged, each complaint once a minute.
func Start(ctx context.Context, version string, log *slog.Logger) (*Tracing, error) {
	if !wanted(os.Getenv) {
		return &Tracing{}, nil
	}
	otel.SetErrorHandler(&complaints{log: log, said: map[string]time.Time{}})
	exporter, err := autoexport.NewSpanExporter(ctx)
	if err != nil {
		return nil, fmt.Errorf("OTEL_TRACES_EXPORTER=%s OTEL_EXPORTER_OTLP_PROTOCOL=%s: %w",
			os.Getenv("OTEL_TRACES_EXPORTER"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), err)
	}
	if autoexport.IsNoneSpanExporter(exporter) {
		return &Tracing{}, nil
	}
	// What the environment says comes last and wins.
	res, err := resource.New(ctx,
		resource.WithAttributes(
			attribute.String("service.name", "understudy"),
			attribute.String("service.version", version)),
		resource.WithTelemetrySDK(),
		resource.WithHost(),
		resource.WithFromEnv())
	if err != nil {
		log.Warn("a part of the trace resource is missing", "error", err)
	}
	return &Tracing{sdk: sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter), sdktrace.WithResource(res))}, nil
}

// wanted reports whether the environment names somebody who takes traces.
// autoexport by itself would send to a collector on this machine and complain of
// there being none.
func wanted(getenv func(string) string) bool {
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return false
	}
	for _, name := range []string{"OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"} {
		if value := getenv(name); value != "" {
			return value != "none"
		}
	}
	return false
}

// Provider is nil when nothing is to be traced.
func (t *Tracing) Provider() trace.TracerProvider {
	if t.sdk == nil {
		return nil
	}
	return t.sdk
}

// Stop sends what is left, for at most 3 s.
func (t *Tracing) Stop() {
	if t.sdk == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushMax)
	defer cancel()
	if err := t.sdk.Shutdown(ctx); err != nil {
		otel.Handle(err)
	}
}

// repeatAfter is how long one complaint is not repeated: a collector that is away
// is one line a minute, not one per batch.
const repeatAfter = time.Minute

// complaints logs what OpenTelemetry reports.
type complaints struct {
	log  *slog.Logger
	mu   sync.Mutex
	said map[string]time.Time
}

// Handle implements otel.ErrorHandler.
func (c *complaints) Handle(err error) {
	if c.news(err.Error(), time.Now()) {
		c.log.Warn("telemetry", "error", err)
	}
}

func (c *complaints) news(text string, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for old, at := range c.said {
		if now.Sub(at) >= repeatAfter {
			delete(c.said, old)
		}
	}
	if _, repeated := c.said[text]; repeated {
		return false
	}
	c.said[text] = now
	return true
}
