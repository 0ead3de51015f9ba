/*
 * blob_s3_upload: writing. A blob that fits into one request is one PUT, a bigger one a multipart
 * upload: no more of it than one part is in memory. Both say "only if there is none", which the
 * object store judges, and leave a mark of their own: so a repeated request that finds the blob
 * there knows whether it was itself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob/blob_files_parts.h"
#include "blob/blob_s3_internal.h"
#include "core/id.h"
#include "core/log.h"
#include "core/mem.h"

#define PARTS_MAX 10000
#define SMALL_PARTS_MAX 1000

struct blob_draft {
    struct blob_s3 *s3;
    struct strbuf part;
    char mark[ID_SIZE];
    char *upload_id; /* NULL: not begun, all is in `part` */
    char **etags;
    size_t part_count;
    uint64_t size;
    char name[];
};

static void draft_free(struct blob_draft **draftp)
{
    struct blob_draft *d = *draftp;
    *draftp = NULL;
    for (size_t i = 0; i < d->part_count; i++)
        free(d->etags[i]);
    free(d->etags);
    free(d->upload_id);
    strbuf_deinit(&d->part);
    free(d);
}

enum err blob_s3_draft_open(struct blob_impl *impl, const char *name, struct blob_draft **out)
{
    struct blob_draft *d = mem_zalloc(sizeof(*d) + strlen(name) + 1);
    d->s3 = (struct blob_s3 *)impl;
    strcpy(d->name, name);
    id_make(d->mark);
    *out = d;
    return ERR_OK;
}

static void add_header(struct s3_request *r, const char *name, const char *value)
{
    r->headers[r->header_count++] = (struct fetch_header){name, value};
}

/* ---- several parts ---- */

/* The text of the first such element; NULL. */
static char *element(struct str xml, const char *name)
{
    char open[40], close[40];
    snprintf(open, sizeof(open), "<%s>", name);
    snprintf(close, sizeof(close), "</%s>", name);
    const char *from = memmem(xml.p, xml.n, open, strlen(open));
    if (!from)
        return NULL;
    from += strlen(open);
    const char *to = memmem(from, (size_t)(xml.p + xml.n - from), close, strlen(close));
    return to && to > from ? str_dup((struct str){from, (size_t)(to - from)}) : NULL;
}

static enum err begin_upload(struct blob_draft *d)
{
    struct arena *arena = arena_create();
    struct s3_request r = {.method = "POST", .name = d->name, .query = "uploads="};
    add_header(&r, "x-amz-meta-mark", d->mark);
    enum err err = blob_s3_ask(d->s3, &r, arena);
    if (!err)
        d->upload_id = element(r.response.body, "UploadId");
    if (!err && !d->upload_id)
        err = ERR_INTERNAL;
    arena_destroy(&arena);
    return err;
}

static enum err send_part(struct blob_draft *d)
{
    enum err err = d->upload_id ? ERR_OK : begin_upload(d);
    if (!err && d->part_count == PARTS_MAX)
        err = ERR_RESOURCE_EXHAUSTED;
    if (err)
        return err;
    struct arena *arena = arena_create();
    struct s3_request r = {.method = "PUT", .name = d->name, .body = strbuf_str(&d->part)};
    r.query = arena_printf(arena, "partNumber=%zu&uploadId=%s", d->part_count + 1,
                           blob_s3_encode(str_from(d->upload_id), arena));
    err = blob_s3_ask(d->s3, &r, arena);
    const char *etag = err ? NULL : fetch_response_header(&r.response, "ETag");
    if (!err && !etag)
        err = ERR_INTERNAL;
    if (!err) {
        d->etags = mem_realloc_array(d->etags, d->part_count + 1, sizeof(d->etags[0]));
        d->etags[d->part_count++] = mem_strdup(etag);
        strbuf_clear(&d->part);
    }
    arena_destroy(&arena);
    return err;
}

static void abort_upload(struct blob_draft *d)
{
    if (!d->upload_id)
        return;
    struct arena *arena = arena_create();
    struct s3_request r = {.method = "DELETE", .name = d->name};
    r.query = arena_printf(arena, "uploadId=%s", blob_s3_encode(str_from(d->upload_id), arena));
    enum err err = blob_s3_ask(d->s3, &r, arena);
    if (err && err != ERR_NOT_FOUND)
        log_warn(NULL, "blob: the upload of %s could not be taken back: %s", d->name,
                 err_name(err));
    arena_destroy(&arena);
}

static enum err complete_upload(struct blob_draft *d, struct s3_request *r, struct arena *arena)
{
    struct strbuf xml = {0};
    strbuf_adds(&xml, "<CompleteMultipartUpload>");
    for (size_t i = 0; i < d->part_count; i++)
        strbuf_printf(&xml, "<Part><PartNumber>%zu</PartNumber><ETag>%s</ETag></Part>", i + 1,
                      d->etags[i]);
    strbuf_adds(&xml, "</CompleteMultipartUpload>");
    r->method = "POST";
    r->query = arena_printf(arena, "uploadId=%s", blob_s3_encode(str_from(d->upload_id), arena));
    r->body = strbuf_str(&xml);
    enum err err = blob_s3_ask(d->s3, r, arena);
    char *problem = err ? NULL : element(r->response.body, "Code"); /* an error in a 200 */
    if (problem)
        err = strcmp(problem, "PreconditionFailed") == 0 ? ERR_ALREADY_EXISTS : ERR_UNAVAILABLE;
    free(problem);
    strbuf_deinit(&xml);
    return err;
}

/* ---- a draft ---- */

static size_t part_bytes(const struct blob_draft *d)
{
    return d->part_count < SMALL_PARTS_MAX ? S3_PART_BYTES : S3_BIG_PART_BYTES;
}

enum err blob_s3_draft_add(struct blob_draft *d, const void *bytes, size_t n)
{
    enum err err = ERR_OK;
    d->size += n;
    for (const char *at = bytes; n && !err;) {
        /* Sent when more follows: what fits into one part is one request. */
        if (d->part.n >= part_bytes(d) && (err = send_part(d)))
            break;
        size_t step = MIN(n, part_bytes(d) - d->part.n);
        strbuf_add(&d->part, at, step);
        at += step;
        n -= step;
    }
    return err;
}

/* The blob is there: by us, whose first try was answered by nobody? */
static bool is_ours(struct blob_draft *d)
{
    char mark[32];
    uint64_t size;
    return blob_s3_head(d->s3, d->name, &size, mark) == ERR_OK && size == d->size &&
           strcmp(mark, d->mark) == 0;
}

enum err blob_s3_draft_finish(struct blob_draft **draftp)
{
    struct blob_draft *d = *draftp;
    struct arena *arena = arena_create();
    uint64_t size;
    /* Not every object store knows the condition; they at least do not replace what was there. */
    enum err err = blob_s3_head(d->s3, d->name, &size, NULL);
    err = !err ? ERR_ALREADY_EXISTS : err == ERR_NOT_FOUND ? ERR_OK : err;
    if (!err && d->upload_id && d->part.n)
        err = send_part(d);
    struct s3_request r = {.method = "PUT", .name = d->name, .body = strbuf_str(&d->part)};
    add_header(&r, "If-None-Match", "*");
    if (!d->upload_id)
        add_header(&r, "x-amz-meta-mark", d->mark);
    if (!err)
        err = d->upload_id ? complete_upload(d, &r, arena) : blob_s3_ask(d->s3, &r, arena);
    bool is_in_doubt = r.was_repeated && (err == ERR_ALREADY_EXISTS || err == ERR_NOT_FOUND);
    if (is_in_doubt && is_ours(d))
        err = ERR_OK;
    if (err)
        abort_upload(d);
    arena_destroy(&arena);
    draft_free(draftp);
    return err;
}

void blob_s3_draft_abort(struct blob_draft **draftp)
{
    abort_upload(*draftp);
    draft_free(draftp);
}

/* ---- what came slowly ---- */

static enum err read_whole(int fd, char *bytes, size_t n, uint64_t offset)
{
    for (size_t at = 0; at < n;) {
        ssize_t part = pread(fd, bytes + at, n - at, (off_t)(offset + at));
        if (part <= 0)
            return ERR_DATA_LOSS;
        at += (size_t)part;
    }
    return ERR_OK;
}

static enum err upload(struct blob_impl *impl, int fd, const char *name, uint64_t size)
{
    struct blob_draft *d;
    char *bytes = mem_alloc(1 << 20);
    enum err err = blob_s3_draft_open(impl, name, &d);
    for (uint64_t at = 0; at < size && !err;) {
        size_t step = (size_t)MIN(size - at, (uint64_t)1 << 20);
        err = read_whole(fd, bytes, step, at);
        if (!err)
            err = blob_s3_draft_add(d, bytes, step);
        at += step;
    }
    free(bytes);
    if (err)
        blob_s3_draft_abort(&d);
    return err ? err : blob_s3_draft_finish(&d);
}

/* A process that died between the upload and the end of its part comes here again. */
static bool is_the_same(struct blob_impl *impl, int fd, const char *name, uint64_t size)
{
    uint64_t there;
    char *ours = mem_alloc(S3_PART_BYTES), *theirs = mem_alloc(S3_PART_BYTES);
    bool is_same =
        blob_s3_head((struct blob_s3 *)impl, name, &there, NULL) == ERR_OK && there == size;
    for (uint64_t at = 0; at < size && is_same;) {
        size_t step = (size_t)MIN(size - at, (uint64_t)S3_PART_BYTES), got = 0;
        is_same = read_whole(fd, ours, step, at) == ERR_OK &&
                  blob_s3_read(impl, name, at, theirs, step, &got) == ERR_OK && got == step &&
                  memcmp(ours, theirs, step) == 0;
        at += step;
    }
    free(ours);
    free(theirs);
    return is_same;
}

enum err blob_s3_part_finish(struct blob_impl *impl, const char *name, uint64_t size)
{
    struct blob_s3 *s3 = (struct blob_s3 *)impl;
    struct stat st;
    int fd = blob_files_part_open(s3->local, name);
    if (fd < 0)
        return ERR_NOT_FOUND;
    enum err err = fstat(fd, &st) == 0 ? ERR_OK : ERR_INTERNAL;
    if (!err && (uint64_t)st.st_size < size)
        err = ERR_DATA_LOSS;
    if (!err)
        err = upload(impl, fd, name, size);
    if (err == ERR_ALREADY_EXISTS && is_the_same(impl, fd, name, size))
        err = ERR_OK;
    close(fd);
    if (!err && blob_files.part_drop(s3->local, name))
        log_warn(NULL, "blob: the local part of %s stays", name);
    return err;
}
