/*
 * sdp_write: a session description as text, in the order that browsers write theirs. It writes what
 * the structs say and judges nothing, but for one thing: text with control characters would let one
 * participant put lines into another's description, and is left out.
 */
#include "sfu/wire/sdp.h"

static bool is_clean(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (((unsigned char)s.p[i] < ' ' && s.p[i] != '\t') || s.p[i] == 127)
            return false;
    return true;
}

/* prefix + text, when there is any text. */
static void write_text(struct strbuf *out, const char *prefix, struct str text)
{
    if (text.n && is_clean(text))
        strbuf_printf(out, "%s%.*s\r\n", prefix, STR_FMT(text));
}

static void write_codec(struct strbuf *out, const struct sdp_codec *c)
{
    static const struct {
        uint32_t flag;
        const char *text;
    } FEEDBACK[] = {{SDP_FB_REMB, "goog-remb"},    {SDP_FB_TRANSPORT_CC, "transport-cc"},
                    {SDP_FB_CCM_FIR, "ccm fir"},   {SDP_FB_NACK, "nack"},
                    {SDP_FB_NACK_PLI, "nack pli"}, {SDP_FB_RRTR, "rrtr"}};
    if (!c->name.n || !is_clean(c->name))
        return;
    strbuf_printf(out, "a=rtpmap:%u %.*s/%u", c->pt, STR_FMT(c->name), c->clock_rate);
    if (c->channels > 1)
        strbuf_printf(out, "/%u", c->channels);
    strbuf_adds(out, "\r\n");
    for (size_t i = 0; i < ARRAY_LEN(FEEDBACK); i++)
        if (c->feedback & FEEDBACK[i].flag)
            strbuf_printf(out, "a=rtcp-fb:%u %s\r\n", c->pt, FEEDBACK[i].text);
    if (c->fmtp.n && is_clean(c->fmtp))
        strbuf_printf(out, "a=fmtp:%u %.*s\r\n", c->pt, STR_FMT(c->fmtp));
    else if (c->has_apt)
        strbuf_printf(out, "a=fmtp:%u apt=%u\r\n", c->pt, c->apt);
}

static void write_extmaps(struct strbuf *out, const struct sdp_media *m)
{
    for (size_t i = 0; i < m->extmap_count; i++) {
        const struct sdp_extmap *e = &m->extmaps[i];
        struct str uri = e->uri.n ? e->uri : str_from(rtp_ext_uri(e->kind));
        if (!uri.n || !is_clean(uri))
            continue;
        strbuf_printf(out, "a=extmap:%u", e->id);
        if (e->direction != SDP_SENDRECV)
            strbuf_printf(out, "/%s", sdp_direction_name(e->direction));
        strbuf_printf(out, " %.*s\r\n", STR_FMT(uri));
    }
}

static void write_simulcast_list(struct strbuf *out, const char *direction,
                                 const struct sdp_simulcast *items, size_t count)
{
    if (!count)
        return;
    strbuf_printf(out, " %s ", direction);
    for (size_t i = 0; i < count; i++) {
        if (i)
            strbuf_addc(out, items[i].is_alternative ? ',' : ';');
        if (items[i].is_paused)
            strbuf_addc(out, '~');
        strbuf_add(out, items[i].rid.p, items[i].rid.n);
    }
}

static void write_layers(struct strbuf *out, const struct sdp_media *m)
{
    for (size_t i = 0; i < m->rid_count; i++) {
        const struct sdp_rid *r = &m->rids[i];
        if (!r->id.n || !is_clean(r->id) || !is_clean(r->restrictions))
            continue;
        strbuf_printf(out, "a=rid:%.*s %s%s%.*s\r\n", STR_FMT(r->id), r->is_send ? "send" : "recv",
                      r->restrictions.n ? " " : "", STR_FMT(r->restrictions));
    }
    for (size_t i = 0; i < m->simulcast_send_count; i++)
        if (!is_clean(m->simulcast_send[i].rid))
            return;
    for (size_t i = 0; i < m->simulcast_recv_count; i++)
        if (!is_clean(m->simulcast_recv[i].rid))
            return;
    if (!m->simulcast_send_count && !m->simulcast_recv_count)
        return;
    struct strbuf lists = {0};
    write_simulcast_list(&lists, "send", m->simulcast_send, m->simulcast_send_count);
    write_simulcast_list(&lists, "recv", m->simulcast_recv, m->simulcast_recv_count);
    strbuf_printf(out, "a=simulcast:%s\r\n", lists.p + 1);
    strbuf_deinit(&lists);
}

static void write_ssrcs(struct strbuf *out, const struct sdp_media *m)
{
    for (size_t i = 0; i < m->ssrc_group_count; i++) {
        const struct sdp_ssrc_group *g = &m->ssrc_groups[i];
        if (!g->semantics.n || !is_clean(g->semantics))
            continue;
        strbuf_printf(out, "a=ssrc-group:%.*s", STR_FMT(g->semantics));
        for (size_t k = 0; k < g->count; k++)
            strbuf_printf(out, " %u", g->ssrcs[k]);
        strbuf_adds(out, "\r\n");
    }
    for (size_t i = 0; i < m->ssrc_count; i++) {
        const struct sdp_ssrc *s = &m->ssrcs[i];
        if (s->cname.n && is_clean(s->cname))
            strbuf_printf(out, "a=ssrc:%u cname:%.*s\r\n", s->ssrc, STR_FMT(s->cname));
        if (s->msid.n && is_clean(s->msid))
            strbuf_printf(out, "a=ssrc:%u msid:%.*s\r\n", s->ssrc, STR_FMT(s->msid));
    }
}

static void write_transport(struct strbuf *out, const struct sdp_media *m)
{
    static const char *const SETUP[] = {NULL, "actpass", "active", "passive"};
    write_text(out, "a=ice-ufrag:", m->ice_ufrag);
    write_text(out, "a=ice-pwd:", m->ice_pwd);
    write_text(out, "a=ice-options:", m->ice_options);
    if (m->fingerprint.hash != FINGERPRINT_NONE) {
        char text[FINGERPRINT_TEXT_SIZE];
        fingerprint_text(&m->fingerprint, text);
        strbuf_printf(out, "a=fingerprint:%s\r\n", text);
    }
    if (m->setup != SDP_SETUP_NONE)
        strbuf_printf(out, "a=setup:%s\r\n", SETUP[m->setup]);
    for (size_t i = 0; i < m->candidate_count; i++)
        write_text(out, "a=candidate:", m->candidates[i]);
    if (m->has_end_of_candidates)
        strbuf_adds(out, "a=end-of-candidates\r\n");
}

static void write_formats(struct strbuf *out, const struct sdp_media *m)
{
    if (m->formats.n && is_clean(m->formats)) {
        strbuf_printf(out, " %.*s", STR_FMT(m->formats));
        return;
    }
    for (size_t i = 0; i < m->codec_count; i++)
        strbuf_printf(out, " %u", m->codecs[i].pt);
    if (!m->codec_count)
        strbuf_adds(out, " 0");
}

static void write_media_line(struct strbuf *out, const struct sdp_media *m)
{
    static const char *const KINDS[] = {"other", "audio", "video", "application"};
    struct str kind =
        m->kind_text.n && is_clean(m->kind_text) ? m->kind_text : str_from(KINDS[m->kind]);
    struct str protocol =
        m->protocol.n && is_clean(m->protocol) ? m->protocol : STR("UDP/TLS/RTP/SAVPF");
    strbuf_printf(out, "m=%.*s %u %.*s", STR_FMT(kind), m->port, STR_FMT(protocol));
    write_formats(out, m);
    strbuf_adds(out, "\r\nc=IN IP4 0.0.0.0\r\n");
}

static void write_media(struct strbuf *out, const struct sdp_media *m)
{
    write_media_line(out, m);
    write_text(out, "a=mid:", m->mid);
    if (m->is_bundle_only)
        strbuf_adds(out, "a=bundle-only\r\n");
    if (sdp_media_is_rejected(m)) {
        strbuf_adds(out, "a=inactive\r\n");
        return;
    }
    write_transport(out, m);
    if (m->kind == SDP_APPLICATION) {
        if (m->sctp_port)
            strbuf_printf(out, "a=sctp-port:%u\r\n", m->sctp_port);
        if (m->max_message_bytes)
            strbuf_printf(out, "a=max-message-size:%u\r\n", m->max_message_bytes);
        return;
    }
    write_extmaps(out, m);
    strbuf_printf(out, "a=%s\r\n", sdp_direction_name(m->direction));
    if (m->msid_stream.n && is_clean(m->msid_stream) && is_clean(m->msid_track))
        strbuf_printf(out, "a=msid:%.*s%s%.*s\r\n", STR_FMT(m->msid_stream),
                      m->msid_track.n ? " " : "", STR_FMT(m->msid_track));
    if (m->has_rtcp_mux)
        strbuf_adds(out, "a=rtcp-mux\r\n");
    if (m->has_rtcp_rsize)
        strbuf_adds(out, "a=rtcp-rsize\r\n");
    for (size_t i = 0; i < m->codec_count; i++)
        write_codec(out, &m->codecs[i]);
    write_layers(out, m);
    write_ssrcs(out, m);
}

void sdp_write(struct strbuf *out, const struct sdp_session *s)
{
    strbuf_printf(out, "v=0\r\no=- %llu %llu IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n",
                  (unsigned long long)s->origin_id, (unsigned long long)s->origin_version);
    if (s->is_ice_lite)
        strbuf_adds(out, "a=ice-lite\r\n");
    if (s->has_bundle && is_clean(s->bundle))
        strbuf_printf(out, "a=group:BUNDLE%s%.*s\r\n", s->bundle.n ? " " : "", STR_FMT(s->bundle));
    if (s->has_extmap_allow_mixed)
        strbuf_adds(out, "a=extmap-allow-mixed\r\n");
    strbuf_adds(out, "a=msid-semantic: WMS *\r\n");
    write_text(out, "a=ice-options:", s->ice_options);
    for (size_t i = 0; i < s->media_count; i++)
        write_media(out, &s->media[i]);
}

bool sdp_bundle_has(const struct sdp_session *s, struct str mid)
{
    struct str rest = s->bundle, word;
    while (rest.n) {
        (void)str_cut(&rest, ' ', &word);
        if (word.n && str_eq(word, mid))
            return true;
    }
    return false;
}

struct sdp_codec *sdp_find_codec(const struct sdp_media *m, uint8_t pt)
{
    for (size_t i = 0; i < m->codec_count; i++)
        if (m->codecs[i].pt == pt)
            return &m->codecs[i];
    return NULL;
}

struct sdp_codec *sdp_find_rtx(const struct sdp_media *m, uint8_t pt)
{
    for (size_t i = 0; i < m->codec_count; i++)
        if (m->codecs[i].has_apt && m->codecs[i].apt == pt)
            return &m->codecs[i];
    return NULL;
}

bool sdp_fmtp_find(struct str fmtp, struct str key, struct str *value)
{
    while (fmtp.n) {
        struct str item, name;
        (void)str_cut(&fmtp, ';', &item);
        item = str_trim(item);
        (void)str_cut(&item, '=', &name);
        if (name.n && str_eq_nocase(str_trim(name), key)) {
            *value = str_trim(item);
            return true;
        }
    }
    return false;
}
