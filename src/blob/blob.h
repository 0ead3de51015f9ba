/*
 * blob: big immutable objects by name. Names are made by the server: [A-Za-z0-9._/-], at most 200
 * bytes, no empty part and none that begins with a dot. Thread-safe.
 */
#pragma once

#include "core/err.h"
#include "core/str.h"

struct blob_store;

/* A bucket of an object store. Texts are copied. */
struct blob_s3_options {
    const char *endpoint; /* "https://s3.example:9000" */
    const char *bucket;
    const char *prefix; /* how names begin there: "parlance/"; NULL: nothing */
    const char *region; /* NULL or "": us-east-1 */
    const char *access_key, *secret_key;
    const char *ca_file; /* NULL or "": the system's authorities */
    bool is_by_host;     /* bucket.s3.example, not s3.example/bucket */
    int64_t timeout_ms;  /* of one request; 0: 60,000 */
};

struct blob_options {
    const char *driver; /* "files", "s3" */
    const char *root;   /* directory of the files driver; of s3: of what is not whole yet */
    struct blob_s3_options s3;
};

MUST_USE enum err blob_open(struct blob_store **out, const struct blob_options *opt);
void blob_close(struct blob_store **store);
/* Durable when it returns (fsync, rename, fsync of the directory). ERR_ALREADY_EXISTS: blobs never
 * change. */
MUST_USE enum err blob_put(struct blob_store *store, const char *name, const void *bytes, size_t n);
#define BLOB_GET_MAX_BYTES (256u << 20)
/* malloc'ed bytes of [offset, offset + count), fewer at the end; count 0: to the end.
 * ERR_OUT_OF_RANGE: offset beyond the end; ERR_RESOURCE_EXHAUSTED: more than BLOB_GET_MAX_BYTES at
 * once. */
MUST_USE enum err blob_get(struct blob_store *store, const char *name, uint64_t offset,
                           size_t count, char **out, size_t *n);
MUST_USE enum err blob_size(struct blob_store *store, const char *name, uint64_t *size);
/* A descriptor from which the blob can be read (sendfile, another process); the caller closes it.
 */
MUST_USE enum err blob_open_file(struct blob_store *store, const char *name, int *fd,
                                 uint64_t *size);
/* The same for a part of it: from *at on in the descriptor. */
MUST_USE enum err blob_open_range(struct blob_store *store, const char *name, uint64_t offset,
                                  uint64_t count, int *fd, uint64_t *at);
/* Its calls wait for a network: never on a loop. */
bool blob_is_remote(const struct blob_store *store);
MUST_USE enum err blob_delete(struct blob_store *store, const char *name);

/* Streaming writes for what does not fit in memory. */
struct blob_writer;
MUST_USE enum err blob_writer_open(struct blob_store *store, const char *name,
                                   struct blob_writer **out);
MUST_USE enum err blob_writer_add(struct blob_writer *w, const void *bytes, size_t n);
MUST_USE enum err
blob_writer_finish(struct blob_writer **w); /* durable, or an error and nothing there */
void blob_writer_abort(struct blob_writer **w);

/*
 * Blobs that come slowly: bytes are added (or written again) over many calls and lives of the
 * process, and one day they are a blob. One caller at a time for each name. ERR_OUT_OF_RANGE: the
 * offset is beyond what is there; a backup does not hold what was half done.
 */
MUST_USE enum err blob_part_write(struct blob_store *store, const char *name, uint64_t offset,
                                  const void *bytes, size_t n);
/* What was written so far survives a power cut. ERR_NOT_FOUND: nothing was written. */
MUST_USE enum err blob_part_sync(struct blob_store *store, const char *name);
/* The first `size` bytes become the blob, durable when it returns. ERR_NOT_FOUND: there are none
 * (any more: look for the blob); ERR_DATA_LOSS: there are fewer. */
MUST_USE enum err blob_part_finish(struct blob_store *store, const char *name, uint64_t size);
MUST_USE enum err blob_part_drop(struct blob_store *store, const char *name);
