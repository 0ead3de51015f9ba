/*
 * blob_s3: blobs in a bucket of an object store (S3, MinIO, ...). Reads are ranges of at most 8 MiB
 * at a time, so memory does not grow with a blob. What comes slowly lies on this machine until it
 * is whole (the files driver keeps it), as nothing can be written again in a bucket's object. A
 * descriptor to read from is a copy without a name.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blob/blob_files_parts.h"
#include "blob/blob_s3_internal.h"
#include "core/log.h"
#include "core/mem.h"

#define DEFAULT_TIMEOUT_MS 60000

static struct blob_s3 *s3_of(struct blob_impl *impl)
{
    return (struct blob_s3 *)impl;
}

/* ---- reading ---- */

/* Some say so with 200 instead of 206. */
static bool is_from(const struct fetch_response *r, uint64_t offset)
{
    struct str rest, first;
    const char *range = fetch_response_header(r, "Content-Range");
    uint64_t from;
    if (!range || !str_starts(str_from(range), STR("bytes ")))
        return false;
    rest = str_from(range + 6);
    return str_cut(&rest, '-', &first) && str_to_u64(first, &from) && from == offset;
}

static enum err read_part(struct blob_s3 *s3, const char *name, uint64_t offset, char *bytes,
                          size_t n, size_t *got)
{
    struct arena *arena = arena_create();
    struct s3_request r = {.method = "GET", .name = name, .max_bytes = n, .header_count = 1};
    r.headers[0] = (struct fetch_header){
        "Range", arena_printf(arena, "bytes=%llu-%llu", (unsigned long long)offset,
                              (unsigned long long)(offset + n - 1))};
    enum err err = blob_s3_ask(s3, &r, arena);
    *got = 0;
    if (!err && offset && !is_from(&r.response, offset))
        err = ERR_INTERNAL; /* ranges are not understood: that is the beginning */
    if (!err) {
        *got = MIN(n, r.response.body.n);
        memcpy(bytes, r.response.body.p, *got);
    }
    arena_destroy(&arena);
    return err;
}

enum err blob_s3_read(struct blob_impl *impl, const char *name, uint64_t offset, char *bytes,
                      size_t n, size_t *got)
{
    enum err err = ERR_OK;
    *got = 0;
    while (*got < n && !err) {
        size_t part;
        err = read_part(s3_of(impl), name, offset + *got, bytes + *got,
                        MIN(n - *got, (size_t)S3_PART_BYTES), &part);
        *got += part;
        if (!err && part == 0)
            break;
    }
    return err == ERR_OUT_OF_RANGE ? ERR_OK : err; /* nothing more is there */
}

static enum err s3_size(struct blob_impl *impl, const char *name, uint64_t *size)
{
    return blob_s3_head(s3_of(impl), name, size, NULL);
}

static enum err write_whole(int fd, const char *bytes, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t part = write(fd, bytes + at, n - at);
        if (part < 0)
            return ERR_RESOURCE_EXHAUSTED;
        at += (size_t)part;
    }
    return ERR_OK;
}

static enum err s3_open_range(struct blob_impl *impl, const char *name, uint64_t offset,
                              uint64_t count, int *fd, uint64_t *at)
{
    char *bytes = mem_alloc(S3_PART_BYTES);
    enum err err = ERR_OK;
    *at = 0;
    *fd = blob_files_scratch(s3_of(impl)->local);
    if (*fd < 0)
        err = ERR_RESOURCE_EXHAUSTED;
    for (uint64_t done = 0; done < count && !err;) {
        size_t got, step = (size_t)MIN(count - done, (uint64_t)S3_PART_BYTES);
        err = blob_s3_read(impl, name, offset + done, bytes, step, &got);
        if (!err)
            err = got == step ? write_whole(*fd, bytes, got) : ERR_DATA_LOSS;
        done += got;
    }
    free(bytes);
    if (!err && lseek(*fd, 0, SEEK_SET) < 0)
        err = ERR_INTERNAL;
    if (err && *fd >= 0)
        close(*fd);
    if (err)
        *fd = -1;
    return err;
}

static enum err s3_open_file(struct blob_impl *impl, const char *name, int *fd, uint64_t *size)
{
    uint64_t at;
    enum err err = s3_size(impl, name, size);
    return err ? err : s3_open_range(impl, name, 0, *size, fd, &at);
}

/* The object store does not say whether there was one. */
static enum err s3_remove(struct blob_impl *impl, const char *name)
{
    uint64_t size;
    struct arena *arena = arena_create();
    struct s3_request r = {.method = "DELETE", .name = name};
    enum err err = s3_size(impl, name, &size);
    if (!err)
        err = blob_s3_ask(s3_of(impl), &r, arena);
    arena_destroy(&arena);
    return err;
}

/* ---- parts, on this machine ---- */

static enum err s3_part_write(struct blob_impl *impl, const char *name, uint64_t offset,
                              const void *bytes, size_t n)
{
    return blob_files.part_write(s3_of(impl)->local, name, offset, bytes, n);
}

static enum err s3_part_sync(struct blob_impl *impl, const char *name)
{
    return blob_files.part_sync(s3_of(impl)->local, name);
}

static enum err s3_part_drop(struct blob_impl *impl, const char *name)
{
    return blob_files.part_drop(s3_of(impl)->local, name);
}

/* ---- the store ---- */

static void s3_close(struct blob_impl **implp)
{
    struct blob_s3 *s3 = s3_of(*implp);
    *implp = NULL;
    fetch_destroy(&s3->fetch);
    if (s3->local)
        blob_files.close(&s3->local);
    if (s3->secret_key)
        explicit_bzero(s3->secret_key, strlen(s3->secret_key));
    free(s3->scheme);
    free(s3->host);
    free(s3->base);
    free(s3->region);
    free(s3->access_key);
    free(s3->secret_key);
    free(s3);
}

/* "https://s3.example:9000" -> scheme and host; the port that is understood is not said. */
static bool take_endpoint(struct blob_s3 *s3, const struct blob_s3_options *opt)
{
    struct str rest = str_from(opt->endpoint);
    bool is_tls = str_starts(rest, STR("https://"));
    if (!is_tls && !str_starts(rest, STR("http://")))
        return false;
    rest = str_sub(rest, is_tls ? 8 : 7, rest.n);
    if (rest.n && rest.p[rest.n - 1] == '/')
        rest = str_sub(rest, 0, rest.n - 1);
    struct str usual = is_tls ? STR(":443") : STR(":80");
    if (str_ends(rest, usual))
        rest = str_sub(rest, 0, rest.n - usual.n);
    if (!rest.n || str_find(rest, '/') >= 0 || str_find(rest, '@') >= 0)
        return false;
    struct strbuf host = {0}, base = {0};
    strbuf_printf(&host, "%s%s%.*s", opt->is_by_host ? opt->bucket : "", opt->is_by_host ? "." : "",
                  STR_FMT(rest));
    strbuf_printf(&base, "/%s%s%s", opt->is_by_host ? "" : opt->bucket, opt->is_by_host ? "" : "/",
                  opt->prefix ? opt->prefix : "");
    s3->scheme = mem_strdup(is_tls ? "https" : "http");
    s3->host = host.p;
    s3->base = base.p;
    return true;
}

/* The operator names the server: wherever it is, it may be reached. */
static enum err open_fetch(struct blob_s3 *s3, const struct blob_s3_options *opt)
{
    static struct guard_range everywhere[2];
    static const struct fetch_options plain = {.guard = {.is_loopback_allowed = true,
                                                         .is_private_allowed = true,
                                                         .allowed = everywhere,
                                                         .allowed_count = ARRAY_LEN(everywhere)}};
    struct fetch_options options = plain;
    options.ca_file = opt->ca_file && opt->ca_file[0] ? opt->ca_file : NULL;
    if (!guard_range_parse(STR("0.0.0.0/0"), &everywhere[0]) ||
        !guard_range_parse(STR("::/0"), &everywhere[1]))
        return ERR_INTERNAL;
    return fetch_create(&s3->fetch, &options);
}

static enum err s3_open(const struct blob_options *opt, struct blob_impl **out)
{
    const struct blob_s3_options *o = &opt->s3;
    struct blob_s3 *s3 = mem_new(struct blob_s3);
    struct blob_impl *impl = (struct blob_impl *)s3;
    *out = NULL;
    s3->region = mem_strdup(o->region && o->region[0] ? o->region : "us-east-1");
    s3->access_key = mem_strdup(o->access_key ? o->access_key : "");
    s3->secret_key = mem_strdup(o->secret_key ? o->secret_key : "");
    s3->timeout_ms = o->timeout_ms ? o->timeout_ms : DEFAULT_TIMEOUT_MS;
    enum err err = ERR_OK;
    if (!o->endpoint || !o->bucket || !o->bucket[0] || !take_endpoint(s3, o)) {
        log_error(NULL, "blob: an endpoint as https://s3.example and a bucket are expected");
        err = ERR_INVALID_ARGUMENT;
    }
    if (!err)
        err = blob_files.open(opt, &s3->local);
    if (!err)
        err = open_fetch(s3, o);
    if (err)
        s3_close(&impl);
    *out = impl;
    return err;
}

const struct blob_driver blob_s3 = {
    .name = "s3",
    .is_remote = true,
    .open = s3_open,
    .close = s3_close,
    .read = blob_s3_read,
    .size = s3_size,
    .open_file = s3_open_file,
    .open_range = s3_open_range,
    .remove = s3_remove,
    .draft_open = blob_s3_draft_open,
    .draft_add = blob_s3_draft_add,
    .draft_finish = blob_s3_draft_finish,
    .draft_abort = blob_s3_draft_abort,
    .part_write = s3_part_write,
    .part_sync = s3_part_sync,
    .part_finish = blob_s3_part_finish,
    .part_drop = s3_part_drop,
};
