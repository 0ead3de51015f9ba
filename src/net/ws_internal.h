/* ws_internal: what ws.c, ws_frame.c, ws_deflate.c and ws_handshake.c know of one another. */
#pragma once

#include "net/http_internal.h"
#include "net/ws_parse_internal.h"

enum ws_state { WS_OPEN, WS_CLOSING /* our close is on its way */, WS_CLOSED };

struct ws {
    struct conn *conn;
    const struct ws_limits *limits; /* as given; see ws_limit_* for defaults */
    uint8_t state;
    uint8_t window_bits; /* of what we deflate; 0: we do not */
    bool is_pinged;      /* a ping waits for its answer */
    bool is_behind;      /* frames were left out; more will be, until all that waits is taken */
    uint16_t close_code; /* ours, once closing */
    const struct ws_handler *handler;
    void *arg;
    const char *subprotocol;
    struct ws_parser parser;
    int64_t heard_us;        /* when the peer last sent anything */
    int64_t authenticate_us; /* deadline; 0: authenticated */
    int64_t leave_us;        /* when to send 1001, while draining; 0: not draining */
    int64_t close_us;        /* deadline of the closing handshake */
};

/* zlib state is large and needed for moments only: one pair per shard, made when first used. */
struct ws_shard;
/* Adds to *out at most `max` bytes. ERR_RESOURCE_EXHAUSTED: it would be more; ERR_INVALID_ARGUMENT:
 * not deflated data. */
MUST_USE enum err ws_inflate(struct ws_shard *shard, struct str in, size_t max, struct strbuf *out);
/* window_bits: WS_WINDOW_BITS_MIN to WS_WINDOW_BITS_MAX. */
void ws_deflate(struct ws_shard *shard, unsigned window_bits, struct str in, struct strbuf *out);
/* Where inflated messages go; emptied by its user. */
struct strbuf *ws_shard_scratch(struct ws_shard *shard);

/* ws.c: sends up to so many frames at once, as ws_send_frame sends each. */
#define WS_FRAMES_AT_ONCE 16
void ws_send_frames(struct ws *ws, struct ws_frame *const *frames, int count, unsigned flags);

/* ws_multicast.c: what waits for the end of the turn goes now, so that what is sent next comes
 * after it. */
void ws_multicast_flush(struct shard *shard);

/* ws_slices.c: multicasts to more sockets of a loop than one turn may serve. */
extern size_t ws_slice_sockets; /* served in a turn; tests make it small */
void ws_slices_add(struct shard *shard, struct ws_frame *frame, const struct net_ticket *tickets,
                   size_t count, unsigned flags);
/* What this socket waits for goes to it now. */
void ws_slices_serve(const struct ws *ws);
/* The next slice; false: that was the last. */
bool ws_slices_turn(struct shard *shard);
void ws_slices_drop(struct shard *shard);

static inline void ws_keep_order(const struct ws *ws)
{
    if (unlikely(ws->conn->shard->deliveries != NULL))
        ws_multicast_flush(ws->conn->shard);
    if (unlikely(ws->conn->shard->slices != NULL))
        ws_slices_serve(ws);
}

#define WS_WINDOW_BITS_MIN 9 /* zlib makes no raw stream with 8 */
#define WS_WINDOW_BITS_MAX 15

/* Messages below this size gain nothing. */
#define WS_DEFLATE_MIN_BYTES 128

/* The frame's bytes for a socket that takes deflated messages (with the full window), or does not.
 * Makes the deflated form when first asked for. */
struct str ws_frame_wire(struct ws_frame *frame, bool is_deflating, struct ws_shard *shard);
/* A frame of its own for a socket that asked for a smaller window: deflated if that pays, ready to
 * be sent without deflating. */
struct ws_frame *ws_frame_narrow(struct ws_frame *frame, unsigned window_bits,
                                 struct ws_shard *shard);

/* What the handshake found. */
struct ws_agreement {
    const char *subprotocol;   /* NULL: none */
    uint8_t window_bits;       /* of what we deflate; 0: no compression agreed on */
    bool is_window_bits_asked; /* then server_max_window_bits must be answered */
    char accept[32];           /* Sec-WebSocket-Accept */
};
/* ERR_OK, or the HTTP status, code and message of the refusal in *fault. */
MUST_USE enum err ws_handshake_check(const struct http_request *req, const struct ws_options *opt,
                                     struct ws_agreement *out, struct http_fault *fault);
/* The offers of one Sec-WebSocket-Extensions value; true when one is acceptable. */
bool ws_deflate_negotiate(struct str offers, struct ws_agreement *out);
void ws_handshake_write(struct strbuf *out, const struct ws_agreement *agreement,
                        const char *request_id);
