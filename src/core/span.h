/*
 * span: one timed piece of work in a trace (W3C Trace Context). Spans are cheap values; a finished
 * span goes to the sink if one is set, else nowhere.
 */
#pragma once

#include "core/base.h"

#define SPAN_TRACEPARENT_SIZE 56 /* "00-<32 hex>-<16 hex>-<2 hex>" and NUL */

struct span {
    uint8_t trace_id[16];
    uint8_t span_id[8];
    uint8_t parent_id[8];
    const char *name;
    int64_t start_us; /* monotonic */
    int64_t start_wall_ms;
    bool is_sampled;
};

/* A child of `traceparent` (may be NULL or invalid: then a new trace). */
struct span span_start(const char *name, const char *traceparent);
void span_traceparent(const struct span *s, char out[SPAN_TRACEPARENT_SIZE]);
typedef void span_sink_fn(void *arg, const struct span *s, int64_t duration_us, int err);
void span_set_sink(span_sink_fn *fn, void *arg);
void span_end(const struct span *s, int err);
