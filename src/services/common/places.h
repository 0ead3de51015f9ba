/*
 * places: what a gateway has readers for, said in 8 KiB. Each id (an account's, a conversation's)
 * has a place by its hash, and many share one: who looks a place up may find it though the id is
 * not meant, never the opposite.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define PLACES_COUNT 65536u
#define PLACES_BYTES (PLACES_COUNT / 8)

/* FNV-1a: the same in every process, and nobody gains by ids that meet. */
static inline uint32_t place_of_id(const char *id)
{
    uint64_t hash = 14695981039346656037u;
    for (; *id; id++)
        hash = (hash ^ (uint8_t)*id) * 1099511628211u;
    return (uint32_t)((hash ^ hash >> 32) % PLACES_COUNT);
}

static inline bool place_is_set(const uint8_t *places, uint32_t place)
{
    return places[place / 8] >> place % 8 & 1;
}

static inline void place_set(uint8_t *places, uint32_t place)
{
    places[place / 8] |= (uint8_t)(1u << place % 8);
}
