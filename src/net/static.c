/*
 * static: answers GET and HEAD from the table that is compiled in. The bytes live as long as the
 * program, so nothing is copied; the best variant that the client accepts is sent (brotli, gzip,
 * plain), and If-None-Match spares sending it again.
 */
#include "net/static.h"

#include <string.h>
#include <strings.h>

const struct static_file *static_find(const struct static_table *table, struct str path)
{
    size_t low = 0;
    size_t high = table->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct static_file *file = &table->files[middle];
        struct str name = str_from(file->path);
        int order = memcmp(path.p, name.p, MIN(path.n, name.n));
        if (order == 0 && path.n == name.n)
            return file;
        if (order < 0 || (order == 0 && path.n < name.n))
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* A page of the client's own making: no dot in the last part, so no file is meant. */
static bool is_page(struct str path)
{
    for (size_t i = path.n; i-- > 0 && path.p[i] != '/';)
        if (path.p[i] == '.')
            return false;
    return true;
}

/* "gzip;q=0" refuses; any other weight, or none, accepts (RFC 9110, 12.5.3). */
static bool is_refused(struct str parameters)
{
    struct str part;
    bool is_more = true;
    while (is_more) {
        is_more = str_cut(&parameters, ';', &part);
        part = str_trim(part);
        if (part.n < 3 || (part.p[0] | 0x20) != 'q' || part.p[1] != '=')
            continue;
        for (size_t i = 2; i < part.n; i++)
            if (part.p[i] != '0' && part.p[i] != '.')
                return false;
        return true;
    }
    return false;
}

static bool accepts(struct str accepted, struct str coding)
{
    struct str item;
    struct str name;
    bool is_more = accepted.n > 0;
    while (is_more) {
        is_more = str_cut(&accepted, ',', &item);
        bool has_parameters = str_cut(&item, ';', &name);
        if (str_eq_nocase(str_trim(name), coding))
            return !has_parameters || !is_refused(item);
    }
    return false;
}

/* If-None-Match: "*", or a list with our tag; weak comparison (RFC 9110, 13.1.2). */
static bool is_unchanged(struct str tags, struct str etag)
{
    struct str tag;
    bool is_more = tags.n > 0;
    while (is_more) {
        is_more = str_cut(&tags, ',', &tag);
        tag = str_trim(tag);
        if (str_starts(tag, STR("W/")))
            tag = str_sub(tag, 2, SIZE_MAX);
        if (str_eq(tag, etag) || str_eq(tag, STR("*")))
            return true;
    }
    return false;
}

#define HEADERS_MAX 16

static void answer(const struct static_file *file, const struct static_options *opt,
                   struct http_request *req)
{
    struct http_header headers[HEADERS_MAX + 4];
    size_t count = 0;
    struct str accepted = http_request_header(req, "Accept-Encoding");
    struct str etag = str_from(file->etag);
    headers[count++] = (struct http_header){STR("ETag"), etag};
    headers[count++] = (struct http_header){
        STR("Cache-Control"),
        file->is_immutable ? STR("public, max-age=31536000, immutable") : STR("no-cache")};
    if (file->brotli || file->gzip)
        headers[count++] = (struct http_header){STR("Vary"), STR("Accept-Encoding")};
    struct str body = {(const char *)file->bytes, file->n};
    struct str coding = STR_NULL;
    if (file->brotli && accepts(accepted, STR("br"))) {
        body = (struct str){(const char *)file->brotli, file->brotli_n};
        coding = STR("br");
    } else if (file->gzip && accepts(accepted, STR("gzip"))) {
        body = (struct str){(const char *)file->gzip, file->gzip_n};
        coding = STR("gzip");
    }
    for (size_t i = 0; opt && i < MIN(opt->header_count, (size_t)HEADERS_MAX); i++)
        headers[count++] = opt->headers[i];
    if (is_unchanged(http_request_header(req, "If-None-Match"), etag)) {
        http_respond(
            req, &(struct http_response){.status = 304, .headers = headers, .header_count = count});
        return;
    }
    if (coding.n)
        headers[count++] = (struct http_header){STR("Content-Encoding"), coding};
    http_respond(req, &(struct http_response){.content_type = file->content_type,
                                              .headers = headers,
                                              .header_count = count,
                                              .body = body,
                                              .release = http_release_none});
}

bool static_serve(const struct static_table *table, const struct static_options *opt,
                  struct http_request *req)
{
    if (req->method != HTTP_METHOD_GET && req->method != HTTP_METHOD_HEAD)
        return false;
    const struct static_file *file = static_find(table, req->path);
    if (!file && is_page(req->path))
        file = static_find(table, STR("/index.html"));
    if (!file)
        return false;
    answer(file, opt, req);
    return true;
}
