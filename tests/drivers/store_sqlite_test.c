/*
 * store_sqlite_test: what only the SQLite driver can get wrong: the lock, the files and their
 * modes, checkpoints, a disk that fills up or fails, a file that is no database. statvfs is wrapped
 * by the linker, so the test says how full the disk is; failed syncs come from powerloss_vfs.
 */
#include "store_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "powerloss_vfs.h"

/* ---- the wrapped call ---- */

static atomic_int free_percent = -1; /* -1: the truth */

/* The name that is linked depends on _FILE_OFFSET_BITS; the struct is the same on 64 bits. */
int __real_statvfs(const char *path, struct statvfs *fs);
int __wrap_statvfs(const char *path, struct statvfs *fs);
int __wrap_statvfs64(const char *path, struct statvfs *fs);

int __wrap_statvfs(const char *path, struct statvfs *fs)
{
    int percent = atomic_load(&free_percent);
    if (percent < 0)
        return __real_statvfs(path, fs);
    memset(fs, 0, sizeof(*fs));
    fs->f_blocks = 1000;
    fs->f_bavail = (fsblkcnt_t)percent * 10;
    return 0;
}

int __wrap_statvfs64(const char *path, struct statvfs *fs)
{
    return __wrap_statvfs(path, fs);
}

static int teardown(void **state)
{
    atomic_store(&free_percent, -1);
    return fixture_teardown(state);
}

/* ---- files ---- */

static int64_t size_of(struct fixture *f, const char *name)
{
    char path[256];
    struct stat st;
    snprintf(path, sizeof(path), "%s/%s", f->dir.path, name);
    return stat(path, &st) == 0 ? (int64_t)st.st_size : -1;
}

static void test_one_process_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct store *second = NULL;
    struct store_options opt = fixture_options(f);
    assert_int_equal(store_open(&second, &opt), ERR_FAILED_PRECONDITION);
    assert_null(second);
    pid_t child = fork();
    if (child == 0) {
        enum err err = store_open(&second, &opt);
        _exit(err == ERR_FAILED_PRECONDITION ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    assert_int_equal(fixture_exec(f->store, "CREATE TABLE still_works (id INTEGER)"), ERR_OK);
    store_close(&f->store);
    assert_int_equal(store_open(&second, &opt), ERR_OK);
    store_close(&second);
}

static void test_nobody_else_can_read(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"store.db", "store.db-wal", "store.db-shm", "lock"};
    mode_t before = umask(0);
    store_close(&f->store);
    char path[256];
    snprintf(path, sizeof(path), "%s/store.db", f->dir.path);
    unlink(path);
    fixture_reopen(f, NULL);
    umask(before);
    assert_int_equal(fixture_exec(f->store, "CREATE TABLE t (id INTEGER)"), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct stat st;
        snprintf(path, sizeof(path), "%s/%s", f->dir.path, names[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 077, 0);
    }
}

struct copying {
    struct fixture *f;
    int calls, stop_after; /* 0: never */
};

/* Somebody writes while the copy is made. */
static bool on_pages(void *arg, int64_t done, int64_t total)
{
    struct copying *c = arg;
    assert_true(done <= total);
    assert_int_equal(fixture_exec(c->f->store, "INSERT INTO t (n) VALUES (1)"), ERR_OK);
    return ++c->calls != c->stop_after;
}

static void test_a_backup_is_of_one_moment(void **state)
{
    struct fixture *f = *state;
    struct copying copying = {.f = f};
    struct store_progress progress = {on_pages, &copying};
    char path[256], url[256];
    assert_int_equal(fixture_exec(f->store, "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)"),
                     ERR_OK);
    assert_int_equal(fixture_exec(f->store, "CREATE TABLE big (b BLOB)"), ERR_OK);
    assert_int_equal(fixture_exec(f->store, "INSERT INTO big VALUES (zeroblob(4000000))"), ERR_OK);
    snprintf(path, sizeof(path), "%s/copy", f->dir.path);
    snprintf(url, sizeof(url), "%s/copy/store.db", f->dir.path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(store_backup(f->store, url, &progress), ERR_OK);
    assert_true(copying.calls > 1);
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM t"), copying.calls);
    assert_int_equal(store_backup(f->store, url, NULL), ERR_ALREADY_EXISTS);
    struct store *copy;
    assert_int_equal(store_open(&copy, &(struct store_options){.url = url, .ballast_bytes = -1}),
                     ERR_OK);
    assert_int_equal(fixture_int(copy, "SELECT COUNT(*) FROM t"), 0);
    assert_int_equal(fixture_int(copy, "SELECT COUNT(*) FROM big"), 1);
    store_close(&copy);
    snprintf(url, sizeof(url), "%s/copy/other.db", f->dir.path);
    copying = (struct copying){.f = f, .stop_after = 2};
    assert_int_equal(store_backup(f->store, url, &progress), ERR_CANCELLED);
    assert_int_equal(size_of(f, "copy/other.db"), -1);
    assert_int_not_equal(store_backup(f->store, "/nowhere/x.db", NULL), ERR_OK);
}

static void test_a_clean_close_leaves_one_file(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fixture_exec(f->store, "CREATE TABLE t (id INTEGER)"), ERR_OK);
    assert_true(fixture_int(f->store, "SELECT COUNT(*) FROM t") == 0); /* a reader is open */
    store_close(&f->store);
    assert_int_equal(size_of(f, "store.db-wal"), -1);
    assert_int_equal(size_of(f, "store.db-shm"), -1);
    assert_true(size_of(f, "store.db") > 0);
}

static void test_bad_places_are_refused(void **state)
{
    struct fixture *f = *state;
    struct store *store = NULL;
    struct store_options opt = fixture_options(f);
    opt.url = "";
    assert_int_equal(store_open(&store, &opt), ERR_INVALID_ARGUMENT);
    opt.url = NULL;
    assert_int_equal(store_open(&store, &opt), ERR_INVALID_ARGUMENT);
    opt.url = "/proc/nowhere/store.db";
    assert_int_not_equal(store_open(&store, &opt), ERR_OK);
    assert_null(store);
    char deep[256];
    snprintf(deep, sizeof(deep), "%s/made/on/the/way/store.db", f->dir.path);
    opt.url = deep;
    assert_int_equal(store_open(&store, &opt), ERR_OK);
    store_close(&store);
}

static void test_what_is_no_database_is_refused(void **state)
{
    struct fixture *f = *state;
    struct store_options opt = fixture_options(f);
    static char garbage[8192];
    memset(garbage, 'G', sizeof(garbage));
    store_close(&f->store);
    int fd = open(f->url, O_WRONLY | O_TRUNC);
    assert_true(write(fd, garbage, sizeof(garbage)) == (ssize_t)sizeof(garbage));
    close(fd);
    assert_int_equal(store_open(&f->store, &opt), ERR_DATA_LOSS);
    assert_null(f->store);
    assert_int_equal(size_of(f, "store.db"), sizeof(garbage)); /* left as it was */
}

static int count_temporaries(void)
{
    int count = 0;
    DIR *d = opendir("/dev/shm");
    for (struct dirent *e; d && (e = readdir(d));)
        count += strncmp(e->d_name, "parlance-store-", 15) == 0;
    if (d)
        closedir(d);
    return count;
}

static void *memory_main(void *arg)
{
    for (int i = 0; i < 50; i++)
        if (fixture_exec(arg, "INSERT INTO t (n) VALUES (1)") != ERR_OK)
            return arg;
    return NULL;
}

static void test_memory_is_shared_by_threads_and_gone_after(void **state)
{
    struct store *a, *b;
    struct store_options opt = {.url = ":memory:"};
    int before = count_temporaries();
    assert_int_equal(store_open(&a, &opt), ERR_OK);
    assert_int_equal(store_open(&b, &opt), ERR_OK); /* another one */
    assert_int_equal(fixture_exec(a, "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)"), ERR_OK);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, memory_main, a);
    for (int i = 0; i < 4; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(fixture_int(a, "SELECT COUNT(*) FROM t"), 200);
    assert_int_equal(fixture_int(b, "SELECT COUNT(*) FROM sqlite_master"), 0);
    store_close(&a);
    store_close(&b);
    assert_int_equal(count_temporaries(), before);
}

/* ---- a job that takes the transaction with it ---- */

struct job {
    const char *sql;
    int runs;
    enum err err;
    atomic_int *answered;
};

static enum err job_run(struct store_tx *tx, void *arg)
{
    struct job *j = arg;
    j->runs++;
    return store_run(tx, j->sql, "");
}

static void job_done(enum err err, void *arg)
{
    struct job *j = arg;
    j->err = err;
    atomic_fetch_add(j->answered, 1);
}

static void test_nothing_is_acknowledged_that_was_rolled_back(void **state)
{
    struct fixture *f = *state;
    atomic_int answered = 0;
    struct job jobs[] = {
        {.sql = "INSERT INTO t VALUES (1)", .answered = &answered},
        {.sql = "INSERT INTO t VALUES (2)", .answered = &answered},
        {.sql = "INSERT OR ROLLBACK INTO t VALUES (1)", .answered = &answered},
        {.sql = "INSERT INTO t VALUES (4)", .answered = &answered},
        {.sql = "INSERT INTO t VALUES (5)", .answered = &answered},
    };
    struct blocker b;
    assert_int_equal(fixture_exec(f->store, "CREATE TABLE t (id INTEGER PRIMARY KEY)"), ERR_OK);
    fixture_block(f->store, &b);
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
        store_write(f->store, 0, job_run, &jobs[i], job_done);
    fixture_release(&b);
    store_flush(f->store);
    assert_int_equal(atomic_load(&answered), 5);
    assert_int_equal(jobs[0].err, ERR_UNAVAILABLE); /* gone with the third: may be tried again */
    assert_int_equal(jobs[1].err, ERR_UNAVAILABLE);
    assert_int_equal(jobs[2].err, ERR_ALREADY_EXISTS);
    assert_int_equal(jobs[3].err, ERR_OK); /* had no turn yet: the next transaction */
    assert_int_equal(jobs[4].err, ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
        assert_int_equal(jobs[i].runs, 1);
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM t"), 2);
}

/* ---- checkpoints ---- */

static enum err write_100k(struct store_tx *tx, void *arg)
{
    static const char bytes[100000];
    return store_run(tx, "INSERT INTO big (b) VALUES (?)", "b", bytes, sizeof(bytes));
}

static enum err read_long(struct store_tx *tx, void *arg)
{
    struct fixture *f = arg;
    struct store_stmt *st = store_query(tx, "SELECT COUNT(*) FROM big", "");
    int64_t before = store_step(st) ? store_int(st, 0) : -1;
    enum err err = store_finish(st);
    for (int i = 0; !err && i < 150; i++)
        err = store_write_sync(f->store, 0, write_100k, NULL);
    st = store_query(tx, "SELECT COUNT(*) FROM big", "");
    int64_t after = store_step(st) ? store_int(st, 0) : -2;
    if (!err)
        err = store_finish(st);
    return err ? err : before == after ? ERR_OK : ERR_UNKNOWN;
}

static void test_the_log_stays_small(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fixture_exec(f->store, "CREATE TABLE big (id INTEGER PRIMARY KEY, b BLOB)"),
                     ERR_OK);
    /* 4,000 pages while jobs wait, and one batch. */
    const int64_t bound = (4000 * 4096) + (1 << 20);
    for (int i = 0; i < 350; i++)
        assert_int_equal(store_write_sync(f->store, 0, write_100k, NULL), ERR_OK);
    assert_in_range(size_of(f, "store.db-wal"), 1, bound);
    assert_true(size_of(f, "store.db") > 15 << 20);
    /* A reader holds its snapshot while the log must go on growing; afterwards it is small again,
     * or at least no longer than it was. */
    assert_int_equal(store_read(f->store, read_long, f), ERR_OK);
    int64_t grown = size_of(f, "store.db-wal");
    assert_true(grown > 15 << 20);
    for (int i = 0; i < 100; i++)
        assert_int_equal(store_write_sync(f->store, 0, write_100k, NULL), ERR_OK);
    assert_true(size_of(f, "store.db-wal") <= grown + bound);
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM big"), 600);
}

/* ---- a disk that fills up ---- */

static enum err plain_insert(struct store_tx *tx, void *arg)
{
    return store_run(tx, "INSERT INTO t (n) VALUES (1)", "");
}

static void wait_until_writable(struct fixture *f, bool is_writable)
{
    int64_t until_ms = clock_mono_ms() + 20000;
    while (store_is_writable(f->store) != is_writable && clock_mono_ms() < until_ms)
        usleep(10000);
    assert_int_equal(store_is_writable(f->store), is_writable);
}

static void test_the_reserve_is_for_essential_writes(void **state)
{
    struct fixture *f = *state;
    struct store_options opt = fixture_options(f);
    opt.reserve_percent = 5;
    opt.ballast_bytes = 1 << 20;
    atomic_store(&free_percent, 50);
    fixture_reopen(f, &opt);
    assert_int_equal(fixture_exec(f->store, "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)"),
                     ERR_OK);
    assert_int_equal(size_of(f, "ballast"), 1 << 20);
    atomic_store(&free_percent, 4);
    wait_until_writable(f, false);
    assert_int_equal(store_write_sync(f->store, 0, plain_insert, NULL), ERR_RESOURCE_EXHAUSTED);
    assert_int_equal(store_write_essential_sync(f->store, 0, plain_insert, NULL), ERR_OK);
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM t"), 1);
    atomic_store(&free_percent, 5); /* not to and fro at the line */
    usleep(1200000);
    assert_false(store_is_writable(f->store));
    atomic_store(&free_percent, 20);
    wait_until_writable(f, true);
    assert_int_equal(store_write_sync(f->store, 0, plain_insert, NULL), ERR_OK);
    atomic_store(&free_percent, 2); /* a start on a full disk works, read-only */
    fixture_reopen(f, &opt);
    assert_false(store_is_writable(f->store));
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM t"), 2);
}

static enum err insert_50k(struct store_tx *tx, void *arg)
{
    static const char bytes[50000];
    return store_run(tx, "INSERT INTO t (n) VALUES (?)", "b", bytes, sizeof(bytes));
}

static void test_a_full_disk_loses_nothing(void **state)
{
    struct fixture *f = *state;
    struct store_options opt = fixture_options(f);
    opt.ballast_bytes = 1 << 20;
    fixture_reopen(f, &opt);
    assert_int_equal(fixture_exec(f->store, "CREATE TABLE t (id INTEGER PRIMARY KEY, n BLOB)"),
                     ERR_OK);
    struct rlimit before, small;
    getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = 400000;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    int kept = 0;
    enum err err = ERR_OK;
    for (int i = 0; i < 40 && !err; i++) {
        err = store_write_sync(f->store, 0, insert_50k, NULL);
        kept += !err;
    }
    int64_t ballast = size_of(f, "ballast"); /* now: it comes back as soon as there is room */
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(err, ERR_RESOURCE_EXHAUSTED);
    assert_in_range(kept, 1, 39);
    assert_int_equal(ballast, 0); /* given away */
    assert_int_equal(size_of(f, "fsync-failed"), -1);
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM t"), kept);
    fixture_reopen(f, &opt);
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM t"), kept);
    assert_int_equal(store_write_sync(f->store, 0, insert_50k, NULL), ERR_OK);
    assert_int_equal(size_of(f, "ballast"), 1 << 20); /* and made again */
}

/* ---- a disk that loses a write ---- */

static void count_call(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

static void test_a_failed_sync_ends_all_writing(void **state)
{
    struct fixture *f = *state;
    atomic_int calls = 0, answered = 0;
    struct store_options opt = fixture_options(f);
    opt.vfs = "powerloss";
    opt.on_fatal = count_call;
    opt.on_fatal_arg = &calls;
    opt.batch_max = 1; /* the second job is queued already when the first one's commit fails */
    fixture_reopen(f, &opt);
    assert_int_equal(fixture_exec(f->store, "CREATE TABLE t (id INTEGER PRIMARY KEY)"), ERR_OK);
    assert_int_equal(fixture_exec(f->store, "INSERT INTO t VALUES (1)"), ERR_OK);

    struct job jobs[] = {
        {.sql = "INSERT INTO t VALUES (2)", .answered = &answered},
        {.sql = "INSERT INTO t VALUES (3)", .answered = &answered},
    };
    struct blocker b;
    fixture_block(f->store, &b);
    powerloss_arm(&(struct powerloss){.fail_sync_in = 1});
    store_write(f->store, 0, job_run, &jobs[0], job_done);
    store_write(f->store, 0, job_run, &jobs[1], job_done);
    fixture_release(&b);
    store_flush(f->store);
    assert_int_equal(atomic_load(&answered), 2);
    assert_int_not_equal(jobs[0].err, ERR_OK);
    assert_int_equal(jobs[1].err, ERR_UNAVAILABLE);
    assert_int_equal(jobs[1].runs, 0);
    assert_int_equal(atomic_load(&calls), 1);
    assert_true(size_of(f, "fsync-failed") > 0);
    assert_false(store_is_writable(f->store));
    assert_int_equal(fixture_exec(f->store, "INSERT INTO t VALUES (4)"), ERR_UNAVAILABLE);
    assert_int_equal(store_write_essential_sync(f->store, 0, plain_insert, NULL), ERR_UNAVAILABLE);
    assert_int_equal(atomic_load(&calls), 1);
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM t WHERE id = 1"), 1);

    powerloss_arm(&(struct powerloss){0});
    fixture_reopen(f, &opt); /* the rescue */
    assert_int_equal(size_of(f, "fsync-failed"), -1);
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM t WHERE id = 1"), 1);
    assert_int_equal(fixture_exec(f->store, "INSERT INTO t VALUES (5)"), ERR_OK);
    store_close(&f->store);
    powerloss_forget();
}

static void test_without_a_handler_the_process_ends(void **state)
{
    struct fixture *f = *state;
    struct store_options opt = fixture_options(f);
    opt.vfs = "powerloss";
    store_close(&f->store);
    pid_t child = fork();
    if (child == 0) {
        struct store *store;
        if (store_open(&store, &opt) != ERR_OK)
            _exit(1);
        powerloss_arm(&(struct powerloss){.fail_sync_in = 1});
        enum err err = fixture_exec(store, "CREATE TABLE t (id INTEGER)");
        _exit(err == ERR_OK ? 2 : 3); /* must not come here */
    }
    int status = -1;
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 74);
    assert_true(size_of(f, "fsync-failed") > 0);
    fixture_reopen(f, NULL);
    assert_int_equal(size_of(f, "fsync-failed"), -1);
}

int main(void)
{
    log_set_level(getenv("TEST_LOG") ? LOG_DEBUG : LOG_OFF);
    powerloss_register();
#define T(test) cmocka_unit_test_setup_teardown(test, fixture_setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_one_process_at_a_time),
        T(test_nobody_else_can_read),
        T(test_a_backup_is_of_one_moment),
        T(test_a_clean_close_leaves_one_file),
        T(test_bad_places_are_refused),
        T(test_what_is_no_database_is_refused),
        cmocka_unit_test(test_memory_is_shared_by_threads_and_gone_after),
        T(test_nothing_is_acknowledged_that_was_rolled_back),
        T(test_the_log_stays_small),
        T(test_the_reserve_is_for_essential_writes),
        T(test_a_full_disk_loses_nothing),
        T(test_a_failed_sync_ends_all_writing),
        T(test_without_a_handler_the_process_ends),
    };
    return cmocka_run_group_tests_name("store sqlite", tests, NULL, NULL);
}
