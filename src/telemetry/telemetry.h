/*
 * telemetry: what leaves the process about itself. What is counted is declared where it is counted
 * (core/metric.h), spans begin and end where the work is (core/span.h), lines are logged everywhere
 * (core/log.h): here are the figures of the process as a whole, and the exporters. /metrics itself
 * is served by the edge; logs always go to stdout too.
 */
#pragma once

#include "core/err.h"

/* Registers process and build figures, once; they are read when somebody asks. */
void telemetry_count_process(const char *version);

struct telemetry;

struct telemetry_options {
    const char *otlp_url;     /* where spans go (OTLP/HTTP); NULL or "": nowhere */
    unsigned trace_ratio_ppm; /* of the traces that begin here, in millionths */
    const char *loki_url;     /* where log lines go; NULL or "": nowhere */
    const char *service;      /* Loki's label: "parlance", "parlance-user" */
    const char *instance;     /* of this process; NULL or "": the host's name */
    const char *version;
};

/* Begins to listen. With neither URL nothing begins, and *out is NULL. Texts are copied. */
MUST_USE enum err telemetry_open(struct telemetry **out, const struct telemetry_options *opt);
/* Sends what is left, three seconds at most. Accepts NULL. */
void telemetry_close(struct telemetry **telemetry);
