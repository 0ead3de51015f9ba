/*
 * tuples: source address -> whose datagrams come from there. Only addresses that passed an
 * authenticated check are in it, so strangers cannot fill it.
 */
#pragma once

#include "sfu/sfu.h"
#include "sfu/wire/address.h"

struct tuple {
    struct sfu_address address;
    sfu_peer_id peer; /* 0: the slot is empty */
    unsigned worker;
};

struct tuples {
    struct tuple *slots;
    size_t mask; /* slots - 1; 0: none yet */
    size_t count;
};

void tuples_deinit(struct tuples *t);
/* The entry, or NULL. Valid until the next set or remove. */
const struct tuple *tuples_find(const struct tuples *t, const struct sfu_address *address);
/* Adds, or gives the address to another peer. */
void tuples_set(struct tuples *t, const struct sfu_address *address, sfu_peer_id peer,
                unsigned worker);
/* Only if it is still that peer's. */
void tuples_remove(struct tuples *t, const struct sfu_address *address, sfu_peer_id peer);
