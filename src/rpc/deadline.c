/*
 * deadline: calls in flight that nobody waits for. One thread looks through them four times a
 * second and gives up those that are late; it sleeps when there are none. Adding and removing is a
 * list operation under one short lock.
 */
#include <stdlib.h>
#include <time.h>

#include "core/clock.h"
#include "core/thread.h"
#include "rpc/rpc_internal.h"

#define SWEEP_MS 250
#define IDLE_SWEEPS 8 /* empty ones before the thread sleeps: single calls do not wake it */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static struct list in_flight; /* all below under lock */
static bool is_started;
static bool is_asleep;

/* Moves what is late to `late`, each with a reference. Under lock. */
static void collect_late(struct list *late, int64_t now_us)
{
    LIST_FOREACH(&in_flight, node)
    {
        struct rpc_call_state *state = LIST_ENTRY(node, struct rpc_call_state, in_flight);
        if (now_us < state->call.deadline_us)
            continue;
        /* Linked means that the closure has not let go of its reference yet. */
        struct rpc_call *call = rpc_call_ref(&state->call);
        if (rpc_call_claim(state, RPC_ABANDONED)) {
            list_remove(node);
            list_add_tail(late, node);
        } else {
            rpc_call_unref(&call);
        }
    }
}

static void end_late(struct list *late)
{
    LIST_FOREACH(late, node)
    {
        struct rpc_call_state *state = LIST_ENTRY(node, struct rpc_call_state, in_flight);
        struct rpc_call *call = &state->call;
        list_remove(node);
        rpc_call_abandon(state);
        log_warn(&call->log, "a call took longer than its deadline");
        state->done(NULL, call);
        rpc_call_unref(&call);
    }
}

static void sweep_pause(void)
{
    (void)thread_wait(&wake, &lock, SWEEP_MS);
}

static void *sweeper_main(void *unused)
{
    int idle_count = 0;
    pthread_mutex_lock(&lock);
    for (;;) {
        idle_count = list_is_empty(&in_flight) ? idle_count + 1 : 0;
        while (idle_count >= IDLE_SWEEPS && list_is_empty(&in_flight)) {
            is_asleep = true;
            pthread_cond_wait(&wake, &lock);
            idle_count = 0; /* or every short call would wake it, and find it gone */
        }
        is_asleep = false;
        sweep_pause();
        struct list late;
        list_init(&late);
        collect_late(&late, clock_mono_us());
        if (list_is_empty(&late))
            continue;
        pthread_mutex_unlock(&lock);
        end_late(&late);
        pthread_mutex_lock(&lock);
    }
    return unused;
}

/* Under lock. The thread lives as long as the process; it owns nothing. */
static void start_sweeper(void)
{
    pthread_attr_t attr;
    pthread_t thread;
    list_init(&in_flight);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &attr, sweeper_main, NULL) != 0) {
        log_error(NULL, "cannot start the thread that watches deadlines");
        abort();
    }
    pthread_setname_np(thread, "deadlines");
    pthread_attr_destroy(&attr);
    is_started = true;
}

void rpc_deadline_add(struct rpc_call_state *state)
{
    pthread_mutex_lock(&lock);
    if (!is_started)
        start_sweeper();
    list_add_tail(&in_flight, &state->in_flight);
    if (is_asleep)
        pthread_cond_signal(&wake);
    pthread_mutex_unlock(&lock);
}

void rpc_deadline_remove(struct rpc_call_state *state)
{
    pthread_mutex_lock(&lock);
    list_remove(&state->in_flight);
    pthread_mutex_unlock(&lock);
}
