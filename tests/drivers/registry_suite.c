/* registry_suite: what every registry promises. Run as `registry_suite DRIVER`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/id.h"
#include "core/log.h"
#include "registry/registry.h"

static const char *driver = "static";

/* What the driver needs besides; each test has keys of its own. */
static struct registry_options options(void)
{
    static char prefix[40], urls[256];
    static const char *endpoints[3], *const spaces[] = {"rooms"};
    const char *one = getenv("PARLANCE_TEST_ETCD_URL"), *all = getenv("PARLANCE_TEST_ETCD_URLS");
    size_t count = 0;
    snprintf(urls, sizeof(urls), "%s", all ? all : one ? one : "");
    for (char *at = urls; *at && count < ARRAY_LEN(endpoints); at += strspn(at, ",")) {
        endpoints[count++] = at;
        at += strcspn(at, ",");
        if (*at)
            *at++ = '\0';
    }
    snprintf(prefix, sizeof(prefix), "/t%08x", id_random_u32());
    return (struct registry_options){.driver = driver,
                                     .endpoints = endpoints,
                                     .endpoint_count = count,
                                     .prefix = prefix,
                                     .spaces = spaces,
                                     .space_count = 1};
}

static const struct registry_instance fixed[] = {
    {"User", "far-2", "10.0.0.2", 9001, NULL},
    {"User", "far-1", "users.example", 9000, "{\"load\":3}"},
    {"Media", "far-1", "2001:db8::1", 9000, NULL},
};

struct fixture {
    struct registry *registry;
    struct arena *arena;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->arena = arena_create();
    struct registry_options opt = options();
    opt.fixed = fixed;
    opt.fixed_count = 3;
    assert_int_equal(registry_open(&f->registry, &opt), ERR_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    registry_close(&f->registry);
    arena_destroy(&f->arena);
    free(f);
    return 0;
}

/* The ids of a service, as "a b c". */
static const char *ids(struct fixture *f, const char *service)
{
    struct registry_instance *list;
    size_t count = registry_find(f->registry, service, f->arena, &list);
    const char *text = "";
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(list[i].service, service);
        text = arena_printf(f->arena, "%s%s%s", text, i ? " " : "", list[i].id);
    }
    return text;
}

static enum err announce(struct fixture *f, const char *service, const char *id)
{
    const struct registry_instance here = {.service = service, .id = id, .address = ""};
    return registry_announce(f->registry, &here);
}

static void test_finds_what_is_alive(void **state)
{
    struct fixture *f = *state;
    struct registry_instance *list;
    assert_string_equal(ids(f, "User"), "far-1 far-2");
    assert_string_equal(ids(f, "Media"), "far-1");
    assert_string_equal(ids(f, "Nobody"), "");
    assert_int_equal(registry_find(f->registry, "User", f->arena, &list), 2);
    assert_string_equal(list[0].address, "users.example");
    assert_int_equal(list[1].port, 9001);
}

static void test_announce_and_withdraw(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(announce(f, "User", "here"), ERR_OK);
    assert_int_equal(announce(f, "Auth", "here"), ERR_OK);
    assert_int_equal(announce(f, "User", "here"), ERR_ALREADY_EXISTS);
    assert_int_equal(announce(f, "User", "far-1"), ERR_ALREADY_EXISTS);
    assert_string_equal(ids(f, "User"), "far-1 far-2 here");
    assert_int_equal(registry_withdraw(f->registry, "User", "here"), ERR_OK);
    assert_int_equal(registry_withdraw(f->registry, "User", "here"), ERR_NOT_FOUND);
    assert_int_equal(registry_withdraw(f->registry, "User", "never"), ERR_NOT_FOUND);
    assert_string_equal(ids(f, "User"), "far-1 far-2");
    assert_string_equal(ids(f, "Auth"), "here");
    /* What others announced is theirs to withdraw. */
    assert_int_equal(registry_withdraw(f->registry, "User", "far-1"), ERR_NOT_FOUND);
    assert_string_equal(ids(f, "User"), "far-1 far-2");
}

static void test_names_are_checked(void **state)
{
    struct fixture *f = *state;
    char longest[66];
    memset(longest, 'x', sizeof(longest));
    longest[65] = '\0';
    assert_int_equal(announce(f, "User", longest), ERR_INVALID_ARGUMENT);
    longest[64] = '\0';
    assert_int_equal(announce(f, "User", longest), ERR_OK);
    assert_int_equal(announce(f, "", "x"), ERR_INVALID_ARGUMENT);
    assert_int_equal(announce(f, "User", ""), ERR_INVALID_ARGUMENT);
    assert_int_equal(announce(f, "Us/er", "x"), ERR_INVALID_ARGUMENT);
    assert_int_equal(announce(f, "User", "x\n"), ERR_INVALID_ARGUMENT);
    assert_int_equal(announce(f, NULL, "x"), ERR_INVALID_ARGUMENT);
    const struct registry_instance bad[] = {
        {"User", "x", NULL, 0, NULL},   {"User", "x", "host", 0, NULL}, {"User", "x", "", 80, NULL},
        {"User", "x", "a b", 1, NULL},  {"User", "x", "a/b", 1, NULL},  {"User", "x", "", 0, "[]"},
        {"User", "x", "", 0, "{\"a\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct registry *none = NULL;
        struct registry_options opt = options();
        opt.fixed = &bad[i];
        opt.fixed_count = 1;
        assert_int_equal(registry_announce(f->registry, &bad[i]), ERR_INVALID_ARGUMENT);
        assert_int_equal(registry_open(&none, &opt), ERR_INVALID_ARGUMENT);
        assert_null(none);
    }
}

struct heard {
    int times;
    size_t count;
    char first[65];
};

static void on_change(void *arg, const struct registry_instance *list, size_t count)
{
    struct heard *heard = arg;
    heard->times++;
    heard->count = count;
    snprintf(heard->first, sizeof(heard->first), "%s", count ? list[0].id : "");
}

static void test_watchers_hear_whole_lists(void **state)
{
    struct fixture *f = *state;
    struct heard users = {0}, auths = {0};
    registry_watch(f->registry, "User", on_change, &users);
    registry_watch(f->registry, "Auth", on_change, &auths);
    assert_int_equal(users.times, 1);
    assert_int_equal(users.count, 2);
    assert_int_equal(auths.times, 1);
    assert_int_equal(auths.count, 0);
    assert_int_equal(announce(f, "User", "a"), ERR_OK);
    assert_int_equal(announce(f, "User", "a"), ERR_ALREADY_EXISTS);
    assert_int_equal(users.times, 2);
    assert_int_equal(users.count, 3);
    assert_string_equal(users.first, "a");
    assert_int_equal(auths.times, 1);
    registry_withdraw(f->registry, "User", "a");
    assert_int_equal(users.times, 3);
    assert_string_equal(users.first, "far-1");
    registry_unwatch(f->registry, on_change, &users);
    assert_int_equal(announce(f, "User", "b"), ERR_OK);
    assert_int_equal(announce(f, "Auth", "b"), ERR_OK);
    assert_int_equal(users.times, 3);
    assert_int_equal(auths.times, 2);
    /* closing with a watch left is fine */
}

static void test_metadata(void **state)
{
    struct fixture *f = *state;
    struct registry_instance *list;
    struct heard users = {0};
    registry_find(f->registry, "User", f->arena, &list);
    assert_string_equal(list[0].metadata, "{\"load\":3}");
    assert_string_equal(list[1].metadata, "{}");
    assert_int_equal(announce(f, "User", "here"), ERR_OK);
    registry_watch(f->registry, "User", on_change, &users);
    assert_int_equal(registry_update(f->registry, "User", "here", "{\"load\":7}"), ERR_OK);
    assert_int_equal(registry_update(f->registry, "User", "here", "{\"load\":7}"), ERR_OK);
    assert_int_equal(users.times, 2); /* that nothing changed is no news */
    assert_int_equal(registry_find(f->registry, "User", f->arena, &list), 3);
    assert_string_equal(list[2].metadata, "{\"load\":7}");
    assert_int_equal(registry_update(f->registry, "User", "far-1", "{}"), ERR_NOT_FOUND);
    assert_int_equal(registry_update(f->registry, "User", "here", "7"), ERR_INVALID_ARGUMENT);
    assert_int_equal(registry_update(f->registry, "User", "here", NULL), ERR_INVALID_ARGUMENT);
    char *big = arena_alloc(f->arena, REGISTRY_VALUE_MAX_BYTES + 16);
    snprintf(big, REGISTRY_VALUE_MAX_BYTES + 16, "{\"a\":\"%0*d\"}", REGISTRY_VALUE_MAX_BYTES, 0);
    assert_int_equal(registry_update(f->registry, "User", "here", big), ERR_INVALID_ARGUMENT);
}

static void test_aliases(void **state)
{
    struct registry *r;
    struct registry_options opt = options();
    const struct registry_alias aliases[] = {{"Message", "the-messages"},
                                             {"Group", "the-messages"}};
    const struct registry_instance one = {"the-messages", "x", "10.1.1.1", 5, NULL};
    struct heard heard = {0};
    struct registry_instance *list;
    struct arena *arena = arena_create();
    opt.aliases = aliases;
    opt.alias_count = 2;
    assert_int_equal(registry_open(&r, &opt), ERR_OK);
    registry_watch(r, "Group", on_change, &heard);
    assert_int_equal(registry_announce(r, &one), ERR_OK);
    assert_int_equal(heard.times, 2);
    assert_int_equal(registry_find(r, "Message", arena, &list), 1);
    assert_string_equal(list[0].service, "Message");
    assert_string_equal(list[0].address, "10.1.1.1");
    assert_int_equal(registry_find(r, "Contact", arena, &list), 0);
    /* What runs here is listed once, as being here. */
    const struct registry_instance here = {"Message", "x", "", 0, NULL};
    assert_int_equal(registry_announce(r, &here), ERR_OK);
    assert_int_equal(registry_find(r, "Message", arena, &list), 1);
    assert_int_equal(list[0].port, 0);
    assert_int_equal(registry_find(r, "Group", arena, &list), 1);
    assert_int_equal(list[0].port, 5);
    assert_int_equal(registry_update(r, "Message", "x", "{\"load\":2}"), ERR_OK);
    assert_int_equal(registry_find(r, "the-messages", arena, &list), 1);
    assert_string_equal(list[0].metadata, "{\"load\":2}");
    assert_int_equal(heard.times, 3);
    registry_leave(r);
    assert_int_equal(heard.times, 4);
    assert_int_equal(heard.count, 0);
    assert_int_equal(registry_announce(r, &one), ERR_FAILED_PRECONDITION);
    registry_close(&r);
    arena_destroy(&arena);
}

struct record_heard {
    pthread_mutex_t lock;
    int puts, drops;
    char last[64];
};

static void on_record(void *arg, const char *name, const char *value)
{
    struct record_heard *heard = arg;
    pthread_mutex_lock(&heard->lock);
    heard->puts += value != NULL;
    heard->drops += value == NULL;
    snprintf(heard->last, sizeof(heard->last), "%s=%s", name, value ? value : "-");
    pthread_mutex_unlock(&heard->lock);
}

static void test_records(void **state)
{
    struct fixture *f = *state;
    struct registry *r = f->registry;
    struct record_heard heard = {.lock = PTHREAD_MUTEX_INITIALIZER};
    assert_int_equal(registry_record_put(r, "rooms", "a", "one"), ERR_OK);
    registry_record_watch(r, "rooms", on_record, &heard);
    assert_string_equal(heard.last, "a=one");
    assert_int_equal(registry_record_put(r, "rooms", "a", "two"), ERR_OK);
    assert_string_equal(heard.last, "a=two");
    assert_int_equal(registry_record_put(r, "others", "b", "three"), ERR_OK);
    assert_int_equal(heard.puts, 2);
    assert_string_equal(registry_record_get(r, "rooms", "a", f->arena), "two");
    assert_null(registry_record_get(r, "rooms", "b", f->arena));
    assert_int_equal(registry_record_drop(r, "rooms", "a"), ERR_OK);
    assert_string_equal(heard.last, "a=-");
    assert_int_equal(registry_record_drop(r, "rooms", "a"), ERR_NOT_FOUND);
    assert_null(registry_record_get(r, "rooms", "a", f->arena));
    assert_int_equal(registry_record_put(r, "rooms", "a/b", "x"), ERR_INVALID_ARGUMENT);
    assert_int_equal(registry_record_put(r, "", "a", "x"), ERR_INVALID_ARGUMENT);
    assert_int_equal(registry_record_put(r, "rooms", "a", "\xff"), ERR_INVALID_ARGUMENT);
    assert_int_equal(registry_record_put(r, "rooms", "a", NULL), ERR_INVALID_ARGUMENT);
    registry_record_unwatch(r, on_record, &heard);
    assert_int_equal(registry_record_put(r, "rooms", "c", "x"), ERR_OK);
    assert_int_equal(heard.puts, 2);
}

static void test_lasting_records(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(registry_record_write(f->registry, "rooms", "kept", "x"), ERR_OK);
    for (int i = 0; i < 2000 && !registry_record_get(f->registry, "rooms", "kept", f->arena); i++)
        usleep(10000);
    assert_string_equal(registry_record_get(f->registry, "rooms", "kept", f->arena), "x");
    assert_int_equal(registry_record_drop(f->registry, "rooms", "kept"), ERR_NOT_FOUND);
    assert_int_equal(registry_record_write(f->registry, "rooms", "kept", NULL), ERR_OK);
    for (int i = 0; i < 200 && registry_record_get(f->registry, "rooms", "kept", f->arena); i++)
        usleep(10000);
    assert_null(registry_record_get(f->registry, "rooms", "kept", f->arena));
}

static void *come_and_go(void *arg)
{
    struct fixture *f = arg;
    char id[32];
    for (int i = 0; i < 200; i++) {
        snprintf(id, sizeof(id), "%lx-%d", (unsigned long)pthread_self(), i);
        const struct registry_instance here = {"User", id, "", 0, NULL};
        if (registry_announce(f->registry, &here) || registry_withdraw(f->registry, "User", id))
            return f;
    }
    return NULL;
}

static void test_threads_agree(void **state)
{
    struct fixture *f = *state;
    struct heard heard = {0};
    pthread_t threads[4];
    registry_watch(f->registry, "User", on_change, &heard);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_create(&threads[i], NULL, come_and_go, f);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(heard.times, 1 + 4 * 200 * 2);
    assert_int_equal(heard.count, 2);
}

static void test_what_cannot_be_opened(void **state)
{
    struct registry *none = NULL;
    assert_int_equal(registry_open(&none, &(struct registry_options){.driver = "slate"}),
                     ERR_INVALID_ARGUMENT);
    const struct registry_instance twice[] = {fixed[0], fixed[0]};
    struct registry_options opt = options();
    opt.fixed = twice;
    opt.fixed_count = 2;
    assert_int_equal(registry_open(&none, &opt), ERR_ALREADY_EXISTS);
    assert_null(none);
    registry_close(&none);
}

int main(int argc, char **argv)
{
    driver = argc > 1 ? argv[1] : driver;
    log_set_level(getenv("TEST_LOG") ? LOG_DEBUG : LOG_OFF);
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_finds_what_is_alive),
        T(test_announce_and_withdraw),
        T(test_names_are_checked),
        T(test_watchers_hear_whole_lists),
        T(test_metadata),
        cmocka_unit_test(test_aliases),
        T(test_records),
        T(test_lasting_records),
        T(test_threads_agree),
        cmocka_unit_test(test_what_cannot_be_opened),
    };
    return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
