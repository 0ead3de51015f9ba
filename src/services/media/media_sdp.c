/*
 * What we speak, as SDP: codecs, header extensions, and the transport lines of every m-line. In
 * answers the client's own numbers are kept; in offers ours are used, the same for every subscriber
 * and m-line.
 */
#include "services/media/media_internal.h"

#define VIDEO_FEEDBACK (SDP_FB_NACK | SDP_FB_NACK_PLI | SDP_FB_CCM_FIR)

struct known_codec {
    enum sfu_codec codec;
    bool is_audio;
    uint8_t pt; /* ours, in offers */
    uint8_t rtx_pt;
    uint8_t channels;
    uint32_t clock_rate;
    const char *name;
    const char *fmtp;
};

/* Browsers decode all of these; H.264 once constrained baseline and once baseline, as they offer
 * them. */
static const struct known_codec known_codecs[] = {
    {SFU_CODEC_OPUS, true, 111, 0, 2, 48000, "opus", "minptime=10;useinbandfec=1"},
    {SFU_CODEC_VP8, false, 96, 97, 1, 90000, "VP8", ""},
    {SFU_CODEC_VP9, false, 98, 99, 1, 90000, "VP9", "profile-id=0"},
    {SFU_CODEC_H264, false, 102, 103, 1, 90000, "H264",
     "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"},
    {SFU_CODEC_H264, false, 104, 105, 1, 90000, "H264",
     "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f"},
    {SFU_CODEC_AV1, false, 106, 107, 1, 90000, "AV1", "profile=0"},
};

/*
 * Transport-wide numbers are taken from publishers, whose bandwidth estimators live on our
 * feedback. They are not offered to subscribers: that feedback is for an estimator of ours, and
 * until there is one it would cost each packet eight bytes, and each subscriber twenty packets a
 * second, for nothing. The engine numbers what it sends as soon as the extension is negotiated.
 */
static const struct {
    enum rtp_ext_kind kind;
    uint8_t id; /* ours, in offers; 0: only taken from publishers */
    bool is_audio;
    bool is_video;
} known_extensions[] = {
    {RTP_EXT_AUDIO_LEVEL, 1, true, false},
    {RTP_EXT_TRANSPORT_SEQ, 0, true, true},
    {RTP_EXT_MID, 4, true, true},
    {RTP_EXT_RID, 0, false, true},
    {RTP_EXT_REPAIRED_RID, 0, false, true},
    {RTP_EXT_VIDEO_ORIENTATION, 5, false, true},
    {RTP_EXT_DEPENDENCY_DESCRIPTOR, 6, false, true},
    {RTP_EXT_ABS_CAPTURE_TIME, 7, true, true},
};

/* ---- codecs ---- */

static bool fmtp_is(struct str fmtp, const char *key, const char *wanted, const char *missing)
{
    struct str value;
    if (!sdp_fmtp_find(fmtp, str_from(key), &value))
        value = str_from(missing);
    return str_eq_nocase(value, str_from(wanted));
}

/* Streams of one format can be decoded by whoever answered with it. 0 is "nothing to say"; -1: not
 * ours. */
static int64_t format_of(enum sfu_codec codec, struct str fmtp)
{
    struct str value;
    switch (codec) {
    case SFU_CODEC_VP9:
        return fmtp_is(fmtp, "profile-id", "0", "0") ? 0 : -1;
    case SFU_CODEC_AV1:
        return fmtp_is(fmtp, "profile", "0", "0") ? 0 : -1;
    case SFU_CODEC_H264: {
        if (!fmtp_is(fmtp, "packetization-mode", "1", "0") ||
            !sdp_fmtp_find(fmtp, STR("profile-level-id"), &value) || value.n != 6)
            return -1;
        struct str profile = str_sub(value, 0, 4); /* the level does not matter */
        if (str_eq_nocase(profile, STR("42e0")))
            return 0x42e0;
        return str_eq_nocase(profile, STR("4200")) ? 0x4200 : -1;
    }
    default:
        return 0;
    }
}

static bool is_ours(const struct sdp_codec *c, enum sfu_codec *codec, uint32_t *format)
{
    *codec = sfu_codec_from_name(c->name);
    if (*codec == SFU_CODEC_NONE || (*codec == SFU_CODEC_OPUS && c->channels != 2))
        return false;
    int64_t found = format_of(*codec, c->fmtp);
    *format = (uint32_t)found;
    return found >= 0;
}

size_t media_sdp_codecs(const struct sdp_media *m, struct sfu_codec_pt *out, size_t max)
{
    size_t count = 0;
    for (size_t i = 0; i < m->codec_count && count < max; i++) {
        const struct sdp_codec *c = &m->codecs[i];
        enum sfu_codec codec;
        uint32_t format;
        if (!is_ours(c, &codec, &format))
            continue;
        const struct sdp_codec *rtx = sdp_find_rtx(m, c->pt);
        out[count++] = (struct sfu_codec_pt){
            .codec = codec,
            .format = format,
            .clock_rate = c->clock_rate,
            .pt = c->pt,
            .rtx_pt = rtx ? rtx->pt : 0,
            .has_nack = c->feedback & SDP_FB_NACK,
            .has_pli = c->feedback & SDP_FB_NACK_PLI,
            .has_fir = c->feedback & SDP_FB_CCM_FIR,
        };
    }
    return count;
}

void media_sdp_answer_codecs(const struct sdp_media *offer, struct sdp_media *answer,
                             struct arena *arena)
{
    answer->codecs = arena_array(arena, struct sdp_codec, 2 * offer->codec_count);
    uint32_t wanted = SDP_FB_TRANSPORT_CC | (offer->kind == SDP_VIDEO ? VIDEO_FEEDBACK : 0u);
    for (size_t i = 0; i < offer->codec_count; i++) {
        enum sfu_codec codec;
        uint32_t format;
        if (!is_ours(&offer->codecs[i], &codec, &format))
            continue;
        struct sdp_codec *c = &answer->codecs[answer->codec_count++];
        *c = offer->codecs[i];
        c->feedback &= wanted;
        const struct sdp_codec *rtx = sdp_find_rtx(offer, c->pt);
        if (rtx)
            answer->codecs[answer->codec_count++] = *rtx;
    }
}

static bool wants_extension(enum rtp_ext_kind kind, bool is_audio)
{
    for (size_t i = 0; i < ARRAY_LEN(known_extensions); i++) {
        if (known_extensions[i].kind == kind)
            return is_audio ? known_extensions[i].is_audio : known_extensions[i].is_video;
    }
    return false;
}

void media_sdp_answer_extmaps(const struct sdp_media *offer, struct sdp_media *answer,
                              struct arena *arena)
{
    answer->extmaps = arena_array(arena, struct sdp_extmap, offer->extmap_count);
    for (size_t i = 0; i < offer->extmap_count; i++) {
        const struct sdp_extmap *e = &offer->extmaps[i];
        if (e->id > 14 || !wants_extension(e->kind, offer->kind == SDP_AUDIO))
            continue;
        struct sdp_extmap *mine = &answer->extmaps[answer->extmap_count++];
        *mine = *e;
        mine->direction =
            e->direction == SDP_SENDRECV ? SDP_SENDRECV : sdp_direction_reverse(e->direction);
    }
}

void media_sdp_ext_ids(const struct sdp_session *s, uint8_t ids[RTP_EXT_KIND_COUNT])
{
    memset(ids, 0, RTP_EXT_KIND_COUNT);
    for (size_t i = 0; i < s->media_count; i++) {
        for (size_t j = 0; j < s->media[i].extmap_count; j++) {
            const struct sdp_extmap *e = &s->media[i].extmaps[j];
            if (e->kind != RTP_EXT_NONE && e->id <= 14)
                ids[e->kind] = e->id;
        }
    }
}

static struct sdp_codec codec_line(const struct known_codec *k)
{
    return (struct sdp_codec){.pt = k->pt,
                              .channels = k->channels,
                              .clock_rate = k->clock_rate,
                              .feedback = k->is_audio ? 0 : VIDEO_FEEDBACK,
                              .name = str_from(k->name),
                              .fmtp = str_from(k->fmtp)};
}

static struct sdp_codec rtx_line(const struct known_codec *k, struct arena *arena)
{
    return (struct sdp_codec){.pt = k->rtx_pt,
                              .channels = 1,
                              .clock_rate = k->clock_rate,
                              .apt = k->pt,
                              .has_apt = true,
                              .name = STR("rtx"),
                              .fmtp = str_from(arena_printf(arena, "apt=%u", k->pt))};
}

void media_sdp_offer_media(bool is_audio, struct sdp_media *m, struct arena *arena)
{
    m->kind = is_audio ? SDP_AUDIO : SDP_VIDEO;
    m->kind_text = is_audio ? STR("audio") : STR("video");
    m->protocol = STR("UDP/TLS/RTP/SAVPF");
    m->codecs = arena_array(arena, struct sdp_codec, 2 * ARRAY_LEN(known_codecs));
    for (size_t i = 0; i < ARRAY_LEN(known_codecs); i++) {
        if (known_codecs[i].is_audio != is_audio)
            continue;
        m->codecs[m->codec_count++] = codec_line(&known_codecs[i]);
        if (known_codecs[i].rtx_pt)
            m->codecs[m->codec_count++] = rtx_line(&known_codecs[i], arena);
    }
    m->extmaps = arena_array(arena, struct sdp_extmap, ARRAY_LEN(known_extensions));
    for (size_t i = 0; i < ARRAY_LEN(known_extensions); i++) {
        if (!known_extensions[i].id || !wants_extension(known_extensions[i].kind, is_audio))
            continue;
        m->extmaps[m->extmap_count++] = (struct sdp_extmap){
            .id = known_extensions[i].id,
            .kind = known_extensions[i].kind,
            .uri = str_from(rtp_ext_uri(known_extensions[i].kind)),
        };
    }
}

/* ---- transport ---- */

void media_sdp_transport(struct media_hub *hub, const struct media_peer *peer, enum sdp_setup setup,
                         struct sdp_media *m, struct arena *arena)
{
    m->ice_ufrag = str_from(peer->credentials.ufrag);
    m->ice_pwd = str_from(peer->credentials.pwd);
    m->fingerprint = *sfu_fingerprint(hub->sfu);
    m->setup = setup;
    m->has_rtcp_mux = true;
    m->has_rtcp_rsize = true;
}

static void write_candidates(struct media_hub *hub, struct sdp_media *m, struct arena *arena)
{
    m->has_end_of_candidates = true;
    m->candidate_count = hub->candidate_count;
    m->candidates = arena_array(arena, struct str, hub->candidate_count);
    for (size_t i = 0; i < hub->candidate_count; i++)
        m->candidates[i] = str_from(hub->candidates[i]);
}

void media_sdp_bundle(struct media_hub *hub, struct sdp_session *s, struct arena *arena)
{
    struct strbuf mids = {0};
    for (size_t i = 0; i < s->media_count; i++) {
        if (sdp_media_is_rejected(&s->media[i]))
            continue;
        if (mids.n)
            strbuf_addc(&mids, ' ');
        else
            write_candidates(hub, &s->media[i], arena);
        strbuf_add(&mids, s->media[i].mid.p, s->media[i].mid.n);
    }
    s->has_bundle = true;
    s->bundle = (struct str){str_arena(arena, strbuf_str(&mids)), mids.n};
    strbuf_deinit(&mids);
}
