/*
 * edge_message: path, query and body of a request become one message. What stands in the path is
 * what was routed and judged, so nothing else may say otherwise: a body or query that names the
 * same field must agree. Every field may be given once.
 */
#include <string.h>

#include "edge/edge_internal.h"

static void *member(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    return (char *)(uintptr_t)m + f->offset;
}

/* Whether the field was given, as far as a message can tell: a default is as good as nothing. */
bool edge_message_has(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    if (f->label == PROTOBUF_C_LABEL_REPEATED)
        return false; /* a list takes one more */
    if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        return *(const uint32_t *)((const char *)m + f->quantifier_offset) == f->id;
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING: {
        const char *text = *(char *const *)member(m, f);
        return text && text[0];
    }
    case PROTOBUF_C_TYPE_MESSAGE:
        return *(void *const *)member(m, f) != NULL;
    case PROTOBUF_C_TYPE_BYTES:
        return ((const ProtobufCBinaryData *)member(m, f))->len > 0;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return *(const uint64_t *)member(m, f) != 0;
    default:
        return *(const uint32_t *)member(m, f) != 0;
    }
}

static bool is_equal(const ProtobufCFieldDescriptor *f, const ProtobufCMessage *a,
                     const ProtobufCMessage *b)
{
    if (f->type == PROTOBUF_C_TYPE_STRING)
        return strcmp(*(char *const *)member(a, f), *(char *const *)member(b, f)) == 0;
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return memcmp(member(a, f), member(b, f), 8) == 0;
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
    case PROTOBUF_C_TYPE_DOUBLE:
        return false; /* never in a path */
    default:
        return memcmp(member(a, f), member(b, f), 4) == 0;
    }
}

/* A field from the path (is_routed) or the query. */
static bool set_field(ProtobufCMessage *m, struct str name, struct str text, bool is_routed,
                      struct arena *arena, struct strbuf *problem)
{
    const ProtobufCFieldDescriptor *f = rpc_field_find(m->descriptor, name);
    if (!f || !edge_message_has(m, f))
        return rpc_field_set(m, name, text, arena, problem);
    ProtobufCMessage *other = rpc_message_create(m->descriptor, arena);
    if (!rpc_field_set(other, name, text, arena, problem))
        return false;
    if (is_routed && is_equal(f, m, other))
        return true;
    strbuf_printf(problem, "%s: %s", f->name,
                  is_routed ? "contradicts the path" : "is given more than once");
    return false;
}

static bool set_params(const struct edge_match *match, ProtobufCMessage *m, struct arena *arena,
                       struct strbuf *problem)
{
    struct strbuf text = {0};
    bool is_ok = true;
    for (size_t i = 0; is_ok && i < match->param_count; i++) {
        strbuf_clear(&text);
        is_ok = http_percent_decode(match->values[i], HTTP_DECODE_PATH, &text);
        if (!is_ok)
            strbuf_adds(problem, "the path is not properly encoded");
        else
            is_ok = set_field(m, match->names[i], strbuf_str(&text), true, arena, problem);
    }
    strbuf_deinit(&text);
    return is_ok;
}

static bool set_query(struct str query, ProtobufCMessage *m, struct arena *arena,
                      struct strbuf *problem)
{
    struct strbuf key = {0};
    struct strbuf value = {0};
    bool is_ok = true;
    for (bool is_more = query.n > 0; is_ok && is_more;) {
        struct str pair, raw_key;
        is_more = str_cut(&query, '&', &pair);
        if (!pair.n)
            continue;
        strbuf_clear(&key);
        strbuf_clear(&value);
        bool has_value = str_cut(&pair, '=', &raw_key);
        is_ok = http_percent_decode(raw_key, HTTP_DECODE_QUERY, &key) &&
                (!has_value || http_percent_decode(pair, HTTP_DECODE_QUERY, &value));
        if (!is_ok)
            strbuf_adds(problem, "the query is not properly encoded");
        else
            is_ok = set_field(m, strbuf_str(&key), strbuf_str(&value), false, arena, problem);
    }
    strbuf_deinit(&key);
    strbuf_deinit(&value);
    return is_ok;
}

/* A form of a foreign page cannot send JSON under its own name, so it gets nowhere. */
static bool is_json(const struct http_request *req)
{
    struct str type = http_request_header(req, "Content-Type");
    struct str media;
    if (!type.p)
        return true;
    str_cut(&type, ';', &media);
    return str_eq_nocase(str_trim(media), STR("application/json"));
}

static ProtobufCMessage *from_body(const struct edge_target *t, const struct http_request *req,
                                   struct arena *arena, struct strbuf *problem)
{
    if (!req->body.n || req->method == HTTP_METHOD_GET || req->method == HTTP_METHOD_HEAD)
        return rpc_message_create(t->request, arena);
    if (t->route->flags & EDGE_RAW_BODY) {
        ProtobufCMessage *m = rpc_message_create(t->request, arena);
        ProtobufCBinaryData *bytes = member(m, t->raw_field);
        bytes->len = req->body.n;
        bytes->data = arena_memdup(arena, req->body.p, req->body.n);
        return m;
    }
    if (!is_json(req)) {
        strbuf_adds(problem, "Content-Type: expected application/json");
        return NULL;
    }
    return rpc_json_parse(t->request, req->body, arena, problem);
}

/* Headers that are fields come as headers alone. */
static bool set_headers(const struct edge_target *t, const struct http_request *req,
                        ProtobufCMessage *m, struct arena *arena, struct strbuf *problem)
{
    const struct edge_header *takes = t->route->takes;
    struct strbuf why = {0};
    bool is_ok = true;
    for (size_t i = 0; is_ok && takes && takes[i].name; i++) {
        struct str value = http_request_header(req, takes[i].name);
        is_ok =
            !edge_message_has(m, t->takes[i]) &&
            (!value.p || rpc_field_set(m, str_from(takes[i].field), str_trim(value), arena, &why));
        if (!is_ok)
            strbuf_printf(problem, "%s: %s", takes[i].name,
                          why.n ? "malformed" : "expected as a header");
    }
    strbuf_deinit(&why);
    return is_ok;
}

static pthread_once_t mark_once = PTHREAD_ONCE_INIT;
static char process_mark[9];

static void make_mark(void)
{
    id_token(process_mark, sizeof(process_mark) - 1);
}

/* Tickets are this process's own; others have the same ones. */
const char *edge_body_id(const struct http_request *req, struct arena *arena)
{
    struct net_ticket ticket = http_request_ticket(req);
    pthread_once(&mark_once, make_mark);
    return arena_printf(arena, "%s-%x-%x-%llx", process_mark, ticket.shard, ticket.slot,
                        (unsigned long long)ticket.generation);
}

/* Which part of a body this is, whatever the query says of it. */
static void set_part(const struct edge_target *t, const struct http_request *req, bool is_cut,
                     ProtobufCMessage *m, struct arena *arena)
{
    if (!t->route->part_bytes)
        return;
    *(char **)member(m, t->body_id) = (char *)edge_body_id(req, arena);
    *(int64_t *)member(m, t->body_offset) = (int64_t)req->body_offset;
    *(protobuf_c_boolean *)member(m, t->has_more) = req->has_more_body;
    *(protobuf_c_boolean *)member(m, t->is_cut) = is_cut;
}

ProtobufCMessage *edge_message_read(const struct edge_match *match, const struct http_request *req,
                                    bool is_cut, struct arena *arena, struct strbuf *problem)
{
    ProtobufCMessage *m = from_body(match->target, req, arena, problem);
    if (!m || !set_query(req->query, m, arena, problem) || !set_params(match, m, arena, problem) ||
        !set_headers(match->target, req, m, arena, problem))
        return NULL;
    set_part(match->target, req, is_cut, m, arena);
    if (match->target->route->flags & EDGE_COOKIE_USE)
        edge_cookie_use(req, m, arena);
    return m;
}
