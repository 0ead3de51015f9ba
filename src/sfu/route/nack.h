/*
 * nack: which packets of one incoming layer are missing, and when to ask for each (again). Bounded:
 * a loss too large to be mended packet by packet is given up, and the caller asks for a keyframe.
 */
#pragma once

#include "core/base.h"

#define NACK_MAX_MISSING 256
#define NACK_MAX_TRIES 10
#define NACK_REORDER_US 10000  /* a packet may be late by so much before it is asked for */
#define NACK_INTERVAL_US 40000 /* at least between two requests for one packet */
#define NACK_MAX_AGE_US 1500000

struct nack_missing {
    int64_t seq;
    int64_t since_us;
    int64_t due_us;  /* next request */
    int64_t sent_us; /* last request */
    unsigned tries;
};

struct nack_list {
    struct nack_missing *missing; /* ascending; made when first needed */
    unsigned count;
    uint64_t asked;    /* sequence numbers sent in requests */
    uint64_t given_up; /* never came */
};

void nack_list_deinit(struct nack_list *n);
/* Packets [from, to) did not come, while one at their border did; all of them above or all below
 * what is listed. False: too many; the list is now empty. */
MUST_USE bool nack_list_gap(struct nack_list *n, int64_t from, int64_t to, int64_t now_us);
/* A packet came. True: it had been missing; *round_trip_us is then the time since it was asked for,
 * if that was once, else 0. */
bool nack_list_got(struct nack_list *n, int64_t seq, int64_t now_us, int64_t *round_trip_us);
void nack_list_clear(struct nack_list *n);
/* Sequence numbers to ask for now, at most max; notes that it was done. */
size_t nack_list_due(struct nack_list *n, int64_t now_us, int64_t round_trip_us, uint16_t *seqs,
                     size_t max);
/* When nack_list_due will have something; INT64_MAX: nothing is missing. */
int64_t nack_list_deadline_us(const struct nack_list *n);
