/* Which gateways are told what, by what they say they have readers for. The clock, the loop and the
 * bus are the test's. */
#include "test.h"

#include <stdlib.h>

#include "core/log.h"
#include "services/common/places.h"
#include "services/message/message_downstream.h"

#include "message.pb-c.h"

#define EPOCH_MS 1000000 /* the clock has run for long */
#define NAMES "ABCD"

static struct bus *const bus = (struct bus *)&(char){0};
static struct loop *const loop = (struct loop *)&(char){0};
static struct downstream *d;
static int64_t now_ms;
static bool is_linked;
static struct loop_timer *timer;
static bus_event_fn *hear;
static void *hear_arg;
static unsigned asked;
static unsigned odd_count; /* parcels that should not be */

/* What gateway "A" and so on were told. */
static struct told {
    int parcels, knowns;
    int64_t series, number, version;
    bool is_late, is_leaving;
    char body[16], type[16];
} told[sizeof(NAMES)];

/* ---- what the linker puts around it ---- */

int64_t __wrap_clock_mono_us(void);
void __wrap_loop_post(struct loop *on, loop_fn *fn, void *arg);
void __wrap_loop_call(struct loop *on, loop_fn *fn, void *arg);
void __wrap_loop_timer_start(struct loop *on, struct loop_timer *t, int64_t after_ms, loop_fn *fn,
                             void *arg);
void __wrap_loop_timer_stop(struct loop_timer *t);
int __wrap_bus_subscribe(struct bus *b, const char *channel, const char *name, bus_event_fn *fn,
                         void *arg);
void __wrap_bus_unsubscribe(struct bus *b, int id);
bool __wrap_bus_is_heard(struct bus *b);
const char *__wrap_bus_process(const struct bus *b);
void __wrap_bus_publish(struct bus *b, const struct bus_event *event);

int64_t __wrap_clock_mono_us(void)
{
    return now_ms * 1000;
}

void __wrap_loop_post(struct loop *on UNUSED, loop_fn *fn, void *arg)
{
    fn(arg);
}

void __wrap_loop_call(struct loop *on UNUSED, loop_fn *fn, void *arg)
{
    fn(arg);
}

void __wrap_loop_timer_stop(struct loop_timer *t UNUSED)
{
    timer = NULL;
}

void __wrap_loop_timer_start(struct loop *on UNUSED, struct loop_timer *t, int64_t after_ms,
                             loop_fn *fn, void *arg)
{
    assert_null(timer);
    timer = t;
    *t = (struct loop_timer){.fn = fn, .arg = arg, .due_us = (now_ms + after_ms) * 1000};
}

int __wrap_bus_subscribe(struct bus *b UNUSED, const char *channel, const char *name UNUSED,
                         bus_event_fn *fn, void *arg)
{
    assert_string_equal(channel, "im_gateways");
    hear = fn;
    hear_arg = arg;
    return 1;
}

void __wrap_bus_unsubscribe(struct bus *b UNUSED, int id)
{
    assert_int_equal(id, 1);
    hear = NULL;
}

bool __wrap_bus_is_heard(struct bus *b UNUSED)
{
    return is_linked;
}

const char *__wrap_bus_process(const struct bus *b UNUSED)
{
    return "here";
}

/* Within a lock: what is wrong is told at the end. */
void __wrap_bus_publish(struct bus *b UNUSED, const struct bus_event *event)
{
    if (strcmp(event->type, "ask") == 0) {
        asked++;
        return;
    }
    const char *name = event->channel + strlen(BUS_DOWNSTREAM);
    const char *at = strchr(NAMES, *name);
    Message__Downstream *m =
        message__downstream__unpack(NULL, event->payload.n, (const uint8_t *)event->payload.p);
    bool is_sound = strncmp(event->channel, BUS_DOWNSTREAM, strlen(BUS_DOWNSTREAM)) == 0 && at &&
                    *name && !name[1] && strcmp(event->key, name) == 0 && m &&
                    strcmp(m->sender, "here") == 0;
    if (!is_sound) {
        odd_count++;
        return;
    }
    struct told *t = &told[at - NAMES];
    odd_count += m->number != (m->series == t->series ? t->number + 1 : 1);
    bool is_known = strcmp(event->type, "known") == 0;
    *t = (struct told){.parcels = t->parcels + !is_known,
                       .knowns = t->knowns + is_known,
                       .series = m->series,
                       .number = m->number,
                       .version = m->known_version,
                       .is_late = m->is_late,
                       .is_leaving = m->is_leaving};
    snprintf(t->type, sizeof(t->type), "%s", event->type);
    if (m->body.len)
        memcpy(t->body, m->body.data, MIN(m->body.len, sizeof(t->body) - 1));
    message__downstream__free_unpacked(m, NULL);
}

/* ---- gateways ---- */

static void say(Message__GatewayPlaces *m, const char *name)
{
    uint8_t bytes[PLACES_BYTES + 512];
    m->gateway = (char *)name;
    assert_true(message__gateway_places__get_packed_size(m) <= sizeof(bytes));
    size_t n = message__gateway_places__pack(m, bytes);
    hear(hear_arg, &(struct bus_event){.channel = "im_gateways",
                                       .type = "places",
                                       .payload = {(const char *)bytes, n}});
}

static struct told *of(const char *name)
{
    return &told[strchr(NAMES, *name) - NAMES];
}

/* All of its places; NULL ends the list. */
static void say_all(const char *name, int64_t version, const char *one, const char *two)
{
    uint8_t places[PLACES_BYTES] = {0};
    Message__GatewayPlaces m = MESSAGE__GATEWAY_PLACES__INIT;
    if (one)
        place_set(places, place_of_id(one));
    if (two)
        place_set(places, place_of_id(two));
    m.version = version;
    m.places = (ProtobufCBinaryData){sizeof(places), places};
    say(&m, name);
}

static void say_more(const char *name, int64_t version, const char *id)
{
    Message__GatewayPlaces m = MESSAGE__GATEWAY_PLACES__INIT;
    uint32_t place = place_of_id(id);
    m.version = version;
    m.added = &place;
    m.n_added = 1;
    say(&m, name);
}

static void say_version(const char *name, int64_t version)
{
    Message__GatewayPlaces m = MESSAGE__GATEWAY_PLACES__INIT;
    m.version = version;
    say(&m, name);
}

static void leave(const char *name)
{
    Message__GatewayPlaces m = MESSAGE__GATEWAY_PLACES__INIT;
    m.is_leaving = true;
    say(&m, name);
}

static void pass_ms(int64_t ms)
{
    for (int64_t until_ms = now_ms + ms;;) {
        struct loop_timer *t = timer;
        if (t->due_us > until_ms * 1000) {
            now_ms = until_ms;
            return;
        }
        now_ms = t->due_us / 1000;
        timer = NULL;
        t->fn(t->arg);
    }
}

/* The gateway says each second that it lives. */
static void live(const char *name, int64_t version, int seconds)
{
    for (int i = 0; i < seconds; i++) {
        say_version(name, version);
        pass_ms(1000);
    }
}

static void tell(const char *conversation_id, const char *user_id)
{
    char *users[] = {(char *)user_id};
    downstream_tell(d, &(struct downstream_parcel){.type = "event",
                                                   .conversation_id = conversation_id,
                                                   .user_ids = users,
                                                   .user_count = user_id != NULL,
                                                   .body = STR("what")});
}

/* Whether this one is told. */
static bool is_told(const char *name, const char *conversation_id, const char *user_id)
{
    int before = of(name)->parcels;
    tell(conversation_id, user_id);
    return of(name)->parcels == before + 1;
}

static int open_world(void **state UNUSED)
{
    memset(told, 0, sizeof(told));
    now_ms = EPOCH_MS;
    is_linked = true;
    timer = NULL;
    asked = odd_count = 0;
    d = downstream_create(bus, loop);
    return 0;
}

static int close_world(void **state UNUSED)
{
    downstream_destroy(&d);
    assert_null(timer);
    assert_null(hear);
    assert_int_equal(odd_count, 0);
    return 0;
}

/* ---- tests ---- */

static void test_who_has_readers_is_told(void **state UNUSED)
{
    say_all("A", 5, "c-1", "anna");
    say_all("B", 9, "c-2", "bob");
    assert_int_equal(of("A")->version, 5);
    assert_int_equal(of("B")->version, 9);
    tell("c-1", NULL);
    assert_string_equal(of("A")->type, "event");
    assert_string_equal(of("A")->body, "what");
    tell("c-2", "anna"); /* both: who reads it, and whom it names */
    tell(NULL, "bob");
    tell("", NULL);
    tell("c-3", "carl");
    assert_int_equal(of("A")->parcels, 2);
    assert_int_equal(of("B")->parcels, 2);
    assert_int_equal(of("A")->number, 3); /* spared ones make no hole */
    pass_ms(1000);
    assert_int_equal(of("A")->number, 4); /* the last one lost shows within a second */
    assert_int_equal(of("A")->knowns, 2);
}

static void test_of_whom_no_places_are_known_all_is_told(void **state UNUSED)
{
    say_version("A", 3);
    assert_int_equal(of("A")->version, -1);
    assert_true(is_told("A", "c-1", "anna"));
    assert_true(is_told("A", "c-3", NULL));
    assert_true(is_told("A", NULL, "carl"));
    say_all("A", 3, "c-2", NULL);
    assert_int_equal(of("A")->version, 3);
    assert_true(is_told("A", "c-2", NULL));
    assert_true(is_told("A", "c-1", NULL)); /* it may have let somebody in meanwhile */
    assert_false(is_told("A", "c-3", NULL));
}

static void test_places_that_come(void **state UNUSED)
{
    say_all("A", 1, "c-1", NULL);
    assert_false(is_told("A", "c-2", NULL));
    say_more("A", 2, "c-2");
    assert_int_equal(of("A")->version, 2);
    assert_true(is_told("A", "c-2", NULL));
    assert_true(is_told("A", "c-1", NULL));
    int knowns = of("A")->knowns;
    say_version("A", 2);
    assert_int_equal(of("A")->knowns, knowns);
    say_more("A", 4, "c-4"); /* one was lost on the way */
    assert_int_equal(of("A")->version, -1);
    assert_true(is_told("A", "c-3", NULL));
    say_all("A", 4, "c-3", "c-4");
    assert_false(is_told("A", "c-1", NULL));
    say_version("A", 5); /* so was all of this */
    assert_int_equal(of("A")->version, -1);
    assert_true(is_told("A", "c-1", NULL));
}

static void test_places_that_are_given_up(void **state UNUSED)
{
    say_all("A", 1, "c-1", "c-2");
    say_all("A", 2, "c-1", NULL);
    assert_true(is_told("A", "c-1", NULL));
    assert_false(is_told("A", "c-2", NULL));
}

/* Before it can say so. */
static void test_who_is_let_in_hears_what_follows(void **state UNUSED)
{
    say_all("A", 1, "anna", NULL);
    say_all("B", 1, "bob", NULL);
    assert_false(is_told("A", "c-new", NULL));
    assert_true(is_told("A", "c-new", "anna"));
    assert_true(is_told("A", "c-new", NULL));
    assert_int_equal(of("B")->parcels, 0);
    say_all("A", 2, "anna", NULL); /* by then it has not heard it yet */
    assert_true(is_told("A", "c-new", NULL));
    live("A", 2, 29);
    assert_true(is_told("A", "c-new", NULL));
    live("A", 2, 40);
    assert_false(is_told("A", "c-new", NULL));
}

static void test_who_is_silent_is_told_no_more(void **state UNUSED)
{
    say_all("A", 1, "c-1", NULL);
    live("A", 1, 30);
    assert_true(is_told("A", "c-1", NULL));
    int64_t series = of("A")->series;
    pass_ms(16000);
    int knowns = of("A")->knowns;
    pass_ms(5000);
    assert_int_equal(of("A")->knowns, knowns);
    assert_false(is_told("A", "c-1", NULL));
    say_version("A", 1); /* it was only frozen */
    assert_int_equal(of("A")->number, 1);
    assert_true(of("A")->series != series);
    assert_true(of("A")->is_late);
    assert_int_equal(of("A")->version, -1);
    assert_true(is_told("A", "c-1", NULL));
}

static void test_late_is_after_something_was_told(void **state UNUSED)
{
    say_all("A", 1, NULL, NULL);
    assert_false(of("A")->is_late);
    tell("c-1", NULL); /* to nobody, but B might have been meant */
    say_all("B", 1, "c-1", NULL);
    assert_true(of("B")->is_late);
    pass_ms(1000);
    assert_false(of("A")->is_late);
}

static void test_who_leaves(void **state UNUSED)
{
    say_all("A", 1, "c-1", NULL);
    say_all("B", 1, "c-1", NULL);
    leave("A");
    leave("C"); /* nobody knew it */
    tell("c-1", NULL);
    assert_int_equal(of("A")->parcels, 0);
    assert_int_equal(of("B")->parcels, 1);
    downstream_destroy(&d);
    assert_true(of("B")->is_leaving);
    assert_false(of("A")->is_leaving);
    assert_int_equal(of("C")->number, 0);
}

static void test_what_is_no_gateway_elsewhere(void **state UNUSED)
{
    char name[200] = "A";
    memset(name, 'A', sizeof(name) - 1);
    say_all("here", 1, "c-1", NULL); /* hears it here; "here" would not be found among the names */
    say_all("", 1, "c-1", NULL);
    say_all(name, 1, "c-1", NULL);
    hear(hear_arg, &(struct bus_event){.type = "places", .payload = STR("\xff\xff")});
    hear(hear_arg, &(struct bus_event){.type = "ask", .payload = STR("")});
    tell("c-1", NULL);
    for (size_t i = 0; i < ARRAY_LEN(told); i++)
        assert_int_equal(told[i].number, 0);
    Message__GatewayPlaces m = MESSAGE__GATEWAY_PLACES__INIT; /* a table of another size */
    uint8_t few[8] = {0};
    m.version = 7;
    m.places = (ProtobufCBinaryData){sizeof(few), few};
    say(&m, "B");
    assert_int_equal(of("B")->version, -1);
    uint32_t far = UINT32_MAX; /* beyond the table */
    m = (Message__GatewayPlaces)MESSAGE__GATEWAY_PLACES__INIT;
    say_all("B", 7, NULL, NULL);
    m.version = 8;
    m.added = &far;
    m.n_added = 1;
    say(&m, "B");
    assert_int_equal(of("B")->version, 8);
}

static void test_all_are_asked_when_there_is_a_link(void **state UNUSED)
{
    assert_int_equal(asked, 1);
    pass_ms(3000);
    assert_int_equal(asked, 1);
    is_linked = false;
    pass_ms(3000);
    is_linked = true;
    pass_ms(1000);
    assert_int_equal(asked, 2);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, open_world, close_world)
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        T(test_who_has_readers_is_told),
        T(test_of_whom_no_places_are_known_all_is_told),
        T(test_places_that_come),
        T(test_places_that_are_given_up),
        T(test_who_is_let_in_hears_what_follows),
        T(test_who_is_silent_is_told_no_more),
        T(test_late_is_after_something_was_told),
        T(test_what_is_no_gateway_elsewhere),
        T(test_all_are_asked_when_there_is_a_link),
        T(test_who_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
