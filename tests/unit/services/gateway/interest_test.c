/* What a gateway says it has readers for, whom it waits for, and when it takes something for lost.
 * The clock, the timers and the bus are the test's. */
#include "test.h"

#include <stdlib.h>

#include "services/common/places.h"
#include "services/gateway/gateway_hub.h"

#define TIMERS_MAX 8
#define EPOCH_MS 1000000 /* the clock has run for long */

static struct gateway gw;
static struct user anna, bob;
static int64_t now_ms;
static bool is_linked;
static struct loop_timer *timers[TIMERS_MAX];
static unsigned gaps, doubts;
static int ready; /* how often somebody went on */

static struct {
    unsigned count, whole_count;
    int64_t version;
    bool is_whole, is_leaving;
    size_t added_count;
    uint8_t places[PLACES_BYTES];
} said; /* in all, and the last time */

/* ---- what the linker puts around it ---- */

int64_t __wrap_clock_mono_us(void);
void __wrap_loop_timer_start(struct loop *loop, struct loop_timer *t, int64_t after_ms, loop_fn *fn,
                             void *arg);
void __wrap_loop_timer_stop(struct loop_timer *t);
bool __wrap_bus_is_apart(const struct bus *bus);
bool __wrap_bus_is_heard(struct bus *bus);
const char *__wrap_bus_process(const struct bus *bus);
void __wrap_bus_publish(struct bus *bus, const struct bus_event *event);
void __wrap_gateway_hub_gap(struct gateway *of);
void __wrap_gateway_hub_doubt(struct gateway *of);

int64_t __wrap_clock_mono_us(void)
{
    return now_ms * 1000;
}

void __wrap_loop_timer_stop(struct loop_timer *t)
{
    if (t->heap_index)
        timers[t->heap_index - 1] = NULL;
    t->heap_index = 0;
}

void __wrap_loop_timer_start(struct loop *loop UNUSED, struct loop_timer *t, int64_t after_ms,
                             loop_fn *fn, void *arg)
{
    size_t at = 0;
    __wrap_loop_timer_stop(t);
    while (timers[at])
        at++;
    assert_true(at < TIMERS_MAX);
    timers[at] = t;
    *t = (struct loop_timer){
        .fn = fn, .arg = arg, .due_us = (now_ms + after_ms) * 1000, .heap_index = at + 1};
}

bool __wrap_bus_is_apart(const struct bus *bus UNUSED)
{
    return true;
}

bool __wrap_bus_is_heard(struct bus *bus UNUSED)
{
    return is_linked;
}

const char *__wrap_bus_process(const struct bus *bus UNUSED)
{
    return "here";
}

void __wrap_bus_publish(struct bus *bus UNUSED, const struct bus_event *event)
{
    assert_string_equal(event->channel, "im_gateways");
    Message__GatewayPlaces *m =
        message__gateway_places__unpack(NULL, event->payload.n, (const uint8_t *)event->payload.p);
    assert_non_null(m);
    assert_string_equal(m->gateway, "here");
    said.count++;
    said.version = m->version;
    said.is_leaving = m->is_leaving;
    said.added_count = m->n_added;
    said.is_whole = m->places.len == PLACES_BYTES;
    said.whole_count += said.is_whole;
    if (said.is_whole)
        memcpy(said.places, m->places.data, PLACES_BYTES);
    for (size_t i = 0; i < m->n_added; i++)
        place_set(said.places, m->added[i]);
    message__gateway_places__free_unpacked(m, NULL);
}

void __wrap_gateway_hub_gap(struct gateway *of)
{
    assert_ptr_equal(of, &gw);
    gaps++;
}

void __wrap_gateway_hub_doubt(struct gateway *of)
{
    assert_ptr_equal(of, &gw);
    gw.has_loaded = false;
    doubts++;
}

/* ---- time ---- */

static struct loop_timer *next_due(int64_t until_ms)
{
    struct loop_timer *first = NULL;
    for (size_t i = 0; i < TIMERS_MAX; i++)
        if (timers[i] && timers[i]->due_us <= until_ms * 1000 &&
            (!first || timers[i]->due_us < first->due_us))
            first = timers[i];
    return first;
}

static void pass_ms(int64_t ms)
{
    int64_t until_ms = now_ms + ms;
    struct loop_timer *t;
    while ((t = next_due(until_ms))) {
        now_ms = t->due_us / 1000;
        __wrap_loop_timer_stop(t);
        t->fn(t->arg);
    }
    now_ms = until_ms;
}

/* ---- senders ---- */

struct came {
    const char *from; /* NULL: "one" */
    int64_t series;   /* 0: 7 */
    int64_t number, version;
    bool is_late, is_leaving;
};

static bool come(const struct came *c)
{
    Message__Downstream m = MESSAGE__DOWNSTREAM__INIT;
    m.sender = (char *)(c->from ? c->from : "one");
    m.series = c->series ? c->series : 7;
    m.number = c->number;
    m.known_version = c->version;
    m.is_late = c->is_late;
    m.is_leaving = c->is_leaving;
    return interest_heard(&gw, &m);
}

#define COME(...) come(&(struct came){__VA_ARGS__})

/* As each second, with the numbers that follow and the latest version. */
static void beat(const char *from, int64_t *number, int64_t version, int seconds)
{
    for (int i = 0; i < seconds; i++) {
        pass_ms(1000);
        COME(.from = from, .number = ++*number, .version = version);
    }
}

static void on_ready(void *arg UNUSED)
{
    ready++;
}

static void add_many(int from, int count)
{
    for (int i = from; i < from + count; i++) {
        char id[16];
        snprintf(id, sizeof(id), "c-%d", i);
        interest_add(&gw, id);
    }
}

static void remove_many(int from, int count)
{
    for (int i = from; i < from + count; i++) {
        char id[16];
        snprintf(id, sizeof(id), "c-%d", i);
        interest_remove(&gw, id);
    }
}

static int open_world(void **state UNUSED)
{
    memset(&gw, 0, sizeof(gw));
    memset(&said, 0, sizeof(said));
    memset(timers, 0, sizeof(timers));
    anna = bob = (struct user){.gw = &gw};
    gaps = doubts = 0;
    ready = 0;
    now_ms = EPOCH_MS;
    is_linked = true;
    gw.members = map64_create();
    map64_set(gw.members, 1, &anna);
    interest_start(&gw);
    return 0;
}

static int close_world(void **state UNUSED)
{
    interest_cancel(&anna);
    interest_cancel(&bob);
    interest_stop(&gw);
    assert_true(said.is_leaving);
    for (size_t i = 0; i < TIMERS_MAX; i++)
        assert_null(timers[i]);
    map64_destroy(&gw.members);
    return 0;
}

/* ---- saying ---- */

static void test_what_comes_is_said_once(void **state UNUSED)
{
    assert_true(said.is_whole);
    int64_t first = said.version;
    interest_add(&gw, "c-1");
    interest_add(&gw, "c-2");
    interest_add(&gw, "c-1");
    pass_ms(1);
    assert_int_equal(said.version, first + 1);
    assert_int_equal(said.added_count, 2);
    assert_true(place_is_set(said.places, place_of_id("c-1")));
    interest_remove(&gw, "c-1");
    interest_remove(&gw, "c-1");
    interest_add(&gw, "c-1"); /* was not given up yet */
    unsigned count = said.count;
    pass_ms(5);
    assert_int_equal(said.count, count);
    pass_ms(1000);
    assert_int_equal(said.count, count + 1);
    assert_int_equal(said.version, first + 1);
    assert_int_equal(said.added_count, 0);
}

static void test_very_many_are_said_whole(void **state UNUSED)
{
    add_many(0, 3000);
    pass_ms(1);
    assert_true(said.is_whole);
    for (int i = 0; i < 3000; i++) {
        char id[16];
        snprintf(id, sizeof(id), "c-%d", i);
        assert_true(place_is_set(said.places, place_of_id(id)));
    }
}

static void test_who_asks_hears_all(void **state UNUSED)
{
    interest_add(&gw, "c-1");
    int64_t version = said.version;
    interest_asked(&gw); /* with what was not said yet, which then is not said again */
    assert_true(said.is_whole);
    assert_int_equal(said.version, version + 1);
    unsigned count = said.count;
    pass_ms(5);
    assert_int_equal(said.count, count);
}

static void test_who_knows_nothing_hears_all_now_and_then(void **state UNUSED)
{
    pass_ms(500);
    unsigned count = said.whole_count;
    for (int i = 1; i <= 50; i++)
        COME(.number = i, .version = -1);
    assert_int_equal(said.whole_count, count + 1);
    pass_ms(101);
    COME(.number = 51, .version = -1);
    assert_int_equal(said.whole_count, count + 2);
    assert_int_equal(gaps, 0);
}

static void test_what_nobody_needs_is_given_up(void **state UNUSED)
{
    add_many(0, 400);
    pass_ms(1);
    int64_t version = said.version;
    remove_many(0, 300);
    unsigned whole = said.whole_count;
    pass_ms(2000);
    assert_int_equal(said.version, version + 1);
    assert_int_equal(said.whole_count, whole + 1);
    assert_true(place_is_set(said.places, place_of_id("c-350")));
    size_t left = 0;
    for (uint32_t i = 0; i < PLACES_COUNT; i++)
        left += place_is_set(said.places, i);
    assert_in_range(left, 90, 100);
    add_many(0, 300); /* all of them anew */
    pass_ms(1);
    assert_int_equal(said.version, version + 2);
    assert_true(place_is_set(said.places, place_of_id("c-5")));
    remove_many(0, 300);
    pass_ms(20000); /* not again so soon */
    assert_int_equal(said.version, version + 2);
    pass_ms(12000);
    assert_int_equal(said.version, version + 3);
    assert_false(place_is_set(said.places, place_of_id("c-5")) &&
                 place_is_set(said.places, place_of_id("c-6")) &&
                 place_is_set(said.places, place_of_id("c-7")));
}

/* ---- waiting ---- */

static void test_one_waits_until_all_know(void **state UNUSED)
{
    int64_t first = said.version;
    COME(.number = 1, .version = first);
    COME(.from = "two", .number = 1, .version = first);
    interest_add(&gw, "anna");
    interest_wait(&anna, on_ready);
    interest_add(&gw, "bob");
    pass_ms(1);
    interest_wait(&bob, on_ready);
    COME(.number = 2, .version = first + 1);
    assert_int_equal(ready, 0);
    COME(.from = "two", .number = 2, .version = first + 1);
    assert_int_equal(ready, 2); /* both were said at once */
    interest_wait(&anna, on_ready);
    assert_int_equal(ready, 3); /* known already */
    assert_int_equal(gaps, 0);
}

static void test_who_is_gone_waits_no_more(void **state UNUSED)
{
    COME(.number = 1, .version = said.version);
    interest_add(&gw, "anna");
    interest_wait(&anna, on_ready);
    interest_wait(&anna, on_ready); /* once at a time */
    interest_cancel(&anna);
    pass_ms(1);
    COME(.number = 2, .version = said.version);
    pass_ms(3000);
    assert_int_equal(ready, 0);
}

static void test_without_a_link_nobody_waits(void **state UNUSED)
{
    COME(.number = 1, .version = said.version);
    is_linked = false;
    pass_ms(1000);
    interest_add(&gw, "anna");
    interest_wait(&anna, on_ready);
    assert_int_equal(ready, 1);
    unsigned whole = said.whole_count;
    is_linked = true;
    pass_ms(60);
    assert_int_equal(said.whole_count, whole + 1);
}

static void test_who_does_not_learn_is_not_waited_for_long(void **state UNUSED)
{
    int64_t first = said.version, number = 1;
    COME(.number = number, .version = first);
    interest_add(&gw, "anna");
    interest_wait(&anna, on_ready);
    beat("one", &number, first, 1);
    assert_int_equal(ready, 0);
    beat("one", &number, first, 1);
    assert_int_equal(ready, 1);
    assert_int_equal(gaps, 0);
    beat("one", &number, first + 1, 1); /* meanwhile it may have told others what was for us */
    pass_ms(1);
    assert_int_equal(gaps, 1);
    beat("one", &number, first + 1, 5);
    assert_int_equal(gaps, 1);
}

static void test_who_is_silent_is_not_waited_for_and_a_gap_when_back(void **state UNUSED)
{
    int64_t first = said.version, number = 1;
    COME(.number = 1, .version = first);
    COME(.from = "frozen", .number = 1, .version = first);
    beat("one", &number, first, 6);
    interest_add(&gw, "anna");
    pass_ms(1);
    interest_wait(&anna, on_ready);
    COME(.number = ++number, .version = first + 1);
    assert_int_equal(ready, 1);
    assert_int_equal(gaps, 0);
    COME(.from = "frozen", .number = 2, .version = first);
    pass_ms(1);
    assert_int_equal(gaps, 1);
    interest_wait(&anna, on_ready); /* as the gap has everybody do */
    assert_int_equal(ready, 1);
    COME(.from = "frozen", .number = 3, .version = first + 1);
    assert_int_equal(ready, 2);
}

/* ---- what is lost ---- */

static void test_a_hole_is_a_gap(void **state UNUSED)
{
    assert_true(COME(.number = 1));
    assert_true(COME(.number = 2));
    assert_true(COME(.from = "two", .number = 1));
    pass_ms(1);
    assert_int_equal(gaps, 0);
    assert_int_equal(doubts, 0);
    assert_true(COME(.number = 4));
    assert_int_equal(doubts, 1);     /* before this one is told */
    assert_false(COME(.number = 3)); /* too late, it is read anew */
    assert_false(COME(.number = 4)); /* once more */
    assert_true(COME(.from = "two", .number = 2));
    pass_ms(1);
    assert_int_equal(gaps, 1);
    for (int i = 6; i < 100; i += 2)
        COME(.number = i);
    pass_ms(1);
    assert_int_equal(gaps, 2);
    COME(.number = 100);
    pass_ms(1);
    assert_int_equal(gaps, 3); /* as when several senders are met */
    for (int i = 102; i < 200; i += 2)
        COME(.number = i);
    pass_ms(1990);
    assert_int_equal(doubts, 4);
    assert_int_equal(gaps, 3); /* not again and again */
    gw.has_loaded = true;      /* but somebody came meanwhile */
    COME(.number = 202);
    assert_int_equal(doubts, 5);
    pass_ms(10);
    assert_int_equal(gaps, 4);
}

static void test_nobody_here_has_no_gap(void **state UNUSED)
{
    map64_remove(gw.members, 1);
    COME(.number = 5);
    pass_ms(1);
    assert_int_equal(gaps, 0);
}

static void test_the_first_is_whole_unless_it_told_others(void **state UNUSED)
{
    COME(.number = 1);
    assert_false(COME(.number = 1)); /* once more */
    pass_ms(1);
    assert_int_equal(gaps, 0);
    COME(.from = "late", .number = 1, .is_late = true);
    pass_ms(1);
    assert_int_equal(gaps, 1);
    pass_ms(3000);
    COME(.from = "lost", .number = 2);
    pass_ms(1);
    assert_int_equal(gaps, 2);
}

static void test_one_that_begins_anew_is_heard_at_any_number(void **state UNUSED)
{
    int64_t number = 1;
    COME(.number = 1);
    beat("one", &number, 0, 20);
    assert_true(COME(.series = 8, .number = 2, .is_late = true)); /* its first was lost */
    pass_ms(1);
    assert_int_equal(gaps, 1);
    assert_true(COME(.series = 8, .number = 3, .is_late = true));
    pass_ms(3000);
    assert_true(COME(.series = 9, .number = 1));
    pass_ms(1);
    assert_int_equal(gaps, 2);
}

static void test_after_a_lost_link_any_number_follows(void **state UNUSED)
{
    COME(.number = 1);
    COME(.from = "two", .number = 1);
    unsigned whole = said.whole_count;
    interest_gap(&gw); /* who calls it reads all anew */
    assert_int_equal(said.whole_count, whole + 1);
    assert_true(COME(.number = 9));
    assert_true(COME(.number = 10));
    pass_ms(1);
    assert_int_equal(gaps, 0);
    COME(.from = "two", .series = 8, .number = 2, .is_late = true); /* it had forgotten us */
    pass_ms(1);
    assert_int_equal(gaps, 1);
}

static void test_a_new_one_for_whom_nobody_waited(void **state UNUSED)
{
    int64_t first = said.version;
    interest_add(&gw, "anna");
    interest_wait(&anna, on_ready); /* there is nobody to wait for */
    assert_int_equal(ready, 1);
    pass_ms(1);
    COME(.number = 1, .version = first); /* not late, but it did not know of anna */
    pass_ms(1);
    assert_int_equal(gaps, 0);
    COME(.number = 2, .version = first + 1);
    pass_ms(1);
    assert_int_equal(gaps, 1);
    COME(.from = "all", .number = 1, .version = -1); /* tells all */
    COME(.from = "knows", .number = 1, .version = first + 1);
    COME(.from = "all", .number = 2, .version = first + 1);
    pass_ms(3000);
    assert_int_equal(gaps, 1);
}

static void test_one_that_went_without_a_goodbye(void **state UNUSED)
{
    int64_t number = 1;
    COME(.number = 1);
    COME(.from = "polite", .number = 1);
    COME(.from = "polite", .number = 2, .is_leaving = true);
    COME(.from = "stays", .number = 1);
    beat("stays", &number, 0, 58);
    assert_int_equal(gaps, 0);
    beat("stays", &number, 0, 6);
    assert_int_equal(gaps, 1);
    beat("stays", &number, 0, 60);
    assert_int_equal(gaps, 1);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, open_world, close_world)
    const struct CMUnitTest tests[] = {
        T(test_what_comes_is_said_once),
        T(test_very_many_are_said_whole),
        T(test_who_asks_hears_all),
        T(test_who_knows_nothing_hears_all_now_and_then),
        T(test_what_nobody_needs_is_given_up),
        T(test_one_waits_until_all_know),
        T(test_who_is_gone_waits_no_more),
        T(test_without_a_link_nobody_waits),
        T(test_who_does_not_learn_is_not_waited_for_long),
        T(test_who_is_silent_is_not_waited_for_and_a_gap_when_back),
        T(test_a_hole_is_a_gap),
        T(test_nobody_here_has_no_gap),
        T(test_the_first_is_whole_unless_it_told_others),
        T(test_one_that_begins_anew_is_heard_at_any_number),
        T(test_after_a_lost_link_any_number_follows),
        T(test_a_new_one_for_whom_nobody_waited),
        T(test_one_that_went_without_a_goodbye),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
