/* bus_trace: an event carries the trace of who published it; who handles it goes on with that. */
#pragma once

#include "bus/bus.h"
#include "core/span.h"

struct bus_span {
    struct span span;
    const struct span *before; /* while it is handled */
    char name[SPAN_NAME_MAX_BYTES + 1];
    char traceparent[SPAN_TRACEPARENT_SIZE];
};

/* Of what this thread is at. `event` gets the trace to carry, unless it has one. */
void bus_span_publish(struct bus_span *s, struct bus_event *event);
/* Of the event's trace; without one nothing. Current until bus_span_handled. */
void bus_span_handle(struct bus_span *s, const struct bus_event *event, const char *service);
/* A task begins a trace of its own: it may run much later, and many times. */
void bus_span_task(struct bus_span *s, const struct bus_task *task, int attempt);
void bus_span_handled(struct bus_span *s, int err);
