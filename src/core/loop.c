/*
 * loop: libuv on a thread of its own, with a mailbox. Posts go into an array under a short mutex;
 * only the first into an empty box wakes the loop, which then swaps the whole array out and runs
 * it, so a burst of posts costs one wake-up and no allocation. What the loop's own thread posts
 * first needs no wake-up at all: an idle handle keeps the next turn from sleeping, which saves the
 * two system calls of an eventfd. Timers are in loop_timer.c.
 */
#include "core/loop.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/loop_internal.h"
#include "core/mem.h"

#define NAME_MAX_BYTES 15 /* the kernel's limit for a thread's name */

static _Thread_local struct loop *current;

struct loop *loop_current(void)
{
    return current;
}

bool loop_is_current(const struct loop *loop)
{
    return current == loop;
}

uv_loop_t *loop_uv(struct loop *loop)
{
    return &loop->uv;
}

int64_t loop_now_us(const struct loop *loop)
{
    if (!loop_is_current(loop))
        return clock_mono_us();
    if (!loop->now_us)
        ((struct loop *)loop)->now_us = clock_mono_us(); /* a cache; no loop is a const object */
    return loop->now_us;
}

/* Runs just before the loop sleeps: whatever wakes it reads the clock anew. */
static void on_prepare(uv_prepare_t *handle)
{
    struct loop *loop = handle->data;
    loop->now_us = 0;
}

/* False: there was nothing to run. */
static bool run_posts(struct loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    struct mailbox box = loop->incoming;
    loop->incoming = loop->spare;
    pthread_mutex_unlock(&loop->lock);

    for (size_t i = 0; i < box.count; i++)
        box.posts[i].fn(box.posts[i].arg);
    bool has_run = box.count > 0;
    box.count = 0;
    loop->spare = box;
    return has_run;
}

static void take_posts(struct loop *loop)
{
    run_posts(loop);
    if (loop->is_stopping)
        uv_stop(&loop->uv);
}

static void on_wake(uv_async_t *handle)
{
    take_posts(handle->data);
}

/* Before the next sleep; what these posts post waits for the turn after, with I/O between. */
static void on_own(uv_idle_t *handle)
{
    uv_idle_stop(handle);
    take_posts(handle->data);
}

static void push(struct mailbox *box, struct post post)
{
    if (box->count == box->capacity) {
        box->capacity = box->capacity ? box->capacity * 2 : 64;
        box->posts = mem_realloc_array(box->posts, box->capacity, sizeof(*box->posts));
    }
    box->posts[box->count++] = post;
}

/*
 * The wake-up is sent under the lock: a post that has run may lead to loop_destroy on another
 * thread, and the async handle must not be closed between our push and our send.
 */
void loop_post(struct loop *loop, loop_fn *fn, void *arg)
{
    pthread_mutex_lock(&loop->lock);
    bool was_empty = loop->incoming.count == 0;
    push(&loop->incoming, (struct post){fn, arg});
    if (was_empty && !loop_is_current(loop))
        uv_async_send(&loop->wake);
    else if (was_empty && !loop->is_stopping) /* its last posts are taken without a turn */
        uv_idle_start(&loop->own, on_own);
    pthread_mutex_unlock(&loop->lock);
}

struct call {
    loop_fn *fn;
    void *arg;
    uv_sem_t done;
};

static void run_call(void *arg)
{
    struct call *call = arg;
    call->fn(call->arg);
    uv_sem_post(&call->done);
}

void loop_call(struct loop *loop, loop_fn *fn, void *arg)
{
    struct call call = {.fn = fn, .arg = arg};
    assert(!loop_is_current(loop));
    if (uv_sem_init(&call.done, 0) != 0)
        abort();
    loop_post(loop, run_call, &call);
    uv_sem_wait(&call.done);
    uv_sem_destroy(&call.done);
}

static void close_leftover(uv_handle_t *handle, void *arg)
{
    size_t *count = arg;
    if (uv_is_closing(handle))
        return;
    (*count)++;
    uv_close(handle, NULL);
}

/*
 * Closes our handles, lets the closing ones of others finish, and closes what was forgotten: the
 * memory of a forgotten handle is still its owner's, so this is safe, but it is a bug worth a line.
 */
static void wind_down(struct loop *loop)
{
    size_t forgotten = 0;
    uv_close((uv_handle_t *)&loop->wake, NULL);
    uv_close((uv_handle_t *)&loop->prepare, NULL);
    uv_close((uv_handle_t *)&loop->own, NULL);
    loop_timers_close(loop);
    uv_run(&loop->uv, UV_RUN_NOWAIT);
    uv_walk(&loop->uv, close_leftover, &forgotten);
    if (forgotten)
        log_warn(NULL, "loop %s: %zu handles were still open at its end", loop->name, forgotten);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    int code = uv_loop_close(&loop->uv);
    assert(code == 0);
    (void)code;
}

static void *thread_main(void *arg)
{
    struct loop *loop = arg;
    current = loop;
    pthread_setname_np(pthread_self(), loop->name);
    while (!loop->is_stopping)
        uv_run(&loop->uv, UV_RUN_DEFAULT);
    while (run_posts(loop)) { /* posts made by the last posts */
    }
    wind_down(loop);
    return NULL;
}

static void stop(void *arg)
{
    struct loop *loop = arg;
    loop->is_stopping = true;
}

enum err loop_create(struct loop **out, const char *name)
{
    struct loop *loop = mem_new(struct loop);
    int code = uv_loop_init(&loop->uv);
    if (code != 0) {
        free(loop);
        return err_from_uv(code);
    }
    snprintf(loop->name, sizeof(loop->name), "%.*s", NAME_MAX_BYTES, name);
    pthread_mutex_init(&loop->lock, NULL);
    uv_prepare_init(&loop->uv, &loop->prepare);
    loop->prepare.data = loop;
    uv_prepare_start(&loop->prepare, on_prepare);
    uv_idle_init(&loop->uv, &loop->own);
    loop->own.data = loop;
    loop_timers_init(loop);
    code = uv_async_init(&loop->uv, &loop->wake, on_wake);
    loop->wake.data = loop;
    if (code == 0)
        code = -pthread_create(&loop->thread, NULL, thread_main, loop);
    if (code != 0) {
        uv_walk(&loop->uv, close_leftover, &(size_t){0});
        uv_run(&loop->uv, UV_RUN_DEFAULT);
        uv_loop_close(&loop->uv);
        pthread_mutex_destroy(&loop->lock);
        free(loop);
        return err_from_uv(code);
    }
    *out = loop;
    return ERR_OK;
}

void loop_destroy(struct loop **loop)
{
    struct loop *it = *loop;
    if (!it)
        return;
    assert(!loop_is_current(it));
    loop_post(it, stop, it);
    pthread_join(it->thread, NULL);
    pthread_mutex_destroy(&it->lock);
    free(it->incoming.posts);
    free(it->spare.posts);
    free(it->heap);
    free(it);
    *loop = NULL;
}
