/*
 * blob_files_test: what only the files driver can get wrong: links that lead outside, the order of
 * syncs, a sync that fails, a disk that is full, drafts of processes that died. fsync and renameat2
 * are wrapped by the linker, so the test sees and spoils them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <errno.h>

#include "blob/blob.h"
#include "blob/blob_files_internal.h"
#include "core/id.h"
#include "core/log.h"
#include "core/str.h"
#include "test_dir.h"

/* ---- the wrapped calls ---- */

static char trace[64]; /* f: a file was synced, d: a directory, r: renamed */
static int fail_at;    /* the sync that fails, counted from 1; 0: none */
static int sync_count;
static int rename_errno; /* renameat2 fails with it; 0: it does not */

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags);
int __wrap_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags);

static void note(char what)
{
    size_t n = strlen(trace);
    if (n + 1 < sizeof(trace))
        trace[n] = what;
}

int __wrap_fsync(int fd)
{
    struct stat st;
    note(fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) ? 'd' : 'f');
    if (++sync_count == fail_at) {
        errno = EIO;
        return -1;
    }
    return __real_fsync(fd);
}

int __wrap_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    note('r');
    errno = rename_errno;
    return rename_errno ? -1 : __real_renameat2(from_dir, from, to_dir, to, flags);
}

static void calm(void)
{
    memset(trace, 0, sizeof(trace));
    fail_at = sync_count = rename_errno = 0;
}

/* ---- fixture ---- */

struct fixture {
    struct test_dir root, outside;
    struct blob_store *store;
};

static void reopen(struct fixture *f)
{
    blob_close(&f->store);
    struct blob_options opt = {.root = f->root.path};
    assert_int_equal(blob_open(&f->store, &opt), ERR_OK);
    calm();
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    test_dir_make(&f->root);
    test_dir_make(&f->outside);
    reopen(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    calm();
    blob_files_without_openat2(false);
    blob_close(&f->store);
    test_dir_remove(&f->root);
    test_dir_remove(&f->outside);
    free(f);
    return 0;
}

static void in_dir(char out[256], const struct test_dir *dir, const char *name)
{
    snprintf(out, 256, "%s/%s", dir->path, name);
}

static bool exists(const struct test_dir *dir, const char *name)
{
    char path[256];
    in_dir(path, dir, name);
    return access(path, F_OK) == 0;
}

/* ---- tests ---- */

static void links_lead_nowhere(struct fixture *f)
{
    char link_path[256], secret[256];
    uint64_t size;
    in_dir(secret, &f->outside, "secret");
    int fd = open(secret, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0 && write(fd, "x", 1) == 1);
    close(fd);
    in_dir(link_path, &f->root, "dir");
    assert_int_equal(symlink(f->outside.path, link_path), 0);
    in_dir(link_path, &f->root, "file");
    assert_int_equal(symlink(secret, link_path), 0);

    assert_int_equal(blob_size(f->store, "file", &size), ERR_NOT_FOUND);
    assert_int_equal(blob_size(f->store, "dir/secret", &size), ERR_NOT_FOUND);
    assert_int_equal(blob_delete(f->store, "dir/secret"), ERR_NOT_FOUND);
    assert_true(exists(&f->outside, "secret"));
    assert_int_equal(blob_put(f->store, "dir/planted", "x", 1), ERR_FAILED_PRECONDITION);
    assert_int_equal(blob_put(f->store, "dir/deep/planted", "x", 1), ERR_FAILED_PRECONDITION);
    assert_false(exists(&f->outside, "planted"));
    assert_false(exists(&f->outside, "deep"));
    assert_int_equal(blob_put(f->store, "file", "x", 1), ERR_ALREADY_EXISTS);
    assert_int_equal(blob_delete(f->store, "file"), ERR_OK); /* the link goes, not its end */
    assert_true(exists(&f->outside, "secret"));
}

static void test_links_lead_nowhere(void **state)
{
    links_lead_nowhere(*state);
}

static void test_links_lead_nowhere_without_openat2(void **state)
{
    struct fixture *f = *state;
    uint64_t size;
    blob_files_without_openat2(true);
    assert_int_equal(blob_put(f->store, "a/b/c", "abc", 3), ERR_OK);
    assert_int_equal(blob_put(f->store, "top", "abcd", 4), ERR_OK);
    assert_int_equal(blob_size(f->store, "a/b/c", &size), ERR_OK);
    assert_int_equal(size, 3);
    assert_int_equal(blob_size(f->store, "top", &size), ERR_OK);
    assert_int_equal(size, 4);
    links_lead_nowhere(f);
}

static void test_what_is_no_blob_is_not_found(void **state)
{
    struct fixture *f = *state;
    uint64_t size;
    assert_int_equal(blob_put(f->store, "a/b", "x", 1), ERR_OK);
    assert_int_equal(blob_size(f->store, "a", &size), ERR_NOT_FOUND);
    assert_int_equal(blob_delete(f->store, "a"), ERR_NOT_FOUND);
    assert_int_equal(blob_size(f->store, "a/b/c", &size), ERR_NOT_FOUND);
    assert_int_equal(blob_put(f->store, "a/b/c", "x", 1), ERR_FAILED_PRECONDITION);
    assert_int_equal(blob_put(f->store, "a", "x", 1), ERR_ALREADY_EXISTS);
    char pipe_path[256];
    in_dir(pipe_path, &f->root, "pipe");
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    assert_int_equal(blob_size(f->store, "pipe", &size), ERR_NOT_FOUND); /* and does not hang */
}

/* The bytes before the name, the name before the answer, new directories before what is in them. */
static void test_the_order_of_syncs(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(blob_put(f->store, "x", "1", 1), ERR_OK);
    assert_string_equal(trace, "frd");
    calm();
    assert_int_equal(blob_put(f->store, "d1/d2/y", "1", 1), ERR_OK);
    assert_string_equal(trace, "fddrd");
    calm();
    assert_int_equal(blob_put(f->store, "d1/d2/z", "1", 1), ERR_OK);
    assert_string_equal(trace, "frd");
    reopen(f); /* whoever made the directories may have died before their sync */
    assert_int_equal(blob_put(f->store, "d1/d2/again", "1", 1), ERR_OK);
    assert_string_equal(trace, "fddrd");
    calm();
    assert_int_equal(blob_delete(f->store, "x"), ERR_OK);
    assert_string_equal(trace, "d");
}

static void test_a_failed_sync_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    char name[32];
    uint64_t size;
    /* A directory, the file, the directory after the rename: each fails in its turn. */
    for (int at = 1; at <= 3; at++) {
        snprintf(name, sizeof(name), "dir%d/blob", at);
        calm();
        fail_at = at;
        assert_int_not_equal(blob_put(f->store, name, "1", 1), ERR_OK);
        calm();
        assert_int_equal(blob_size(f->store, name, &size), ERR_NOT_FOUND);
        assert_int_equal(blob_put(f->store, name, "2", 1), ERR_OK); /* and may be tried again */
    }
}

static void test_a_file_system_without_noreplace(void **state)
{
    struct fixture *f = *state;
    char *bytes;
    size_t n;
    rename_errno = EINVAL;
    assert_int_equal(blob_put(f->store, "linked", "1", 1), ERR_OK);
    assert_int_equal(blob_put(f->store, "linked", "2", 1), ERR_ALREADY_EXISTS);
    assert_int_equal(blob_get(f->store, "linked", 0, 0, &bytes, &n), ERR_OK);
    assert_true(n == 1 && bytes[0] == '1');
    free(bytes);
}

static void test_a_full_disk(void **state)
{
    struct fixture *f = *state;
    struct rlimit before, small = {.rlim_cur = 5000};
    struct blob_writer *w;
    uint64_t size;
    static char bytes[4000];
    getrlimit(RLIMIT_FSIZE, &before);
    small.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    assert_int_equal(blob_writer_open(f->store, "big", &w), ERR_OK);
    assert_int_equal(blob_writer_add(w, bytes, sizeof(bytes)), ERR_OK);
    assert_int_not_equal(blob_writer_add(w, bytes, sizeof(bytes)), ERR_OK);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_not_equal(blob_writer_add(w, bytes, 1), ERR_OK); /* once failed stays failed */
    assert_int_not_equal(blob_writer_finish(&w), ERR_OK);
    assert_int_equal(blob_size(f->store, "big", &size), ERR_NOT_FOUND);
}

static void test_drafts_of_the_dead_go(void **state)
{
    struct fixture *f = *state;
    char name[64], path[256], fresh[256];
    char id[ID_SIZE];
    for (int is_fresh = 0; is_fresh < 2; is_fresh++) {
        id_make(id);
        snprintf(name, sizeof(name), ".tmp/%s", id);
        in_dir(is_fresh ? fresh : path, &f->root, name);
        int fd = open(is_fresh ? fresh : path, O_WRONLY | O_CREAT, 0600);
        struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
        assert_int_equal(is_fresh ? 0 : futimens(fd, old), 0);
        close(fd);
    }
    reopen(f);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(access(fresh, F_OK), 0);
}

static void test_nobody_else_can_read(void **state)
{
    struct fixture *f = *state;
    char path[256];
    struct stat st;
    assert_int_equal(blob_put(f->store, "p/q", "1", 1), ERR_OK);
    in_dir(path, &f->root, "p/q");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 077, 0);
    in_dir(path, &f->root, "p");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 077, 0);
}

int main(void)
{
    log_set_level(getenv("TEST_LOG") ? LOG_DEBUG : LOG_OFF);
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_links_lead_nowhere),
        T(test_links_lead_nowhere_without_openat2),
        T(test_what_is_no_blob_is_not_found),
        T(test_the_order_of_syncs),
        T(test_a_failed_sync_leaves_nothing),
        T(test_a_file_system_without_noreplace),
        T(test_a_full_disk),
        T(test_drafts_of_the_dead_go),
        T(test_nobody_else_can_read),
    };
    return cmocka_run_group_tests_name("blob files", tests, NULL, NULL);
}
