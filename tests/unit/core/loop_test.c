/* loop: order of posts from many threads, calls, timers, an orderly end. Run under TSan too. */
#include "test.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/loop.h"

#define POSTERS 4
#define POSTS 5000

static struct loop *loop;

static int set_up(void **state)
{
    return loop_create(&loop, "test-loop-with-a-long-name") == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    loop_destroy(&loop);
    return loop ? -1 : 0;
}

struct posted {
    int poster;
    int number;
};

static int next_number[POSTERS], out_of_order, total;

static void on_post(void *arg)
{
    struct posted *p = arg;
    out_of_order += next_number[p->poster]++ != p->number || !loop_is_current(loop);
    total++;
    free(p);
}

static void *post_many(void *arg)
{
    for (int i = 0; i < POSTS; i++) {
        struct posted *p = malloc(sizeof(*p));
        *p = (struct posted){(int)(intptr_t)arg, i};
        loop_post(loop, on_post, p);
    }
    return NULL;
}

static void nothing(void *arg)
{
}

static void posts_keep_their_order(void **state)
{
    pthread_t threads[POSTERS];
    for (intptr_t i = 0; i < POSTERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, (void *)i), 0);
    for (int i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    loop_call(loop, nothing, NULL);
    assert_int_equal(out_of_order, 0);
    assert_int_equal(total, POSTERS * POSTS);
}

static void see_current(void *arg)
{
    *(bool *)arg = loop_current() == loop && loop_is_current(loop) && loop_uv(loop) != NULL;
}

static void knows_its_thread(void **state)
{
    bool is_right = false;
    assert_null(loop_current());
    assert_false(loop_is_current(loop));
    loop_call(loop, see_current, &is_right);
    assert_true(is_right);
}

static void post_from_inside(void *arg)
{
    int *order = arg;
    *order = *order * 10 + 1;
    if (*order == 1)
        loop_post(loop, post_from_inside, order);
    *order = *order * 10 + 2; /* before the inner post: never inside the call that registered it */
}

static void posts_are_never_nested(void **state)
{
    int order = 0;
    loop_call(loop, post_from_inside, &order);
    loop_call(loop, nothing, NULL);
    assert_int_equal(order, 1212);
}

/* Timers. */

#define TIMERS 300

struct clocked {
    struct loop_timer timer;
    int64_t due_us;
    int64_t fired_us;
    int fired;
};

static struct clocked clocked[TIMERS];
static int64_t last_due_us;
static int fired, early, late_order;

static void on_clocked(void *arg)
{
    struct clocked *c = arg;
    c->fired_us = clock_mono_us();
    c->fired++;
    fired++;
    early += c->fired_us < c->due_us;
    late_order += c->due_us < last_due_us;
    last_due_us = c->due_us;
}

static void start_timers(void *arg)
{
    int64_t now_us = loop_now_us(loop);
    for (int i = 0; i < TIMERS; i++) {
        int64_t after_ms = i * 7919 % 60;
        clocked[i].due_us = now_us + MAX(after_ms * 1000, 1);
        loop_timer_start(loop, &clocked[i].timer, after_ms, on_clocked, &clocked[i]);
    }
    for (int i = 0; i < TIMERS; i += 3) /* every third is called off */
        loop_timer_stop(&clocked[i].timer);
    for (int i = 1; i < TIMERS; i += 3) { /* every third is put off */
        clocked[i].due_us = now_us + 70000 + i * 10;
        loop_timer_start(loop, &clocked[i].timer, 70, on_clocked, &clocked[i]);
        clocked[i].due_us = clocked[i].timer.due_us;
    }
}

static void wait_ms(int64_t ms)
{
    usleep((useconds_t)(ms * 1000));
}

static void copy_fired(void *arg)
{
    *(int *)arg = fired;
}

static void timers_fire_in_order(void **state)
{
    int so_far = 0;
    loop_call(loop, start_timers, NULL);
    for (int i = 0; i < 100 && so_far < TIMERS - TIMERS / 3; i++) {
        wait_ms(20);
        loop_call(loop, copy_fired, &so_far);
    }
    assert_int_equal(fired, TIMERS - TIMERS / 3);
    assert_int_equal(early, 0);
    assert_int_equal(late_order, 0);
    for (int i = 0; i < TIMERS; i++) {
        assert_int_equal(clocked[i].fired, i % 3 != 0);
        assert_false(loop_timer_is_armed(&clocked[i].timer));
    }
}

struct repeater {
    struct loop_timer timer;
    int count;
    int64_t after_ms;
    bool ran_inside; /* the call that registered it */
    uv_sem_t done;
};

static void on_repeat(void *arg)
{
    struct repeater *r = arg;
    if (++r->count < 20)
        loop_timer_start(loop, &r->timer, r->after_ms, on_repeat, r);
    else
        uv_sem_post(&r->done);
}

static void start_repeat(void *arg)
{
    struct repeater *r = arg;
    loop_timer_start(loop, &r->timer, r->after_ms, on_repeat, r);
    r->ran_inside = r->count != 0;
}

/* A timer of 0 ms that re-arms itself must not starve posts: the call below must get through. */
static void zero_timer_does_not_starve(void **state)
{
    struct repeater r = {.after_ms = 0};
    assert_int_equal(uv_sem_init(&r.done, 0), 0);
    loop_call(loop, start_repeat, &r);
    loop_call(loop, nothing, NULL);
    uv_sem_wait(&r.done);
    assert_int_equal(r.count, 20);
    assert_false(r.ran_inside);
    uv_sem_destroy(&r.done);
}

static void free_own_timer(void *arg)
{
    free(((struct repeater *)arg));
    fired++;
}

static void start_and_free(void *arg)
{
    struct repeater *r = calloc(1, sizeof(*r));
    struct loop_timer never = {0};
    loop_timer_start(loop, &r->timer, 1, free_own_timer, r);
    loop_timer_stop(&never); /* safe when never armed */
    loop_timer_start(loop, &never, INT64_MAX, nothing, NULL);
    *(bool *)arg = loop_timer_is_armed(&never);
    loop_timer_stop(&never);
    loop_timer_stop(&never);
}

static void callback_may_free_its_timer(void **state)
{
    bool was_armed = false;
    fired = 0;
    loop_call(loop, start_and_free, &was_armed);
    assert_true(was_armed);
    wait_ms(30);
    loop_call(loop, nothing, NULL);
    assert_int_equal(fired, 1);
}

static void read_twice(void *arg)
{
    int64_t *times = arg;
    times[0] = loop_now_us(loop);
    wait_ms(3);
    times[1] = loop_now_us(loop);
}

static void now_is_read_once_per_turn(void **state)
{
    int64_t times[2], later[2], outside = loop_now_us(loop);
    loop_call(loop, read_twice, times);
    assert_int_equal(times[0], times[1]);
    loop_call(loop, read_twice, later);
    assert_true(later[0] >= times[0] + 3000);
    assert_true(outside <= times[0]); /* from another thread: simply the clock */
}

static struct loop *second;

static void post_last(void *arg)
{
    ++*(int *)arg;
    if (*(int *)arg == 2)
        loop_post(second, post_last, arg); /* a post of a post is still run */
}

static void arm_and_forget(void *arg)
{
    loop_timer_start(second, arg, 3600000, nothing, NULL);
}

static void end_runs_what_is_queued(void **state)
{
    struct loop_timer timer = {0};
    int count = 0;
    assert_int_equal(loop_create(&second, "second"), ERR_OK);
    loop_post(second, arm_and_forget, &timer);
    loop_post(second, post_last, &count);
    loop_post(second, post_last, &count);
    loop_destroy(&second);
    assert_null(second);
    assert_int_equal(count, 3);
    assert_false(loop_timer_is_armed(&timer)); /* disarmed, not fired */
    loop_destroy(&second);
    for (int i = 0; i < 20; i++) { /* born and gone at once */
        assert_int_equal(loop_create(&second, "x"), ERR_OK);
        loop_destroy(&second);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(posts_keep_their_order),     cmocka_unit_test(knows_its_thread),
        cmocka_unit_test(posts_are_never_nested),     cmocka_unit_test(timers_fire_in_order),
        cmocka_unit_test(zero_timer_does_not_starve), cmocka_unit_test(callback_may_free_its_timer),
        cmocka_unit_test(now_is_read_once_per_turn),  cmocka_unit_test(end_runs_what_is_queued),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
