/*
 * The AsyncAPI 3.0 document of the sockets, from the descriptors of their frames. A socket whose
 * frame names its request by the field it stands in gets a message for each of these fields and an
 * operation that pairs it with its answer; what only the server sends is an event. Directions are
 * the server's: it receives requests and sends events.
 */
#include <stdlib.h>
#include <string.h>

#include "edge/edge_internal.h"

#define ID_FIELD "id"

static bool is_payload(const ProtobufCFieldDescriptor *f)
{
    return f->type == PROTOBUF_C_TYPE_MESSAGE;
}

static const ProtobufCFieldDescriptor *answer_of(const struct edge_socket *s, const char *name)
{
    return s->server ? rpc_field_find(s->server, str_from(name)) : NULL;
}

/* "request", "answer", or "event": what this field of a server's frame is. */
static const char *kind_of(const struct edge_socket *s, const ProtobufCFieldDescriptor *f)
{
    bool is_answer =
        strcmp(f->name, "error") == 0 || rpc_field_find(s->client, str_from(f->name)) != NULL;
    return is_answer ? "answer" : "event";
}

static void add_name(struct edge_schemas *w, const struct edge_socket *s, const char *name,
                     const char *kind)
{
    strbuf_printf(w->out, "%s_%s_%s", s->name, name, kind);
}

/* ---- messages ---- */

static void begin_message(struct edge_schemas *w, const struct edge_socket *s, const char *name,
                          const char *kind)
{
    strbuf_addc(w->out, '"');
    add_name(w, s, name, kind);
    strbuf_printf(w->out, "\":{\"name\":\"%s\",\"title\":\"%s %s\",\"payload\":", name, name, kind);
}

/* {"id": ..., "send_message": {...}} */
static void write_field_message(struct edge_schemas *w, const struct edge_socket *s,
                                const ProtobufCFieldDescriptor *f, const char *kind)
{
    begin_message(w, s, f->name, kind);
    strbuf_printf(w->out, "{\"type\":\"object\",\"required\":[\"%s\"],\"properties\":{", f->name);
    if (strcmp(kind, "event") != 0)
        strbuf_adds(w->out, "\"" ID_FIELD "\":{\"type\":\"integer\",\"format\":\"int64\"},");
    strbuf_printf(w->out, "\"%s\":", f->name);
    edge_schema_field(w, f);
    strbuf_adds(w->out, "}}}");
}

static void write_whole_message(struct edge_schemas *w, const struct edge_socket *s,
                                const ProtobufCMessageDescriptor *d, const char *kind)
{
    begin_message(w, s, d->short_name, kind);
    edge_schema_refer(w, d);
    strbuf_addc(w->out, '}');
}

static void write_messages(struct edge_schemas *w, const struct edge_socket *s, bool *is_first)
{
    for (unsigned i = 0; s->server && i < s->client->n_fields; i++) {
        if (!is_payload(&s->client->fields[i]))
            continue;
        strbuf_adds(w->out, *is_first ? "" : ",");
        *is_first = false;
        write_field_message(w, s, &s->client->fields[i], "request");
    }
    for (unsigned i = 0; s->server && i < s->server->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &s->server->fields[i];
        if (!is_payload(f))
            continue;
        strbuf_addc(w->out, ',');
        write_field_message(w, s, f, kind_of(s, f));
    }
    if (s->server)
        return;
    strbuf_adds(w->out, *is_first ? "" : ",");
    *is_first = false;
    write_whole_message(w, s, s->client, "request");
    for (size_t i = 0; i < s->frame_count; i++) {
        strbuf_addc(w->out, ',');
        write_whole_message(w, s, s->frames[i], "event");
    }
}

/* ---- references to them ---- */

static void refer(struct edge_schemas *w, const struct edge_socket *s, const char *name,
                  const char *kind)
{
    strbuf_printf(w->out, "{\"$ref\":\"#/channels/%s/messages/", s->name);
    add_name(w, s, name, kind);
    strbuf_adds(w->out, "\"}");
}

static void write_channel_message(struct edge_schemas *w, const struct edge_socket *s,
                                  const char *name, const char *kind, bool *is_first)
{
    strbuf_adds(w->out, *is_first ? "\"" : ",\"");
    *is_first = false;
    add_name(w, s, name, kind);
    strbuf_adds(w->out, "\":{\"$ref\":\"#/components/messages/");
    add_name(w, s, name, kind);
    strbuf_adds(w->out, "\"}");
}

static void write_channel(struct edge_schemas *w, const struct edge_socket *s)
{
    bool is_first = true;
    strbuf_printf(w->out, "\"%s\":{\"address\":\"%s\",\"summary\":", s->name, s->path);
    edge_schema_quote(w->out, s->summary);
    strbuf_printf(w->out, ",\"externalDocs\":{\"url\":\"%s\"},\"messages\":{", s->manual);
    for (unsigned i = 0; s->server && i < s->client->n_fields; i++)
        if (is_payload(&s->client->fields[i]))
            write_channel_message(w, s, s->client->fields[i].name, "request", &is_first);
    for (unsigned i = 0; s->server && i < s->server->n_fields; i++)
        if (is_payload(&s->server->fields[i]))
            write_channel_message(w, s, s->server->fields[i].name,
                                  kind_of(s, &s->server->fields[i]), &is_first);
    if (!s->server)
        write_channel_message(w, s, s->client->short_name, "request", &is_first);
    for (size_t i = 0; !s->server && i < s->frame_count; i++)
        write_channel_message(w, s, s->frames[i]->short_name, "event", &is_first);
    strbuf_adds(w->out, "}}");
}

/* ---- operations ---- */

static void begin_operation(struct edge_schemas *w, const struct edge_socket *s, const char *name,
                            const char *kind, bool *is_first)
{
    bool is_request = strcmp(kind, "request") == 0;
    strbuf_adds(w->out, *is_first ? "\"" : ",\"");
    *is_first = false;
    add_name(w, s, name, kind);
    strbuf_printf(w->out,
                  "\":{\"action\":\"%s\",\"channel\":{\"$ref\":\"#/channels/%s\"},"
                  "\"messages\":[",
                  is_request ? "receive" : "send", s->name);
    refer(w, s, name, kind);
    strbuf_addc(w->out, ']');
}

static void write_operations(struct edge_schemas *w, const struct edge_socket *s, bool *is_first)
{
    for (unsigned i = 0; s->server && i < s->client->n_fields; i++) {
        const char *name = s->client->fields[i].name;
        if (!is_payload(&s->client->fields[i]))
            continue;
        begin_operation(w, s, name, "request", is_first);
        strbuf_printf(w->out, ",\"reply\":{\"channel\":{\"$ref\":\"#/channels/%s\"},\"messages\":[",
                      s->name);
        if (answer_of(s, name)) {
            refer(w, s, name, "answer");
            strbuf_addc(w->out, ',');
        }
        refer(w, s, "error", "answer");
        strbuf_adds(w->out, "]}}");
    }
    for (unsigned i = 0; s->server && i < s->server->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &s->server->fields[i];
        if (!is_payload(f) || strcmp(kind_of(s, f), "event") != 0)
            continue;
        begin_operation(w, s, f->name, "event", is_first);
        strbuf_addc(w->out, '}');
    }
    if (s->server)
        return;
    begin_operation(w, s, s->client->short_name, "request", is_first);
    strbuf_addc(w->out, '}');
    for (size_t i = 0; i < s->frame_count; i++) {
        begin_operation(w, s, s->frames[i]->short_name, "event", is_first);
        strbuf_addc(w->out, '}');
    }
}

/* ---- the document ---- */

void edge_asyncapi_write(struct strbuf *out, const struct edge_socket *const *sockets, size_t count,
                         const char *version)
{
    struct edge_schemas *w = edge_schemas_create(out);
    bool is_first = true;
    strbuf_adds(out, "{\"asyncapi\":\"3.0.0\",\"info\":{\"title\":\"Parlance\",\"version\":");
    edge_schema_quote(out, version);
    strbuf_adds(out, ",\"description\":\"The sockets. The HTTP API: openapi.json.\",\"license\":{"
                     "\"name\":\"Apache-2.0\"}},\"defaultContentType\":\"application/json\","
                     "\"channels\":{");
    for (size_t i = 0; i < count; i++) {
        strbuf_adds(out, i ? "," : "");
        write_channel(w, sockets[i]);
    }
    strbuf_adds(out, "},\"operations\":{");
    for (size_t i = 0; i < count; i++)
        write_operations(w, sockets[i], &is_first);
    strbuf_adds(out, "},\"components\":{\"messages\":{");
    is_first = true;
    for (size_t i = 0; i < count; i++)
        write_messages(w, sockets[i], &is_first);
    strbuf_adds(out, "},\"schemas\":{");
    edge_schemas_write(w, true);
    strbuf_adds(out, "}}}");
    edge_schemas_destroy(&w);
}
