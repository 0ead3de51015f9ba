/*
 * sdp_attribute: a= lines. One handler per attribute, found by name in one table; a handler sees
 * the value and the section it stands in (before the first m-line: the session's defaults). An
 * attribute that is malformed and harmless is ignored, as RFC 8866 wants; one that would change who
 * is trusted or what is routed fails the description.
 */
#include "sfu/wire/sdp_internal.h"

static bool is_printable(struct str s, size_t min, size_t max)
{
    if (s.n < min || s.n > max)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~')
            return false;
    return true;
}

/* RFC 8851: letters, digits, - and _. At most what a header extension can carry. */
static bool is_rid(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool is_alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_alnum && c != '-' && c != '_')
            return false;
    }
    return s.n >= 1 && s.n <= 16;
}

static bool parse_payload_type(struct str *rest, uint8_t *pt)
{
    struct str word;
    uint64_t v;
    if (!sdp_next_word(rest, &word) || !str_to_u64(word, &v) || v > 127)
        return false;
    *pt = (uint8_t)v;
    return true;
}

static bool parse_ssrc_number(struct str word, uint32_t *ssrc)
{
    uint64_t v;
    if (!str_to_u64(word, &v) || v > UINT32_MAX)
        return false;
    *ssrc = (uint32_t)v;
    return true;
}

/* ---- codecs ---- */

static bool on_rtpmap(struct sdp_parser *p, struct str value)
{
    uint8_t pt;
    struct str word, name, clock;
    uint64_t clock_rate = 0, channels = 1;
    if (!parse_payload_type(&value, &pt) || !sdp_next_word(&value, &word))
        return true;
    struct sdp_codec *codec = sdp_find_codec(p->media, pt);
    (void)str_cut(&word, '/', &name);
    (void)str_cut(&word, '/', &clock);
    if (!codec || !name.n || !str_to_u64(clock, &clock_rate) || clock_rate > UINT32_MAX ||
        (word.n && (!str_to_u64(word, &channels) || channels < 1 || channels > 255)))
        return true;
    codec->name = name;
    codec->clock_rate = (uint32_t)clock_rate;
    codec->channels = (uint8_t)channels;
    return true;
}

static bool on_fmtp(struct sdp_parser *p, struct str value)
{
    uint8_t pt;
    struct sdp_codec *codec = parse_payload_type(&value, &pt) ? sdp_find_codec(p->media, pt) : NULL;
    if (codec)
        codec->fmtp = str_trim(value);
    return true;
}

static uint32_t feedback_of(struct str text)
{
    static const struct {
        struct str text;
        uint32_t flag;
    } FEEDBACK[] = {
        {{"nack", 4}, SDP_FB_NACK},       {{"nack pli", 8}, SDP_FB_NACK_PLI},
        {{"ccm fir", 7}, SDP_FB_CCM_FIR}, {{"transport-cc", 12}, SDP_FB_TRANSPORT_CC},
        {{"goog-remb", 9}, SDP_FB_REMB},  {{"rrtr", 4}, SDP_FB_RRTR},
    };
    for (size_t i = 0; i < ARRAY_LEN(FEEDBACK); i++)
        if (str_eq_nocase(text, FEEDBACK[i].text))
            return FEEDBACK[i].flag;
    return 0;
}

static bool on_rtcp_fb(struct sdp_parser *p, struct str value)
{
    struct str rest = value, word;
    uint8_t pt = 0;
    bool is_all = sdp_next_word(&rest, &word) && str_eq(word, STR("*"));
    if (!is_all && !parse_payload_type(&value, &pt))
        return true;
    uint32_t flag = feedback_of(str_trim(is_all ? rest : value));
    for (size_t i = 0; i < p->media->codec_count; i++)
        if (is_all || p->media->codecs[i].pt == pt)
            p->media->codecs[i].feedback |= flag;
    return true;
}

/* ---- header extensions ---- */

static const struct str DIRECTIONS[] = {
    [SDP_SENDRECV] = {"sendrecv", 8},
    [SDP_SENDONLY] = {"sendonly", 8},
    [SDP_RECVONLY] = {"recvonly", 8},
    [SDP_INACTIVE] = {"inactive", 8},
};

static bool find_direction(struct str name, enum sdp_direction *out)
{
    for (size_t i = 0; i < ARRAY_LEN(DIRECTIONS); i++) {
        if (str_eq(name, DIRECTIONS[i])) {
            *out = (enum sdp_direction)i;
            return true;
        }
    }
    return false;
}

static bool on_extmap(struct sdp_parser *p, struct str value)
{
    struct sdp_media *m = p->media;
    struct str word, number, uri;
    uint64_t id;
    enum sdp_direction direction = SDP_SENDRECV;
    if (!sdp_next_word(&value, &word) || !sdp_next_word(&value, &uri))
        return true;
    bool has_direction = str_cut(&word, '/', &number);
    if (!str_to_u64(number, &id) || id < 1 || id > 255 ||
        (has_direction && !find_direction(word, &direction)))
        return true;
    for (size_t i = 0; i < m->extmap_count; i++)
        if (m->extmaps[i].id == id)
            return sdp_fail(p, ERR_INVALID_ARGUMENT, "two extensions have the same id");
    if (m->extmap_count == SDP_MAX_EXTMAPS)
        return sdp_fail(p, ERR_RESOURCE_EXHAUSTED, "there are too many extmap lines");
    *SDP_ADD(p, m->extmaps, m->extmap_count) =
        (struct sdp_extmap){(uint8_t)id, rtp_ext_kind_from_uri(uri), direction, uri};
    return true;
}

static bool on_extmap_allow_mixed(struct sdp_parser *p, struct str value)
{
    return p->media->has_extmap_allow_mixed = true;
}

/* ---- streams ---- */

static struct sdp_ssrc *find_ssrc(struct sdp_media *m, uint32_t ssrc)
{
    for (size_t i = 0; i < m->ssrc_count; i++)
        if (m->ssrcs[i].ssrc == ssrc)
            return &m->ssrcs[i];
    return NULL;
}

static bool on_ssrc(struct sdp_parser *p, struct str value)
{
    struct sdp_media *m = p->media;
    struct str word, name;
    uint32_t number;
    if (!sdp_next_word(&value, &word) || !parse_ssrc_number(word, &number))
        return true;
    struct sdp_ssrc *ssrc = find_ssrc(m, number);
    if (!ssrc) {
        if (m->ssrc_count == SDP_MAX_SSRCS)
            return sdp_fail(p, ERR_RESOURCE_EXHAUSTED, "an m-line has too many ssrcs");
        ssrc = SDP_ADD(p, m->ssrcs, m->ssrc_count);
        *ssrc = (struct sdp_ssrc){.ssrc = number};
    }
    if (!str_cut(&value, ':', &name))
        return true;
    if (str_eq(name, STR("cname")))
        ssrc->cname = value;
    if (str_eq(name, STR("msid")))
        ssrc->msid = value;
    return true;
}

static bool on_ssrc_group(struct sdp_parser *p, struct str value)
{
    struct sdp_media *m = p->media;
    struct sdp_ssrc_group group = {0};
    struct str word;
    if (!sdp_next_word(&value, &group.semantics))
        return true;
    while (sdp_next_word(&value, &word)) {
        if (group.count == SDP_GROUP_MAX_SSRCS ||
            !parse_ssrc_number(word, &group.ssrcs[group.count]))
            return true;
        group.count++;
    }
    if (m->ssrc_group_count == SDP_MAX_SSRCS)
        return sdp_fail(p, ERR_RESOURCE_EXHAUSTED, "an m-line has too many ssrc groups");
    *SDP_ADD(p, m->ssrc_groups, m->ssrc_group_count) = group;
    return true;
}

static bool on_rid(struct sdp_parser *p, struct str value)
{
    struct sdp_media *m = p->media;
    struct sdp_rid rid = {0};
    struct str word;
    if (!sdp_next_word(&value, &rid.id) || !is_rid(rid.id) || !sdp_next_word(&value, &word))
        return true;
    rid.is_send = str_eq(word, STR("send"));
    if (!rid.is_send && !str_eq(word, STR("recv")))
        return true;
    rid.restrictions = str_trim(value);
    if (m->rid_count == SDP_MAX_RIDS)
        return sdp_fail(p, ERR_RESOURCE_EXHAUSTED, "an m-line has too many rids");
    *SDP_ADD(p, m->rids, m->rid_count) = rid;
    return true;
}

/* "h;m,~n;l": streams parted by ';', alternatives of one by ',', paused ones marked '~'. */
static bool parse_simulcast_list(struct sdp_parser *p, struct str list,
                                 struct sdp_simulcast **items, size_t *count)
{
    while (list.n) {
        struct str stream, rid;
        (void)str_cut(&list, ';', &stream);
        for (bool is_alternative = false; stream.n; is_alternative = true) {
            (void)str_cut(&stream, ',', &rid);
            bool is_paused = rid.n && rid.p[0] == '~';
            if (is_paused)
                rid = str_sub(rid, 1, rid.n);
            if (!is_rid(rid))
                continue;
            if (*count == SDP_MAX_RIDS)
                return sdp_fail(p, ERR_RESOURCE_EXHAUSTED, "a simulcast list is too long");
            *SDP_ADD(p, *items, *count) = (struct sdp_simulcast){rid, is_paused, is_alternative};
        }
    }
    return true;
}

static bool on_simulcast(struct sdp_parser *p, struct str value)
{
    struct sdp_media *m = p->media;
    struct str direction, list;
    if (m->simulcast_send_count || m->simulcast_recv_count)
        return true; /* RFC 8853: at most one per m-line */
    while (sdp_next_word(&value, &direction) && sdp_next_word(&value, &list)) {
        bool is_send = str_eq(direction, STR("send"));
        if (!is_send && !str_eq(direction, STR("recv")))
            return true;
        if (!parse_simulcast_list(p, list, is_send ? &m->simulcast_send : &m->simulcast_recv,
                                  is_send ? &m->simulcast_send_count : &m->simulcast_recv_count))
            return false;
    }
    return true;
}

static bool on_msid(struct sdp_parser *p, struct str value)
{
    struct sdp_media *m = p->media;
    if (m->msid_stream.n)
        return true; /* further streams of the same track */
    (void)sdp_next_word(&value, &m->msid_stream);
    (void)sdp_next_word(&value, &m->msid_track);
    return true;
}

static bool on_mid(struct sdp_parser *p, struct str value)
{
    if (!is_printable(value, 1, 64))
        return sdp_fail(p, ERR_INVALID_ARGUMENT, "a mid is empty, too long or not printable");
    p->media->mid = value;
    return true;
}

/* ---- transport ---- */

static bool on_ice_ufrag(struct sdp_parser *p, struct str value)
{
    if (!is_printable(value, 4, 256))
        return sdp_fail(p, ERR_INVALID_ARGUMENT, "ice-ufrag is not 4 to 256 characters");
    p->media->ice_ufrag = value;
    return true;
}

static bool on_ice_pwd(struct sdp_parser *p, struct str value)
{
    if (!is_printable(value, 22, 256))
        return sdp_fail(p, ERR_INVALID_ARGUMENT, "ice-pwd is not 22 to 256 characters");
    p->media->ice_pwd = value;
    return true;
}

static bool on_ice_options(struct sdp_parser *p, struct str value)
{
    p->media->ice_options = value;
    return true;
}

static bool on_fingerprint(struct sdp_parser *p, struct str value)
{
    struct fingerprint f;
    if (fingerprint_parse(value, &f) && f.hash > p->media->fingerprint.hash)
        p->media->fingerprint = f;
    return true;
}

static bool on_setup(struct sdp_parser *p, struct str value)
{
    static const struct str NAMES[] = {[SDP_SETUP_ACTPASS] = {"actpass", 7},
                                       [SDP_SETUP_ACTIVE] = {"active", 6},
                                       [SDP_SETUP_PASSIVE] = {"passive", 7}};
    for (size_t i = 1; i < ARRAY_LEN(NAMES); i++)
        if (str_eq(value, NAMES[i]))
            p->media->setup = (enum sdp_setup)i;
    return true;
}

static bool on_candidate(struct sdp_parser *p, struct str value)
{
    struct sdp_media *m = p->media;
    if (m->candidate_count < SDP_MAX_CANDIDATES)
        *SDP_ADD(p, m->candidates, m->candidate_count) = value;
    return true;
}

static bool on_end_of_candidates(struct sdp_parser *p, struct str value)
{
    return p->media->has_end_of_candidates = true;
}

static bool on_rtcp_mux(struct sdp_parser *p, struct str value)
{
    return p->media->has_rtcp_mux = true;
}

static bool on_rtcp_rsize(struct sdp_parser *p, struct str value)
{
    return p->media->has_rtcp_rsize = true;
}

static bool on_bundle_only(struct sdp_parser *p, struct str value)
{
    return p->media->is_bundle_only = true;
}

static bool on_sctp_port(struct sdp_parser *p, struct str value)
{
    uint64_t port;
    if (str_to_u64(value, &port) && port <= UINT16_MAX)
        p->media->sctp_port = (uint16_t)port;
    return true;
}

static bool on_max_message_size(struct sdp_parser *p, struct str value)
{
    uint64_t size;
    if (str_to_u64(value, &size))
        p->media->max_message_bytes = (uint32_t)MIN(size, UINT32_MAX);
    return true;
}

/* ---- session ---- */

static bool on_group(struct sdp_parser *p, struct str value)
{
    struct str semantics;
    if (sdp_next_word(&value, &semantics) && str_eq(semantics, STR("BUNDLE")) &&
        !p->session->has_bundle) {
        p->session->has_bundle = true;
        p->session->bundle = str_trim(value);
    }
    return true;
}

static bool on_ice_lite(struct sdp_parser *p, struct str value)
{
    return p->session->is_ice_lite = true;
}

enum place {
    SESSION = 1,
    MEDIA = 2,
    ANYWHERE = 3,
};

static const struct {
    struct str name;
    enum place place;
    bool (*handle)(struct sdp_parser *p, struct str value);
} ATTRIBUTES[] = {
    {{"rtpmap", 6}, MEDIA, on_rtpmap},
    {{"fmtp", 4}, MEDIA, on_fmtp},
    {{"rtcp-fb", 7}, MEDIA, on_rtcp_fb},
    {{"extmap", 6}, MEDIA, on_extmap},
    {{"ssrc", 4}, MEDIA, on_ssrc},
    {{"ssrc-group", 10}, MEDIA, on_ssrc_group},
    {{"rid", 3}, MEDIA, on_rid},
    {{"simulcast", 9}, MEDIA, on_simulcast},
    {{"msid", 4}, MEDIA, on_msid},
    {{"mid", 3}, MEDIA, on_mid},
    {{"candidate", 9}, MEDIA, on_candidate},
    {{"end-of-candidates", 17}, MEDIA, on_end_of_candidates},
    {{"rtcp-mux", 8}, MEDIA, on_rtcp_mux},
    {{"rtcp-rsize", 10}, MEDIA, on_rtcp_rsize},
    {{"bundle-only", 11}, MEDIA, on_bundle_only},
    {{"sctp-port", 9}, MEDIA, on_sctp_port},
    {{"max-message-size", 16}, MEDIA, on_max_message_size},
    {{"ice-ufrag", 9}, ANYWHERE, on_ice_ufrag},
    {{"ice-pwd", 7}, ANYWHERE, on_ice_pwd},
    {{"ice-options", 11}, ANYWHERE, on_ice_options},
    {{"fingerprint", 11}, ANYWHERE, on_fingerprint},
    {{"setup", 5}, ANYWHERE, on_setup},
    {{"extmap-allow-mixed", 18}, ANYWHERE, on_extmap_allow_mixed},
    {{"group", 5}, SESSION, on_group},
    {{"ice-lite", 8}, SESSION, on_ice_lite},
};

bool sdp_parse_attribute(struct sdp_parser *p, struct str attribute)
{
    struct str name;
    (void)str_cut(&attribute, ':', &name);
    struct str value = str_trim(attribute);
    if (find_direction(name, &p->media->direction))
        return true;
    enum place here = p->media == &p->defaults ? SESSION : MEDIA;
    for (size_t i = 0; i < ARRAY_LEN(ATTRIBUTES); i++)
        if ((ATTRIBUTES[i].place & here) && str_eq(name, ATTRIBUTES[i].name))
            return ATTRIBUTES[i].handle(p, value);
    return true;
}

const char *sdp_direction_name(enum sdp_direction d)
{
    return DIRECTIONS[d].p;
}

enum sdp_direction sdp_direction_reverse(enum sdp_direction d)
{
    if (d == SDP_SENDONLY)
        return SDP_RECVONLY;
    return d == SDP_RECVONLY ? SDP_SENDONLY : d;
}
