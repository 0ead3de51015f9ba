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

static void respond(struct edge_job *j, const ProtobufCMessage *reply, int fd, uint64_t size)
{
    struct edge_headers h = {0};
    struct strbuf name = {0};
    char range[80];
    struct str etag = str_from(text_of(reply, "etag"));
    struct edge_span span = edge_range_find(&j->wish, etag, size);
    bool has_body = span.status == 200 || span.status == 206;
    bool is_inline = *(const protobuf_c_boolean *)field_of(reply, "is_inline");
    struct http_response res = {.status = span.status};
    edge_headers_cors(j->edge, &h, j->origin, j->is_origin_allowed);
    edge_headers_add(&h, "ETag", etag);
    edge_headers_add(&h, "Accept-Ranges", STR("bytes"));
    /* Whoever may read it is asked each time, by its tag. */
    edge_headers_add(&h, "Cache-Control", STR("private, no-cache"));
    edge_headers_add(&h, "Content-Security-Policy", STR("default-src 'none'; sandbox"));
    edge_headers_add(&h, "Cross-Origin-Resource-Policy", STR("same-origin"));
    if (span.status == 206)
        snprintf(range, sizeof(range), "bytes %llu-%llu/%llu", (unsigned long long)span.offset,
                 (unsigned long long)(span.offset + span.count - 1), (unsigned long long)size);
    else
        snprintf(range, sizeof(range), "bytes */%llu", (unsigned long long)size);
    if (span.status == 206 || span.status == 416)
        edge_headers_add(&h, "Content-Range", str_from(range));
    if (has_body) {
        res.content_type = text_of(reply, "content_type");
        res.file_fd = fd;
        res.file_offset = (int64_t)span.offset;
        res.file_bytes = (int64_t)span.count;
        edge_headers_add(&h, "Content-Disposition",
                         edge_disposition(text_of(reply, "file_name"), is_inline, &name));
    } else {
        close(fd);
    }
    res.headers = h.list;
    res.header_count = h.count;
    http_ticket_respond(j->ticket, &res);
    strbuf_deinit(&name);
    edge_count(j, span.status);
}

void edge_reply_blob(struct edge_job *j, const ProtobufCMessage *reply)
{
    int fd;
    uint64_t size;
    enum err err = j->edge->opt.blob
                       ? blob_open_file(j->edge->opt.blob, text_of(reply, "blob"), &fd, &size)
                       : ERR_UNIMPLEMENTED;
    if (err)
        edge_reply_failure(j, err == ERR_NOT_FOUND ? ERR_DATA_LOSS : err, NULL, 0);
    else
        respond(j, reply, fd, size);
}
