/* blob_driver: what a keeper of blobs must offer. Names were checked before; all functions are
 * called from any thread, a writer by one at a time. */
#pragma once

#include "blob/blob.h"

struct blob_impl;  /* the driver's own */
struct blob_draft; /* the driver's own: a blob being written */

struct blob_driver {
    const char *name;
    bool is_remote; /* its calls wait for a network */
    enum err (*open)(const struct blob_options *opt, struct blob_impl **out);
    void (*close)(struct blob_impl **impl);
    /* Reads into bytes what there is of [offset, offset + n). */
    enum err (*read)(struct blob_impl *impl, const char *name, uint64_t offset, char *bytes,
                     size_t n, size_t *got);
    enum err (*size)(struct blob_impl *impl, const char *name, uint64_t *size);
    enum err (*open_file)(struct blob_impl *impl, const char *name, int *fd, uint64_t *size);
    /* NULL: open_file, and `offset` in it. */
    enum err (*open_range)(struct blob_impl *impl, const char *name, uint64_t offset,
                           uint64_t count, int *fd, uint64_t *at);
    enum err (*remove)(struct blob_impl *impl, const char *name);

    enum err (*draft_open)(struct blob_impl *impl, const char *name, struct blob_draft **out);
    enum err (*draft_add)(struct blob_draft *draft, const void *bytes, size_t n);
    /* Durable under its name, or an error and nothing there. Frees the draft in any case. */
    enum err (*draft_finish)(struct blob_draft **draft);
    void (*draft_abort)(struct blob_draft **draft);

    enum err (*part_write)(struct blob_impl *impl, const char *name, uint64_t offset,
                           const void *bytes, size_t n);
    enum err (*part_sync)(struct blob_impl *impl, const char *name);
    enum err (*part_finish)(struct blob_impl *impl, const char *name, uint64_t size);
    enum err (*part_drop)(struct blob_impl *impl, const char *name);
};

extern const struct blob_driver blob_files, blob_s3;
