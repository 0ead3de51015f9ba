/* thread: no signals, a name, and a wait by the monotonic clock. */
#include "test.h"

#include <signal.h>
#include <string.h>

#include "core/clock.h"
#include "core/thread.h"

struct seen {
    sigset_t blocked;
    char name[16];
};

static void *look(void *arg)
{
    struct seen *seen = arg;
    pthread_sigmask(SIG_SETMASK, NULL, &seen->blocked);
    pthread_getname_np(pthread_self(), seen->name, sizeof(seen->name));
    return NULL;
}

static void gets_no_signals(void **state)
{
    struct seen seen = {0};
    sigset_t mine;
    pthread_t thread;
    assert_int_equal(thread_start(&thread, "looker", look, &seen), ERR_OK);
    pthread_join(thread, NULL);
    assert_true(sigismember(&seen.blocked, SIGTERM) && sigismember(&seen.blocked, SIGUSR1));
    pthread_sigmask(SIG_SETMASK, NULL, &mine);
    assert_false(sigismember(&mine, SIGTERM));
}

struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_open;
};

static void *open_gate(void *arg)
{
    struct gate *g = arg;
    pthread_mutex_lock(&g->lock);
    g->is_open = true;
    pthread_cond_signal(&g->changed);
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

static void waits_no_longer_than_told(void **state)
{
    struct gate g = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
    int64_t until_us = clock_mono_us() + 20000;
    pthread_mutex_lock(&g.lock);
    while (thread_wait_until(&g.changed, &g.lock, until_us)) {
    }
    pthread_mutex_unlock(&g.lock);
    assert_true(clock_mono_us() >= until_us);
}

static void is_woken(void **state)
{
    struct gate g = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
    int64_t until_us = clock_mono_us() + 60000000;
    pthread_t thread;
    pthread_mutex_lock(&g.lock);
    thread_must_start(&thread, "opener", open_gate, &g);
    while (!g.is_open)
        assert_true(thread_wait_until(&g.changed, &g.lock, until_us));
    pthread_mutex_unlock(&g.lock);
    pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gets_no_signals),
        cmocka_unit_test(waits_no_longer_than_told),
        cmocka_unit_test(is_woken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
