/* store_migrate_suite: the schema's history: applied once, wholly, in order, and never trusted
 * after it was edited. */
#include "store_suite.h"

#include <string.h>

static const struct store_migration history[] = {
    {"auth", 1, "CREATE TABLE a1 (id INTEGER PRIMARY KEY); INSERT INTO a1 VALUES (1);"},
    {"user", 1, "CREATE TABLE u1 (id INTEGER PRIMARY KEY)"},
    {"auth", 2,
     "CREATE TABLE a2 (id INTEGER PRIMARY KEY);\n-- a comment; with a semicolon\n"
     "INSERT INTO a1 VALUES (2);"},
};

static size_t pending(struct fixture *f, const struct store_migration *list, size_t count)
{
    size_t n = 999;
    assert_int_equal(store_migrations_pending(f->store, list, count, &n), ERR_OK);
    return n;
}

static void test_pending_then_applied_once(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(pending(f, history, 3), 3);
    assert_int_equal(store_migrate(f->store, history, 2), ERR_OK);
    assert_int_equal(pending(f, history, 3), 1);
    assert_int_equal(store_migrate(f->store, history, 3), ERR_OK);
    assert_int_equal(pending(f, history, 3), 0);
    assert_int_equal(store_migrate(f->store, history, 3), ERR_OK); /* nothing runs twice */
    fixture_reopen(f, NULL);
    assert_int_equal(store_migrate(f->store, history, 3), ERR_OK);
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM a1"), 2);
    assert_int_equal(store_migrate(f->store, NULL, 0), ERR_OK);
}

static void test_a_failing_one_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    static const struct store_migration broken[] = {
        {"auth", 1, "CREATE TABLE a1 (id INTEGER PRIMARY KEY)"},
        {"auth", 2,
         "CREATE TABLE a2 (id INTEGER); INSERT INTO a1 VALUES (5);"
         " INSERT INTO missing VALUES (1); CREATE TABLE a3 (id INTEGER)"},
        {"auth", 3, "CREATE TABLE a4 (id INTEGER)"},
    };
    static const struct store_migration mended[] = {
        {"auth", 1, "CREATE TABLE a1 (id INTEGER PRIMARY KEY)"},
        {"auth", 2, "CREATE TABLE a2 (id INTEGER)"},
    };
    assert_int_not_equal(store_migrate(f->store, broken, 3), ERR_OK);
    assert_int_equal(pending(f, broken, 3), 2);
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM a1"), 0);
    if (strcmp(fixture_driver, "mysql") != 0) /* which commits a table as it makes it */
        assert_int_not_equal(fixture_exec(f->store, "INSERT INTO a2 VALUES (1)"), ERR_OK);
    assert_int_not_equal(fixture_exec(f->store, "INSERT INTO a4 VALUES (1)"), ERR_OK);
    assert_int_equal(store_migrate(f->store, mended, 2), ERR_OK); /* it never ran: may be mended */
    assert_int_equal(fixture_exec(f->store, "INSERT INTO a2 VALUES (1)"), ERR_OK);
}

static void test_gaps_and_disorder_are_refused(void **state)
{
    struct fixture *f = *state;
    static const struct store_migration lists[][2] = {
        {{"auth", 1, "CREATE TABLE x (id INTEGER)"}, {"auth", 3, "CREATE TABLE y (id INTEGER)"}},
        {{"auth", 2, "CREATE TABLE x (id INTEGER)"}, {"auth", 1, "CREATE TABLE y (id INTEGER)"}},
        {{"auth", 1, "CREATE TABLE x (id INTEGER)"}, {"auth", 1, "CREATE TABLE y (id INTEGER)"}},
        {{"user", 1, "CREATE TABLE x (id INTEGER)"}, {"auth", 2, "CREATE TABLE y (id INTEGER)"}},
        {{"auth", 0, "CREATE TABLE x (id INTEGER)"}, {"auth", 1, "CREATE TABLE y (id INTEGER)"}},
    };
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        size_t n;
        assert_int_equal(store_migrate(f->store, lists[i], 2), ERR_INVALID_ARGUMENT);
        assert_int_equal(store_migrations_pending(f->store, lists[i], 2, &n), ERR_INVALID_ARGUMENT);
    }
    assert_int_not_equal(fixture_exec(f->store, "INSERT INTO x VALUES (1)"), ERR_OK);
}

static void test_a_changed_text_is_found(void **state)
{
    struct fixture *f = *state;
    static const struct store_migration changed[] = {
        {"auth", 1, "CREATE TABLE a1 (id INTEGER PRIMARY KEY); INSERT INTO a1 VALUES (3);"},
        {"user", 1, "CREATE TABLE u1 (id INTEGER PRIMARY KEY)"},
        {"auth", 2, "CREATE TABLE never (id INTEGER)"},
    };
    size_t n;
    assert_int_equal(store_migrate(f->store, history, 2), ERR_OK);
    assert_int_equal(store_migrate(f->store, changed, 3), ERR_FAILED_PRECONDITION);
    assert_int_equal(store_migrations_pending(f->store, changed, 3, &n), ERR_FAILED_PRECONDITION);
    assert_int_not_equal(fixture_exec(f->store, "INSERT INTO never VALUES (1)"), ERR_OK);
}

static void test_an_older_program_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(store_migrate(f->store, history, 3), ERR_OK);
    assert_int_equal(store_migrate(f->store, history, 2), ERR_FAILED_PRECONDITION);
    /* A hole in the history is nobody's doing but a hand's. */
    assert_int_equal(fixture_exec(f->store, "DELETE FROM store_migrations WHERE room = 'auth'"
                                            " AND version = 1"),
                     ERR_OK);
    assert_int_equal(store_migrate(f->store, history, 3), ERR_FAILED_PRECONDITION);
}

static void test_a_commit_inside_is_refused(void **state)
{
    struct fixture *f = *state;
    static const struct store_migration sly[] = {
        {"auth", 1, "CREATE TABLE sly (id INTEGER); COMMIT; CREATE TABLE slyer (id INTEGER)"},
    };
    assert_int_not_equal(store_migrate(f->store, sly, 1), ERR_OK);
    assert_int_equal(pending(f, sly, 1), 1);
    assert_int_not_equal(fixture_exec(f->store, "INSERT INTO sly VALUES (1)"), ERR_OK);
}

int store_migrate_suite(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_pending_then_applied_once),     T(test_a_failing_one_leaves_nothing),
        T(test_gaps_and_disorder_are_refused), T(test_a_changed_text_is_found),
        T(test_an_older_program_is_refused),   T(test_a_commit_inside_is_refused),
    };
    return cmocka_run_group_tests_name("store migrations", tests, NULL, NULL);
}
