/* What only the S3 driver has to bear: a server that fails now and then, or for good, or hangs, and
 * one that does not know our key. Run beside tests/services/s3.mjs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob/blob.h"
#include "core/arena.h"
#include "core/clock.h"
#include "core/log.h"
#include "fetch/fetch.h"
#include "test_dir.h"

static char access_key[80], secret_key[80], bucket[80], endpoint[120];
static struct test_dir dir;
static struct blob_store *store;
static struct fetch *fetch;

static struct blob_options options(void)
{
    return (struct blob_options){.driver = "s3",
                                 .root = dir.path,
                                 .s3 = {.endpoint = endpoint,
                                        .bucket = bucket,
                                        .prefix = "faults/",
                                        .access_key = access_key,
                                        .secret_key = secret_key,
                                        .timeout_ms = 400}};
}

static int setup(void **state UNUSED)
{
    char host[80];
    const char *url = getenv("PARLANCE_TEST_S3_URL");
    if (!url || sscanf(url, "http://%79[^:]:%79[^@]@%79[^/]/%79s", access_key, secret_key, host,
                       bucket) != 4)
        return -1;
    snprintf(endpoint, sizeof(endpoint), "http://%s", host);
    test_dir_make(&dir);
    struct blob_options opt = options();
    assert_int_equal(blob_open(&store, &opt), ERR_OK);
    assert_int_equal(
        fetch_create(&fetch, &(struct fetch_options){.guard = {.is_loopback_allowed = true}}),
        ERR_OK);
    return 0;
}

static int teardown(void **state UNUSED)
{
    fetch_destroy(&fetch);
    blob_close(&store);
    test_dir_remove(&dir);
    return 0;
}

static void faults(const char *json)
{
    struct arena *arena = arena_create();
    struct fetch_response r;
    struct fetch_request request = {.url = arena_printf(arena, "%s/_faults", endpoint),
                                    .body = str_from(json)};
    assert_int_equal(fetch_sync(fetch, &request, arena, &r), ERR_OK);
    assert_int_equal(r.status, 200);
    arena_destroy(&arena);
}

static void test_a_fault_now_and_then(void **state UNUSED)
{
    uint64_t size;
    char *bytes;
    size_t n;
    faults("{\"fail\":3,\"status\":503}");
    assert_int_equal(blob_put(store, "now", "and then", 8), ERR_OK);
    faults("{\"fail\":2,\"status\":500}");
    assert_int_equal(blob_get(store, "now", 4, 0, &bytes, &n), ERR_OK);
    assert_int_equal(n, 4);
    assert_memory_equal(bytes, "then", 4);
    free(bytes);
    faults("{\"fail\":1,\"status\":429}");
    assert_int_equal(blob_delete(store, "now"), ERR_OK);
    assert_int_equal(blob_size(store, "now", &size), ERR_NOT_FOUND);
}

static void test_a_fault_for_good(void **state UNUSED)
{
    uint64_t size;
    faults("{\"fail\":100,\"status\":503}");
    assert_int_equal(blob_put(store, "never", "x", 1), ERR_UNAVAILABLE);
    faults("{}");
    assert_int_equal(blob_size(store, "never", &size), ERR_NOT_FOUND);
    /* What came slowly is still here, for another try. */
    assert_int_equal(blob_part_write(store, "slowly", 0, "slowly", 6), ERR_OK);
    faults("{\"fail\":100,\"status\":503}");
    assert_int_equal(blob_part_finish(store, "slowly", 6), ERR_UNAVAILABLE);
    faults("{}");
    assert_int_equal(blob_part_finish(store, "slowly", 6), ERR_OK);
    assert_int_equal(blob_size(store, "slowly", &size), ERR_OK);
    /* A life that ended between the two steps of that comes to the same end. */
    assert_int_equal(blob_part_write(store, "slowly", 0, "slowly", 6), ERR_OK);
    assert_int_equal(blob_part_finish(store, "slowly", 6), ERR_OK);
    assert_int_equal(blob_part_drop(store, "slowly"), ERR_NOT_FOUND);
}

static void test_one_that_hangs(void **state UNUSED)
{
    uint64_t size;
    int64_t from_ms = clock_mono_ms();
    faults("{\"fail\":1,\"status\":503,\"delay_ms\":8000}");
    assert_int_equal(blob_put(store, "patient", "x", 1), ERR_OK);
    assert_true(clock_mono_ms() - from_ms < 8000); /* not waited for */
    assert_int_equal(blob_size(store, "patient", &size), ERR_OK);
}

static void test_a_wrong_key(void **state UNUSED)
{
    struct blob_store *other;
    struct blob_options opt = options();
    uint64_t size;
    opt.s3.secret_key = "not the secret";
    assert_int_equal(blob_open(&other, &opt), ERR_OK);
    assert_int_equal(blob_put(other, "x", "x", 1), ERR_PERMISSION_DENIED);
    assert_int_equal(blob_size(other, "x", &size), ERR_PERMISSION_DENIED);
    blob_close(&other);
}

static void test_what_is_no_endpoint(void **state UNUSED)
{
    static const char *const wrong[] = {"",        "s3.example", "ftp://s3.example",
                                        "http://", "http://a/b", "http://user@s3.example"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct blob_store *other;
        struct blob_options opt = options();
        opt.s3.endpoint = wrong[i];
        assert_int_equal(blob_open(&other, &opt), ERR_INVALID_ARGUMENT);
        assert_null(other);
    }
}

int main(void)
{
    log_set_level(getenv("TEST_LOG") ? LOG_DEBUG : LOG_OFF);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_fault_now_and_then), cmocka_unit_test(test_a_fault_for_good),
        cmocka_unit_test(test_one_that_hangs),       cmocka_unit_test(test_a_wrong_key),
        cmocka_unit_test(test_what_is_no_endpoint),
    };
    return cmocka_run_group_tests_name("blob s3", tests, setup, teardown);
}
