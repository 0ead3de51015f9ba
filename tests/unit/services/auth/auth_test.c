/* auth: sign-ins, renewing, revoking, throttles, passwords, guests, the audit log. */
#include "../world.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/clock.h"

static struct world *w;
static atomic_int revoked_count, changed_count;
static int subscription;

static void on_auth_event(void *arg, const struct bus_event *event)
{
    if (strcmp(event->type, "session.revoked") == 0)
        atomic_fetch_add(&revoked_count, 1);
    if (strcmp(event->type, "session.changed") == 0)
        atomic_fetch_add(&changed_count, 1);
}

static void start(const struct world_options *opt)
{
    w = world_open(opt);
    revoked_count = changed_count = 0;
    subscription = bus_subscribe(w->bus, "auth_events", "test", on_auth_event, NULL);
}

static int setup(void **state)
{
    start(&(struct world_options){0});
    return 0;
}

static int setup_no_grace(void **state)
{
    start(&(struct world_options){.refresh_grace_ms = -1});
    return 0;
}

static int setup_three_sessions(void **state)
{
    start(&(struct world_options){.session_max = 3});
    return 0;
}

static int teardown(void **state)
{
    bus_unsubscribe(w->bus, subscription);
    world_close(&w);
    return 0;
}

static bool has_revoked(void *arg)
{
    return atomic_load(&revoked_count) >= (intptr_t)arg;
}

static bool has_changed(void *arg)
{
    return atomic_load(&changed_count) >= (intptr_t)arg;
}

static const Auth__LoginReply *login_from(const char *login, const char *password, const char *addr)
{
    Auth__LoginRequest in = AUTH__LOGIN_REQUEST__INIT;
    in.login = (char *)login;
    in.password = (char *)password;
    return ask_as(w, w->auth, "Login", &in, &(struct asker){.who = &nobody, .remote_addr = addr});
}

static const Auth__LoginReply *login(const char *login_name, const char *password)
{
    return login_from(login_name, password, NULL);
}

static const Auth__ValidateTokenReply *validate(const char *token)
{
    Auth__ValidateTokenRequest in = AUTH__VALIDATE_TOKEN_REQUEST__INIT;
    in.token = (char *)token;
    return ask(w, w->auth, "ValidateToken", &in, NULL);
}

static const Auth__LoginReply *refresh_as(const char *token, const struct asker *asker)
{
    Auth__RefreshTokenRequest in = AUTH__REFRESH_TOKEN_REQUEST__INIT;
    in.refresh_token = (char *)token;
    return ask_as(w, w->auth, "RefreshToken", &in, asker);
}

static const Auth__LoginReply *refresh(const char *token)
{
    return refresh_as(token, &(struct asker){.who = &nobody});
}

static bool log_out(const char *token, const struct identity *who)
{
    Auth__RevokeTokenRequest in = AUTH__REVOKE_TOKEN_REQUEST__INIT;
    in.token = (char *)token;
    return ask(w, w->auth, "RevokeToken", &in, who) != NULL;
}

/* The identity that the edge would make of a sign-in. */
static struct identity who_of(const Auth__LoginReply *r)
{
    struct identity who = person(r->user->id, (enum identity_role)r->user->role);
    snprintf(who.session_id, sizeof(who.session_id), "%s", r->session_id);
    return who;
}

static int64_t audit_count(const char *action)
{
    return world_count(w, "SELECT COUNT(*) FROM auth_audit WHERE action = ?", action);
}

static bool has_audit(void *action)
{
    return audit_count(action) > 0;
}

#define PASSWORD "password of alice"

static void test_register_and_login(void **state)
{
    Auth__RegisterRequest in = AUTH__REGISTER_REQUEST__INIT;
    in.username = "Alice";
    in.email = "alice@example.org";
    in.password = PASSWORD;
    const Auth__LoginReply *r = ask(w, w->auth, "Register", &in, &nobody);
    assert_non_null(r);
    assert_string_equal(r->user->email, "alice@example.org"); /* one's own: not masked */
    assert_int_equal(r->user->role, USER__ROLE__ADMIN);
    assert_int_equal(r->expires_in_s, 24 * 3600);
    assert_int_equal(r->refresh_expires_in_s, 168 * 3600);
    assert_int_equal(strlen(r->csrf_token), 43);
    assert_null(ask(w, w->auth, "Register", &in, &nobody));
    assert_int_equal(answer.err, ERR_ALREADY_EXISTS);

    const char *logins[] = {"alice", " ALICE ", "alice@example.org", "Alice@Example.org",
                            r->user->id};
    for (size_t i = 0; i < ARRAY_LEN(logins); i++) {
        const Auth__LoginReply *l = login(logins[i], PASSWORD);
        assert_non_null(l);
        assert_string_not_equal(l->session_id, r->session_id);
        const Auth__ValidateTokenReply *v = validate(l->access_token);
        assert_non_null(v);
        assert_string_equal(v->user_id, r->user->id);
        assert_string_equal(v->session_id, l->session_id);
        assert_int_equal(v->role, USER__ROLE__ADMIN);
        assert_string_equal(v->name, "alice");
        assert_null(validate(l->refresh_token));
    }
    assert_int_equal(audit_count("login"), 6);
    eventually(has_audit, "registered");
}

/* What is wrong with a sign-in is not told, and a failure is on record. */
static void test_uniform_failure(void **state)
{
    char known[200], known_id[27];
    struct identity alice = world_register(w, "alice");
    snprintf(known_id, sizeof(known_id), "%s", alice.user_id);
    assert_null(login("alice", "wrong password"));
    assert_int_equal(answer.err, ERR_UNAUTHENTICATED);
    snprintf(known, sizeof(known), "%s", answer.message);
    const char *unknown[] = {"bob", "nobody@example.org", "01HZXYZXYZXYZXYZXYZXYZXYZX",
                             "' OR '1'='1"};
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
        assert_null(login(unknown[i], "wrong password"));
        assert_int_equal(answer.err, ERR_UNAUTHENTICATED);
        assert_string_equal(answer.message, known);
    }
    assert_int_equal(audit_count("login_failed"), 5);
    assert_int_equal(
        world_count(w, "SELECT COUNT(*) FROM auth_audit WHERE target = ?", "nobody@example.org"),
        0); /* masked */
    assert_null(login("", PASSWORD));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    assert_null(login("alice", ""));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    assert_null(login("alice\xff", "x"));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
}

static void test_throttle(void **state)
{
    world_register(w, "alice");
    world_register(w, "bob");
    int let_through = 0;
    for (int i = 0; i < 12; i++) {
        assert_null(login_from("alice", "guess", "198.51.100.7"));
        let_through += answer.err == ERR_UNAUTHENTICATED;
    }
    assert_int_equal(let_through, 6);
    assert_int_equal(answer.err, ERR_RESOURCE_EXHAUSTED);
    assert_true(answer.retry_after_ms > 0 && answer.retry_after_ms <= 2000);
    /* An unknown name behaves alike. */
    for (int i = 0; i < 7; i++)
        assert_null(login_from("nobody", "guess", "198.51.100.8"));
    assert_int_equal(answer.err, ERR_RESOURCE_EXHAUSTED);
    /* The owner elsewhere, and somebody else there, are not locked out. */
    assert_non_null(login_from("alice", PASSWORD, "203.0.113.9"));
    assert_non_null(login_from("bob", "password of bob", "198.51.100.7"));
    /* One person's IPv6 network is one address. */
    for (int i = 0; i < 7; i++) {
        char addr[40];
        snprintf(addr, sizeof(addr), "2001:db8:1:2::%d", i + 1);
        assert_null(login_from("bob", "guess", addr));
    }
    assert_int_equal(answer.err, ERR_RESOURCE_EXHAUSTED);
    /* The wait ends, and doubles. */
    usleep(1100 * 1000);
    assert_null(login_from("alice", "guess", "198.51.100.7"));
    assert_int_equal(answer.err, ERR_UNAUTHENTICATED);
    assert_null(login_from("alice", "guess", "198.51.100.7"));
    assert_true(answer.retry_after_ms > 1000);
}

/* Many people behind one address may sign in; that buys nobody a guess at others. */
static void test_throttle_by_address(void **state)
{
    world_register(w, "alice");
    for (int i = 0; i < 60; i++)
        assert_non_null(login_from("alice", PASSWORD, "198.51.100.7"));
    for (int i = 0; i < 51; i++) {
        char name[20];
        snprintf(name, sizeof(name), "stuffed-%d", i);
        assert_null(login_from(name, "guess", "198.51.100.7"));
        assert_int_equal(answer.err, ERR_UNAUTHENTICATED);
        if (i == 25)
            assert_non_null(login_from("alice", PASSWORD, "198.51.100.7"));
    }
    assert_null(login_from("one-more", "guess", "198.51.100.7"));
    assert_int_equal(answer.err, ERR_RESOURCE_EXHAUSTED);
}

struct guess {
    bool was_tried;
};

static void guess_at_once(void *arg)
{
    login_from("alice", "guess", "198.51.100.7");
    ((struct guess *)arg)->was_tried = answer.err == ERR_UNAUTHENTICATED;
}

static void test_throttle_in_parallel(void **state)
{
    struct guess guesses[40] = {0};
    int tried = 0;
    world_register(w, "alice");
    in_parallel(guess_at_once, guesses, 40, sizeof(guesses[0]));
    for (int i = 0; i < 40; i++)
        tried += guesses[i].was_tried;
    assert_in_range(tried, 1, 6);
}

static void test_refresh(void **state)
{
    world_register(w, "alice");
    const Auth__LoginReply *first = login("alice", PASSWORD);
    const Auth__LoginReply *second = refresh(first->refresh_token);
    assert_non_null(second);
    assert_string_equal(second->session_id, first->session_id);
    assert_string_not_equal(second->refresh_token, first->refresh_token);
    assert_non_null(validate(second->access_token));
    /* The same client repeats within the grace: the same successor, and all is well. */
    const Auth__LoginReply *repeat = refresh(first->refresh_token);
    assert_non_null(repeat);
    const Auth__LoginReply *third = refresh(repeat->refresh_token);
    assert_non_null(third);
    assert_non_null(validate(third->access_token));
    assert_null(refresh(third->access_token));
    assert_int_equal(answer.err, ERR_UNAUTHENTICATED);
    assert_null(refresh(""));
    /* Once the successor is used, the old one is a copy in other hands: all over. */
    assert_null(refresh(first->refresh_token));
    assert_int_equal(answer.err, ERR_UNAUTHENTICATED);
    assert_null(validate(third->access_token));
    assert_null(refresh(third->refresh_token));
    assert_int_equal(audit_count("refresh_reused"), 1);
    eventually(has_revoked, (void *)1);
}

static void test_refresh_stolen(void **state)
{
    world_register(w, "alice");
    const Auth__LoginReply *first = login("alice", PASSWORD);
    const Auth__LoginReply *other = login("alice", PASSWORD);
    const Auth__LoginReply *second = refresh(first->refresh_token);
    assert_null(refresh_as(first->refresh_token,
                           &(struct asker){.who = &nobody, .remote_addr = "203.0.113.66"}));
    assert_null(validate(second->access_token));
    assert_non_null(validate(other->access_token)); /* another sign-in is another family */
    assert_null(refresh_as(second->refresh_token, &(struct asker){.who = &nobody}));
    first = login("alice", PASSWORD);
    second = refresh(first->refresh_token);
    assert_null(refresh_as(first->refresh_token,
                           &(struct asker){.who = &nobody, .user_agent = "evil/1.0"}));
    assert_null(validate(second->access_token));
}

static void test_refresh_no_grace(void **state)
{
    world_register(w, "alice");
    const Auth__LoginReply *first = login("alice", PASSWORD);
    const Auth__LoginReply *second = refresh(first->refresh_token);
    assert_non_null(second);
    assert_null(refresh(first->refresh_token));
    assert_null(validate(second->access_token));
}

struct renewal {
    const char *token;
    const char *successor;
};

static void renew(void *arg)
{
    struct renewal *r = arg;
    const Auth__LoginReply *reply = refresh(r->token);
    r->successor = reply ? reply->refresh_token : NULL;
}

/* Many tabs at once: all get the one successor, none is thrown out. */
static void test_refresh_in_parallel(void **state)
{
    world_register(w, "alice");
    const Auth__LoginReply *first = login("alice", PASSWORD);
    struct renewal tabs[16];
    for (int i = 0; i < 16; i++)
        tabs[i].token = first->refresh_token;
    in_parallel(renew, tabs, 16, sizeof(tabs[0]));
    for (int i = 0; i < 16; i++)
        assert_non_null(tabs[i].successor);
    assert_int_equal(world_count(w, "SELECT COUNT(*) FROM auth_refresh_tokens WHERE session_id = ?",
                                 first->session_id),
                     2);
    assert_non_null(refresh(tabs[7].successor));
}

static void test_cookie_needs_csrf(void **state)
{
    world_register(w, "alice");
    const Auth__LoginReply *r = login("alice", PASSWORD), *other = login("alice", PASSWORD);
    Auth__RefreshTokenRequest in = AUTH__REFRESH_TOKEN_REQUEST__INIT;
    in.refresh_token = r->refresh_token;
    in.is_cookie = true;
    const char *wrong[] = {"", "x", other->csrf_token};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        in.csrf_token = (char *)wrong[i];
        assert_null(ask(w, w->auth, "RefreshToken", &in, &nobody));
        assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    }
    Auth__GetCsrfTokenRequest csrf_in = AUTH__GET_CSRF_TOKEN_REQUEST__INIT;
    assert_null(ask(w, w->auth, "GetCsrfToken", &csrf_in, &nobody));
    csrf_in.refresh_token = r->refresh_token;
    const Auth__CsrfToken *csrf = ask(w, w->auth, "GetCsrfToken", &csrf_in, &nobody);
    assert_string_equal(csrf->csrf_token, r->csrf_token);
    struct identity who = who_of(r);
    csrf_in.refresh_token = "";
    csrf = ask(w, w->auth, "GetCsrfToken", &csrf_in, &who);
    assert_string_equal(csrf->csrf_token, r->csrf_token);
    in.csrf_token = csrf->csrf_token;
    assert_non_null(r = ask(w, w->auth, "RefreshToken", &in, &nobody));

    Auth__RevokeTokenRequest out = AUTH__REVOKE_TOKEN_REQUEST__INIT;
    out.token = r->refresh_token;
    out.is_cookie = true;
    assert_null(ask(w, w->auth, "RevokeToken", &out, &nobody));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    assert_non_null(validate(r->access_token));
    out.csrf_token = r->csrf_token;
    assert_non_null(ask(w, w->auth, "RevokeToken", &out, &nobody));
    assert_null(validate(r->access_token));
    /* The bearer token proves as much: the cookie beside it needs nothing more. */
    out.token = other->refresh_token;
    out.csrf_token = "";
    who = who_of(other);
    assert_non_null(ask(w, w->auth, "RevokeToken", &out, &who));
    assert_null(validate(other->access_token));
}

static void test_logout(void **state)
{
    world_register(w, "alice");
    const Auth__LoginReply *by_access = login("alice", PASSWORD);
    const Auth__LoginReply *by_refresh = login("alice", PASSWORD);
    const Auth__LoginReply *by_identity = login("alice", PASSWORD);
    const Auth__LoginReply *stays = login("alice", PASSWORD);
    struct identity who = who_of(by_identity);
    assert_true(log_out(by_access->access_token, &nobody));
    assert_true(log_out(by_refresh->refresh_token, &nobody));
    assert_true(log_out("", &who));
    assert_true(log_out("", &who)); /* twice is fine */
    assert_null(validate(by_access->access_token));
    assert_null(validate(by_refresh->access_token));
    assert_null(validate(by_identity->access_token));
    assert_null(refresh(by_access->refresh_token));
    assert_non_null(validate(stays->access_token));
    assert_false(log_out("", &nobody));
    assert_int_equal(answer.err, ERR_UNAUTHENTICATED);
    assert_false(log_out("rubbish", &nobody));
    eventually(has_revoked, (void *)3);
    assert_int_equal(audit_count("logout"), 3);
}

static void test_sessions(void **state)
{
    world_register(w, "alice");
    world_register(w, "bob");
    const Auth__LoginReply *a1 = login("alice", PASSWORD), *a2 = login("alice", PASSWORD);
    const Auth__LoginReply *a3 = login("alice", PASSWORD);
    const Auth__LoginReply *b = login("bob", "password of bob");
    struct identity alice = who_of(a1), bob = who_of(b);
    Auth__ListSessionsRequest list_in = AUTH__LIST_SESSIONS_REQUEST__INIT;
    const Auth__SessionList *list = ask(w, w->auth, "ListSessions", &list_in, &alice);
    assert_int_equal(list->n_sessions, 3);
    int current = 0;
    for (size_t i = 0; i < 3; i++)
        current += list->sessions[i]->is_current;
    assert_int_equal(current, 1);

    Auth__RevokeSessionRequest in = AUTH__REVOKE_SESSION_REQUEST__INIT;
    in.id = a2->session_id;
    assert_null(ask(w, w->auth, "RevokeSession", &in, &bob)); /* not his to end, nor to know */
    assert_int_equal(answer.err, ERR_NOT_FOUND);
    assert_non_null(validate(a2->access_token));
    assert_non_null(ask(w, w->auth, "RevokeSession", &in, &alice));
    assert_null(validate(a2->access_token));
    in.id = "others";
    const Auth__RevokeSessionReply *r = ask(w, w->auth, "RevokeSession", &in, &alice);
    assert_int_equal(r->revoked_count, 1);
    assert_null(validate(a3->access_token));
    assert_non_null(validate(a1->access_token));
    assert_non_null(validate(b->access_token));
    in.id = "nonsense";
    assert_null(ask(w, w->auth, "RevokeSession", &in, &alice));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
}

/* For who may have missed what became of them. */
static void test_check_sessions(void **state)
{
    world_register(w, "alice");
    const Auth__LoginReply *a1 = login("alice", PASSWORD), *a2 = login("alice", PASSWORD);
    struct identity alice = who_of(a1);
    Auth__RevokeSessionRequest end = AUTH__REVOKE_SESSION_REQUEST__INIT;
    end.id = a2->session_id;
    assert_non_null(ask(w, w->auth, "RevokeSession", &end, &alice));
    char *ids[] = {a1->session_id, a2->session_id, "nonsense", "00000000000000000000000000"};
    Auth__CheckSessionsRequest in = AUTH__CHECK_SESSIONS_REQUEST__INIT;
    in.ids = ids;
    in.n_ids = ARRAY_LEN(ids);
    assert_null(ask(w, w->auth, "CheckSessions", &in, &alice)); /* for services alone */
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    const Auth__CheckSessionsReply *r = ask(w, w->auth, "CheckSessions", &in, NULL);
    assert_non_null(r);
    assert_int_equal(r->n_roles, ARRAY_LEN(ids));
    assert_true(r->roles[0] >= USER__ROLE__USER);
    for (size_t i = 1; i < r->n_roles; i++)
        assert_int_equal(r->roles[i], USER__ROLE__NONE);
}

static void test_oldest_session_makes_room(void **state)
{
    world_register(w, "alice");
    const Auth__LoginReply *r[4];
    for (int i = 0; i < 4; i++) {
        assert_non_null(r[i] = login("alice", PASSWORD));
        usleep(2000);
    }
    assert_null(validate(r[0]->access_token));
    for (int i = 1; i < 4; i++)
        assert_non_null(validate(r[i]->access_token));
}

static bool change_password(const char *from, const char *to, const struct identity *who)
{
    Auth__ChangePasswordRequest in = AUTH__CHANGE_PASSWORD_REQUEST__INIT;
    in.old_password = (char *)from;
    in.new_password = (char *)to;
    return ask(w, w->auth, "ChangePassword", &in, who) != NULL;
}

static void test_password(void **state)
{
    world_register(w, "alice");
    const Auth__LoginReply *here = login("alice", PASSWORD), *there = login("alice", PASSWORD);
    struct identity who = who_of(here);
    assert_false(change_password("wrong", "a new password", &who));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    assert_false(change_password(PASSWORD, "short", &who));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    assert_false(change_password(PASSWORD, PASSWORD, &who));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    assert_false(change_password(PASSWORD, "a new password", &nobody));
    assert_int_equal(answer.err, ERR_UNAUTHENTICATED);
    assert_true(change_password(PASSWORD, "a new password", &who));
    assert_non_null(validate(here->access_token));
    assert_non_null(refresh(here->refresh_token));
    assert_null(validate(there->access_token));
    assert_null(refresh(there->refresh_token));
    assert_null(login("alice", PASSWORD));
    assert_non_null(login("alice", "a new password"));
    eventually(has_revoked, (void *)1);
    assert_int_equal(audit_count("password_changed"), 1);
    assert_int_equal(audit_count("password_change_failed"), 1);
}

struct password_race {
    struct identity who;
    char to[32];
    bool won;
};

static void race_password(void *arg)
{
    struct password_race *r = arg;
    r->won = change_password(PASSWORD, r->to, &r->who);
}

static void test_password_race(void **state)
{
    world_register(w, "alice");
    struct identity who = who_of(login("alice", PASSWORD));
    struct password_race races[4];
    int winners = 0;
    const char *last = NULL;
    for (int i = 0; i < 4; i++) {
        races[i].who = who;
        snprintf(races[i].to, sizeof(races[i].to), "new password %d", i);
    }
    in_parallel(race_password, races, 4, sizeof(races[0]));
    for (int i = 0; i < 4; i++) {
        winners += races[i].won;
        last = races[i].won ? races[i].to : last;
    }
    assert_int_equal(winners, 1);
    assert_non_null(login("alice", last));
}

static void test_reset_password(void **state)
{
    struct identity admin = world_register(w, "alice"), bob = world_register(w, "bob");
    const Auth__LoginReply *r = login("bob", "password of bob");
    Auth__ResetPasswordRequest in = AUTH__RESET_PASSWORD_REQUEST__INIT;
    in.user_id = bob.user_id;
    in.new_password = "given by an admin";
    assert_null(ask(w, w->auth, "ResetPassword", &in, &bob));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    assert_non_null(ask(w, w->auth, "ResetPassword", &in, &admin));
    assert_null(validate(r->access_token));
    assert_non_null(login("bob", "given by an admin"));
    in.user_id = "01HZXYZXYZXYZXYZXYZXYZXYZX";
    assert_null(ask(w, w->auth, "ResetPassword", &in, &admin));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
}

static bool has_no_live_session(void *user_id)
{
    return world_count(w,
                       "SELECT COUNT(*) FROM auth_sessions WHERE revoked_at_ms = 0 AND user_id = ?",
                       user_id) == 0;
}

/* Disabling and changing roles takes hold of tokens that are out already. */
static void test_disable_and_role(void **state)
{
    struct identity admin = world_register(w, "alice");
    world_register(w, "bob");
    const Auth__LoginReply *bob = login("bob", "password of bob");
    User__UpdateUserRequest in = USER__UPDATE_USER_REQUEST__INIT;
    in.id = bob->user->id;
    in._role_case = USER__UPDATE_USER_REQUEST___ROLE_ROLE;
    in.role = USER__ROLE__ADMIN;
    assert_non_null(ask(w, w->user, "UpdateUser", &in, &admin));
    assert_int_equal(validate(bob->access_token)->role, USER__ROLE__ADMIN);
    eventually(has_changed, (void *)1);

    in._role_case = USER__UPDATE_USER_REQUEST___ROLE__NOT_SET;
    in._is_disabled_case = USER__UPDATE_USER_REQUEST___IS_DISABLED_IS_DISABLED;
    in.is_disabled = true;
    assert_non_null(ask(w, w->user, "UpdateUser", &in, &admin));
    assert_null(validate(bob->access_token)); /* at once, not when the event has come */
    assert_null(refresh(bob->refresh_token));
    eventually(has_no_live_session, bob->user->id);
    eventually(has_revoked, (void *)1);
    assert_null(login("bob", "password of bob"));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    assert_null(login("bob", "wrong"));
    assert_int_equal(answer.err, ERR_UNAUTHENTICATED); /* said only to who knows the password */
    eventually(has_audit, "role_changed");
    eventually(has_audit, "user_disabled");

    in.is_disabled = false;
    assert_non_null(ask(w, w->user, "UpdateUser", &in, &admin));
    assert_null(validate(bob->access_token)); /* ended sign-ins stay ended */
    assert_non_null(login("bob", "password of bob"));
}

/* As it comes again after a crash: the account has been enabled since. */
static void publish_disabled(const char *user_id, int64_t at_ms)
{
    uint8_t bytes[128];
    User__UserEvent event = USER__USER_EVENT__INIT;
    event.type = "user.disabled";
    event.user_id = (char *)user_id;
    event.at_ms = at_ms;
    size_t n = user__user_event__pack(&event, bytes);
    bus_publish(w->bus, &(struct bus_event){.channel = "user_events",
                                            .type = event.type,
                                            .key = user_id,
                                            .payload = {(const char *)bytes, n}});
}

static void test_disabled_is_heard_late(void **state)
{
    world_register(w, "bob");
    int64_t before_ms = clock_wall_ms();
    usleep(2000);
    const Auth__LoginReply *bob = login("bob", "password of bob");
    publish_disabled(bob->user->id, before_ms);
    eventually(has_changed, (void *)1);
    assert_non_null(validate(bob->access_token)); /* opened since */
    publish_disabled(bob->user->id, clock_wall_ms());
    eventually(has_no_live_session, bob->user->id);
}

static void test_guest(void **state)
{
    Auth__IssueGuestTokenRequest in = AUTH__ISSUE_GUEST_TOKEN_REQUEST__INIT;
    in.meeting_id = "01HZXYZXYZXYZXYZXYZXYZXYZX";
    in.name = " Gäst ";
    assert_null(ask(w, w->auth, "IssueGuestToken", &in, &nobody)); /* for services alone */
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    const Auth__GuestToken *g = ask(w, w->auth, "IssueGuestToken", &in, NULL);
    assert_non_null(g);
    const Auth__ValidateTokenReply *v = validate(g->access_token);
    assert_non_null(v);
    assert_int_equal(v->role, USER__ROLE__GUEST);
    assert_string_equal(v->meeting_id, in.meeting_id);
    assert_string_equal(v->name, "Gäst");
    assert_string_equal(v->user_id, g->user_id);
    assert_true(log_out(g->access_token, &nobody));
    assert_null(validate(g->access_token));
    in.name = "";
    assert_null(ask(w, w->auth, "IssueGuestToken", &in, NULL));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    in.name = "x";
    in.meeting_id = "x";
    assert_null(ask(w, w->auth, "IssueGuestToken", &in, NULL));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
}

/* A name of 64 wide characters is longer than the identity holds: cut, and still UTF-8. */
static void test_long_name(void **state)
{
    char name[64 * 4 + 1] = "";
    for (int i = 0; i < 64; i++)
        memcpy(name + 3 * i, "\xe6\x9d\x8e", 4);
    Auth__IssueGuestTokenRequest in = AUTH__ISSUE_GUEST_TOKEN_REQUEST__INIT;
    in.meeting_id = "01HZXYZXYZXYZXYZXYZXYZXYZX";
    in.name = name;
    const Auth__GuestToken *g = ask(w, w->auth, "IssueGuestToken", &in, NULL);
    const Auth__ValidateTokenReply *v = validate(g->access_token);
    assert_int_equal(strlen(v->name), 126);
    assert_true(str_is_utf8(str_from(v->name)));
}

static void test_audit(void **state)
{
    struct identity admin = world_register(w, "alice"), bob = world_register(w, "bob");
    for (int i = 0; i < 5; i++)
        assert_non_null(login("bob", "password of bob"));
    Auth__ListAuditRequest in = AUTH__LIST_AUDIT_REQUEST__INIT;
    in.action = "login";
    in.limit = 2;
    assert_null(ask(w, w->auth, "ListAudit", &in, &bob));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    int seen = 0;
    int64_t last_ms = INT64_MAX;
    do {
        const Auth__AuditList *list = ask(w, w->auth, "ListAudit", &in, &admin);
        assert_non_null(list);
        for (size_t i = 0; i < list->n_entries; i++, seen++) {
            const Auth__AuditEntry *e = list->entries[i];
            assert_string_equal(e->actor_id, bob.user_id);
            assert_string_equal(e->remote_addr, "192.0.2.1");
            assert_true(e->at_ms <= last_ms);
            last_ms = e->at_ms;
        }
        in.cursor = list->next_cursor;
    } while (in.cursor[0]);
    assert_int_equal(seen, 5);
    in.cursor = "rubbish";
    assert_null(ask(w, w->auth, "ListAudit", &in, &admin));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
}

static void test_sweep(void **state)
{
    world_register(w, "alice");
    const Auth__LoginReply *r = login("alice", PASSWORD);
    auth_sweep(w->auth_service);
    store_flush(w->store);
    assert_non_null(validate(r->access_token)); /* nothing alive is swept away */
    assert_int_equal(world_count(w, "SELECT COUNT(*) FROM auth_audit WHERE id <> ?", "") > 0, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_register_and_login),
        TEST(test_uniform_failure),
        TEST(test_throttle),
        TEST(test_throttle_by_address),
        TEST(test_throttle_in_parallel),
        TEST(test_refresh),
        TEST(test_refresh_stolen),
        cmocka_unit_test_setup_teardown(test_refresh_no_grace, setup_no_grace, teardown),
        TEST(test_refresh_in_parallel),
        TEST(test_cookie_needs_csrf),
        TEST(test_logout),
        TEST(test_sessions),
        TEST(test_check_sessions),
        cmocka_unit_test_setup_teardown(test_oldest_session_makes_room, setup_three_sessions,
                                        teardown),
        TEST(test_password),
        TEST(test_password_race),
        TEST(test_reset_password),
        TEST(test_disable_and_role),
        TEST(test_disabled_is_heard_late),
        TEST(test_guest),
        TEST(test_long_name),
        TEST(test_audit),
        TEST(test_sweep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
