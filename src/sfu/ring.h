/*
 * ring: packets from one worker to one other, without locks: a circle of bytes with one writer and
 * one reader. Written messages become visible together, by ring_publish; the reader sees a run of
 * them as one batch. A full ring refuses, and the writer counts.
 */
#pragma once

#include <stdatomic.h>

#include "core/base.h"

struct ring;

/* Rounded up to a power of two of at least 64 kB. */
struct ring *ring_create(size_t bytes);
void ring_destroy(struct ring **ring);

/* ---- the writer's thread ---- */

/* Room for a message of n bytes, aligned to 16; NULL: full. Fill it before the next call. */
void *ring_write(struct ring *ring, uint32_t n);
/* True when something new became visible: then wake the reader. */
bool ring_publish(struct ring *ring);

/* ---- the reader's thread ---- */

/* How far the writer had come; give it to ring_read. */
uint64_t ring_head(const struct ring *ring);
/* The next message before `head`, or NULL. It is valid until ring_release. */
const void *ring_read(struct ring *ring, uint64_t head, uint32_t *n);
/* Gives back everything that was read. */
void ring_release(struct ring *ring);
