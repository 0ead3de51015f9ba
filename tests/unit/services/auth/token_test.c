/*
 * token: the matrix of RFC 8725. Tokens are forged here by hand, part by part; libjwt is the oracle
 * that our signatures are those of the standard.
 */
#include "../../test.h"

#include <jwt.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <sodium.h>
#include <stdlib.h>

#include "core/arena.h"
#include "core/clock.h"
#include "core/log.h"
#include "services/auth/auth_signature.h"
#include "services/auth/auth_token.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define NOW_MS 1800000000000

static struct arena *arena;

static int setup(void **state)
{
    arena = arena_create();
    log_set_level(LOG_OFF);
    return 0;
}

static int teardown(void **state)
{
    arena_destroy(&arena);
    return 0;
}

static struct auth_keys *keys_of(const char *pem)
{
    struct auth_keys *keys;
    assert_int_equal(auth_keys_create(&keys, STR(SECRET), pem), ERR_OK);
    return keys;
}

static char *pem_of(EVP_PKEY *key, bool is_private)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *bytes;
    if (is_private)
        PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    else
        PEM_write_bio_PUBKEY(bio, key);
    long n = BIO_get_mem_data(bio, &bytes);
    char *out = str_arena(arena, (struct str){bytes, (size_t)n});
    BIO_free(bio);
    return out;
}

static struct auth_claims claims_of(enum auth_token_type type)
{
    struct auth_claims c = {
        .type = type,
        .role = ROLE_USER,
        .issued_at_ms = NOW_MS,
        .expires_at_ms = NOW_MS + 60000,
    };
    id_make(c.user_id);
    id_make(c.session_id);
    id_token(c.token_id, AUTH_TOKEN_ID_CHARS);
    return c;
}

static enum err check(struct auth_keys *keys, const char *token, enum auth_token_type type)
{
    struct auth_claims out;
    return auth_token_verify(keys, str_from(token), type, NOW_MS, 0, &out);
}

static char *base64(const void *bytes, size_t n)
{
    char *out = arena_alloc(arena, str_base64_size(n));
    str_base64url(out, bytes, n);
    return out;
}

static size_t unbase64(const char *text, uint8_t *out)
{
    size_t n = 0;
    assert_int_equal(sodium_base642bin(out, AUTH_SIGNATURE_MAX, text, strlen(text), NULL, &n, NULL,
                                       sodium_base64_VARIANT_URLSAFE_NO_PADDING),
                     0);
    return n;
}

/* libjwt knows only the type "JWT", so the oracle is asked about plain tokens. */
static void compare_with_oracle(const char *pem, const char *name, const char *sign_key,
                                const char *check_key)
{
    struct auth_signer *signer;
    uint8_t signature[AUTH_SIGNATURE_MAX];
    size_t n;
    assert_int_equal(auth_signer_create(&signer, STR(SECRET), pem), ERR_OK);
    /* Ours, judged by libjwt. */
    char *header = arena_printf(arena, "{\"alg\":\"%s\",\"typ\":\"JWT\"}", name);
    char *message =
        arena_printf(arena, "%s.%s", base64(header, strlen(header)), base64("{\"sub\":\"x\"}", 11));
    assert_true(auth_signer_sign(signer, str_from(message), signature, &n));
    char *token = arena_printf(arena, "%s.%s", message, base64(signature, n));
    jwt_t *jwt = NULL;
    assert_int_equal(jwt_decode(&jwt, token, (const uint8_t *)check_key, (int)strlen(check_key)),
                     0);
    assert_string_equal(jwt_alg_str(jwt_get_alg(jwt)), name);
    assert_string_equal(jwt_get_grant(jwt, "sub"), "x");
    jwt_free(jwt);
    /* libjwt's, judged by us. */
    assert_int_equal(jwt_new(&jwt), 0);
    jwt_add_grant(jwt, "sub", "y");
    jwt_set_alg(jwt, jwt_str_alg(name), (const uint8_t *)sign_key, (int)strlen(sign_key));
    token = jwt_encode_str(jwt);
    char *dot = strrchr(token, '.');
    n = unbase64(dot + 1, signature);
    assert_true(
        auth_signer_verify(signer, (struct str){token, (size_t)(dot - token)}, signature, n));
    assert_false(
        auth_signer_verify(signer, (struct str){token, (size_t)(dot - token) - 1}, signature, n));
    free(token);
    jwt_free(jwt);
    auth_signer_destroy(&signer);
}

/* Each kind of key: there and back, and libjwt agrees with the signature. */
static void test_round_trip(void **state)
{
    EVP_PKEY *rsa = EVP_RSA_gen(2048), *ec = EVP_EC_gen("P-256");
    struct {
        const char *name, *pem;
        const char *sign_key, *check_key;
    } rows[] = {
        {"HS256", NULL, SECRET, SECRET},
        {"RS256", pem_of(rsa, true), pem_of(rsa, true), pem_of(rsa, false)},
        {"ES256", pem_of(ec, true), pem_of(ec, true), pem_of(ec, false)},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct auth_keys *keys = keys_of(rows[i].pem);
        struct auth_claims in = claims_of(AUTH_TOKEN_ACCESS), out;
        assert_string_equal(auth_keys_algorithm(keys), rows[i].name);
        for (int repeat = 0; repeat < 20; repeat++) { /* ECDSA: r and s of every length */
            char *token = auth_token_sign(keys, arena, &in);
            assert_non_null(token);
            assert_int_equal(
                auth_token_verify(keys, str_from(token), AUTH_TOKEN_ACCESS, NOW_MS, 0, &out),
                ERR_OK);
            assert_string_equal(out.user_id, in.user_id);
            assert_string_equal(out.session_id, in.session_id);
            assert_string_equal(out.token_id, in.token_id);
            assert_int_equal(out.expires_at_ms, in.expires_at_ms);
            compare_with_oracle(rows[i].pem, rows[i].name, rows[i].sign_key, rows[i].check_key);
        }
        auth_keys_destroy(&keys);
    }
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ec);
}

/* ---- forging ---- */

static char *hs256(const char *header, const char *claims, const void *key, size_t key_n)
{
    uint8_t mac[32];
    unsigned n = sizeof(mac);
    char *message = arena_printf(arena, "%s.%s", base64(header, strlen(header)),
                                 base64(claims, strlen(claims)));
    HMAC(EVP_sha256(), key, (int)key_n, (const uint8_t *)message, strlen(message), mac, &n);
    return arena_printf(arena, "%s.%s", message, base64(mac, n));
}

static char *part_of(const char *token, int index)
{
    struct str rest = str_from(token), part;
    for (int i = 0; i <= index; i++)
        str_cut(&rest, '.', &part);
    uint8_t *bytes = arena_alloc(arena, AUTH_SIGNATURE_MAX);
    bytes[unbase64(str_arena(arena, part), bytes)] = 0;
    return (char *)bytes;
}

static char *replaced(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    if (!at)
        fail_msg("%s not in %s", from, text);
    return arena_printf(arena, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
}

struct forgery {
    const char *what;
    const char *header_from, *header_to; /* NULL: as it is */
    const char *claims_from, *claims_to;
};

/* Signed with the right key, and wrong in one thing. */
static void test_wrong_in_one_thing(void **state)
{
    struct auth_keys *keys = keys_of(NULL);
    struct auth_claims c = claims_of(AUTH_TOKEN_ACCESS);
    char *good = auth_token_sign(keys, arena, &c);
    char *header = part_of(good, 0), *claims = part_of(good, 1);
    char *kid = replaced(strstr(header, "\"kid\""), "}", "");
    const struct forgery rows[] = {
        {"alg none", "HS256", "none"},
        {"alg None", "HS256", "None"},
        {"alg empty", "HS256", ""},
        {"alg HS512", "HS256", "HS512"},
        {"alg RS256", "HS256", "RS256"},
        {"alg number", "\"HS256\"", "256"},
        {"alg lower case", "HS256", "hs256"},
        {"alg missing", "\"alg\":\"HS256\",", ""},
        {"alg twice", "{", "{\"alg\":\"none\","},
        {"typ JWT", "at+jwt", "JWT"},
        {"typ refresh", "at+jwt", "refresh+jwt"},
        {"typ missing", "\"typ\":\"at+jwt\",", ""},
        {"kid other", kid, "\"kid\":\"0000000000000000\""},
        {"kid path", kid, "\"kid\":\"../../dev/null\""},
        {"kid missing", arena_printf(arena, ",%s", kid), ""},
        {"jku", "{", "{\"jku\":\"https://evil.example/keys\","},
        {"jwk", "{", "{\"jwk\":{\"kty\":\"oct\",\"k\":\"AAAA\"},"},
        {"crit", "{", "{\"crit\":[\"exp\"],"},
        {"zip", "{", "{\"zip\":\"DEF\","},
        {"header an array", "{", "[{"},
        {"iss", NULL, NULL, "\"iss\":\"parlance\"", "\"iss\":\"evil\""},
        {"iss missing", NULL, NULL, "\"iss\":\"parlance\",", ""},
        {"iss longer", NULL, NULL, "\"iss\":\"parlance\"", "\"iss\":\"parlance\\u0000x\""},
        {"aud", NULL, NULL, "\"aud\":\"parlance\"", "\"aud\":\"other\""},
        {"aud list", NULL, NULL, "\"aud\":\"parlance\"", "\"aud\":[\"parlance\"]"},
        {"aud missing", NULL, NULL, "\"aud\":\"parlance\",", ""},
        {"sub no id", NULL, NULL, c.user_id, "admin"},
        {"sub with quote", NULL, NULL, c.user_id, "' OR 1=1 --xxxxxxxxxxxxxxx"},
        {"sub missing", NULL, NULL, "\"sub\"", "\"sup\""},
        {"sid missing", NULL, NULL, "\"sid\"", "\"sit\""},
        {"jti short", NULL, NULL, c.token_id, "short"},
        {"exp passed", NULL, NULL, "\"exp\":1800000060", "\"exp\":1800000000"},
        {"exp missing", NULL, NULL, "\"exp\"", "\"exq\""},
        {"exp text", NULL, NULL, "\"exp\":1800000060", "\"exp\":\"1800000060\""},
        {"exp real", NULL, NULL, "\"exp\":1800000060", "\"exp\":1800000060.5"},
        {"exp huge", NULL, NULL, "\"exp\":1800000060", "\"exp\":99999999999999999"},
        {"exp negative", NULL, NULL, "\"exp\":1800000060", "\"exp\":-1"},
        {"exp twice", NULL, NULL, "\"exp\":1800000060", "\"exp\":1800000000,\"exp\":1800000060"},
        {"nbf later", NULL, NULL, "\"nbf\":1800000000", "\"nbf\":1800000040"},
        {"iat later", NULL, NULL, "\"iat\":1800000000", "\"iat\":1800000040"},
        {"claims an array", NULL, NULL, "{", "[{"},
        {"claims cut", NULL, NULL, "}", ""},
    };
    assert_int_equal(check(keys, hs256(header, claims, SECRET, 32), AUTH_TOKEN_ACCESS), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct forgery *r = &rows[i];
        char *h = r->header_from ? replaced(header, r->header_from, r->header_to) : header;
        char *p = r->claims_from ? replaced(claims, r->claims_from, r->claims_to) : claims;
        if (check(keys, hs256(h, p, SECRET, 32), AUTH_TOKEN_ACCESS) != ERR_UNAUTHENTICATED)
            fail_msg("accepted: %s", r->what);
    }
    auth_keys_destroy(&keys);
}

static void test_wrong_signature(void **state)
{
    struct auth_keys *keys = keys_of(NULL);
    struct auth_claims c = claims_of(AUTH_TOKEN_ACCESS);
    char *good = auth_token_sign(keys, arena, &c);
    char *header = part_of(good, 0), *claims = part_of(good, 1);
    size_t n = strlen(good), head_n = (size_t)(strrchr(good, '.') - good);
    assert_int_equal(check(keys, hs256(header, claims, SECRET "x", 33), AUTH_TOKEN_ACCESS),
                     ERR_UNAUTHENTICATED);
    assert_int_equal(check(keys, hs256(header, claims, "", 0), AUTH_TOKEN_ACCESS),
                     ERR_UNAUTHENTICATED);
    /* No signature at all, with and without its dot; and the classic "none". */
    assert_int_equal(check(keys, arena_printf(arena, "%.*s.", (int)head_n, good), 0),
                     ERR_UNAUTHENTICATED);
    assert_int_equal(check(keys, arena_printf(arena, "%.*s", (int)head_n, good), 0),
                     ERR_UNAUTHENTICATED);
    const char none[] = "{\"alg\":\"none\",\"typ\":\"at+jwt\"}";
    assert_int_equal(check(keys,
                           arena_printf(arena, "%s.%s.", base64(none, strlen(none)),
                                        base64(claims, strlen(claims))),
                           0),
                     ERR_UNAUTHENTICATED);
    /* Cut anywhere, changed anywhere, longer by anything. */
    for (size_t i = 0; i < n; i++) {
        struct auth_claims out;
        assert_int_equal(
            auth_token_verify(keys, (struct str){good, i}, AUTH_TOKEN_ACCESS, NOW_MS, 0, &out),
            ERR_UNAUTHENTICATED);
        char *changed = arena_strdup(arena, good);
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        assert_int_equal(check(keys, changed, AUTH_TOKEN_ACCESS), ERR_UNAUTHENTICATED);
    }
    const char *tails[] = {"A", "=", "==", ".", ".AAAA", " ", "\n"};
    for (size_t i = 0; i < ARRAY_LEN(tails); i++)
        assert_int_equal(check(keys, arena_printf(arena, "%s%s", good, tails[i]), 0),
                         ERR_UNAUTHENTICATED);
    auth_keys_destroy(&keys);
}

/* The public key is public: used as an HMAC secret it must open nothing (CVE-2021-39215 and kin).
 */
static void test_algorithm_confusion(void **state)
{
    EVP_PKEY *rsa = EVP_RSA_gen(2048), *ec = EVP_EC_gen("P-256");
    EVP_PKEY *both[] = {rsa, ec};
    for (int i = 0; i < 2; i++) {
        struct auth_keys *keys = keys_of(pem_of(both[i], true));
        struct auth_claims c = claims_of(AUTH_TOKEN_ACCESS);
        char *good = auth_token_sign(keys, arena, &c);
        char *header = part_of(good, 0), *claims = part_of(good, 1);
        char *hs = replaced(header, auth_keys_algorithm(keys), "HS256");
        char *pem = pem_of(both[i], false);
        assert_int_equal(check(keys, hs256(hs, claims, pem, strlen(pem)), 0), ERR_UNAUTHENTICATED);
        assert_int_equal(check(keys, hs256(header, claims, pem, strlen(pem)), 0),
                         ERR_UNAUTHENTICATED);
        assert_int_equal(check(keys, hs256(header, claims, SECRET, 32), 0), ERR_UNAUTHENTICATED);
        /* A token of another key of the same kind. */
        EVP_PKEY *other = i == 0 ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
        struct auth_keys *foreign = keys_of(pem_of(other, true));
        assert_int_equal(check(keys, auth_token_sign(foreign, arena, &c), 0), ERR_UNAUTHENTICATED);
        EVP_PKEY_free(other);
        auth_keys_destroy(&foreign);
        auth_keys_destroy(&keys);
    }
    /* ECDSA with r = s = 0. */
    struct auth_keys *keys = keys_of(pem_of(ec, true));
    struct auth_claims c = claims_of(AUTH_TOKEN_ACCESS);
    char *good = auth_token_sign(keys, arena, &c);
    uint8_t zeros[64] = {0};
    char *psychic = arena_printf(arena, "%.*s.%s", (int)(strrchr(good, '.') - good), good,
                                 base64(zeros, sizeof(zeros)));
    assert_int_equal(check(keys, psychic, 0), ERR_UNAUTHENTICATED);
    auth_keys_destroy(&keys);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ec);
}

static void test_types_and_times(void **state)
{
    struct auth_keys *keys = keys_of(NULL);
    struct auth_claims access = claims_of(AUTH_TOKEN_ACCESS), out;
    struct auth_claims refresh = claims_of(AUTH_TOKEN_REFRESH);
    char *a = auth_token_sign(keys, arena, &access), *r = auth_token_sign(keys, arena, &refresh);
    assert_int_equal(check(keys, a, AUTH_TOKEN_ACCESS), ERR_OK);
    assert_int_equal(check(keys, a, AUTH_TOKEN_REFRESH), ERR_UNAUTHENTICATED);
    assert_int_equal(check(keys, r, AUTH_TOKEN_REFRESH), ERR_OK);
    assert_int_equal(check(keys, r, AUTH_TOKEN_ACCESS), ERR_UNAUTHENTICATED);
    assert_int_equal(
        auth_token_verify(keys, str_from(a), AUTH_TOKEN_ACCESS, NOW_MS + 59999, 0, &out), ERR_OK);
    assert_int_equal(
        auth_token_verify(keys, str_from(a), AUTH_TOKEN_ACCESS, NOW_MS + 60000, 0, &out),
        ERR_UNAUTHENTICATED);
    assert_string_equal(out.user_id, ""); /* nothing of a refused token comes out */
    assert_int_equal(auth_token_verify(keys, str_from(a), AUTH_TOKEN_ACCESS, NOW_MS + 60000,
                                       AUTH_TOKEN_MAY_BE_EXPIRED, &out),
                     ERR_OK);
    auth_keys_destroy(&keys);
}

static void test_huge(void **state)
{
    struct auth_keys *keys = keys_of(NULL);
    size_t n = 1 << 20;
    char *huge = malloc(n + 1);
    memset(huge, 'A', n);
    huge[n] = 0;
    huge[100] = huge[200] = '.';
    assert_int_equal(check(keys, huge, 0), ERR_UNAUTHENTICATED);
    huge[1000] = 0;
    assert_int_equal(check(keys, huge, 0), ERR_UNAUTHENTICATED);
    free(huge);
    /* Rightly signed, and longer than any of ours. */
    struct auth_claims c = claims_of(AUTH_TOKEN_ACCESS);
    char *good = auth_token_sign(keys, arena, &c);
    char pad[3000];
    memset(pad, ' ', sizeof(pad));
    pad[sizeof(pad) - 1] = 0;
    char *claims = replaced(part_of(good, 1), "{", arena_printf(arena, "{%s", pad));
    assert_int_equal(check(keys, hs256(part_of(good, 0), claims, SECRET, 32), 0),
                     ERR_UNAUTHENTICATED);
    auth_keys_destroy(&keys);
}

static void test_bad_keys(void **state)
{
    struct auth_keys *keys;
    EVP_PKEY *small = EVP_RSA_gen(1024), *curve = EVP_EC_gen("P-384");
    EVP_PKEY *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), *rsa = EVP_RSA_gen(2048);
    const char *bad[] = {pem_of(small, true), pem_of(curve, true), pem_of(ed, true),
                         pem_of(rsa, false),  "not a key",         ""};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(auth_keys_create(&keys, STR(SECRET), bad[i]), ERR_INVALID_ARGUMENT);
        assert_null(keys);
    }
    assert_int_equal(auth_keys_create(&keys, STR("too short"), NULL), ERR_INVALID_ARGUMENT);
    assert_int_equal(auth_keys_create(&keys, STR_NULL, NULL), ERR_INVALID_ARGUMENT);
    EVP_PKEY_free(small);
    EVP_PKEY_free(curve);
    EVP_PKEY_free(ed);
    EVP_PKEY_free(rsa);
}

static void test_csrf_and_successor(void **state)
{
    struct auth_keys *keys = keys_of(NULL);
    char a[AUTH_CSRF_SIZE], b[AUTH_CSRF_SIZE];
    char next[AUTH_TOKEN_ID_CHARS + 1], again[AUTH_TOKEN_ID_CHARS + 1];
    auth_csrf_make(keys, "01HZXYZXYZXYZXYZXYZXYZXYZX", a);
    auth_csrf_make(keys, "01HZXYZXYZXYZXYZXYZXYZXYZY", b);
    assert_string_not_equal(a, b);
    assert_true(auth_csrf_matches(keys, "01HZXYZXYZXYZXYZXYZXYZXYZX", a));
    assert_false(auth_csrf_matches(keys, "01HZXYZXYZXYZXYZXYZXYZXYZX", b));
    assert_false(auth_csrf_matches(keys, "01HZXYZXYZXYZXYZXYZXYZXYZX", ""));
    auth_token_next_id(keys, "x", next);
    auth_token_next_id(keys, "x", again);
    assert_string_equal(next, again);
    assert_int_equal(strlen(next), AUTH_TOKEN_ID_CHARS);
    auth_token_next_id(keys, next, again);
    assert_string_not_equal(next, again);
    auth_keys_destroy(&keys);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_round_trip),      TEST(test_wrong_in_one_thing),
        TEST(test_wrong_signature), TEST(test_algorithm_confusion),
        TEST(test_types_and_times), TEST(test_huge),
        TEST(test_bad_keys),        TEST(test_csrf_and_successor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
