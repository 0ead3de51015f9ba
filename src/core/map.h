/*
 * map: open-addressing hash table. Two flavours: text keys (copied, SipHash with a per-process key,
 * so outsiders cannot aim collisions) and 64-bit keys (the same). Values are the caller's pointers.
 * Not thread-safe.
 */
#pragma once

#include "core/str.h"

struct map;

struct map *map_create(void);                       /* struct str -> void * */
void map_destroy(struct map **m);                   /* values are not freed */
void *map_get(const struct map *m, struct str key); /* NULL when absent */
/* Sets and returns the former value or NULL. value must not be NULL. */
void *map_set(struct map *m, struct str key, void *value);
void *map_remove(struct map *m, struct str key); /* the former value or NULL */
size_t map_count(const struct map *m);
/* Iterates: start with *at = 0; false at the end. The entry last returned may be removed meanwhile.
 */
bool map_next(const struct map *m, size_t *at, struct str *key, void **value);

struct map64;
struct map64 *map64_create(void); /* uint64_t -> void * */
void map64_destroy(struct map64 **m);
void *map64_get(const struct map64 *m, uint64_t key);
void *map64_set(struct map64 *m, uint64_t key, void *value);
void *map64_remove(struct map64 *m, uint64_t key);
size_t map64_count(const struct map64 *m);
bool map64_next(const struct map64 *m, size_t *at, uint64_t *key, void **value);

/* Keyed 64-bit hash of bytes (SipHash-1-3 over a random per-process key). */
uint64_t map_hash(const void *bytes, size_t n);
