/* Invitations and links into groups: who may make them, who hears, what becomes of them. */
#include "scene.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "services/message/message_internal.h"

static const char *group_of(const struct identity *owner, Message__JoinRule rule,
                            const struct identity *const *members)
{
    Group__CreateGroupRequest make = GROUP__CREATE_GROUP_REQUEST__INIT;
    make.join_rule = rule;
    return make_group(w, owner, make, members)->id;
}

static const Group__InviteMembersReply *invite(const struct identity *who, const char *id,
                                               const struct identity *other)
{
    Group__InviteMembersRequest in = GROUP__INVITE_MEMBERS_REQUEST__INIT;
    char *ids[] = {(char *)other->user_id};
    in.id = (char *)id;
    in.user_ids = ids;
    in.n_user_ids = 1;
    in.note = "come in";
    return ask(w, w->group, "InviteMembers", &in, who);
}

/* How the one who was named came out of it. */
static const char *outcome(const Group__InviteMembersReply *reply)
{
    return !reply                     ? err_name(answer.err)
           : reply->n_invitations     ? "invited"
           : reply->n_member_user_ids ? "member"
                                      : "refused";
}

static const Group__AnswerInvitationReply *answer_to(const struct identity *who, const char *id,
                                                     bool is_accepted)
{
    Group__AnswerInvitationRequest in = GROUP__ANSWER_INVITATION_REQUEST__INIT;
    in.id = (char *)id;
    in.is_accepted = is_accepted;
    return ask(w, w->group, "AnswerInvitation", &in, who);
}

static bool take_back(const struct identity *who, const char *id, const struct identity *other)
{
    Group__RevokeInvitationRequest in = GROUP__REVOKE_INVITATION_REQUEST__INIT;
    in.id = (char *)id;
    in.user_id = (char *)other->user_id;
    return ask(w, w->group, "RevokeInvitation", &in, who) != NULL;
}

static size_t waiting(const struct identity *who)
{
    Group__ListInvitationsRequest in = GROUP__LIST_INVITATIONS_REQUEST__INIT;
    const Group__InvitationList *list = ask(w, w->group, "ListInvitations", &in, who);
    Message__SyncRequest sync = MESSAGE__SYNC_REQUEST__INIT;
    const Message__SyncReply *synced = ask(w, w->message, "Sync", &sync, who);
    assert_int_equal(list->n_invitations, synced->n_invitations);
    return list->n_invitations;
}

static int listed(const struct identity *who, const char *id)
{
    Group__ListGroupInvitationsRequest in = GROUP__LIST_GROUP_INVITATIONS_REQUEST__INIT;
    in.id = (char *)id;
    const Group__InvitationList *list = ask(w, w->group, "ListGroupInvitations", &in, who);
    return list ? (int)list->n_invitations : -1;
}

static const Message__Conversation *update(const struct identity *who, const char *id,
                                           Group__UpdateGroupRequest in)
{
    in.id = (char *)id;
    return ask(w, w->group, "UpdateGroup", &in, who);
}

static void let_members_add(const char *id, bool may)
{
    Group__UpdateGroupRequest in = GROUP__UPDATE_GROUP_REQUEST__INIT;
    in._members_may_add_case = GROUP__UPDATE_GROUP_REQUEST___MEMBERS_MAY_ADD_MEMBERS_MAY_ADD;
    in.members_may_add = may;
    assert_int_equal(update(&ann, id, in)->members_may_add, may);
}

static void test_yes_and_no(void **state UNUSED)
{
    const char *id = group_of(&ann, MESSAGE__JOIN_RULE__INVITED, MEMBERS(NULL));
    say(w, &ann, id, "before", NULL);
    const Group__InviteMembersReply *reply = invite(&ann, id, &bob);
    assert_string_equal(outcome(reply), "invited");
    assert_string_equal(reply->invitations[0]->inviter_id, ann.user_id);
    assert_string_equal(reply->invitations[0]->note, "come in");
    assert_int_equal(waiting(&bob), 1);
    assert_int_equal(waiting(&ann), 0);
    assert_null(look(w, &bob, id)); /* nothing of it yet */
    assert_null(say(w, &bob, id, "let me", NULL));
    const Group__AnswerInvitationReply *in = answer_to(&bob, id, true);
    assert_string_equal(in->conversation->id, id);
    assert_int_equal(in->conversation->own->role, MESSAGE__MEMBER_ROLE__MEMBER);
    assert_int_equal(in->conversation->member_count, 2);
    assert_int_equal(history(w, &bob, id)->n_messages, 0); /* what is newer is theirs */
    assert_int_equal(waiting(&bob), 0);
    assert_string_equal(outcome(invite(&ann, id, &bob)), "member");
    assert_null(answer_to(&bob, id, true));
    assert_int_equal(answer.err, ERR_NOT_FOUND);

    assert_string_equal(outcome(invite(&ann, id, &cleo)), "invited");
    assert_string_equal(outcome(invite(&ann, id, &cleo)), "invited"); /* the same one */
    assert_int_equal(waiting(&cleo), 1);
    assert_null(answer_to(&cleo, id, false)->conversation);
    assert_int_equal(waiting(&cleo), 0);
    assert_null(answer_to(&cleo, id, true)); /* no is no */
    assert_int_equal(answer.err, ERR_NOT_FOUND);
    assert_string_equal(outcome(invite(&ann, id, &cleo)), "refused");
    let_members_add(id, true);
    assert_string_equal(outcome(invite(&bob, id, &cleo)), "invited"); /* another one may ask */
}

static void test_who_invites(void **state UNUSED)
{
    const char *id = group_of(&ann, MESSAGE__JOIN_RULE__INVITED, MEMBERS(&bob));
    assert_string_equal(outcome(invite(&bob, id, &cleo)), "permission_denied");
    assert_string_equal(outcome(invite(&cleo, id, &admin)), "not_found");
    let_members_add(id, true);
    assert_string_equal(outcome(invite(&bob, id, &cleo)), "invited");
    assert_string_equal(outcome(invite(&ann, id, &admin)), "invited");
    assert_int_equal(listed(&ann, id), 2);
    assert_int_equal(listed(&bob, id), 1); /* one's own */
    assert_int_equal(listed(&cleo, id), -1);
    assert_false(take_back(&bob, id, &admin)); /* not his */
    assert_int_equal(answer.err, ERR_NOT_FOUND);
    assert_true(take_back(&ann, id, &cleo));
    assert_int_equal(waiting(&cleo), 0);
    assert_null(answer_to(&cleo, id, true));
    assert_false(take_back(&ann, id, &cleo));
    assert_string_equal(outcome(invite(&bob, id, &cleo)), "invited");
    let_members_add(id, false); /* then what members offered is over */
    assert_int_equal(waiting(&cleo), 0);
    assert_int_equal(waiting(&admin), 1);
    let_members_add(id, true);
    assert_string_equal(outcome(invite(&bob, id, &cleo)), "invited");
    assert_true(leave_group(w, &bob, id));
    assert_null(answer_to(&cleo, id, true));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
}

/* Who lost the right to invite, and has it again, has still been told no. */
static void test_no_outlasts_the_right_to_ask(void **state UNUSED)
{
    const char *id = group_of(&ann, MESSAGE__JOIN_RULE__INVITED, MEMBERS(&bob));
    let_members_add(id, true);
    assert_string_equal(outcome(invite(&bob, id, &cleo)), "invited");
    assert_non_null(answer_to(&cleo, id, false));
    let_members_add(id, false);
    let_members_add(id, true);
    assert_string_equal(outcome(invite(&bob, id, &cleo)), "refused");
    assert_true(leave_group(w, &bob, id));
    add_member(w, &ann, id, &bob);
    assert_string_equal(outcome(invite(&bob, id, &cleo)), "refused");
    assert_int_equal(waiting(&cleo), 0);
}

static void test_blocks_and_bans(void **state UNUSED)
{
    const char *id = group_of(&ann, MESSAGE__JOIN_RULE__INVITED, MEMBERS(NULL));
    block(w, &bob, &ann, true);
    assert_string_equal(outcome(invite(&ann, id, &bob)), "refused");
    assert_int_equal(waiting(&bob), 0);
    assert_string_equal(outcome(invite(&ann, id, &cleo)), "invited");
    block(w, &cleo, &ann, true); /* ends what had been offered */
    assert_int_equal(waiting(&cleo), 0);
    assert_int_equal(listed(&ann, id), 0);
    assert_null(answer_to(&cleo, id, true));
    block(w, &cleo, &ann, false);
    add_member(w, &ann, id, &cleo);
    Group__RemoveMemberRequest ban = GROUP__REMOVE_MEMBER_REQUEST__INIT;
    ban.id = (char *)id;
    ban.user_id = cleo.user_id;
    ban.is_banned = true;
    assert_non_null(ask(w, w->group, "RemoveMember", &ban, &ann));
    assert_string_equal(outcome(invite(&ann, id, &cleo)), "refused");
    id = group_of(&ann, MESSAGE__JOIN_RULE__INVITED, MEMBERS(&cleo));
    assert_true(leave_group(w, &cleo, id));
    assert_string_equal(outcome(invite(&ann, id, &cleo)), "invited");
    ban.id = (char *)id;
    assert_non_null(ask(w, w->group, "RemoveMember", &ban, &ann)); /* ends that, too */
    assert_int_equal(waiting(&cleo), 0);
    assert_null(answer_to(&cleo, id, true));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
}

static void test_asked_first(void **state UNUSED)
{
    Group__CreateGroupRequest make = GROUP__CREATE_GROUP_REQUEST__INIT;
    make.is_consent_needed = true;
    const Message__Conversation *c = make_group(w, &ann, make, MEMBERS(&bob));
    assert_int_equal(c->member_count, 1);
    assert_true(c->is_consent_needed);
    assert_int_equal(waiting(&bob), 1);
    const Group__AddMembersReply *reply = add_member(w, &ann, c->id, &cleo);
    assert_int_equal(reply->n_members, 0);
    assert_int_equal(reply->n_invited_user_ids, 1);
    assert_non_null(answer_to(&cleo, c->id, true)->conversation);
    assert_int_equal(look(w, &cleo, c->id)->member_count, 2);
    Group__DissolveGroupRequest end = GROUP__DISSOLVE_GROUP_REQUEST__INIT;
    end.id = c->id;
    assert_non_null(ask(w, w->group, "DissolveGroup", &end, &ann));
    assert_int_equal(waiting(&bob), 0);
    assert_null(answer_to(&bob, c->id, true));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
}

static void befriend(const struct identity *a, const struct identity *b)
{
    Contact__RequestContactRequest in = CONTACT__REQUEST_CONTACT_REQUEST__INIT;
    in.user_id = (char *)b->user_id;
    assert_non_null(ask(w, w->contact, "RequestContact", &in, a));
    in.user_id = (char *)a->user_id;
    assert_non_null(ask(w, w->contact, "RequestContact", &in, b));
}

static void test_contacts_alone_are_added(void **state UNUSED)
{
    w->opt.is_adding_contacts_only = true;
    world_restart_message(w);
    befriend(&ann, &bob);
    const char *id = group_of(&ann, MESSAGE__JOIN_RULE__INVITED, MEMBERS(&bob, &cleo));
    assert_int_equal(look(w, &ann, id)->member_count, 2);
    assert_int_equal(waiting(&cleo), 1);
    assert_int_equal(add_member(w, &ann, id, &admin)->n_invited_user_ids, 1);
    assert_non_null(answer_to(&cleo, id, true));
    assert_int_equal(look(w, &bob, id)->member_count, 3);
}

static void test_the_end(void **state UNUSED)
{
    w->opt.invitation_ms = 50;
    world_restart_message(w);
    const char *id = group_of(&ann, MESSAGE__JOIN_RULE__INVITED, MEMBERS(NULL));
    invite(&ann, id, &bob);
    usleep(60000);
    assert_int_equal(waiting(&bob), 0);
    assert_int_equal(listed(&ann, id), 0);
    assert_null(answer_to(&bob, id, true));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
    invite(&ann, id, &bob); /* anew */
    assert_non_null(answer_to(&bob, id, true));
}

/* ---- links ---- */

static const Group__InviteLink *make_link(const struct identity *who, const char *id, int max_uses)
{
    Group__CreateInviteLinkRequest in = GROUP__CREATE_INVITE_LINK_REQUEST__INIT;
    in.id = (char *)id;
    in.max_uses = max_uses;
    return ask(w, w->group, "CreateInviteLink", &in, who);
}

static const Message__Conversation *join_by(const struct identity *who, const char *token)
{
    Group__JoinByLinkRequest in = GROUP__JOIN_BY_LINK_REQUEST__INIT;
    in.token = (char *)token;
    return ask(w, w->group, "JoinByLink", &in, who);
}

static const Group__InviteLinkView *look_at(const struct identity *who, const char *token)
{
    Group__LookAtInviteLinkRequest in = GROUP__LOOK_AT_INVITE_LINK_REQUEST__INIT;
    in.token = (char *)token;
    return ask(w, w->group, "LookAtInviteLink", &in, who);
}

static const Group__InviteLinkList *links(const struct identity *who, const char *id)
{
    Group__ListInviteLinksRequest in = GROUP__LIST_INVITE_LINKS_REQUEST__INIT;
    in.id = (char *)id;
    return ask(w, w->group, "ListInviteLinks", &in, who);
}

static void test_a_link(void **state UNUSED)
{
    const char *id = group_of(&ann, MESSAGE__JOIN_RULE__INVITED, MEMBERS(&bob));
    assert_null(make_link(&bob, id, 0));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    const Group__InviteLink *link = make_link(&ann, id, 1);
    assert_int_equal(strlen(link->token), 43);
    assert_int_equal(
        world_count(w, "SELECT COUNT(*) FROM message_invite_links WHERE digest = ?", link->token),
        0);
    const Group__InviteLinkView *view = look_at(&cleo, link->token);
    assert_string_equal(view->conversation_id, id);
    assert_false(view->is_member || view->is_asking);
    assert_true(look_at(&bob, link->token)->is_member);
    assert_non_null(join_by(&bob, link->token)); /* a member already: no use of it */
    assert_int_equal(links(&ann, id)->links[0]->use_count, 0);
    assert_string_equal(links(&ann, id)->links[0]->token, "");
    assert_int_equal(join_by(&cleo, link->token)->own->state, MESSAGE__MEMBER_STATE__ACTIVE);
    assert_int_equal(links(&ann, id)->n_links, 0); /* used up */
    assert_null(join_by(&admin, link->token));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
}

static void test_dead_links_look_alike(void **state UNUSED)
{
    const char *id = group_of(&ann, MESSAGE__JOIN_RULE__INVITED, MEMBERS(&bob));
    const char *token = make_link(&ann, id, 0)->token;
    char words[2][256];
    assert_null(look_at(&cleo, "never-was"));
    snprintf(words[0], sizeof(words[0]), "%d %s", (int)answer.err, answer.message);
    Group__RemoveMemberRequest ban = GROUP__REMOVE_MEMBER_REQUEST__INIT;
    ban.id = (char *)id;
    ban.user_id = bob.user_id;
    ban.is_banned = true;
    ask(w, w->group, "RemoveMember", &ban, &ann);
    assert_null(join_by(&bob, token));
    snprintf(words[1], sizeof(words[1]), "%d %s", (int)answer.err, answer.message);
    assert_string_equal(words[0], words[1]);
    Group__RevokeInviteLinkRequest end = GROUP__REVOKE_INVITE_LINK_REQUEST__INIT;
    end.id = (char *)id;
    end.link_id = links(&ann, id)->links[0]->id;
    assert_non_null(ask(w, w->group, "RevokeInviteLink", &end, &ann));
    assert_null(ask(w, w->group, "RevokeInviteLink", &end, &ann));
    assert_null(join_by(&cleo, token));
    snprintf(words[1], sizeof(words[1]), "%d %s", (int)answer.err, answer.message);
    assert_string_equal(words[0], words[1]);
}

static void test_a_link_asks_where_one_asks(void **state UNUSED)
{
    const char *id = group_of(&ann, MESSAGE__JOIN_RULE__ASK, MEMBERS(NULL));
    const Group__InviteLink *link = make_link(&ann, id, 0);
    assert_true(look_at(&bob, link->token)->is_asking);
    assert_int_equal(join_by(&bob, link->token)->own->state, MESSAGE__MEMBER_STATE__ASKING);
    assert_int_equal(join_by(&bob, link->token)->own->state, MESSAGE__MEMBER_STATE__ASKING);
    assert_int_equal(links(&ann, id)->links[0]->use_count, 1);
    assert_null(look(w, &bob, id));
}

static void test_bounds_of_links(void **state UNUSED)
{
    const char *id = group_of(&ann, MESSAGE__JOIN_RULE__INVITED, MEMBERS(NULL));
    Group__CreateInviteLinkRequest in = GROUP__CREATE_INVITE_LINK_REQUEST__INIT;
    in.id = (char *)id;
    in.expires_in_ms = 1000;
    assert_null(ask(w, w->group, "CreateInviteLink", &in, &ann));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    for (int i = 0; i < 20; i++)
        assert_non_null(make_link(&ann, id, 0));
    assert_null(make_link(&ann, id, 0));
    assert_int_equal(answer.err, ERR_RESOURCE_EXHAUSTED);
}

/* ---- what else members may, and may not ---- */

static const Message__SendMessageReply *call_all(const struct identity *who, const char *id)
{
    Message__SendMessageRequest in = MESSAGE__SEND_MESSAGE_REQUEST__INIT;
    Message__Content content = MESSAGE__CONTENT__INIT;
    content.text = "@all";
    content.is_mentioning_all = true;
    in.conversation_id = (char *)id;
    in.content = &content;
    return send_it(w, who, in);
}

static void test_who_calls_all(void **state UNUSED)
{
    const char *id = group_of(&ann, MESSAGE__JOIN_RULE__INVITED, MEMBERS(&bob));
    assert_non_null(call_all(&ann, id));
    assert_null(call_all(&bob, id));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    Message__EditMessageRequest edit = MESSAGE__EDIT_MESSAGE_REQUEST__INIT;
    Message__Content content = MESSAGE__CONTENT__INIT;
    content.text = "@all";
    content.is_mentioning_all = true;
    edit.id = (char *)id;
    edit.seq = say(w, &bob, id, "harmless", NULL)->seq;
    edit.content = &content;
    assert_null(ask(w, w->message, "EditMessage", &edit, &bob));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    Message__SendMessageRequest forward = MESSAGE__SEND_MESSAGE_REQUEST__INIT;
    forward.conversation_id = (char *)id;
    forward.forward_conversation_id = (char *)id;
    forward.forward_seq = 1;
    assert_non_null(send_it(w, &bob, forward));
    const Message__MessageHistory *h = history(w, &ann, id);
    assert_false(h->messages[h->n_messages - 1]->content->is_mentioning_all);
    assert_string_equal(h->messages[h->n_messages - 1]->content->text, "@all");
    Group__UpdateGroupRequest in = GROUP__UPDATE_GROUP_REQUEST__INIT;
    in._members_may_mention_all_case = 10;
    in.members_may_mention_all = true;
    assert_true(update(&ann, id, in)->members_may_mention_all);
    assert_non_null(call_all(&bob, id));
}

static void test_what_one_has_deleted_is_not_forwarded(void **state UNUSED)
{
    const char *id = tell(w, &ann, &bob, "secret", NULL)->conversation_id;
    Message__DeleteForMeRequest hide = MESSAGE__DELETE_FOR_ME_REQUEST__INIT;
    int64_t seqs[] = {1};
    hide.id = (char *)id;
    hide.seqs = seqs;
    hide.n_seqs = 1;
    assert_non_null(ask(w, w->message, "DeleteForMe", &hide, &bob));
    Message__SendMessageRequest forward = MESSAGE__SEND_MESSAGE_REQUEST__INIT;
    forward.to_user_id = cleo.user_id;
    forward.forward_conversation_id = (char *)id;
    forward.forward_seq = 1;
    assert_null(send_it(w, &bob, forward));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
    assert_non_null(send_it(w, &ann, forward));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_open, scene_close)
    const struct CMUnitTest tests[] = {
        TEST(test_yes_and_no),
        TEST(test_who_invites),
        TEST(test_no_outlasts_the_right_to_ask),
        TEST(test_blocks_and_bans),
        TEST(test_asked_first),
        TEST(test_contacts_alone_are_added),
        TEST(test_the_end),
        TEST(test_a_link),
        TEST(test_dead_links_look_alike),
        TEST(test_a_link_asks_where_one_asks),
        TEST(test_bounds_of_links),
        TEST(test_who_calls_all),
        TEST(test_what_one_has_deleted_is_not_forwarded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
