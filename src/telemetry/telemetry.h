/*
 * telemetry: what leaves the process about itself. What is counted is declared where it is counted
 * (core/metric.h); here are the figures of the process as a whole, and the place where exporters
 * (OTLP, Loki) will hang on core's sinks. /metrics itself is served by the edge.
 */
#pragma once

#include "core/span.h"

/* Registers process and build figures, once; they are read when somebody asks. */
void telemetry_start(const char *version);

/*
 * An exporter takes finished log lines and spans, on the threads that made them, and must only
 * queue. At most one per process; to be set before threads start. NULL: none.
 */
struct telemetry_exporter {
    void (*on_line)(void *arg, const char *line, size_t n);
    void (*on_span)(void *arg, const struct span *span, int64_t duration_us, int err);
    void *arg;
};
void telemetry_set_exporter(const struct telemetry_exporter *exporter);
