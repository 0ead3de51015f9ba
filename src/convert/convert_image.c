/*
 * convert_image: what a still picture's headers say before anything is decoded: its size (so that
 * a bomb is refused for a few bytes' work), which way up it is, and whether it moves. Every walk
 * goes forward by at least one byte over bytes that are all here.
 */
#include "convert/convert_internal.h"

static uint32_t u16le(const uint8_t *b)
{
    return (uint32_t)b[0] | (uint32_t)b[1] << 8;
}

static uint32_t u32le(const uint8_t *b)
{
    return u16le(b) | u16le(b + 2) << 16;
}

/* TIFF 6.0 section 2: byte order, 42, offset of the directory; its entries are 12 bytes each. */
unsigned convert_exif_orientation(const uint8_t *b, size_t n)
{
    enum { TAG_ORIENTATION = 0x0112, ENTRY_BYTES = 12 };
    if (n < 8)
        return 1;
    bool is_little = b[0] == 'I';
    struct cursor c = cursor_of(b, n);
    cursor_skip(&c, 4);
    uint32_t at = is_little ? u32le(b + 4) : cursor_u32(&c);
    if (at > n || n - at < 2)
        return 1;
    const uint8_t *entry = b + at + 2;
    size_t count = is_little ? u16le(b + at) : (size_t)b[at] << 8 | b[at + 1];
    count = MIN(count, (n - at - 2) / ENTRY_BYTES);
    for (; count > 0; count--, entry += ENTRY_BYTES) {
        uint32_t tag = is_little ? u16le(entry) : (uint32_t)entry[0] << 8 | entry[1];
        uint32_t value = is_little ? u16le(entry + 8) : (uint32_t)entry[8] << 8 | entry[9];
        if (tag == TAG_ORIENTATION)
            return value >= 1 && value <= 8 ? value : 1;
    }
    return 1;
}

/* PNG section 5: length, type, data, CRC. */
static bool parse_png(const uint8_t *b, size_t n, struct convert_image *out)
{
    struct cursor c = cursor_of(b, n);
    cursor_skip(&c, 8);
    for (bool is_first = true; !c.bad && cursor_left(&c) >= 12; is_first = false) {
        uint32_t bytes = cursor_u32(&c);
        uint32_t type = cursor_u32(&c);
        struct cursor data = cursor_sub(&c, MIN(bytes, cursor_left(&c)));
        if (is_first && (type != 0x49484452 || cursor_left(&data) < 13)) /* IHDR */
            return false;
        if (is_first) {
            out->width = cursor_u32(&data);
            out->height = cursor_u32(&data);
        } else if (type == 0x6163544c) { /* acTL: it is an APNG of so many pictures */
            out->is_animated = cursor_u32(&data) > 1;
        } else if (type == 0x65584966) { /* eXIf */
            out->orientation = convert_exif_orientation(data.p, cursor_left(&data));
        } else if (type == 0x49444154) { /* IDAT: what concerns us stands before */
            break;
        }
        cursor_skip(&c, MIN(4, cursor_left(&c)));
    }
    return out->width > 0 && out->height > 0;
}

/* ITU-T T.81 B.1: 0xff, marker, length of the segment with the length itself. */
static bool parse_jpeg(const uint8_t *b, size_t n, struct convert_image *out)
{
    struct cursor c = cursor_of(b, n);
    cursor_skip(&c, 2);
    while (!c.bad && cursor_left(&c) >= 4) {
        if (cursor_u8(&c) != 0xff)
            continue;
        uint8_t marker = cursor_u8(&c);
        if (marker == 0xff) {
            c.p--;
            continue;
        }
        if (marker == 0 || marker == 1 || (marker >= 0xd0 && marker <= 0xd8))
            continue;
        if (marker == 0xd9 || marker == 0xda)
            break;
        size_t bytes = cursor_u16(&c);
        struct cursor data = cursor_sub(&c, MIN(bytes < 2 ? 0 : bytes - 2, cursor_left(&c)));
        bool is_frame =
            marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
        if (is_frame && cursor_left(&data) >= 5) {
            cursor_u8(&data);
            out->height = cursor_u16(&data);
            out->width = cursor_u16(&data);
            break;
        }
        if (marker == 0xe1 && cursor_left(&data) > 6 && memcmp(data.p, "Exif\0", 6) == 0)
            out->orientation = convert_exif_orientation(data.p + 6, cursor_left(&data) - 6);
    }
    return out->width > 0 && out->height > 0;
}

/* GIF89a section 15: sub-blocks with their length before them, an empty one at the end. */
static void skip_blocks(struct cursor *c)
{
    for (unsigned bytes = 1; bytes && !c->bad;) {
        bytes = cursor_u8(c);
        cursor_skip(c, bytes);
    }
}

static unsigned table_bytes(uint8_t packed)
{
    return packed & 0x80 ? 3u << ((packed & 7) + 1) : 0;
}

/* Stops at the second picture: a million of them cost no more. */
static bool parse_gif(const uint8_t *b, size_t n, struct convert_image *out)
{
    if (n < 13)
        return false;
    struct cursor c = cursor_of(b + 13, n - 13);
    unsigned pictures = 0;
    out->width = u16le(b + 6);
    out->height = u16le(b + 8);
    cursor_skip(&c, table_bytes(b[10]));
    while (!c.bad && pictures < 2 && cursor_left(&c) > 0) {
        uint8_t label = cursor_u8(&c);
        if (label == 0x21) {
            cursor_skip(&c, 1);
            skip_blocks(&c);
        } else if (label == 0x2c) {
            const uint8_t *head = cursor_bytes(&c, 9);
            cursor_skip(&c, head ? table_bytes(head[8]) + 1 : 0);
            skip_blocks(&c);
            pictures++;
        } else {
            break;
        }
    }
    out->is_animated = pictures > 1;
    return out->width > 0 && out->height > 0;
}

/* RFC 9649 section 2: chunks of RIFF, padded to even sizes. */
static void parse_webp_chunk(const uint8_t *type, const uint8_t *d, size_t n,
                             struct convert_image *out)
{
    if (memcmp(type, "VP8X", 4) == 0 && n >= 10) {
        out->is_animated = (d[0] & 2) != 0;
        out->width = (u32le(d + 3) >> 8) + 1; /* bytes 4 to 6 */
        out->height = (u32le(d + 6) >> 8) + 1;
    } else if (memcmp(type, "VP8 ", 4) == 0 && n >= 10 && !out->width) {
        out->width = u16le(d + 6) & 0x3fff;
        out->height = u16le(d + 8) & 0x3fff;
    } else if (memcmp(type, "VP8L", 4) == 0 && n >= 5 && !out->width) {
        out->width = (u32le(d + 1) & 0x3fff) + 1;
        out->height = (u32le(d + 1) >> 14 & 0x3fff) + 1;
    } else if (memcmp(type, "EXIF", 4) == 0) {
        bool is_named = n > 6 && memcmp(d, "Exif\0", 6) == 0;
        out->orientation = convert_exif_orientation(d + (is_named ? 6 : 0), n - (is_named ? 6 : 0));
    }
}

static bool parse_webp(const uint8_t *b, size_t n, struct convert_image *out)
{
    struct cursor c = cursor_of(b, n);
    cursor_skip(&c, 12);
    while (!c.bad && cursor_left(&c) >= 8) {
        const uint8_t *type = cursor_bytes(&c, 4);
        const uint8_t *size = cursor_bytes(&c, 4);
        size_t bytes = MIN(u32le(size), cursor_left(&c));
        const uint8_t *data = cursor_bytes(&c, bytes);
        parse_webp_chunk(type, data, bytes, out);
        cursor_skip(&c, MIN(bytes & 1, cursor_left(&c)));
    }
    return out->width > 0 && out->height > 0;
}

bool convert_image_parse(enum convert_format format, const uint8_t *bytes, size_t n,
                         struct convert_image *out)
{
    *out = (struct convert_image){.orientation = 1};
    switch (format) {
    case CONVERT_FORMAT_PNG:
        return parse_png(bytes, n, out);
    case CONVERT_FORMAT_JPEG:
        return parse_jpeg(bytes, n, out);
    case CONVERT_FORMAT_GIF:
        return parse_gif(bytes, n, out);
    case CONVERT_FORMAT_WEBP:
        return parse_webp(bytes, n, out);
    default:
        return false;
    }
}
