/*
 * loop_timer: any number of timers of one loop in a binary heap, driven by a single uv timer. A
 * timer that is pushed back again and again (an idle timeout) costs only the heap: the uv timer is
 * re-armed when something becomes due earlier, and otherwise wakes up once in vain.
 */
#include <assert.h>

#include "core/clock.h"
#include "core/loop_internal.h"
#include "core/mem.h"

static void place(struct loop *loop, size_t at, struct loop_timer *t)
{
    loop->heap[at] = t;
    t->heap_index = at;
}

static void sift_up(struct loop *loop, size_t at)
{
    struct loop_timer *t = loop->heap[at];
    while (at > 1 && loop->heap[at / 2]->due_us > t->due_us) {
        place(loop, at, loop->heap[at / 2]);
        at /= 2;
    }
    place(loop, at, t);
}

static void sift_down(struct loop *loop, size_t at)
{
    struct loop_timer *t = loop->heap[at];
    for (size_t child; (child = at * 2) <= loop->heap_count; at = child) {
        if (child < loop->heap_count && loop->heap[child + 1]->due_us < loop->heap[child]->due_us)
            child++;
        if (loop->heap[child]->due_us >= t->due_us)
            break;
        place(loop, at, loop->heap[child]);
    }
    place(loop, at, t);
}

static void heap_add(struct loop *loop, struct loop_timer *t)
{
    if (loop->heap_count + 1 >= loop->heap_capacity) { /* slot 0 stays unused */
        loop->heap_capacity = loop->heap_capacity ? loop->heap_capacity * 2 : 32;
        loop->heap =
            mem_realloc_array(loop->heap, loop->heap_capacity, sizeof(struct loop_timer *));
    }
    place(loop, ++loop->heap_count, t);
    sift_up(loop, loop->heap_count);
}

static void heap_remove(struct loop *loop, struct loop_timer *t)
{
    size_t at = t->heap_index;
    struct loop_timer *last = loop->heap[loop->heap_count--];
    t->heap_index = 0;
    if (last == t)
        return;
    place(loop, at, last);
    sift_up(loop, at);
    sift_down(loop, last->heap_index);
}

static void on_timer(uv_timer_t *handle);

/* Makes sure that the uv timer fires no later than the first of the heap is due. */
static void arm(struct loop *loop)
{
    if (loop->heap_count == 0)
        return;
    int64_t due_us = loop->heap[1]->due_us;
    if (loop->armed_us && loop->armed_us <= due_us)
        return;
    int64_t wait_us = due_us - clock_mono_us();
    /* At least 1 ms: libuv would run a timer of 0 ms again within the same turn. */
    uint64_t wait_ms = wait_us <= 1000 ? 1 : (uint64_t)(wait_us + 999) / 1000;
    uv_update_time(&loop->uv);
    uv_timer_start(&loop->timer, on_timer, wait_ms, 0);
    loop->armed_us = due_us;
}

/*
 * Runs what is due as of now. What a callback arms is due later than this `now` (see
 * loop_timer_start), so a timer that re-arms itself cannot keep us here.
 */
static void on_timer(uv_timer_t *handle)
{
    struct loop *loop = handle->data;
    int64_t now_us = loop->now_us = clock_mono_us();
    loop->armed_us = 0;
    while (loop->heap_count && loop->heap[1]->due_us <= now_us) {
        struct loop_timer *t = loop->heap[1];
        heap_remove(loop, t);
        t->fn(t->arg); /* may free t */
    }
    arm(loop);
}

void loop_timer_start(struct loop *loop, struct loop_timer *t, int64_t after_ms, loop_fn *fn,
                      void *arg)
{
    LOOP_ASSERT(loop);
    assert(!t->heap_index || t->loop == loop);
    if (t->heap_index)
        heap_remove(loop, t);
    /* Bounded, so that sums cannot overflow: a hundred years is never. */
    int64_t after_us = CLAMP(after_ms, 0, INT64_C(3155760000000)) * 1000;
    *t = (struct loop_timer){
        .loop = loop, .fn = fn, .arg = arg, .due_us = loop_now_us(loop) + MAX(after_us, 1)};
    heap_add(loop, t);
    arm(loop);
}

void loop_timer_stop(struct loop_timer *t)
{
    if (!t->heap_index)
        return;
    LOOP_ASSERT(t->loop);
    heap_remove(t->loop, t);
}

void loop_timers_init(struct loop *loop)
{
    uv_timer_init(&loop->uv, &loop->timer);
    loop->timer.data = loop;
}

void loop_timers_close(struct loop *loop)
{
    while (loop->heap_count)
        heap_remove(loop, loop->heap[loop->heap_count]);
    uv_close((uv_handle_t *)&loop->timer, NULL);
}
