/* stream_internal: what stream.c, stream_out.c and stream_tls.c know of one another. */
#pragma once

#include "net/stream.h"

#define STREAM_READ_BYTES 65536
#define STREAM_CORK_BYTES 32768
#define STREAM_TLS_RECORD_BYTES 16384

struct stream_io {
    struct loop *loop;
    struct list deferred; /* streams whose turn comes without a poll event */
    uv_idle_t idle;       /* runs while there are any */
    uv_prepare_t turn;    /* runs for on_turn, just before the loop waits */
    void (*on_turn)(void *arg);
    void *turn_arg;
    bool is_turning; /* within on_turn */
    unsigned open_handles;
    struct stream *corked;
    size_t cork_n;
    uint8_t read_buffer[STREAM_READ_BYTES];
    uint8_t cork[STREAM_CORK_BYTES];
    uint8_t record[STREAM_TLS_RECORD_BYTES]; /* what leaves as one TLS record */
};

/* stream.c */
void stream_defer(struct stream *s);
void stream_update_poll(struct stream *s);
/* Ends our side; all has been sent. */
void stream_shut(struct stream *s);

/* stream_out.c */
void stream_cork(struct stream *s);
void stream_uncork(struct stream *s);
/* Sends what the socket takes of the queue. May abort the stream. */
void stream_flush(struct stream *s);
void stream_out_clear(struct stream *s);

/* stream_tls.c. All return a negative errno on failure, -EAGAIN: wait for the socket. */
int stream_tls_handshake(struct stream *s); /* 1 done, 0 wait */
ssize_t stream_tls_read(struct stream *s, void *to, size_t space);
ssize_t stream_tls_write(struct stream *s, const void *bytes, size_t n);
void stream_tls_shut(struct stream *s);
