/* The server's clock in 1970 and 2100: messages keep their order, one wrong time is not
 * everybody's, and nothing is deleted because of it. */
#include "scene.h"

#include "core/clock_trust.h"
#include "services/message/message_internal.h"

#define DAY (24 * 3600 * INT64_C(1000))
#define NOW_2100 INT64_C(4102444800000)

static int64_t offset_ms;

int64_t __real_clock_wall_ms(void);
int64_t __wrap_clock_wall_ms(void);
int64_t __wrap_clock_wall_ms(void)
{
    return __real_clock_wall_ms() + offset_ms;
}

static void go_to(int64_t wall_ms)
{
    offset_ms = wall_ms - __real_clock_wall_ms();
}

static int set_up(void **state)
{
    offset_ms = 0;
    clock_trust_reset();
    return scene_open(state);
}

static int64_t stamp(const char *id, const char *text)
{
    return say(w, &ann, id, text, NULL)->created_at_ms;
}

static const char *group_for_days(int days)
{
    Group__CreateGroupRequest make = GROUP__CREATE_GROUP_REQUEST__INIT;
    const char *id = make_group(w, &ann, make, MEMBERS(&bob))->id;
    Group__UpdateGroupRequest update = GROUP__UPDATE_GROUP_REQUEST__INIT;
    update.id = (char *)id;
    update._retention_days_case = GROUP__UPDATE_GROUP_REQUEST___RETENTION_DAYS_RETENTION_DAYS;
    update.retention_days = days;
    assert_non_null(ask(w, w->group, "UpdateGroup", &update, &ann));
    return id;
}

static void check_whole(void)
{
    struct message_verdict verdict;
    assert_int_equal(message_verify(w->store, &verdict), ERR_OK);
    if (verdict.problems)
        fail_msg("%s", verdict.text.p);
    strbuf_deinit(&verdict.text);
}

static void test_never_set(void **state UNUSED)
{
    const char *id = tell(w, &ann, &bob, "now", NULL)->conversation_id;
    int64_t now = stamp(id, "now");
    go_to(1000);
    assert_int_equal(stamp(id, "1970"), now);
    assert_int_equal(stamp(id, "1970 still"), now);
    offset_ms = 0;
    assert_true(stamp(id, "now again") >= now);
    check_whole();
}

static void test_one_from_2100(void **state UNUSED)
{
    const char *id = tell(w, &ann, &bob, "now", NULL)->conversation_id;
    int64_t now = stamp(id, "now");
    go_to(NOW_2100);
    assert_true(stamp(id, "2100") >= NOW_2100);
    offset_ms = 0;
    int64_t after = stamp(id, "now again");
    assert_true(after >= now && after < now + DAY);
    offset_ms = -30000; /* corrected a little */
    assert_int_equal(stamp(id, "half a minute before"), after);
    char text[200];
    assert_string_equal(texts_of(history(w, &bob, id), text, sizeof(text)),
                        "now|now|2100|now again|half a minute before");
    check_whole();
}

static void trim(const char *id)
{
    assert_int_equal(message_retention_trim(w->message_service, id), ERR_OK);
}

static void test_the_future_holds_up_nobody(void **state UNUSED)
{
    const char *id = group_for_days(1);
    stamp(id, "old");
    go_to(NOW_2100);
    for (int i = 0; i < 450; i++) /* more than two batches */
        stamp(id, "2100");
    offset_ms = 0;
    stamp(id, "old too");
    offset_ms = 3 * DAY;
    stamp(id, "fresh");
    trim(id);
    char text[200];
    assert_string_equal(texts_of(history(w, &bob, id), text, sizeof(text)), "fresh");
    check_whole();
}

static void test_the_future_alone_stays(void **state UNUSED)
{
    const char *id = group_for_days(1);
    go_to(NOW_2100);
    stamp(id, "2100");
    offset_ms = 0;
    trim(id);
    offset_ms = 3 * DAY;
    stamp(id, "fresh");
    trim(id);
    char text[200];
    assert_string_equal(texts_of(history(w, &bob, id), text, sizeof(text)), "2100|fresh");
    check_whole();
}

static int64_t waiting(void)
{
    return world_count(w,
                       "SELECT COUNT(*) FROM bus_tasks WHERE queue = 'message_retention'"
                       " AND state <> 3 AND ? = ''",
                       "");
}

/* The task of a turn of the clock, as the timer queues it. */
static enum err turn(struct store_tx *tx, void *arg)
{
    return bus_enqueue_tx(
        w->bus, tx,
        &(struct bus_task){
            .queue = "message_retention", .type = "trim", .payload = STR(""), .attempts_max = 1});
}

static void run_turn(void)
{
    assert_int_equal(store_write_sync(w->store, 0, turn, NULL), ERR_OK);
    for (int i = 0; i < 500 && waiting(); i++)
        usleep(10000);
    assert_int_equal(waiting(), 0);
}

static void test_nothing_goes_while_the_clock_is_doubted(void **state UNUSED)
{
    char text[200];
    const char *id = group_for_days(7);
    stamp(id, "kept");
    run_turn(); /* the clock is believed */
    go_to(NOW_2100);
    stamp(id, "2100");
    run_turn();
    assert_string_equal(texts_of(history(w, &bob, id), text, sizeof(text)), "kept|2100");
    go_to(1000);
    run_turn();
    assert_string_equal(texts_of(history(w, &bob, id), text, sizeof(text)), "kept|2100");
    offset_ms = 0;
    stamp(id, "after");
    run_turn();
    assert_string_equal(texts_of(history(w, &bob, id), text, sizeof(text)), "kept|2100|after");
    check_whole();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_never_set, set_up, scene_close),
        cmocka_unit_test_setup_teardown(test_one_from_2100, set_up, scene_close),
        cmocka_unit_test_setup_teardown(test_the_future_holds_up_nobody, set_up, scene_close),
        cmocka_unit_test_setup_teardown(test_the_future_alone_stays, set_up, scene_close),
        cmocka_unit_test_setup_teardown(test_nothing_goes_while_the_clock_is_doubted, set_up,
                                        scene_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
