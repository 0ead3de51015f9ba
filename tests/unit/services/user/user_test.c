/* user: registration and its modes, profiles and who sees what, roles, passwords, invitations. */
#include "../world.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"

static struct world *w;

static int setup(void **state)
{
    w = world_open(&(struct world_options){0});
    return 0;
}

static int setup_invitation(void **state)
{
    w = world_open(&(struct world_options){.registration = USER_REGISTRATION_INVITATION});
    return 0;
}

static int setup_closed(void **state)
{
    w = world_open(&(struct world_options){.registration = USER_REGISTRATION_CLOSED});
    return 0;
}

static int teardown(void **state)
{
    world_close(&w);
    return 0;
}

struct form {
    const char *username, *email, *password, *nickname, *invitation, *locale, *time_zone;
};

static char * or (const char *value, const char *other)
{
    return (char *)(value && value[0] ? value : other);
}

static const User__Profile *sign_up(const struct form *form)
{
    User__RegisterRequest in = USER__REGISTER_REQUEST__INIT;
    in.username = or (form->username, "");
    in.email = or (form->email, "");
    in.password = or (form->password, "correct horse");
    in.nickname = or (form->nickname, "");
    in.invitation = or (form->invitation, "");
    in.locale = or (form->locale, "");
    in.time_zone = or (form->time_zone, "");
    return ask(w, w->user, "Register", &in, &nobody);
}

#define SIGN_UP(...) sign_up(&(struct form){__VA_ARGS__})

static const User__Profile *get(const char *id, const struct identity *who)
{
    User__GetUserRequest in = USER__GET_USER_REQUEST__INIT;
    in.id = (char *)id;
    return ask(w, w->user, "GetUser", &in, who);
}

static void test_register(void **state)
{
    const User__Profile *p = SIGN_UP(.username = "Alice", .email = " Alice@Example.ORG ",
                                     .locale = "zh-hans-cn", .time_zone = "Europe/Berlin");
    assert_non_null(p);
    assert_string_equal(p->username, "alice");
    assert_string_equal(p->nickname, "alice");
    assert_string_equal(p->locale, "zh-Hans-CN");
    assert_string_equal(p->time_zone, "Europe/Berlin");
    assert_int_equal(p->role, USER__ROLE__ADMIN);
    assert_non_null(p = SIGN_UP(.username = "bob", .nickname = "  Бob 李  "));
    assert_int_equal(p->role, USER__ROLE__USER);
    assert_string_equal(p->nickname, "Бob 李");
    assert_string_equal(p->locale, "en");
    assert_string_equal(p->time_zone, "UTC");

    assert_null(SIGN_UP(.username = "ALICE"));
    assert_int_equal(answer.err, ERR_ALREADY_EXISTS);
    assert_memory_equal(answer.message, "username", 8);
    assert_null(SIGN_UP(.username = "carol", .email = "alice@example.org"));
    assert_int_equal(answer.err, ERR_ALREADY_EXISTS);
    assert_memory_equal(answer.message, "email", 5);
    assert_int_equal(world_count(w, "SELECT COUNT(*) FROM user_accounts WHERE id <> ?", ""), 2);
}

/* Field by field what is refused, and that the refusal names the field. */
static void test_register_bad_fields(void **state)
{
    struct {
        const char *field, *username, *email, *password, *nickname, *locale, *time_zone;
    } rows[] = {
        {"username", "ab", "", "", "", "", ""},
        {"username", "", "", "", "", "", ""},
        {"username", "abcdefghijabcdefghijabcdefghijabc", "", "", "", "", ""},
        {"username", "a b", "", "", "", "", ""},
        {"username", "ali\xc3\xa9", "", "", "", "", ""},
        {"username", "x'; DROP TABLE user_accounts; --", "", "", "", "", ""},
        {"username", "01hzxyzxyzxyzxyzxyzxyzxyzx", "", "", "", "", ""}, /* an id */
        {"email", "alice", "alice", "", "", "", ""},
        {"email", "alice", "@x.org", "", "", "", ""},
        {"email", "alice", "a@b@c", "", "", "", ""},
        {"email", "alice", "a@", "", "", "", ""},
        {"email", "alice", "a@x..org", "", "", "", ""},
        {"email", "alice", "a..b@x.org", "", "", "", ""},
        {"email", "alice", "a@-x.org", "", "", "", ""},
        {"email", "alice", "a b@x.org", "", "", "", ""},
        {"email", "alice", "a@x.org\r\nBcc: all@x.org", "", "", "", ""},
        {"password", "alice", "", "1234567", "", "", ""},
        {"password", "alice", "", "        ", "", "", ""},
        {"nickname", "alice", "", "", "a\x01", "", ""},
        {"nickname", "alice", "", "",
         "a\xe2\x80\xae"
         "b",
         "", ""}, /* right-to-left override */
        {"nickname", "alice", "", "", "\xe2\x80\x8b\xe3\x85\xa4", "", ""}, /* invisible */
        {"nickname", "alice", "", "", "two\nlines", "", ""},
        {"locale", "alice", "", "", "", "e", ""},
        {"locale", "alice", "", "", "", "en_US", ""},
        {"locale", "alice", "", "", "", "en--US", ""},
        {"locale", "alice", "", "", "", "../../etc", ""},
        {"time_zone", "alice", "", "", "", "", "Mars/Olympus"},
        {"time_zone", "alice", "", "", "", "", "../../etc/passwd"},
        {"time_zone", "alice", "", "", "", "", "/etc/localtime"},
        {"time_zone", "alice", "", "", "", "", "Europe/"},
        {"time_zone", "alice", "", "", "", "", "Europe"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_null(SIGN_UP(rows[i].username, rows[i].email, rows[i].password, rows[i].nickname, "",
                            rows[i].locale, rows[i].time_zone));
        if (answer.err != ERR_INVALID_ARGUMENT ||
            strncmp(answer.message, rows[i].field, strlen(rows[i].field)) != 0)
            fail_msg("row %zu: %s: %s", i, err_name(answer.err), answer.message);
    }
    char long_password[600];
    memset(long_password, 'x', sizeof(long_password));
    long_password[129] = 0;
    assert_null(SIGN_UP(.username = "alice", .password = long_password));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    char long_name[65 * 3 + 1];
    for (int i = 0; i < 65; i++)
        memcpy(long_name + 3 * i, "\xe6\x9d\x8e", 4);
    assert_null(SIGN_UP(.username = "alice", .nickname = long_name));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    long_name[64 * 3] = 0;
    assert_non_null(SIGN_UP(.username = "alice", .nickname = long_name));
}

/* Markup and SQL are just text, kept as they are. */
static void test_text_is_text(void **state)
{
    static const char evil[] = "<script>alert(1)</script>'; DROP TABLE users; --";
    const User__Profile *p = SIGN_UP(.username = "alice", .nickname = evil);
    assert_non_null(p);
    struct identity me = person(p->id, ROLE_ADMIN);
    assert_string_equal(get("me", &me)->nickname, evil);
}

struct first {
    char name[16];
    bool is_admin;
};

static void register_first(void *arg)
{
    struct first *f = arg;
    const User__Profile *p = SIGN_UP(.username = f->name);
    f->is_admin = p && p->role == USER__ROLE__ADMIN;
}

static void test_one_first_account(void **state)
{
    struct first firsts[16];
    int admins = 0;
    for (int i = 0; i < 16; i++)
        snprintf(firsts[i].name, sizeof(firsts[i].name), "first-%d", i);
    in_parallel(register_first, firsts, 16, sizeof(firsts[0]));
    for (int i = 0; i < 16; i++)
        admins += firsts[i].is_admin;
    assert_int_equal(admins, 1);
    assert_int_equal(
        world_count(w, "SELECT COUNT(*) FROM user_accounts WHERE role = 3 AND id <> ?", ""), 1);
}

static void register_same(void *arg)
{
    *(bool *)arg = SIGN_UP(.username = "highlander", .email = "only@one.org") != NULL;
}

static void test_same_name_at_once(void **state)
{
    bool won[12] = {0};
    int winners = 0;
    in_parallel(register_same, won, 12, sizeof(bool));
    for (int i = 0; i < 12; i++)
        winners += won[i];
    assert_int_equal(winners, 1);
}

static void test_closed(void **state)
{
    assert_null(SIGN_UP(.username = "alice"));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    world_register(w, "alice"); /* the system may */
    assert_null(SIGN_UP(.username = "bob"));
}

static const User__Invitation *invite(const struct identity *who, int64_t expires_at_ms)
{
    User__CreateInvitationRequest in = USER__CREATE_INVITATION_REQUEST__INIT;
    in.expires_at_ms = expires_at_ms;
    return ask(w, w->user, "CreateInvitation", &in, who);
}

static void register_invited(void *arg)
{
    char name[16];
    snprintf(name, sizeof(name), "guest-%x", id_random_u32());
    char **slot = arg;
    *slot = SIGN_UP(.username = name, .invitation = *slot) ? "yes" : NULL;
}

static void test_invitation(void **state)
{
    const User__Profile *p = SIGN_UP(.username = "alice");
    assert_non_null(p); /* the first needs none */
    struct identity admin = person(p->id, ROLE_ADMIN);
    assert_null(SIGN_UP(.username = "bob"));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    assert_null(SIGN_UP(.username = "bob", .invitation = "no-such-code"));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);

    const User__Invitation *inv = invite(&admin, 0);
    assert_non_null(inv);
    assert_null(invite(&admin, clock_wall_ms() - 1000));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    /* One invitation, many at once: one gets in. */
    char *slots[10];
    int winners = 0;
    for (int i = 0; i < 10; i++)
        slots[i] = inv->code;
    in_parallel(register_invited, slots, 10, sizeof(slots[0]));
    for (int i = 0; i < 10; i++)
        winners += slots[i] != NULL;
    assert_int_equal(winners, 1);

    User__ListInvitationsRequest list_in = USER__LIST_INVITATIONS_REQUEST__INIT;
    const User__InvitationList *list = ask(w, w->user, "ListInvitations", &list_in, &admin);
    assert_int_equal(list->n_invitations, 1);
    assert_int_equal(strlen(list->invitations[0]->used_by), 26);

    inv = invite(&admin, 0);
    User__DeleteInvitationRequest del = USER__DELETE_INVITATION_REQUEST__INIT;
    del.code = inv->code;
    assert_non_null(ask(w, w->user, "DeleteInvitation", &del, &admin));
    assert_null(ask(w, w->user, "DeleteInvitation", &del, &admin));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
    assert_null(SIGN_UP(.username = "bob", .invitation = inv->code));
}

static User__UpdateUserRequest update_of(const char *id)
{
    User__UpdateUserRequest in = USER__UPDATE_USER_REQUEST__INIT;
    in.id = (char *)id;
    return in;
}

static void test_profile(void **state)
{
    struct identity alice = world_register(w, "alice"), bob = world_register(w, "bob");
    User__UpdateUserRequest in = update_of("me");
    in._email_case = USER__UPDATE_USER_REQUEST___EMAIL_EMAIL;
    in.email = "bob@example.org";
    in._phone_case = USER__UPDATE_USER_REQUEST___PHONE_PHONE;
    in.phone = "+49 (170) 123-4567";
    in._description_case = USER__UPDATE_USER_REQUEST___DESCRIPTION_DESCRIPTION;
    in.description = "two\nlines";
    const User__Profile *p = ask(w, w->user, "UpdateUser", &in, &bob);
    assert_non_null(p);
    assert_string_equal(p->phone, "+491701234567");
    assert_string_equal(p->nickname, "bob"); /* absent fields stay */

    struct identity carol = world_register(w, "carol");
    p = get(bob.user_id, &carol);
    assert_string_equal(p->description, "two\nlines");
    assert_null(strstr(p->email, "bob@"));
    assert_non_null(strstr(p->email, "***"));
    assert_null(strstr(p->phone, "123"));
    assert_string_equal(get(bob.user_id, &bob)->email, "bob@example.org");
    assert_string_equal(get(bob.user_id, &alice)->email, "bob@example.org"); /* administrator */

    /* Somebody else's profile, and somebody else's e-mail. */
    in.id = bob.user_id;
    assert_null(ask(w, w->user, "UpdateUser", &in, &carol));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    in.id = "me";
    in.email = "BOB@example.org";
    assert_null(ask(w, w->user, "UpdateUser", &in, &carol));
    assert_int_equal(answer.err, ERR_ALREADY_EXISTS);
    in.email = "";
    assert_non_null(ask(w, w->user, "UpdateUser", &in, &bob));
    in.email = "bob@example.org";
    in.phone = "0170 1234567";
    assert_null(ask(w, w->user, "UpdateUser", &in, &carol));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    in.phone = "";
    assert_non_null(ask(w, w->user, "UpdateUser", &in, &carol)); /* it was free again */
}

static void test_roles(void **state)
{
    struct identity alice = world_register(w, "alice"), bob = world_register(w, "bob");
    User__UpdateUserRequest in = update_of(bob.user_id);
    in._role_case = USER__UPDATE_USER_REQUEST___ROLE_ROLE;
    in.role = USER__ROLE__ADMIN;
    assert_null(ask(w, w->user, "UpdateUser", &in, &bob)); /* no self-promotion */
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    in.role = USER__ROLE__GUEST;
    assert_null(ask(w, w->user, "UpdateUser", &in, &alice));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);

    /* The last administrator can neither step down nor be disabled. */
    in = update_of(alice.user_id);
    in._role_case = USER__UPDATE_USER_REQUEST___ROLE_ROLE;
    in.role = USER__ROLE__USER;
    assert_null(ask(w, w->user, "UpdateUser", &in, &alice));
    assert_int_equal(answer.err, ERR_FAILED_PRECONDITION);
    in._role_case = USER__UPDATE_USER_REQUEST___ROLE__NOT_SET;
    in._is_disabled_case = USER__UPDATE_USER_REQUEST___IS_DISABLED_IS_DISABLED;
    in.is_disabled = true;
    assert_null(ask(w, w->user, "UpdateUser", &in, &alice));
    assert_int_equal(answer.err, ERR_FAILED_PRECONDITION);

    in = update_of(bob.user_id);
    in._role_case = USER__UPDATE_USER_REQUEST___ROLE_ROLE;
    in.role = USER__ROLE__ADMIN;
    assert_int_equal(((const User__Profile *)ask(w, w->user, "UpdateUser", &in, &alice))->role,
                     USER__ROLE__ADMIN);
    in = update_of(alice.user_id);
    in._is_disabled_case = USER__UPDATE_USER_REQUEST___IS_DISABLED_IS_DISABLED;
    in.is_disabled = true;
    bob.role = ROLE_ADMIN;
    assert_true(((const User__Profile *)ask(w, w->user, "UpdateUser", &in, &bob))->is_disabled);
}

/* What a person without rights must not get at. */
static void test_system_only(void **state)
{
    struct identity alice = world_register(w, "alice");
    const struct identity *callers[] = {&nobody, &alice};
    User__GetUserByIDRequest by_id = USER__GET_USER_BY_IDREQUEST__INIT;
    User__SetPasswordRequest set = USER__SET_PASSWORD_REQUEST__INIT;
    by_id.login = "alice";
    set.id = alice.user_id;
    set.password_hash = "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAA";
    for (size_t i = 0; i < ARRAY_LEN(callers); i++) {
        assert_null(ask(w, w->user, "GetUserByID", &by_id, callers[i]));
        assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
        assert_null(ask(w, w->user, "SetPassword", &set, callers[i]));
        assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    }
}

static void test_credentials(void **state)
{
    const User__Profile *p = SIGN_UP(.username = "alice", .email = "al@ice.org");
    const char *logins[] = {p->id, "alice", "ALICE", "al@ice.org", "AL@ICE.ORG"};
    User__GetUserByIDRequest in = USER__GET_USER_BY_IDREQUEST__INIT;
    const User__Credentials *c = NULL;
    for (size_t i = 0; i < ARRAY_LEN(logins); i++) {
        in.login = (char *)logins[i];
        assert_non_null(c = ask(w, w->user, "GetUserByID", &in, NULL));
        assert_string_equal(c->user->id, p->id);
        assert_memory_equal(c->password_hash, "$argon2id$", 10);
    }
    const char *unknown[] = {"", "bob", "al@ice.com", "' OR 1=1 --", "%"};
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
        in.login = (char *)unknown[i];
        assert_null(ask(w, w->user, "GetUserByID", &in, NULL));
        assert_int_equal(answer.err, ERR_NOT_FOUND);
    }
    /* Changing happens only from the hash that was seen. */
    User__SetPasswordRequest set = USER__SET_PASSWORD_REQUEST__INIT;
    set.id = p->id;
    set.password_hash = "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAA";
    set.former_hash = "$argon2id$other";
    assert_null(ask(w, w->user, "SetPassword", &set, NULL));
    assert_int_equal(answer.err, ERR_ABORTED);
    set.former_hash = c->password_hash;
    const User__SetPasswordReply *done = ask(w, w->user, "SetPassword", &set, NULL);
    assert_true(done->password_changed_at_ms > c->password_changed_at_ms);
    set.password_hash = "plain text";
    set.former_hash = "";
    assert_null(ask(w, w->user, "SetPassword", &set, NULL));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
}

static const User__UserList *search(const char *q, int limit, const char *cursor,
                                    const struct identity *who)
{
    User__SearchUsersRequest in = USER__SEARCH_USERS_REQUEST__INIT;
    in.q = (char *)q;
    in.limit = limit;
    in.cursor = (char *)cursor;
    return ask(w, w->user, "SearchUsers", &in, who);
}

static void test_search(void **state)
{
    struct identity alice = world_register(w, "alice");
    for (int i = 0; i < 7; i++) {
        char name[16], nick[32];
        snprintf(name, sizeof(name), "robot-%d", i);
        snprintf(nick, sizeof(nick), "МАРИЯ 100%% %d", i);
        assert_non_null(SIGN_UP(.username = name, .nickname = nick));
    }
    int seen = 0;
    const char *cursor = "";
    do {
        const User__UserList *list = search("ROBO", 3, cursor, &alice);
        assert_non_null(list);
        assert_true(list->n_users <= 3);
        for (size_t i = 0; i < list->n_users; i++, seen++)
            assert_int_equal(list->users[i]->username[6], '0' + seen);
        cursor = list->next_cursor;
    } while (cursor[0]);
    assert_int_equal(seen, 7);
    assert_int_equal(search("мария", 50, "", &alice)->n_users, 7);
    assert_int_equal(search("100%", 50, "", &alice)->n_users, 7);
    assert_int_equal(search("1%0", 50, "", &alice)->n_users, 0);
    assert_int_equal(search("obot", 50, "", &alice)->n_users, 0); /* names by their beginning */
    assert_int_equal(search("__", 50, "", &alice)->n_users, 0);
    assert_null(search("a", 50, "", &alice));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    assert_null(search("alice", 50, "", &nobody));
    assert_int_equal(answer.err, ERR_UNAUTHENTICATED);
}

/* A 1x1 PNG with a text chunk in front of its data. */
static const uint8_t png[] = {0x89, 'P', 'N', 'G', 13,  10,   26,   10,   0,    0,    0,    13,
                              'I',  'H', 'D', 'R', 0,   0,    0,    1,    0,    0,    0,    1,
                              8,    0,   0,   0,   0,   0x3a, 0x7e, 0x9b, 0x55, 0,    0,    0,
                              3,    't', 'E', 'X', 't', 'G',  'P',  'S',  1,    2,    3,    4,
                              0,    0,   0,   10,  'I', 'D',  'A',  'T',  0x78, 0x9c, 0x63, 0x60,
                              0,    0,   0,   2,   0,   1,    0x48, 0xaf, 0xa4, 0x71, 0,    0,
                              0,    0,   'I', 'E', 'N', 'D',  0xae, 0x42, 0x60, 0x82};

static const User__Profile *put_avatar(const struct identity *who, const char *id,
                                       const void *bytes, size_t n)
{
    User__PutAvatarRequest in = USER__PUT_AVATAR_REQUEST__INIT;
    in.id = (char *)id;
    in.image = (ProtobufCBinaryData){n, (uint8_t *)bytes};
    return ask(w, w->user, "PutAvatar", &in, who);
}

static void test_avatar(void **state)
{
    struct identity alice = world_register(w, "alice"), bob = world_register(w, "bob");
    assert_null(put_avatar(&bob, alice.user_id, png, sizeof(png)));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    assert_null(put_avatar(&bob, "me", "<svg onload=alert(1)>", 21));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    assert_null(put_avatar(&bob, "me", png, sizeof(png) - 5));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);

    const User__Profile *p = put_avatar(&bob, "me", png, sizeof(png));
    assert_non_null(p);
    const char *version = strstr(p->avatar_url, "version=");
    assert_non_null(version);
    User__GetAvatarRequest in = USER__GET_AVATAR_REQUEST__INIT;
    in.id = bob.user_id;
    in.version = (char *)version + 8;
    const User__Avatar *a = ask(w, w->user, "GetAvatar", &in, &nobody);
    assert_non_null(a);
    assert_string_equal(a->content_type, "image/png");
    assert_int_equal(a->image.len, sizeof(png) - 15); /* the text is gone */
    in.version = "";
    assert_null(ask(w, w->user, "GetAvatar", &in, &nobody));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
    assert_non_null(ask(w, w->user, "GetAvatar", &in, &alice));
    /* A new picture takes the place of the old one, whose address is dead. */
    assert_non_null(put_avatar(&bob, "me", png, sizeof(png)));
    in.version = (char *)version + 8;
    assert_null(ask(w, w->user, "GetAvatar", &in, &nobody));
    User__UpdateUserRequest update = update_of("me");
    update._avatar_url_case = USER__UPDATE_USER_REQUEST___AVATAR_URL_AVATAR_URL;
    update.avatar_url = "https://evil.example/x.png";
    assert_null(ask(w, w->user, "UpdateUser", &update, &bob));
    update.avatar_url = "";
    assert_string_equal(
        ((const User__Profile *)ask(w, w->user, "UpdateUser", &update, &bob))->avatar_url, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_register),
        TEST(test_register_bad_fields),
        TEST(test_text_is_text),
        TEST(test_one_first_account),
        TEST(test_same_name_at_once),
        cmocka_unit_test_setup_teardown(test_closed, setup_closed, teardown),
        cmocka_unit_test_setup_teardown(test_invitation, setup_invitation, teardown),
        TEST(test_profile),
        TEST(test_roles),
        TEST(test_system_only),
        TEST(test_credentials),
        TEST(test_search),
        TEST(test_avatar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
