/*
 * The router: rows compiled into a tree by path segment. A literal segment goes before a parameter;
 * routing and authorisation look at the same parsed path, once.
 */
#include <string.h>

#include "edge/edge_internal.h"

static struct metric request_seconds = METRIC_HISTOGRAM(
    "parlance_http_request_seconds", "Time from request to answer, by route.", "route", "method");

struct node {
    struct str literal; /* n == 0: a parameter */
    struct str name;    /* of the parameter */
    struct node *child;
    struct node *next;
    struct edge_target *targets[HTTP_METHOD_COUNT];
};

struct edge_router {
    struct node root;
};

static const ProtobufCFieldDescriptor *find_bytes(const ProtobufCMessageDescriptor *d)
{
    for (unsigned i = 0; i < d->n_fields; i++) {
        if (d->fields[i].type == PROTOBUF_C_TYPE_BYTES)
            return &d->fields[i];
    }
    return NULL;
}

static int method_of(const char *name)
{
    for (int m = 0; m < HTTP_METHOD_COUNT; m++) {
        if (strcmp(http_method_name((enum http_method)m), name) == 0)
            return m;
    }
    return -1;
}

/* NULL: the parameter has another name in another row, which would make two trees of one. */
static struct node *child_for(struct node *parent, struct str segment)
{
    bool is_param = segment.n > 1 && segment.p[0] == ':';
    struct str name = is_param ? str_sub(segment, 1, segment.n) : STR_NULL;
    for (struct node *n = parent->child; n; n = n->next) {
        if (is_param && n->literal.n == 0)
            return str_eq(n->name, name) ? n : NULL;
        if (!is_param && str_eq(n->literal, segment))
            return n;
    }
    struct node *n = mem_zalloc(sizeof(*n));
    n->literal = is_param ? STR_NULL : segment;
    n->name = name;
    if (is_param) { /* after the literals */
        struct node **at = &parent->child;
        while (*at)
            at = &(*at)->next;
        *at = n;
    } else {
        n->next = parent->child;
        parent->child = n;
    }
    return n;
}

static struct edge_target *target_create(const struct edge_mount *mount,
                                         const struct edge_route *route, unsigned method)
{
    const ProtobufCMethodDescriptor *rpc = &mount->table->service->methods[method];
    struct edge_target *t = mem_zalloc(sizeof(*t));
    t->route = route;
    t->tag = mount->table->tag;
    t->service = mount->service;
    t->method = method;
    t->request = rpc->input;
    t->seconds = metric_cell(&request_seconds, route->path, route->method, NULL);
    if (route->flags & EDGE_RAW_BODY)
        t->raw_field = rpc_field_find(rpc->input, str_from(route->raw_field));
    for (size_t i = 0; route->takes && route->takes[i].name; i++)
        t->takes[i] = rpc_field_find(rpc->input, str_from(route->takes[i].field));
    for (size_t i = 0; route->gives && route->gives[i].name; i++)
        t->gives[i] = route->gives[i].field
                          ? rpc_field_find(rpc->output, str_from(route->gives[i].field))
                          : NULL;
    if (route->part_bytes) {
        t->body_id = rpc_field_find(rpc->input, STR("body_id"));
        t->body_offset = rpc_field_find(rpc->input, STR("body_offset"));
        t->has_more = rpc_field_find(rpc->input, STR("has_more"));
        t->is_cut = rpc_field_find(rpc->input, STR("is_cut"));
    }
    if (route->flags & (EDGE_RAW_REPLY | EDGE_BLOB_REPLY)) {
        t->raw_type = rpc_field_find(rpc->output, STR("content_type"));
        t->raw_name = rpc_field_find(rpc->output, STR("file_name"));
        t->raw_bytes = find_bytes(rpc->output);
    }
    return t;
}

static bool has_field(const ProtobufCMessageDescriptor *d, const char *name, ProtobufCType type)
{
    const ProtobufCFieldDescriptor *f = rpc_field_find(d, str_from(name));
    return f && f->type == type && f->label != PROTOBUF_C_LABEL_REPEATED;
}

static bool has_mapped(const ProtobufCMessageDescriptor *d, const struct edge_header *headers)
{
    size_t count = 0;
    for (; headers && headers[count].name; count++) {
        const struct edge_header *h = &headers[count];
        if (!h->field == !h->value ||
            (h->field && !has_field(d, h->field, PROTOBUF_C_TYPE_STRING) &&
             !has_field(d, h->field, PROTOBUF_C_TYPE_INT64)))
            return false;
    }
    return count <= EDGE_MAPPED_MAX;
}

static const char *find_file_fault(const struct edge_route *route,
                                   const ProtobufCMethodDescriptor *rpc)
{
    if (!has_mapped(rpc->input, route->takes) || !has_mapped(rpc->output, route->gives))
        return "names a header that is no text or 64-bit field";
    if (route->part_bytes && (!(route->flags & EDGE_RAW_BODY) ||
                              !has_field(rpc->input, "body_id", PROTOBUF_C_TYPE_STRING) ||
                              !has_field(rpc->input, "body_offset", PROTOBUF_C_TYPE_INT64) ||
                              !has_field(rpc->input, "has_more", PROTOBUF_C_TYPE_BOOL) ||
                              !has_field(rpc->input, "is_cut", PROTOBUF_C_TYPE_BOOL)))
        return "takes a body in parts but has no fields for them";
    if ((route->flags & EDGE_BLOB_REPLY) &&
        (!has_field(rpc->output, "blob", PROTOBUF_C_TYPE_STRING) ||
         !has_field(rpc->output, "content_type", PROTOBUF_C_TYPE_STRING) ||
         !has_field(rpc->output, "file_name", PROTOBUF_C_TYPE_STRING) ||
         !has_field(rpc->output, "etag", PROTOBUF_C_TYPE_STRING) ||
         !has_field(rpc->output, "is_inline", PROTOBUF_C_TYPE_BOOL)))
        return "answers with a blob but the reply names none";
    return NULL;
}

/* Everything that a request relies on later is judged here, at start. */
static const char *find_fault(const struct edge_mount *mount, const struct edge_route *route)
{
    int method = rpc_method_find(mount->table->service, route->rpc);
    if (route->who == EDGE_WHO_UNSET)
        return "has no rule who may call it";
    if (method < 0)
        return "names an RPC that the contract does not have";
    if (method_of(route->method) < 0 || route->path[0] != '/')
        return "has no proper method or path";
    const ProtobufCMethodDescriptor *rpc = &mount->table->service->methods[method];
    struct str rest = str_from(route->path);
    struct str segment;
    for (bool is_more = true; is_more;) {
        is_more = str_cut(&rest, '/', &segment);
        if (segment.n > 1 && segment.p[0] == ':' &&
            !rpc_field_find(rpc->input, str_sub(segment, 1, segment.n)))
            return "has a parameter that is no field of the request";
    }
    if (route->flags & EDGE_RAW_BODY) {
        const ProtobufCFieldDescriptor *f =
            route->raw_field ? rpc_field_find(rpc->input, str_from(route->raw_field)) : NULL;
        if (!f || f->type != PROTOBUF_C_TYPE_BYTES)
            return "takes a raw body but names no bytes field";
    }
    if ((route->flags & EDGE_RAW_REPLY) &&
        (!rpc_field_find(rpc->output, STR("content_type")) || !find_bytes(rpc->output)))
        return "answers raw but the reply has no content_type and bytes";
    return find_file_fault(route, rpc);
}

static enum err add_route(struct edge_router *r, const struct edge_mount *mount,
                          const struct edge_route *route)
{
    const char *fault = find_fault(mount, route);
    if (fault) {
        log_error(NULL, "route %s %s %s", route->method, route->path, fault);
        return ERR_INVALID_ARGUMENT;
    }
    int http_method = method_of(route->method);
    int method = rpc_method_find(mount->table->service, route->rpc);
    struct node *n = &r->root;
    struct str rest = str_sub(str_from(route->path), 1, SIZE_MAX);
    struct str segment;
    for (bool is_more = true; is_more && n;) {
        is_more = str_cut(&rest, '/', &segment);
        n = child_for(n, segment);
    }
    if (!n || n->targets[http_method]) {
        log_error(NULL, "route %s %s %s", route->method, route->path,
                  n ? "is there twice" : "names a parameter otherwise than another row");
        return ERR_INVALID_ARGUMENT;
    }
    n->targets[http_method] = target_create(mount, route, (unsigned)method);
    return ERR_OK;
}

enum err edge_router_create(struct edge_router **out, const struct edge_mount *mounts, size_t count)
{
    struct edge_router *r = mem_zalloc(sizeof(*r));
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < mounts[i].table->count; j++) {
            enum err err = add_route(r, &mounts[i], &mounts[i].table->routes[j]);
            if (err) {
                edge_router_destroy(&r);
                return err;
            }
        }
    }
    *out = r;
    return ERR_OK;
}

static void node_clear(struct node *n)
{
    while (n->child) {
        struct node *c = n->child;
        n->child = c->next;
        node_clear(c);
        free(c);
    }
    for (int m = 0; m < HTTP_METHOD_COUNT; m++)
        free(n->targets[m]);
}

void edge_router_destroy(struct edge_router **r)
{
    if (*r)
        node_clear(&(*r)->root);
    free(*r);
    *r = NULL;
}

struct search {
    enum http_method method;
    unsigned methods; /* bits: those that whole matches answer */
    struct edge_match *out;
};

static struct edge_target *target_of(const struct node *n, struct search *s)
{
    for (int m = 0; m < HTTP_METHOD_COUNT; m++)
        s->methods |= n->targets[m] ? 1u << m : 0;
    struct edge_target *target = n->targets[s->method];
    return !target && s->method == HTTP_METHOD_HEAD ? n->targets[HTTP_METHOD_GET] : target;
}

/* Depth first; the first whole match that answers the method wins, so "users/me" takes only what
 * its own rows name from "users/:id". Depth is bounded by EDGE_SEGMENTS_MAX. */
static struct edge_target *find_target(const struct node *n, const struct str *segments,
                                       size_t count, struct search *s)
{
    struct edge_match *out = s->out;
    if (count == 0)
        return target_of(n, s);
    for (const struct node *c = n->child; c; c = c->next) {
        size_t before = out->param_count;
        if (c->literal.n ? !str_eq(c->literal, segments[0]) : segments[0].n == 0)
            continue;
        if (!c->literal.n) {
            if (out->param_count == EDGE_PARAMS_MAX)
                continue;
            out->names[out->param_count] = c->name;
            out->values[out->param_count++] = segments[0];
        }
        struct edge_target *found = find_target(c, segments + 1, count - 1, s);
        if (found)
            return found;
        out->param_count = before;
    }
    return NULL;
}

static void list_methods(unsigned methods, char *allow, size_t size)
{
    size_t used = 0;
    allow[0] = '\0';
    for (int m = 0; m < HTTP_METHOD_COUNT; m++) {
        if ((methods & 1u << m) && used < size)
            used += (size_t)snprintf(allow + used, size - used, "%s%s", used ? ", " : "",
                                     http_method_name((enum http_method)m));
    }
}

void edge_router_match(const struct edge_router *r, enum http_method method, struct str path,
                       struct edge_match *out)
{
    out->target = NULL;
    out->param_count = 0;
    out->is_known_path = false;
    out->allow[0] = '\0';
    struct str segments[EDGE_SEGMENTS_MAX];
    size_t count = 0;
    struct str rest = path.n ? str_sub(path, 1, path.n) : path;
    for (bool is_more = true; is_more;) {
        if (count == EDGE_SEGMENTS_MAX)
            return;
        is_more = str_cut(&rest, '/', &segments[count++]);
    }
    struct search search = {.method = method, .out = out};
    out->target = find_target(&r->root, segments, count, &search);
    out->is_known_path = search.methods != 0;
    if (!out->target || method == HTTP_METHOD_OPTIONS)
        list_methods(search.methods, out->allow, sizeof(out->allow));
}
