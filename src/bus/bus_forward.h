/*
 * bus_forward: another database than the bus's own, in whose transactions things are told, too
 * (shards of the log, messages.shard_stores). It has an outbox and tasks of its own, which any
 * process that opens it looks after like those of the first; what leaves them is written into the
 * first, and goes its way from there. So an event or task is in one of the two at any moment, and a
 * database that is away delays, never loses; events of one key keep their order, whichever process
 * wrote them. A crash between both writes brings one twice: at least once, as everywhere.
 */
#pragma once

#include "bus/bus.h"

struct bus_forward;

struct bus_forward_options {
    struct bus *to;              /* where everything goes; outlives it */
    struct store *store;         /* the other database */
    const char *process;         /* the name of this process */
    const char *const *channels; /* of events that are told there; the last is NULL */
    const char *const *queues;   /* of tasks, likewise */
};
MUST_USE enum err bus_forward_open(struct bus_forward **out, const struct bus_forward_options *opt);
/* What is given to bus_publish_tx and bus_enqueue_tx in transactions of that database. */
struct bus *bus_forward_bus(struct bus_forward *forward);
/* After bus_start of the first. */
void bus_forward_start(struct bus_forward *forward);
/* Before the first stops: nothing leaves any more. Accepts NULL. */
void bus_forward_stop(struct bus_forward *forward);
/* Before either store is closed. No write that tells anything may be on its way. Accepts NULL. */
void bus_forward_close(struct bus_forward **forward);
