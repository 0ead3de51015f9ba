/*
 * bus: what happened (events, to everyone who listens) and what should be done (tasks, to one
 * worker each). Events published inside a store transaction (bus_publish_tx) leave through the
 * outbox: if the transaction commits they are delivered, at least once. Events published outside
 * are delivered at most once.
 */
#pragma once

#include "core/err.h"
#include "core/str.h"

struct bus;
struct store;
struct store_tx;

struct bus_options {
    const char *driver;  /* "memory" */
    struct store *store; /* outbox and tasks live here; NULL: events only */
};

MUST_USE enum err bus_open(struct bus **out, const struct bus_options *opt);
/* Stops delivery, waits for handlers, frees. Accepts NULL. */
void bus_close(struct bus **bus);

struct bus_event {
    const char *channel; /* "meeting_events" */
    const char *type;    /* "meeting.started" */
    const char *key;     /* order is kept per key */
    struct str payload;  /* packed protobuf or JSON, as the channel says */
};

/* Runs on the bus's delivery threads, events of one key in order. Must be short or hand over. */
typedef void bus_event_fn(void *arg, const struct bus_event *event);

/* `name` tells subscribers apart in metrics. Returns an id for bus_unsubscribe. */
int bus_subscribe(struct bus *bus, const char *channel, const char *name, bus_event_fn *fn,
                  void *arg);
/* After it returns fn does not run any more. */
void bus_unsubscribe(struct bus *bus, int id);

/* At most once, now; never blocks. From any thread. */
void bus_publish(struct bus *bus, const struct bus_event *event);
/* At least once, after the commit of the surrounding job. */
MUST_USE enum err bus_publish_tx(struct bus *bus, struct store_tx *tx,
                                 const struct bus_event *event);

/* ---- tasks ---- */
struct bus_task {
    const char *queue; /* "mail" */
    const char *type;
    struct str payload;
    const char *idempotency_key; /* NULL: none; the same key is queued once */
    int64_t delay_ms;
    int priority;     /* higher first */
    int attempts_max; /* 0: 10, with exponential back-off; then dead letter */
};
MUST_USE enum err bus_enqueue_tx(struct bus *bus, struct store_tx *tx, const struct bus_task *task);
/* Handler on a worker thread; ERR_OK finishes the task, anything else retries it later. */
typedef enum err bus_task_fn(void *arg, const struct bus_task *task, int attempt);
void bus_work(struct bus *bus, const char *queue, bus_task_fn *fn, void *arg);
