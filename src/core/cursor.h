/*
 * cursor: reads (and writes) wire formats without ever leaving the buffer. A getter that would
 * overrun marks the cursor bad and yields zero; the parser checks `bad` once at the end. Every
 * parser of outside bytes uses this and nothing else (tools/check_rooms.py looks for memcpy in
 * src/sfu/wire). All integers are big-endian unless the name says otherwise.
 */
#pragma once

#include <string.h>

#include "core/base.h"

struct cursor {
    const uint8_t *p;
    const uint8_t *end;
    bool bad;
};

static inline struct cursor cursor_of(const void *bytes, size_t n)
{
    return (struct cursor){bytes, (const uint8_t *)bytes + n, false};
}

static inline size_t cursor_left(const struct cursor *c)
{
    return (size_t)(c->end - c->p);
}

/* n bytes as a slice of the buffer; NULL (and bad) when there are fewer. */
static inline const uint8_t *cursor_bytes(struct cursor *c, size_t n)
{
    if (unlikely(c->bad || cursor_left(c) < n)) {
        c->bad = true;
        return NULL;
    }
    const uint8_t *at = c->p;
    c->p += n;
    return at;
}

static inline uint8_t cursor_u8(struct cursor *c)
{
    const uint8_t *b = cursor_bytes(c, 1);
    return b ? b[0] : 0;
}

static inline uint16_t cursor_u16(struct cursor *c)
{
    const uint8_t *b = cursor_bytes(c, 2);
    return b ? (uint16_t)(b[0] << 8 | b[1]) : 0;
}

static inline uint32_t cursor_u24(struct cursor *c)
{
    const uint8_t *b = cursor_bytes(c, 3);
    return b ? (uint32_t)b[0] << 16 | (uint32_t)b[1] << 8 | b[2] : 0;
}

static inline uint32_t cursor_u32(struct cursor *c)
{
    const uint8_t *b = cursor_bytes(c, 4);
    return b ? (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3] : 0;
}

static inline uint64_t cursor_u64(struct cursor *c)
{
    uint64_t high = cursor_u32(c);
    return high << 32 | cursor_u32(c);
}

static inline void cursor_skip(struct cursor *c, size_t n)
{
    (void)cursor_bytes(c, n);
}

/* A cursor over the next n bytes; empty and bad when there are fewer. */
static inline struct cursor cursor_sub(struct cursor *c, size_t n)
{
    const uint8_t *b = cursor_bytes(c, n);
    return b ? cursor_of(b, n) : (struct cursor){c->end, c->end, true};
}

/* writer: the same promise in the other direction. */
struct writer {
    uint8_t *start;
    uint8_t *p;
    uint8_t *end;
    bool bad; /* something did not fit; what was written so far is not a whole message */
};

static inline struct writer writer_of(void *bytes, size_t capacity)
{
    return (struct writer){bytes, bytes, (uint8_t *)bytes + capacity, false};
}

static inline size_t writer_size(const struct writer *w)
{
    return (size_t)(w->p - w->start);
}

static inline uint8_t *writer_reserve(struct writer *w, size_t n)
{
    if (unlikely(w->bad || (size_t)(w->end - w->p) < n)) {
        w->bad = true;
        return NULL;
    }
    uint8_t *at = w->p;
    w->p += n;
    return at;
}

static inline void writer_bytes(struct writer *w, const void *bytes, size_t n)
{
    uint8_t *at = writer_reserve(w, n);
    if (at && n)
        memcpy(at, bytes, n);
}

static inline void writer_u8(struct writer *w, uint8_t v)
{
    writer_bytes(w, &v, 1);
}

static inline void writer_u16(struct writer *w, uint16_t v)
{
    uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};
    writer_bytes(w, b, 2);
}

static inline void writer_u24(struct writer *w, uint32_t v)
{
    uint8_t b[3] = {(uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    writer_bytes(w, b, 3);
}

static inline void writer_u32(struct writer *w, uint32_t v)
{
    uint8_t b[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    writer_bytes(w, b, 4);
}

static inline void writer_u64(struct writer *w, uint64_t v)
{
    writer_u32(w, (uint32_t)(v >> 32));
    writer_u32(w, (uint32_t)v);
}
