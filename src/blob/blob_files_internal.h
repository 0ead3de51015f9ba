/* blob_files_internal: what the driver's files share, and what its own tests ask. */
#pragma once

#include <pthread.h>

#include "blob/blob_driver.h"
#include "core/base.h"

struct blob_impl {
    int root_fd;
    int draft_dir_fd; /* ROOT/.tmp: what this life of the process writes */
    int part_dir_fd;  /* ROOT/.parts: what outlives it */
    char *root;
    pthread_mutex_t lock;
    struct map *durable_dirs; /* guarded by lock: names of directories known to be synced */
};

/* Says what failed, once (but for what is an answer), and converts errno. */
enum err blob_files_complain(const char *what, const char *name);
/* Gives a synced file its blob's name, durably, and never over another blob. When the name is not
 * durable, *is_published says whether the file is under it nevertheless. */
enum err blob_files_publish(struct blob_impl *impl, int from_dir, const char *from,
                            const char *name, bool *is_published);

/* blob_files_parts.c */
enum err blob_files_part_write(struct blob_impl *impl, const char *name, uint64_t offset,
                               const void *bytes, size_t n);
enum err blob_files_part_sync(struct blob_impl *impl, const char *name);
enum err blob_files_part_finish(struct blob_impl *impl, const char *name, uint64_t size);
enum err blob_files_part_drop(struct blob_impl *impl, const char *name);

/* Behave as on a kernel without openat2 (before 5.6). */
void blob_files_without_openat2(bool is_without);
