/* mem: the allocations of the house. Small ones cannot fail: on OOM the program says so and aborts.
 * Untrusted sizes are bounded by the caller first. Memory goes back with free(3). */
#pragma once

#include "core/base.h"

/* Zero bytes yield a unique pointer, never NULL. */
void *mem_alloc(size_t bytes) __attribute__((malloc, returns_nonnull, alloc_size(1)));
void *mem_zalloc(size_t bytes) __attribute__((malloc, returns_nonnull, alloc_size(1)));
/* Zeroed; aborts when count * size overflows. */
void *mem_calloc(size_t count, size_t size)
    __attribute__((malloc, returns_nonnull, alloc_size(1, 2)));
void *mem_realloc(void *p, size_t bytes) __attribute__((returns_nonnull, alloc_size(2)));
/* For growing arrays; aborts when count * size overflows. */
void *mem_realloc_array(void *p, size_t count, size_t size)
    __attribute__((returns_nonnull, alloc_size(2, 3)));
/* NULL stays NULL. */
char *mem_strdup(const char *s) __attribute__((malloc));
void *mem_dup(const void *bytes, size_t n) __attribute__((malloc, returns_nonnull));

#define mem_new(type) ((type *)mem_zalloc(sizeof(type)))
