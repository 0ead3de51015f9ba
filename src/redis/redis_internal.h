/* redis_internal: what the files of this room share and nobody else sees. */
#pragma once

#include <pthread.h>

#include "core/list.h"
#include "redis/redis.h"
#include "redis/redis_link.h"

struct net_tls;

#define REDIS_PORT 6379
#define REDIS_SENTINEL_PORT 26379
#define REDIS_HOSTS_MAX 16
#define REDIS_HOST_SIZE 256
#define REDIS_SLOTS 16384

/* ---- redis_address.c ---- */

enum redis_kind { REDIS_KIND_PLAIN, REDIS_KIND_SENTINEL, REDIS_KIND_CLUSTER };

struct redis_host {
    char name[REDIS_HOST_SIZE];
    uint16_t port;
};

struct redis_address {
    enum redis_kind kind;
    bool is_tls;
    int database;
    struct redis_host hosts[REDIS_HOSTS_MAX];
    size_t host_count;
    struct arena *arena; /* of the texts; NULL where there is none */
    const char *user, *password, *master;
    const char *sentinel_user, *sentinel_password;
    const char *ca, *cert, *key;
    /* made by redis_open: */
    struct net_tls *tls;
    const char *name; /* of the client */
};

/* Takes the arena when it is one. */
bool redis_address_parse(struct str url, struct arena *arena, struct redis_address *out,
                         struct strbuf *problem);
/* "host", "host:port", "[::1]:port" */
bool redis_host_parse(struct str text, uint16_t port, struct redis_host *out);

/* ---- redis_reply.c ---- */

/* Reads answers; bounded in bytes, items and depth. */
struct redis_reader;
struct redis_reader *redis_reader_create(void);
void redis_reader_destroy(struct redis_reader **reader);
/* ERR_RESOURCE_EXHAUSTED: one answer is too big. */
MUST_USE enum err redis_reader_feed(struct redis_reader *reader, const void *bytes, size_t n);
/* ERR_NOT_FOUND: no whole answer yet; the arena must be the same until there is one. DATA_LOSS: it
 * is not the protocol. */
MUST_USE enum err redis_reader_take(struct redis_reader *reader, struct arena *arena,
                                    const struct redis_reply **reply);
/* Nothing was fed beyond whole answers. */
bool redis_reader_is_empty(const struct redis_reader *reader);

/* ---- redis_link.c: beyond the header ---- */

/* Reads what is there, without waiting. ERR_UNAVAILABLE: the link is gone. */
MUST_USE enum err redis_link_read(struct redis_link *link);
/* An answer among what was read; as redis_reader_take. */
MUST_USE enum err redis_link_take(struct redis_link *link, struct arena *arena,
                                  const struct redis_reply **reply);
/* Nothing was read beyond the answers that were taken. */
bool redis_link_is_quiet(const struct redis_link *link);
/* Sends what the socket takes of it, without waiting. */
MUST_USE enum err redis_link_write(struct redis_link *link, const char *bytes, size_t n,
                                   size_t *sent);
const struct redis_host *redis_link_host(const struct redis_link *link);
/* The command as bytes; free with free. */
char *redis_format(const struct str *argv, size_t argc, size_t *n);

#define REDIS_PROBLEM_SIZE 300
/* To that host, signed in as the address says (or as it says for sentinels). `problem` has
 * REDIS_PROBLEM_SIZE bytes. */
MUST_USE enum err redis_link_connect(struct redis_link **out, const struct redis_address *address,
                                     const struct redis_host *host, bool is_sentinel,
                                     const struct redis_wait *wait, char *problem);

/* ---- redis_open.c ---- */

/* redis_link_open with the problem in REDIS_PROBLEM_SIZE bytes. */
MUST_USE enum err redis_link_locate(struct redis_link **out, const struct redis_address *address,
                                    const char *key, const struct redis_wait *wait, char *problem);

/* ---- redis.c ---- */

int redis_event_create(void); /* an eventfd; aborts when no descriptor is left */
void redis_event_set(int fd);
void redis_event_clear(int fd);

/* ---- redis_pipe.c: one connection shared by many callers ---- */

struct redis_pipe;

struct redis_request {
    struct list node;
    char *bytes; /* the command; malloc */
    size_t n;
    unsigned skip; /* answers before the one that counts */
    int64_t until_us;
    struct arena *arena; /* for the answer */
    const struct redis_reply *reply;
    enum err err;
    /* Runs on the pipe's thread, once; takes the request. */
    void (*done)(struct redis_request *request);
};

struct redis_pipe_options {
    const struct redis_address *address;
    const struct redis_host *host; /* NULL: as the address says; copied */
    int64_t timeout_ms;
};

struct redis_pipe *redis_pipe_create(const struct redis_pipe_options *opt);
/* What waits ends with ERR_CANCELLED. */
void redis_pipe_destroy(struct redis_pipe **pipe);
/* Waits until the first attempt to connect is over, or the time is: false. */
bool redis_pipe_wait_first(struct redis_pipe *pipe, int64_t until_us);
/* UNAVAILABLE, CANCELLED: not taken, done does not run. */
MUST_USE enum err redis_pipe_submit(struct redis_pipe *pipe, struct redis_request *request);
bool redis_pipe_is_up(struct redis_pipe *pipe);

/* ---- redis_slots.c ---- */

/* One row of CLUSTER SLOTS: first, last, (host, port, ...) of the master, replicas. */
struct redis_range {
    int64_t first, last;
    struct redis_host host; /* its name "": the one that was asked */
};
bool redis_range_parse(const struct redis_reply *row, struct redis_range *out);
/* The name of who was asked, if it has none. */
void redis_range_name(struct redis_range *range, const struct redis_host *asked);
MUST_USE enum err redis_slots_ask(struct redis_link *link, struct arena *arena,
                                  const struct redis_wait *wait, const struct redis_reply **reply);

/* ---- redis_cluster.c ---- */

struct redis_cluster;

/* Where a request of a cluster is on its way to. */
struct redis_route {
    struct redis_request request; /* its done is the cluster's */
    struct redis_cluster *cluster;
    unsigned slot;
    unsigned attempts;
    struct redis_host want; /* of a redirection */
    bool is_asking;
    int64_t parked_until_us;
    void (*done)(struct redis_route *route); /* once, from any thread; takes the route */
};

struct redis_cluster *redis_cluster_create(const struct redis_address *address, int64_t timeout_ms);
void redis_cluster_destroy(struct redis_cluster **cluster);
void redis_cluster_submit(struct redis_cluster *cluster, struct redis_route *route);
bool redis_cluster_is_up(struct redis_cluster *cluster);
/* Before the other fields are filled in. */
void redis_cluster_route_init(struct redis_cluster *cluster, struct redis_route *route);
/* The slot of a key: of its part between braces, if it has one. */
unsigned redis_slot(struct str key);
/* Who has a slot, asked of any node. */
MUST_USE enum err redis_cluster_find(struct redis_link *link, unsigned slot,
                                     const struct redis_wait *wait, struct redis_host *out);
