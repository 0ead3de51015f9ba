/*
 * store_suite: what the store promises, whoever the driver is. Run as `store_suite DRIVER`. Group
 * commit and threads are in store_commit_suite.c, migrations in store_migrate_suite.c.
 */
#include "store_suite.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"

/* A job that is a function of the tests; asserts inside would jump off the writer's stack. */
#define CHECK(condition)                                                    \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            return ERR_UNKNOWN;                                             \
        }                                                                   \
    } while (0)

/* ---- values ---- */

static enum err write_values(struct store_tx *tx, void *arg)
{
    static const char longer[] = "a\tb and more"; /* a slice: its end is told, not found */
    struct store_stmt *st =
        store_prepare(tx, "INSERT INTO v (id, i, d, t, b, n) VALUES (?, ?, ?, ?, ?, ?)");
    store_bind_int(st, 1, 1);
    store_bind_int(st, 2, INT64_MIN);
    store_bind_real(st, 3, -1.5e300);
    store_bind_str(st, 4, (struct str){longer, 3});
    store_bind_blob(st, 5, "\0\xff\0", 3);
    store_bind_null(st, 6);
    CHECK(store_finish(st) == ERR_OK);
    CHECK(store_run(tx, "INSERT INTO v (id, i, d, t, b, n) VALUES (?, ?, ?, ?, ?, ?)", "iidsbs",
                    (int64_t)2, INT64_MAX, 0.1, "", "", (size_t)0, (const char *)NULL) == ERR_OK);
    CHECK(store_run(tx, "INSERT INTO v (id, t) VALUES (?, ?)", "is", (int64_t)3,
                    "\xe4\xbd\xa0\xe5\xa5\xbd '\" -- ; DROP TABLE v") == ERR_OK);
    return ERR_OK;
}

static enum err read_values(struct store_tx *tx, void *arg)
{
    struct arena *arena = arg;
    struct store_stmt *st = store_query(tx, "SELECT i, d, t, b, n FROM v ORDER BY id", "");
    CHECK(store_step(st));
    CHECK(store_int(st, 0) == INT64_MIN);
    CHECK(fabs(store_real(st, 1) / -1.5e300 - 1) < 1e-15);
    struct str t = store_str(st, 2);
    CHECK(t.n == 3 && memcmp(t.p, "a\tb", 3) == 0);
    size_t n;
    void *blob = store_blob(st, 3, arena, &n);
    CHECK(n == 3 && memcmp(blob, "\0\xff\0", 3) == 0);
    CHECK(store_is_null(st, 4) && !store_is_null(st, 3));
    CHECK(strcmp(store_text(st, 4, arena), "") == 0 && store_str(st, 4).n == 0);
    CHECK(store_int(st, 4) == 0);

    CHECK(store_step(st));
    CHECK(store_int(st, 0) == INT64_MAX && store_real(st, 1) == 0.1);
    CHECK(!store_is_null(st, 2) && store_str(st, 2).n == 0); /* empty is not NULL */
    CHECK(!store_is_null(st, 3) && store_str(st, 3).n == 0);
    CHECK(store_is_null(st, 4));

    CHECK(store_step(st));
    CHECK(strcmp(store_text(st, 2, arena), "\xe4\xbd\xa0\xe5\xa5\xbd '\" -- ; DROP TABLE v") == 0);
    CHECK(!store_step(st));
    CHECK(!store_step(st)); /* finished stays finished */
    CHECK(store_int(st, 0) == 0 && store_is_null(st, 0));
    return store_finish(st);
}

static void test_values_round_trip(void **state)
{
    struct fixture *f = *state;
    struct arena *arena = arena_create();
    assert_int_equal(fixture_exec(f->store, "CREATE TABLE v (id INTEGER PRIMARY KEY, i INTEGER,"
                                            " d REAL, t TEXT, b BLOB, n TEXT)"),
                     ERR_OK);
    assert_int_equal(store_write_sync(f->store, 0, write_values, NULL), ERR_OK);
    assert_int_equal(store_read(f->store, read_values, arena), ERR_OK);
    arena_destroy(&arena);
}

/* ---- errors ---- */

static void make_errors_schema(struct fixture *f)
{
    assert_int_equal(fixture_exec(f->store,
                                  "CREATE TABLE p (id INTEGER PRIMARY KEY,"
                                  " name TEXT NOT NULL UNIQUE, age INTEGER CHECK (age >= 0))"),
                     ERR_OK);
    assert_int_equal(fixture_exec(f->store, "CREATE TABLE c (id INTEGER PRIMARY KEY,"
                                            " p INTEGER NOT NULL REFERENCES p (id))"),
                     ERR_OK);
    assert_int_equal(fixture_exec(f->store, "INSERT INTO p VALUES (1, 'ann', 3)"), ERR_OK);
}

static void test_errors_are_told_apart(void **state)
{
    struct fixture *f = *state;
    make_errors_schema(f);
    static const struct {
        const char *sql;
        enum err err;
    } cases[] = {
        {"INSERT INTO p VALUES (1, 'bob', 3)", ERR_ALREADY_EXISTS},
        {"INSERT INTO p VALUES (2, 'ann', 3)", ERR_ALREADY_EXISTS},
        {"INSERT INTO p VALUES (2, 'bob', -1)", ERR_FAILED_PRECONDITION},
        {"INSERT INTO p VALUES (2, NULL, 1)", ERR_FAILED_PRECONDITION},
        {"INSERT INTO c VALUES (1, 99)", ERR_FAILED_PRECONDITION},
        {"DELETE FROM nowhere", ERR_INTERNAL},
        {"this is no SQL", ERR_INTERNAL},
        {"INSERT INTO p VALUES (3, 'x', 1); DELETE FROM p", ERR_INTERNAL},
        {"", ERR_INTERNAL},
        {"-- nothing", ERR_INTERNAL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(fixture_exec(f->store, cases[i].sql), cases[i].err);
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM p"), 1);
}

static enum err ignore_the_error(struct store_tx *tx, void *arg)
{
    CHECK(store_run(tx, "INSERT INTO p VALUES (7, 'gil', 1)", "") == ERR_OK);
    CHECK(store_run(tx, "INSERT INTO p VALUES (1, 'again', 1)", "") == ERR_ALREADY_EXISTS);
    CHECK(store_run(tx, "INSERT INTO p VALUES (8, 'hal', 1)", "") == ERR_ALREADY_EXISTS);
    struct store_stmt *st = store_query(tx, "SELECT id FROM p", "");
    CHECK(!store_step(st));
    CHECK(store_finish(st) == ERR_ALREADY_EXISTS);
    return ERR_OK; /* says it is well, and is not */
}

static void test_failed_statement_dooms_its_job(void **state)
{
    struct fixture *f = *state;
    make_errors_schema(f);
    assert_int_equal(store_write_sync(f->store, 0, ignore_the_error, NULL), ERR_ALREADY_EXISTS);
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM p"), 1);
    assert_int_equal(fixture_exec(f->store, "INSERT INTO p VALUES (9, 'ida', 1)"), ERR_OK);
}

static enum err bind_badly(struct store_tx *tx, void *arg)
{
    struct store_stmt *st = store_prepare(tx, "INSERT INTO p VALUES (?, 'kim', 1)");
    store_bind_int(st, *(int *)arg, 5);
    return store_finish(st);
}

static enum err run_with_unknown_type(struct store_tx *tx, void *arg)
{
    return store_run(tx, "INSERT INTO p VALUES (?, 'lea', 1)", "q", (int64_t)6);
}

static void test_bad_parameters_are_errors(void **state)
{
    struct fixture *f = *state;
    make_errors_schema(f);
    for (int index = -1; index <= 2; index++) {
        enum err err = store_write_sync(f->store, 0, bind_badly, &index);
        if (index == 1)
            assert_int_equal(err, ERR_OK);
        else
            assert_int_not_equal(err, ERR_OK);
    }
    assert_int_equal(store_write_sync(f->store, 0, run_with_unknown_type, NULL), ERR_INTERNAL);
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM p"), 2);
}

static void test_transaction_control_is_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const refused[] = {
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT mine",
        "ATTACH '/tmp/elsewhere.db' AS elsewhere",
        "PRAGMA foreign_keys=OFF",
        "PRAGMA journal_mode=OFF",
    };
    make_errors_schema(f);
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        assert_int_not_equal(fixture_exec(f->store, refused[i]), ERR_OK);
    assert_int_equal(fixture_exec(f->store, "INSERT INTO c VALUES (1, 99)"),
                     ERR_FAILED_PRECONDITION);
}

static enum err write_in_a_read(struct store_tx *tx, void *arg)
{
    return store_run(tx, "DELETE FROM p", "");
}

static void test_reads_cannot_write(void **state)
{
    struct fixture *f = *state;
    make_errors_schema(f);
    assert_int_not_equal(store_read(f->store, write_in_a_read, NULL), ERR_OK);
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM p"), 1);
}

/* ---- statements ---- */

static enum err count_changes(struct store_tx *tx, void *arg)
{
    CHECK(store_run(tx, "CREATE TABLE k (id INTEGER PRIMARY KEY, n INTEGER)", "") == ERR_OK);
    CHECK(store_changes(tx) == 0);
    for (int64_t i = 0; i < 10; i++)
        CHECK(store_run(tx, "INSERT INTO k VALUES (?, ?)", "ii", i, i % 2) == ERR_OK);
    CHECK(store_changes(tx) == 1);
    CHECK(store_run(tx, "UPDATE k SET n = 5 WHERE n = 0", "") == ERR_OK);
    CHECK(store_changes(tx) == 5);
    CHECK(store_run(tx, "UPDATE k SET n = 5 WHERE n = 99", "") == ERR_OK);
    CHECK(store_changes(tx) == 0);
    CHECK(store_run(tx, "INSERT INTO k VALUES (1, 1) ON CONFLICT DO NOTHING", "") == ERR_OK);
    CHECK(store_changes(tx) == 0);
    struct store_stmt *st = store_query(tx, "SELECT * FROM k", "");
    CHECK(store_finish(st) == ERR_OK);
    CHECK(store_changes(tx) == 0);
    /* A statement nobody stepped is run by finish. */
    CHECK(store_finish(store_prepare(tx, "DELETE FROM k")) == ERR_OK);
    CHECK(store_changes(tx) == 10);
    return ERR_OK;
}

static void test_changes_are_counted(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(store_write_sync(f->store, 0, count_changes, NULL), ERR_OK);
}

/* The same text twice at once: each use has its own rows. */
static enum err nest(struct store_tx *tx, void *arg)
{
    static const char sql[] = "SELECT id FROM s WHERE id <> ? ORDER BY id";
    int64_t pairs = 0;
    struct store_stmt *outer = store_query(tx, sql, "i", (int64_t)-1);
    while (store_step(outer)) {
        struct store_stmt *inner = store_query(tx, sql, "i", store_int(outer, 0));
        while (store_step(inner))
            pairs += store_int(inner, 0) != store_int(outer, 0);
        CHECK(store_finish(inner) == ERR_OK);
    }
    CHECK(store_finish(outer) == ERR_OK);
    CHECK(pairs == 12);
    return ERR_OK;
}

/* Parameters of the last use must not be seen by the next. */
static enum err reuse(struct store_tx *tx, void *arg)
{
    for (int round = 0; round < 2; round++) {
        struct store_stmt *st = store_prepare(tx, "SELECT ?");
        if (round == 0)
            store_bind_int(st, 1, 7);
        CHECK(store_step(st));
        CHECK(store_is_null(st, 0) == (round == 1));
        CHECK(store_finish(st) == ERR_OK);
    }
    return ERR_OK;
}

/* More texts than a connection keeps. */
static enum err many_texts(struct store_tx *tx, void *arg)
{
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 400; i++) {
            char sql[64];
            snprintf(sql, sizeof(sql), "SELECT %d", i);
            struct store_stmt *st = store_prepare(tx, sql);
            CHECK(store_step(st) && store_int(st, 0) == i);
            CHECK(store_finish(st) == ERR_OK);
        }
    }
    return ERR_OK;
}

static enum err leave_unfinished(struct store_tx *tx, void *arg)
{
    struct store_stmt *st = store_query(tx, "SELECT id FROM s ORDER BY id", "");
    CHECK(store_step(st));
    return ERR_OK;
}

static void test_statements_are_kept_and_given_back(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fixture_exec(f->store, "CREATE TABLE s (id INTEGER PRIMARY KEY)"), ERR_OK);
    assert_int_equal(fixture_exec(f->store, "INSERT INTO s VALUES (1), (2), (3), (4)"), ERR_OK);
    static store_fn *const jobs[] = {nest, reuse, many_texts, leave_unfinished, nest};
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
        assert_int_equal(store_read(f->store, jobs[i], NULL), ERR_OK);
        assert_int_equal(store_write_sync(f->store, 0, jobs[i], NULL), ERR_OK);
    }
    /* A statement prepared before the schema changed works after it. */
    assert_int_equal(fixture_exec(f->store, "ALTER TABLE s ADD COLUMN extra TEXT"), ERR_OK);
    assert_int_equal(store_read(f->store, nest, NULL), ERR_OK);
}

static enum err read_inside_read(struct store_tx *tx, void *arg)
{
    struct fixture *f = arg;
    struct store_stmt *st = store_query(tx, "SELECT id FROM s", "");
    CHECK(store_step(st));
    CHECK(fixture_int(f->store, "SELECT COUNT(*) FROM s") == 4);
    return store_finish(st);
}

static void test_a_read_inside_a_read(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fixture_exec(f->store, "CREATE TABLE s (id INTEGER PRIMARY KEY)"), ERR_OK);
    assert_int_equal(fixture_exec(f->store, "INSERT INTO s VALUES (1), (2), (3), (4)"), ERR_OK);
    assert_int_equal(store_read(f->store, read_inside_read, f), ERR_OK);
}

static enum err read_two(struct store_tx *tx, void *arg)
{
    int64_t *sum = arg;
    for (int64_t id = 1; id <= 2; id++) {
        struct store_stmt *st = store_query(tx, "SELECT id FROM s WHERE id = ?", "i", id);
        *sum += store_step(st) ? store_int(st, 0) : 0;
        enum err err = store_finish(st);
        if (err)
            return err;
    }
    return ERR_OK;
}

static enum err read_last(struct store_tx *tx, void *arg)
{
    struct store_stmt *st = store_query(tx, "SELECT MAX(id) FROM s", "");
    *(int64_t *)arg = store_step(st) ? store_int(st, 0) : 0;
    return store_finish(st);
}

static void test_a_read_of_one_statement(void **state)
{
    struct fixture *f = *state;
    int64_t value = 0;
    make_errors_schema(f);
    assert_int_equal(
        fixture_exec(f->store, "CREATE TABLE s (id INTEGER PRIMARY KEY AUTOINCREMENT, x INTEGER)"),
        ERR_OK);
    for (int64_t i = 1; i <= 3;
         i++) { /* it sees what was committed before, and keeps no snapshot */
        assert_int_equal(fixture_exec(f->store, "INSERT INTO s (x) VALUES (0)"), ERR_OK);
        assert_int_equal(store_read_one(f->store, read_last, &value), ERR_OK);
        assert_int_equal(value, i);
    }
    value = 0;
    assert_int_equal(store_read_one(f->store, read_two, &value), ERR_INTERNAL);
    assert_int_equal(value, 1); /* the second never ran */
    assert_int_not_equal(store_read_one(f->store, write_in_a_read, NULL), ERR_OK);
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM p"), 1);
    assert_int_equal(store_read(f->store, read_two, &value), ERR_OK);
    assert_int_equal(value, 4);
}

static void test_generated_keys_are_never_used_again(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        fixture_exec(f->store, "CREATE TABLE g (id INTEGER PRIMARY KEY AUTOINCREMENT, x INTEGER)"),
        ERR_OK);
    assert_int_equal(fixture_exec(f->store, "INSERT INTO g (x) VALUES (1), (2)"), ERR_OK);
    assert_int_equal(fixture_exec(f->store, "DELETE FROM g"), ERR_OK);
    fixture_reopen(f, NULL);
    assert_int_equal(fixture_exec(f->store, "INSERT INTO g (x) VALUES (3)"), ERR_OK);
    assert_int_equal(fixture_int(f->store, "SELECT id FROM g"), 3);
}

static void test_an_unknown_driver_is_refused(void **state)
{
    struct store *store = NULL;
    struct store_options opt = {.driver = "papyrus", .url = "/tmp/never"};
    assert_int_equal(store_open(&store, &opt), ERR_INVALID_ARGUMENT);
    assert_null(store);
    store_close(&store); /* accepts NULL */
}

int main(int argc, char **argv)
{
    fixture_driver = argc > 1 ? argv[1] : "sqlite";
    log_set_level(getenv("TEST_LOG") ? LOG_DEBUG : LOG_OFF);
#define T(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_values_round_trip),
        T(test_errors_are_told_apart),
        T(test_failed_statement_dooms_its_job),
        T(test_bad_parameters_are_errors),
        T(test_transaction_control_is_refused),
        T(test_reads_cannot_write),
        T(test_changes_are_counted),
        T(test_statements_are_kept_and_given_back),
        T(test_a_read_inside_a_read),
        T(test_a_read_of_one_statement),
        T(test_generated_keys_are_never_used_again),
        cmocka_unit_test(test_an_unknown_driver_is_refused),
    };
    int failed = cmocka_run_group_tests_name("store", tests, NULL, NULL);
    failed += store_commit_suite();
    failed += store_migrate_suite();
    return failed;
}
