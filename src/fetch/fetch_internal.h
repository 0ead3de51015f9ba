/* fetch_internal: one exchange, between the room's thread (fetch.c) and libcurl
 * (fetch_exchange.c). */
#pragma once

#include <curl/curl.h>

#include "core/list.h"
#include "core/span.h"
#include "fetch/fetch.h"

#define FETCH_HEADERS_MAX 64
#define FETCH_HEAD_MAX_BYTES 65536

struct fetch_exchange {
    struct list link; /* in the queue, then among the running */
    CURL *easy;
    struct curl_slist *lines; /* the request's headers */
    struct arena *arena;      /* copies of the request; what came back, but the body */
    struct strbuf body;       /* what came back */
    const struct guard_options *guard;
    size_t max_bytes;
    size_t head_bytes;
    bool is_forbidden; /* some address was; it is the reason if none was reached */
    bool is_too_big;
    enum err err; /* known before it began */
    char curl_text[CURL_ERROR_SIZE];
    struct fetch_header headers[FETCH_HEADERS_MAX];
    struct fetch_response response;
    struct span span;
    fetch_done_fn *done;
    void *arg;
};

struct fetch_setup {
    const struct guard_options *guard;
    const char *user_agent;
    const char *ca_file;
};

/* Never NULL; `err` is set in what cannot run. */
struct fetch_exchange *fetch_exchange_create(const struct fetch_setup *setup,
                                             const struct fetch_request *request);
/* Fills the response, calls done, frees; returns what became of it. Sets *x to NULL. */
enum err fetch_exchange_end(struct fetch_exchange **x, CURLcode code);
