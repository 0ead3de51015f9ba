/*
 * convert_report: what the helper tells the parent: a head of fixed size, then the small picture.
 * The helper may have been taken over by what it decoded, so the parent believes nothing that is
 * outside of the bounds an honest one keeps.
 */
#include <string.h>

#include "convert/convert_internal.h"

#define REPORT_MAGIC 0x50434f4eu /* "PCON" */
#define DURATION_MAX_MS ((int64_t)366 * 24 * 3600 * 1000)

void convert_report_write(const struct convert_report *r, uint8_t *head)
{
    struct writer w = writer_of(head, CONVERT_REPORT_HEAD_BYTES);
    memset(head, 0, CONVERT_REPORT_HEAD_BYTES);
    writer_u32(&w, REPORT_MAGIC);
    writer_u8(&w, (uint8_t)r->refusal);
    writer_u8(&w, (uint8_t)r->kind);
    writer_u8(&w, r->is_animated);
    writer_u8(&w, (uint8_t)r->waveform_count);
    writer_u32(&w, r->width);
    writer_u32(&w, r->height);
    writer_u32(&w, (uint32_t)((uint64_t)r->duration_ms >> 32));
    writer_u32(&w, (uint32_t)r->duration_ms);
    writer_u16(&w, (uint16_t)r->thumbnail_width);
    writer_u16(&w, (uint16_t)r->thumbnail_height);
    writer_u32(&w, (uint32_t)r->thumbnail_bytes);
    writer_u32(&w, 0);
    writer_bytes(&w, r->waveform, sizeof(r->waveform));
}

/* RFC 9649: RIFF, the size of what follows, WEBP. */
static bool is_webp(const uint8_t *bytes, size_t n)
{
    return n > 20 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0;
}

static bool is_possible(const struct convert_report *r)
{
    if (r->refusal >= CONVERT_REFUSALS || r->kind > CONVERT_VIDEO)
        return false;
    if (r->waveform_count != 0 && r->waveform_count != CONVERT_WAVEFORM_PEAKS)
        return false;
    if (r->width > UINT16_MAX * 16u || r->height > UINT16_MAX * 16u)
        return r->refusal == CONVERT_TOO_LARGE; /* a bomb may say what it wants */
    if (r->duration_ms < 0 || r->duration_ms > DURATION_MAX_MS)
        return false;
    if (r->thumbnail_bytes == 0)
        return true;
    return r->refusal == CONVERT_FINE && is_webp(r->thumbnail, r->thumbnail_bytes) &&
           r->thumbnail_width - 1u < CONVERT_THUMBNAIL_PX_MAX &&
           r->thumbnail_height - 1u < CONVERT_THUMBNAIL_PX_MAX;
}

bool convert_report_parse(const uint8_t *bytes, size_t n, struct convert_report *out)
{
    struct cursor c = cursor_of(bytes, n);
    memset(out, 0, sizeof(*out));
    uint32_t magic = cursor_u32(&c);
    out->refusal = cursor_u8(&c);
    out->kind = cursor_u8(&c);
    out->is_animated = cursor_u8(&c) != 0;
    out->waveform_count = cursor_u8(&c);
    out->width = cursor_u32(&c);
    out->height = cursor_u32(&c);
    out->duration_ms = (int64_t)cursor_u64(&c);
    out->thumbnail_width = cursor_u16(&c);
    out->thumbnail_height = cursor_u16(&c);
    out->thumbnail_bytes = cursor_u32(&c);
    cursor_skip(&c, 4);
    const uint8_t *waveform = cursor_bytes(&c, sizeof(out->waveform));
    if (waveform)
        memcpy(out->waveform, waveform, sizeof(out->waveform));
    out->thumbnail = (uint8_t *)cursor_bytes(&c, out->thumbnail_bytes);
    return !c.bad && magic == REPORT_MAGIC && cursor_left(&c) == 0 && is_possible(out);
}
