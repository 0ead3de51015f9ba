/* loop_internal: what a loop is made of, for loop.c and loop_timer.c. */
#pragma once

#include <pthread.h>

#include "core/loop.h"

struct post {
    loop_fn *fn;
    void *arg;
};

struct mailbox {
    struct post *posts;
    size_t count;
    size_t capacity;
};

struct loop {
    uv_loop_t uv;
    uv_async_t wake;
    uv_prepare_t prepare;
    uv_idle_t own; /* the loop's own thread posted */
    uv_timer_t timer;
    pthread_t thread;
    char name[16];

    pthread_mutex_t lock;
    struct mailbox incoming; /* under the lock */

    /* All below: the loop's thread only. */
    struct mailbox spare;
    bool is_stopping;
    int64_t now_us;           /* 0: not read yet in this turn */
    struct loop_timer **heap; /* 1-based binary heap by due_us */
    size_t heap_count;
    size_t heap_capacity;
    int64_t armed_us; /* when the uv timer will fire; 0: it rests */
};

void loop_timers_init(struct loop *loop);
/* Closes the uv timer and disarms every timer without calling it. */
void loop_timers_close(struct loop *loop);
