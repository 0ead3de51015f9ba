/*
 * Who may call what: every RPC of every service, as everybody who could. A row says for each kind
 * of caller what is answered, so a rule that is loosened or forgotten shows as a cell that differs,
 * and an RPC without a row fails the test. Callers are real: accounts, guests and places in one
 * meeting, which is made anew whenever an allowed call may have changed it.
 */
#include "meeting/people.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "services/media/media.h"
#include "services/signaling/signaling.h"

#include "media.pb-c.h"
#include "signaling.pb-c.h"

enum caller {
    NOBODY,
    GUEST,
    GUEST_COHOST,
    GUEST_ELSEWHERE,
    STRANGER,
    INVITED,
    WAITING,
    REFUSED,
    REMOVED,
    LEFT,
    MEMBER,
    COHOST,
    HOST,
    ADMIN,
    SYSTEM,
    CALLER_COUNT
};

static const char *const caller_names[CALLER_COUNT] = {
    "nobody",   "guest",   "guest co-host", "guest of elsewhere",
    "stranger", "invited", "waiting",       "refused",
    "removed",  "left",    "member",        "co-host",
    "host",     "admin",   "system"};

/* What a cell says: + allowed, u unauthenticated, p permission denied, n not found. */
static char cell_of(enum err err)
{
    switch (err) {
    case ERR_UNAUTHENTICATED:
        return 'u';
    case ERR_PERMISSION_DENIED:
        return 'p';
    case ERR_NOT_FOUND:
        return 'n';
    case ERR_OK:
    case ERR_INVALID_ARGUMENT: /* what is asked is judged after who asks */
    case ERR_FAILED_PRECONDITION:
        return '+';
    default:
        return '?';
    }
}

static struct {
    struct world *w;
    struct media_service *media_service;
    struct signaling_service *signaling_service;
    ProtobufCService *media, *signaling;
    struct identity who[CALLER_COUNT];
    char meeting_id[ID_SIZE], elsewhere_id[ID_SIZE];
    char member_id[ID_SIZE], waiting_id[ID_SIZE]; /* participants */
    char invitation_id[ID_SIZE];
    char user_invitation[64];
    char session_of_host[ID_SIZE];
    char *token;
    enum caller caller; /* of the cell at hand */
} t;

/* ---- the meeting that everybody has something to do with ---- */

static void must_join(enum caller c, const char *meeting_id)
{
    const Meeting__JoinMeetingReply *r = join_meeting(t.w, &t.who[c], meeting_id);
    if (!r)
        fail_msg("%s: %s", caller_names[c], answer.message);
    snprintf(c == WAITING ? t.waiting_id : t.member_id, ID_SIZE, "%s", r->participant->id);
}

static char *participant_of(enum caller c)
{
    return find_person(t.w, t.meeting_id, t.who[c].user_id)->id;
}

static void use_waiting_room(void)
{
    Meeting__UpdateMeetingRequest in = MEETING__UPDATE_MEETING_REQUEST__INIT;
    in.id = t.meeting_id;
    in._has_waiting_room_case = MEETING__UPDATE_MEETING_REQUEST___HAS_WAITING_ROOM_HAS_WAITING_ROOM;
    in.has_waiting_room = true;
    assert_non_null(ask(t.w, t.w->meeting, "UpdateMeeting", &in, &t.who[HOST]));
}

static void give_session(struct identity *who)
{
    id_make(who->session_id);
}

static void make_guests(void)
{
    assert_non_null(join_as_guest(t.w, t.elsewhere_id, "Elsa", &t.who[GUEST_ELSEWHERE]));
    assert_non_null(join_as_guest(t.w, t.meeting_id, "Gil", &t.who[GUEST]));
    assert_non_null(join_as_guest(t.w, t.meeting_id, "Gina", &t.who[GUEST_COHOST]));
    assert_non_null(set_role(t.w, &t.who[HOST], t.meeting_id, participant_of(GUEST_COHOST),
                             MEETING__PARTICIPANT_ROLE__CO_HOST));
    give_session(&t.who[GUEST]);
    give_session(&t.who[GUEST_COHOST]);
    give_session(&t.who[GUEST_ELSEWHERE]);
}

static void make_invitations(void)
{
    Meeting__InviteRequest link = MEETING__INVITE_REQUEST__INIT;
    link.id = t.meeting_id;
    const Meeting__Invitation *i = invite(t.w, &t.who[HOST], &link);
    assert_non_null(i);
    snprintf(t.invitation_id, ID_SIZE, "%s", i->id);
    link.user_id = t.who[INVITED].user_id;
    assert_non_null(invite(t.w, &t.who[HOST], &link));
}

static void make_scene(void)
{
    Meeting__CreateMeetingRequest in = MEETING__CREATE_MEETING_REQUEST__INIT;
    in.scheduled_start_ms = clock_wall_ms();
    snprintf(t.meeting_id, ID_SIZE, "%s", make_meeting(t.w, &t.who[HOST], &in)->id);
    snprintf(t.elsewhere_id, ID_SIZE, "%s", make_meeting(t.w, &t.who[HOST], &in)->id);
    for (enum caller c = REMOVED; c <= HOST; c++)
        must_join(c, t.meeting_id);
    make_guests();
    make_invitations();
    assert_non_null(set_role(t.w, &t.who[HOST], t.meeting_id, participant_of(COHOST),
                             MEETING__PARTICIPANT_ROLE__CO_HOST));
    assert_true(leave_meeting(t.w, &t.who[LEFT], t.meeting_id));
    assert_true(remove_person(t.w, &t.who[HOST], t.meeting_id, participant_of(REMOVED)));
    use_waiting_room();
    must_join(REFUSED, t.meeting_id);
    must_join(WAITING, t.meeting_id);
    Meeting__RefuseParticipantRequest refuse = MEETING__REFUSE_PARTICIPANT_REQUEST__INIT;
    refuse.id = t.meeting_id;
    refuse.participant_id = participant_of(REFUSED);
    assert_non_null(ask(t.w, t.w->meeting, "RefuseParticipant", &refuse, &t.who[HOST]));
    snprintf(t.member_id, ID_SIZE, "%s", participant_of(MEMBER));
}

/* ---- fixture ---- */

static void make_people(void)
{
    static const enum caller accounts[] = {ADMIN,   STRANGER, INVITED, WAITING, REFUSED,
                                           REMOVED, LEFT,     MEMBER,  COHOST,  HOST};
    for (size_t i = 0; i < ARRAY_LEN(accounts); i++) {
        char name[20];
        snprintf(name, sizeof(name), "person-%d", (int)accounts[i]);
        t.who[accounts[i]] = world_register(t.w, name); /* the first one: administrator */
        give_session(&t.who[accounts[i]]);
    }
    assert_int_equal(t.who[ADMIN].role, ROLE_ADMIN);
    Auth__LoginRequest in = AUTH__LOGIN_REQUEST__INIT;
    in.login = t.who[HOST].user_id;
    in.password = "password of person-12";
    assert_int_equal(HOST, 12);
    const Auth__LoginReply *r = ask(t.w, t.w->auth, "Login", &in, &nobody);
    assert_non_null(r);
    snprintf(t.session_of_host, ID_SIZE, "%s", r->session_id);
    t.token = r->access_token;
}

static int setup(void **state UNUSED)
{
    const struct rpc_local_options packing = {.is_packing = true};
    t.w = world_open(&(struct world_options){0});
    assert_int_equal(store_migrate(t.w->store, media_migrations, media_migration_count), ERR_OK);
    assert_int_equal(
        media_create(&t.media_service,
                     &(struct media_deps){.store = t.w->store,
                                          .bus = t.w->bus,
                                          .options = {.host = "127.0.0.1", .worker_count = 1}}),
        ERR_OK);
    t.media = rpc_local_create(media_rpc(t.media_service), &packing);
    assert_int_equal(
        signaling_create(&t.signaling_service, &(struct signaling_deps){.auth = t.w->auth,
                                                                        .meeting = t.w->meeting,
                                                                        .media = t.media,
                                                                        .bus = t.w->bus}),
        ERR_OK);
    t.signaling = rpc_local_create(signaling_rpc(t.signaling_service), &packing);
    make_people();
    make_scene();
    return 0;
}

static int teardown(void **state UNUSED)
{
    rpc_local_destroy(&t.signaling);
    signaling_destroy(&t.signaling_service);
    rpc_local_destroy(&t.media);
    media_destroy(&t.media_service);
    world_close(&t.w);
    return 0;
}

/* ---- the table ---- */

enum service { USER, AUTH, MEETING, MEDIA, SIGNALING };

/*
 * A request is JSON; $M is the meeting, $P the member's participant, $W the one who waits, $I an
 * invitation link, $U the member's account, $C a code to register, $T an access token, $S a sign-in
 * of the host's, $N the caller's number. In the columns: nobody; a guest, a guest who is co-host, a
 * guest of elsewhere; stranger, invited, waiting, refused, removed, left, member; co-host, host;
 * admin, system.
 */
static const struct row {
    enum service service;
    const char *method, *request, *cells;
    bool is_changing; /* an allowed call leaves another scene */
} rows[] = {
    {USER, "Register", "{\"username\":\"-\"}", "+++++++++++++++", 0},
    {USER, "GetUser", "{\"id\":\"$U\"}", "uppp+++++++++++", 0},
    {USER, "GetUser", "{\"id\":\"me\"}", "uppp++++++++++n", 0},
    {USER, "GetUserByID", "{\"login\":\"$U\"}", "pppppppppppppp+", 0},
    {USER, "UpdateUser", "{\"id\":\"$U\",\"nickname\":\"M\"}", "uppppppppp+pp++", 0},
    {USER, "UpdateUser", "{\"id\":\"me\",\"locale\":\"de\"}", "uppp++++++++++n", 0},
    {USER, "UpdateUser", "{\"id\":\"me\",\"role\":\"admin\"}", "upppppppppppp+n", 0},
    {USER, "UpdateUser", "{\"id\":\"$U\",\"is_disabled\":false}", "upppppppppppp++", 0},
    {USER, "SetPassword", "{\"id\":\"$U\",\"password_hash\":\"x\"}", "pppppppppppppp+", 0},
    {USER, "EraseUser", "{\"id\":\"-\"}", "ppppppppppppppn", 0},
    {USER, "SearchUsers", "{\"q\":\"person\"}", "uppp+++++++++++", 0},
    {USER, "CreateInvitation", "{}", "upppppppppppp++", 0},
    {USER, "ListInvitations", "{}", "upppppppppppp++", 0},
    {USER, "DeleteInvitation", "{\"code\":\"$C\"}", "upppppppppppp++", 0},
    {USER, "CreateBot", "{\"username\":\"-\"}", "uppp++++++++++p", 0},
    {USER, "ListBots", "{}", "uppp+++++++++++", 0},
    {USER, "DeleteBot", "{\"id\":\"$U\"}", "upppnnnnnnnnnnn", 0},
    {USER, "PutAvatar", "{\"id\":\"$U\",\"image\":\"AAAA\"}", "uppppppppp+pp++", 0},
    {USER, "GetAvatar", "{\"id\":\"$U\"}", "nnnnnnnnnnnnnnn", 0},

    {AUTH, "Register", "{\"username\":\"-\"}", "+++++++++++++++", 0},
    {AUTH, "Login", "{\"login\":\"$U\",\"password\":\"password of person-10\"}", "+++++++++++++++",
     0},
    {AUTH, "ValidateToken", "{\"token\":\"$T\"}", "+++++++++++++++", 0},
    {AUTH, "ValidateToken", "{\"token\":\"forged\"}", "uuuuuuuuuuuuuuu", 0},
    {AUTH, "RefreshToken", "{\"refresh_token\":\"$T\"}", "uuuuuuuuuuuuuuu", 0},
    {AUTH, "RevokeToken", "{}", "u+++++++++++++u", 0},
    {AUTH, "IssueGuestToken", "{\"meeting_id\":\"$M\",\"name\":\"G\"}", "pppppppppppppp+", 0},
    {AUTH, "ListSessions", "{}", "uppp+++++++++++", 0},
    {AUTH, "RevokeSession", "{\"id\":\"$S\"}", "upppnnnnnnnn+nn", 0},
    {AUTH, "ChangePassword",
     "{\"old_password\":\"password of person-$N\",\"new_password\":\"password of person-$N\"}",
     "uppp++++++++++n", 0},
    {AUTH, "ResetPassword", "{\"user_id\":\"$U\",\"new_password\":\"short\"}", "upppppppppppp++",
     0},
    {AUTH, "GetCsrfToken", "{}", "u+++++++++++++u", 0},
    {AUTH, "ListAudit", "{}", "upppppppppppp++", 0},
    {AUTH, "ValidateSignature", "{\"nonce\":\"-\"}", "uuuuuuuuuuuuuuu", 0},
    {AUTH, "CheckSessions", "{\"ids\":[\"-\"]}", "pppppppppppppp+", 0},
    {AUTH, "CreateKey", "{\"name\":\"K\"}", "uppp++++++++++p", 0},
    {AUTH, "CreateKey", "{\"name\":\"K\",\"user_id\":\"$U\"}", "upppnnnnnn+nnnp", 0},
    {AUTH, "ListKeys", "{}", "uppp+++++++++++", 0},
    {AUTH, "RevokeKey", "{\"id\":\"$S\"}", "upppnnnnnnnnnnn", 0},

    {MEETING, "CreateMeeting", "{\"title\":\"T\"}", "uppp++++++++++p", 0},
    {MEETING, "ListMeetings", "{}", "uppp+++++++++++", 0},
    {MEETING, "GetMeeting", "{\"id\":\"$M\"}", "u++nn++nn++++++", 0},
    {MEETING, "PreviewMeeting", "{\"id\":\"$M\"}", "+++++++++++++++", 0},
    {MEETING, "UpdateMeeting", "{\"id\":\"$M\",\"title\":\"T\"}", "upppnppnnpp++++", 0},
    {MEETING, "DeleteMeeting", "{\"id\":\"$M\"}", "upppnppnnppp+++", 1},
    {MEETING, "JoinMeeting", "{\"id\":\"$M\",\"name\":\"N\"}", "++++++++p+++++p", 1},
    {MEETING, "LeaveMeeting", "{\"id\":\"$M\"}", "u++nn++nn++++++", 1},
    {MEETING, "EndMeeting", "{\"id\":\"$M\"}", "upppnppnnppp+++", 1},
    {MEETING, "ListParticipants", "{\"id\":\"$M\"}", "u++nn+pnn++++++", 0},
    {MEETING, "ListResults", "{\"id\":\"$M\"}", "u++nn+pnn++++++", 0},
    {MEETING, "SetParticipantRole",
     "{\"id\":\"$M\",\"participant_id\":\"$P\",\"role\":\"co_host\"}", "upppnppnnppp+++", 1},
    {MEETING, "RemoveParticipant", "{\"id\":\"$M\",\"participant_id\":\"$P\"}", "up+nnppnnpp++++",
     1},
    {MEETING, "MuteParticipant", "{\"id\":\"$M\",\"participant_id\":\"$P\"}", "up+nnppnnpp++++", 0},
    {MEETING, "MuteParticipant", "{\"id\":\"$M\",\"participant_id\":\"all\"}", "up+nnppnnpp++++",
     0},
    {MEETING, "AdmitParticipant", "{\"id\":\"$M\",\"participant_id\":\"$W\"}", "up+nnppnnpp++++",
     1},
    {MEETING, "AdmitParticipant", "{\"id\":\"$M\",\"participant_id\":\"all\"}", "up+nnppnnpp++++",
     1},
    {MEETING, "RefuseParticipant", "{\"id\":\"$M\",\"participant_id\":\"$W\"}", "up+nnppnnpp++++",
     1},
    {MEETING, "Invite", "{\"id\":\"$M\"}", "upppnppnnpp++++", 0},
    {MEETING, "ListInvitations", "{\"id\":\"$M\"}", "upppnppnnpp++++", 0},
    {MEETING, "RevokeInvitation", "{\"id\":\"$M\",\"invitation_id\":\"$I\"}", "upppnppnnpp++++", 1},
    {MEETING, "GetCalendar", "{\"id\":\"$M\"}", "u++nn++nn++++++", 0},
    {MEETING, "AuthorizeParticipant", "{\"meeting_id\":\"$M\"}", "u++nn++nn++++pp", 0},
    {MEETING, "ReportPresence", "{}", "pppppppppppppp+", 0},
    {MEETING, "PlaceMeeting", "{\"meeting_id\":\"$M\"}", "pppppppppppppp+", 0},

    {MEDIA, "OpenSession", "{}", "pppppppppppppp+", 0},
    {MEDIA, "CloseSession", "{}", "pppppppppppppp+", 0},
    {MEDIA, "Publish", "{}", "ppppppppppppppn", 0},
    {MEDIA, "Answer", "{}", "ppppppppppppppn", 0},
    {MEDIA, "AddCandidate", "{}", "ppppppppppppppn", 0},
    {MEDIA, "RestartSubscriber", "{}", "ppppppppppppppn", 0},
    {MEDIA, "SetTrackMuted", "{}", "ppppppppppppppn", 0},
    {MEDIA, "SetSubscription", "{}", "ppppppppppppppn", 0},
    {MEDIA, "Unpublish", "{}", "ppppppppppppppn", 0},
    {MEDIA, "GetCapabilities", "{}", "+++++++++++++++", 0},
    {MEDIA, "GetIceServers", "{}", "u++++++++++++++", 0},
    {MEDIA, "GetStats", "{}", "u++++++++++++++", 0},
    {MEDIA, "GetNode", "{}", "pppppppppppppp+", 0},
    {MEDIA, "SyncRoom", "{}", "ppppppppppppppn", 0},
    {MEDIA, "KeepRooms", "{}", "pppppppppppppp+", 0},

    {SIGNALING, "ListConnections", "{}", "upppppppppppp++", 0},
    {SIGNALING, "Disconnect", "{\"participant_id\":\"$P\"}", "upppppppppppp++", 0},
    {SIGNALING, "GetNode", "{}", "pppppppppppppp+", 0},
    {SIGNALING, "Relay", "{}", "pppppppppppppp+", 0},
};

/* ---- asking ---- */

static ProtobufCService *service_of(enum service service)
{
    ProtobufCService *const services[] = {t.w->user, t.w->auth, t.w->meeting, t.media, t.signaling};
    return services[service];
}

static const char *value_of(char letter, char *scratch, size_t size)
{
    switch (letter) {
    case 'M':
        return t.meeting_id;
    case 'P':
        return t.member_id;
    case 'W':
        return t.waiting_id;
    case 'I':
        return t.invitation_id;
    case 'U':
        return t.who[MEMBER].user_id;
    case 'T':
        return t.token;
    case 'S':
        return t.session_of_host;
    case 'N':
        snprintf(scratch, size, "%d", (int)t.caller);
        return scratch;
    case 'C': {
        User__CreateInvitationRequest in = USER__CREATE_INVITATION_REQUEST__INIT;
        const User__Invitation *i = ask(t.w, t.w->user, "CreateInvitation", &in, NULL);
        snprintf(scratch, size, "%s", i->code);
        return scratch;
    }
    default:
        fail_msg("no such letter: %c", letter);
        return "";
    }
}

static const ProtobufCMessage *request_of(const struct row *row, struct arena *arena)
{
    struct strbuf json = {0}, problem = {0};
    char scratch[64];
    const ProtobufCServiceDescriptor *d = service_of(row->service)->descriptor;
    const ProtobufCMethodDescriptor *method =
        protobuf_c_service_descriptor_get_method_by_name(d, row->method);
    if (!method)
        fail_msg("%s: no such RPC", row->method);
    for (const char *c = row->request; *c; c++) {
        if (*c == '$')
            strbuf_adds(&json, value_of(*++c, scratch, sizeof(scratch)));
        else
            strbuf_addc(&json, *c);
    }
    const ProtobufCMessage *in = rpc_json_parse(method->input, strbuf_str(&json), arena, &problem);
    if (!in)
        fail_msg("%s %s: %s", row->method, json.p, problem.p);
    strbuf_deinit(&json);
    strbuf_deinit(&problem);
    return in;
}

/* false, said on stderr: the cell differs. */
static bool check_cell(const struct row *row, enum caller caller)
{
    struct arena *arena = arena_create();
    t.caller = caller;
    const ProtobufCMessage *in = request_of(row, arena);
    ask(t.w, service_of(row->service), row->method, in, caller == SYSTEM ? NULL : &t.who[caller]);
    arena_destroy(&arena);
    char expected = row->cells[caller], cell = cell_of(answer.err);
    if (cell != expected)
        fprintf(stderr, "%s %s as %s: expected %c, was %s (%s)\n", row->method, row->request,
                caller_names[caller], expected, err_name(answer.err), answer.message);
    if (cell == '+' && row->is_changing)
        make_scene();
    return cell == expected;
}

static void test_every_cell(void **state UNUSED)
{
    int wrong = 0;
    t.who[NOBODY] = nobody;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(strlen(rows[i].cells), CALLER_COUNT);
        for (enum caller c = 0; c < CALLER_COUNT; c++)
            wrong += !check_cell(&rows[i], c);
    }
    assert_int_equal(wrong, 0);
}

static bool has_row(enum service service, const char *method)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].service == service && strcmp(rows[i].method, method) == 0)
            return true;
    }
    return false;
}

static void test_every_rpc_has_a_row(void **state UNUSED)
{
    for (enum service s = USER; s <= SIGNALING; s++) {
        const ProtobufCServiceDescriptor *d = service_of(s)->descriptor;
        for (unsigned i = 0; i < d->n_methods; i++) {
            if (!has_row(s, d->methods[i].name))
                fail_msg("%s.%s has no row", d->name, d->methods[i].name);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_rpc_has_a_row),
        cmocka_unit_test(test_every_cell),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
