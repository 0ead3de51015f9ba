/*
 * redis_link: one connection for one thread, which waits itself: for commands that block (XREAD),
 * and for subscriptions. Others cannot share it; for them is redis.h.
 */
#pragma once

#include "redis/redis.h"

struct redis_link;

/* How long, and what ends it early. */
struct redis_wait {
    int64_t until_us; /* monotonic */
    int stop_fd;      /* readable: ERR_CANCELLED; -1: none */
};

/* To the server that the address means, asked of sentinels if it says so; of a cluster, to the node
 * that has the slot of `key` (NULL: any). Signed in, the database chosen. Logs nothing; `problem`
 * (may be NULL) says why not. */
MUST_USE enum err redis_link_open(struct redis_link **out, const struct redis_address *address,
                                  const char *key, const struct redis_wait *wait,
                                  struct strbuf *problem);
void redis_link_close(struct redis_link **link);
/* Sends a command whole. */
MUST_USE enum err redis_link_send(struct redis_link *link, const struct str *argv, size_t argc,
                                  const struct redis_wait *wait);
/* The next answer, or what was published. DEADLINE_EXCEEDED or CANCELLED: none yet; ask again with
 * the same arena, for a part of it may be there. UNAVAILABLE: the link is gone. Never an error of
 * the server's: see redis_reply_err. */
MUST_USE enum err redis_link_receive(struct redis_link *link, struct arena *arena,
                                     const struct redis_wait *wait,
                                     const struct redis_reply **reply);
/* Both; also the server's error. */
MUST_USE enum err redis_link_call(struct redis_link *link, const struct str *argv, size_t argc,
                                  struct arena *arena, const struct redis_wait *wait,
                                  const struct redis_reply **reply);
/* For poll, before redis_link_receive: whether an answer may be there without waiting for the
 * socket is not known by it, so ask until DEADLINE_EXCEEDED. */
int redis_link_fd(const struct redis_link *link);
