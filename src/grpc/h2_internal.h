/*
 * h2_internal: a connection and a half of a stream, as client and server share them. nghttp2 keeps
 * the protocol; bytes go through net's stream. What a turn of the loop submits leaves in one write.
 */
#pragma once

#include <nghttp2/nghttp2.h>

#include "core/list.h"
#include "grpc/h2.h"
#include "grpc/h2_wire.h"
#include "net/stream.h"
#include "net/tls.h"

struct h2_conn;
struct h2_call;

struct h2_io {
    struct loop *loop;
    struct stream_io *io;
    struct list dirty;  /* connections with something to send */
    struct list failed; /* calls that end without having begun */
    struct list graves; /* halves to be freed, when nothing on the stack holds them */
    bool is_turning;    /* the next turn is asked for */
    uint8_t gather[65536];
};

/* Our view of one HTTP/2 stream. */
struct h2_half {
    struct list node;     /* in conn's halves, or where its owner keeps it */
    struct h2_conn *conn; /* NULL: not on one */
    int32_t id;
    bool is_gone;        /* the owner is through with it: callbacks pass it by */
    bool is_in_ended;    /* the peer sends no more */
    bool is_out_ended;   /* nothing more will be queued */
    bool is_out_resting; /* nghttp2 waits to be told of more */
    struct h2_deframer in;
    struct strbuf out;
    size_t out_at;
    struct strbuf trailers; /* a server's, packed: name NUL value NUL ... */
    bool is_out_ok;         /* instead of these: the status 0 and nothing else */
};

/* What the two sides do differently. A half is NULL where the stream is not known. */
struct h2_role {
    bool is_server;
    void (*on_begin)(struct h2_conn *conn, int32_t id); /* server */
    void (*on_header)(struct h2_half *half, struct str name, struct str value);
    void (*on_headers)(struct h2_half *half);
    h2_message_fn *on_message;                             /* arg: the half */
    void (*on_broken)(struct h2_half *half, enum err err); /* what came is no gRPC */
    void (*on_end)(struct h2_half *half);
    void (*on_sent)(struct h2_half *half, bool is_end); /* headers or trailers have left */
    void (*on_close)(struct h2_half *half, uint32_t code);
    void (*on_goaway)(struct h2_conn *conn, int32_t last_id, uint32_t code);
    bool (*on_reset)(struct h2_conn *conn); /* false: too many */
    void (*on_settled)(struct h2_conn *conn);
    void (*on_closed)(struct h2_conn *conn); /* the last; frees it */
};

struct h2_conn_options {
    const struct h2_role *role;
    uint32_t streams_max;
    size_t unfinished_max_bytes;
    int64_t keepalive_ms, ping_timeout_ms, handshake_timeout_ms;
};

struct h2_conn {
    struct stream stream;
    struct h2_io *io;
    nghttp2_session *session;
    struct h2_conn_options opt;
    struct list dirty_node;
    struct list halves;
    struct h2_half *latest; /* of the last stream that was looked for; NULL: none, or it has left */
    size_t half_count;
    size_t unfinished_bytes;
    struct loop_timer tick;
    int64_t born_us, heard_us, ping_us, finish_us;
    bool is_begun;   /* bytes have come; TLS speaks h2 */
    bool is_settled; /* the peer's SETTINGS have come */
    bool is_ping_out;
    bool is_flushing;
    bool is_finishing;
};

/* Takes the socket, whatever happens. On failure on_closed does not come. */
MUST_USE enum err h2_conn_init(struct h2_conn *conn, struct h2_io *io, int fd, SSL *ssl,
                               const struct h2_conn_options *opt);
/* In on_closed. */
void h2_conn_deinit(struct h2_conn *conn);
/* Its frames leave at the end of this turn. */
void h2_conn_touch(struct h2_conn *conn);
/* Sends now everything that nghttp2 has, as long as the peer reads. */
void h2_conn_flush(struct h2_conn *conn);
/* Sends what is queued, then closes. */
void h2_conn_finish(struct h2_conn *conn);

/* Calls `turn` of the io soon. */
void h2_io_touch(struct h2_io *io);
/* Ends of calls that wait in io->failed; h2_call.c. */
void h2_calls_fail(struct h2_io *io);

/* Queues a message; the caller fills the n bytes before he does anything else. */
void *h2_half_room(struct h2_half *half, size_t n);
/* Queues a message. */
void h2_half_send(struct h2_half *half, const void *message, size_t n);
/* Nothing more will be queued. */
void h2_half_end(struct h2_half *half);
/* Sends what is queued on the half that is the stream's user data. */
nghttp2_data_provider h2_half_provider(void);
void h2_half_join(struct h2_half *half, struct h2_conn *conn, int32_t id);
/* Takes it off its connection and marks it gone. */
void h2_half_leave(struct h2_half *half);
/* Freed with the next turn; half is the first member of what was allocated. */
void h2_half_bury(struct h2_half *half, struct h2_io *io);

/* Both are literals, or live until the frame is sent. */
#define H2_NV_STATIC(name_, value_)                                              \
    ((nghttp2_nv){(uint8_t *)(uintptr_t)(name_), (uint8_t *)(uintptr_t)(value_), \
                  sizeof(name_) - 1, sizeof(value_) - 1,                         \
                  NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE})
/* The name is a literal, the value is copied by nghttp2. */
#define H2_NV_NAMED(name_, value_)                                               \
    ((nghttp2_nv){(uint8_t *)(uintptr_t)(name_), (uint8_t *)(uintptr_t)(value_), \
                  sizeof(name_) - 1, strlen(value_), NGHTTP2_NV_FLAG_NO_COPY_NAME})
/* Copied by nghttp2. */
static inline nghttp2_nv h2_nv(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), NGHTTP2_NV_FLAG_NONE};
}
#define H2_METADATA_MAX_PAIRS 16 /* that we send with one call */
