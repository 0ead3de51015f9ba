/*
 * message_base: the databases that the log lies in. The first is the one of all services; others
 * have some of the shards each (messages.shard_stores). What is a conversation's lies whole in the
 * database of its shard: its log, members, what waits to be sent in it, and the events and tasks of
 * its commits, which another relay carries to the bus of all (bus_forward.h). What is a person's
 * alone (contacts, blocks, webhooks of one's own bots) lies in the first.
 *
 * A transaction never spans two of them. Within one, another may be read; it shows what was
 * committed there.
 */
#pragma once

#include "bus/bus.h"
#include "services/common/shards.h"
#include "store/store.h"

struct message_service;

#define MESSAGE_BASES_MAX 17

struct message_base {
    struct store *store;
    struct bus *bus; /* where what is told in its transactions is written */
    uint64_t shards; /* a bit for each that lies here */
};

/* By what deps say; the first is there always. */
void message_bases_open(struct message_service *svc);
/* Where the conversation of this id or key lies; NULL: what is people's. */
const struct message_base *message_base_of(const struct message_service *svc, const char *key);
/* Where this transaction is. */
const struct message_base *message_base_in(const struct message_service *svc,
                                           const struct store_tx *tx);
bool message_base_is_home(const struct message_service *svc, const struct message_base *base);

/* fn reads: in this transaction if it is there, else in one of its own. */
MUST_USE enum err message_read_in(const struct message_base *base, struct store_tx *tx,
                                  store_fn *fn, void *arg);
/* The same where people's rows are. */
MUST_USE enum err message_read_home(const struct message_service *svc, struct store_tx *tx,
                                    store_fn *fn, void *arg);
/* In each of them, the first first; until one fails. tx NULL: there is none. */
MUST_USE enum err message_read_each(const struct message_service *svc, struct store_tx *tx,
                                    store_fn *fn, void *arg);
/* In each of those that can be reached, but for those whose shards are *missing; one that cannot is
 * added there. The first must be. */
MUST_USE enum err message_read_those(const struct message_service *svc, struct store_tx *tx,
                                     store_fn *fn, void *arg, uint64_t *missing);
/* In each until *is_found. ERR_UNAVAILABLE and the like: it may be in one that is away. */
MUST_USE enum err message_read_until(const struct message_service *svc, struct store_tx *tx,
                                     store_fn *fn, void *arg, const bool *is_found);
/* Before a row is changed or deleted that writers of other shards change, too (invitations, links,
 * webhooks, what waits, what is hidden): from here to its end the transaction follows those of the
 * store's shard 0. So whoever holds such a row holds that lock, and nobody waits in a circle. */
MUST_USE enum err message_share_rows(struct store_tx *tx);
/* store_run after that. */
#define message_run_shared(tx, ...) \
    (message_share_rows(tx) ? ERR_ABORTED : store_run(tx, __VA_ARGS__))
/* A write in each of them, waiting; all are tried, and the first error is answered. */
MUST_USE enum err message_write_each(const struct message_service *svc, store_fn *fn, void *arg);
