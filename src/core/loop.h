/*
 * loop: a thread that waits (libuv inside). Everything that a loop owns is touched on its thread
 * alone; others talk to it by loop_post. Callbacks fire exactly once and never inside the call that
 * registered them.
 */
#pragma once

#include <uv.h>

#include "core/err.h"

struct loop;
typedef void loop_fn(void *arg);

/* A loop with its own thread (name <= 15 chars, shown by top -H). */
MUST_USE enum err loop_create(struct loop **out, const char *name);
/* Stops the thread after the posts that are already queued, joins it, frees. Not from the loop
 * itself. */
void loop_destroy(struct loop **loop);
/* Runs fn(arg) on the loop, in order of posting. From any thread, never blocks. */
void loop_post(struct loop *loop, loop_fn *fn, void *arg);
/* loop_post, then waits until fn has run. Not from the loop itself. */
void loop_call(struct loop *loop, loop_fn *fn, void *arg);
bool loop_is_current(const struct loop *loop);
/* The loop whose thread this is, or NULL. */
struct loop *loop_current(void);
/* For uv_poll and friends; only on the loop's thread. */
uv_loop_t *loop_uv(struct loop *loop);
/* Monotonic microseconds, read once per turn of the loop. */
int64_t loop_now_us(const struct loop *loop);

#define LOOP_ASSERT(loop) assert(loop_is_current(loop))

/* Timers belong to the caller's storage and to one loop; zero-initialise. */
struct loop_timer {
    struct loop *loop;
    loop_fn *fn;
    void *arg;
    int64_t due_us;
    size_t heap_index; /* internal; 0 = not armed */
};

/* (Re)arms: fn(arg) once, after_ms from now. */
void loop_timer_start(struct loop *loop, struct loop_timer *t, int64_t after_ms, loop_fn *fn,
                      void *arg);
/* Safe when not armed. */
void loop_timer_stop(struct loop_timer *t);
static inline bool loop_timer_is_armed(const struct loop_timer *t)
{
    return t->heap_index != 0;
}
