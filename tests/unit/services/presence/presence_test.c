/* Presence: devices that come, idle, go and run out; what is told of it, and how often; what is
 * written, and when; who sees whom. */
#include "../message/scene.h"

#include <unistd.h>

#include "core/clock.h"
#include "services/presence/presence.h"

#include "contact.pb-c.h"
#include "presence.pb-c.h"

static struct presence_service *svc;
static ProtobufCService *presence;
static struct presence_deps deps;
static int subscription;
static _Atomic int told;                     /* events so far */
static _Atomic Presence__Status told_status; /* by the latest */

static void on_told(void *arg UNUSED, const struct bus_event *e)
{
    Presence__PresenceEvent *m =
        presence__presence_event__unpack(NULL, e->payload.n, (const uint8_t *)e->payload.p);
    assert_true(m->presence->version > 0);
    told_status = m->presence->status;
    presence__presence_event__free_unpacked(m, NULL);
    told++;
}

static void start(void)
{
    assert_int_equal(presence_create(&svc, &deps), ERR_OK);
    presence = rpc_local_create(presence_rpc(svc), &(struct rpc_local_options){.is_packing = true});
}

static void stop(void)
{
    rpc_local_destroy(&presence);
    presence_destroy(&svc);
}

static int setup(void **state)
{
    scene_open(state);
    assert_int_equal(store_migrate(w->store, presence_migrations, presence_migration_count),
                     ERR_OK);
    deps = (struct presence_deps){.message = w->message,
                                  .contact = w->contact,
                                  .store = w->store,
                                  .cache = w->cache,
                                  .bus = w->bus,
                                  .loop = w->loop,
                                  .debounce_ms = 300,
                                  .write_behind_ms = 100};
    told = 0;
    subscription = bus_subscribe(w->bus, "presence_events", "test", on_told, NULL);
    start();
    return 0;
}

static int teardown(void **state)
{
    stop();
    bus_unsubscribe(w->bus, subscription);
    return scene_close(state);
}

static void report(const struct identity *who, const char *device, bool is_idle, bool is_gone)
{
    Presence__DeviceReport d = PRESENCE__DEVICE_REPORT__INIT, *list[] = {&d};
    Presence__ReportDevicesRequest in = PRESENCE__REPORT_DEVICES_REQUEST__INIT;
    d.user_id = (char *)who->user_id;
    d.device_id = (char *)device;
    d.kind = PRESENCE__DEVICE_KIND__WEB;
    d.is_idle = is_idle;
    d.is_gone = is_gone;
    in.devices = list;
    in.n_devices = 1;
    assert_non_null(ask(w, presence, "ReportDevices", &in, NULL));
}

static const Presence__PresenceInfo *see(const struct identity *viewer, const struct identity *who)
{
    Presence__GetUserPresenceRequest in = PRESENCE__GET_USER_PRESENCE_REQUEST__INIT;
    in.user_id = (char *)who->user_id;
    return ask(w, presence, "GetUserPresence", &in, viewer);
}

static void befriend(const struct identity *one, const struct identity *other)
{
    Contact__RequestContactRequest in = CONTACT__REQUEST_CONTACT_REQUEST__INIT;
    in.user_id = (char *)other->user_id;
    assert_non_null(ask(w, w->contact, "RequestContact", &in, one));
    in.user_id = (char *)one->user_id; /* both want it */
    assert_non_null(ask(w, w->contact, "RequestContact", &in, other));
}

/* Exactly so many in the end: the clock ticks once a second. */
static void expect_told(int count)
{
    for (int i = 0; i < 600 && told < count; i++)
        usleep(5000);
    usleep(50000);
    assert_int_equal(told, count);
}

static bool is_offline(void *who)
{
    return see(NULL, who)->status == PRESENCE__STATUS__OFFLINE;
}

static int64_t written(const char *user_id)
{
    return world_count(w,
                       "SELECT COALESCE(MAX(last_seen_ms), 0) FROM presence_people"
                       " WHERE user_id = ?",
                       user_id);
}

/* ---- devices ---- */

static void test_heartbeats_are_not_told(void **state UNUSED)
{
    for (int i = 0; i < 5; i++)
        report(&ann, "a", false, false);
    report(&ann, "b", false, false); /* of the same kind: looks alike */
    report(&ann, "b", true, false);
    assert_int_equal(see(NULL, &ann)->status, PRESENCE__STATUS__ONLINE);
    report(&ann, "a", true, false);
    assert_int_equal(see(NULL, &ann)->status, PRESENCE__STATUS__AWAY);
    expect_told(2); /* came, and away */
}

static void test_a_reload_is_not_told(void **state UNUSED)
{
    report(&ann, "a", false, false);
    report(&ann, "a", false, true);
    assert_int_equal(see(NULL, &ann)->status, PRESENCE__STATUS__ONLINE);
    report(&ann, "b", false, false);
    usleep(1600 * 1000);
    assert_int_equal(see(NULL, &ann)->status, PRESENCE__STATUS__ONLINE);
    assert_int_equal(told, 1);
    int64_t at_ms = clock_wall_ms();
    report(&ann, "b", false, true);
    eventually(is_offline, &ann);
    assert_in_range(see(NULL, &ann)->last_seen_ms, at_ms, clock_wall_ms());
    expect_told(2);
}

/* A gateway that died reports nobody any more. */
static void test_time_to_live(void **state UNUSED)
{
    stop();
    deps.ttl_ms = 1000;
    start();
    report(&ann, "a", false, false);
    report(&bob, "b", false, false);
    usleep(600 * 1000);
    report(&bob, "b", false, false);
    eventually(is_offline, &ann);
    expect_told(4); /* the other one a little later */
    assert_true(is_offline(&bob));
}

static void test_at_most_sixteen_devices(void **state UNUSED)
{
    for (int i = 0; i < 40; i++) {
        char id[8];
        snprintf(id, sizeof(id), "d%d", i);
        report(&ann, id, i < 39, false);
    }
    report(&ann, "d39", false, true); /* the used one goes */
    usleep(1500 * 1000);
    assert_int_equal(see(NULL, &ann)->status, PRESENCE__STATUS__AWAY);
}

static void test_bad_reports(void **state UNUSED)
{
    Presence__UserOnlineRequest in = PRESENCE__USER_ONLINE_REQUEST__INIT;
    char long_id[80] = {0};
    memset(long_id, 'x', 79);
    char *const bad[] = {"", long_id};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        in.device_id = bad[i];
        assert_null(ask(w, presence, "UserOnline", &in, &ann));
        assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    }
    in.device_id = "fine";
    in.kind = (Presence__DeviceKind)99;
    assert_null(ask(w, presence, "UserOnline", &in, &ann));
    in.kind = PRESENCE__DEVICE_KIND__BOT;
    in.user_id = bob.user_id; /* another's */
    assert_null(ask(w, presence, "UserOnline", &in, &ann));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    Presence__ReportDevicesRequest many = PRESENCE__REPORT_DEVICES_REQUEST__INIT;
    assert_null(ask(w, presence, "ReportDevices", &many, &ann));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    Presence__GetViewsRequest views = PRESENCE__GET_VIEWS_REQUEST__INIT;
    assert_null(ask(w, presence, "GetViews", &views, &admin));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    assert_int_equal(told, 0);
}

/* ---- what is kept ---- */

static bool is_written(void *who)
{
    return written(((struct identity *)who)->user_id) > 0;
}

static void test_last_visits_are_written_behind(void **state UNUSED)
{
    report(&ann, "a", false, false);
    eventually(is_written, &ann); /* at the coming already: a crash forgets five minutes at most */
    int64_t first = written(ann.user_id);
    for (int i = 0; i < 20; i++)
        report(&ann, "a", false, false);
    usleep(1300 * 1000);
    assert_int_equal(written(ann.user_id), first); /* heartbeats write nothing */
    usleep(2000);
    report(&ann, "a", false, true);
    stop(); /* what waits is written at the end */
    assert_true(written(ann.user_id) > first);
    start();
}

static void test_settings_outlive_the_service(void **state UNUSED)
{
    Presence__SetPresenceRequest in = PRESENCE__SET_PRESENCE_REQUEST__INIT;
    in._status_case = PRESENCE__SET_PRESENCE_REQUEST___STATUS_STATUS;
    in.status = PRESENCE__STATUS__DO_NOT_DISTURB;
    in._text_case = PRESENCE__SET_PRESENCE_REQUEST___TEXT_TEXT;
    in.text = "  deep  in work ";
    report(&ann, "a", false, false);
    const Presence__OwnPresence *own = ask(w, presence, "SetPresence", &in, &ann);
    assert_string_equal(own->text, "deep  in work");
    assert_int_equal(own->shown->status, PRESENCE__STATUS__DO_NOT_DISTURB);
    stop();
    start();
    report(&ann, "b", false, false);
    assert_int_equal(see(NULL, &ann)->status, PRESENCE__STATUS__DO_NOT_DISTURB);
    assert_string_equal(see(NULL, &ann)->text, "deep  in work");
}

/* ---- two devices set something at once ---- */

static _Atomic bool is_first_held; /* the earlier write is committed and not yet told */

void __real_presence_settings_changed(struct presence_service *service, struct arena *arena,
                                      const char *user_id, const Presence__Settings *settings);
void __wrap_presence_settings_changed(struct presence_service *service, struct arena *arena,
                                      const char *user_id, const Presence__Settings *settings);
void __wrap_presence_settings_changed(struct presence_service *service, struct arena *arena,
                                      const char *user_id, const Presence__Settings *settings)
{
    if (strcmp(settings->text, "earlier") == 0) {
        is_first_held = true;
        usleep(150000);
    }
    __real_presence_settings_changed(service, arena, user_id, settings);
}

static void *say_of_oneself(void *text)
{
    struct rpc_call *call = rpc_call_create(NULL);
    Presence__SetPresenceRequest in = PRESENCE__SET_PRESENCE_REQUEST__INIT;
    call->who = &ann;
    in._text_case = PRESENCE__SET_PRESENCE_REQUEST___TEXT_TEXT;
    in.text = text;
    assert_non_null(rpc_sync(presence, "SetPresence", &in.base, call));
    rpc_call_unref(&call);
    return NULL;
}

static void test_the_later_of_two_settings_counts(void **state UNUSED)
{
    pthread_t earlier;
    is_first_held = false;
    report(&ann, "a", false, false);
    assert_int_equal(pthread_create(&earlier, NULL, say_of_oneself, "earlier"), 0);
    while (!is_first_held)
        usleep(1000);
    say_of_oneself("later");
    pthread_join(earlier, NULL);
    assert_string_equal(see(NULL, &ann)->text, "later");
    assert_int_equal(world_count(w,
                                 "SELECT COUNT(*) FROM presence_people WHERE user_id = ?"
                                 " AND text = 'later'",
                                 ann.user_id),
                     1);
}

static bool is_online(void *who)
{
    return see(NULL, who)->status == PRESENCE__STATUS__ONLINE;
}

static bool is_told(void *status)
{
    return told_status == *(const Presence__Status *)status;
}

static void test_a_status_runs_out(void **state UNUSED)
{
    Presence__SetPresenceRequest in = PRESENCE__SET_PRESENCE_REQUEST__INIT;
    in._status_case = PRESENCE__SET_PRESENCE_REQUEST___STATUS_STATUS;
    in.status = PRESENCE__STATUS__BUSY;
    in._status_until_ms_case = PRESENCE__SET_PRESENCE_REQUEST___STATUS_UNTIL_MS_STATUS_UNTIL_MS;
    in.status_until_ms = clock_wall_ms() + 1500;
    report(&ann, "a", false, false);
    assert_non_null(ask(w, presence, "SetPresence", &in, &ann));
    assert_int_equal(see(NULL, &ann)->status, PRESENCE__STATUS__BUSY);
    eventually(is_told, &(Presence__Status){PRESENCE__STATUS__BUSY});
    eventually(is_online, &ann);
    eventually(is_told, &(Presence__Status){PRESENCE__STATUS__ONLINE});
}

/* ---- who sees whom ---- */

static void test_ties(void **state UNUSED)
{
    befriend(&ann, &bob);
    report(&bob, "b", false, false);
    assert_int_equal(see(&ann, &bob)->status, PRESENCE__STATUS__ONLINE);
    assert_int_equal(see(&cleo, &bob)->status, PRESENCE__STATUS__OFFLINE);
    assert_int_equal(see(&admin, &bob)->status, PRESENCE__STATUS__OFFLINE); /* no rule for them */
    assert_int_equal(see(&bob, &bob)->status, PRESENCE__STATUS__ONLINE);
    Presence__GetOnlineUsersRequest in = PRESENCE__GET_ONLINE_USERS_REQUEST__INIT;
    const Presence__OnlineUsers *here = ask(w, presence, "GetOnlineUsers", &in, &ann);
    assert_int_equal(here->n_presences, 1);
    assert_non_null(block(w, &bob, &ann, true));
    assert_int_equal(see(&ann, &bob)->status, PRESENCE__STATUS__OFFLINE);
    report(&ann, "a", false, false);
    assert_int_equal(see(&bob, &ann)->status, PRESENCE__STATUS__OFFLINE);
    struct identity guest = person("01K00000000000000000000000", ROLE_GUEST);
    assert_null(see(&guest, &bob));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    assert_null(see(&nobody, &bob));
    assert_int_equal(answer.err, ERR_UNAUTHENTICATED);
}

/* Everybody comes at once, in one report each thread, while others look and set: nothing is lost.
 */
static void come_and_go(void *arg)
{
    const struct identity *who = arg;
    for (int i = 0; i < 50; i++) {
        report(who, "x", i % 2 == 0, false);
        see(NULL, who);
        if (i % 10 == 0) {
            Presence__SetPresenceRequest in = PRESENCE__SET_PRESENCE_REQUEST__INIT;
            in._emoji_case = PRESENCE__SET_PRESENCE_REQUEST___EMOJI_EMOJI;
            in.emoji = i % 20 ? "🌞" : "🌧";
            assert_non_null(ask(w, presence, "SetPresence", &in, who));
        }
    }
    report(who, "x", false, false);
}

static void test_at_once(void **state UNUSED)
{
    struct identity crowd[] = {ann, bob, cleo, admin, ann, bob, cleo, admin};
    in_parallel(come_and_go, crowd, ARRAY_LEN(crowd), sizeof(crowd[0]));
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(see(NULL, &crowd[i])->status, PRESENCE__STATUS__ONLINE);
}

int main(void)
{
#define SCENE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        SCENE(test_heartbeats_are_not_told),
        SCENE(test_a_reload_is_not_told),
        SCENE(test_time_to_live),
        SCENE(test_at_most_sixteen_devices),
        SCENE(test_bad_reports),
        SCENE(test_last_visits_are_written_behind),
        SCENE(test_settings_outlive_the_service),
        SCENE(test_the_later_of_two_settings_counts),
        SCENE(test_a_status_runs_out),
        SCENE(test_ties),
        SCENE(test_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
