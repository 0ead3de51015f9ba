/*
 * bus_kafka_internal: what the files of the driver share.
 *
 *   bus_kafka.c         the driver's calls, the producer, whether the broker is there
 *   bus_kafka_topic.c   topics and where groups begin: questions to the broker that wait
 *   bus_kafka_group.c   a consumer for each group, its receipts
 *   bus_kafka_hear.c    the consumer of everything that this process hears
 *   bus_kafka_url.c     the address
 *
 * Threads: "bus-kafka" keeps the producer and the link; each consumer has one of its own, which may
 * wait for handlers, and besides those of librdkafka.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "bus/bus_driver.h"
#include "bus/bus_kafka_lib.h"
#include "bus/bus_tls.h"
#include "core/list.h"
#include "core/map.h"

#define BUS_KAFKA_WHY_MAX 500
#define BUS_KAFKA_CALL_MS 5000 /* at most so long a question to the broker takes */

struct kafka_url {
    char *brokers; /* "a:9092,b:9092" */
    char *user, *password, *mechanism;
    bool is_tls;
    struct bus_tls tls;
    int partitions; /* of topics that we make */
};
/* kafka://[USER:PASSWORD@]HOST:PORT[,HOST:PORT...][?partitions=8&sasl=SCRAM-SHA-512];
 * kafkas:// over TLS, with ca=, cert= and key= of bus_tls.h. False: it is none. To be released in
 * both cases. */
MUST_USE bool bus_kafka_url_parse(const char *text, struct kafka_url *out);
void bus_kafka_url_deinit(struct kafka_url *url);

/* A channel: what is durable, and what is said once (`live`, kept for a minute). */
struct kafka_topic {
    struct list node;
    char *channel;
    char name[BUS_TOPIC_MAX];     /* of one that is live alone: the same as the next */
    char live[BUS_TOPIC_MAX + 8]; /* "": everything of it is durable */
    bool is_made;                 /* it was seen on the broker */
    bool is_needed;               /* the main thread is to make it */
    bool is_heard;
};

struct kafka_group {
    struct list node;
    struct bus_impl *bus;
    char *name;
    rd_kafka_t *rk;
    pthread_t thread;
    atomic_bool is_over;
    struct list members; /* channels that it reads */
    struct list parts;   /* that are assigned to us */
    atomic_llong changed_ms,
        assigned_ms; /* monotonic: the last subscription, the last partitions */
};

/* How much it says, the more the later. */
enum kafka_why {
    KAFKA_WHY_NONE,
    KAFKA_WHY_ROUGH,       /* that none is there */
    KAFKA_WHY_BROKER,      /* what one of them did */
    KAFKA_WHY_ADVICE,      /* and what is to be done */
    KAFKA_WHY_CERTIFICATE, /* exactly */
};

struct bus_impl {
    struct bus_link *link;
    struct kafka_url url;
    char *process;
    int64_t owner_ms;
    rd_kafka_t *producer;           /* changed by the main thread alone, under the gate */
    pthread_rwlock_t producer_gate; /* read: it stays while somebody else uses it */
    pthread_t main;
    bool is_started;
    atomic_bool is_stopping, is_lost;
    atomic_bool is_broken;    /* the producer, for good */
    atomic_llong answered_us; /* when the broker last confirmed something */
    pthread_mutex_t lock;     /* of all below */
    pthread_cond_t changed;
    char why[BUS_KAFKA_WHY_MAX]; /* it is not there */
    enum kafka_why why_kind;
    struct list topics;
    struct list groups;
    struct map64 *receipts;
    uint64_t last_receipt;
    struct kafka_hearing *hearing;
    unsigned asking; /* who has borrowed its consumer */
};

/* bus_kafka.c: the producer, which stays until it is returned. */
rd_kafka_t *bus_kafka_producer_borrow(struct bus_impl *b);
void bus_kafka_producer_return(struct bus_impl *b);

/* bus_kafka.c: what all clients are told; NULL when librdkafka refuses it (logged). */
rd_kafka_conf_t *bus_kafka_conf(struct bus_impl *b);
bool bus_kafka_conf_set(rd_kafka_conf_t *conf, const char *name, const char *value);
void bus_kafka_conf_set_int(rd_kafka_conf_t *conf, const char *name, int64_t value);
/* Gives a parcel of no use to PREFIXdead. */
void bus_kafka_bury(struct bus_impl *b, const struct kafka_topic *topic, struct str bytes,
                    const char *why);

/* bus_kafka_topic.c. Made or found in the list; lock held. NULL: the name is too long. */
struct kafka_topic *bus_kafka_topic(struct bus_impl *b, const char *channel);
/* By either of its names; lock held. */
struct kafka_topic *bus_kafka_topic_named(struct bus_impl *b, const char *name);
/* The topics that it is on the broker: one or two, pointers into it. */
size_t bus_kafka_topic_names(const struct kafka_topic *topic, const char *names[2]);
/* These ask the broker and wait; without the lock. */
enum err bus_kafka_make_topic(struct bus_impl *b, struct kafka_topic *topic);
/* It is made again when it is asked for. */
void bus_kafka_forget_made(struct bus_impl *b, const char *channel);
/* The topic of what is for this process alone, at its end. */
void bus_kafka_delete_own(struct bus_impl *b);
/* How many partitions it has; 0: the broker does not say. */
int bus_kafka_partitions(struct bus_impl *b, const char *name);
/* A group that has never read begins with what comes from now on. */
enum err bus_kafka_begin_group(struct bus_impl *b, const struct kafka_topic *topic,
                               const char *group);
/* PREFIX and the group's name. */
bool bus_kafka_group_id(const struct bus_impl *b, const char *group, char out[BUS_TOPIC_MAX]);

/* bus_kafka_group.c */
void bus_kafka_group_join(struct bus_impl *b, struct kafka_topic *topic, const char *group);
void bus_kafka_group_leave(struct bus_impl *b, struct kafka_topic *topic, const char *group);
void bus_kafka_group_stop(struct kafka_group **group);
void bus_kafka_settle(struct bus_impl *b, uint64_t receipt);

/* bus_kafka_hear.c */
void bus_kafka_hear_start(struct bus_impl *b);
/* Topics that are heard have changed: returns when they are read, or the broker does not answer. */
void bus_kafka_hear_changed(struct bus_impl *b);
void bus_kafka_hear_stop(struct bus_impl *b);
/* Its consumer, to ask by, which stays until it is returned; NULL: there is none (any more). */
rd_kafka_t *bus_kafka_hear_borrow(struct bus_impl *b);
void bus_kafka_hear_return(struct bus_impl *b);
