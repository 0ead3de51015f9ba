/* counters: a worker's own counts. One writer, any reader: plain adds, no locked instruction. */
#pragma once

#include <stdatomic.h>

#include "sfu/sfu.h"

struct counters {
    _Atomic uint64_t values[SFU_COUNTER_COUNT];
};

static inline void counters_add(struct counters *c, enum sfu_counter which, uint64_t n)
{
    uint64_t v = atomic_load_explicit(&c->values[which], memory_order_relaxed);
    atomic_store_explicit(&c->values[which], v + n, memory_order_relaxed);
}
