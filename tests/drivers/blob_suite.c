/* blob_suite: what every keeper of blobs promises. Run as `blob_suite DRIVER`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blob/blob.h"
#include "core/log.h"
#include "test_dir.h"

static const char *driver = "files";

struct fixture {
    struct test_dir dir;
    struct blob_store *store;
};

/* Of PARLANCE_TEST_S3_URL: http://KEY:SECRET@127.0.0.1:PORT/BUCKET (tests/services/s3.mjs). */
static struct blob_s3_options s3_options(const char *prefix)
{
    static char access_key[80], secret_key[80], bucket[80], endpoint[120];
    char host[80];
    const char *url = getenv("PARLANCE_TEST_S3_URL");
    assert_non_null(url);
    assert_int_equal(
        sscanf(url, "http://%79[^:]:%79[^@]@%79[^/]/%79s", access_key, secret_key, host, bucket),
        4);
    snprintf(endpoint, sizeof(endpoint), "http://%s", host);
    return (struct blob_s3_options){.endpoint = endpoint,
                                    .bucket = bucket,
                                    .prefix = prefix,
                                    .access_key = access_key,
                                    .secret_key = secret_key,
                                    .timeout_ms = 3000};
}

static void reopen(struct fixture *f)
{
    blob_close(&f->store);
    char prefix[64]; /* tests share a bucket */
    const char *slash = strrchr(f->dir.path, '/');
    snprintf(prefix, sizeof(prefix), "%s/", slash + 1);
    struct blob_options opt = {.driver = driver, .root = f->dir.path};
    if (strcmp(driver, "s3") == 0)
        opt.s3 = s3_options(prefix);
    assert_int_equal(blob_open(&f->store, &opt), ERR_OK);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    test_dir_make(&f->dir);
    reopen(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    blob_close(&f->store);
    test_dir_remove(&f->dir);
    free(f);
    return 0;
}

static void expect(struct fixture *f, const char *name, uint64_t offset, size_t count,
                   const char *text)
{
    char *bytes;
    size_t n;
    assert_int_equal(blob_get(f->store, name, offset, count, &bytes, &n), ERR_OK);
    assert_int_equal(n, strlen(text));
    assert_memory_equal(bytes, text, n);
    free(bytes);
}

static void test_put_get_delete(void **state)
{
    struct fixture *f = *state;
    uint64_t size;
    assert_int_equal(blob_put(f->store, "a/b/c.txt", "hello world", 11), ERR_OK);
    assert_int_equal(blob_put(f->store, "empty", NULL, 0), ERR_OK);
    expect(f, "a/b/c.txt", 0, 0, "hello world");
    expect(f, "empty", 0, 0, "");
    assert_int_equal(blob_size(f->store, "a/b/c.txt", &size), ERR_OK);
    assert_int_equal(size, 11);
    reopen(f);
    expect(f, "a/b/c.txt", 0, 0, "hello world");
    assert_int_equal(blob_delete(f->store, "a/b/c.txt"), ERR_OK);
    assert_int_equal(blob_size(f->store, "a/b/c.txt", &size), ERR_NOT_FOUND);
    assert_int_equal(blob_delete(f->store, "a/b/c.txt"), ERR_NOT_FOUND);
    assert_int_equal(blob_put(f->store, "a/b/c.txt", "new", 3), ERR_OK);
}

static void test_ranges(void **state)
{
    struct fixture *f = *state;
    char *bytes;
    size_t n;
    assert_int_equal(blob_put(f->store, "r", "0123456789", 10), ERR_OK);
    expect(f, "r", 0, 4, "0123");
    expect(f, "r", 4, 4, "4567");
    expect(f, "r", 8, 4, "89");
    expect(f, "r", 7, 0, "789");
    expect(f, "r", 10, 5, "");
    expect(f, "r", 3, SIZE_MAX, "3456789");
    assert_int_equal(blob_get(f->store, "r", 11, 1, &bytes, &n), ERR_OUT_OF_RANGE);
    assert_int_equal(blob_get(f->store, "r", UINT64_MAX, 1, &bytes, &n), ERR_OUT_OF_RANGE);
    assert_null(bytes);
}

static void test_blobs_never_change(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(blob_put(f->store, "once", "first", 5), ERR_OK);
    assert_int_equal(blob_put(f->store, "once", "second", 6), ERR_ALREADY_EXISTS);
    expect(f, "once", 0, 0, "first");
}

static void test_streams(void **state)
{
    struct fixture *f = *state;
    enum { CHUNK = 70001, CHUNKS = 40 };
    struct blob_writer *w;
    static char chunk[CHUNK];
    uint64_t size;
    assert_int_equal(blob_writer_open(f->store, "big/one", &w), ERR_OK);
    for (int i = 0; i < CHUNKS; i++) {
        memset(chunk, 'a' + i % 26, sizeof(chunk));
        assert_int_equal(blob_writer_add(w, chunk, sizeof(chunk)), ERR_OK);
    }
    assert_int_equal(blob_size(f->store, "big/one", &size), ERR_NOT_FOUND); /* not yet */
    assert_int_equal(blob_writer_finish(&w), ERR_OK);
    assert_null(w);
    assert_int_equal(blob_size(f->store, "big/one", &size), ERR_OK);
    assert_int_equal(size, (uint64_t)CHUNK * CHUNKS);
    expect(f, "big/one", CHUNK - 2, 4, "aabb");

    assert_int_equal(blob_writer_open(f->store, "aborted", &w), ERR_OK);
    assert_int_equal(blob_writer_add(w, "x", 1), ERR_OK);
    blob_writer_abort(&w);
    assert_null(w);
    blob_writer_abort(&w); /* accepts NULL */
    assert_int_equal(blob_size(f->store, "aborted", &size), ERR_NOT_FOUND);
}

/* What came slowly, twice in part and over a restart, is a blob of the size that was promised. */
static void test_parts(void **state)
{
    struct fixture *f = *state;
    const char *name = "files/ab/part";
    char bytes[8];
    int fd;
    uint64_t size;
    assert_int_equal(blob_part_sync(f->store, name), ERR_NOT_FOUND);
    assert_int_equal(blob_part_finish(f->store, name, 0), ERR_NOT_FOUND);
    assert_int_equal(blob_part_drop(f->store, name), ERR_NOT_FOUND);
    assert_int_equal(blob_part_write(f->store, name, 3, "lo", 2), ERR_OUT_OF_RANGE);
    assert_int_equal(blob_part_write(f->store, name, 0, "...lo, and more", 15), ERR_OK);
    assert_int_equal(blob_part_write(f->store, name, 16, "x", 1), ERR_OUT_OF_RANGE);
    assert_int_equal(blob_part_sync(f->store, name), ERR_OK);
    assert_int_equal(blob_size(f->store, name, &size), ERR_NOT_FOUND);
    reopen(f);
    assert_int_equal(blob_part_write(f->store, name, 0, "hel", 3), ERR_OK);
    assert_int_equal(blob_part_finish(f->store, name, 99), ERR_DATA_LOSS);
    assert_int_equal(blob_part_finish(f->store, name, 5), ERR_OK);
    expect(f, name, 0, 0, "hello");
    assert_int_equal(blob_part_finish(f->store, name, 5), ERR_NOT_FOUND);
    /* never over another blob; what is dropped is gone */
    assert_int_equal(blob_part_write(f->store, name, 0, "other", 5), ERR_OK);
    assert_int_equal(blob_part_finish(f->store, name, 5), ERR_ALREADY_EXISTS);
    assert_int_equal(blob_part_drop(f->store, name), ERR_OK);
    assert_int_equal(blob_part_finish(f->store, name, 5), ERR_NOT_FOUND);
    assert_int_equal(blob_open_file(f->store, name, &fd, &size), ERR_OK);
    assert_int_equal(size, 5);
    assert_int_equal(read(fd, bytes, sizeof(bytes)), 5);
    assert_memory_equal(bytes, "hello", 5);
    close(fd);
    assert_int_equal(blob_open_file(f->store, "files/ab", &fd, &size), ERR_NOT_FOUND);
    assert_int_equal(fd, -1);
    assert_int_equal(blob_part_write(f->store, "../x", 0, "x", 1), ERR_INVALID_ARGUMENT);
    assert_int_equal(blob_part_write(f->store, "x", UINT64_MAX, "x", 1), ERR_INVALID_ARGUMENT);
}

static void test_the_first_of_two_writers_wins(void **state)
{
    struct fixture *f = *state;
    struct blob_writer *a, *b;
    assert_int_equal(blob_writer_open(f->store, "race", &a), ERR_OK);
    assert_int_equal(blob_writer_open(f->store, "race", &b), ERR_OK);
    assert_int_equal(blob_writer_add(a, "a", 1), ERR_OK);
    assert_int_equal(blob_writer_add(b, "b", 1), ERR_OK);
    assert_int_equal(blob_writer_finish(&b), ERR_OK);
    assert_int_equal(blob_writer_finish(&a), ERR_ALREADY_EXISTS);
    assert_null(a);
    expect(f, "race", 0, 0, "b");
}

static void test_hostile_names(void **state)
{
    struct fixture *f = *state;
    char long_name[202];
    memset(long_name, 'n', 201);
    long_name[201] = '\0';
    const char *const names[] = {
        "",
        "/",
        "/etc/passwd",
        "..",
        "../x",
        "a/../b",
        "a/..",
        "a//b",
        "a/",
        ".",
        "./a",
        "a/./b",
        ".hidden",
        "a/.tmp/b",
        "a b",
        "a\\b",
        "a\nb",
        "a:b",
        "a%2fb",
        "\xc3\xa4",
        "a*",
        ".tmp/x",
        "a/b/../../../etc/passwd",
        long_name,
        NULL,
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char *bytes;
        size_t n;
        uint64_t size;
        struct blob_writer *w;
        assert_int_equal(blob_put(f->store, names[i], "x", 1), ERR_INVALID_ARGUMENT);
        assert_int_equal(blob_get(f->store, names[i], 0, 0, &bytes, &n), ERR_INVALID_ARGUMENT);
        assert_int_equal(blob_size(f->store, names[i], &size), ERR_INVALID_ARGUMENT);
        assert_int_equal(blob_delete(f->store, names[i]), ERR_INVALID_ARGUMENT);
        assert_int_equal(blob_writer_open(f->store, names[i], &w), ERR_INVALID_ARGUMENT);
    }
    long_name[200] = '\0';
    static const char *const good[] = {"a", "A-_.9", "b/c/d/e/f/g", "a..b", "a./b"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_int_equal(blob_put(f->store, good[i], "x", 1), ERR_OK);
    assert_int_equal(blob_put(f->store, long_name, "x", 1), ERR_OK);
}

enum { THREADS = 4, ROUNDS = 30, BYTES = 20000 };

struct crowd {
    struct blob_store *store;
    int index, won, failures;
};

static bool is_whole(struct blob_store *store, const char *name)
{
    char *bytes;
    size_t n;
    enum err err = blob_get(store, name, 0, 0, &bytes, &n);
    if (err)
        return err == ERR_NOT_FOUND;
    bool is_good = n == BYTES;
    for (size_t i = 1; is_good && i < n; i++)
        is_good = bytes[i] == bytes[0];
    free(bytes);
    return is_good;
}

static void *crowd_main(void *arg)
{
    struct crowd *c = arg;
    char bytes[BYTES], name[64];
    memset(bytes, 'a' + c->index, sizeof(bytes));
    for (int i = 0; i < ROUNDS; i++) {
        snprintf(name, sizeof(name), "round%d/x%d", i % 7, i);
        c->failures += !is_whole(c->store, name); /* a blob is never half there */
        enum err err = blob_put(c->store, name, bytes, sizeof(bytes));
        c->won += err == ERR_OK;
        c->failures += err != ERR_OK && err != ERR_ALREADY_EXISTS;
        c->failures += !is_whole(c->store, name);
    }
    return NULL;
}

static void test_threads_agree(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[THREADS];
    struct crowd crowd[THREADS];
    int won = 0;
    for (int i = 0; i < THREADS; i++) {
        crowd[i] = (struct crowd){.store = f->store, .index = i};
        assert_int_equal(pthread_create(&threads[i], NULL, crowd_main, &crowd[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(crowd[i].failures, 0);
        won += crowd[i].won;
    }
    assert_int_equal(won, ROUNDS);
}

/* More than a part of a transfer, by writer and by parts, and read back by ranges. */
static void test_big(void **state)
{
    struct fixture *f = *state;
    enum { BIG = 20 << 20, STEP = 1 << 20 };
    char *bytes = malloc(BIG), *got;
    size_t n;
    int fd;
    uint64_t at, size;
    for (size_t i = 0; i < BIG; i++)
        bytes[i] = (char)(i * 2654435761u >> 13);
    struct blob_writer *w;
    assert_int_equal(blob_writer_open(f->store, "written", &w), ERR_OK);
    for (size_t i = 0; i < BIG; i += STEP)
        assert_int_equal(blob_writer_add(w, bytes + i, STEP), ERR_OK);
    assert_int_equal(blob_writer_finish(&w), ERR_OK);
    for (size_t i = 0; i < BIG; i += STEP)
        assert_int_equal(blob_part_write(f->store, "parted", i, bytes + i, STEP), ERR_OK);
    assert_int_equal(blob_part_finish(f->store, "parted", BIG - 1), ERR_OK);
    assert_int_equal(blob_get(f->store, "written", 0, 0, &got, &n), ERR_OK);
    assert_int_equal(n, BIG);
    assert_memory_equal(got, bytes, n);
    free(got);
    assert_int_equal(blob_size(f->store, "parted", &size), ERR_OK);
    assert_int_equal(size, BIG - 1);
    assert_int_equal(blob_open_range(f->store, "parted", 8388600, 9000000, &fd, &at), ERR_OK);
    got = malloc(9000000);
    assert_int_equal(pread(fd, got, 9000000, (off_t)at), 9000000);
    assert_memory_equal(got, bytes + 8388600, 9000000);
    close(fd);
    free(got);
    assert_int_equal(blob_writer_open(f->store, "given-up", &w), ERR_OK);
    assert_int_equal(blob_writer_add(w, bytes, BIG), ERR_OK);
    blob_writer_abort(&w);
    assert_int_equal(blob_size(f->store, "given-up", &size), ERR_NOT_FOUND);
    free(bytes);
}

static void test_an_unknown_driver_is_refused(void **state)
{
    struct blob_store *store = NULL;
    struct blob_options opt = {.driver = "attic", .root = "/tmp"};
    assert_int_equal(blob_open(&store, &opt), ERR_INVALID_ARGUMENT);
    blob_close(&store);
}

int main(int argc, char **argv)
{
    driver = argc > 1 ? argv[1] : driver;
    log_set_level(getenv("TEST_LOG") ? LOG_DEBUG : LOG_OFF);
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_put_get_delete),
        T(test_ranges),
        T(test_blobs_never_change),
        T(test_streams),
        T(test_parts),
        T(test_the_first_of_two_writers_wins),
        T(test_hostile_names),
        T(test_threads_agree),
        T(test_big),
        cmocka_unit_test(test_an_unknown_driver_is_refused),
    };
    return cmocka_run_group_tests_name("blob", tests, NULL, NULL);
}
