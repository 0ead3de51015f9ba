/*
 * outlet: the way out for what a process says of itself. Whoever has something adds it and goes on:
 * it waits in a queue of bounded bytes, and what does not fit is dropped and counted. One thread
 * packs what has gathered (once a second, or when there is much), compresses it and sends it,
 * trying again for a while when the other side is away.
 */
#pragma once

#include "core/list.h"
#include "core/str.h"
#include "fetch/fetch.h"

struct outlet;

struct outlet_item {
    struct list node;
    const char *group; /* what the packer sorts by */
    int64_t time_ns;
    size_t n;
    char bytes[]; /* and the group behind them */
};

/* The body of one request. `items` is not empty. */
typedef void outlet_pack_fn(void *arg, const struct list *items, struct strbuf *body);

struct outlet_options {
    const char *what; /* in metrics and logs; static */
    const char *url;
    const char *path; /* what is asked for when the URL names no path */
    const char *content_type;
    outlet_pack_fn *pack;
    void *arg;
    size_t queue_max_bytes; /* 0: 8 MiB */
    int64_t interval_ms;    /* 0: 1,000 */
    int64_t retry_ms;       /* before the second attempt, doubling up to 30 s; 0: 500 */
};

MUST_USE enum err outlet_open(struct outlet **out, const struct outlet_options *opt);
/* Sends what is left, until then at most (monotonic), also when the other side takes it and says
 * nothing. Nobody may be adding. Accepts NULL. */
void outlet_close(struct outlet **outlet, int64_t until_ms);
/* Copies both. From any thread; never waits. */
void outlet_add(struct outlet *outlet, const char *group, int64_t time_ns, struct str bytes);
