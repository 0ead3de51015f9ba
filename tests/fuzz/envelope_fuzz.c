/*
 * envelope: what a broker hands us: the channel it came by, a newline, the parcel. What is taken
 * keeps the bounds that nobody behind looks at again, and is written by us so that it is read as
 * the same; its trace is followed, and a task of it is one that may be stored or is refused.
 */
#include <assert.h>
#include <string.h>

#include "bus/bus_internal.h"
#include "bus/bus_trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void check_text(const char *text, size_t max)
{
    assert(text && strlen(text) <= max && str_is_utf8(str_from(text)));
}

static void check_bounds(const struct bus_envelope *e)
{
    const struct bus_event *v = &e->event;
    check_text(v->channel, BUS_TEXT_MAX);
    check_text(v->type, BUS_TEXT_MAX);
    check_text(v->key, BUS_TEXT_MAX);
    check_text(v->source, BUS_PROCESS_MAX - 1);
    assert(v->id && v->traceparent && v->type[0] && v->at_ms >= 0);
    assert(!v->payload.p || v->payload.p[v->payload.n] == '\0');
    assert(v->payload.p || !v->payload.n);
    if (!e->is_task)
        return;
    if (e->task.idempotency_key)
        check_text(e->task.idempotency_key, BUS_TEXT_MAX);
    if (e->task.lane)
        check_text(e->task.lane, BUS_TEXT_MAX);
    assert(e->task.attempts_max >= 0 && e->task.lane_max >= 0 && !e->task.delay_ms);
    assert(str_eq(e->task.payload, v->payload));
}

static void check_same(const struct bus_envelope *a, const struct bus_envelope *b)
{
    assert(is_same(a->event.channel, b->event.channel) && is_same(a->event.id, b->event.id));
    assert(is_same(a->event.type, b->event.type) && is_same(a->event.key, b->event.key));
    assert(is_same(a->event.source, b->event.source) && a->event.at_ms == b->event.at_ms);
    assert(is_same(a->event.traceparent, b->event.traceparent));
    assert(str_eq(a->event.payload, b->event.payload) && a->is_task == b->is_task);
    if (!a->is_task)
        return;
    assert(is_same(a->task.idempotency_key, b->task.idempotency_key));
    assert(is_same(a->task.lane, b->task.lane) && a->task.lane_max == b->task.lane_max);
    assert(a->task.priority == b->task.priority && a->task.attempts_max == b->task.attempts_max);
    assert(bus_task_is_sound(&a->task) == bus_task_is_sound(&b->task));
}

static void follow_trace(const struct bus_event *event)
{
    struct bus_span span = {0};
    bus_span_handle(&span, event, "fuzz");
    bus_span_handled(&span, ERR_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_create();
    struct str parcel = {(const char *)data, size}, channel;
    struct bus_envelope e, again;
    str_cut(&parcel, '\n', &channel);
    (void)bus_channel_label(str_arena(arena, channel));
    if (bus_envelope_read(parcel, arena, &e) == ERR_OK) {
        struct strbuf packed = {0};
        check_bounds(&e);
        bus_envelope_write(&packed, &e);
        assert(bus_envelope_read(strbuf_str(&packed), arena, &again) == ERR_OK);
        check_same(&e, &again);
        strbuf_deinit(&packed);
        if (e.event.channel[0])
            follow_trace(&e.event);
    }
    arena_destroy(&arena);
    return 0;
}
