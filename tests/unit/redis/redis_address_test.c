/* The addresses of Redis: what is understood, what is refused, and where a key belongs. */
#include "test.h"

#include "redis/redis_internal.h"

struct fixture {
    struct arena *arena;
    struct redis_address a;
    struct strbuf problem;
};

static int setup(void **state)
{
    static struct fixture f;
    f.arena = arena_create();
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    arena_destroy(&f->arena);
    strbuf_deinit(&f->problem);
    return 0;
}

static bool parse(struct fixture *f, const char *url)
{
    strbuf_clear(&f->problem);
    return redis_address_parse(str_from(url), f->arena, &f->a, &f->problem);
}

static void test_plain(void **state)
{
    struct fixture *f = *state;
    assert_true(parse(f, "redis://cache.example"));
    assert_int_equal(f->a.kind, REDIS_KIND_PLAIN);
    assert_false(f->a.is_tls);
    assert_int_equal(f->a.host_count, 1);
    assert_string_equal(f->a.hosts[0].name, "cache.example");
    assert_int_equal(f->a.hosts[0].port, 6379);
    assert_null(f->a.user);
    assert_null(f->a.password);
    assert_true(parse(f, "rediss://ann:p%40ss%3A%2F@[::1]:7000/3?ca=/etc/ca.pem&cert=/c&key=/k"));
    assert_true(f->a.is_tls);
    assert_string_equal(f->a.user, "ann");
    assert_string_equal(f->a.password, "p@ss:/");
    assert_string_equal(f->a.hosts[0].name, "::1");
    assert_int_equal(f->a.hosts[0].port, 7000);
    assert_int_equal(f->a.database, 3);
    assert_string_equal(f->a.ca, "/etc/ca.pem");
    assert_string_equal(f->a.cert, "/c");
    assert_string_equal(f->a.key, "/k");
    assert_true(parse(f, "redis://:secret@h/"));
    assert_null(f->a.user);
    assert_string_equal(f->a.password, "secret");
}

static void test_several_hosts(void **state)
{
    struct fixture *f = *state;
    assert_true(parse(f, "redis+sentinel://:pw@s1,s2:26380/mymaster/2?sentinel_password=x"));
    assert_int_equal(f->a.kind, REDIS_KIND_SENTINEL);
    assert_int_equal(f->a.host_count, 2);
    assert_int_equal(f->a.hosts[0].port, 26379);
    assert_int_equal(f->a.hosts[1].port, 26380);
    assert_string_equal(f->a.master, "mymaster");
    assert_int_equal(f->a.database, 2);
    assert_string_equal(f->a.sentinel_password, "x");
    assert_true(parse(f, "redis+sentinel://s1/m"));
    assert_string_equal(f->a.master, "m");
    assert_int_equal(f->a.database, 0);
    assert_true(parse(f, "rediss+cluster://a:1,b:2,[fd00::1]:3"));
    assert_int_equal(f->a.kind, REDIS_KIND_CLUSTER);
    assert_true(f->a.is_tls);
    assert_int_equal(f->a.host_count, 3);
    assert_string_equal(f->a.hosts[2].name, "fd00::1");
    assert_int_equal(f->a.hosts[2].port, 3);
}

static void test_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "redis",
        "http://h",
        "redis://",
        "redis://h:0",
        "redis://h:65536",
        "redis://h:x",
        "redis://:1",
        "redis://[::1",
        "redis://[::1]x",
        "redis://h/x",
        "redis://h/-1",
        "redis://h/1024",
        "redis://ann@h",
        "redis://a:%zz@h",
        "redis://a:%00@h",
        "redis://a:%4@h",
        "redis://h,",
        "redis://a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q",
        "redis+sentinel://h",
        "redis+sentinel://h/",
        "redis+cluster://h/1",
        "redis://h?unknown=1",
        "redis://h?ca",
        "rediss://h?cert=/c",
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        if (parse(f, wrong[i]))
            fail_msg("%s was understood", wrong[i]);
    }
    assert_false(redis_is_address(STR("redis://u:secret@h:x"), &f->problem));
    assert_null(strstr(f->problem.p, "secret"));
}

static void test_slots(void **state)
{
    /* From the cluster's specification, and asked of a server (CLUSTER KEYSLOT). */
    assert_int_equal(redis_slot(STR("123456789")), 0x31c3 % 16384);
    assert_int_equal(redis_slot(STR("foo")), 12182);
    assert_int_equal(redis_slot(STR("{foo}bar")), 12182);
    assert_int_equal(redis_slot(STR("x{foo}{bar}")), 12182);
    assert_int_equal(redis_slot(STR("foo{}{bar}")), redis_slot(STR("foo{}{bar}")));
    assert_int_not_equal(redis_slot(STR("foo{}{bar}")), redis_slot(STR("bar")));
    assert_int_equal(redis_slot(STR("")), 0);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_plain),
        T(test_several_hosts),
        T(test_refused),
        T(test_slots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
