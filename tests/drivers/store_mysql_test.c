/*
 * store_mysql_test: what only the MySQL driver can get wrong: migrations that commit by themselves
 * and are left in the middle, text that must compare by its bytes, a server that would lose what it
 * acknowledged, conflicts of another key than was meant.
 */
#include "store_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "store_server.h"

static void expect(struct fixture *f, const char *sql, enum err err)
{
    assert_int_equal(fixture_exec(f->store, sql), err);
}

/* ---- what compares ---- */

static void test_text_compares_by_its_bytes(void **state)
{
    struct fixture *f = *state;
    expect(f, "CREATE TABLE k (name TEXT PRIMARY KEY, note TEXT NOT NULL)", ERR_OK);
    static const char *const names[] = {"a",  "A", "a ", "\xc3\xa4",
                                        "ae", "",  " ",  "\xf0\x9f\x98\x80"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char sql[128];
        snprintf(sql, sizeof(sql), "INSERT INTO k VALUES ('%s', '%s')", names[i], names[i]);
        expect(f, sql, ERR_OK);
        expect(f, sql, ERR_ALREADY_EXISTS);
        snprintf(sql, sizeof(sql), "SELECT COUNT(*) FROM k WHERE name = '%s' AND note = name",
                 names[i]);
        assert_int_equal(fixture_int(f->store, sql), 1);
    }
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM k WHERE name LIKE 'a%'"), 3);
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM k WHERE 'A' < name"), 5);
}

/* ---- conflicts ---- */

static void test_only_the_conflict_that_was_meant_is_passed_over(void **state)
{
    struct fixture *f = *state;
    expect(f,
           "CREATE TABLE m (id INTEGER PRIMARY KEY, a INTEGER NOT NULL, b TEXT NOT NULL,"
           " n INTEGER NOT NULL DEFAULT 0, UNIQUE (a, b))",
           ERR_OK);
    expect(f, "INSERT INTO m (id, a, b) VALUES (1, 1, 'x')", ERR_OK);
    expect(f, "INSERT INTO m (id, a, b) VALUES (2, 1, 'x') ON CONFLICT (a, b) DO NOTHING", ERR_OK);
    expect(f, "INSERT INTO m (id, a, b) VALUES (1, 1, 'y') ON CONFLICT (a, b) DO NOTHING",
           ERR_FAILED_PRECONDITION);
    expect(f, "INSERT INTO m (id, a, b) VALUES (1, 1, 'y') ON CONFLICT DO NOTHING", ERR_OK);
    expect(f,
           "INSERT INTO m (id, a, b, n) VALUES (1, 1, 'y', 5) ON CONFLICT (id) DO UPDATE"
           " SET n = excluded.n + m.n WHERE m.n < excluded.n",
           ERR_OK);
    expect(f,
           "INSERT INTO m (id, a, b, n) VALUES (1, 1, 'y', 4) ON CONFLICT (id) DO UPDATE"
           " SET n = excluded.n + m.n WHERE m.n < excluded.n",
           ERR_OK);
    assert_int_equal(fixture_int(f->store, "SELECT n FROM m"), 5);
    expect(f,
           "INSERT INTO m (id, a, b, n) VALUES (1, 7, 'y', 4) ON CONFLICT (id) DO UPDATE"
           " SET n = excluded.n + m.n, b = excluded.b",
           ERR_OK);
    assert_int_equal(fixture_int(f->store, "SELECT n FROM m WHERE a = 1 AND b = 'y'"), 9);
}

static enum err count_upserts(struct store_tx *tx, void *arg)
{
    static const char always[] = "INSERT INTO u VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET n ="
                                 " excluded.n";
    static const char guarded[] = "INSERT INTO u VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET n ="
                                  " excluded.n WHERE u.n < excluded.n";
    static const struct {
        const char *sql;
        int64_t n, changes;
    } steps[] = {
        {always, 1, 1},  {always, 1, 1},
        {always, 2, 1},  {guarded, 2, 0},
        {guarded, 3, 1}, {"UPDATE u SET n = ?", 3, 1}, /* matched, if not changed */
    };
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        enum err err = store_run(tx, steps[i].sql, "i", steps[i].n);
        if (err || store_changes(tx) != steps[i].changes)
            return err ? err : ERR_DATA_LOSS;
    }
    return ERR_OK;
}

static void test_changes_are_those_of_the_others(void **state)
{
    struct fixture *f = *state;
    expect(f, "CREATE TABLE u (id INTEGER PRIMARY KEY, n INTEGER)", ERR_OK);
    assert_int_equal(store_write_sync(f->store, 0, count_upserts, NULL), ERR_OK);
}

/* ---- migrations ---- */

static const struct store_migration steps[] = {
    {"auth", 1,
     "CREATE TABLE s1 (id INTEGER PRIMARY KEY, name TEXT NOT NULL, at INTEGER);"
     "CREATE INDEX s1_by_at ON s1 (at); INSERT INTO s1 VALUES (1, 'x', 2);"
     "ALTER TABLE s1 ADD COLUMN more TEXT NOT NULL DEFAULT 'none';"
     "INSERT INTO gate VALUES (1); CREATE TABLE s2 (id INTEGER PRIMARY KEY);"
     "INSERT INTO s2 VALUES (7)"},
    {"auth", 2, "CREATE INDEX s1_by_name ON s1 (name, at)"},
};

static void expect_all_is_done(struct fixture *f)
{
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM s1 WHERE more = 'none'"), 1);
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM gate"), 1);
    assert_int_equal(fixture_int(f->store, "SELECT SUM(id) FROM s2"), 7);
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM store_migration_steps"), 0);
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM store_migrations"), 2);
}

static void test_a_migration_goes_on_where_it_was_left(void **state)
{
    struct fixture *f = *state;
    assert_int_not_equal(store_migrate(f->store, steps, 2), ERR_OK);
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM s1"), 1);
    assert_int_not_equal(store_migrate(f->store, steps, 2), ERR_OK); /* and no step twice */
    expect(f, "CREATE TABLE gate (id INTEGER PRIMARY KEY)", ERR_OK);
    assert_int_equal(store_migrate(f->store, steps, 2), ERR_OK);
    expect_all_is_done(f);
}

/* Killed between a step that commits by itself and what would be written down next. */
static void test_a_step_that_was_taken_is_known(void **state)
{
    struct fixture *f = *state;
    assert_int_not_equal(store_migrate(f->store, steps, 2), ERR_OK);
    expect(f, "CREATE TABLE gate (id INTEGER PRIMARY KEY)", ERR_OK);
    expect(f, "INSERT INTO gate VALUES (1)", ERR_OK);
    expect(f, "CREATE TABLE s2 (id INTEGER PRIMARY KEY)", ERR_OK);
    expect(f, "UPDATE store_migration_steps SET step = 11", ERR_OK); /* the sixth is begun */
    assert_int_equal(store_migrate(f->store, steps, 2), ERR_OK);
    expect_all_is_done(f);
}

/* What another has made is not taken for a step's work, however often it is tried. */
static void test_a_table_of_anothers_is_no_step(void **state)
{
    struct fixture *f = *state;
    expect(f, "CREATE TABLE s1 (other INTEGER)", ERR_OK);
    expect(f, "CREATE TABLE gate (id INTEGER PRIMARY KEY)", ERR_OK);
    for (int i = 0; i < 3; i++)
        assert_int_not_equal(store_migrate(f->store, steps, 2), ERR_OK);
    expect(f, "DROP TABLE s1", ERR_OK);
    assert_int_equal(store_migrate(f->store, steps, 2), ERR_OK);
    expect_all_is_done(f);
}

/* ---- servers that lose ---- */

static void test_a_server_that_loses_is_refused(void **state)
{
    struct fixture *f = *state;
    struct store_options opt = fixture_options(f);
    struct store *second = NULL;
    store_server_tell("mysql", "SET GLOBAL innodb_flush_log_at_trx_commit = 2");
    assert_int_equal(store_open(&second, &opt), ERR_FAILED_PRECONDITION);
    store_server_tell("mysql", "SET GLOBAL innodb_flush_log_at_trx_commit = 1");
    assert_int_equal(store_open(&second, &opt), ERR_OK);
    store_close(&second);
}

int main(void)
{
    fixture_driver = "mysql";
    log_set_level(getenv("TEST_LOG") ? LOG_DEBUG : LOG_OFF);
#define T(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_text_compares_by_its_bytes),
        T(test_only_the_conflict_that_was_meant_is_passed_over),
        T(test_changes_are_those_of_the_others),
        T(test_a_migration_goes_on_where_it_was_left),
        T(test_a_step_that_was_taken_is_known),
        T(test_a_table_of_anothers_is_no_step),
        T(test_a_server_that_loses_is_refused),
    };
    return cmocka_run_group_tests_name("store mysql", tests, NULL, NULL);
}
