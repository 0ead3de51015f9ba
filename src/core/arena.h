/*
 * arena: memory that dies together (a request, an RPC call). Not thread-safe: one owner at a time.
 * Aborts on OOM. Built with -DARENA_DEBUG each allocation is a malloc of its own, so ASan sees
 * overruns.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "core/base.h"

typedef void arena_fn(void *arg);

struct arena *arena_create(void);
/* Sets *a to NULL (it may lie in the arena itself), runs deferred calls, newest first, and frees
 * everything. Accepts NULL. */
void arena_destroy(struct arena **a);
/* Zeroed, aligned to 16. */
void *arena_alloc(struct arena *a, size_t bytes);
#define arena_new(a, type) ((type *)arena_alloc((a), sizeof(type)))
#define arena_array(a, type, count) ((type *)arena_alloc_array((a), (count), sizeof(type)))
void *arena_alloc_array(struct arena *a, size_t count, size_t size); /* aborts on overflow */
char *arena_strdup(struct arena *a, const char *s);                  /* NULL stays NULL */
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
void *arena_memdup(struct arena *a, const void *bytes, size_t n);
void arena_defer(struct arena *a, arena_fn *fn, void *arg);
/* Bytes handed out so far. */
size_t arena_used(const struct arena *a);
/*
 * An allocator for protobuf-c unpacking into the arena; free is a no-op. Beyond `limit` bytes (0:
 * 16 MiB) allocation yields NULL, which makes unpack fail instead of exploding (1 MiB of empty
 * submessages would unpack to 93 MiB). The returned struct itself lives in the arena.
 */
ProtobufCAllocator *arena_protobuf(struct arena *a, size_t limit);
