/* bus_trace: names and attributes of the bus's spans. */
#include "bus/bus_trace.h"

#include <stdio.h>

static void describe(struct bus_span *s, const char *destination, const char *operation)
{
    if (!s->span.is_sampled)
        return;
    snprintf(s->name, sizeof(s->name), "%s %s", destination, operation);
    s->span.name = s->name;
    span_add_text(&s->span, "messaging.system", "parlance");
    span_add_text(&s->span, "messaging.destination.name", destination);
    span_add_text(&s->span, "messaging.operation", operation);
}

void bus_span_publish(struct bus_span *s, struct bus_event *event)
{
    const struct span *current = span_current();
    s->before = NULL;
    span_start_child(&s->span, NULL, SPAN_PRODUCER);
    describe(s, event->channel, "publish");
    span_add_text(&s->span, "parlance.event", event->type);
    if ((event->traceparent && event->traceparent[0]) || !current || !span_is_on())
        return;
    /* Not recorded is a decision, too, and travels. */
    span_traceparent(s->span.is_sampled ? &s->span : current, s->traceparent);
    event->traceparent = s->traceparent;
}

void bus_span_handle(struct bus_span *s, const struct bus_event *event, const char *service)
{
    bool has_trace = event->traceparent && event->traceparent[0];
    s->span = (struct span){0};
    if (has_trace)
        span_start(&s->span, NULL, SPAN_CONSUMER, event->traceparent);
    s->span.service = service;
    describe(s, event->channel, "process");
    span_add_text(&s->span, "parlance.event", event->type);
    s->before = span_enter(&s->span);
}

void bus_span_task(struct bus_span *s, const struct bus_task *task, int attempt)
{
    span_start(&s->span, NULL, SPAN_CONSUMER, NULL);
    s->span.service = "task";
    describe(s, task->queue, "process");
    span_add_text(&s->span, "parlance.task", task->type);
    span_add_number(&s->span, "parlance.attempt", attempt);
    s->before = span_enter(&s->span);
}

void bus_span_handled(struct bus_span *s, int err)
{
    span_leave(s->before);
    span_end(&s->span, err);
}
