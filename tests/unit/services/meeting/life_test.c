/* A meeting's life over a real store: it ends when empty, people who vanished have left, a host who
 * goes hands over, and of all the moves between states only the legal ones happen. */
#include "people.h"

#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"

static struct world *w;
static struct identity admin, ann, bob, cleo;

/* The machine's wall clock as the tests set it; the monotonic one goes on. */
static _Atomic int64_t clock_set_s;

int clock_gettime(clockid_t id, struct timespec *out)
{
    int result = (int)syscall(SYS_clock_gettime, id, out);
    if (id == CLOCK_REALTIME)
        out->tv_sec += clock_set_s;
    return result;
}

static struct heard {
    char type[64], kind[16], participant_id[ID_SIZE];
} heard[200];
static atomic_size_t heard_count;
static int subscription;

static void on_event(void *arg UNUSED, const struct bus_event *e)
{
    Meeting__MeetingEvent *m =
        meeting__meeting_event__unpack(NULL, e->payload.n, (const uint8_t *)e->payload.p);
    struct heard *h = &heard[atomic_load(&heard_count)];
    snprintf(h->type, sizeof(h->type), "%s", m->type);
    snprintf(h->kind, sizeof(h->kind), "%s", m->kind);
    snprintf(h->participant_id, ID_SIZE, "%s", m->participant ? m->participant->id : "");
    atomic_fetch_add(&heard_count, 1);
    meeting__meeting_event__free_unpacked(m, NULL);
}

static bool has_heard(void *arg)
{
    const struct heard *wanted = arg;
    for (size_t i = 0; i < atomic_load(&heard_count); i++) {
        if (strcmp(heard[i].type, wanted->type) == 0 && strcmp(heard[i].kind, wanted->kind) == 0)
            return true;
    }
    return false;
}

static void expect_event(const char *type, const char *kind)
{
    struct heard wanted = {0};
    snprintf(wanted.type, sizeof(wanted.type), "%s", type);
    snprintf(wanted.kind, sizeof(wanted.kind), "%s", kind);
    eventually(has_heard, &wanted);
}

static int setup(void **state UNUSED)
{
    w = world_open(&(struct world_options){.empty_grace_ms = 250, .presence_ms = 100});
    heard_count = 0;
    subscription = bus_subscribe(w->bus, "meeting_events", "test", on_event, NULL);
    admin = world_register(w, "admin");
    ann = world_register(w, "ann");
    bob = world_register(w, "bob");
    cleo = world_register(w, "cleo");
    return 0;
}

static int teardown(void **state UNUSED)
{
    bus_unsubscribe(w->bus, subscription);
    world_close(&w);
    return 0;
}

static void sweep_after_ms(unsigned ms)
{
    usleep(ms * 1000);
    assert_int_equal(meeting_sweep(w->meeting_service), ERR_OK);
}

static Meeting__State state_of(const char *id)
{
    return get_meeting(w, NULL, id)->state;
}

static void test_ends_when_empty(void **state UNUSED)
{
    const char *id = make_meeting(w, &ann, NULL)->id;
    sweep_after_ms(300);
    assert_int_equal(state_of(id), MEETING__STATE__SCHEDULED); /* not begun: it waits */
    assert_non_null(join_meeting(w, &ann, id));
    assert_true(leave_meeting(w, &ann, id));
    sweep_after_ms(0);
    assert_int_equal(state_of(id), MEETING__STATE__ACTIVE); /* the grace: she may come back */
    assert_non_null(join_meeting(w, &ann, id));
    sweep_after_ms(300);
    assert_int_equal(state_of(id), MEETING__STATE__ACTIVE);
    assert_true(leave_meeting(w, &ann, id));
    sweep_after_ms(300);
    assert_int_equal(state_of(id), MEETING__STATE__ENDED);
    expect_event("meeting.ended", "empty");
}

static void test_scheduled_time_is_kept(void **state UNUSED)
{
    Meeting__CreateMeetingRequest in = MEETING__CREATE_MEETING_REQUEST__INIT;
    in.scheduled_start_ms = clock_wall_ms() - 1000;
    in.scheduled_end_ms = clock_wall_ms() + 3600 * 1000;
    const char *running = make_meeting(w, &ann, &in)->id;
    assert_non_null(join_meeting(w, &ann, running));
    assert_true(leave_meeting(w, &ann, running));
    in.scheduled_start_ms = clock_wall_ms() - 50 * 3600 * 1000LL;
    in.scheduled_end_ms = 0;
    const char *missed = make_meeting(w, &ann, &in)->id;
    sweep_after_ms(300);
    assert_int_equal(state_of(running), MEETING__STATE__ACTIVE); /* its hour is not over */
    assert_int_equal(state_of(missed), MEETING__STATE__ENDED);
    expect_event("meeting.ended", "missed");
}

static void test_unseen_have_left(void **state UNUSED)
{
    const char *id = make_meeting(w, &ann, NULL)->id;
    const char *a = join_meeting(w, &ann, id)->participant->id;
    const char *b = join_meeting(w, &bob, id)->participant->id;
    usleep(120 * 1000);
    assert_int_equal(report(w, id, (const char *[]){a, NULL}), 0);
    sweep_after_ms(0);
    assert_int_equal(find_person(w, id, ann.user_id)->state, MEETING__PARTICIPANT_STATE__ADMITTED);
    assert_int_equal(find_person(w, id, bob.user_id)->state, MEETING__PARTICIPANT_STATE__LEFT);
    assert_int_equal(get_meeting(w, NULL, id)->participant_count, 1);
    expect_event("meeting.user_left", "timeout");
    /* Who has left and is reported all the same is named. */
    assert_int_equal(report(w, id, (const char *[]){a, b, "nonsense", NULL}), 2);
    /* And with nobody seen any more the meeting ends. */
    sweep_after_ms(120);
    sweep_after_ms(300);
    assert_int_equal(state_of(id), MEETING__STATE__ENDED);
}

static void test_a_clock_that_is_set_puts_nobody_out(void **state UNUSED)
{
    const char *id = make_meeting(w, &ann, NULL)->id;
    const char *a = join_meeting(w, &ann, id)->participant->id;
    sweep_after_ms(0);
    for (int hours = 1; hours >= -1; hours -= 2) { /* an hour on, then back and one more */
        clock_set_s += hours * 3600 * (hours < 0 ? 2 : 1);
        sweep_after_ms(0);
        assert_int_equal(find_person(w, id, ann.user_id)->state,
                         MEETING__PARTICIPANT_STATE__ADMITTED);
        assert_int_equal(report(w, id, (const char *[]){a, NULL}), 0);
        sweep_after_ms(0);
        assert_int_equal(state_of(id), MEETING__STATE__ACTIVE);
    }
    sweep_after_ms(120); /* its time counts on */
    assert_int_equal(find_person(w, id, ann.user_id)->state, MEETING__PARTICIPANT_STATE__LEFT);
    clock_set_s = 0;
}

static void test_host_hands_over(void **state UNUSED)
{
    const char *id = make_meeting(w, &ann, NULL)->id;
    struct identity guest;
    assert_non_null(join_meeting(w, &ann, id));
    const char *g = join_as_guest(w, id, "Gil", &guest)->participant->id;
    const char *b = join_meeting(w, &bob, id)->participant->id;
    assert_non_null(join_meeting(w, &cleo, id));
    assert_true(leave_meeting(w, &ann, id));
    assert_string_equal(get_meeting(w, NULL, id)->host_id, ann.user_id); /* nobody to take over */
    assert_non_null(join_meeting(w, &ann, id));
    assert_non_null(set_role(w, &ann, id, g, MEETING__PARTICIPANT_ROLE__CO_HOST));
    assert_non_null(set_role(w, &ann, id, b, MEETING__PARTICIPANT_ROLE__CO_HOST));
    assert_true(leave_meeting(w, &ann, id));
    /* Not the guest, though longer there. */
    assert_string_equal(get_meeting(w, NULL, id)->host_id, bob.user_id);
    assert_int_equal(find_person(w, id, bob.user_id)->role, MEETING__PARTICIPANT_ROLE__HOST);
    assert_int_equal(find_person(w, id, ann.user_id)->role, MEETING__PARTICIPANT_ROLE__CO_HOST);
    assert_int_equal(find_person(w, id, ann.user_id)->state, MEETING__PARTICIPANT_STATE__LEFT);
    assert_non_null(end_meeting(w, &bob, id));
}

static void refuse(const char *id, const struct identity *who)
{
    Meeting__RefuseParticipantRequest in = MEETING__REFUSE_PARTICIPANT_REQUEST__INIT;
    in.id = (char *)id;
    in.participant_id = find_person(w, id, who->user_id)->id;
    assert_non_null(ask(w, w->meeting, "RefuseParticipant", &in, &ann));
}

static void set_waiting_room(const char *id, bool has_one)
{
    Meeting__UpdateMeetingRequest in = MEETING__UPDATE_MEETING_REQUEST__INIT;
    in.id = (char *)id;
    in._has_waiting_room_case = MEETING__UPDATE_MEETING_REQUEST___HAS_WAITING_ROOM_HAS_WAITING_ROOM;
    in.has_waiting_room = has_one;
    assert_non_null(ask(w, w->meeting, "UpdateMeeting", &in, &ann));
}

static void test_knocking_leaves_no_trace(void **state UNUSED)
{
    const char *id = make_meeting(w, &ann, NULL)->id;
    assert_non_null(join_meeting(w, &ann, id));
    assert_non_null(join_meeting(w, &cleo, id));
    assert_true(leave_meeting(w, &cleo, id));
    set_waiting_room(id, true);
    for (int was_refused = 0; was_refused < 2; was_refused++) {
        const Meeting__JoinMeetingReply *r = join_meeting(w, &bob, id);
        assert_int_equal(r->participant->state, MEETING__PARTICIPANT_STATE__WAITING);
        assert_non_null(get_meeting(w, &bob, id)); /* what it knocks at */
        assert_true(leave_meeting(w, &bob, id));
        assert_null(get_meeting(w, &bob, id));
        assert_int_equal(answer.err, ERR_NOT_FOUND);
        assert_non_null(join_meeting(w, &bob, id));
        refuse(id, &bob);
        assert_null(get_meeting(w, &bob, id));
    }
    /* Who was inside before stays one who was inside. */
    assert_int_equal(join_meeting(w, &cleo, id)->participant->state,
                     MEETING__PARTICIPANT_STATE__WAITING);
    assert_true(leave_meeting(w, &cleo, id));
    assert_int_equal(find_person(w, id, cleo.user_id)->state, MEETING__PARTICIPANT_STATE__LEFT);
    /* With the end of the meeting, too. */
    assert_non_null(join_meeting(w, &bob, id));
    assert_non_null(end_meeting(w, &ann, id));
    assert_null(get_meeting(w, &bob, id));
    assert_non_null(get_meeting(w, &cleo, id));
}

static int admit_all(const char *id)
{
    Meeting__AdmitParticipantRequest in = MEETING__ADMIT_PARTICIPANT_REQUEST__INIT;
    in.id = (char *)id;
    in.participant_id = "all";
    const Meeting__AdmitParticipantReply *r = ask(w, w->meeting, "AdmitParticipant", &in, &ann);
    return r ? r->admitted_count : -1;
}

static void test_as_many_as_there_is_room_for(void **state UNUSED)
{
    Meeting__CreateMeetingRequest in = MEETING__CREATE_MEETING_REQUEST__INIT;
    in.has_waiting_room = true;
    in.capacity = 2;
    const char *id = make_meeting(w, &ann, &in)->id;
    assert_int_equal(admit_all(id), 0);
    assert_non_null(join_meeting(w, &bob, id));
    assert_non_null(join_meeting(w, &cleo, id));
    assert_non_null(join_meeting(w, &admin, id));
    assert_int_equal(state_of(id), MEETING__STATE__SCHEDULED);
    assert_int_equal(admit_all(id), 2); /* by a host who is not inside herself */
    assert_int_equal(state_of(id), MEETING__STATE__ACTIVE);
    assert_int_equal(get_meeting(w, NULL, id)->participant_count, 2);
    assert_int_equal(admit_all(id), -1);
    assert_int_equal(answer.err, ERR_RESOURCE_EXHAUSTED);
    /* The host is never shut out. */
    assert_int_equal(join_meeting(w, &ann, id)->participant->state,
                     MEETING__PARTICIPANT_STATE__ADMITTED);
    assert_true(leave_meeting(w, &bob, id));
    assert_true(leave_meeting(w, &cleo, id));
    set_waiting_room(id, false);
    assert_int_equal(find_person(w, id, admin.user_id)->state,
                     MEETING__PARTICIPANT_STATE__ADMITTED);
}

static void test_no_token_at_a_shut_door(void **state UNUSED)
{
    struct identity guest;
    Meeting__CreateMeetingRequest in = MEETING__CREATE_MEETING_REQUEST__INIT;
    in.capacity = 2;
    const char *full = make_meeting(w, &ann, &in)->id;
    assert_non_null(join_meeting(w, &bob, full));
    assert_non_null(join_meeting(w, &cleo, full));
    in.password = "open sesame";
    const char *shut = make_meeting(w, &ann, &in)->id;
    const char *over = make_meeting(w, &ann, NULL)->id;
    assert_non_null(end_meeting(w, &ann, over));
    const struct {
        const char *id;
        enum err err;
    } cases[] = {{full, ERR_RESOURCE_EXHAUSTED},
                 {shut, ERR_PERMISSION_DENIED},
                 {over, ERR_FAILED_PRECONDITION}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_null(join_as_guest(w, cases[i].id, "Gil", &guest));
        assert_int_equal(answer.err, cases[i].err);
    }
    assert_int_equal(world_count(w, "SELECT COUNT(*) FROM auth_sessions WHERE name = ?", "Gil"), 0);
    assert_non_null(join_as_guest(w, make_meeting(w, &ann, NULL)->id, "Gil", &guest));
    assert_int_equal(world_count(w, "SELECT COUNT(*) FROM auth_sessions WHERE name = ?", "Gil"), 1);
}

static void test_legal_moves(void **state UNUSED)
{
    enum { START, END, DELETE, UPDATE, JOIN, INVITE, ROLE };
    static const struct {
        Meeting__State from;
        int move;
        enum err err;
    } cases[] = {
        {MEETING__STATE__SCHEDULED, END, ERR_OK},
        {MEETING__STATE__SCHEDULED, UPDATE, ERR_OK},
        {MEETING__STATE__SCHEDULED, INVITE, ERR_OK},
        {MEETING__STATE__SCHEDULED, DELETE, ERR_OK},
        {MEETING__STATE__ACTIVE, JOIN, ERR_OK},
        {MEETING__STATE__ACTIVE, UPDATE, ERR_OK},
        {MEETING__STATE__ACTIVE, INVITE, ERR_OK},
        {MEETING__STATE__ACTIVE, ROLE, ERR_OK},
        {MEETING__STATE__ACTIVE, DELETE, ERR_FAILED_PRECONDITION},
        {MEETING__STATE__ACTIVE, END, ERR_OK},
        {MEETING__STATE__ENDED, END, ERR_FAILED_PRECONDITION},
        {MEETING__STATE__ENDED, JOIN, ERR_FAILED_PRECONDITION},
        {MEETING__STATE__ENDED, UPDATE, ERR_FAILED_PRECONDITION},
        {MEETING__STATE__ENDED, INVITE, ERR_FAILED_PRECONDITION},
        {MEETING__STATE__ENDED, ROLE, ERR_FAILED_PRECONDITION},
        {MEETING__STATE__ENDED, DELETE, ERR_OK},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *id = make_meeting(w, &ann, NULL)->id;
        const char *p = "none";
        if (cases[i].from != MEETING__STATE__SCHEDULED)
            p = join_meeting(w, &bob, id)->participant->id;
        if (cases[i].from == MEETING__STATE__ENDED)
            assert_non_null(end_meeting(w, &ann, id));
        assert_int_equal(state_of(id), cases[i].from);
        Meeting__UpdateMeetingRequest update = MEETING__UPDATE_MEETING_REQUEST__INIT;
        Meeting__DeleteMeetingRequest del = MEETING__DELETE_MEETING_REQUEST__INIT;
        Meeting__InviteRequest link = MEETING__INVITE_REQUEST__INIT;
        update.id = del.id = link.id = id;
        switch (cases[i].move) {
        case END:
            end_meeting(w, &ann, id);
            break;
        case DELETE:
            ask(w, w->meeting, "DeleteMeeting", &del, &ann);
            break;
        case UPDATE:
            ask(w, w->meeting, "UpdateMeeting", &update, &ann);
            break;
        case JOIN:
            join_meeting(w, &cleo, id);
            break;
        case INVITE:
            invite(w, &ann, &link);
            break;
        default:
            set_role(w, &ann, id, p, MEETING__PARTICIPANT_ROLE__CO_HOST);
        }
        if (answer.err != cases[i].err)
            fail_msg("case %zu: %s", i, err_name(answer.err));
    }
}

static bool is_renamed(void *id)
{
    return strcmp(get_meeting(w, NULL, id)->host_name, "Ann of the hill") == 0;
}

static void test_host_name_follows(void **state UNUSED)
{
    char *id = make_meeting(w, &ann, NULL)->id;
    assert_string_equal(get_meeting(w, &ann, id)->host_name, "ann");
    User__UpdateUserRequest in = USER__UPDATE_USER_REQUEST__INIT;
    in.id = "me";
    in._nickname_case = USER__UPDATE_USER_REQUEST___NICKNAME_NICKNAME;
    in.nickname = "Ann of the hill";
    assert_non_null(ask(w, w->user, "UpdateUser", &in, &ann));
    eventually(is_renamed, id);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_ends_when_empty),
        TEST(test_scheduled_time_is_kept),
        TEST(test_unseen_have_left),
        TEST(test_a_clock_that_is_set_puts_nobody_out),
        TEST(test_host_hands_over),
        TEST(test_knocking_leaves_no_trace),
        TEST(test_as_many_as_there_is_room_for),
        TEST(test_no_token_at_a_shut_door),
        TEST(test_legal_moves),
        TEST(test_host_name_follows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
