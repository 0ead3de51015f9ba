/* bot: accounts of programs: made, bounded, acting by key alone, ended with their owner. */
#include "../world.h"

#include <stdio.h>
#include <stdlib.h>

#include "group.pb-c.h"
#include "message.pb-c.h"

static struct world *w;
static struct identity root, alice, bob;

static int setup(void **state)
{
    w = world_open(&(struct world_options){0});
    root = world_register(w, "root");
    alice = world_register(w, "alice");
    bob = world_register(w, "bob");
    return 0;
}

static int teardown(void **state)
{
    world_close(&w);
    return 0;
}

static const User__Profile *make_bot(const char *name, const struct identity *owner)
{
    User__CreateBotRequest in = USER__CREATE_BOT_REQUEST__INIT;
    in.username = (char *)name;
    return ask(w, w->user, "CreateBot", &in, owner);
}

static const Auth__ApiKey *make_token(const char *bot_id, const struct identity *owner)
{
    Auth__CreateKeyRequest in = AUTH__CREATE_KEY_REQUEST__INIT;
    in.name = "token";
    in.kind = AUTH__KEY_KIND__TOKEN;
    in.user_id = (char *)bot_id;
    return ask(w, w->auth, "CreateKey", &in, owner);
}

static const Auth__ValidateTokenReply *validate(const char *token, const char *scope)
{
    Auth__ValidateTokenRequest in = AUTH__VALIDATE_TOKEN_REQUEST__INIT;
    in.token = (char *)token;
    in.scope = (char *)scope;
    return ask(w, w->auth, "ValidateToken", &in, NULL);
}

static bool is_void(void *token)
{
    return !validate(token, "");
}

static void test_token(void **state)
{
    const User__Profile *bot = make_bot("robo", &alice);
    assert_true(bot->is_bot);
    assert_string_equal(bot->owner_id, alice.user_id);
    const Auth__ApiKey *key = make_token(bot->id, &alice);
    assert_non_null(key);
    assert_memory_equal(key->secret, "pbt_", 4);
    const Auth__ValidateTokenReply *r = validate(key->secret, "sockets");
    assert_string_equal(r->user_id, bot->id);
    assert_true(r->is_bot);
    assert_int_equal(r->role, USER__ROLE__USER);
    assert_int_equal(r->expires_at_ms, 0);
    char *forged = strdup(key->secret);
    forged[40] = forged[40] == 'A' ? 'B' : 'A';
    assert_true(is_void(forged));
    forged[40] = '\0';
    assert_true(is_void(forged));
    free(forged);
    assert_int_equal(world_count(w, "SELECT COUNT(*) FROM auth_api_keys WHERE instr(?, secret) > 0",
                                 key->secret),
                     0);
    assert_null(make_token(bot->id, &bob)); /* not bob's bot */
    assert_int_equal(answer.err, ERR_NOT_FOUND);
}

static void test_scope_of_socket(void **state)
{
    const User__Profile *bot = make_bot("robo", &alice);
    char *scopes[] = {"messages"};
    Auth__CreateKeyRequest in = AUTH__CREATE_KEY_REQUEST__INIT;
    in.name = "bounded";
    in.kind = AUTH__KEY_KIND__TOKEN;
    in.user_id = bot->id;
    in.scopes = scopes;
    in.n_scopes = 1;
    const Auth__ApiKey *key = ask(w, w->auth, "CreateKey", &in, &alice);
    assert_non_null(validate(key->secret, ""));
    assert_null(validate(key->secret, "sockets"));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
}

static void test_no_password(void **state)
{
    const User__Profile *bot = make_bot("robo", &alice);
    Auth__LoginRequest in = AUTH__LOGIN_REQUEST__INIT;
    static char *const passwords[] = {"x", "password of robo"};
    in.login = "robo";
    for (size_t i = 0; i < ARRAY_LEN(passwords); i++) {
        in.password = passwords[i];
        assert_null(ask(w, w->auth, "Login", &in, &nobody));
        assert_int_equal(answer.err, ERR_UNAUTHENTICATED);
    }
    Auth__ResetPasswordRequest reset = AUTH__RESET_PASSWORD_REQUEST__INIT;
    reset.user_id = bot->id;
    reset.new_password = "password of robo";
    assert_null(ask(w, w->auth, "ResetPassword", &reset, &root));
    assert_int_equal(answer.err, ERR_FAILED_PRECONDITION);
}

static void test_limit(void **state)
{
    for (int i = 0; i < 20; i++) {
        char name[20];
        snprintf(name, sizeof(name), "robo-%d", i);
        assert_non_null(make_bot(name, &alice));
    }
    assert_null(make_bot("one-more", &alice));
    assert_int_equal(answer.err, ERR_RESOURCE_EXHAUSTED);
    assert_non_null(make_bot("another", &bob));
    assert_null(make_bot("robo-1", &bob));
    assert_int_equal(answer.err, ERR_ALREADY_EXISTS);
    User__ListBotsRequest in = USER__LIST_BOTS_REQUEST__INIT;
    const User__UserList *list = ask(w, w->user, "ListBots", &in, &alice);
    assert_int_equal(list->n_users, 20);
}

static bool delete_bot(const char *id, const struct identity *who)
{
    User__DeleteBotRequest in = USER__DELETE_BOT_REQUEST__INIT;
    in.id = (char *)id;
    return ask(w, w->user, "DeleteBot", &in, who) != NULL;
}

static bool has_no_row(void *key_id)
{
    return world_count(w, "SELECT COUNT(*) FROM auth_api_keys WHERE id = ?", key_id) == 0;
}

static void test_end(void **state)
{
    const User__Profile *bot = make_bot("robo", &alice);
    const Auth__ApiKey *key = make_token(bot->id, &alice);
    assert_false(delete_bot(bot->id, &bob));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
    assert_false(delete_bot(bob.user_id, &alice)); /* no bot */
    assert_false(delete_bot(alice.user_id, &alice));
    assert_true(delete_bot(bot->id, &alice));
    assert_true(is_void(key->secret));
    assert_true(delete_bot(bot->id, &alice));
    /* Nor does it come back with somebody who enables the account again. */
    struct identity it = person(bot->id, ROLE_USER);
    eventually(has_no_row, key->id);
    world_disable(w, &it, false);
    assert_true(is_void(key->secret));
}

static void test_owner_is_disabled(void **state)
{
    const User__Profile *bot = make_bot("robo", &alice);
    const Auth__ApiKey *key = make_token(bot->id, &alice);
    world_disable(w, &alice, true);
    assert_true(is_void(key->secret));
    world_disable(w, &alice, false);
    assert_non_null(validate(key->secret, ""));
}

static void test_owner_changes_it(void **state)
{
    const User__Profile *bot = make_bot("robo", &alice);
    User__UpdateUserRequest in = USER__UPDATE_USER_REQUEST__INIT;
    in.id = bot->id;
    in._nickname_case = USER__UPDATE_USER_REQUEST___NICKNAME_NICKNAME;
    in.nickname = "The builder";
    assert_null(ask(w, w->user, "UpdateUser", &in, &bob));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    const User__Profile *p = ask(w, w->user, "UpdateUser", &in, &alice);
    assert_string_equal(p->nickname, "The builder");
    assert_true(p->is_bot);
    in._role_case = USER__UPDATE_USER_REQUEST___ROLE_ROLE;
    in.role = USER__ROLE__ADMIN;
    assert_null(ask(w, w->user, "UpdateUser", &in, &root));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
}

/* ---- in conversations ---- */

static const Message__SendMessageReply *say(const struct identity *who, const char *to,
                                            const char *id)
{
    Message__SendMessageRequest in = MESSAGE__SEND_MESSAGE_REQUEST__INIT;
    Message__Content content = MESSAGE__CONTENT__INIT;
    content.text = "hello";
    in.content = &content;
    in.client_msg_id = (char *)id;
    in.to_user_id = (char *)to;
    return ask(w, w->message, "SendMessage", &in, who);
}

static void test_answers_only(void **state)
{
    struct identity bot = person(make_bot("robo", &alice)->id, ROLE_USER);
    bot.is_bot = true;
    assert_null(say(&bot, bob.user_id, "1"));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    assert_non_null(say(&bob, bot.user_id, "1"));
    assert_non_null(say(&bot, bob.user_id, "1"));
    Group__CreateGroupRequest in = GROUP__CREATE_GROUP_REQUEST__INIT;
    in.kind = MESSAGE__CONVERSATION_KIND__GROUP;
    in.title = "of bots";
    assert_null(ask(w, w->group, "CreateGroup", &in, &bot));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    Meeting__CreateMeetingRequest meeting = MEETING__CREATE_MEETING_REQUEST__INIT;
    meeting.title = "of bots";
    assert_null(ask(w, w->meeting, "CreateMeeting", &meeting, &bot));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
}

static void test_is_added(void **state)
{
    struct identity bot = person(make_bot("robo", &alice)->id, ROLE_USER);
    bot.is_bot = true;
    Group__CreateGroupRequest in = GROUP__CREATE_GROUP_REQUEST__INIT;
    in.kind = MESSAGE__CONVERSATION_KIND__GROUP;
    in.title = "open";
    in.join_rule = MESSAGE__JOIN_RULE__OPEN;
    const Message__Conversation *c = ask(w, w->group, "CreateGroup", &in, &bob);
    Group__JoinGroupRequest join = GROUP__JOIN_GROUP_REQUEST__INIT;
    join.id = c->id;
    assert_null(ask(w, w->group, "JoinGroup", &join, &bot));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    Group__AddMembersRequest add = GROUP__ADD_MEMBERS_REQUEST__INIT;
    char *ids[] = {bot.user_id, alice.user_id};
    add.id = c->id;
    add.user_ids = ids;
    add.n_user_ids = 2;
    const Group__AddMembersReply *r = ask(w, w->group, "AddMembers", &add, &bob);
    assert_int_equal(r->n_members, 2);
    assert_true(r->members[0]->is_bot);
    assert_false(r->members[1]->is_bot);
    Group__ListMembersRequest list = GROUP__LIST_MEMBERS_REQUEST__INIT;
    list.id = c->id;
    const Group__MemberList *members = ask(w, w->group, "ListMembers", &list, &bot);
    int bots = 0;
    for (size_t i = 0; i < members->n_members; i++)
        bots += members->members[i]->is_bot;
    assert_int_equal(members->n_members, 3);
    assert_int_equal(bots, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_token),
        TEST(test_scope_of_socket),
        TEST(test_no_password),
        TEST(test_limit),
        TEST(test_end),
        TEST(test_owner_is_disabled),
        TEST(test_owner_changes_it),
        TEST(test_answers_only),
        TEST(test_is_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
