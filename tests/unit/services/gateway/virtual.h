/*
 * virtual: the message service and the gateway's hub as they are, in a world whose time is made up.
 * What the hub tells, what the bus carries, what clients send and hear are events on one list,
 * ordered by a clock that jumps from one to the next; delays come from a seed, so a schedule can be
 * run again. The linker puts the pieces in between (-Wl,--wrap): loop posts and timers of the hub,
 * its frames (fan_send), and what is published (bus_publish).
 */
#pragma once

#include "../message/talk.h"

#include "gateway.pb-c.h"

#define VIRTUAL_LINKS 4096

struct virtual;
typedef void virtual_fn(struct virtual *v, void *arg);

/* A frame came to the client (freed by the callee), or NULL: the connection is gone. */
typedef void virtual_hear_fn(void *client, uint64_t link, Gateway__ServerFrame *frame);

struct virtual_options {
    unsigned seed;
    virtual_hear_fn *hear;
};

struct virtual *virtual_open(struct world *w, const struct virtual_options *opt);
void virtual_close(struct virtual **v);

int64_t virtual_now_us(const struct virtual *v);
unsigned virtual_chance(struct virtual *v, unsigned n);
/* Runs fn(arg) so much later. */
void virtual_after(struct virtual *v, int64_t delay_us, virtual_fn *fn, void *arg);
/* Until nothing happens any more, or so long. */
void virtual_run(struct virtual *v, int64_t for_us);

/* A connection of this person's: "ready" comes over it when the hub knows them. Slow: it takes
 * long for each frame, and is cut when too many wait. */
uint64_t virtual_connect(struct virtual *v, const struct identity *who, void *client, bool is_slow);
/* Cut: what is under way in both directions is lost. */
void virtual_cut(struct virtual *v, uint64_t link);
bool virtual_is_open(const struct virtual *v, uint64_t link);
/* A request on its way; fn(arg) runs when (and if) it arrives, in the order of sending. */
void virtual_send(struct virtual *v, uint64_t link, virtual_fn *fn, void *arg);
/* From within fn: its answer, on its way back. Packed here. */
void virtual_answer(struct virtual *v, uint64_t link, const Gateway__ServerFrame *frame);
/* The gateway dies and comes back: all connections are cut. */
void virtual_restart_gateway(struct virtual *v);
