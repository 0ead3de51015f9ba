/* Presence of those who are watched: once a second, all in one frame, whatever storms. */
#include "hub_fixture.h"

#include <unistd.h>

#define PEOPLE 1200
#define WATCHED 200

static char ids[PEOPLE][ID_SIZE];

static void make_ids(void)
{
    for (int i = 0; i < PEOPLE; i++)
        snprintf(ids[i], ID_SIZE, "01K%023d", i);
}

static void watch_around(int i, int count)
{
    char *list[WATCHED];
    for (int j = 0; j < count; j++)
        list[j] = ids[(i + j + 1) % PEOPLE];
    size_t before = answers_of();
    watch((uint64_t)i + 1, list, (size_t)count);
    for (int waits = 0; waits < 600 && answers_of() == before; waits++)
        usleep(1000);
}

static void test_a_change_is_told_once(void **state UNUSED)
{
    make_ids();
    join(1, ids[0], "s");
    wait_frames(1, "ready", 1);
    watch_around(0, 3);
    appear(ids[1], PRESENCE__STATUS__ONLINE, 10);
    wait_frames(1, "presence", 1);
    assert_non_null(strstr(last_of(1, "presence"), "\"status\":\"online\""));
    appear(ids[1], PRESENCE__STATUS__AWAY, 9);    /* late: not told */
    appear(ids[1], PRESENCE__STATUS__ONLINE, 11); /* the same again: no news */
    appear(ids[7], PRESENCE__STATUS__ONLINE, 12); /* not watched */
    usleep(1300 * 1000);
    assert_int_equal(frames_of(1, "presence"), 1);
    appear(ids[1], PRESENCE__STATUS__BUSY, 13);
    appear(ids[2], PRESENCE__STATUS__ONLINE, 14);
    appear(ids[1], PRESENCE__STATUS__OFFLINE, 15); /* in between nothing happened, to who looks */
    wait_frames(1, "presence", 2);
    const char *last = last_of(1, "presence");
    assert_null(strstr(last, "busy"));
    assert_non_null(strstr(last, "offline"));
    assert_non_null(strstr(last, "online"));
}

static void test_strangers_see_nothing(void **state UNUSED)
{
    make_ids();
    fake_tie = PRESENCE__TIE__STRANGER;
    join(1, ids[0], "s");
    wait_frames(1, "ready", 1);
    watch_around(0, 2);
    appear(ids[1], PRESENCE__STATUS__ONLINE, 10);
    usleep(300 * 1000);
    assert_int_equal(frames_of(1, "presence"), 0);
}

static void doubt(void *arg UNUSED)
{
    watch_doubt_pair(hub.gw, ids[0], ids[1]);
}

static void wait_asked(int count)
{
    for (int i = 0; i < 6000 && fake_views_asked < count; i++)
        usleep(5000);
    assert_int_equal(fake_views_asked, count);
}

/* Whom one has just blocked sees nothing while the service is still being asked. */
static void test_nothing_is_told_in_doubt(void **state UNUSED)
{
    make_ids();
    join(1, ids[0], "s");
    wait_frames(1, "ready", 1);
    watch_around(0, 1);
    fake_tie = PRESENCE__TIE__STRANGER;
    fake_hold_views = true;
    loop_call(hub.gw->loop, doubt, NULL);
    wait_asked(2);
    appear(ids[1], PRESENCE__STATUS__ONLINE, 10);
    usleep(1300 * 1000);
    assert_int_equal(frames_of(1, "presence"), 0);
    fake_hold_views = false;
    usleep(300 * 1000);
    assert_int_equal(frames_of(1, "presence"), 0);
}

/* A doubt that comes while one is being asked about is not answered by that. */
static void test_a_doubt_during_a_doubt(void **state UNUSED)
{
    make_ids();
    join(1, ids[0], "s");
    wait_frames(1, "ready", 1);
    watch_around(0, 1);
    fake_hold_views = true;
    loop_call(hub.gw->loop, doubt, NULL);
    wait_asked(2);
    fake_tie = PRESENCE__TIE__STRANGER;
    appear(ids[1], PRESENCE__STATUS__ONLINE, 10);
    loop_call(hub.gw->loop, doubt, NULL);
    fake_hold_views = false;
    wait_asked(3);
    usleep(300 * 1000);
    assert_int_equal(frames_of(1, "presence"), 0);
}

/* Everybody watches 200 others, and all come within a moment, twice: a frame a second for each, not
 * one for each change that each watches. */
static void test_a_storm(void **state UNUSED)
{
    make_ids();
    for (int i = 0; i < PEOPLE; i++) {
        join((uint64_t)i + 1, ids[i], "s");
        wait_frames((uint64_t)i + 1, "ready", 1);
        forget_frames();
        watch_around(i, WATCHED);
    }
    int64_t from_ms = clock_mono_ms();
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < PEOPLE; i++)
            appear(ids[i], round ? PRESENCE__STATUS__AWAY : PRESENCE__STATUS__ONLINE,
                   10 + round * PEOPLE + i);
    }
    /* Every socket has heard of everybody it watches when the last word is in. */
    size_t frames = 0;
    for (int i = 0; i < PEOPLE; i += 97)
        wait_frames((uint64_t)i + 1, "presence", 1);
    usleep(1500 * 1000);
    int64_t seconds = (clock_mono_ms() - from_ms) / 1000 + 1;
    size_t most = 0;
    for (int i = 0; i < PEOPLE; i++) {
        size_t count = frames_of((uint64_t)i + 1, "presence");
        assert_int_not_equal(count, 0);
        most = MAX(most, count);
        frames += count;
    }
    print_message("%zu frames, at most %zu to one, in %d s; one for each change would be %d\n",
                  frames, most, (int)seconds, 2 * PEOPLE * WATCHED);
    assert_true(most <= (size_t)seconds + 1);
    assert_true(frames <= PEOPLE * ((size_t)seconds + 1));
}

static void test_devices_are_reported(void **state UNUSED)
{
    make_ids();
    join(1, ids[0], "s");
    join(2, ids[0], "s");
    for (int i = 0; i < 200 && fake_reports < 2; i++)
        usleep(5000);
    leave(1);
    for (int i = 0; i < 200 && fake_reports < 3; i++)
        usleep(5000);
    assert_int_equal(fake_reports, 3);
    struct hub_post guest = post_of(3, HUB_JOIN);
    snprintf(guest.user_id, sizeof(guest.user_id), "guest");
    guest.is_guest = true;
    gateway_hub_post(&guest);
    wait_frames(3, "ready", 1);
    usleep(100 * 1000);
    assert_int_equal(fake_reports, 3);
}

int main(void)
{
#define HUB_TEST(fn) cmocka_unit_test_setup_teardown(fn, hub_open, hub_close)
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_a_change_is_told_once),
        HUB_TEST(test_strangers_see_nothing),
        HUB_TEST(test_nothing_is_told_in_doubt),
        HUB_TEST(test_a_doubt_during_a_doubt),
        HUB_TEST(test_a_storm),
        HUB_TEST(test_devices_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
