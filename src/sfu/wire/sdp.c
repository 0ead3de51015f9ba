/*
 * sdp: reads a session description line by line (RFC 8866). Lines before the first m= belong to the
 * session, later ones to the section they stand in. Only what matters to WebRTC is kept: v, o, m
 * and a lines; the rest must merely look like lines. Attributes are in sdp_attribute.c.
 */
#include "sfu/wire/sdp_internal.h"

bool sdp_fail(struct sdp_parser *p, enum err err, const char *problem)
{
    if (p->err == ERR_OK) {
        p->err = err;
        p->problem = problem;
    }
    return false;
}

void *sdp_grow(struct arena *arena, void *items, size_t count, size_t item_bytes)
{
    bool is_full = count == 0 || (count >= 4 && (count & (count - 1)) == 0);
    if (!is_full)
        return items;
    size_t capacity = count ? count * 2 : 4;
    void *grown = arena_alloc_array(arena, capacity, item_bytes);
    struct writer w = writer_of(grown, capacity * item_bytes);
    writer_bytes(&w, items, count * item_bytes);
    return grown;
}

bool sdp_next_word(struct str *rest, struct str *word)
{
    while (rest->n && rest->p[0] == ' ')
        rest->p++, rest->n--;
    if (!rest->n)
        return false;
    (void)str_cut(rest, ' ', word);
    return true;
}

/* o=<user> <id> <version> ...; numbers that do not fit are of no use and read as 0. */
static void parse_origin(struct sdp_session *s, struct str value)
{
    struct str word;
    if (!sdp_next_word(&value, &word))
        return;
    if (sdp_next_word(&value, &word))
        (void)str_to_u64(word, &s->origin_id);
    if (sdp_next_word(&value, &word))
        (void)str_to_u64(word, &s->origin_version);
}

/* Names that RFC 3551 gives to fixed payload types, for m-lines that trust in them. */
static void name_static_codec(struct sdp_codec *codec)
{
    static const struct {
        uint8_t pt;
        struct str name;
    } STATIC[] = {{0, {"PCMU", 4}}, {8, {"PCMA", 4}}, {9, {"G722", 4}}, {13, {"CN", 2}}};
    for (size_t i = 0; i < ARRAY_LEN(STATIC); i++)
        if (STATIC[i].pt == codec->pt)
            codec->name = STATIC[i].name, codec->clock_rate = 8000;
}

static bool parse_payload_types(struct sdp_parser *p, struct str formats)
{
    struct sdp_media *m = p->media;
    struct str word;
    while (sdp_next_word(&formats, &word)) {
        uint64_t pt;
        if (!str_to_u64(word, &pt) || pt > 127)
            return sdp_fail(p, ERR_INVALID_ARGUMENT, "an m-line names a bad payload type");
        if (sdp_find_codec(m, (uint8_t)pt))
            continue;
        struct sdp_codec *codec = SDP_ADD(p, m->codecs, m->codec_count);
        *codec = (struct sdp_codec){.pt = (uint8_t)pt, .channels = 1};
        name_static_codec(codec);
    }
    return true;
}

static enum sdp_kind kind_of(struct str text)
{
    if (str_eq(text, STR("audio")))
        return SDP_AUDIO;
    if (str_eq(text, STR("video")))
        return SDP_VIDEO;
    return str_eq(text, STR("application")) ? SDP_APPLICATION : SDP_OTHER;
}

/* m=<kind> <port>[/<count>] <protocol> <format> ... */
static bool parse_media_line(struct sdp_parser *p, struct str value)
{
    struct sdp_session *s = p->session;
    struct str kind, port_text, port_number, protocol;
    uint64_t port;
    if (s->media_count == SDP_MAX_MEDIA)
        return sdp_fail(p, ERR_RESOURCE_EXHAUSTED, "there are too many m-lines");
    if (!sdp_next_word(&value, &kind) || !sdp_next_word(&value, &port_text) ||
        !sdp_next_word(&value, &protocol) || !value.n)
        return sdp_fail(p, ERR_INVALID_ARGUMENT, "an m-line lacks kind, port, protocol or format");
    (void)str_cut(&port_text, '/', &port_number);
    if (!str_to_u64(port_number, &port) || port > UINT16_MAX)
        return sdp_fail(p, ERR_INVALID_ARGUMENT, "an m-line has a bad port");
    p->media = SDP_ADD(p, s->media, s->media_count);
    *p->media = (struct sdp_media){
        .kind = kind_of(kind),
        .kind_text = kind,
        .port = (uint16_t)port,
        .protocol = protocol,
        .formats = value,
        .direction = p->defaults.direction,
    };
    if (str_ends(protocol, STR("RTP/AVP")) || str_ends(protocol, STR("RTP/AVPF")) ||
        str_ends(protocol, STR("RTP/SAVP")) || str_ends(protocol, STR("RTP/SAVPF")))
        return parse_payload_types(p, value);
    return true;
}

static bool parse_line(struct sdp_parser *p, struct str line, bool is_first)
{
    if (line.n < 2 || line.p[1] != '=' || line.p[0] < 'a' || line.p[0] > 'z')
        return sdp_fail(p, ERR_INVALID_ARGUMENT, "a line is not of the form x=value");
    struct str value = str_sub(line, 2, line.n);
    if (is_first && !str_eq(line, STR("v=0")))
        return sdp_fail(p, ERR_INVALID_ARGUMENT, "the first line is not v=0");
    switch (line.p[0]) {
    case 'o':
        parse_origin(p->session, value);
        return true;
    case 'm':
        return parse_media_line(p, value);
    case 'a':
        return sdp_parse_attribute(p, value);
    default:
        return true;
    }
}

static bool parse_lines(struct sdp_parser *p, struct str text)
{
    size_t count = 0;
    while (text.n) {
        struct str line;
        (void)str_cut(&text, '\n', &line);
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        if (!line.n)
            continue;
        if (count == SDP_MAX_LINES)
            return sdp_fail(p, ERR_RESOURCE_EXHAUSTED, "there are too many lines");
        if (!parse_line(p, line, count++ == 0))
            return false;
    }
    return count > 0 || sdp_fail(p, ERR_INVALID_ARGUMENT, "the description is empty");
}

static void inherit(struct sdp_media *m, const struct sdp_media *defaults)
{
    if (!m->ice_ufrag.n && !m->ice_pwd.n) {
        m->ice_ufrag = defaults->ice_ufrag;
        m->ice_pwd = defaults->ice_pwd;
    }
    if (!m->ice_options.n)
        m->ice_options = defaults->ice_options;
    if (m->fingerprint.hash == FINGERPRINT_NONE)
        m->fingerprint = defaults->fingerprint;
    if (m->setup == SDP_SETUP_NONE)
        m->setup = defaults->setup;
    m->has_extmap_allow_mixed |= defaults->has_extmap_allow_mixed;
}

/* What can be judged only when all lines are read. */
static bool finish(struct sdp_parser *p)
{
    struct sdp_session *s = p->session;
    s->has_extmap_allow_mixed = p->defaults.has_extmap_allow_mixed;
    s->ice_options = p->defaults.ice_options;
    for (size_t i = 0; i < s->media_count; i++) {
        struct sdp_media *m = &s->media[i];
        inherit(m, &p->defaults);
        for (size_t k = 0; k < i; k++)
            if (m->mid.n && str_eq(m->mid, s->media[k].mid))
                return sdp_fail(p, ERR_INVALID_ARGUMENT, "two m-lines have the same mid");
        for (size_t k = 0; k < m->codec_count; k++) {
            struct str apt;
            uint64_t pt;
            m->codecs[k].has_apt = str_eq_nocase(m->codecs[k].name, STR("rtx")) &&
                                   sdp_fmtp_find(m->codecs[k].fmtp, STR("apt"), &apt) &&
                                   str_to_u64(apt, &pt) && pt <= 127;
            if (m->codecs[k].has_apt)
                m->codecs[k].apt = (uint8_t)pt;
        }
    }
    return true;
}

/* Text that later lands in logs, JSON and other descriptions: UTF-8, and no control characters but
 * tabs and line ends (a carriage return elsewhere would be a line end to others). */
static bool is_clean(struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c == '\r' && i + 1 < text.n && text.p[i + 1] != '\n')
            return false;
        if ((c < ' ' && c != '\t' && c != '\r' && c != '\n') || c == 127)
            return false;
    }
    return str_is_utf8(text);
}

enum err sdp_parse(struct sdp_session *out, struct arena *arena, struct str text,
                   const char **problem)
{
    *out = (struct sdp_session){0};
    struct sdp_parser p = {.arena = arena, .session = out};
    p.media = &p.defaults;
    if (text.n > SDP_MAX_BYTES)
        (void)sdp_fail(&p, ERR_RESOURCE_EXHAUSTED, "the description is longer than 512 kB");
    else if (!is_clean(text))
        (void)sdp_fail(&p, ERR_INVALID_ARGUMENT, "the description holds control characters");
    else if (parse_lines(&p, text))
        (void)finish(&p);
    if (p.err)
        *out = (struct sdp_session){0};
    if (problem)
        *problem = p.problem;
    return p.err;
}
