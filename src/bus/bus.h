/*
 * bus: what happened (events, to everyone who listens) and what should be done (tasks, to one
 * worker each). Embedded, both stay in this process; over a broker (Redis, Kafka, RabbitMQ) they
 * go to all processes of the deployment. The promises are the same:
 *
 * - bus_publish: at most once, at once. This process's own plain subscribers hear it without the
 *   broker, those of other processes through it. Nothing is promised to groups.
 * - bus_publish_tx, in a store transaction: if it commits, the event leaves through the outbox, at
 *   least once. The own plain subscribers hear it as soon as it is committed, broker or no broker;
 *   other processes and all groups through the broker. A broker that is away delays, never loses.
 * - A plain subscriber (bus_subscribe) exists in each process: for sockets and caches in memory. It
 *   hears while it lives and its process is linked. After a lost link, when what was published
 *   meanwhile may be missing, who asked by bus_on_gap is told: read anew what you keep. What comes
 *   back to the process that published it is not given to its plain subscribers twice.
 * - A group (bus_subscribe_group) is all the subscribers of one channel with one group name, in
 *   whatever processes: each event of bus_publish_tx goes to one of them. For rows and effects.
 *   What comes while none of them lives waits for one. An event whose handler did not return
 *   (crash, lost link, a stop) comes again, there or elsewhere: effects must be idempotent.
 * - Order: events of one channel with one key reach a group in the order of their commits, one
 *   after the other. Plain subscribers hear events of one key in order as far as one process
 *   published them; between those of two processes there is no order (versions are in the events).
 *   One that comes again may come after younger ones.
 * - What is no event (garbage from outside, a version from the future, one that ended its reader
 *   again and again) goes to the dead letters of the broker; it holds nobody up.
 * - Back-pressure: handlers that are slow make their broker wait (durable events) or lose events
 *   (bus_publish; counted), never grow without bound.
 *
 * Order of life: store_open, bus_open, everyone subscribes, bus_start, ..., bus_close, store_close.
 * Nothing leaves the outbox, no task runs and nothing comes from a broker before bus_start, or it
 * would find nobody listening.
 */
#pragma once

#include "core/arena.h"
#include "core/err.h"
#include "core/str.h"

struct bus;
struct store;
struct store_tx;

struct bus_options {
    const char *driver;      /* who carries events: "memory" (NULL), "redis", "kafka", ... */
    const char *url;         /* where that broker is */
    const char *task_driver; /* who carries tasks that are due; NULL, "memory": they stay in SQL */
    const char *task_url;
    /* Whose queue it is, for the topic tasks.SERVICE; NULL: there is no such queue. NULL itself: a
     * queue and its service have one name, and only those worked on here are known. */
    const char *(*service_of)(const char *queue);
    const char *process;   /* the name of this process among all; NULL: one is made */
    const char *prefix;    /* of topics, streams, queues; NULL: "meeting." */
    struct store *store;   /* outbox and tasks live here; NULL: events only */
    unsigned thread_count; /* delivery threads; 0: 2 */
    unsigned queue_max;    /* events waiting per delivery thread; 0: 8,192 */
    unsigned task_threads; /* 0: 4 */
    int64_t lease_ms;      /* a task whose process died runs elsewhere after this; 0: 30,000 */
    int64_t owner_ms;      /* so long a process may be silent before others take over; 0: 8,000 */
    bool is_shared;        /* other processes use the store; of a server's that is taken for sure */
    bool is_in_order;      /* handlers here hear a key's events in order, whichever process wrote */
    int64_t retry_ms;      /* wait before the second attempt, doubling; 0: 1,000 */
    int64_t retry_max_ms;  /* 0: 3,600,000 */
    int64_t task_keep_ms;  /* how long a finished task's idempotency key is known; 0: 30 days */
};

MUST_USE enum err bus_open(struct bus **out, const struct bus_options *opt);
/* The name of this process among all that share the broker. */
const char *bus_process(const struct bus *bus);
/* Lets the outbox and the tasks go, the ones left by an earlier run first, and joins the broker's
 * channels. Once. Does not wait for the broker. */
void bus_start(struct bus *bus);
/* Before the first subscriber goes away for good: nothing leaves the outbox any more, and what has
 * left it was handled (waits for that, 5 s at most) or comes again at the next start. Else the last
 * events of a life would be delivered to nobody, and count as delivered. bus_publish still works.
 */
void bus_stop_events(struct bus *bus);
/* Stops delivery, waits for handlers, frees; what is left in outbox and tasks stays for the next
 * start. Accepts NULL. */
void bus_close(struct bus **bus);

struct bus_event {
    const char *channel; /* "meeting_events" */
    const char *type;    /* "meeting.started" */
    const char *key;     /* order is kept per key */
    struct str payload;  /* packed protobuf or JSON, as the channel says; a NUL follows it */
    const char *id;      /* for handlers: the same when an event comes again; "" if at most once */
    const char *source;  /* for handlers: the process that published it */
    int64_t at_ms;       /* for handlers: when it was published, wall clock */
    const char *traceparent; /* of who published it; NULL or "": none */
};

/* Channels of messaging, which Kafka knows by other names (bus_kafka_topic.c). */
#define BUS_UPSTREAM "im_upstream" /* each accepted change, durable, keyed by conversation */
#define BUS_DOWNSTREAM                                                        \
    "im_downstream." /* and the process: what is told to that one alone, live \
                      */

/* Runs on the bus's delivery threads, events of one key in order. Must be short or hand over. The
 * event is valid until it returns. An event of the outbox counts as delivered when every handler
 * returned; before that a crash brings it again. */
typedef void bus_event_fn(void *arg, const struct bus_event *event);

/* `name` tells subscribers apart in metrics. Returns an id for bus_unsubscribe. */
int bus_subscribe(struct bus *bus, const char *channel, const char *name, bus_event_fn *fn,
                  void *arg);
/* The same, of what this very process publishes alone: the broker is not asked for the channel. */
int bus_subscribe_here(struct bus *bus, const char *channel, const char *name, bus_event_fn *fn,
                       void *arg);
/* One of the group `group` (also its name in metrics): see above. */
int bus_subscribe_group(struct bus *bus, const char *channel, const char *group, bus_event_fn *fn,
                        void *arg);
/* The group exists, also while nobody of it has ever lived: its events are kept. Before bus_start;
 * every process that publishes on the channel says so (app/topology). */
void bus_expect_group(struct bus *bus, const char *channel, const char *group);
/* After a lost link is there again: plain subscribers may have missed something. fn gets an event
 * of type "gap" without a payload, on a delivery thread. Never called by "memory". */
int bus_on_gap(struct bus *bus, const char *name, bus_event_fn *fn, void *arg);
/* After it returns fn does not run any more (but for the run that calls it). */
void bus_unsubscribe(struct bus *bus, int id);

/* At most once, now; never blocks: a full queue drops and counts. From any thread. */
void bus_publish(struct bus *bus, const struct bus_event *event);
/* The same for plain subscribers of this process alone. */
void bus_publish_here(struct bus *bus, const struct bus_event *event);
/* At least once, after the commit of the surrounding job. */
MUST_USE enum err bus_publish_tx(struct bus *bus, struct store_tx *tx,
                                 const struct bus_event *event);

/* The same in a transaction of its own; waits for the commit. On worker threads. */
MUST_USE enum err bus_publish_sync(struct bus *bus, const struct bus_event *event);

/* ---- how it stands (for /ready and operators; never an error of the process) ---- */
struct bus_health {
    const char *events, *tasks;             /* names of the drivers */
    bool has_events, has_tasks;             /* linked now; true for "memory" */
    int64_t events_down_ms, tasks_down_ms;  /* for so long not */
    int64_t outbox_count, outbox_oldest_ms; /* waiting to leave (-1: unknown), and the
                                             * age of the oldest */
};
void bus_health(struct bus *bus, struct bus_health *out);
/* Whether events may come from other processes, and reach them; accepts NULL. */
bool bus_is_apart(const struct bus *bus);
/* Whether every broker that is configured is linked now; quick, from any thread. */
bool bus_is_linked(struct bus *bus);
/* The same of the one for events alone. */
bool bus_is_heard(struct bus *bus);

/* ---- tasks ---- */
struct bus_task {
    const char *queue; /* "mail" */
    const char *type;
    struct str payload;
    const char *idempotency_key; /* NULL: none; the same key is queued once per queue */
    int64_t delay_ms;
    int priority;     /* higher first */
    int attempts_max; /* 0: 10, with exponential back-off; then dead letter */
    /* NULL: none. Tasks of one lane run one at a time and in their order; one that waits for its
     * next attempt keeps its lane waiting. Not with a delay. */
    const char *lane;
    int64_t lane_max; /* waiting in its lane; beyond it the oldest is a dead letter; 0: 1,000 */
};
MUST_USE enum err bus_enqueue_tx(struct bus *bus, struct store_tx *tx, const struct bus_task *task);
/* Handler on a worker thread; ERR_OK finishes the task, anything else retries it later. At least
 * once: a crash runs it again, so its effect must be idempotent. attempt counts from 1. */
typedef enum err bus_task_fn(void *arg, const struct bus_task *task, int attempt);
/* In a handler, with its own task: not now, but in wait_ms; what the handler returns does not
 * count, nor does the attempt. */
void bus_put_off(const struct bus_task *task, int64_t wait_ms);
/* The same: it will never go (nobody can read it). A dead letter, now. */
void bus_give_up(const struct bus_task *task);
/* One handler per queue, for the bus's life. */
void bus_work(struct bus *bus, const char *queue, bus_task_fn *fn, void *arg);
/* The same for a queue whose tasks may wait for others (the network): at most `most` run at a time,
 * so that the rest of the threads stay free for the other queues. */
void bus_work_bounded(struct bus *bus, const char *queue, bus_task_fn *fn, void *arg,
                      unsigned most);

/* For who is about to go away: after it returns no handler runs any more, for good; tasks stay for
 * the next start. bus_close does the same. */
void bus_stop_tasks(struct bus *bus);

/* How a queue stands (operations, tests). */
struct bus_task_stats {
    int64_t ready;   /* could run now */
    int64_t waiting; /* delayed, behind others of their lane, or until the next attempt */
    int64_t running;
    int64_t dead; /* gave up */
};
MUST_USE enum err bus_task_stats(struct bus *bus, const char *queue, struct bus_task_stats *out);
/* Gives the dead tasks of a queue a new life, attempts counted from zero. */
MUST_USE enum err bus_revive_dead(struct bus *bus, const char *queue, int64_t *count);

/* bus_dead.c: what operators see and do. */
struct bus_queue {
    const char *name;
    struct bus_task_stats stats;
};
/* The queues that have tasks, by name; at most 256. In the arena. */
MUST_USE enum err bus_list_queues(struct bus *bus, struct arena *arena, struct bus_queue **list,
                                  size_t *count);
struct bus_dead_task {
    int64_t id;
    const char *queue, *type, *error;
    int attempts;
    int64_t created_at_ms;
};
/* Those of a queue ("": of all) with a higher id, in its order; at most `max`. */
MUST_USE enum err bus_list_dead(struct bus *bus, struct arena *arena, const char *queue,
                                int64_t above_id, size_t max, struct bus_dead_task **list,
                                size_t *count);
/* One dead task (ERR_NOT_FOUND) has another life, or is dropped. */
MUST_USE enum err bus_revive_one(struct bus *bus, int64_t id);
MUST_USE enum err bus_drop_one(struct bus *bus, int64_t id);
/* All dead tasks of a queue. */
MUST_USE enum err bus_drop_dead(struct bus *bus, const char *queue, int64_t *count);
