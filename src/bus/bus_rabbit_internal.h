/* bus_rabbit_internal: what the files of the RabbitMQ driver share. */
#pragma once

#include <amqp.h>
#include <pthread.h>
#include <stdatomic.h>

#include "bus/bus_driver.h"
#include "bus/bus_tls.h"
#include "core/list.h"

#define RABBIT_UNCONFIRMED_MAX 1024
#define RABBIT_TEXT_MAX 512

enum rabbit_verb { RABBIT_EXPECT, RABBIT_JOIN, RABBIT_LEAVE };

/* What is to be heard: asked for by any thread, done by ours. */
struct rabbit_wish {
    struct list node;
    enum rabbit_verb verb;
    char *channel, *group;
};

struct rabbit_letter {
    struct list node;
    int64_t token; /* 0: at most once */
    char exchange[BUS_TOPIC_MAX];
    bool is_direct; /* no exchange: the queue of a process */
    char id[64];
    size_t n;
    char bytes[];
};

/* A group that is joined: its consumer. Broadcasts share one queue and have none of these. */
struct rabbit_consumer {
    struct list node;
    char *channel, *group;
    char tag[BUS_TOPIC_MAX];
};

/* One that was published and not confirmed; its place is its number modulo the maximum. */
struct rabbit_unconfirmed {
    int64_t token;
    size_t n;
    bool is_over;
};

struct bus_impl {
    struct bus_link *link;
    char *url; /* as given */
    char *process;
    pthread_t thread;
    int wake_fd;
    atomic_bool is_stopping;

    pthread_mutex_t lock; /* guards the next */
    bool is_linked;
    struct list wishes, letters;
    unsigned letter_count;
    uint64_t *receipts; /* handled */
    size_t receipt_count, receipt_capacity;

    /* the thread's: */
    amqp_connection_state_t conn;
    unsigned attempt;    /* which host is next */
    uint64_t generation; /* of the connection; receipts bear it */
    uint64_t published, confirmed;
    size_t unconfirmed_bytes;
    struct rabbit_unconfirmed unconfirmed[RABBIT_UNCONFIRMED_MAX];
    struct list consumers;
    struct map *exchanges; /* declared on this connection */
    char own_queue[BUS_TOPIC_MAX];
    int64_t lag_at_ms;
    bool has_more;             /* come, and not taken */
    char why[RABBIT_TEXT_MAX]; /* the link is gone */
};

/* bus_rabbit.c */
void rabbit_wish_free(struct rabbit_wish *wish);

/* bus_rabbit_conn.c: on the driver's thread. False: the connection is lost, `why` says it. */
bool rabbit_connect(struct bus_impl *b);
void rabbit_disconnect(struct bus_impl *b);
bool rabbit_fail(struct bus_impl *b, const char *what, int status);
bool rabbit_check(struct bus_impl *b, const char *what);
/* The host whose turn it is; false: no address. To be released in both cases. */
struct rabbit_address {
    char *plain; /* for the library: one host, no options */
    bool is_tls;
    struct bus_tls tls;
};
MUST_USE bool rabbit_pick(const char *url, unsigned turn, struct rabbit_address *out);
void rabbit_address_deinit(struct rabbit_address *address);

/* bus_rabbit_work.c, as above */
/* The queue of a process. False: the name is too long. */
bool rabbit_name_queue(const struct bus_impl *b, const char *process, char out[BUS_TOPIC_MAX]);
bool rabbit_declare_base(struct bus_impl *b);
bool rabbit_do(struct bus_impl *b, const struct rabbit_wish *wish);
bool rabbit_publish(struct bus_impl *b, const struct rabbit_letter *letter);
bool rabbit_may_publish(const struct bus_impl *b);
bool rabbit_settle(struct bus_impl *b, uint64_t receipt);
/* Takes all that has come. */
bool rabbit_receive(struct bus_impl *b);
/* How many wait, now and then. */
bool rabbit_measure(struct bus_impl *b);
