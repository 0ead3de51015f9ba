/*
 * ws: WebSockets (RFC 6455, permessage-deflate of RFC 7692) for servers. A handler accepts a
 * request that asks for it; from then on the socket speaks messages. An idle socket holds no
 * buffers and no zlib state. Everything here is for the socket's loop alone, except frames, which
 * any thread may make and hand on.
 *
 * Fan-out: encode once, send to all.
 *
 *   struct ws_frame *frame = ws_frame_create(WS_TEXT, json);
 *   ws_multicast(frame, tickets, count, 0);
 *   ws_frame_unref(&frame);
 */
#pragma once

#include "core/err.h"
#include "net/http.h"

struct ws;
struct ws_frame;

enum ws_opcode { WS_TEXT = 1, WS_BINARY = 2 };

/* Close codes (RFC 6455, 7.4.1). */
enum ws_close_code {
    WS_CLOSE_NORMAL = 1000,
    WS_CLOSE_GOING_AWAY = 1001,
    WS_CLOSE_PROTOCOL = 1002,
    WS_CLOSE_UNSUPPORTED = 1003,
    WS_CLOSE_NO_STATUS = 1005, /* never on the wire: the peer gave no code */
    WS_CLOSE_ABNORMAL = 1006,  /* never on the wire: the socket just ended */
    WS_CLOSE_INVALID_DATA = 1007,
    WS_CLOSE_POLICY = 1008,
    WS_CLOSE_TOO_BIG = 1009,
    WS_CLOSE_INTERNAL = 1011,
    WS_CLOSE_RESTART = 1012,
    WS_CLOSE_TRY_LATER = 1013,
};

struct ws_handler {
    /* A whole message; text is valid UTF-8. The payload is valid during the call. */
    void (*on_message)(void *arg, struct ws *ws, enum ws_opcode opcode, struct str payload);
    /* Exactly once; the socket is gone when it returns. `code` is the peer's or ours. */
    void (*on_close)(void *arg, struct ws *ws, unsigned code, struct str reason);
    /* The peer has taken all that waited, and frames were left out meanwhile (WS_SEND_SKIPPABLE):
     * it should be told so. NULL: not interested. */
    void (*on_caught_up)(void *arg, struct ws *ws);
};

/* Shared by many sockets; must outlive them. Zero means the default. */
struct ws_limits {
    size_t message_max_bytes;         /* 0: 256 kB, after inflating */
    size_t unauthenticated_max_bytes; /* 0: 16 kB */
    size_t queue_soft_bytes;          /* 0: 64 kB: beyond, what may be dropped is */
    size_t queue_hard_bytes;          /* 0: 256 kB: the socket is closed with 1013 */
    unsigned authenticate_ms;         /* 0: 10,000 */
    unsigned ping_ms;                 /* 0: 30,000 of silence until a ping */
    unsigned pong_ms;                 /* 0: 20,000 more until the socket counts as dead */
    unsigned close_ms;                /* 0: 5,000 for the peer to answer our close */
};

/* May this page's origin ("https://example.org") open sockets here? */
typedef bool ws_origin_fn(void *arg, struct str origin, const struct http_request *req);

struct ws_options {
    const struct ws_handler *handler; /* static */
    void *arg;
    const struct ws_limits *limits;  /* NULL: defaults */
    ws_origin_fn *is_origin_allowed; /* NULL: only an origin equal to Host; no Origin is fine */
    void *origin_arg;
    const char *const *subprotocols; /* ours, by preference, NULL-terminated; NULL: none. A client
                                        that offers only others gets none. */
    unsigned flags;
};
enum ws_accept_flags {
    WS_ACCEPT_UNAUTHENTICATED = 1, /* closed with 1008 unless ws_set_authenticated comes in time */
    WS_ACCEPT_NO_DEFLATE = 2,
};

/*
 * Answers the request with 101 and returns the socket. On failure the request has been answered
 * with the fitting error (400, 403, 426) and err tells which. Either way the request is gone.
 * Messages come after the caller has returned to the loop.
 */
MUST_USE enum err ws_accept(struct http_request *req, const struct ws_options *opt,
                            struct ws **out);
void ws_set_authenticated(struct ws *ws);
/* "" when none was agreed on. */
const char *ws_subprotocol(const struct ws *ws);
struct loop *ws_loop(const struct ws *ws);
void *ws_arg(const struct ws *ws);
void ws_set_arg(struct ws *ws, void *arg);

/* An encoded message that any number of sockets on any loops may send. Starts with one reference.
 * Text must be UTF-8. */
struct ws_frame *ws_frame_create(enum ws_opcode opcode, struct str payload);
struct ws_frame *ws_frame_ref(struct ws_frame *frame);
void ws_frame_unref(struct ws_frame **frame);

enum ws_send_flags {
    WS_SEND_EPHEMERAL = 1, /* may be dropped when the receiver is slow (typing, audio levels) */
    /* What the receiver can fetch later: left out beyond queue_soft_bytes, and from then on until
     * it has taken all that waits; then on_caught_up runs. */
    WS_SEND_SKIPPABLE = 2,
};
/* ERR_OK: sent or queued. ERR_RESOURCE_EXHAUSTED: dropped as its flags allow, or the queue
 * overflowed and the socket is closing. ERR_UNAVAILABLE: closing already. Callers that do not care
 * may ignore it.
 */
enum err ws_send_frame(struct ws *ws, struct ws_frame *frame, unsigned flags);
enum err ws_send_text(struct ws *ws, struct str text);
/* Bytes that wait for the peer to take them. */
size_t ws_queued_bytes(const struct ws *ws);

/* Starts the closing handshake; no on_message follows, on_close does, never inside this call.
 * reason at most 123 bytes. */
void ws_close(struct ws *ws, unsigned code, const char *reason);

struct net_ticket ws_ticket(const struct ws *ws);
/* On the ticket's loop: the socket, or NULL when it is gone. */
struct ws *ws_ticket_find(struct net_ticket ticket);
/* One frame to many sockets, from any thread; stale tickets are passed over. The array is worked
 * on: do not use its contents afterwards. Flags as for ws_send_frame. */
void ws_multicast(struct ws_frame *frame, struct net_ticket *tickets, size_t count, unsigned flags);
