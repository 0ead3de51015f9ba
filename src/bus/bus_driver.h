/*
 * bus_driver: what carries envelopes between processes. A driver is small on purpose: packing,
 * the outbox, delivery to this process's own subscribers, lanes of handlers (order per key,
 * bounded), the skipping of what comes back, gaps and metrics are bus_link.c, the same for all.
 * "memory" has no driver: nothing leaves the process.
 *
 * A driver keeps a connection in threads of its own, for ever: it connects, says bus_link_up, and
 * when the connection is lost bus_link_down, waits bus_link_backoff_ms, and tries again. A broker
 * that is away is no error of the process.
 *
 * Channels become topics (bus_link_topic: "meeting." and the channel's name). Two kinds of hearing:
 *   broadcast (group NULL): each process that joined gets each parcel sent while it is joined;
 *   group: parcels that were sent durably go to one process of the group, those of one key one
 *   after the other in the order they were sent; they wait while there is none, and come again when
 *   they were not settled.
 * Tasks travel the same way: bus_tasks sends them durably to the channel "tasks.SERVICE".
 */
#pragma once

#include "bus/bus.h"

struct bus_impl; /* the driver's own */
struct bus_link; /* our side of it */

struct bus_link_options {
    const char *url;
    const char *process; /* fit for names of queues and consumers: [A-Za-z0-9_-] */
    const char *prefix;
    int64_t owner_ms; /* so long a process may be silent before others take over */
};

/* What is sent. Valid for the call. */
struct bus_parcel {
    const char *channel;
    const char *key;  /* never "": without a key it is the channel */
    const char *id;   /* of the envelope; "" if at most once */
    struct str bytes; /* the envelope: bus_envelope.h */
    int64_t token;    /* 0: at most once. Else durable: answered once by bus_link_sent */
};

struct bus_driver {
    const char *name;
    /* Checks the url (ERR_INVALID_ARGUMENT, logged without its password); calls nobody yet. */
    enum err (*open)(struct bus_link *link, const struct bus_link_options *opt,
                     struct bus_impl **out);
    /* Begins to connect. Once, before all that follows. */
    void (*start)(struct bus_impl *impl);
    /* No bus_link_* call begins any more when it returns; what was settled has reached the broker
     * if it could. Once, before close. */
    void (*stop)(struct bus_impl *impl);
    void (*close)(struct bus_impl **impl);
    /* The group exists on the broker from now on: what is sent to the channel is kept for it. */
    void (*expect)(struct bus_impl *impl, const char *channel, const char *group);
    /* Hear the channel from now on: broadcast (group NULL) or as one of the group. Called inside
     * bus_link_up for all that are wanted (after expect), and from any thread while linked; again
     * for what is joined already: nothing. One call of expect, join and leave at a time. */
    void (*join)(struct bus_impl *impl, const char *channel, const char *group);
    void (*leave)(struct bus_impl *impl, const char *channel, const char *group);
    /* From any thread, while linked or not; does not block. ERR_UNAVAILABLE: not taken (no link, no
     * room); of a durable one no answer comes then, and it is sent again later. */
    enum err (*send)(struct bus_impl *impl, const struct bus_parcel *parcel);
    /* What bus_link_receive gave with this receipt was handled: the broker may forget it. A receipt
     * of a former connection is ignored. Any thread. */
    void (*settle)(struct bus_impl *impl, uint64_t receipt);
};

/* ---- what drivers call (their own threads) ---- */

/* Linked: joins everything again. */
void bus_link_up(struct bus_link *link);
/* Not linked: what was sent and not answered counts as not sent. `why` is logged. */
void bus_link_down(struct bus_link *link, const char *why);
/* How long to wait before the next attempt: doubling to 5 s, with chance in it. */
int64_t bus_link_backoff_ms(struct bus_link *link);
/* A durable parcel has arrived at the broker for good (ERR_OK), or has not. Tokens that are not
 * known (any more) are ignored. */
void bus_link_sent(struct bus_link *link, int64_t token, enum err err);
/*
 * A parcel has come. Blocks while the lanes are full: that is the back-pressure. `receipt` is for
 * settle, which follows when the handlers have returned (also within the call); 0, which only a
 * broadcast may have: nothing follows.
 * ERR_INVALID_ARGUMENT: no envelope: the driver moves it to the dead letters and settles it itself.
 * ERR_CANCELLED: stopping; leave it unsettled.
 */
MUST_USE enum err bus_link_receive(struct bus_link *link, const char *channel, const char *group,
                                   struct str bytes, uint64_t receipt);
/* How many wait at the broker for this group (metric parlance_bus_lag). */
void bus_link_set_lag(struct bus_link *link, const char *channel, const char *group, int64_t count);
/* A parcel went to the dead letters (metric, and a line in the log). */
void bus_link_count_dead(struct bus_link *link, const char *channel, const char *why);

#define BUS_TOPIC_MAX 256
/* prefix + channel (+ "." + group, if any). False when it does not fit. */
bool bus_link_topic(const struct bus_link *link, const char *channel, const char *group,
                    char out[BUS_TOPIC_MAX]);

/* The process whose own channel this is (BUS_DOWNSTREAM); NULL: it is anybody's. */
const char *bus_channel_process(const char *channel);

/* All drivers that are built in; the last is NULL. */
extern const struct bus_driver *const bus_drivers[];
extern const struct bus_driver bus_redis, bus_kafka, bus_rabbitmq;
