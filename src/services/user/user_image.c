/*
 * user_image: three small walkers over chunks and segments, all on cursors, so no length in the
 * file leads beyond it. Kept are the parts on a short list per format; everything else is left out.
 */
#include "services/user/user_image.h"

#include "core/cursor.h"

static const char broken[] = "the picture is broken or cut short";

static bool is_one_of(const uint8_t *tag, const char *tags)
{
    for (; *tags; tags += 4)
        if (memcmp(tag, tags, 4) == 0)
            return true;
    return false;
}

/* ---- PNG (ISO/IEC 15948): signature, then chunks of length, type, data, CRC ---- */

static const uint8_t png_signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

static bool clean_png(struct cursor c, struct strbuf *out, struct user_image *image)
{
    static const char kept[] = "IHDRPLTEIDATIENDtRNSgAMAcHRMsRGBsBITpHYs";
    cursor_skip(&c, sizeof(png_signature));
    strbuf_add(out, png_signature, sizeof(png_signature));
    for (bool is_first = true, is_end = false; !is_end; is_first = false) {
        const uint8_t *start = c.p;
        uint32_t n = cursor_u32(&c);
        const uint8_t *type = cursor_bytes(&c, 4);
        struct cursor data = cursor_sub(&c, n);
        cursor_skip(&c, 4);
        if (c.bad || (memcmp(type, "IHDR", 4) == 0) != is_first)
            return false;
        if (is_first) {
            image->width = cursor_u32(&data);
            image->height = cursor_u32(&data);
            if (n != 13)
                return false;
        }
        if (is_one_of(type, kept))
            strbuf_add(out, start, (size_t)(c.p - start));
        is_end = memcmp(type, "IEND", 4) == 0;
    }
    return true;
}

/* ---- JPEG (ITU-T T.81): segments of marker and length; scans run until the next marker ---- */

enum {
    JPEG_SOF0 = 0xc0,
    JPEG_SOF2 = 0xc2,
    JPEG_DHT = 0xc4,
    JPEG_RST0 = 0xd0,
    JPEG_RST7 = 0xd7,
    JPEG_SOI = 0xd8,
    JPEG_EOI = 0xd9,
    JPEG_SOS = 0xda,
    JPEG_DQT = 0xdb,
    JPEG_DRI = 0xdd,
    JPEG_APP0 = 0xe0,
    JPEG_APP14 = 0xee, /* Adobe: says how the colours are coded */
};

static bool is_jpeg_kept(uint8_t marker)
{
    return (marker >= JPEG_SOF0 && marker <= JPEG_SOF2) || marker == JPEG_DHT ||
           marker == JPEG_SOS || marker == JPEG_DQT || marker == JPEG_DRI || marker == JPEG_APP0 ||
           marker == JPEG_APP14;
}

/* Coded data: 0xff stands in it only before 0x00 or a restart marker. Leaves c at the next marker.
 */
static void skip_scan(struct cursor *c)
{
    while (cursor_left(c) >= 2) {
        bool is_marker =
            c->p[0] == 0xff && c->p[1] != 0 && !(c->p[1] >= JPEG_RST0 && c->p[1] <= JPEG_RST7);
        if (is_marker)
            return;
        c->p++;
    }
    c->bad = true;
}

static bool clean_jpeg(struct cursor c, struct strbuf *out, struct user_image *image)
{
    bool has_scan = false;
    strbuf_add(out, c.p, 2);
    cursor_skip(&c, 2);
    for (;;) {
        const uint8_t *start = c.p;
        if (cursor_u8(&c) != 0xff)
            return false;
        uint8_t marker = cursor_u8(&c);
        if (marker == 0xff && !c.bad) { /* fill byte */
            c.p = start + 1;
            continue;
        }
        if (marker == JPEG_EOI) {
            strbuf_add(out, start, 2);
            return has_scan && !c.bad;
        }
        uint16_t n = cursor_u16(&c);
        struct cursor body = cursor_sub(&c, n >= 2 ? n - 2u : 0);
        if (c.bad || n < 2)
            return false;
        if (marker >= JPEG_SOF0 && marker <= JPEG_SOF2) {
            cursor_skip(&body, 1);
            image->height = cursor_u16(&body);
            image->width = cursor_u16(&body);
        }
        if (marker == JPEG_SOS) {
            skip_scan(&c);
            has_scan = true;
        }
        if (c.bad)
            return false;
        if (is_jpeg_kept(marker))
            strbuf_add(out, start, (size_t)(c.p - start));
    }
}

/* ---- WebP (RFC 9649): RIFF chunks, little-endian, padded to even ---- */

static uint32_t u32_le(const uint8_t *b)
{
    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static bool webp_size(const uint8_t *type, const uint8_t *b, size_t n, struct user_image *image)
{
    if (memcmp(type, "VP8X", 4) == 0 && n >= 10) {
        image->width = (u32_le(b + 4) & 0xffffff) + 1;
        image->height = (uint32_t)(b[7] | b[8] << 8 | b[9] << 16) + 1;
        return true;
    }
    if (memcmp(type, "VP8L", 4) == 0 && n >= 5 && b[0] == 0x2f) {
        uint32_t bits = u32_le(b + 1);
        image->width = (bits & 0x3fff) + 1;
        image->height = (bits >> 14 & 0x3fff) + 1;
        return true;
    }
    if (memcmp(type, "VP8 ", 4) == 0 && n >= 10 && b[3] == 0x9d && b[4] == 1 && b[5] == 0x2a) {
        image->width = (uint32_t)(b[6] | b[7] << 8) & 0x3fff;
        image->height = (uint32_t)(b[8] | b[9] << 8) & 0x3fff;
        return true;
    }
    return false;
}

static void add_u32_le(struct strbuf *out, uint32_t v)
{
    uint8_t b[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
    strbuf_add(out, b, 4);
}

static bool clean_webp(struct cursor c, struct strbuf *out, struct user_image *image)
{
    size_t head = out->n;
    bool has_picture = false;
    strbuf_add(out, c.p, 12);
    cursor_skip(&c, 4);
    const uint8_t *size = cursor_bytes(&c, 4);
    struct cursor body = cursor_sub(&c, u32_le(size));
    cursor_skip(&body, 4); /* "WEBP" */
    while (!body.bad && cursor_left(&body) > 0) {
        const uint8_t *type = cursor_bytes(&body, 4);
        const uint8_t *length = cursor_bytes(&body, 4);
        uint32_t n = length ? u32_le(length) : 0;
        const uint8_t *data = cursor_bytes(&body, n);
        if ((n & 1) && cursor_left(&body) > 0)
            cursor_skip(&body, 1);
        if (body.bad || is_one_of(type, "ANIMANMF"))
            return false;
        if (!is_one_of(type, "VP8 VP8LVP8XALPH"))
            continue;
        if (!image->width && !webp_size(type, data, n, image))
            return false;
        has_picture |= is_one_of(type, "VP8 VP8L");
        strbuf_add(out, type, 8);
        strbuf_add(out, data, n);
        if (memcmp(type, "VP8X", 4) == 0 && n > 0)
            out->p[out->n - n] &= 0x10; /* of the flags only "has alpha" is still true */
        if (n & 1)
            strbuf_addc(out, 0);
    }
    struct strbuf total = {0};
    add_u32_le(&total, (uint32_t)(out->n - head - 8));
    memcpy(out->p + head + 4, total.p, 4);
    strbuf_deinit(&total);
    return has_picture && !body.bad;
}

bool user_image_clean(const void *bytes, size_t n, struct strbuf *out, struct user_image *image,
                      const char **problem)
{
    struct cursor c = cursor_of(bytes, n);
    bool is_whole = false;
    *image = (struct user_image){0};
    *problem = broken;
    if (n >= 8 && memcmp(c.p, png_signature, 8) == 0) {
        image->content_type = "image/png";
        is_whole = clean_png(c, out, image);
    } else if (n >= 4 && c.p[0] == 0xff && c.p[1] == JPEG_SOI && c.p[2] == 0xff) {
        image->content_type = "image/jpeg";
        is_whole = clean_jpeg(c, out, image);
    } else if (n >= 20 && memcmp(c.p, "RIFF", 4) == 0 && memcmp(c.p + 8, "WEBP", 4) == 0) {
        image->content_type = "image/webp";
        is_whole = clean_webp(c, out, image);
    } else {
        *problem = "expected a PNG, JPEG or WebP picture";
    }
    if (is_whole &&
        (image->width - 1u >= USER_IMAGE_SIDE_MAX || image->height - 1u >= USER_IMAGE_SIDE_MAX)) {
        *problem = "the picture may have at most 4096 pixels a side";
        return false;
    }
    return is_whole;
}
