/* worker: the bound, the order, and that nothing is lost at the end. Run under TSan too. */
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/metric.h"
#include "core/worker.h"

static atomic_int done_count;

static void count_up(void *arg)
{
    atomic_fetch_add(&done_count, worker_is_current() ? 1 : 1000000);
}

static void runs_all(void **state)
{
    struct worker_pool *pool;
    int accepted = 0;
    assert_int_equal(worker_pool_create(&pool, &(struct worker_options){.name = "test"}), ERR_OK);
    assert_false(worker_is_current());
    for (int i = 0; i < 20000; i++)
        accepted += worker_run(pool, count_up, NULL) == ERR_OK;
    worker_pool_destroy(&pool); /* finishes what is queued */
    assert_null(pool);
    assert_true(accepted >= 1024);
    assert_int_equal(done_count, accepted);
    worker_pool_destroy(&pool);
}

struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_open;
    int inside;
};

static void wait_at_gate(void *arg)
{
    struct gate *gate = arg;
    pthread_mutex_lock(&gate->lock);
    gate->inside++;
    pthread_cond_broadcast(&gate->changed);
    while (!gate->is_open)
        pthread_cond_wait(&gate->changed, &gate->lock);
    gate->inside--;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

static void assert_told(const char *line)
{
    struct strbuf text = {0};
    metric_write_prometheus(&text);
    if (!strstr(text.p, line))
        fail_msg("no \"%s\" in:\n%s", line, text.p);
    strbuf_deinit(&text);
}

static void full_means_no(void **state)
{
    struct gate gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0};
    struct worker_pool *pool;
    atomic_store(&done_count, 0);
    assert_int_equal(worker_pool_create(&pool, &(struct worker_options){.name = "long-name-cut",
                                                                        .thread_count = 2,
                                                                        .queue_max = 3}),
                     ERR_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(worker_run(pool, wait_at_gate, &gate), ERR_OK);
    pthread_mutex_lock(&gate.lock);
    while (gate.inside < 2)
        pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
    /* Both threads are held: three more may wait, the fourth is refused. */
    for (int i = 0; i < 3; i++)
        assert_int_equal(worker_run(pool, count_up, NULL), ERR_OK);
    assert_int_equal(worker_queued(pool), 3);
    assert_int_equal(worker_run(pool, count_up, NULL), ERR_UNAVAILABLE);
    assert_told("parlance_worker_threads{pool=\"long-name-\"} 2\n");
    assert_told("parlance_worker_busy_threads{pool=\"long-name-\"} 2\n");
    assert_told("parlance_worker_queued_jobs{pool=\"long-name-\"} 3\n");
    assert_told("parlance_worker_refused_total{pool=\"long-name-\"} 1\n");
    pthread_mutex_lock(&gate.lock);
    gate.is_open = true;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
    worker_pool_destroy(&pool);
    assert_int_equal(done_count, 3);
    assert_told("parlance_worker_queued_jobs{pool=\"long-name-\"} 0\n");
}

/* However few wake-ups a burst is worth, all threads must come when all are needed, every time. */
static void a_burst_brings_all_threads(void **state)
{
    struct worker_pool *pool;
    assert_int_equal(worker_pool_create(&pool, &(struct worker_options){.thread_count = 8}),
                     ERR_OK);
    for (int round = 0; round < 200; round++) {
        struct gate gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0};
        atomic_store(&done_count, 0);
        for (int i = 0; i < 8; i++)
            assert_int_equal(worker_run(pool, wait_at_gate, &gate), ERR_OK);
        pthread_mutex_lock(&gate.lock);
        while (gate.inside < 8)
            pthread_cond_wait(&gate.changed, &gate.lock);
        pthread_mutex_unlock(&gate.lock);
        for (int i = 0; i < 16; i++)
            assert_int_equal(worker_run(pool, count_up, NULL), ERR_OK);
        pthread_mutex_lock(&gate.lock);
        gate.is_open = true;
        pthread_cond_broadcast(&gate.changed);
        while (gate.inside > 0)
            pthread_cond_wait(&gate.changed, &gate.lock);
        pthread_mutex_unlock(&gate.lock);
        while (atomic_load(&done_count) < 16)
            usleep(10);
    }
    worker_pool_destroy(&pool);
}

struct ordered {
    int *next;
    int number;
    int *wrong;
};

static void check_order(void *arg)
{
    struct ordered *o = arg;
    *o->wrong += (*o->next)++ != o->number;
    free(o);
}

static void one_thread_keeps_order(void **state)
{
    struct worker_pool *pool;
    int next = 0, wrong = 0;
    assert_int_equal(
        worker_pool_create(&pool, &(struct worker_options){.thread_count = 1, .queue_max = 7}),
        ERR_OK);
    for (int i = 0; i < 500; i++) {
        struct ordered *o = malloc(sizeof(*o));
        *o = (struct ordered){&next, i, &wrong};
        while (worker_run(pool, check_order, o) != ERR_OK)
            usleep(100);
    }
    worker_pool_destroy(&pool);
    assert_int_equal(next, 500);
    assert_int_equal(wrong, 0);
}

static void refuses_nonsense(void **state)
{
    struct worker_pool *pool = NULL;
    assert_int_equal(worker_pool_create(&pool, &(struct worker_options){.thread_count = 100000}),
                     ERR_INVALID_ARGUMENT);
    assert_int_equal(worker_pool_create(&pool, &(struct worker_options){.queue_max = 1u << 30}),
                     ERR_INVALID_ARGUMENT);
    assert_null(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_all),
        cmocka_unit_test(full_means_no),
        cmocka_unit_test(a_burst_brings_all_threads),
        cmocka_unit_test(one_thread_keeps_order),
        cmocka_unit_test(refuses_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
