/*
 * bus_envelope: see the header. What comes from a broker is from outside: sizes, texts and the
 * version are checked here once, so that nobody behind needs to. JSON is for outside systems that
 * leave tasks, and for eyes; a packed envelope never begins with '{' (that would be a group, which
 * is no more).
 */
#include "bus/bus_envelope.h"

#include <jansson.h>
#include <limits.h>
#include <string.h>

#include "bus.pb-c.h"
#include "bus/bus_internal.h"

#define ID_MAX_BYTES 64
#define TRACE_MAX_BYTES 64

static char *text_of(const char *text)
{
    return (char *)(text ? text : "");
}

void bus_envelope_write(struct strbuf *out, const struct bus_envelope *e)
{
    Bus__Envelope m = BUS__ENVELOPE__INIT;
    Bus__TaskTerms terms = BUS__TASK_TERMS__INIT;
    m.version = BUS_ENVELOPE_VERSION;
    m.id = text_of(e->event.id);
    m.channel = text_of(e->event.channel);
    m.type = text_of(e->event.type);
    m.key = text_of(e->event.key);
    m.at_ms = e->event.at_ms;
    m.source = text_of(e->event.source);
    m.traceparent = text_of(e->event.traceparent);
    m.payload = (ProtobufCBinaryData){e->event.payload.n, (uint8_t *)e->event.payload.p};
    if (e->is_task) {
        terms.idempotency_key = text_of(e->task.idempotency_key);
        terms.priority = e->task.priority;
        terms.attempts_max = e->task.attempts_max;
        terms.lane = text_of(e->task.lane);
        terms.lane_max = e->task.lane_max;
        m.task = &terms;
    }
    size_t n = bus__envelope__get_packed_size(&m);
    bus__envelope__pack(&m, (uint8_t *)strbuf_reserve(out, n));
    out->n += n;
}

/* ---- reading ---- */

static bool is_text(const char *text, size_t max)
{
    size_t n = strlen(text);
    return n <= max && str_is_utf8((struct str){text, n});
}

/* As in names of topics and queues. */
static bool is_name(const char *text)
{
    if (!*text || !is_text(text, BUS_TEXT_MAX))
        return false;
    for (; *text; text++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-", *text))
            return false;
    return true;
}

static bool is_sound(const struct bus_envelope *e)
{
    const struct bus_event *v = &e->event;
    const struct bus_task *t = &e->task;
    bool is_event = (!v->channel[0] || is_name(v->channel)) && is_name(v->type) &&
                    is_text(v->key, BUS_TEXT_MAX) && is_text(v->id, ID_MAX_BYTES) &&
                    is_text(v->source, BUS_PROCESS_MAX - 1) &&
                    is_text(v->traceparent, TRACE_MAX_BYTES) && v->at_ms >= 0;
    if (!is_event || !e->is_task)
        return is_event;
    return (!v->key[0] || is_name(v->key)) && t->attempts_max >= 0 && t->lane_max >= 0 &&
           (!t->idempotency_key || is_text(t->idempotency_key, BUS_TEXT_MAX)) &&
           (!t->lane || is_text(t->lane, BUS_TEXT_MAX));
}

static enum err finish(struct bus_envelope *e)
{
    if (!is_sound(e))
        return ERR_INVALID_ARGUMENT;
    e->task.queue = e->event.key;
    e->task.type = e->event.type;
    e->task.payload = e->event.payload;
    return ERR_OK;
}

static const char *unless_empty(const char *text)
{
    return *text ? text : NULL;
}

static enum err read_packed(struct str bytes, struct arena *arena, struct bus_envelope *out)
{
    Bus__Envelope *m = bus__envelope__unpack(arena_protobuf(arena, 65536 + 4 * bytes.n), bytes.n,
                                             (const uint8_t *)bytes.p);
    if (!m || m->version != BUS_ENVELOPE_VERSION)
        return ERR_INVALID_ARGUMENT;
    /* A NUL follows the payload, as handlers are promised. */
    char *payload = arena_alloc(arena, m->payload.len + 1);
    if (m->payload.len)
        memcpy(payload, m->payload.data, m->payload.len);
    out->event = (struct bus_event){.channel = m->channel,
                                    .type = m->type,
                                    .key = m->key,
                                    .payload = {payload, m->payload.len},
                                    .id = m->id,
                                    .source = m->source,
                                    .at_ms = m->at_ms,
                                    .traceparent = m->traceparent};
    out->is_task = m->task != NULL;
    if (m->task)
        out->task = (struct bus_task){.idempotency_key = unless_empty(m->task->idempotency_key),
                                      .priority = m->task->priority,
                                      .attempts_max = m->task->attempts_max,
                                      .lane = unless_empty(m->task->lane),
                                      .lane_max = m->task->lane_max};
    return finish(out);
}

/* ---- JSON ---- */

struct reader {
    struct arena *arena;
    bool is_bad;
};

static const char *json_text(struct reader *r, const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);
    if (v && (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v)))
        r->is_bad = true;
    return v && !r->is_bad ? arena_strdup(r->arena, json_string_value(v)) : "";
}

static int64_t json_number(struct reader *r, const json_t *o, const char *name, int64_t otherwise)
{
    const json_t *v = json_object_get(o, name);
    r->is_bad |= v && !json_is_integer(v);
    return v && !r->is_bad ? json_integer_value(v) : otherwise;
}

static struct str json_payload(struct reader *r, const json_t *o)
{
    const json_t *v = json_object_get(o, "payload");
    if (!v)
        return STR_NULL;
    if (json_is_string(v))
        return str_from(json_text(r, o, "payload"));
    char *text = json_is_object(v) ? json_dumps(v, JSON_COMPACT) : NULL;
    r->is_bad |= !text;
    struct str payload = text ? str_from(arena_strdup(r->arena, text)) : STR_NULL;
    free(text);
    return payload;
}

static void json_terms(struct reader *r, const json_t *o, struct bus_envelope *out)
{
    int64_t priority = json_number(r, o, "priority", 0);
    int64_t attempts_max = json_number(r, o, "attempts_max", 0);
    r->is_bad |= priority < INT_MIN || priority > INT_MAX || attempts_max > INT_MAX;
    out->is_task = true;
    out->task =
        (struct bus_task){.idempotency_key = unless_empty(json_text(r, o, "idempotency_key")),
                          .lane = unless_empty(json_text(r, o, "lane")),
                          .lane_max = json_number(r, o, "lane_max", 0)};
    if (!r->is_bad) {
        out->task.priority = (int)priority;
        out->task.attempts_max = (int)attempts_max;
    }
}

static enum err read_json(struct str bytes, struct arena *arena, struct bus_envelope *out)
{
    struct reader r = {.arena = arena};
    json_t *o = json_loadb(bytes.p, bytes.n, JSON_REJECT_DUPLICATES, NULL);
    const json_t *task = json_object_get(o, "task");
    r.is_bad = !json_is_object(o) || (task && !json_is_object(task)) ||
               json_number(&r, o, "version", BUS_ENVELOPE_VERSION) != BUS_ENVELOPE_VERSION;
    out->event = (struct bus_event){.channel = json_text(&r, o, "channel"),
                                    .type = json_text(&r, o, "type"),
                                    .key = json_text(&r, o, "key"),
                                    .payload = json_payload(&r, o),
                                    .id = json_text(&r, o, "id"),
                                    .source = json_text(&r, o, "source"),
                                    .at_ms = json_number(&r, o, "at_ms", 0),
                                    .traceparent = json_text(&r, o, "traceparent")};
    if (task)
        json_terms(&r, task, out);
    json_decref(o);
    return r.is_bad ? ERR_INVALID_ARGUMENT : finish(out);
}

enum err bus_envelope_read(struct str bytes, struct arena *arena, struct bus_envelope *out)
{
    *out = (struct bus_envelope){0};
    if (!bytes.n || bytes.n > BUS_ENVELOPE_MAX_BYTES)
        return ERR_INVALID_ARGUMENT;
    return bytes.p[0] == '{' ? read_json(bytes, arena, out) : read_packed(bytes, arena, out);
}
