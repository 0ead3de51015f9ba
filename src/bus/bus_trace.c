/* bus_trace: names and attributes of the bus's spans. */
#include "bus/bus_trace.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "bus/bus_internal.h"
#include "core/mem.h"

#define NAMES_MAX 64

/* Spans of what a handler starts may end after its subscription is gone: names stay for the life of
 * the process. They are a few, and in the program. */
static const char *keep_name(const char *name)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static char *names[NAMES_MAX];
    const char *kept = NULL;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < NAMES_MAX && !kept; i++) {
        if (!names[i])
            names[i] = mem_strdup(name);
        if (strcmp(names[i], name) == 0)
            kept = names[i];
    }
    pthread_mutex_unlock(&lock);
    return kept ? kept : "bus";
}

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
    describe(s, bus_channel_label(event->channel), "publish");
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
    if (s->span.is_sampled)
        s->span.service = keep_name(service);
    describe(s, bus_channel_label(event->channel), "process");
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
