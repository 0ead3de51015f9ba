/* key: keys of programs: made, listed, ended; what is signed with them, and what only looks so. */
#include "../world.h"

#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"

static struct world *w;
static struct identity alice, bob;

static int setup(void **state)
{
    w = world_open(&(struct world_options){0});
    world_register(w, "root");
    alice = world_register(w, "alice");
    bob = world_register(w, "bob");
    return 0;
}

static int teardown(void **state)
{
    world_close(&w);
    return 0;
}

static const Auth__ApiKey *create(const struct identity *who, Auth__CreateKeyRequest *in)
{
    if (!in->name[0])
        in->name = "test";
    return ask(w, w->auth, "CreateKey", in, who);
}

static const Auth__ApiKey *create_plain(const struct identity *who)
{
    Auth__CreateKeyRequest in = AUTH__CREATE_KEY_REQUEST__INIT;
    const Auth__ApiKey *key = create(who, &in);
    assert_non_null(key);
    return key;
}

static size_t list_count(const struct identity *who)
{
    Auth__ListKeysRequest in = AUTH__LIST_KEYS_REQUEST__INIT;
    const Auth__KeyList *list = ask(w, w->auth, "ListKeys", &in, who);
    for (size_t i = 0; i < list->n_keys; i++)
        assert_string_equal(list->keys[i]->secret, "");
    return list->n_keys;
}

static bool end_key(const char *id, const struct identity *who)
{
    Auth__RevokeKeyRequest in = AUTH__REVOKE_KEY_REQUEST__INIT;
    in.id = (char *)id;
    return ask(w, w->auth, "RevokeKey", &in, who) != NULL;
}

#define REQUEST "POST\n/api/v1/x\n\n00"

static struct signing {
    char *key_id, *secret, *nonce, *request;
    int64_t time_ms;
    char signature[65];
} signing_of(const Auth__ApiKey *key)
{
    static int count;
    static char nonces[64][32];
    char *nonce = nonces[count++ % 64];
    snprintf(nonce, 32, "nonce-%020d", count);
    return (struct signing){key->id, key->secret, nonce, REQUEST, clock_wall_ms(), ""};
}

static void sign(struct signing *s)
{
    uint8_t mac[32];
    unsigned n = sizeof(mac);
    char text[500];
    int length = snprintf(text, sizeof(text), "PARLANCE-HMAC-SHA256\n%s\n%lld\n%s\n%s", s->key_id,
                          (long long)s->time_ms, s->nonce, s->request);
    HMAC(EVP_sha256(), s->secret, (int)strlen(s->secret), (uint8_t *)text, (size_t)length, mac, &n);
    str_hex(s->signature, mac, sizeof(mac));
}

static const Auth__ValidateTokenReply *check(const struct signing *s)
{
    Auth__ValidateSignatureRequest in = AUTH__VALIDATE_SIGNATURE_REQUEST__INIT;
    in.key_id = s->key_id;
    in.time_ms = s->time_ms;
    in.nonce = s->nonce;
    in.request = s->request;
    in.signature = (char *)s->signature;
    return ask(w, w->auth, "ValidateSignature", &in, NULL);
}

static void expect_refused(const struct signing *s, const char *words)
{
    assert_null(check(s));
    assert_int_equal(answer.err, ERR_UNAUTHENTICATED);
    if (!strstr(answer.message, words))
        fail_msg("expected \"%s\": %s", words, answer.message);
}

static void test_signed(void **state)
{
    const Auth__ApiKey *key = create_plain(&alice);
    assert_int_equal(strlen(key->secret), 43);
    struct signing s = signing_of(key);
    sign(&s);
    const Auth__ValidateTokenReply *r = check(&s);
    assert_non_null(r);
    assert_string_equal(r->user_id, alice.user_id);
    assert_string_equal(r->key_id, key->id);
    assert_string_equal(r->session_id, key->id);
    assert_int_equal(r->role, USER__ROLE__USER);
    assert_int_equal(r->n_scopes, 0);
    expect_refused(&s, "made already");
    s = signing_of(key); /* another nonce, the same time */
    sign(&s);
    assert_non_null(check(&s));
}

/* Every part of what is signed changed by itself, and the signature bit by bit. */
static void test_forged(void **state)
{
    const Auth__ApiKey *key = create_plain(&alice), *other = create_plain(&bob);
    struct signing good = signing_of(key);
    sign(&good);
    struct signing s = good;
    s.request = "GET\n/api/v1/x\n\n00";
    expect_refused(&s, "not valid");
    s = good;
    s.time_ms += 1;
    expect_refused(&s, "not valid");
    s = good;
    s.nonce = "another-nonce-entirely";
    expect_refused(&s, "not valid");
    s = good;
    s.key_id = other->id;
    expect_refused(&s, "not valid");
    s = good;
    s.key_id = "01M7YJPKHX1NE66T8H50TPYVP7";
    expect_refused(&s, "not valid");
    for (size_t i = 0; i < 64; i++) {
        s = good;
        s.signature[i] = s.signature[i] == '0' ? '1' : '0';
        expect_refused(&s, "not valid");
    }
    s = good;
    s.signature[63] = '\0';
    expect_refused(&s, "not valid");
    assert_non_null(check(&good)); /* none of them used up the nonce */
}

static void test_clock(void **state)
{
    const Auth__ApiKey *key = create_plain(&alice);
    const int64_t now_ms = clock_wall_ms(), minute_ms = 60000;
    const int64_t bad[] = {0,
                           1,
                           now_ms - 6 * minute_ms,
                           now_ms + 6 * minute_ms,
                           4102444800000 /* 2100 */,
                           INT64_MAX,
                           INT64_MIN,
                           -1};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct signing s = signing_of(key);
        s.time_ms = bad[i];
        sign(&s);
        expect_refused(&s, "the server's time 20");
    }
    struct signing s = signing_of(key);
    s.time_ms = now_ms + 4 * minute_ms;
    sign(&s);
    assert_non_null(check(&s));
    s = signing_of(key);
    s.time_ms = now_ms - 4 * minute_ms; /* as by a request from before a restart */
    sign(&s);
    expect_refused(&s, "before this server started");
}

static void test_nonces(void **state)
{
    static char *const bad[] = {
        "",
        "short",
        "0123456789abcde",
        "with space in it",
        "line\nbreak-here-x",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdefX"};
    const Auth__ApiKey *key = create_plain(&alice);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct signing s = signing_of(key);
        s.nonce = bad[i];
        sign(&s);
        expect_refused(&s, "nonce: expected");
    }
}

struct racer {
    struct signing s;
    bool is_admitted;
};

static void race(void *arg)
{
    struct racer *r = arg;
    r->is_admitted = check(&r->s) != NULL;
}

static void test_replay_in_parallel(void **state)
{
    struct racer racers[8];
    int admitted = 0;
    struct signing s = signing_of(create_plain(&alice));
    sign(&s);
    for (size_t i = 0; i < 8; i++)
        racers[i] = (struct racer){.s = s};
    in_parallel(race, racers, 8, sizeof(racers[0]));
    for (size_t i = 0; i < 8; i++)
        admitted += racers[i].is_admitted;
    assert_int_equal(admitted, 1);
}

static void test_end(void **state)
{
    const Auth__ApiKey *key = create_plain(&alice);
    assert_int_equal(list_count(&alice), 1);
    assert_int_equal(list_count(&bob), 0);
    assert_false(end_key(key->id, &bob));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
    assert_false(end_key("no id at all", &alice));
    assert_true(end_key(key->id, &alice));
    assert_false(end_key(key->id, &alice));
    struct signing s = signing_of(key);
    sign(&s);
    expect_refused(&s, "not valid");
    assert_int_equal(list_count(&alice), 0);
}

static void test_expiry(void **state)
{
    Auth__CreateKeyRequest in = AUTH__CREATE_KEY_REQUEST__INIT;
    in.expires_at_ms = clock_wall_ms() - 1;
    assert_null(create(&alice, &in));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    in.expires_at_ms = clock_wall_ms() + 60;
    const Auth__ApiKey *key = create(&alice, &in);
    struct signing s = signing_of(key);
    sign(&s);
    assert_non_null(check(&s));
    while (clock_wall_ms() <= in.expires_at_ms)
        ;
    s = signing_of(key);
    sign(&s);
    expect_refused(&s, "not valid");
    assert_int_equal(list_count(&alice), 0);
}

static void test_scopes(void **state)
{
    static char *const bad[] = {"",         ":",   "messages:", "messages:all",
                                "Messages", "a b", "a:read:b"};
    Auth__CreateKeyRequest in = AUTH__CREATE_KEY_REQUEST__INIT;
    char *one[] = {"messages:read", "sockets"};
    in.scopes = one;
    in.n_scopes = 2;
    const Auth__ApiKey *key = create(&alice, &in);
    assert_int_equal(key->n_scopes, 2);
    struct signing s = signing_of(key);
    sign(&s);
    const Auth__ValidateTokenReply *r = check(&s);
    assert_int_equal(r->n_scopes, 2);
    assert_string_equal(r->scopes[0], "messages:read");
    assert_string_equal(r->scopes[1], "sockets");
    in.n_scopes = 1;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        one[0] = bad[i];
        assert_null(create(&alice, &in));
        assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    }
    char *many[17];
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = "messages";
    in.scopes = many;
    in.n_scopes = ARRAY_LEN(many);
    assert_null(create(&alice, &in));
}

static void test_bounds(void **state)
{
    for (int i = 0; i < 50; i++)
        create_plain(&alice);
    Auth__CreateKeyRequest in = AUTH__CREATE_KEY_REQUEST__INIT;
    assert_null(create(&alice, &in));
    assert_int_equal(answer.err, ERR_RESOURCE_EXHAUSTED);
    create_plain(&bob);
    /* Tokens that do not expire, and keys for others, are not for everybody. */
    in.kind = AUTH__KEY_KIND__TOKEN;
    assert_null(create(&bob, &in));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    in.kind = AUTH__KEY_KIND__HMAC;
    in.user_id = alice.user_id;
    assert_null(create(&bob, &in));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
    in.user_id = "";
    in.kind = 7;
    assert_null(create(&bob, &in));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
}

static void test_account(void **state)
{
    const Auth__ApiKey *key = create_plain(&alice);
    struct signing s = signing_of(key);
    sign(&s);
    world_disable(w, &alice, true);
    expect_refused(&s, "not valid");
    world_disable(w, &alice, false);
    s = signing_of(key);
    sign(&s);
    assert_non_null(check(&s));
    /* Who needs an administrator to get back in may have made keys unknowingly. */
    Auth__ResetPasswordRequest in = AUTH__RESET_PASSWORD_REQUEST__INIT;
    in.user_id = alice.user_id;
    in.new_password = "another password";
    assert_non_null(ask(w, w->auth, "ResetPassword", &in, NULL));
    s = signing_of(key);
    sign(&s);
    expect_refused(&s, "not valid");
}

/* Nobody who reads the database learns a secret. */
static void test_at_rest(void **state)
{
    const Auth__ApiKey *key = create_plain(&alice);
    assert_int_equal(world_count(w, "SELECT COUNT(*) FROM auth_api_keys WHERE instr(secret, ?) > 0",
                                 key->secret),
                     0);
    assert_int_equal(world_count(w,
                                 "SELECT COUNT(*) FROM auth_api_keys WHERE id = ? AND"
                                 " length(secret) = 83",
                                 key->id),
                     1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_signed),
        TEST(test_forged),
        TEST(test_clock),
        TEST(test_nonces),
        TEST(test_replay_in_parallel),
        TEST(test_end),
        TEST(test_expiry),
        TEST(test_scopes),
        TEST(test_bounds),
        TEST(test_account),
        TEST(test_at_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
