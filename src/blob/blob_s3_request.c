/*
 * blob_s3_request: one request of the bucket, signed, and tried again when the server or the way to
 * it failed. Every request of ours may be repeated: what is written has one name and one content,
 * and a condition that fails the second time is looked into by who asked.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "blob/blob_s3_internal.h"
#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "core/metric.h"

#define TRIES_MAX 4
#define PAUSE_MS 150 /* before the second try; four times as long before each further one */

static struct metric tries_total = METRIC_COUNTER(
    "parlance_blob_requests_total", "Requests of the object store.", "method", "result");

static void date_of(char out[17])
{
    time_t now = (time_t)(clock_wall_ms() / 1000);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(out, 17, "%Y%m%dT%H%M%SZ", &tm);
}

/* One try: OK for any answer. */
static enum err try_once(struct blob_s3 *s3, struct s3_request *r, struct arena *arena)
{
    char date[17];
    date_of(date);
    struct fetch_header headers[S3_HEADERS_MAX + 4];
    const char *query = r->query ? r->query : "";
    struct s3_signed sign = {.method = r->method,
                             .host = s3->host,
                             .path = arena_printf(arena, "%s%s", s3->base, r->name),
                             .query = query,
                             .region = s3->region,
                             .access_key = s3->access_key,
                             .secret_key = s3->secret_key,
                             .date = date,
                             .payload_sha256 = blob_s3_sha256(r->body, arena)};
    memcpy(headers, r->headers, r->header_count * sizeof(headers[0]));
    size_t count = r->header_count;
    headers[count++] = (struct fetch_header){"x-amz-content-sha256", sign.payload_sha256};
    headers[count++] = (struct fetch_header){"x-amz-date", date};
    headers[count++] = (struct fetch_header){"Authorization", blob_s3_sign(&sign, arena)};
    if (!r->body.n && r->method[0] == 'P') /* libcurl would say nothing */
        headers[count++] = (struct fetch_header){"Content-Length", "0"};
    return fetch_sync(
        s3->fetch,
        &(struct fetch_request){.method = r->method,
                                .url = arena_printf(arena, "%s://%s%s%s%s", s3->scheme, s3->host,
                                                    sign.path, query[0] ? "?" : "", query),
                                .headers = headers,
                                .header_count = count,
                                .body = r->body,
                                .timeout_ms = s3->timeout_ms,
                                .max_bytes = r->max_bytes ? r->max_bytes : 64 << 10},
        arena, &r->response);
}

static enum err err_of(int status)
{
    switch (status) {
    case 404:
        return ERR_NOT_FOUND;
    case 412:
        return ERR_ALREADY_EXISTS;
    case 401:
    case 403:
        return ERR_PERMISSION_DENIED;
    case 416:
        return ERR_OUT_OF_RANGE;
    case 408:
    case 409: /* a conditional write met another one */
    case 429:
        return ERR_UNAVAILABLE;
    default:
        return status >= 500 ? ERR_UNAVAILABLE : status >= 300 ? ERR_INTERNAL : ERR_OK;
    }
}

static void say(const struct s3_request *r, enum err err)
{
    const struct fetch_response *a = &r->response;
    bool is_answer = err == ERR_OK || err == ERR_NOT_FOUND || err == ERR_ALREADY_EXISTS;
    if (!is_answer)
        log_error(NULL, "blob: %s %s: %d %s%.*s", r->method, r->name, a->status, a->problem,
                  (int)MIN(a->body.n, (size_t)300), a->body.n ? a->body.p : "");
}

static void pause_before(unsigned try)
{
    int64_t ms = PAUSE_MS;
    while (--try > 1)
        ms *= 4;
    ms += id_random_u32() % (uint32_t)ms;
    struct timespec ts = {ms / 1000, (ms % 1000) * 1000000};
    nanosleep(&ts, NULL);
}

enum err blob_s3_ask(struct blob_s3 *s3, struct s3_request *r, struct arena *arena)
{
    enum err err = ERR_OK;
    for (unsigned try = 1; try <= TRIES_MAX; try++) {
        if (try > 1) {
            r->was_repeated = true;
            pause_before(try);
        }
        err = try_once(s3, r, arena);
        bool is_refused = err == ERR_INVALID_ARGUMENT || err == ERR_RESOURCE_EXHAUSTED ||
                          err == ERR_CANCELLED || err == ERR_PERMISSION_DENIED;
        if (!err)
            err = err_of(r->response.status);
        else if (!is_refused)
            err = ERR_UNAVAILABLE;
        metric_cell_add(metric_cell(&tries_total, r->method, err_name(err), NULL), 1);
        if (err != ERR_UNAVAILABLE)
            break;
    }
    say(r, err);
    return err;
}

enum err blob_s3_head(struct blob_s3 *s3, const char *name, uint64_t *size, char mark[32])
{
    struct arena *arena = arena_create();
    struct s3_request r = {.method = "HEAD", .name = name};
    *size = 0;
    enum err err = blob_s3_ask(s3, &r, arena);
    const char *length = err ? NULL : fetch_response_header(&r.response, "Content-Length");
    const char *said = err ? NULL : fetch_response_header(&r.response, "x-amz-meta-mark");
    if (!err && (!length || !str_to_u64(str_from(length), size)))
        err = ERR_INTERNAL;
    if (mark)
        snprintf(mark, 32, "%s", said ? said : "");
    arena_destroy(&arena);
    return err;
}
