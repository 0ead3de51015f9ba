/*
 * The OpenAPI 3.1 document, from the same rows and descriptors that serve: paths, parameters,
 * bodies, schemas, who may. What is written here is what JSON really looks like (rpc_json_write).
 */
#include <ctype.h>
#include <string.h>

#include "edge/edge_internal.h"

static const char *const who_names[] = {"", "anyone", "guest", "user", "admin"};

static bool is_param(const struct edge_route *route, const char *name)
{
    char needle[80];
    snprintf(needle, sizeof(needle), "/:%s", name);
    const char *at = strstr(route->path, needle);
    return at && (at[strlen(needle)] == '\0' || at[strlen(needle)] == '/');
}

static bool is_header(const struct edge_header *headers, const char *field)
{
    for (; headers && headers->name; headers++) {
        if (headers->field && strcmp(headers->field, field) == 0)
            return true;
    }
    return false;
}

/* What the edge says itself, of the parts of a body. */
static bool is_of_edge(const struct edge_route *route, const char *field)
{
    return route->part_bytes &&
           (strcmp(field, "body_id") == 0 || strcmp(field, "body_offset") == 0 ||
            strcmp(field, "has_more") == 0 || strcmp(field, "is_cut") == 0);
}

static void header_parameters(struct edge_schemas *w, const struct edge_route *route,
                              const ProtobufCMessageDescriptor *request, bool is_first)
{
    for (const struct edge_header *h = route->takes; h && h->name; h++) {
        strbuf_adds(w->out, is_first ? "{\"name\":" : ",{\"name\":");
        is_first = false;
        edge_schema_quote(w->out, h->name);
        strbuf_adds(w->out, ",\"in\":\"header\",\"required\":false,\"schema\":");
        edge_schema_field(w, rpc_field_find(request, str_from(h->field)));
        strbuf_addc(w->out, '}');
    }
}

static void response_headers(struct edge_schemas *w, const struct edge_route *route)
{
    if (!route->gives)
        return;
    strbuf_adds(w->out, "\"headers\":{");
    for (const struct edge_header *h = route->gives; h->name; h++) {
        strbuf_adds(w->out, h == route->gives ? "" : ",");
        edge_schema_quote(w->out, h->name);
        strbuf_adds(w->out, ":{\"schema\":{\"type\":\"string\"}}");
    }
    strbuf_adds(w->out, "},");
}

static void path_template(struct strbuf *out, const char *path)
{
    struct str rest = str_from(path + 1);
    struct str segment;
    for (bool is_more = true; is_more;) {
        is_more = str_cut(&rest, '/', &segment);
        if (segment.n && segment.p[0] == ':')
            strbuf_printf(out, "/{%.*s}", (int)segment.n - 1, segment.p + 1);
        else
            strbuf_printf(out, "/%.*s", STR_FMT(segment));
    }
}

/* Path parameters; for GET and DELETE the other scalar fields are the query. */
static void parameters(struct edge_schemas *w, const struct edge_route *route,
                       const ProtobufCMessageDescriptor *request)
{
    bool has_query = strcmp(route->method, "GET") == 0 || strcmp(route->method, "DELETE") == 0;
    bool is_first = true;
    strbuf_adds(w->out, "\"parameters\":[");
    for (unsigned i = 0; i < request->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &request->fields[i];
        bool is_in_path = is_param(route, f->name);
        if (!is_in_path && (!has_query || f->type == PROTOBUF_C_TYPE_MESSAGE ||
                            is_header(route->takes, f->name) || is_of_edge(route, f->name)))
            continue;
        strbuf_adds(w->out, is_first ? "{\"name\":" : ",{\"name\":");
        is_first = false;
        edge_schema_quote(w->out, f->name);
        strbuf_printf(w->out,
                      ",\"in\":\"%s\",\"required\":%s,\"schema\":", is_in_path ? "path" : "query",
                      is_in_path ? "true" : "false");
        edge_schema_field(w, f);
        strbuf_addc(w->out, '}');
    }
    header_parameters(w, route, request, is_first);
    strbuf_addc(w->out, ']');
}

/* "image/png":{},"image/webp":{} */
static void raw_content(struct edge_schemas *w, const struct edge_route *route)
{
    struct str rest = str_from(route->raw_types ? route->raw_types : "application/octet-stream");
    struct str type;
    for (bool is_more = true, is_first = true; is_more; is_first = false) {
        is_more = str_cut(&rest, ' ', &type);
        strbuf_adds(w->out, is_first ? "" : ",");
        strbuf_add_json(w->out, type);
        strbuf_adds(w->out, ":{}");
    }
}

static void request_body(struct edge_schemas *w, const struct edge_route *route,
                         const ProtobufCMessageDescriptor *request)
{
    bool has_body = strcmp(route->method, "POST") == 0 || strcmp(route->method, "PUT") == 0 ||
                    strcmp(route->method, "PATCH") == 0;
    if (!has_body)
        return;
    if (route->flags & EDGE_RAW_BODY) {
        strbuf_adds(w->out, ",\"requestBody\":{\"content\":{");
        raw_content(w, route);
        strbuf_adds(w->out, "}}");
        return;
    }
    strbuf_adds(w->out, ",\"requestBody\":{\"content\":{\"application/json\":{\"schema\":");
    edge_schema_refer(w, request);
    strbuf_adds(w->out, "}}}");
}

static void range_responses(struct edge_schemas *w, const struct edge_route *route)
{
    strbuf_adds(w->out, ",\"206\":{\"description\":\"The range asked for.\",\"content\":{");
    raw_content(w, route);
    strbuf_adds(w->out, "}},\"304\":{\"description\":\"Nothing new.\"},"
                        "\"416\":{\"description\":\"There is no such range.\"}");
}

static void responses(struct edge_schemas *w, const struct edge_route *route,
                      const ProtobufCMessageDescriptor *reply)
{
    int status = route->ok_status ? route->ok_status : 200;
    strbuf_printf(w->out, ",\"responses\":{\"%d\":{", status);
    response_headers(w, route);
    strbuf_adds(w->out, "\"description\":\"Done.\"");
    if (status != 204)
        strbuf_adds(w->out, ",\"content\":{");
    if (route->flags & (EDGE_RAW_REPLY | EDGE_BLOB_REPLY)) {
        raw_content(w, route);
    } else if (status != 204) {
        strbuf_adds(w->out, "\"application/json\":{\"schema\":");
        edge_schema_refer(w, reply);
        strbuf_addc(w->out, '}');
    }
    strbuf_adds(w->out, status == 204 ? "}" : "}}");
    if (route->flags & EDGE_BLOB_REPLY)
        range_responses(w, route);
    strbuf_adds(w->out, ",\"default\":{\"$ref\":\"#/components/responses/error\"}}");
}

/* "users_GetUser"; where several rows ask the same RPC, those that end in a word carry it, too. */
static void write_operation_id(struct edge_schemas *w, const struct edge_route_table *table,
                               const struct edge_route *route)
{
    size_t rows = 0;
    for (size_t i = 0; i < table->count; i++)
        rows += strcmp(table->routes[i].rpc, route->rpc) == 0;
    const char *last = strrchr(route->path, '/') + 1;
    bool has_suffix = rows > 1 && last[0] != ':';
    strbuf_printf(w->out, "\"operationId\":\"%s_%s%s%s\"", table->tag, route->rpc,
                  has_suffix ? "_" : "", has_suffix ? last : "");
}

static void write_operation(struct edge_schemas *w, const struct edge_route_table *table,
                            const struct edge_route *route)
{
    int index = rpc_method_find(table->service, route->rpc);
    const ProtobufCMethodDescriptor *method = &table->service->methods[index];
    strbuf_addc(w->out, '"');
    for (const char *c = route->method; *c; c++)
        strbuf_addc(w->out, (char)tolower((unsigned char)*c));
    strbuf_adds(w->out, "\":{");
    write_operation_id(w, table, route);
    strbuf_printf(w->out, ",\"tags\":[\"%s\"],\"summary\":", table->tag);
    edge_schema_quote(w->out, route->summary ? route->summary : method->name);
    strbuf_printf(w->out, ",\"x-who\":\"%s\",", who_names[route->who]);
    const char *signature = route->flags & EDGE_NO_KEYS ? "" : ",{\"signature\":[]}";
    if (route->who == EDGE_WHO_ANYONE)
        strbuf_printf(w->out, "\"security\":[{},{\"bearer\":[]}%s],", signature);
    else if (route->flags & EDGE_NO_KEYS)
        strbuf_adds(w->out, "\"security\":[{\"bearer\":[]}],");
    parameters(w, route, method->input);
    request_body(w, route, method->input);
    responses(w, route, method->output);
    strbuf_addc(w->out, '}');
}

/* All methods of one path stand together; the first row of a path writes them all. */
static bool is_first_of_path(const struct edge_route_table *const *tables, size_t table, size_t row)
{
    const char *path = tables[table]->routes[row].path;
    for (size_t t = 0; t <= table; t++) {
        size_t end = t == table ? row : tables[t]->count;
        for (size_t r = 0; r < end; r++) {
            if (strcmp(tables[t]->routes[r].path, path) == 0)
                return false;
        }
    }
    return true;
}

static void write_path(struct edge_schemas *w, const struct edge_route_table *const *tables,
                       size_t count, const char *path)
{
    struct strbuf template = {0};
    path_template(&template, path);
    edge_schema_quote(w->out, template.p);
    strbuf_deinit(&template);
    strbuf_adds(w->out, ":{");
    bool is_first = true;
    for (size_t t = 0; t < count; t++) {
        for (size_t r = 0; r < tables[t]->count; r++) {
            if (strcmp(tables[t]->routes[r].path, path) != 0)
                continue;
            strbuf_adds(w->out, is_first ? "" : ",");
            is_first = false;
            write_operation(w, tables[t], &tables[t]->routes[r]);
        }
    }
    strbuf_addc(w->out, '}');
}

static void write_components(struct edge_schemas *w)
{
    strbuf_adds(
        w->out,
        "},\"components\":{\"securitySchemes\":{\"bearer\":{\"type\":\"http\",\"scheme\":"
        "\"bearer\","
        "\"bearerFormat\":\"JWT\"},\"signature\":{\"type\":\"apiKey\",\"in\":\"header\",\"name\":"
        "\"Authorization\",\"description\":\"" EDGE_SIGNATURE_SCHEME
        ", for programs: docs/api.md, Signed "
        "requests.\"}},\"responses\":{\"error\":{\"description\":\"What went wrong.\","
        "\"content\":{\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/"
        "Error\"}}}}},"
        "\"schemas\":{\"Error\":{\"type\":\"object\",\"required\":[\"error\"],\"properties\":{"
        "\"error\":{\"type\":\"object\",\"required\":[\"code\",\"message\",\"request_id\"],"
        "\"properties\":{\"code\":{\"type\":\"string\"},\"message\":{\"type\":\"string\"},"
        "\"request_id\":{\"type\":\"string\"}}}}}");
    edge_schemas_write(w, false);
    strbuf_adds(w->out, "}}}");
}

void edge_openapi_write(struct strbuf *out, const struct edge_route_table *const *tables,
                        size_t count, const char *version)
{
    struct edge_schemas *w = edge_schemas_create(out);
    strbuf_adds(out, "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Parlance\",\"version\":");
    edge_schema_quote(out, version);
    strbuf_adds(out,
                ",\"description\":\"Accounts and meetings. Conventions: docs/api.md.\","
                "\"license\":{\"name\":\"Apache-2.0\",\"identifier\":\"Apache-2.0\"}},"
                "\"servers\":[{\"url\":\"/\"}],\"security\":[{\"bearer\":[]},{\"signature\":[]}],"
                "\"tags\":[");
    for (size_t t = 0; t < count; t++)
        strbuf_printf(out, "%s{\"name\":\"%s\"}", t ? "," : "", tables[t]->tag);
    strbuf_adds(out, "],\"paths\":{");
    bool is_first = true;
    for (size_t t = 0; t < count; t++) {
        for (size_t r = 0; r < tables[t]->count; r++) {
            if (!is_first_of_path(tables, t, r))
                continue;
            strbuf_adds(out, is_first ? "" : ",");
            is_first = false;
            write_path(w, tables, count, tables[t]->routes[r].path);
        }
    }
    write_components(w);
    edge_schemas_destroy(&w);
}
