/*
 * stream: bytes both ways over a connected socket, plain or TLS, on one loop. Protocols (HTTP,
 * WebSocket, later others) are handlers on top. Reading goes through one buffer shared by all
 * streams of an io, so an idle stream holds no buffer; what a handler does not take is kept for it.
 * Writing tries the socket first and queues only what it will not take.
 *
 * While on_bytes runs the stream is corked: small writes gather and leave in one system call
 * afterwards. All functions are for the io's loop alone.
 */
#pragma once

#include <openssl/ssl.h>
#include <sys/uio.h>

#include "core/list.h"
#include "core/loop.h"

struct stream;
struct stream_io; /* what the streams of one owner on one loop share */

struct stream_handler {
    /* Returns how many bytes it took. The rest is offered again, in front of what comes next. The
     * bytes may be changed in place. */
    size_t (*on_bytes)(struct stream *s, uint8_t *bytes, size_t n);
    /* The peer sends no more; NULL: the stream is finished. */
    void (*on_end)(struct stream *s);
    /* Nothing waits to be sent any more. NULL: not interested. */
    void (*on_sent)(struct stream *s);
    /* The last call, whatever the cause; never inside another function of the stream. Its storage
     * may be freed. */
    void (*on_closed)(struct stream *s);
};

typedef void stream_release_fn(void *arg);
struct stream_chunk;

/* Lives in its owner's storage. Read-only to the owner. What every send looks at stands together at
 * the end, beside what the owner keeps next to it: a broadcast touches thousands of these. */
struct stream {
    uv_poll_t poll;
    struct list deferred_node; /* in io's list while it waits for its turn */
    const struct stream_handler *handler;
    uint8_t *in; /* bytes not yet taken by the handler; NULL when none */
    uint32_t in_n;
    uint32_t in_capacity;
    int64_t progress_us; /* when sending last got on, while out_bytes > 0 */
    struct stream_chunk *out_tail;
    struct stream_chunk *out_head;
    size_t out_bytes; /* waiting to be sent */
    struct stream_io *io;
    SSL *ssl; /* NULL: plain */
    int fd;
    uint8_t events; /* what uv_poll watches now */
    bool is_handshaking : 1;
    bool is_paused : 1;    /* the handler wants no bytes now */
    bool is_ended : 1;     /* the peer sends no more */
    bool is_finishing : 1; /* closes when all is sent */
    bool is_shut : 1;      /* we send no more */
    bool is_closing : 1;   /* gone but for on_closed */
    bool is_cut : 1;       /* the last send was taken in part only */
};

struct stream_io *stream_io_create(struct loop *loop);
/* On the loop, after all its streams are closed; frees itself when libuv lets go of it. */
void stream_io_destroy(struct stream_io **io);

/* on_turn(arg) once, just before the loop next waits for anything; asked for within on_turn: once
 * more, when what is ready has been looked at. Called again before that it changes nothing; there
 * is one such function for an io. */
void stream_io_next_turn(struct stream_io *io, void (*on_turn)(void *arg), void *arg);

/* Takes the connected, non-blocking socket and `ssl` (may be NULL; set to accept or connect state).
 * On failure both are released and on_closed does not come. */
MUST_USE enum err stream_init(struct stream *s, struct stream_io *io, int fd, SSL *ssl,
                              const struct stream_handler *handler);

/* Sends, copying what must wait. At most 6 parts. */
void stream_send(struct stream *s, const struct iovec *parts, int count);
/* The same, but the last part is not copied: release(arg) runs once when it is no longer needed,
 * perhaps before this returns. */
void stream_send_shared(struct stream *s, const struct iovec *parts, int count,
                        stream_release_fn *release, void *arg);
/* Sends n bytes of a file from `offset` and closes fd in the end, whatever happens. A file that
 * turns out shorter ends the stream. */
void stream_send_file(struct stream *s, int fd, int64_t offset, int64_t n);
/* Bytes the socket took at once; 0 when others wait already. The caller must queue what is left
 * (or abort): under TLS it may have begun. */
size_t stream_send_now(struct stream *s, const void *bytes, size_t n);
/* The same for several pieces in one system call; the array is worked on. */
size_t stream_send_parts_now(struct stream *s, struct iovec *parts, int count);
void stream_queue_shared(struct stream *s, const void *bytes, size_t n, stream_release_fn *release,
                         void *arg);
/* Drops what was queued and not begun to be sent, call by call: a peer that does not read will not
 * miss it. Where it matters, a message must have been sent in one call. */
void stream_drop_unsent(struct stream *s);

/* No on_bytes until resumed. A little more is read meanwhile, to notice a reset. */
void stream_pause(struct stream *s);
/* Bytes kept back are offered soon, never inside this call. */
void stream_resume(struct stream *s);
/* For another protocol on the same bytes. */
void stream_set_handler(struct stream *s, const struct stream_handler *handler);

/* Closes when all is sent: our side at once, the socket when the peer closes too. What still comes
 * in is discarded. The owner bounds the time with stream_abort. */
void stream_finish(struct stream *s);
/* Says goodbye (in TLS) and closes at once: for idle streams, whose peer is owed nothing. */
void stream_part(struct stream *s);
/* Closes now. */
void stream_abort(struct stream *s);
