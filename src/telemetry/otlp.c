/*
 * otlp: the few messages of opentelemetry/proto/trace/v1/trace.proto that a span needs, written by
 * their field numbers. A message within a message is written aside first, since its length comes
 * before it.
 */
#include "telemetry/otlp.h"

#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "telemetry/outlet.h"

enum wire { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2 };

#define STATUS_CODE_ERROR 2
#define SERVICE_MAX_BYTES 64

/* ---- the wire ---- */

static void write_varint(struct strbuf *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        strbuf_addc(out, (char)(value | 0x80));
    strbuf_addc(out, (char)value);
}

static void write_tag(struct strbuf *out, unsigned field, enum wire wire)
{
    write_varint(out, field << 3 | wire);
}

static void write_number(struct strbuf *out, unsigned field, uint64_t value)
{
    write_tag(out, field, WIRE_VARINT);
    write_varint(out, value);
}

static void write_bytes(struct strbuf *out, unsigned field, const void *bytes, size_t n)
{
    write_tag(out, field, WIRE_BYTES);
    write_varint(out, n);
    strbuf_add(out, bytes, n);
}

static void write_text(struct strbuf *out, unsigned field, const char *text)
{
    write_bytes(out, field, text, strlen(text));
}

static void write_time(struct strbuf *out, unsigned field, int64_t wall_us)
{
    uint64_t ns = (uint64_t)wall_us * 1000;
    write_tag(out, field, WIRE_FIXED64);
    for (int i = 0; i < 8; i++, ns >>= 8)
        strbuf_addc(out, (char)(ns & 0xff));
}

/* Takes the inner message over. */
static void write_message(struct strbuf *out, unsigned field, struct strbuf *inner)
{
    write_bytes(out, field, inner->p, inner->n);
    strbuf_deinit(inner);
}

/* KeyValue { key = 1; AnyValue value = 2 { string_value = 1; int_value = 3; } } */
static void write_attribute(struct strbuf *out, unsigned field, const struct span_attribute *a)
{
    struct strbuf value = {0}, pair = {0};
    if (a->text)
        write_text(&value, 1, a->text);
    else
        write_number(&value, 3, (uint64_t)a->number);
    write_text(&pair, 1, a->key);
    write_message(&pair, 2, &value);
    write_message(out, field, &pair);
}

/* ---- a span ---- */

static bool has_parent(const struct span *span)
{
    static const uint8_t none[sizeof(span->parent_id)];
    return memcmp(span->parent_id, none, sizeof(none)) != 0;
}

void otlp_write_span(struct strbuf *out, const struct span *span, int64_t duration_us, int err)
{
    const char *name = span->name ? span->name : "";
    write_bytes(out, 1, span->trace_id, sizeof(span->trace_id));
    write_bytes(out, 2, span->span_id, sizeof(span->span_id));
    if (has_parent(span))
        write_bytes(out, 4, span->parent_id, sizeof(span->parent_id));
    write_bytes(out, 5, name, strnlen(name, SPAN_NAME_MAX_BYTES));
    write_number(out, 6, span->kind);
    write_time(out, 7, span->start_wall_us);
    write_time(out, 8, span->start_wall_us + duration_us);
    for (size_t i = 0; i < span->attribute_count; i++)
        write_attribute(out, 9, &span->attributes[i]);
    if (!err)
        return;
    struct strbuf status = {0};
    write_text(&status, 2, err_name((enum err)err));
    write_number(&status, 3, STATUS_CODE_ERROR);
    write_message(out, 15, &status);
}

/* ---- a request ---- */

/* "parlance.user.v1" or "user" -> "parlance-user": as everybody outside calls it. */
static void name_service(char out[SERVICE_MAX_BYTES], const char *service)
{
    struct str rest = str_from(service), name;
    if (str_starts(rest, STR("parlance.")))
        rest = str_sub(rest, 9, rest.n);
    str_cut(&rest, '.', &name);
    name = str_sub(name, 0, 50);
    snprintf(out, SERVICE_MAX_BYTES, "parlance-%.*s", STR_FMT(name));
}

static void write_resource(struct strbuf *out, const struct otlp_resource *r, const char *service)
{
    char name[SERVICE_MAX_BYTES];
    name_service(name, service);
    const struct span_attribute attributes[] = {
        {.key = "service.name", .text = name},
        {.key = "service.namespace", .text = "parlance"},
        {.key = "service.instance.id", .text = r->instance},
        {.key = "service.version", .text = r->version},
        {.key = "host.name", .text = r->host},
        {.key = "process.pid", .number = r->pid},
    };
    struct strbuf resource = {0};
    for (size_t i = 0; i < ARRAY_LEN(attributes); i++)
        write_attribute(&resource, 1, &attributes[i]);
    write_message(out, 1, &resource);
}

static bool is_of(const struct list *node, const char *service)
{
    return strcmp(LIST_ENTRY(node, struct outlet_item, node)->group, service) == 0;
}

/* Whether an item before this one is of the same service: then it is written already. */
static bool is_written(const struct list *items, const struct list *node, const char *service)
{
    for (const struct list *before = items->next; before != node; before = before->next)
        if (is_of(before, service))
            return true;
    return false;
}

static void write_service(struct strbuf *out, const struct otlp_resource *resource,
                          const struct list *items, const char *service)
{
    struct strbuf scope = {0}, scope_spans = {0}, resource_spans = {0};
    write_resource(&resource_spans, resource, service);
    write_text(&scope, 1, "parlance");
    write_text(&scope, 2, resource->version);
    write_message(&scope_spans, 1, &scope);
    LIST_FOREACH(items, node)
    {
        const struct outlet_item *item = LIST_ENTRY(node, struct outlet_item, node);
        if (is_of(node, service))
            write_bytes(&scope_spans, 2, item->bytes, item->n);
    }
    write_message(&resource_spans, 2, &scope_spans);
    write_message(out, 1, &resource_spans);
}

void otlp_write_request(struct strbuf *out, const struct otlp_resource *resource,
                        const struct list *items)
{
    LIST_FOREACH(items, node)
    {
        const char *service = LIST_ENTRY(node, struct outlet_item, node)->group;
        if (!is_written(items, node, service))
            write_service(out, resource, items, service);
    }
}
