/* blob: the room's front. Checks names, so that no driver ever sees a hostile one, and builds the
 * whole-blob calls from the driver's drafts and ranges. */
#include "blob/blob.h"

#include <stdlib.h>
#include <string.h>

#include "blob/blob_driver.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metric.h"

#define NAME_MAX_BYTES 200

struct blob_store {
    const struct blob_driver *driver;
    struct blob_impl *impl;
};

struct blob_writer {
    const struct blob_driver *driver;
    struct blob_draft *draft;
    enum err err; /* the first failure: finish returns it and leaves nothing */
};

static const struct blob_driver *const drivers[] = {
    &blob_files,
    &blob_s3,
};

static struct metric metric_bytes =
    METRIC_COUNTER("parlance_blob_bytes_total", "Bytes of blobs moved.", "direction");
static struct metric metric_errors =
    METRIC_COUNTER("parlance_blob_errors_total", "Calls that failed.", "error");

/* Counts a failure that is a fault, and hands it on. */
static enum err counted(enum err err)
{
    if (err && err != ERR_NOT_FOUND && err != ERR_ALREADY_EXISTS)
        metric_cell_add(metric_cell(&metric_errors, err_name(err), NULL, NULL), 1);
    return err;
}

enum err blob_open(struct blob_store **out, const struct blob_options *opt)
{
    *out = NULL;
    const char *name = opt->driver ? opt->driver : "files";
    const struct blob_driver *driver = NULL;
    for (size_t i = 0; i < ARRAY_LEN(drivers); i++)
        if (strcmp(drivers[i]->name, name) == 0)
            driver = drivers[i];
    if (!driver) {
        log_error(NULL, "blob: no driver is called \"%s\"", name);
        return ERR_INVALID_ARGUMENT;
    }
    struct blob_impl *impl;
    enum err err = driver->open(opt, &impl);
    if (err)
        return err;
    *out = mem_new(struct blob_store);
    **out = (struct blob_store){.driver = driver, .impl = impl};
    return ERR_OK;
}

void blob_close(struct blob_store **storep)
{
    struct blob_store *store = *storep;
    *storep = NULL;
    if (!store)
        return;
    store->driver->close(&store->impl);
    free(store);
}

/* Parts between slashes, none empty, none beginning with a dot (so no "..", and what a driver keeps
 * beside the blobs can begin with one). */
static bool is_name(const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789._/-";
    if (!name || !*name || strlen(name) > NAME_MAX_BYTES || name[strspn(name, allowed)])
        return false;
    for (const char *part = name; part; part = strchr(part, '/') ? strchr(part, '/') + 1 : NULL)
        if (*part == '\0' || *part == '/' || *part == '.')
            return false;
    return true;
}

/* ---- reading ---- */

enum err blob_size(struct blob_store *store, const char *name, uint64_t *size)
{
    *size = 0;
    return is_name(name) ? counted(store->driver->size(store->impl, name, size))
                         : ERR_INVALID_ARGUMENT;
}

enum err blob_get(struct blob_store *store, const char *name, uint64_t offset, size_t count,
                  char **out, size_t *n)
{
    *out = NULL;
    *n = 0;
    uint64_t size;
    enum err err = blob_size(store, name, &size);
    if (err)
        return err;
    if (offset > size)
        return ERR_OUT_OF_RANGE;
    uint64_t wanted = count ? MIN(count, size - offset) : size - offset;
    if (wanted > BLOB_GET_MAX_BYTES)
        return ERR_RESOURCE_EXHAUSTED;
    char *bytes = mem_alloc((size_t)wanted);
    err = counted(store->driver->read(store->impl, name, offset, bytes, (size_t)wanted, n));
    if (err) {
        free(bytes);
        *n = 0;
        return err;
    }
    metric_cell_add(metric_cell(&metric_bytes, "read", NULL, NULL), (double)*n);
    *out = bytes;
    return ERR_OK;
}

enum err blob_open_file(struct blob_store *store, const char *name, int *fd, uint64_t *size)
{
    *fd = -1;
    *size = 0;
    return is_name(name) ? counted(store->driver->open_file(store->impl, name, fd, size))
                         : ERR_INVALID_ARGUMENT;
}

enum err blob_open_range(struct blob_store *store, const char *name, uint64_t offset,
                         uint64_t count, int *fd, uint64_t *at)
{
    uint64_t size;
    *fd = -1;
    *at = offset;
    if (!is_name(name))
        return ERR_INVALID_ARGUMENT;
    if (!store->driver->open_range)
        return counted(store->driver->open_file(store->impl, name, fd, &size));
    return counted(store->driver->open_range(store->impl, name, offset, count, fd, at));
}

bool blob_is_remote(const struct blob_store *store)
{
    return store->driver->is_remote;
}

enum err blob_delete(struct blob_store *store, const char *name)
{
    return is_name(name) ? counted(store->driver->remove(store->impl, name)) : ERR_INVALID_ARGUMENT;
}

/* ---- writing ---- */

enum err blob_writer_open(struct blob_store *store, const char *name, struct blob_writer **out)
{
    *out = NULL;
    if (!is_name(name))
        return ERR_INVALID_ARGUMENT;
    struct blob_draft *draft;
    enum err err = counted(store->driver->draft_open(store->impl, name, &draft));
    if (err)
        return err;
    *out = mem_new(struct blob_writer);
    **out = (struct blob_writer){.driver = store->driver, .draft = draft};
    return ERR_OK;
}

enum err blob_writer_add(struct blob_writer *w, const void *bytes, size_t n)
{
    if (!w->err && n)
        w->err = counted(w->driver->draft_add(w->draft, bytes, n));
    if (!w->err)
        metric_cell_add(metric_cell(&metric_bytes, "written", NULL, NULL), (double)n);
    return w->err;
}

enum err blob_writer_finish(struct blob_writer **wp)
{
    struct blob_writer *w = *wp;
    enum err err = w->err;
    if (err) {
        blob_writer_abort(wp);
        return err;
    }
    *wp = NULL;
    err = counted(w->driver->draft_finish(&w->draft));
    free(w);
    return err;
}

void blob_writer_abort(struct blob_writer **wp)
{
    struct blob_writer *w = *wp;
    *wp = NULL;
    if (!w)
        return;
    w->driver->draft_abort(&w->draft);
    free(w);
}

enum err blob_put(struct blob_store *store, const char *name, const void *bytes, size_t n)
{
    struct blob_writer *w;
    enum err err = blob_writer_open(store, name, &w);
    if (err)
        return err;
    (void)!blob_writer_add(w, bytes, n); /* finish tells */
    return blob_writer_finish(&w);
}

/* ---- parts ---- */

enum err blob_part_write(struct blob_store *store, const char *name, uint64_t offset,
                         const void *bytes, size_t n)
{
    if (!is_name(name) || offset > INT64_MAX - n)
        return ERR_INVALID_ARGUMENT;
    enum err err = counted(store->driver->part_write(store->impl, name, offset, bytes, n));
    if (!err)
        metric_cell_add(metric_cell(&metric_bytes, "written", NULL, NULL), (double)n);
    return err;
}

enum err blob_part_sync(struct blob_store *store, const char *name)
{
    return is_name(name) ? counted(store->driver->part_sync(store->impl, name))
                         : ERR_INVALID_ARGUMENT;
}

enum err blob_part_finish(struct blob_store *store, const char *name, uint64_t size)
{
    return is_name(name) ? counted(store->driver->part_finish(store->impl, name, size))
                         : ERR_INVALID_ARGUMENT;
}

enum err blob_part_drop(struct blob_store *store, const char *name)
{
    return is_name(name) ? counted(store->driver->part_drop(store->impl, name))
                         : ERR_INVALID_ARGUMENT;
}
