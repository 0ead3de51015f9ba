/* message_verify_internal: what the files of verify share. */
#pragma once

#include "services/message/message_internal.h"

/* One conversation on its way from the first line to the last. */
struct message_walk {
    struct store_tx *tx;
    struct message_verdict *out;
    struct arena *arena; /* of the window at hand */
    int64_t indexed_lsn; /* search knows what is up to here */
    unsigned shard_count;
    bool is_index_sound;  /* it can be asked */
    int64_t *total_terms; /* messages with words, of all conversations */
    struct message_conversation c;
    /* what the next line must follow */
    int64_t rev, seq, lsn;
    struct message_digest chain;
    bool is_begun;
    struct message_row *messages;
    size_t message_count, message_at;
    struct message_change_row *changes;
    size_t change_count, change_at;
    /* rows found beside the messages so far: there must be no others */
    int64_t mentions, files, threads, pins, terms;
};

/* rev 0: about no line. */
void message_walk_complain(struct message_walk *w, const char *what, int64_t rev);

/* ---- message_verify_rows.c: what stands beside the log ---- */
/* The rows that this message must have elsewhere. */
MUST_USE enum err message_walk_beside(struct message_walk *w, const struct message_row *m);
/* At the end of a conversation: no rows but these, and what refers to messages refers to some. */
MUST_USE enum err message_walk_others(struct message_walk *w);
/* Of no conversation: w->c is none. */
MUST_USE enum err message_walk_orphans(struct message_walk *w);
