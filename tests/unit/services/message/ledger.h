/*
 * ledger: what a person who talks to the message service wrote down: what was acknowledged, and the
 * one thing that is in doubt. After whatever happened to the disk the service is held to it.
 */
#pragma once

#include "talk.h"

#define LEDGER_MAX 3000

struct ledger_line {
    char key[ID_SIZE], said[32]; /* what is sent, and sent again */
    char text[32], doubtful_text[32];
    int64_t seq; /* 0: not acknowledged */
    bool is_bobs, is_recalled, is_hidden, is_liked;
    bool is_recall_doubtful, is_hide_doubtful, is_like_doubtful;
};

struct ledger {
    struct world *w;
    struct identity ann, bob;
    char id[ID_SIZE]; /* of the conversation */
    unsigned seed;
    struct ledger_line *lines;
    int count;
    int64_t read_seq; /* bob's */
    char scheduled[64][ID_SIZE];
    int scheduled_count, is_cancelled_doubtful; /* of the last one */
    int acknowledged, refused;                  /* in all */
};

unsigned ledger_chance(struct ledger *l, unsigned n);
/* Does one thing; false: it was refused, and is in doubt. */
bool ledger_act(struct ledger *l);
/* Everything acknowledged is there, once, as it was acknowledged; what is in doubt is there whole
 * or not at all, and then settled by doing it again. How many things are not so. */
int ledger_check(struct ledger *l);
