/* store_kept: the bytes of a bound parameter until its statement runs, for drivers that send them
 * themselves. What is small needs no allocation, what is larger keeps its own for the next time. */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

#define STORE_KEPT_SMALL_BYTES 32

struct store_kept {
    char small[STORE_KEPT_SMALL_BYTES];
    char *owned;
    size_t capacity;
};

/* A copy, valid until the next one or store_kept_deinit. */
static inline char *store_keep(struct store_kept *kept, const void *bytes, size_t n)
{
    bool is_small = n <= sizeof(kept->small);
    if (!is_small && n > kept->capacity) {
        kept->owned = mem_realloc(kept->owned, n);
        kept->capacity = n;
    }
    char *at = is_small ? kept->small : kept->owned;
    if (n)
        memcpy(at, bytes, n);
    return at;
}

static inline void store_kept_deinit(struct store_kept *kept)
{
    free(kept->owned);
}
