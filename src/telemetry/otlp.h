/*
 * otlp: spans as OpenTelemetry's protocol has them (OTLP/HTTP, protobuf, POST /v1/traces), as every
 * tracing backend takes them.
 */
#pragma once

#include "core/list.h"
#include "core/span.h"
#include "core/str.h"

struct otlp_resource {
    const char *instance, *version, *host;
    int64_t pid;
};

/* One opentelemetry.proto.trace.v1.Span. */
void otlp_write_span(struct strbuf *out, const struct span *span, int64_t duration_us, int err);
/* An ExportTraceServiceRequest of outlet items: the span's bytes, grouped by service. */
void otlp_write_request(struct strbuf *out, const struct otlp_resource *resource,
                        const struct list *items);
