/*
 * Files as answers: the reply names a blob, the edge sends it from where it lies, whole or the
 * range asked for. It is somebody's upload: it never runs as a page of ours, whatever is in it.
 */
#include <ctype.h>
#include <string.h>
#include <unistd.h>

#include "edge/edge_internal.h"

#define NAME_MAX_BYTES 400 /* in a header */

struct str edge_disposition(const char *file_name, bool is_inline, struct strbuf *out)
{
    bool is_plain = true;
    strbuf_adds(out, is_inline ? "inline" : "attachment");
    if (!file_name[0])
        return strbuf_str(out);
    strbuf_adds(out, "; filename=\"");
    for (const char *c = file_name; *c && c - file_name < NAME_MAX_BYTES; c++) {
        bool is_sane = isalnum((unsigned char)*c) || strchr(" ._-", *c);
        is_plain &= is_sane;
        strbuf_addc(out, is_sane ? *c : '_');
    }
    strbuf_addc(out, '"');
    if (is_plain)
        return strbuf_str(out);
    strbuf_adds(out, "; filename*=UTF-8''");
    for (const char *c = file_name; *c && c - file_name < NAME_MAX_BYTES; c++) {
        if (isalnum((unsigned char)*c) || strchr("._-", *c))
            strbuf_addc(out, *c);
        else
            strbuf_printf(out, "%%%02X", (unsigned char)*c);
    }
    return strbuf_str(out);
}

static const void *field_of(const ProtobufCMessage *m, const char *name)
{
    return (const char *)m + rpc_field_find(m->descriptor, str_from(name))->offset;
}

static const char *text_of(const ProtobufCMessage *m, const char *name)
{
    return *(char *const *)field_of(m, name);
}

/* What of a blob is sent, and from where. */
struct opened {
    int fd; /* -1: nothing */
    uint64_t size, at;
    struct edge_span span;
};

static bool has_body(const struct edge_span *span)
{
    return span->status == 200 || span->status == 206;
}

static void respond(struct edge_job *j, const ProtobufCMessage *reply, const struct opened *o)
{
    struct edge_headers h = {0};
    struct strbuf name = {0};
    char range[80];
    const struct edge_span *span = &o->span;
    bool is_inline = *(const protobuf_c_boolean *)field_of(reply, "is_inline");
    struct http_response res = {.status = span->status};
    edge_headers_cors(j->edge, &h, j->origin, j->is_origin_allowed);
    edge_headers_add(&h, "ETag", str_from(text_of(reply, "etag")));
    edge_headers_add(&h, "Accept-Ranges", STR("bytes"));
    /* Whoever may read it is asked each time, by its tag. */
    edge_headers_add(&h, "Cache-Control", STR("private, no-cache"));
    edge_headers_add(&h, "Content-Security-Policy", STR("default-src 'none'; sandbox"));
    edge_headers_add(&h, "Cross-Origin-Resource-Policy", STR("same-origin"));
    if (span->status == 206)
        snprintf(range, sizeof(range), "bytes %llu-%llu/%llu", (unsigned long long)span->offset,
                 (unsigned long long)(span->offset + span->count - 1), (unsigned long long)o->size);
    else
        snprintf(range, sizeof(range), "bytes */%llu", (unsigned long long)o->size);
    if (span->status == 206 || span->status == 416)
        edge_headers_add(&h, "Content-Range", str_from(range));
    if (has_body(span)) {
        res.content_type = text_of(reply, "content_type");
        res.file_fd = o->fd;
        res.file_offset = (int64_t)o->at;
        res.file_bytes = (int64_t)span->count;
        edge_headers_add(&h, "Content-Disposition",
                         edge_disposition(text_of(reply, "file_name"), is_inline, &name));
    } else if (o->fd >= 0) {
        close(o->fd);
    }
    res.headers = h.list;
    res.header_count = h.count;
    http_ticket_respond(j->ticket, &res);
    strbuf_deinit(&name);
    edge_count(j, span->status);
}

static void end(struct edge_job *j, enum err err, const ProtobufCMessage *reply,
                const struct opened *o)
{
    if (err)
        edge_reply_failure(j, err == ERR_NOT_FOUND ? ERR_DATA_LOSS : err, NULL, 0);
    else
        respond(j, reply, o);
    edge_job_destroy(j);
}

/* ---- blobs that come over a network: no loop waits for them ---- */

struct fetching {
    struct edge_job *j;
    const ProtobufCMessage *reply;
};

static void fetch_blob(void *arg)
{
    struct fetching *f = arg;
    struct edge_job *j = f->j;
    struct blob_store *store = j->edge->opt.blob;
    const char *blob = text_of(f->reply, "blob");
    struct opened o = {.fd = -1};
    enum err err = blob_size(store, blob, &o.size);
    if (!err)
        o.span = edge_range_find(&j->wish, str_from(text_of(f->reply, "etag")), o.size);
    if (!err && has_body(&o.span))
        err = blob_open_range(store, blob, o.span.offset, o.span.count, &o.fd, &o.at);
    end(j, err, f->reply, &o);
}

void edge_reply_blob(struct edge_job *j, const ProtobufCMessage *reply)
{
    struct opened o = {.fd = -1};
    enum err err = ERR_UNIMPLEMENTED;
    if (j->edge->blob_pool) {
        struct fetching *f = arena_new(j->call->arena, struct fetching);
        *f = (struct fetching){j, rpc_message_copy(j->call->arena, reply)};
        err = worker_run(j->edge->blob_pool, fetch_blob, f);
        if (!err)
            return;
    } else if (j->edge->opt.blob) {
        err = blob_open_file(j->edge->opt.blob, text_of(reply, "blob"), &o.fd, &o.size);
    }
    if (!err) {
        o.span = edge_range_find(&j->wish, str_from(text_of(reply, "etag")), o.size);
        o.at = o.span.offset;
    }
    end(j, err, reply, &o);
}
