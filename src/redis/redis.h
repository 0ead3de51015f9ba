/*
 * redis: a client of Redis 6 and later, for the rooms that have a driver over it (cache, bus).
 * Thread-safe: many callers share one connection, their commands follow one another on it without
 * waiting (pipelining), and one thread reads the answers. The bytes of the protocol are made and
 * read by hiredis; connecting, TLS, time limits, Sentinel and cluster are ours.
 *
 * Addresses:
 *   redis://[user:password@]host[:port][/database]        rediss://... the same over TLS
 *   redis+sentinel://[...]host1,host2/master[/database]   the sentinels, and whom they watch
 *   redis+cluster://[...]host1,host2                      any nodes of the cluster
 * and behind them ?ca=FILE&cert=FILE&key=FILE (TLS), &sentinel_user=&sentinel_password=.
 *
 * A server that is gone fails calls at once, not after a wait: a call waits only on a connection
 * that answered before, and a connection that lets one call wait too long is given up, with all
 * that wait on it. It is tried anew behind the callers' backs.
 */
#pragma once

#include "core/arena.h"
#include "core/err.h"
#include "core/str.h"

struct redis;
struct redis_address;

enum redis_type { REDIS_NIL, REDIS_TEXT, REDIS_NUMBER, REDIS_LIST, REDIS_PROBLEM };

struct redis_reply {
    enum redis_type type;
    struct str text; /* TEXT, PROBLEM; a NUL follows */
    int64_t number;  /* NUMBER */
    const struct redis_reply *items;
    size_t count; /* LIST */
};

struct redis_options {
    const char *url;
    const char *name;   /* in metrics and in the server's list of clients: "cache"; copied */
    int64_t timeout_ms; /* that a call may wait; 0: 1,000 */
};

/* An address as text, checked without connecting; on failure `problem` (may be NULL) says what is
 * wrong, without the password. */
MUST_USE bool redis_is_address(struct str url, struct strbuf *problem);

/*
 * Starts the connection's thread (a cluster: one a node) and waits for its first attempt, at most
 * timeout_ms. A server that is not there is no failure: it may come. INVALID_ARGUMENT (`problem`
 * says why): the address, or files of TLS.
 */
MUST_USE enum err redis_open(struct redis **out, const struct redis_options *opt,
                             struct strbuf *problem);
/* Calls that wait end with ERR_CANCELLED. Nobody may call any more. Accepts NULL. */
void redis_close(struct redis **redis);
/* Whether the server (of a cluster: any node) answered last. */
bool redis_is_up(struct redis *redis);
/* What opens a redis_link to the same servers. */
const struct redis_address *redis_address_of(const struct redis *redis);

/*
 * One command and its answer, in the arena. Blocks: never on a loop. The key that a cluster routes
 * by is argv[key_at] (0: any node). ERR_UNAVAILABLE: no server, or it did not answer in time; what
 * the command says may or may not have happened. An answer that is an error of Redis is told by its
 * first word: NOT_FOUND (NOGROUP), ALREADY_EXISTS (BUSYGROUP), FAILED_PRECONDITION (WRONGTYPE),
 * PERMISSION_DENIED (NOAUTH, NOPERM, WRONGPASS), RESOURCE_EXHAUSTED (OOM), UNAVAILABLE (LOADING,
 * READONLY ...), else INTERNAL; `reply` has its words then.
 */
struct redis_command {
    const struct str *argv;
    size_t argc;
    size_t key_at;
    struct str route; /* the key to route by, of a command that has none */
};
MUST_USE enum err redis_call(struct redis *redis, const struct redis_command *command,
                             struct arena *arena, const struct redis_reply **reply);
/* The same without waiting: done(arg) runs once, on the thread that reads, perhaps inside this
 * call when there is no server; it must not block. The reply is valid during it, NULL without. */
typedef void redis_done_fn(void *arg, enum err err, const struct redis_reply *reply);
void redis_post(struct redis *redis, const struct redis_command *command, redis_done_fn *done,
                void *arg);

/* What an answer of the server means, by its first word. */
enum err redis_reply_err(const struct redis_reply *reply);
/* The text of an answer that is one, else STR_NULL; the item of a list, NULL when there is none. */
struct str redis_reply_text(const struct redis_reply *reply);
const struct redis_reply *redis_reply_item(const struct redis_reply *reply, size_t index);
