/*
 * sdp: session descriptions of WebRTC (RFC 8866, 8829) between text and structs. Every struct str
 * of a parsed description is a slice of the caller's text; arrays come from the caller's arena, and
 * all of it is bounded by the size of the text. What is not understood is ignored. Session-level
 * ICE credentials, fingerprint and setup are copied into each media section that has none of its
 * own.
 */
#pragma once

#include "core/arena.h"
#include "core/err.h"
#include "core/str.h"
#include "sfu/wire/fingerprint.h"
#include "sfu/wire/rtp.h"

#define SDP_MAX_BYTES 524288
#define SDP_MAX_MEDIA 256     /* a subscriber of a large meeting has many */
#define SDP_MAX_LINES 16384   /* in the whole description */
#define SDP_MAX_EXTMAPS 64    /* of one media section */
#define SDP_MAX_SSRCS 64      /* of one media section */
#define SDP_MAX_RIDS 16       /* of one media section */
#define SDP_MAX_CANDIDATES 64 /* of one media section; more are ignored */
#define SDP_GROUP_MAX_SSRCS 8

enum sdp_kind {
    SDP_OTHER = 0, /* kept for its place among the m-lines, to be rejected */
    SDP_AUDIO,
    SDP_VIDEO,
    SDP_APPLICATION,
};

enum sdp_direction {
    SDP_SENDRECV = 0, /* the default of RFC 8866 */
    SDP_SENDONLY,
    SDP_RECVONLY,
    SDP_INACTIVE,
};

enum sdp_setup {
    SDP_SETUP_NONE = 0,
    SDP_SETUP_ACTPASS,
    SDP_SETUP_ACTIVE,
    SDP_SETUP_PASSIVE,
};

/* a=rtcp-fb, as flags. */
enum sdp_feedback {
    SDP_FB_NACK = 1,
    SDP_FB_NACK_PLI = 2,
    SDP_FB_CCM_FIR = 4,
    SDP_FB_TRANSPORT_CC = 8,
    SDP_FB_REMB = 16,
    SDP_FB_RRTR = 32,
};

struct sdp_codec {
    uint8_t pt;       /* 0..127 */
    uint8_t channels; /* 1 when not said */
    uint8_t apt;      /* of rtx: the payload type it repairs; has_apt */
    bool has_apt;
    uint32_t clock_rate;
    uint32_t feedback; /* enum sdp_feedback */
    struct str name;   /* "opus", "VP8", "rtx": compare with str_eq_nocase */
    struct str fmtp;   /* parameters after the payload type; empty: none */
};

struct sdp_extmap {
    uint8_t id;                   /* 1..255; those the RTP parser keeps are 1..14 */
    enum rtp_ext_kind kind;       /* RTP_EXT_NONE: a URI unknown to us */
    enum sdp_direction direction; /* SDP_SENDRECV when not said; an answer says the reverse */
    struct str uri;
};

struct sdp_ssrc {
    uint32_t ssrc;
    struct str cname;
    struct str msid; /* "stream track" of a=ssrc:N msid: */
};

struct sdp_ssrc_group {
    struct str semantics; /* "FID", "SIM" */
    uint8_t count;
    uint32_t ssrcs[SDP_GROUP_MAX_SSRCS];
};

struct sdp_rid {
    struct str id;
    bool is_send;            /* a=rid:x send; else recv */
    struct str restrictions; /* "max-width=..;..", empty: none */
};

/* One entry of a=simulcast; alternatives of one stream stand after its first, marked so. */
struct sdp_simulcast {
    struct str rid;
    bool is_paused;      /* "~" */
    bool is_alternative; /* joined by "," to the entry before */
};

struct sdp_media {
    enum sdp_kind kind;
    struct str kind_text; /* "audio" ... as written */
    uint16_t port;
    bool is_bundle_only; /* port 0 then does not mean rejected */
    struct str protocol; /* "UDP/TLS/RTP/SAVPF" */
    struct str formats;  /* the rest of the m-line; the writer makes it of codecs when empty */
    struct str mid;
    enum sdp_direction direction;

    struct sdp_codec *codecs; /* in the m-line's order of preference */
    size_t codec_count;
    struct sdp_extmap *extmaps;
    size_t extmap_count;
    struct sdp_ssrc *ssrcs;
    size_t ssrc_count;
    struct sdp_ssrc_group *ssrc_groups;
    size_t ssrc_group_count;
    struct sdp_rid *rids;
    size_t rid_count;
    struct sdp_simulcast *simulcast_send;
    size_t simulcast_send_count;
    struct sdp_simulcast *simulcast_recv;
    size_t simulcast_recv_count;
    struct str *candidates; /* text after "candidate:" */
    size_t candidate_count;

    struct str ice_ufrag;
    struct str ice_pwd;
    struct str ice_options;
    struct fingerprint fingerprint; /* the strongest of several; hash FINGERPRINT_NONE: absent */
    enum sdp_setup setup;
    struct str msid_stream; /* a=msid: "-" means no stream */
    struct str msid_track;  /* empty when not said (allowed) */
    bool has_rtcp_mux;
    bool has_rtcp_rsize;
    bool has_end_of_candidates;
    bool has_extmap_allow_mixed;
    uint16_t sctp_port;         /* 0: not said */
    uint32_t max_message_bytes; /* a=max-message-size; 0: not said */
};

struct sdp_session {
    uint64_t origin_id;
    uint64_t origin_version;
    bool is_ice_lite;
    bool has_extmap_allow_mixed;
    bool has_bundle;
    struct str bundle; /* mids of the first a=group:BUNDLE, separated by spaces */
    struct str ice_options;
    struct sdp_media *media;
    size_t media_count;
};

/* INVALID_ARGUMENT for what is not SDP, RESOURCE_EXHAUSTED beyond the limits above. `problem` (may
 * be NULL) then names the cause in one English sentence with static lifetime. */
MUST_USE enum err sdp_parse(struct sdp_session *out, struct arena *arena, struct str text,
                            const char **problem);
/* CRLF lines. Text fields that hold control characters are left out rather than written. */
void sdp_write(struct strbuf *out, const struct sdp_session *s);

/* Port 0 without bundle-only: the section is rejected or free to be recycled. */
static inline bool sdp_media_is_rejected(const struct sdp_media *m)
{
    return m->port == 0 && !m->is_bundle_only;
}
bool sdp_bundle_has(const struct sdp_session *s, struct str mid);
struct sdp_codec *sdp_find_codec(const struct sdp_media *m, uint8_t pt); /* NULL when absent */
/* The rtx codec that repairs `pt`, or NULL. */
struct sdp_codec *sdp_find_rtx(const struct sdp_media *m, uint8_t pt);
/* Value of `key` in "a=1;b=2" (names without regard to case); false when absent. */
bool sdp_fmtp_find(struct str fmtp, struct str key, struct str *value);
const char *sdp_direction_name(enum sdp_direction d);
/* What the other side calls it: sendonly <-> recvonly. */
enum sdp_direction sdp_direction_reverse(enum sdp_direction d);
