/*
 * blob_s3_internal: what the driver's files share. Everything that goes over the network is one
 * signed request (blob_s3_request.c), tried again while that can help.
 */
#pragma once

#include "blob/blob_driver.h"
#include "core/arena.h"
#include "fetch/fetch.h"

#define S3_PART_BYTES (8u << 20) /* of one request, both ways: what a transfer needs of memory */
#define S3_BIG_PART_BYTES (64u << 20) /* after the first thousand: a blob has at most 10,000 */
#define S3_HEADERS_MAX 4

struct blob_s3 {
    struct fetch *fetch;
    struct blob_impl *local; /* of the files driver: what comes slowly, and copies being read */
    char *scheme, *host;     /* "https", "s3.example:9000"; of the bucket unless by path */
    char *base;              /* "/bucket/prefix/" or "/prefix/" */
    char *region, *access_key, *secret_key;
    int64_t timeout_ms;
};

/* ---- blob_s3_sign.c: AWS Signature Version 4 ---- */
struct s3_signed {
    const char *method, *host, *path;
    const char *query; /* sorted by name, percent-encoded; "": none */
    const char *region, *access_key, *secret_key;
    const char *date;                   /* "20130524T000000Z" */
    const char *payload_sha256;         /* in hex */
    const struct fetch_header *headers; /* more that are signed: lower case, before "x-amz" */
    size_t header_count;
};
/* The value of Authorization, in the arena. */
const char *blob_s3_sign(const struct s3_signed *in, struct arena *arena);
/* In hex, in the arena. */
const char *blob_s3_sha256(struct str bytes, struct arena *arena);
/* For a query: all but letters, digits, '-', '.', '_', '~' as %XX. */
const char *blob_s3_encode(struct str text, struct arena *arena);

/* ---- blob_s3_request.c ---- */
struct s3_request {
    const char *method;
    const char *name;  /* of the blob */
    const char *query; /* as above; NULL: none */
    struct str body;
    struct fetch_header headers[S3_HEADERS_MAX];
    size_t header_count;
    size_t max_bytes; /* of the answer; 0: 64 kB */
    /* out */
    bool was_repeated; /* an earlier try may have had its effect */
    struct fetch_response response;
};
/*
 * OK for 2xx, else NOT_FOUND, ALREADY_EXISTS (a condition failed), PERMISSION_DENIED,
 * OUT_OF_RANGE, UNAVAILABLE (tried several times), INTERNAL. The response is in the arena.
 */
enum err blob_s3_ask(struct blob_s3 *s3, struct s3_request *r, struct arena *arena);
/* NOT_FOUND. mark: x-amz-meta-mark, "" if there is none; may be NULL. */
enum err blob_s3_head(struct blob_s3 *s3, const char *name, uint64_t *size, char mark[32]);

/* ---- blob_s3_upload.c ---- */
enum err blob_s3_draft_open(struct blob_impl *impl, const char *name, struct blob_draft **out);
enum err blob_s3_draft_add(struct blob_draft *draft, const void *bytes, size_t n);
enum err blob_s3_draft_finish(struct blob_draft **draft);
void blob_s3_draft_abort(struct blob_draft **draft);
enum err blob_s3_part_finish(struct blob_impl *impl, const char *name, uint64_t size);

/* ---- blob_s3.c ---- */
/* [offset, offset + n), in as many requests as it takes. */
enum err blob_s3_read(struct blob_impl *impl, const char *name, uint64_t offset, char *bytes,
                      size_t n, size_t *got);
