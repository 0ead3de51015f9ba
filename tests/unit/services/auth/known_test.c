/* Sign-ins that are remembered beside the store: good while it is away, and over when they are. */
#include "../world.h"

#include <stdatomic.h>
#include <stdio.h>

#include "core/clock.h"
#include "core/id.h"
#include "services/common/session_news.h"

static struct world *w;
static atomic_bool is_away, is_cache_away, is_deaf;

enum err __real_store_read(struct store *store, store_fn *fn, void *arg);
enum err __wrap_store_read(struct store *store, store_fn *fn, void *arg);

enum err __wrap_store_read(struct store *store, store_fn *fn, void *arg)
{
    return atomic_load(&is_away) ? ERR_UNAVAILABLE : __real_store_read(store, fn, arg);
}

/* What is noted in the cache does not get there. */
enum err __real_cache_set(struct cache *cache, struct str key, struct str value, int64_t ttl_ms);
enum err __wrap_cache_set(struct cache *cache, struct str key, struct str value, int64_t ttl_ms);

enum err __wrap_cache_set(struct cache *cache, struct str key, struct str value, int64_t ttl_ms)
{
    return atomic_load(&is_cache_away) ? ERR_UNAVAILABLE
                                       : __real_cache_set(cache, key, value, ttl_ms);
}

/* Events of other processes do not get here. */
bool __real_session_news_read(const struct bus_event *event, struct session_news *out);
bool __wrap_session_news_read(const struct bus_event *event, struct session_news *out);

bool __wrap_session_news_read(const struct bus_event *event, struct session_news *out)
{
    return !atomic_load(&is_deaf) && __real_session_news_read(event, out);
}

static int setup(void **state)
{
    atomic_store(&is_away, false);
    atomic_store(&is_cache_away, false);
    atomic_store(&is_deaf, false);
    w = world_open(&(struct world_options){.is_remembering = true});
    return 0;
}

static int setup_forgetting(void **state)
{
    atomic_store(&is_away, false);
    w = world_open(&(struct world_options){0});
    return 0;
}

static int teardown(void **state)
{
    atomic_store(&is_away, false);
    world_close(&w);
    return 0;
}

static const Auth__LoginReply *login(const char *name)
{
    char password[64];
    Auth__LoginRequest in = AUTH__LOGIN_REQUEST__INIT;
    snprintf(password, sizeof(password), "password of %s", name);
    in.login = (char *)name;
    in.password = password;
    return ask(w, w->auth, "Login", &in, &nobody);
}

static const Auth__ValidateTokenReply *validate(const Auth__LoginReply *signed_in)
{
    Auth__ValidateTokenRequest in = AUTH__VALIDATE_TOKEN_REQUEST__INIT;
    in.token = signed_in->access_token;
    return ask(w, w->auth, "ValidateToken", &in, NULL);
}

static void sign_out(const Auth__LoginReply *signed_in)
{
    Auth__RevokeTokenRequest in = AUTH__REVOKE_TOKEN_REQUEST__INIT;
    in.token = signed_in->access_token;
    struct identity who = person(signed_in->user->id, ROLE_USER);
    assert_non_null(ask(w, w->auth, "RevokeToken", &in, &who));
}

static bool is_noted_as_over(void *arg)
{
    char key[64];
    struct str value;
    struct arena *arena = arena_create();
    snprintf(key, sizeof(key), "auth-over:%s", (const char *)arg);
    bool is = cache_get(w->cache, str_from(key), arena, &value) == ERR_OK && value.n == 1;
    arena_destroy(&arena);
    return is;
}

static void test_a_sign_in_outlives_the_store(void **state)
{
    world_register(w, "alice");
    const Auth__LoginReply *signed_in = login("alice");
    const Auth__ValidateTokenReply *before = validate(signed_in), *meanwhile;
    assert_non_null(before);
    atomic_store(&is_away, true);
    meanwhile = validate(signed_in);
    assert_non_null(meanwhile);
    assert_string_equal(meanwhile->user_id, before->user_id);
    assert_string_equal(meanwhile->session_id, before->session_id);
    assert_string_equal(meanwhile->name, before->name);
    assert_int_equal(meanwhile->role, before->role);
    assert_int_equal(meanwhile->expires_at_ms, before->expires_at_ms);
}

static void test_what_nobody_asked_for_is_not_known(void **state)
{
    world_register(w, "alice");
    const Auth__LoginReply *signed_in = login("alice");
    atomic_store(&is_away, true);
    assert_null(validate(signed_in));
    assert_int_equal(answer.err, ERR_UNAVAILABLE); /* not: sign in anew */
}

static void test_the_end_is_known_too(void **state)
{
    world_register(w, "alice");
    const Auth__LoginReply *signed_in = login("alice"), *other = login("alice");
    assert_non_null(validate(signed_in));
    assert_non_null(validate(other));
    sign_out(signed_in);
    eventually(is_noted_as_over, signed_in->session_id);
    atomic_store(&is_away, true);
    assert_null(validate(signed_in));
    assert_non_null(validate(other));
    atomic_store(&is_away, false);
    assert_null(validate(signed_in));
    assert_int_equal(answer.err, ERR_UNAUTHENTICATED);
}

/* The cache was away just when it ended: as soon as it is back it is told, and until then this
 * process knows. */
static void test_an_end_while_the_cache_is_away(void **state)
{
    world_register(w, "alice");
    const Auth__LoginReply *signed_in = login("alice"), *other = login("alice");
    assert_non_null(validate(signed_in));
    atomic_store(&is_deaf, true); /* the event would come whenever it likes */
    atomic_store(&is_cache_away, true);
    sign_out(signed_in);
    assert_null(validate(signed_in)); /* the store says so */
    atomic_store(&is_away, true);
    assert_null(validate(signed_in));
    atomic_store(&is_away, false);
    atomic_store(&is_cache_away, false);
    assert_false(is_noted_as_over(signed_in->session_id));
    assert_non_null(validate(other)); /* noted as good, and so is what waits */
    assert_true(is_noted_as_over(signed_in->session_id));
}

/* Nobody heard that it ended, but the store says so. */
static void test_an_end_that_nobody_told(void **state)
{
    world_register(w, "alice");
    const Auth__LoginReply *signed_in = login("alice");
    assert_non_null(validate(signed_in));
    atomic_store(&is_deaf, true);
    sign_out(signed_in);
    assert_null(validate(signed_in));
    assert_true(is_noted_as_over(signed_in->session_id));
    atomic_store(&is_away, true);
    assert_null(validate(signed_in));
    /* Told again, and a note of before its end that comes late: it stays over. */
    char key[64];
    snprintf(key, sizeof(key), "auth-session:%s", signed_in->session_id);
    struct arena *arena = arena_create();
    struct str value;
    assert_int_equal(cache_get(w->cache, str_from(key), arena, &value), ERR_OK);
    assert_int_equal(cache_set(w->cache, str_from(key), value, 60000), ERR_OK);
    arena_destroy(&arena);
    assert_null(validate(signed_in));
}

static void test_alone_nothing_is_remembered(void **state)
{
    world_register(w, "alice");
    const Auth__LoginReply *signed_in = login("alice");
    assert_non_null(validate(signed_in));
    atomic_store(&is_away, true);
    assert_null(validate(signed_in));
    assert_int_equal(answer.err, ERR_UNAVAILABLE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_sign_in_outlives_the_store),
        TEST(test_what_nobody_asked_for_is_not_known),
        TEST(test_the_end_is_known_too),
        TEST(test_an_end_while_the_cache_is_away),
        TEST(test_an_end_that_nobody_told),
        cmocka_unit_test_setup_teardown(test_alone_nothing_is_remembered, setup_forgetting,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
