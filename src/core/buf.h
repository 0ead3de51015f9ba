/*
 * buf: one packet. Fixed-size, reference-counted without atomics: a buf never leaves the worker
 * that owns its pool. Fan-out is N references to one plaintext.
 */
#pragma once

#include "core/base.h"

#define BUF_CAPACITY 1792 /* bytes: notes of the owner (256), an Ethernet frame, an SRTP tag */

struct buf_pool;

struct buf {
    struct buf_pool *pool;
    struct buf *next_free;
    uint32_t refs;
    uint16_t offset; /* where the packet begins in data */
    uint16_t n;      /* bytes of packet */
    uint8_t data[BUF_CAPACITY] __attribute__((aligned(16)));
};

/* Memory grows in slabs up to `max_count` bufs and is kept. */
struct buf_pool *buf_pool_create(size_t max_count);
/* All bufs must have been returned (asserted). */
void buf_pool_destroy(struct buf_pool **pool);
/* NULL: the pool is dry; drop the packet and count it. */
struct buf *buf_get(struct buf_pool *pool);
static inline struct buf *buf_ref(struct buf *b)
{
    b->refs++;
    return b;
}
/* Accepts NULL; sets *b to NULL. */
void buf_unref(struct buf **b);
size_t buf_pool_used(const struct buf_pool *pool);

static inline uint8_t *buf_bytes(struct buf *b)
{
    return b->data + b->offset;
}
