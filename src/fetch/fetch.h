/*
 * fetch: requests that the server itself makes: one HTTP request, one answer, bounded in time and
 * size. Where a URL came from an outsider (webhooks, previews, keys of OIDC), it must not become a
 * way into our own network: every address that a name resolves to is judged by net/guard.h at the
 * moment of connecting, and the connection goes to what was judged. A redirect is an answer, never
 * followed. Proxies of the environment are not used: they would connect where we may not look.
 *
 *   struct fetch_response r;
 *   enum err err = fetch_sync(fetch, &(struct fetch_request){.url = url}, arena, &r);
 */
#pragma once

#include "core/arena.h"
#include "core/err.h"
#include "core/str.h"
#include "net/guard.h"

struct fetch;

struct fetch_options {
    struct guard_options guard; /* its ranges must outlive the room; zero: public addresses only */
    unsigned concurrent_max;    /* 0: 64; beyond it requests end with ERR_UNAVAILABLE */
    const char *user_agent;     /* NULL: "parlance"; copied */
    const char *ca_file; /* PEM of who signs the servers' certificates; NULL: the system's; copied
                          */
};

/* Has one thread of its own. */
MUST_USE enum err fetch_create(struct fetch **out, const struct fetch_options *opt);
/* Requests in flight end with ERR_CANCELLED. Accepts NULL. Not from a fetch_done_fn. */
void fetch_destroy(struct fetch **fetch);

/* Requests in flight end with ERR_CANCELLED, soon; the room goes on. From any thread. */
void fetch_cancel(struct fetch *fetch);

struct fetch_header {
    const char *name;
    const char *value;
};

struct fetch_request {
    const char *method; /* NULL: GET, with a body POST */
    const char *url;    /* http or https, without user:password */
    const struct fetch_header *headers;
    size_t header_count;
    struct str body;
    int64_t timeout_ms;    /* from start to end; 0: 10,000 */
    size_t max_bytes;      /* of the answer's body; 0: 1 MiB */
    const char *unix_path; /* connect to this socket file instead of the URL's host; not judged, so
                              never from an outsider */
};

struct fetch_response {
    int status; /* of HTTP, 100 to 599; 0: there was no answer */
    struct str body;
    const struct fetch_header *headers; /* the first 64 */
    size_t header_count;
    const char *problem; /* one sentence when there was no answer, else "" */
};

/* The first value of that header (without case), NULL when absent. */
const char *fetch_response_header(const struct fetch_response *response, const char *name);

/*
 * Any HTTP status is an answer: ERR_OK. Else INVALID_ARGUMENT (the request), PERMISSION_DENIED (its
 * address may not be reached), DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED (the answer is too big),
 * UNAVAILABLE (name, connection, TLS, or too many at once), CANCELLED (the room is closing).
 */
typedef void fetch_done_fn(void *arg, enum err err, const struct fetch_response *response);

/* Copies the request. From any thread. `done` runs once, on the room's thread; it must not block.
 * The response is valid during it. */
void fetch_start(struct fetch *fetch, const struct fetch_request *request, fetch_done_fn *done,
                 void *arg);
/* Waits; anywhere but on a loop (asserted) or in a fetch_done_fn. The response lives in the arena;
 * `out` is filled also on failure. */
MUST_USE enum err fetch_sync(struct fetch *fetch, const struct fetch_request *request,
                             struct arena *arena, struct fetch_response *out);
