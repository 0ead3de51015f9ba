/* h2_channel_internal: what h2_channel.c (connections) and h2_call.c (calls) know of one another.
 */
#pragma once

#include "grpc/h2_channel.h"
#include "grpc/h2_dial.h"
#include "grpc/h2_internal.h"

struct h2_channel {
    struct h2_channel_options opt;
    struct h2_io *io;
    char *host;
    char *authority;
    enum h2_channel_state state;
    struct h2_dial *dial;
    struct h2_link *link; /* where new calls go, or what is becoming that; NULL: none */
    struct list links;    /* all, those included that only finish what they have */
    struct list waiting;  /* calls, until the link is ready */
    struct loop_timer pause;
    int64_t backoff_ms;
    char why[200]; /* the last failure */
};

/* One connection of a channel. */
struct h2_link {
    struct h2_conn conn; /* first */
    struct list node;
    struct h2_channel *channel; /* NULL: the channel is gone */
};

struct h2_call {
    struct h2_half half; /* first */
    struct h2_channel *channel;
    const struct h2_call_handler *handler;
    void *arg;
    struct loop_timer deadline;
    int64_t deadline_us;         /* 0: none */
    struct strbuf request;       /* of one that waits: path NUL, then name NUL value NUL ... */
    struct h2_metadata metadata; /* what the server said */
    int http_status;
    bool is_patient;
    bool is_sent;      /* its headers have left */
    bool is_end_sent;  /* and all the rest */
    bool is_deaf;      /* the server's headers are too long */
    enum err fail_err; /* of one that waits in io->failed */
    char fail_why[200];
};

/* h2_call.c */
void h2_call_submit(struct h2_call *call, struct h2_link *link);
/* The call's end: tells, and frees with the next turn. */
void h2_call_finish(struct h2_call *call, const struct h2_result *result);
void h2_call_on_header(struct h2_half *half, struct str name, struct str value);
void h2_call_on_headers(struct h2_half *half);
void h2_call_on_message(void *arg, const uint8_t *bytes, size_t n);
void h2_call_on_broken(struct h2_half *half, enum err err);
void h2_call_on_end(struct h2_half *half);
void h2_call_on_sent(struct h2_half *half, bool is_end);
void h2_call_on_close(struct h2_half *half, uint32_t code);

/* h2_channel.c */
/* New calls go elsewhere from now on. */
void h2_channel_retire(struct h2_channel *channel, struct h2_link *link);
void h2_channel_connect(struct h2_channel *channel);
