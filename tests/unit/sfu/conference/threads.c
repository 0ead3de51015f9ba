/*
 * threads: the workers of a conference on threads of their own. Between the two barriers of a step
 * everything happens at once, as it does in the server; outside of them only the test runs.
 */
#include "conference.h"

#include <stdlib.h>

#include "core/mem.h"

static void *run_worker(void *arg)
{
    struct conference_worker *me = arg;
    struct conference *f = me->conference;
    struct conference_threads *t = f->threads;
    for (;;) {
        pthread_barrier_wait(&t->begin);
        if (t->is_ending)
            return NULL;
        conference_step_worker(f, me->index, t->arrived, t->arrived_count);
        if (atomic_exchange(&me->is_woken, false))
            (void)sfu_worker_poll(sfu_worker(f->sfu, me->index), f->now_us);
        pthread_barrier_wait(&t->end);
    }
}

void conference_threads_start(struct conference *f, void (*meanwhile)(struct conference *f))
{
    struct conference_threads *t = mem_new(struct conference_threads);
    t->meanwhile = meanwhile;
    f->threads = t;
    if (pthread_mutex_init(&t->lock, NULL) ||
        pthread_barrier_init(&t->begin, NULL, f->worker_count + 1) ||
        pthread_barrier_init(&t->end, NULL, f->worker_count + 1))
        abort();
    for (unsigned i = 0; i < f->worker_count; i++)
        if (pthread_create(&t->threads[i], NULL, run_worker, &f->workers[i]))
            abort();
}

void conference_threads_step(struct conference *f, struct net_packet **arrived, size_t count)
{
    struct conference_threads *t = f->threads;
    t->arrived = arrived;
    t->arrived_count = count;
    pthread_barrier_wait(&t->begin);
    if (t->meanwhile)
        t->meanwhile(f);
    pthread_barrier_wait(&t->end);
}

void conference_threads_stop(struct conference *f)
{
    struct conference_threads *t = f->threads;
    if (!t)
        return;
    t->is_ending = true;
    pthread_barrier_wait(&t->begin);
    for (unsigned i = 0; i < f->worker_count; i++)
        pthread_join(t->threads[i], NULL);
    pthread_barrier_destroy(&t->begin);
    pthread_barrier_destroy(&t->end);
    pthread_mutex_destroy(&t->lock);
    f->threads = NULL;
    free(t);
}
