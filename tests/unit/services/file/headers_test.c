/* What clients say in headers of tus: metadata, checksums; and who holds which upload. */
#include "test.h"

#include "services/file/file_internal.h"

#define NONE ((const char *)1) /* refused */

static void test_metadata(void **state UNUSED)
{
    static const struct {
        const char *header, *name, *type;
    } cases[] = {
        {"", "", ""},
        {"   ", "", ""},
        {"filename YS5wbmc=", "a.png", ""},
        {"filename YS5wbmc", "a.png", ""},
        {"filetype aW1hZ2UvcG5n,filename YS5wbmc=", "a.png", "image/png"},
        {" filename YS5wbmc= , is_confidential", "a.png", ""},
        {"filename", "", ""},
        {"filename ", "", ""},
        {"other !!", NONE, ""},
        {"filename !!", NONE, ""},
        {",", NONE, ""},
        {"filename YS5wbmc=,", NONE, ""},
        {"filename YQpi", NONE, ""},             /* a, line feed, b */
        {"filename /w==", NONE, ""},             /* no UTF-8 */
        {"filename AA==", NONE, ""},             /* NUL */
        {"filename 4oCuZ3BqLmV4ZQ==", NONE, ""}, /* turned around */
        {"filename Li4vLi4vZXRjL3Bhc3N3ZA==", "passwd", ""},
        {"filename QzpcZGlyXGEudHh0", "a.txt", ""},
        {"filename Li4=", NONE, ""}, /* ".." */
        {"filename Lw==", "", ""},
        {"filetype SW1hZ2UvUE5HOyB4PXk=", "", "image/png"}, /* "Image/PNG; x=y" */
        {"filetype bm90aGluZw==", "", ""},
        {"filetype L3g=", "", ""},
    };
    struct arena *arena = arena_create();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct file_metadata meta;
        bool is_good = file_metadata_parse(str_from(cases[i].header), arena, &meta);
        if (is_good != (cases[i].name != NONE))
            fail_msg("\"%s\": %s", cases[i].header, is_good ? "taken" : "refused");
        if (is_good) {
            assert_string_equal(meta.name, cases[i].name);
            assert_string_equal(meta.type, cases[i].type);
        }
    }
    char *big = arena_alloc(arena, FILE_METADATA_MAX_BYTES + 2);
    memset(big, 'a', FILE_METADATA_MAX_BYTES + 1);
    struct file_metadata meta;
    assert_true(file_metadata_parse((struct str){big, FILE_METADATA_MAX_BYTES}, arena, &meta));
    assert_false(file_metadata_parse((struct str){big, FILE_METADATA_MAX_BYTES + 1}, arena, &meta));
    arena_destroy(&arena);
}

static void test_checksums(void **state UNUSED)
{
    struct file_checksum sum;
    assert_true(file_checksum_parse(STR("sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00="), &sum));
    assert_true(str_eq(sum.algorithm, STR("sha1")));
    assert_int_equal(sum.n, 20);
    assert_int_equal(sum.bytes[0], 0xaa);
    assert_false(file_checksum_parse(STR(""), &sum));
    assert_false(file_checksum_parse(STR("sha1"), &sum));
    assert_false(file_checksum_parse(STR("sha1 !!"), &sum));
    assert_false(file_checksum_parse(STR("sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00=x"), &sum));
    /* more than the largest digest */
    assert_false(file_checksum_parse(
        STR("sha512 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), &sum));
    assert_null(file_hash_create("md5"));
    struct file_hash *hash = file_hash_create("sha1");
    uint8_t digest[FILE_SHA256_BYTES];
    file_hash_add(hash, "hel", 3);
    file_hash_add(hash, "lo", 2);
    assert_int_equal(file_hash_end(hash, digest), 20);
    file_hash_destroy(&hash);
    assert_int_equal(digest[0], 0xaa);
}

static void test_date(void **state UNUSED)
{
    char text[FILE_DATE_SIZE];
    file_http_date(784111777000, text);
    assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
}

static void test_locks(void **state UNUSED)
{
    struct file_locks *locks = file_locks_create();
    char id[ID_SIZE];
    struct file_lock *a = file_lock_enter(locks, "one", "alice");
    assert_non_null(a);
    assert_null(file_lock_enter(locks, "one", "bob"));
    assert_null(file_lock_enter(locks, "one", "alice")); /* she is in it */
    struct file_lock *b = file_lock_enter(locks, "two", "bob");
    assert_non_null(b);
    assert_true(file_lock_find(locks, "bob", id));
    assert_string_equal(id, "two");
    file_lock_leave(locks, b, FILE_LOCK_FREE);
    assert_false(file_lock_find(locks, "bob", id));
    /* kept between parts: for its holder alone */
    file_lock_leave(locks, a, FILE_LOCK_KEEP);
    assert_null(file_lock_enter(locks, "one", "bob"));
    a = file_lock_enter(locks, "one", "alice");
    assert_non_null(a);
    /* cut while it is at work: free when it ends, whatever that says */
    file_lock_cut(locks, "one", "bob");
    file_lock_cut(locks, "one", "alice");
    assert_null(file_lock_enter(locks, "one", "bob"));
    file_lock_leave(locks, a, FILE_LOCK_KEEP);
    b = file_lock_enter(locks, "one", "bob");
    assert_non_null(b);
    file_lock_leave(locks, b, FILE_LOCK_KEEP);
    file_lock_cut(locks, "one", "bob"); /* while it is not */
    a = file_lock_enter(locks, "one", "alice");
    assert_non_null(a);
    /* who does not come back is not waited for */
    file_lock_leave(locks, a, FILE_LOCK_KEEP);
    a->used_ms -= 61 * 1000;
    b = file_lock_enter(locks, "one", "bob");
    assert_non_null(b);
    b->hash = file_hash_create("sha256"); /* goes with the lock */
    file_locks_destroy(&locks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_checksums),
        cmocka_unit_test(test_date),
        cmocka_unit_test(test_locks),
    };
    return cmocka_run_group_tests_name("file headers", tests, NULL, NULL);
}
