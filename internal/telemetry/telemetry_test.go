package telemetry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clearEnv takes every OTEL_* variable that counts out of the environment.
func clearEnv(t *testing.T) {
	for _, name := range []string{"OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT",
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
		"OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_TRACES_SAMPLER"} {
		t.Setenv(name, "")
	}
}

// "OTEL_* variables work in the binary (autoexport, quiet without a collector)"
func TestQuietUnlessAsked(t *testing.T) {
	for name, tc := range map[string]struct {
		env  map[string]string
		want bool
	}{
		"nothing":              {nil, false},
		"a name alone":         {map[string]string{"OTEL_SERVICE_NAME": "x"}, false},
		"an exporter":          {map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, true},
		"none":                 {map[string]string{"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, false},
		"a collector":          {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, true},
		"a collector of spans": {map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c"}, true},
		"disabled":             {map[string]string{"OTEL_SDK_DISABLED": "TRUE", "OTEL_TRACES_EXPORTER": "otlp"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tc.want, wanted(func(key string) string { return tc.env[key] }))
		})
	}
	clearEnv(t)
	var log bytes.Buffer
	tracing, err := Start(context.Background(), "v1", slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	require.Nil(t, tracing.Provider())
	tracing.Stop()
	require.Empty(t, log.String())
}

func TestSpansReachACollector(t *testing.T) {
	bodies := make(chan string, 1)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies <- r.URL.Path + " " + string(body)
	}))
	defer collector.Close()
	clearEnv(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_SERVICE_NAME", "the-shop")
	tracing, err := Start(context.Background(), "v1.2.3", slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	_, span := tracing.Provider().Tracer("test").Start(context.Background(), "a-span")
	span.End()
	tracing.Stop() // sends what is left
	sent := <-bodies
	for _, part := range []string{"/v1/traces", "a-span", "the-shop", "v1.2.3"} {
		require.Contains(t, sent, part)
	}
}

func TestAVariableWithoutMeaning(t *testing.T) {
	clearEnv(t)
	t.Setenv("OTEL_TRACES_EXPORTER", "carrier-pigeon")
	_, err := Start(context.Background(), "", slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "carrier-pigeon")
}

func TestACollectorThatIsAwayIsOneLineAMinute(t *testing.T) {
	var log bytes.Buffer
	c := &complaints{log: slog.New(slog.NewTextHandler(&log, nil)), said: map[string]time.Time{}}
	now := time.Now()
	require.True(t, c.news("away", now))
	require.False(t, c.news("away", now.Add(59*time.Second)))
	require.True(t, c.news("full", now.Add(59*time.Second)))
	require.True(t, c.news("away", now.Add(60*time.Second)))
	require.Len(t, c.said, 2, "what is long ago is forgotten")
	c.Handle(errors.New("lost"))
	c.Handle(errors.New("lost"))
	require.Equal(t, 1, strings.Count(log.String(), "lost"))
}
