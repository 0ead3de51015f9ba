/* siphash_internal: keyed hashing for map.c. 2-4 exists so that the published vectors can be tested
 * against the very code that 1-3 uses. */
#pragma once

#include "core/base.h"

uint64_t siphash_1_3(const uint64_t key[2], const void *bytes, size_t n);
uint64_t siphash_2_4(const uint64_t key[2], const void *bytes, size_t n);
