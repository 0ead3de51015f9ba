/* The rules of meetings over a real store: capacity under a race, the waiting room, strangers,
 * hosts, ends. */
#include "test.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/id.h"
#include "services/meeting/meeting.h"

#include "auth.pb-c.h"
#include "meeting.pb-c.h"
#include "user.pb-c.h"

static void on_get_user(User__User_Service *s UNUSED, const User__GetUserRequest *in UNUSED,
                        User__Profile_Closure closure, void *data)
{
    struct rpc_call *call = data;
    User__Profile p = USER__PROFILE__INIT;
    p.id = p.username = (char *)call->who->user_id;
    closure(&p, call);
}

static User__User_Service user = {
    .base = {.descriptor = &user__user__descriptor, .invoke = protobuf_c_service_invoke_internal},
    .get_user = on_get_user,
};

static void on_guest(Auth__Auth_Service *s UNUSED, const Auth__IssueGuestTokenRequest *in UNUSED,
                     Auth__GuestToken_Closure closure, void *data)
{
    Auth__GuestToken t = AUTH__GUEST_TOKEN__INIT;
    char id[ID_SIZE];
    id_make(id);
    t.user_id = id;
    t.access_token = (char *)"token";
    closure(&t, data);
}

static Auth__Auth_Service auth = {
    .base = {.descriptor = &auth__auth__descriptor, .invoke = protobuf_c_service_invoke_internal},
    .issue_guest_token = on_guest,
};

static struct {
    struct store *store;
    struct bus *bus;
    struct cache *cache;
    struct meeting_service *service;
    ProtobufCService *user, *auth, *meeting;
} t;

static int setup(void **state UNUSED)
{
    assert_int_equal(
        store_open(&t.store, &(struct store_options){.driver = "sqlite", .url = ":memory:"}),
        ERR_OK);
    assert_int_equal(store_migrate(t.store, meeting_migrations, meeting_migration_count), ERR_OK);
    assert_int_equal(bus_open(&t.bus, &(struct bus_options){.driver = "memory", .store = t.store}),
                     ERR_OK);
    assert_int_equal(cache_open(&t.cache, &(struct cache_options){.driver = "memory"}), ERR_OK);
    t.user = rpc_local_create(&user.base, NULL);
    t.auth = rpc_local_create(&auth.base, NULL);
    assert_int_equal(
        meeting_create(&t.service,
                       &(struct meeting_deps){.user = t.user,
                                              .auth = t.auth,
                                              .store = t.store,
                                              .bus = t.bus,
                                              .cache = t.cache,
                                              .password = {.ops = 1, .memory_bytes = 8192}}),
        ERR_OK);
    t.meeting =
        rpc_local_create(meeting_rpc(t.service), &(struct rpc_local_options){.is_packing = true});
    return 0;
}

static int teardown(void **state UNUSED)
{
    rpc_local_destroy(&t.meeting);
    meeting_destroy(&t.service);
    rpc_local_destroy(&t.user);
    rpc_local_destroy(&t.auth);
    bus_close(&t.bus);
    store_close(&t.store);
    cache_close(&t.cache);
    return 0;
}

static struct identity person(const char *name, enum identity_role role)
{
    struct identity who = {.role = role};
    snprintf(who.user_id, sizeof(who.user_id), "%s", name);
    snprintf(who.name, sizeof(who.name), "%s", name);
    return who;
}

/* Calls as `who`; the reply lives as long as *c. */
static const void *as(struct rpc_call **c, const struct identity *who, const char *method,
                      const ProtobufCMessage *request)
{
    *c = rpc_call_create(NULL);
    (*c)->who = who;
    return rpc_sync(t.meeting, method, request, *c);
}

static void make(const char *host, int32_t capacity, bool has_waiting_room, char id[ID_SIZE])
{
    struct identity who = person(host, ROLE_USER);
    struct rpc_call *c;
    Meeting__CreateMeetingRequest r = MEETING__CREATE_MEETING_REQUEST__INIT;
    r.title = (char *)"<b>'; DROP TABLE meetings; --";
    r.capacity = capacity;
    r.has_waiting_room = has_waiting_room;
    const Meeting__MeetingInfo *m = as(&c, &who, "CreateMeeting", &r.base);
    assert_non_null(m);
    assert_string_equal(m->title, r.title);
    assert_int_equal(m->my_role, MEETING__PARTICIPANT_ROLE__HOST);
    snprintf(id, ID_SIZE, "%s", m->id);
    rpc_call_unref(&c);
}

/* The participant's id in `id` (may be NULL); ERR_OK or why not. */
static enum err join(const char *meeting, const char *name, enum identity_role role,
                     bool *is_waiting, char *id)
{
    struct identity who = person(role == ROLE_NONE ? "" : name, role);
    struct rpc_call *c;
    Meeting__JoinMeetingRequest r = MEETING__JOIN_MEETING_REQUEST__INIT;
    r.id = (char *)meeting;
    r.name = (char *)(role == ROLE_NONE ? name : "");
    const Meeting__JoinMeetingReply *reply = as(&c, &who, "JoinMeeting", &r.base);
    enum err err = reply ? ERR_OK : c->err;
    if (reply && is_waiting)
        *is_waiting = reply->participant->state == MEETING__PARTICIPANT_STATE__WAITING;
    if (reply && id)
        snprintf(id, ID_SIZE, "%s", reply->participant->id);
    if (reply && role == ROLE_NONE)
        assert_string_equal(reply->access_token, "token");
    rpc_call_unref(&c);
    return err;
}

static char race_meeting[ID_SIZE];
static _Atomic int race_in, race_full;

static void *race_main(void *arg)
{
    char name[20];
    snprintf(name, sizeof(name), "racer-%d", (int)(intptr_t)arg);
    enum err err = join(race_meeting, name, ROLE_USER, NULL, NULL);
    if (err == ERR_OK)
        race_in++;
    else if (err == ERR_RESOURCE_EXHAUSTED)
        race_full++;
    return NULL;
}

static void test_a_race_never_overfills(void **state UNUSED)
{
    pthread_t threads[50];
    make("host", 10, false, race_meeting);
    for (intptr_t i = 0; i < 50; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, race_main, (void *)i), 0);
    for (int i = 0; i < 50; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(race_in, 10);
    assert_int_equal(race_full, 40);
}

static void test_strangers_see_nothing(void **state UNUSED)
{
    char id[ID_SIZE];
    struct rpc_call *c;
    struct identity eve = person("eve", ROLE_USER);
    make("host", 10, false, id);
    Meeting__GetMeetingRequest r = MEETING__GET_MEETING_REQUEST__INIT;
    r.id = id;
    assert_null(as(&c, &eve, "GetMeeting", &r.base));
    assert_int_equal(c->err, ERR_NOT_FOUND);
    rpc_call_unref(&c);
    Meeting__EndMeetingRequest end = MEETING__END_MEETING_REQUEST__INIT;
    end.id = id;
    assert_null(as(&c, &eve, "EndMeeting", &end.base));
    assert_int_equal(c->err, ERR_NOT_FOUND);
    rpc_call_unref(&c);
    assert_int_equal(join(id, "eve", ROLE_USER, NULL, NULL), ERR_OK);
    assert_null(as(&c, &eve, "EndMeeting", &end.base));
    assert_int_equal(c->err, ERR_PERMISSION_DENIED);
    rpc_call_unref(&c);
}

static void test_waiting_room_and_removal(void **state UNUSED)
{
    char id[ID_SIZE], guest[ID_SIZE];
    bool is_waiting = false;
    struct rpc_call *c;
    struct identity host = person("host", ROLE_USER);
    make("host", 10, true, id);
    assert_int_equal(join(id, "host", ROLE_USER, &is_waiting, NULL), ERR_OK);
    assert_false(is_waiting);
    assert_int_equal(join(id, "Guest", ROLE_NONE, &is_waiting, guest), ERR_OK);
    assert_true(is_waiting);
    Meeting__AdmitParticipantRequest admit = MEETING__ADMIT_PARTICIPANT_REQUEST__INIT;
    admit.id = id;
    admit.participant_id = guest;
    const Meeting__AdmitParticipantReply *reply = as(&c, &host, "AdmitParticipant", &admit.base);
    assert_non_null(reply);
    assert_int_equal(reply->admitted_count, 1);
    rpc_call_unref(&c);
    Meeting__SetParticipantRoleRequest role = MEETING__SET_PARTICIPANT_ROLE_REQUEST__INIT;
    role.id = id;
    role.participant_id = guest;
    role.role = MEETING__PARTICIPANT_ROLE__HOST;
    assert_null(as(&c, &host, "SetParticipantRole", &role.base)); /* a guest cannot be host */
    assert_int_equal(c->err, ERR_FAILED_PRECONDITION);
    rpc_call_unref(&c);
}

static void test_transfer_leaves_one_host(void **state UNUSED)
{
    char id[ID_SIZE], bob[ID_SIZE];
    struct rpc_call *c;
    struct identity host = person("host", ROLE_USER);
    make("host", 10, false, id);
    assert_int_equal(join(id, "bob", ROLE_USER, NULL, bob), ERR_OK);
    Meeting__SetParticipantRoleRequest role = MEETING__SET_PARTICIPANT_ROLE_REQUEST__INIT;
    role.id = id;
    role.participant_id = bob;
    role.role = MEETING__PARTICIPANT_ROLE__HOST;
    assert_non_null(as(&c, &host, "SetParticipantRole", &role.base));
    rpc_call_unref(&c);
    assert_null(as(&c, &host, "SetParticipantRole", &role.base)); /* co-host now */
    assert_int_equal(c->err, ERR_PERMISSION_DENIED);
    rpc_call_unref(&c);
    struct identity now = person("bob", ROLE_USER);
    Meeting__EndMeetingRequest end = MEETING__END_MEETING_REQUEST__INIT;
    end.id = id;
    assert_non_null(as(&c, &now, "EndMeeting", &end.base));
    rpc_call_unref(&c);
    assert_null(as(&c, &now, "EndMeeting", &end.base)); /* it has ended already */
    assert_int_equal(c->err, ERR_FAILED_PRECONDITION);
    rpc_call_unref(&c);
    assert_int_equal(join(id, "late", ROLE_USER, NULL, NULL), ERR_FAILED_PRECONDITION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_race_never_overfills, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strangers_see_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_waiting_room_and_removal, setup, teardown),
        cmocka_unit_test_setup_teardown(test_transfer_leaves_one_host, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
