/*
 * mark: who sent this packet, which one it is, and when. It stands at the end of the payload, where
 * no server rewrites anything, and survives payload descriptors of any length and RTP padding.
 *
 *   | magic 4 | source 2 | kind 1 | key 1 | number 4 | time of sending, ns 8 |
 */
#include "load.h"

#define MAGIC 0x70614c6fu

void mark_write(uint8_t out[MARK_BYTES], const struct mark *m)
{
    struct writer w = writer_of(out, MARK_BYTES);
    writer_u32(&w, MAGIC);
    writer_u16(&w, m->source);
    writer_u8(&w, m->is_video);
    writer_u8(&w, m->is_key);
    writer_u32(&w, m->number);
    writer_u64(&w, (uint64_t)m->sent_ns);
}

bool mark_read(struct mark *out, const uint8_t *payload, size_t n)
{
    if (n < MARK_BYTES)
        return false;
    struct cursor c = cursor_of(payload + n - MARK_BYTES, MARK_BYTES);
    if (cursor_u32(&c) != MAGIC)
        return false;
    out->source = cursor_u16(&c);
    out->is_video = cursor_u8(&c);
    out->is_key = cursor_u8(&c);
    out->number = cursor_u32(&c);
    out->sent_ns = (int64_t)cursor_u64(&c);
    return true;
}
