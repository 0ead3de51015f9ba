/*
 * message_downstream: what happened, told to those gateways that have readers for it, each on a
 * channel of its own (Kafka: im-downstream-topic-GATEWAY). Nothing is kept: the log is the truth,
 * and what gets lost on the way is noticed by its number.
 *
 * A gateway says which places it has (services/common/places.h) before it asks what its people are
 * in, and waits until those who tell know them. Of whom we know no places we tell all.
 */
#pragma once

#include "bus/bus.h"
#include "core/loop.h"

struct downstream;

/* The gateway of this very process is left out: it hears bus_publish_here. */
struct downstream *downstream_create(struct bus *bus, struct loop *loop);
/* Says goodbye. Accepts NULL. */
void downstream_destroy(struct downstream **d);

struct downstream_parcel {
    const char *type;            /* "event", "receipt", "typing" */
    const char *conversation_id; /* NULL or "": none; whoever reads it */
    char *const *user_ids;       /* and these */
    size_t user_count;
    struct str body;
};
/* Any thread; at once. Parcels told one after the other arrive so. */
void downstream_tell(struct downstream *d, const struct downstream_parcel *parcel);
