/*
 * convert_sniff: what a file's first bytes say it is. A table of beginnings, and a look at texts:
 * those with markup must never be taken for harmless. Pure; reads CONVERT_SNIFF_BYTES at most.
 */
#include "convert/convert_internal.h"

static const struct {
    enum convert_kind kind;
    const char *mime;
    const char *demuxer;
} formats[] = {
#define XX(name, kind, mime, demuxer) {CONVERT_##kind, mime, demuxer},
    CONVERT_FORMAT_MAP(XX)
#undef XX
};

static const struct {
    enum convert_format format;
    unsigned offset;
    struct str bytes;
} beginnings[] = {
    {CONVERT_FORMAT_PNG, 0, {"\x89PNG\r\n\x1a\n", 8}},
    {CONVERT_FORMAT_JPEG, 0, {"\xff\xd8\xff", 3}},
    {CONVERT_FORMAT_GIF, 0, {"GIF87a", 6}},
    {CONVERT_FORMAT_GIF, 0, {"GIF89a", 6}},
    {CONVERT_FORMAT_OGG, 0, {"OggS", 4}},
    {CONVERT_FORMAT_FLAC, 0, {"fLaC", 4}},
    {CONVERT_FORMAT_MP3, 0, {"ID3", 3}},
    {CONVERT_FORMAT_PDF, 0, {"%PDF-", 5}},
    {CONVERT_FORMAT_ZIP, 0, {"PK\x03\x04", 4}},
    {CONVERT_FORMAT_GZIP, 0, {"\x1f\x8b", 2}},
};

static bool has_at(const uint8_t *bytes, size_t n, size_t at, struct str what)
{
    return n >= at + what.n && memcmp(bytes + at, what.p, what.n) == 0;
}

/* RIFF names its content at offset 8. */
static enum convert_format riff_of(const uint8_t *bytes, size_t n)
{
    if (!has_at(bytes, n, 0, STR("RIFF")))
        return CONVERT_FORMAT_UNKNOWN;
    if (has_at(bytes, n, 8, STR("WEBP")))
        return CONVERT_FORMAT_WEBP;
    return has_at(bytes, n, 8, STR("WAVE")) ? CONVERT_FORMAT_WAV : CONVERT_FORMAT_UNKNOWN;
}

/* ISO 14496-12: a box of type ftyp comes first. Still pictures in it (HEIC, AVIF) are not ours. */
static enum convert_format mp4_of(const uint8_t *bytes, size_t n)
{
    static const char *const stills[] = {"heic", "heix", "mif1", "msf1", "avif", "avis", "hevc"};
    if (!has_at(bytes, n, 4, STR("ftyp")) || n < 12)
        return CONVERT_FORMAT_UNKNOWN;
    for (size_t i = 0; i < ARRAY_LEN(stills); i++)
        if (memcmp(bytes + 8, stills[i], 4) == 0)
            return CONVERT_FORMAT_UNKNOWN;
    return has_at(bytes, n, 8, STR("qt  ")) ? CONVERT_FORMAT_MOV : CONVERT_FORMAT_MP4;
}

/* RFC 8794: EBML, whose DocType stands within the first few elements. */
static enum convert_format ebml_of(const uint8_t *bytes, size_t n)
{
    if (!has_at(bytes, n, 0, (struct str){"\x1a\x45\xdf\xa3", 4}))
        return CONVERT_FORMAT_UNKNOWN;
    for (size_t at = 4; at < MIN(n, 64); at++)
        if (has_at(bytes, n, at, (struct str){"\x42\x82\x84webm", 7}))
            return CONVERT_FORMAT_WEBM;
    return CONVERT_FORMAT_MATROSKA;
}

/* MPEG audio's eleven (AAC's twelve) bits of sync, then a header that makes sense. */
static enum convert_format frame_of(const uint8_t *b, size_t n)
{
    if (n < 4 || b[0] != 0xff)
        return CONVERT_FORMAT_UNKNOWN;
    if ((b[1] & 0xf6) == 0xf0 && (b[2] >> 2 & 15) < 13)
        return CONVERT_FORMAT_AAC;
    bool is_layer3 = (b[1] & 0xe6) == 0xe2 && (b[1] >> 3 & 3) != 1;
    bool has_rates = b[2] >> 4 != 15 && b[2] >> 4 != 0 && (b[2] >> 2 & 3) != 3;
    return is_layer3 && has_rates ? CONVERT_FORMAT_MP3 : CONVERT_FORMAT_UNKNOWN;
}

static bool has_tag(struct str text, const char *tag)
{
    size_t n = strlen(tag);
    for (size_t i = 0; i + n < text.n; i++) {
        if (text.p[i] != '<' || !str_eq_nocase(str_sub(text, i + 1, n), str_from(tag)))
            continue;
        char next = i + 1 + n < text.n ? text.p[i + 1 + n] : '>';
        if (strchr(" \t\r\n>/", next))
            return true;
    }
    return false;
}

static bool is_text(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 32 && !strchr("\t\n\r\f\x1b", c))
            return false;
    }
    /* A character may be cut by the end of what we see. */
    for (size_t cut = 0; cut < 4 && cut <= s.n; cut++)
        if (str_is_utf8(str_sub(s, 0, s.n - cut)))
            return true;
    return false;
}

static enum convert_format text_of(struct str s)
{
    static const char *const html[] = {"html", "!doctype", "script", "head", "body",  "iframe",
                                       "img",  "style",    "a",      "meta", "object"};
    if (s.n == 0 || memchr(s.p, '\0', s.n))
        return CONVERT_FORMAT_UNKNOWN;
    if (str_starts(s, STR("\xef\xbb\xbf")))
        s = str_sub(s, 3, s.n);
    if (has_tag(s, "svg"))
        return CONVERT_FORMAT_SVG;
    for (size_t i = 0; i < ARRAY_LEN(html); i++)
        if (has_tag(s, html[i]))
            return CONVERT_FORMAT_HTML;
    if (str_starts(str_trim(s), STR("<?xml")))
        return CONVERT_FORMAT_XML;
    if (str_starts(s, STR("#EXTM3U")))
        return CONVERT_FORMAT_PLAYLIST;
    return is_text(s) ? CONVERT_FORMAT_TEXT : CONVERT_FORMAT_UNKNOWN;
}

enum convert_format convert_format_of(const uint8_t *bytes, size_t n)
{
    n = MIN(n, CONVERT_SNIFF_BYTES);
    for (size_t i = 0; i < ARRAY_LEN(beginnings); i++)
        if (has_at(bytes, n, beginnings[i].offset, beginnings[i].bytes))
            return beginnings[i].format;
    enum convert_format found = riff_of(bytes, n);
    if (!found)
        found = mp4_of(bytes, n);
    if (!found)
        found = ebml_of(bytes, n);
    if (!found)
        found = frame_of(bytes, n);
    return found ? found : text_of((struct str){(const char *)bytes, n});
}

enum convert_kind convert_format_kind(enum convert_format format)
{
    return formats[format].kind;
}

const char *convert_format_demuxer(enum convert_format format)
{
    return formats[format].demuxer;
}

const char *convert_format_mime(enum convert_format format, enum convert_kind kind)
{
    if (kind == CONVERT_AUDIO && format == CONVERT_FORMAT_MP4)
        return "audio/mp4";
    if (kind == CONVERT_AUDIO && format == CONVERT_FORMAT_WEBM)
        return "audio/webm";
    if (kind == CONVERT_AUDIO && format == CONVERT_FORMAT_MATROSKA)
        return "audio/x-matroska";
    if (kind == CONVERT_VIDEO && format == CONVERT_FORMAT_OGG)
        return "video/ogg";
    return formats[format].mime;
}

struct convert_sniffed convert_sniff(const void *bytes, size_t n)
{
    enum convert_format format = convert_format_of(bytes, n);
    return (struct convert_sniffed){formats[format].kind, formats[format].mime};
}
