/* store_schema_test: tables as migrations make them, one after the other. */
#include "test.h"

#include "core/log.h"
#include "store/store_schema.h"

static void test_tables_are_read(void **state)
{
    static const struct store_migration list[] = {
        {"a", 1,
         "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL DEFAULT '(,)',"
         " b BLOB, UNIQUE (name, b)); CREATE INDEX i ON t (b);"
         "CREATE TABLE gone (id INTEGER PRIMARY KEY)"},
        {"b", 1,
         "CREATE TABLE u (x BIGINT NOT NULL, y TEXT, -- a comment, with a comma\n z REAL CHECK (z >"
         " 0), PRIMARY KEY (y, x))"},
        {"a", 2,
         "ALTER TABLE t ADD COLUMN more BIGINT NOT NULL DEFAULT 0; DROP TABLE gone;"
         "CREATE VIRTUAL TABLE words USING fts5(t, c)"},
    };
    struct arena *arena = arena_create();
    struct store_table *tables;
    size_t count;
    assert_int_equal(store_schema_read(arena, list, ARRAY_LEN(list), &tables, &count), ERR_OK);
    assert_int_equal(count, 2);
    assert_string_equal(tables[0].name, "t");
    assert_true(tables[0].is_generated);
    assert_int_equal(tables[0].column_count, 4);
    assert_int_equal(tables[0].columns[1].type, STORE_COLUMN_TEXT);
    assert_int_equal(tables[0].columns[2].type, STORE_COLUMN_BLOB);
    assert_string_equal(tables[0].columns[3].name, "more");
    assert_int_equal(tables[0].columns[3].type, STORE_COLUMN_INT);
    assert_int_equal(tables[0].key_count, 1);
    assert_string_equal(tables[1].room, "b");
    assert_int_equal(tables[1].column_count, 3);
    assert_int_equal(tables[1].columns[2].type, STORE_COLUMN_REAL);
    assert_int_equal(tables[1].key_count, 2);
    assert_int_equal(tables[1].key[0], 1);
    assert_int_equal(tables[1].key[1], 0);
    assert_false(tables[1].is_generated);
    arena_destroy(&arena);
}

static void test_a_table_without_a_key_is_refused(void **state)
{
    static const struct store_migration list[] = {{"a", 1, "CREATE TABLE t (x INTEGER)"}};
    struct arena *arena = arena_create();
    struct store_table *tables;
    size_t count;
    assert_int_equal(store_schema_read(arena, list, 1, &tables, &count), ERR_INTERNAL);
    arena_destroy(&arena);
}

int main(void)
{
    log_set_level(LOG_OFF);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables_are_read),
        cmocka_unit_test(test_a_table_without_a_key_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
