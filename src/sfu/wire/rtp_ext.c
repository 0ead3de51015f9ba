/*
 * rtp_ext: the header extensions we know: their URIs as SDP names them, and readers of the values
 * that the engine looks at. Which number an extension has is the peers' own affair; callers pass
 * it.
 */
#include "sfu/wire/rtp.h"

static const char *const URIS[RTP_EXT_KIND_COUNT] = {
    [RTP_EXT_AUDIO_LEVEL] = "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    [RTP_EXT_TRANSPORT_SEQ] =
        "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    [RTP_EXT_MID] = "urn:ietf:params:rtp-hdrext:sdes:mid",
    [RTP_EXT_RID] = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
    [RTP_EXT_REPAIRED_RID] = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
    [RTP_EXT_ABS_SEND_TIME] = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    [RTP_EXT_VIDEO_ORIENTATION] = "urn:3gpp:video-orientation",
    [RTP_EXT_DEPENDENCY_DESCRIPTOR] =
        "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension",
    [RTP_EXT_ABS_CAPTURE_TIME] = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
    [RTP_EXT_PLAYOUT_DELAY] = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
    [RTP_EXT_VIDEO_LAYERS] =
        "http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00",
    [RTP_EXT_TOFFSET] = "urn:ietf:params:rtp-hdrext:toffset",
    [RTP_EXT_CONTENT_TYPE] = "http://www.webrtc.org/experiments/rtp-hdrext/video-content-type",
    [RTP_EXT_VIDEO_TIMING] = "http://www.webrtc.org/experiments/rtp-hdrext/video-timing",
    [RTP_EXT_COLOR_SPACE] = "http://www.webrtc.org/experiments/rtp-hdrext/color-space",
};

const char *rtp_ext_uri(enum rtp_ext_kind kind)
{
    return (unsigned)kind < RTP_EXT_KIND_COUNT ? URIS[kind] : NULL;
}

enum rtp_ext_kind rtp_ext_kind_from_uri(struct str uri)
{
    for (int kind = 1; kind < RTP_EXT_KIND_COUNT; kind++)
        if (str_eq(uri, str_from(URIS[kind])))
            return kind;
    return RTP_EXT_NONE;
}

/* A cursor over the value when it has exactly `size` bytes; bad otherwise. */
static struct cursor fixed_ext(const struct rtp_packet *p, const uint8_t *bytes, uint8_t id,
                               size_t size)
{
    size_t n = 0;
    const uint8_t *value = rtp_ext_find(p, bytes, id, &n);
    struct cursor c = cursor_of(value ? value : bytes, value && n == size ? n : 0);
    c.bad = !value || n != size;
    return c;
}

bool rtp_audio_level(const struct rtp_packet *p, const uint8_t *bytes, uint8_t id, uint8_t *level,
                     bool *is_voice)
{
    size_t n = 0;
    const uint8_t *value = rtp_ext_find(p, bytes, id, &n);
    if (!value || n < 1) /* the two-byte form may carry a second, empty byte (RFC 6464 section 3) */
        return false;
    *level = value[0] & 127;
    *is_voice = value[0] >> 7;
    return true;
}

bool rtp_transport_seq(const struct rtp_packet *p, const uint8_t *bytes, uint8_t id, uint16_t *seq)
{
    struct cursor c = fixed_ext(p, bytes, id, 2);
    *seq = cursor_u16(&c);
    return !c.bad;
}

bool rtp_abs_send_time(const struct rtp_packet *p, const uint8_t *bytes, uint8_t id, uint32_t *t)
{
    struct cursor c = fixed_ext(p, bytes, id, 3);
    *t = cursor_u24(&c);
    return !c.bad;
}

bool rtp_video_orientation(const struct rtp_packet *p, const uint8_t *bytes, uint8_t id,
                           uint8_t *cvo)
{
    struct cursor c = fixed_ext(p, bytes, id, 1);
    *cvo = cursor_u8(&c);
    return !c.bad;
}

bool rtp_text_ext(const struct rtp_packet *p, const uint8_t *bytes, uint8_t id, struct str *text)
{
    size_t n = 0;
    const uint8_t *value = rtp_ext_find(p, bytes, id, &n);
    if (!value || n == 0 || n > 16)
        return false;
    for (size_t i = 0; i < n; i++)
        if (value[i] <= ' ' || value[i] > '~')
            return false;
    *text = (struct str){(const char *)value, n};
    return true;
}
