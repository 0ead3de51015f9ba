/*
 * load: the media side of many WebRTC clients in one process and one thread: ICE, DTLS-SRTP,
 * synthetic Opus and VP8, and a ledger of what arrived. Signaling is the caller's (bench/sfu),
 * which drives it by lines of JSON; see control.c.
 *
 * STUN, DTLS and SRTP are the server's own rooms (sfu/wire, sfu/transport), the other way round;
 * that they are right, too, Janus at the other end shows.
 *
 * An endpoint is one peer connection with a socket of its own. It may publish (a source: one audio
 * and one video stream) and subscribe (a sink: whatever arrives). Every packet carries a mark with
 * its source, its number and its time of sending, so work, loss and delay are known without
 * trusting any header that the server wrote.
 */
#pragma once

#include <jansson.h>

#include "core/base.h"
#include "core/list.h"
#include "sfu/transport/dtls.h"
#include "sfu/transport/srtp.h"
#include "sfu/wire/rtcp.h"
#include "sfu/wire/rtp.h"
#include "sfu/wire/stun.h"

#define LOAD_ENDPOINTS_MAX 2048
#define LOAD_SOURCES_MAX 64
#define LOAD_TICK_US 5000
#define PACKET_MAX 1500

struct endpoint;

/* ---- the mark: the last bytes of every payload ---- */

#define MARK_BYTES 20

struct mark {
    uint16_t source;
    bool is_video;
    bool is_key;
    uint32_t number; /* of the source's packets of this kind, from 0 */
    int64_t sent_ns; /* CLOCK_REALTIME, as the kernel's receive stamps */
};

void mark_write(uint8_t out[MARK_BYTES], const struct mark *m);
bool mark_read(struct mark *out, const uint8_t *payload, size_t n);
/* The filling of a payload, by packet number: what was not delivered as sent shows. */
static inline uint8_t mark_filling(uint32_t number, size_t at)
{
    return (uint8_t)(number * 131 + at * 7 + (at >> 8));
}

/* ---- source: what one endpoint publishes ---- */

struct source_stream {
    uint32_t ssrc;
    uint8_t pt;
    char mid[17];
    uint16_t seq;
    uint32_t timestamp;
    uint32_t number;
    uint32_t begin, end; /* numbers of the measured window */
    uint32_t packets, octets;
    int64_t next_us;
    int64_t capture_us; /* of `timestamp` */
};

struct source {
    struct endpoint *endpoint;
    uint16_t index;
    bool is_running;
    struct source_stream audio;
    struct source_stream video;
    uint32_t frame_bytes; /* mean of a delta frame */
    uint32_t fps;
    uint32_t paced_packets; /* per 5 ms, as a browser's pacer; 0: a frame at once */
    /* the frame being sent */
    struct {
        uint32_t bytes, packets, sent;
        bool is_key;
        int64_t next_us;
    } frame;
    bool wants_key;
    uint16_t picture_id;
    uint8_t tl0;
    uint16_t transport_seq;
    uint32_t random;
    uint32_t keys_asked, keys_sent, nacked;
    int64_t next_report_us;
};

void source_start(struct source *s, int64_t now_us);
/* Sends what is due; the time when to come again. */
int64_t source_run(struct source *s, int64_t now_us);
void source_on_rtcp(struct source *s, const uint8_t *bytes, size_t n);

/* ---- sink: what one endpoint receives ---- */

#define SINK_STREAMS_MAX 64
#define SINK_WINDOW 65536 /* numbers of a window at most */

struct sink_stream {
    uint32_t ssrc;
    uint16_t source;
    bool is_video;
    bool has_key; /* a keyframe has come whole enough to start: its first packet */
    uint32_t base_seq, highest_seq, packets;
    uint32_t reported_expected, reported_packets;
    uint32_t last_sr;
    int64_t last_sr_us;
    int64_t next_pli_us;
    uint64_t *seen;  /* a bit per number of the window */
    uint32_t unique; /* bits set */
};

struct sink {
    struct sink_stream *streams;
    unsigned count;
    bool expects[LOAD_SOURCES_MAX];
    int64_t next_report_us;
    /* transport-cc: arrivals since the last feedback */
    int64_t arrivals_us[RTCP_TWCC_MAX_PACKETS];
    uint16_t twcc_base;
    uint16_t twcc_count; /* from base to the highest that came */
    bool has_twcc_base;
    uint8_t twcc_feedbacks;
    int64_t next_twcc_us;
};

/* at_ns: the kernel's receive stamp (CLOCK_REALTIME), 0: none. */
void sink_on_rtp(struct endpoint *e, const uint8_t *bytes, size_t n, int64_t now_us, int64_t at_ns);
void sink_on_rtcp(struct endpoint *e, const uint8_t *bytes, size_t n, int64_t now_us);
void sink_tick(struct endpoint *e, int64_t now_us);
void sink_reset(struct sink *s);
/* Streams that are expected and have not begun. */
unsigned sink_missing(const struct endpoint *e);
void sink_deinit(struct sink *s);

/* ---- endpoint ---- */

enum endpoint_state { ENDPOINT_NEW, ENDPOINT_CHECKING, ENDPOINT_CONNECTED, ENDPOINT_FAILED };

struct endpoint {
    struct load *load;
    unsigned id;
    int fd;
    enum endpoint_state state;
    bool is_controlling;
    bool is_timed;   /* its socket stamps what arrives */
    bool has_answer; /* a check of ours was answered */
    char ufrag[9], pwd[25];
    char remote_ufrag[260], remote_pwd[260];
    uint64_t tie_breaker;
    uint8_t transaction[STUN_TRANSACTION_SIZE];
    int64_t next_check_us;
    enum dtls_role role;
    struct fingerprint remote_fingerprint;
    struct dtls *dtls;
    struct sfu_srtp_tx *tx;
    struct sfu_srtp_rx *rx;
    uint32_t rtcp_ssrc;
    uint8_t ext_ids[RTP_EXT_KIND_COUNT];
    uint16_t rtx_pts; /* bit i: payload type 96 + i is RTX */
    struct source *source;
    struct sink sink;
};

struct endpoint_options {
    unsigned id;
    const char *host; /* to bind to */
    bool is_controlling;
    bool is_dtls_server;
    bool is_timed;
};
struct endpoint *endpoint_create(struct load *load, const struct endpoint_options *opt,
                                 const char **problem);
void endpoint_destroy(struct endpoint **e);
uint16_t endpoint_port(const struct endpoint *e);
/* Fills in the remote side and begins checking; static keys: connected at once. */
bool endpoint_connect(struct endpoint *e, const char *host, uint16_t port);
bool endpoint_use_keys(struct endpoint *e, const struct srtp_key *send,
                       const struct srtp_key *recv);
void endpoint_on_readable(struct endpoint *e);
void endpoint_tick(struct endpoint *e, int64_t now_us);
/* Protects and sends; capacity leaves SRTCP_MAX_TRAILER. */
void endpoint_send_rtcp(struct endpoint *e, uint8_t *bytes, size_t n, size_t capacity);

/* ---- the whole ---- */

struct load {
    int epoll_fd;
    struct dtls_context *dtls;
    struct endpoint *endpoints[LOAD_ENDPOINTS_MAX];
    unsigned endpoint_count; /* highest id + 1 */
    struct source *sources[LOAD_SOURCES_MAX];
    unsigned source_count;
    bool is_measuring; /* a window has begun */
    bool is_ended;
    bool is_done;
    /* counted in the window */
    uint64_t received, duplicates, retransmitted, bytes;
    uint64_t forged, corrupt, verified, unmarked;
    int32_t *delays_ns; /* of timed endpoints */
    size_t delay_count, delay_capacity;
    int64_t now_us;
};

int64_t load_realtime_ns(void);
void load_say(json_t *event); /* one line on stdout; takes the reference */

/* control.c: one line of the caller's. */
void control_line(struct load *load, const char *line);
