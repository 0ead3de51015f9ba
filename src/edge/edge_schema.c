/*
 * Schemas of messages for the API's documents, from their descriptors: what JSON really looks like
 * (rpc_json_write). A message that is referred to is written once, at the end.
 */
#include <ctype.h>
#include <string.h>

#include "core/map.h"
#include "edge/edge_internal.h"

void edge_schema_quote(struct strbuf *out, const char *text)
{
    strbuf_add_json(out, str_from(text));
}

/* "parlance.meeting.v1.MeetingInfo" -> "meeting.MeetingInfo" */
static void schema_name(const ProtobufCMessageDescriptor *d, struct strbuf *out)
{
    struct str package = str_from(d->package_name);
    struct str root;
    struct str service = STR_NULL;
    str_cut(&package, '.', &root);
    str_cut(&package, '.', &service);
    strbuf_printf(out, "%.*s.%s", STR_FMT(service), d->short_name);
}

void edge_schema_refer(struct edge_schemas *w, const ProtobufCMessageDescriptor *d)
{
    struct strbuf name = {0};
    schema_name(d, &name);
    strbuf_printf(w->out, "{\"$ref\":\"#/components/schemas/%s\"}", name.p);
    if (!map_get(w->seen, strbuf_str(&name)) && w->queued < ARRAY_LEN(w->queue)) {
        map_set(w->seen, strbuf_str(&name), (void *)(uintptr_t)d);
        w->queue[w->queued++] = d;
    }
    strbuf_deinit(&name);
}

static void enum_schema(struct edge_schemas *w, const ProtobufCEnumDescriptor *d)
{
    strbuf_adds(w->out, "{\"type\":\"string\",\"enum\":[");
    for (unsigned i = 0; i < d->n_values; i++) {
        char name[64];
        snprintf(name, sizeof(name), "%s", d->values[i].name);
        for (char *c = name; *c; c++)
            *c = (char)tolower((unsigned char)*c);
        strbuf_adds(w->out, i ? "," : "");
        edge_schema_quote(w->out, name);
    }
    strbuf_adds(w->out, "]}");
}

static void scalar_schema(struct edge_schemas *w, const ProtobufCFieldDescriptor *f)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
        strbuf_adds(w->out, "{\"type\":\"string\"}");
        break;
    case PROTOBUF_C_TYPE_BYTES:
        strbuf_adds(w->out, "{\"type\":\"string\",\"contentEncoding\":\"base64\"}");
        break;
    case PROTOBUF_C_TYPE_BOOL:
        strbuf_adds(w->out, "{\"type\":\"boolean\"}");
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
    case PROTOBUF_C_TYPE_FLOAT:
        strbuf_adds(w->out, "{\"type\":\"number\"}");
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        strbuf_adds(w->out, "{\"type\":[\"integer\",\"string\"],\"format\":\"int64\"}");
        break;
    case PROTOBUF_C_TYPE_ENUM:
        enum_schema(w, f->descriptor);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        edge_schema_refer(w, f->descriptor);
        break;
    default:
        strbuf_adds(w->out, "{\"type\":\"integer\",\"format\":\"int32\"}");
        break;
    }
}

void edge_schema_field(struct edge_schemas *w, const ProtobufCFieldDescriptor *f)
{
    bool is_list = f->label == PROTOBUF_C_LABEL_REPEATED;
    if (is_list)
        strbuf_adds(w->out, "{\"type\":\"array\",\"items\":");
    scalar_schema(w, f);
    if (is_list)
        strbuf_addc(w->out, '}');
}

static void message_schema(struct edge_schemas *w, const ProtobufCMessageDescriptor *d)
{
    strbuf_adds(w->out, "{\"type\":\"object\",\"properties\":{");
    for (unsigned i = 0; i < d->n_fields; i++) {
        strbuf_adds(w->out, i ? "," : "");
        edge_schema_quote(w->out, d->fields[i].name);
        strbuf_addc(w->out, ':');
        edge_schema_field(w, &d->fields[i]);
    }
    strbuf_adds(w->out, "}}");
}

struct edge_schemas *edge_schemas_create(struct strbuf *out)
{
    struct edge_schemas *w = mem_zalloc(sizeof(*w));
    w->out = out;
    w->seen = map_create();
    return w;
}

void edge_schemas_destroy(struct edge_schemas **schemas)
{
    map_destroy(&(*schemas)->seen);
    free(*schemas);
    *schemas = NULL;
}

void edge_schemas_write(struct edge_schemas *w, bool is_first)
{
    for (size_t i = 0; i < w->queued; i++) { /* grows while it is walked */
        struct strbuf name = {0};
        schema_name(w->queue[i], &name);
        strbuf_adds(w->out, is_first ? "" : ",");
        is_first = false;
        edge_schema_quote(w->out, name.p);
        strbuf_addc(w->out, ':');
        message_schema(w, w->queue[i]);
        strbuf_deinit(&name);
    }
}
