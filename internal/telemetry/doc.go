// Package telemetry sets tracing up as the OTEL_* variables say. Without any of
// them that names a collector or an exporter there is none: nothing is sent,
// nobody complains, and a request pays nothing for it.
//
// What counts: OTEL_TRACES_EXPORTER (otlp, console, none), or for OTLP alone
// OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT; then all that
// the OpenTelemetry SDK reads: OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES,
// OTEL_TRACES_SAMPLER, OTEL_BSP_*, OTEL_SDK_DISABLED.
package telemetry
