/*
 * static: files compiled into the program (tools/embed.c makes the table), served with ETag and
 * precompressed variants. Names that carry a hash of their content are cached for ever; an unknown
 * path without a dot in its last part gets index.html, where the web client finds its own way.
 */
#pragma once

#include "net/http.h"

struct static_file {
    const char *path; /* "/assets/app-3F2A.js" */
    const char *content_type;
    const char *etag; /* quoted: "\"...\"" */
    const uint8_t *bytes;
    size_t n;
    const uint8_t *brotli; /* NULL: not worth it */
    size_t brotli_n;
    const uint8_t *gzip;
    size_t gzip_n;
    bool is_immutable; /* the name changes with the content */
};

/* Sorted by path (strcmp). */
struct static_table {
    const struct static_file *files;
    size_t count;
};

struct static_options {
    const struct http_header *headers; /* with every file (a CSP for pages, say) */
    size_t header_count;
};

/* Answers GET and HEAD for a file of the table (or index.html for a page path); false, without
 * answering, when this path is not its business. opt may be NULL. */
bool static_serve(const struct static_table *table, const struct static_options *opt,
                  struct http_request *req);
/* NULL when absent. */
const struct static_file *static_find(const struct static_table *table, struct str path);
