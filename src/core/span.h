/*
 * span: one timed piece of work in a trace (W3C Trace Context). Whoever is at work on a thread
 * makes its span the current one there; what it asks of others (store, cache, bus, other services)
 * becomes a child without anybody passing anything along. A finished span goes to the sink.
 *
 * Without a sink nothing is recorded: starting costs one look at a flag. Names and texts of
 * attributes are read when the span ends and must live as long; none may hold a message, a name of
 * a person or a token.
 *
 *   struct span span;
 *   span_start_child(&span, "store.read", SPAN_CLIENT);
 *   ...
 *   span_add_text(&span, "db.system", "sqlite");
 *   span_end(&span, err);
 */
#pragma once

#include "core/base.h"

#define SPAN_TRACEPARENT_SIZE 56 /* "00-<32 hex>-<16 hex>-<2 hex>" and NUL */
#define SPAN_ATTRIBUTES_MAX 6
#define SPAN_NAME_MAX_BYTES 127 /* longer names are cut by the sink */

enum span_kind { SPAN_INTERNAL = 1, SPAN_SERVER, SPAN_CLIENT, SPAN_PRODUCER, SPAN_CONSUMER };

struct span_attribute {
    const char *key;
    const char *text; /* NULL: the number */
    int64_t number;
};

struct span {
    uint8_t trace_id[16];
    uint8_t span_id[8];
    uint8_t parent_id[8];
    const char *name;
    const char *service; /* whose work it is: "edge", or a contract's package; static */
    enum span_kind kind;
    bool is_known;   /* it has ids: its decision goes on to whoever is called */
    bool is_sampled; /* it will be recorded */
    uint8_t attribute_count;
    int64_t start_us; /* monotonic */
    int64_t start_wall_us;
    struct span_attribute attributes[SPAN_ATTRIBUTES_MAX];
};

/* ---- starting ---- */

/*
 * A child of `traceparent`, with its decision; without a valid one (or NULL) a new trace, recorded
 * with the probability that was set. Nothing at all without a sink.
 */
void span_start(struct span *s, const char *name, enum span_kind kind, const char *traceparent);
/* A child of this thread's current span; nothing if there is none that is recorded. */
void span_start_child(struct span *s, const char *name, enum span_kind kind);
/* Without a sink, or not recorded: does nothing. Beyond SPAN_ATTRIBUTES_MAX they are left out. */
void span_add_text(struct span *s, const char *key, const char *text);
void span_add_number(struct span *s, const char *key, int64_t number);
/* Hands a recorded span to the sink, once: it records nothing afterwards. err: enum err. */
void span_end(struct span *s, int err);

/* ---- what is going on here ---- */

/* Makes `s` this thread's current span until span_leave; returns what was current before. A span
 * that is not known (no sink) changes nothing. */
const struct span *span_enter(const struct span *s);
void span_leave(const struct span *before);
/* The thread's current span, recorded or not; NULL for none. */
const struct span *span_current(void);

/* "" for a span that is not known. */
void span_traceparent(const struct span *s, char out[SPAN_TRACEPARENT_SIZE]);

/* ---- who listens ---- */

typedef void span_sink_fn(void *arg, const struct span *s, int64_t duration_us, int err);
/* NULL: nobody. After it returns the sink before is not running any more. */
void span_set_sink(span_sink_fn *fn, void *arg);
/* New traces that are recorded, in millionths; 1,000,000 (all) to begin with. */
void span_set_ratio(unsigned ppm);
bool span_is_on(void);
