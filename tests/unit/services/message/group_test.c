/* Groups and channels: who belongs to them, who may do what, and that ranks are kept. */
#include "scene.h"

#include <stdio.h>

static const char *group_by(const struct identity *who, Message__JoinRule rule,
                            const struct identity *const *members)
{
    Group__CreateGroupRequest make = GROUP__CREATE_GROUP_REQUEST__INIT;
    make.join_rule = rule;
    return make_group(w, who, make, members)->id;
}

static bool remove_member(const struct identity *who, const char *id, const struct identity *other,
                          bool is_banned)
{
    Group__RemoveMemberRequest in = GROUP__REMOVE_MEMBER_REQUEST__INIT;
    in.id = (char *)id;
    in.user_id = (char *)other->user_id;
    in.is_banned = is_banned;
    return ask(w, w->group, "RemoveMember", &in, who) != NULL;
}

static const Message__Member *set_member(const struct identity *who, const char *id,
                                         const struct identity *other, Group__SetMemberRequest in)
{
    in.id = (char *)id;
    in.user_id = (char *)other->user_id;
    return ask(w, w->group, "SetMember", &in, who);
}

static const Message__Member *give_role(const struct identity *who, const char *id,
                                        const struct identity *other, Message__MemberRole role)
{
    Group__SetMemberRequest in = GROUP__SET_MEMBER_REQUEST__INIT;
    in._role_case = GROUP__SET_MEMBER_REQUEST___ROLE_ROLE;
    in.role = role;
    return set_member(who, id, other, in);
}

static const Message__Member *decide(const struct identity *who, const char *id,
                                     const struct identity *other, bool is_admitted)
{
    Group__SetMemberRequest in = GROUP__SET_MEMBER_REQUEST__INIT;
    in._is_admitted_case = GROUP__SET_MEMBER_REQUEST___IS_ADMITTED_IS_ADMITTED;
    in.is_admitted = is_admitted;
    return set_member(who, id, other, in);
}

static void test_create(void **state UNUSED)
{
    Group__CreateGroupRequest in = GROUP__CREATE_GROUP_REQUEST__INIT;
    in.client_id = "c1";
    const Message__Conversation *g = make_group(w, &ann, in, MEMBERS(&bob, &bob, &ann));
    assert_int_equal(g->member_count, 2);
    assert_string_equal(g->owner_id, ann.user_id);
    assert_int_equal(g->own->role, MESSAGE__MEMBER_ROLE__OWNER);
    assert_string_equal(make_group(w, &ann, in, NULL)->id, g->id); /* asked twice */
    assert_string_not_equal(make_group(w, &bob, in, NULL)->id, g->id);
    in.kind = MESSAGE__CONVERSATION_KIND__MEETING;
    assert_null(make_group(w, &ann, in, NULL));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    in = (Group__CreateGroupRequest)GROUP__CREATE_GROUP_REQUEST__INIT;
    in.title = "  ";
    assert_null(make_group(w, &ann, in, NULL));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    in.title = "A group";
    in.avatar_url = "javascript:alert(1)";
    assert_null(make_group(w, &ann, in, NULL));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    block(w, &cleo, &ann, true);
    in.avatar_url = "";
    assert_int_equal(make_group(w, &ann, in, MEMBERS(&bob, &cleo))->member_count, 2);
}

static void test_joining(void **state UNUSED)
{
    const char *closed = group_by(&ann, MESSAGE__JOIN_RULE__INVITED, NULL);
    const char *asking = group_by(&ann, MESSAGE__JOIN_RULE__ASK, NULL);
    const char *open = group_by(&ann, MESSAGE__JOIN_RULE__OPEN, NULL);
    assert_null(join_group(w, &bob, closed));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
    assert_int_equal(join_group(w, &bob, open)->own->state, MESSAGE__MEMBER_STATE__ACTIVE);
    assert_int_equal(join_group(w, &bob, open)->member_count, 2); /* twice is once */
    say(w, &ann, asking, "unseen", NULL);
    const Message__Conversation *c = join_group(w, &bob, asking);
    assert_int_equal(c->own->state, MESSAGE__MEMBER_STATE__ASKING);
    assert_null(c->last_message);
    assert_null(history(w, &bob, asking));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
    assert_null(decide(&bob, asking, &bob, true));
    Group__ListMembersRequest list = GROUP__LIST_MEMBERS_REQUEST__INIT;
    list.id = (char *)asking;
    list.state = "asking";
    const Group__MemberList *members = ask(w, w->group, "ListMembers", &list, &ann);
    assert_int_equal(members->n_members, 1);
    assert_non_null(decide(&ann, asking, &bob, true));
    assert_int_equal(look(w, &bob, asking)->member_count, 2);
    join_group(w, &cleo, asking);
    assert_int_equal(decide(&ann, asking, &cleo, false)->state, MESSAGE__MEMBER_STATE__REFUSED);
    assert_null(look(w, &cleo, asking));
    assert_int_equal(join_group(w, &cleo, asking)->own->state, MESSAGE__MEMBER_STATE__ASKING);
    const char *direct = tell(w, &ann, &bob, "hi", NULL)->conversation_id;
    assert_null(join_group(w, &cleo, direct));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
}

static void test_ranks(void **state UNUSED)
{
    const char *id = group_by(&ann, MESSAGE__JOIN_RULE__INVITED, MEMBERS(&bob, &cleo));
    assert_null(give_role(&bob, id, &bob, MESSAGE__MEMBER_ROLE__ADMIN));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    assert_null(add_member(w, &bob, id, &admin));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    assert_false(remove_member(&bob, id, &cleo, false));
    assert_non_null(give_role(&ann, id, &bob, MESSAGE__MEMBER_ROLE__ADMIN));
    assert_non_null(add_member(w, &bob, id, &admin));
    assert_false(remove_member(&bob, id, &ann, false));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    assert_false(remove_member(&bob, id, &bob, false));
    assert_true(remove_member(&bob, id, &admin, false));
    assert_null(give_role(&bob, id, &cleo, MESSAGE__MEMBER_ROLE__ADMIN));
    assert_null(say(w, &admin, id, "am I out?", NULL));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    assert_null(give_role(&ann, id, &ann, MESSAGE__MEMBER_ROLE__MEMBER));
    assert_int_equal(answer.err, ERR_FAILED_PRECONDITION);
    assert_null(give_role(&ann, id, &admin, MESSAGE__MEMBER_ROLE__ADMIN));
    assert_int_equal(answer.err, ERR_FAILED_PRECONDITION);
}

static void test_handing_over(void **state UNUSED)
{
    const char *id = group_by(&ann, MESSAGE__JOIN_RULE__INVITED, MEMBERS(&bob));
    assert_false(leave_group(w, &ann, id));
    assert_int_equal(answer.err, ERR_FAILED_PRECONDITION);
    assert_int_equal(give_role(&ann, id, &bob, MESSAGE__MEMBER_ROLE__OWNER)->role,
                     MESSAGE__MEMBER_ROLE__OWNER);
    const Message__Conversation *c = look(w, &ann, id);
    assert_string_equal(c->owner_id, bob.user_id);
    assert_int_equal(c->own->role, MESSAGE__MEMBER_ROLE__ADMIN);
    assert_true(leave_group(w, &ann, id));
    assert_true(leave_group(w, &ann, id)); /* twice is once */
    assert_int_equal(look(w, &bob, id)->member_count, 1);
    assert_true(leave_group(w, &bob, id)); /* the last one: nobody is left to write */
    assert_true(look(w, &bob, id)->is_dissolved);
}

static void test_bans(void **state UNUSED)
{
    const char *id = group_by(&ann, MESSAGE__JOIN_RULE__OPEN, MEMBERS(&bob));
    say(w, &bob, id, "spam", NULL);
    assert_true(remove_member(&ann, id, &bob, true));
    assert_null(join_group(w, &bob, id));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
    assert_null(history(w, &bob, id));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
    const Group__AddMembersReply *r = add_member(w, &ann, id, &bob);
    assert_int_equal(r->n_refused_user_ids, 1);
    Group__UnbanMemberRequest in = GROUP__UNBAN_MEMBER_REQUEST__INIT;
    in.id = (char *)id;
    in.user_id = bob.user_id;
    assert_null(ask(w, w->group, "UnbanMember", &in, &bob));
    assert_non_null(ask(w, w->group, "UnbanMember", &in, &ann));
    assert_non_null(join_group(w, &bob, id));
    assert_int_equal(look(w, &ann, id)->member_count, 2);
}

static void test_silence(void **state UNUSED)
{
    const char *id = group_by(&ann, MESSAGE__JOIN_RULE__INVITED, MEMBERS(&bob, &cleo));
    Group__SetMemberRequest mute = GROUP__SET_MEMBER_REQUEST__INIT;
    mute._muted_until_ms_case = GROUP__SET_MEMBER_REQUEST___MUTED_UNTIL_MS_MUTED_UNTIL_MS;
    mute.muted_until_ms = INT64_MAX;
    assert_null(set_member(&ann, id, &bob, mute));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    mute.muted_until_ms = 4102444800000 - 3600000LL * 24 * 365 * 66; /* within ten years */
    assert_null(set_member(&bob, id, &cleo, mute));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    assert_null(set_member(&bob, id, &bob, mute));
    mute.muted_until_ms = 2000000000000;
    assert_non_null(set_member(&ann, id, &bob, mute));
    assert_null(say(w, &bob, id, "mmh", NULL));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    mute.muted_until_ms = 0;
    assert_non_null(set_member(&ann, id, &bob, mute));
    assert_non_null(say(w, &bob, id, "ah", NULL));
    Group__UpdateGroupRequest all = GROUP__UPDATE_GROUP_REQUEST__INIT;
    all.id = (char *)id;
    all._is_muted_case = GROUP__UPDATE_GROUP_REQUEST___IS_MUTED_IS_MUTED;
    all.is_muted = true;
    assert_null(ask(w, w->group, "UpdateGroup", &all, &bob));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    assert_non_null(ask(w, w->group, "UpdateGroup", &all, &ann));
    assert_null(say(w, &bob, id, "mmh", NULL));
    assert_non_null(say(w, &ann, id, "announcement", NULL));
}

static void test_channels(void **state UNUSED)
{
    Group__CreateGroupRequest in = GROUP__CREATE_GROUP_REQUEST__INIT;
    in.kind = MESSAGE__CONVERSATION_KIND__CHANNEL;
    in.join_rule = MESSAGE__JOIN_RULE__OPEN;
    const char *id = make_group(w, &ann, in, NULL)->id;
    say(w, &ann, id, "news", NULL);
    join_group(w, &bob, id);
    char out[100];
    assert_string_equal(texts_of(history(w, &bob, id), out, sizeof(out)), "news");
    assert_null(say(w, &bob, id, "my news", NULL));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    give_role(&ann, id, &bob, MESSAGE__MEMBER_ROLE__ADMIN);
    assert_non_null(say(w, &bob, id, "my news", NULL));
}

static void test_dissolved(void **state UNUSED)
{
    const char *id = group_by(&ann, MESSAGE__JOIN_RULE__OPEN, MEMBERS(&bob));
    say(w, &bob, id, "remember", NULL);
    Group__DissolveGroupRequest in = GROUP__DISSOLVE_GROUP_REQUEST__INIT;
    in.id = (char *)id;
    assert_null(ask(w, w->group, "DissolveGroup", &in, &bob));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    assert_non_null(ask(w, w->group, "DissolveGroup", &in, &ann));
    assert_null(say(w, &ann, id, "x", NULL));
    assert_int_equal(answer.err, ERR_FAILED_PRECONDITION);
    assert_null(join_group(w, &cleo, id));
    assert_int_equal(answer.err, ERR_FAILED_PRECONDITION);
    char out[100];
    assert_string_equal(texts_of(history(w, &bob, id), out, sizeof(out)), "remember");
}

struct joiner {
    const struct identity *who;
    const char *id;
    bool is_in;
};

static void join(void *arg)
{
    struct joiner *j = arg;
    j->is_in = join_group(w, j->who, j->id) != NULL;
}

static void test_a_full_group(void **state UNUSED)
{
    world_close(&w);
    w = world_open(&(struct world_options){.group_members_max = 3});
    ann = world_register(w, "ann");
    struct identity people[5];
    struct joiner joiners[5];
    const char *id = group_by(&ann, MESSAGE__JOIN_RULE__OPEN, NULL);
    for (size_t i = 0; i < ARRAY_LEN(people); i++) {
        char name[16];
        snprintf(name, sizeof(name), "person%zu", i);
        people[i] = world_register(w, name);
        joiners[i] = (struct joiner){&people[i], id, false};
    }
    in_parallel(join, joiners, ARRAY_LEN(joiners), sizeof(joiners[0]));
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_LEN(joiners); i++)
        count += joiners[i].is_in;
    assert_int_equal(count, 2); /* and ann */
    assert_int_equal(look(w, &ann, id)->member_count, 3);
    assert_int_equal(world_count(w, "SELECT COUNT(*) FROM message_members WHERE user_id <> ?", ""),
                     3);
}

/* Asked to join a channel, and was sent away: that is no membership that came to its end. */
static void test_who_never_was_in_reads_nothing(void **state UNUSED)
{
    Group__CreateGroupRequest make = GROUP__CREATE_GROUP_REQUEST__INIT;
    make.kind = MESSAGE__CONVERSATION_KIND__CHANNEL;
    make.join_rule = MESSAGE__JOIN_RULE__ASK;
    const char *id = make_group(w, &ann, make, NULL)->id;
    say(w, &ann, id, "ours", NULL);
    join_group(w, &bob, id);
    assert_true(remove_member(&ann, id, &bob, false));
    assert_null(history(w, &bob, id));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
    join_group(w, &bob, id);
    decide(&ann, id, &bob, false);
    assert_true(remove_member(&ann, id, &bob, false)); /* refused, and removed on top */
    assert_null(history(w, &bob, id));
}

static void test_what_is_no_role(void **state UNUSED)
{
    const char *id = group_by(&ann, MESSAGE__JOIN_RULE__OPEN, MEMBERS(&bob));
    assert_null(give_role(&ann, id, &bob, (Message__MemberRole)7));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
}

static void test_who_is_gone_hears_no_announcements(void **state UNUSED)
{
    const char *id = group_by(&ann, MESSAGE__JOIN_RULE__OPEN, MEMBERS(&bob));
    assert_true(leave_group(w, &bob, id));
    Group__UpdateGroupRequest in = GROUP__UPDATE_GROUP_REQUEST__INIT;
    in.id = (char *)id;
    in._announcement_case = GROUP__UPDATE_GROUP_REQUEST___ANNOUNCEMENT_ANNOUNCEMENT;
    in.announcement = "among us";
    assert_non_null(ask(w, w->group, "UpdateGroup", &in, &ann));
    assert_string_equal(look(w, &bob, id)->announcement, "");
    const Message__ChangeList *list = changes(w, &bob, id, 0);
    assert_string_equal(list->changes[0]->conversation->announcement, "");
}

static void test_asking_again_keeps_what_was_read(void **state UNUSED)
{
    char out[100];
    const char *id = group_by(&ann, MESSAGE__JOIN_RULE__ASK, MEMBERS(&bob));
    say(w, &ann, id, "before", NULL);
    assert_true(leave_group(w, &bob, id));
    say(w, &ann, id, "after", NULL);
    join_group(w, &bob, id);
    assert_null(history(w, &bob, id)); /* who asks reads nothing */
    assert_int_equal(decide(&ann, id, &bob, false)->state, MESSAGE__MEMBER_STATE__GONE);
    assert_string_equal(texts_of(history(w, &bob, id), out, sizeof(out)), "before");
    say(w, &ann, id, "much later", NULL);
    join_group(w, &bob, id);
    assert_non_null(decide(&ann, id, &bob, true));
    say(w, &ann, id, "welcome", NULL);
    assert_string_equal(texts_of(history(w, &bob, id), out, sizeof(out)), "welcome");
}

static void test_a_ban_lifted_lets_nobody_read(void **state UNUSED)
{
    const char *id = group_by(&ann, MESSAGE__JOIN_RULE__ASK, NULL);
    say(w, &ann, id, "ours", NULL);
    join_group(w, &bob, id);
    assert_true(remove_member(&ann, id, &bob, true)); /* never was in */
    Group__UnbanMemberRequest in = GROUP__UNBAN_MEMBER_REQUEST__INIT;
    in.id = (char *)id;
    in.user_id = bob.user_id;
    assert_non_null(ask(w, w->group, "UnbanMember", &in, &ann));
    assert_null(history(w, &bob, id));
    assert_null(changes(w, &bob, id, 0));
}

static void test_the_same_takes_no_revision(void **state UNUSED)
{
    const char *id = group_by(&ann, MESSAGE__JOIN_RULE__INVITED, MEMBERS(&bob));
    int64_t rev = look(w, &ann, id)->rev;
    assert_null(
        set_member(&ann, id, &bob, (Group__SetMemberRequest)GROUP__SET_MEMBER_REQUEST__INIT));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    assert_non_null(give_role(&ann, id, &bob, MESSAGE__MEMBER_ROLE__MEMBER));
    Group__UpdateGroupRequest in = GROUP__UPDATE_GROUP_REQUEST__INIT;
    in.id = (char *)id;
    assert_non_null(ask(w, w->group, "UpdateGroup", &in, &ann));
    in._title_case = GROUP__UPDATE_GROUP_REQUEST___TITLE_TITLE;
    in.title = "A group";
    assert_non_null(ask(w, w->group, "UpdateGroup", &in, &ann));
    assert_int_equal(look(w, &ann, id)->rev, rev);
    in.title = "Another";
    assert_non_null(ask(w, w->group, "UpdateGroup", &in, &ann));
    assert_non_null(give_role(&ann, id, &bob, MESSAGE__MEMBER_ROLE__ADMIN));
    assert_int_equal(look(w, &ann, id)->rev, rev + 2);
}

static void test_no_group_begins_too_large(void **state UNUSED)
{
    world_close(&w);
    w = world_open(&(struct world_options){.group_members_max = 3});
    ann = world_register(w, "ann");
    struct identity people[3];
    for (size_t i = 0; i < ARRAY_LEN(people); i++) {
        char name[16];
        snprintf(name, sizeof(name), "person%zu", i);
        people[i] = world_register(w, name);
    }
    Group__CreateGroupRequest make = GROUP__CREATE_GROUP_REQUEST__INIT;
    assert_null(make_group(w, &ann, make, MEMBERS(&people[0], &people[1], &people[2])));
    assert_int_equal(answer.err, ERR_RESOURCE_EXHAUSTED);
    assert_int_equal(make_group(w, &ann, make, MEMBERS(&people[0], &people[1]))->member_count, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_create, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_joining, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_ranks, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_handing_over, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_bans, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_silence, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_channels, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_dissolved, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_a_full_group, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_who_never_was_in_reads_nothing, scene_open,
                                        scene_close),
        cmocka_unit_test_setup_teardown(test_asking_again_keeps_what_was_read, scene_open,
                                        scene_close),
        cmocka_unit_test_setup_teardown(test_a_ban_lifted_lets_nobody_read, scene_open,
                                        scene_close),
        cmocka_unit_test_setup_teardown(test_the_same_takes_no_revision, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_no_group_begins_too_large, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_what_is_no_role, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_who_is_gone_hears_no_announcements, scene_open,
                                        scene_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
