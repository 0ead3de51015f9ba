/*
 * store_powerloss_test: the power goes at random moments, some hundred times: every acknowledged
 * row is there afterwards, with its bytes, and the database is sound. A disk that fails one sync
 * and then loses its power: the same, because a start after it rewrites the log. The harness is
 * tested on itself: with synchronous=OFF, with a disk that lies about syncs, and with the marker
 * taken away, the same runs must lose rows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "powerloss_vfs.h"
#include "store/store.h"

/* Sanitizers make it some ten times slower. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define DATABASES 10
#define FAILING_DATABASES 40
#else
#define DATABASES 50
#define FAILING_DATABASES 150
#endif
#define CUTS_EACH 6

#define ROWS_MAX 20000
#define ROWS_PER_LIFE 60
#define OPS_MAX 420 /* a life of that many rows has about so many operations */

/* One database through its lives. */
struct world {
    char dir[64], url[96];
    const char *pragmas;
    bool is_lying;
    bool drops_marker; /* restarts as if nothing had happened */
    unsigned seed;
    struct store *store;
    int next_row;
    _Atomic char is_acked[ROWS_MAX];
    _Atomic int acked_in_life;
    /* what was found: */
    int acked, lost, unsound, cuts, failed_syncs;
};

static unsigned chance(struct world *w, unsigned n)
{
    return (unsigned)rand_r(&w->seed) % n;
}

static void world_init(struct world *w, unsigned seed)
{
    memset(w, 0, sizeof(*w));
    w->seed = seed;
}

static void world_begin(struct world *w)
{
    snprintf(w->dir, sizeof(w->dir), "%s/parlance-power-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->url, sizeof(w->url), "%s/store.db", w->dir);
    w->next_row = 0;
    memset((void *)w->is_acked, 0, sizeof(w->is_acked));
}

static void on_fatal(void *arg)
{
}

static enum err world_open(struct world *w)
{
    struct store_options opt = {
        .url = w->url,
        .vfs = "powerloss",
        .pragmas = w->pragmas,
        .ballast_bytes = -1,
        .reserve_percent = -1,
        .gather_us = -1,
        .on_fatal = on_fatal,
    };
    static const struct store_migration schema[] = {
        {"power", 1,
         "CREATE TABLE r (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);"
         "CREATE INDEX r_bytes ON r (bytes)"},
    };
    enum err err = store_open(&w->store, &opt);
    if (!err)
        err = store_migrate(w->store, schema, 1);
    return err;
}

/* ---- rows whose bytes follow from their id ---- */

static size_t row_size(int id)
{
    return (size_t)(id * 7919 % 37 == 0 ? 9000 : 10 + id * 31 % 700);
}

static void row_bytes(int id, char *bytes)
{
    for (size_t i = 0; i < row_size(id); i++)
        bytes[i] = (char)(id * 131 + (int)i * 7);
}

struct row {
    struct world *world;
    int id;
};

static enum err insert_run(struct store_tx *tx, void *arg)
{
    const struct row *row = arg;
    char bytes[9000];
    row_bytes(row->id, bytes);
    return store_run(tx, "INSERT INTO r VALUES (?, ?)", "ib", (int64_t)row->id, bytes,
                     row_size(row->id));
}

static void insert_done(enum err err, void *arg)
{
    struct row *row = arg;
    if (!err) {
        row->world->is_acked[row->id] = 1;
        row->world->acked_in_life++;
    }
    free(row);
}

/* Several at a time, so that they share commits; until the disk fails or enough is written. */
static void write_rows(struct world *w)
{
    for (int i = 0; i < ROWS_PER_LIFE && store_is_writable(w->store);) {
        unsigned together = 1 + chance(w, 6);
        for (unsigned k = 0; k < together && w->next_row < ROWS_MAX; k++, i++) {
            struct row *row = malloc(sizeof(*row));
            *row = (struct row){w, w->next_row++};
            store_write(w->store, 0, insert_run, row, insert_done);
        }
        store_flush(w->store);
    }
}

/* ---- what is there ---- */

struct census {
    struct world *world;
    char *is_there;
    int wrong;
};

static enum err census_run(struct store_tx *tx, void *arg)
{
    struct census *c = arg;
    char expected[9000];
    struct store_stmt *st = store_query(tx, "SELECT id, bytes FROM r", "");
    while (store_step(st)) {
        int id = (int)store_int(st, 0);
        struct str bytes = store_str(st, 1);
        bool is_known = id >= 0 && id < c->world->next_row;
        if (is_known)
            row_bytes(id, expected);
        if (is_known && bytes.n == row_size(id) && memcmp(bytes.p, expected, bytes.n) == 0)
            c->is_there[id] = 1;
        else
            c->wrong++;
    }
    return store_finish(st);
}

static void take_census(struct world *w)
{
    struct census c = {.world = w, .is_there = calloc(ROWS_MAX, 1)};
    if (store_read(w->store, census_run, &c) != ERR_OK || c.wrong)
        w->unsound++;
    for (int id = 0; id < w->next_row; id++) {
        w->lost += w->is_acked[id] && !c.is_there[id];
        if (w->is_acked[id] && !c.is_there[id])
            w->is_acked[id] = 0; /* counted once */
    }
    free(c.is_there);
}

static void check_soundness(struct world *w)
{
    sqlite3 *sql = NULL;
    sqlite3_stmt *st = NULL;
    bool is_sound = sqlite3_open_v2(w->url, &sql, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
                    sqlite3_prepare_v2(sql, "PRAGMA integrity_check", -1, &st, NULL) == SQLITE_OK &&
                    sqlite3_step(st) == SQLITE_ROW &&
                    strcmp((const char *)sqlite3_column_text(st, 0), "ok") == 0;
    w->unsound += !is_sound;
    sqlite3_finalize(st);
    sqlite3_close(sql);
}

static bool has_marker(struct world *w, bool must_remove)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/fsync-failed", w->dir);
    bool is_there = access(path, F_OK) == 0;
    if (is_there && must_remove)
        unlink(path);
    return is_there;
}

static void world_end(struct world *w)
{
    store_close(&w->store);
    check_soundness(w);
    powerloss_forget();
    static const char *const names[] = {
        "store.db",         "store.db-wal", "store.db-shm",       "lock",
        "store.db-journal", "fsync-failed", "store.db-wal.rescue"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", w->dir, names[i]);
        unlink(path);
    }
    rmdir(w->dir);
}

/* ---- lives ---- */

/* Ends somewhere in the writing or in the closing, by the power; then it is back. */
static void life_with_a_cut(struct world *w)
{
    struct powerloss plan = {.is_lying = w->is_lying, .seed = w->seed};
    plan.cut_after = 1 + chance(w, OPS_MAX);
    powerloss_arm(&plan);
    w->acked_in_life = 0;
    write_rows(w);
    store_close(&w->store);
    w->acked += w->acked_in_life;
    w->cuts++;
    (void)has_marker(w, true); /* a machine without power writes no marker */
    powerloss_restart();
    powerloss_arm(&(struct powerloss){.is_lying = w->is_lying, .seed = w->seed});
}

/* A sync fails; the process ends and starts again, the machine does not. */
static void life_with_a_failed_sync(struct world *w)
{
    struct powerloss plan = {.seed = w->seed};
    plan.fail_sync_in = 1 + chance(w, chance(w, 2) ? 4 : 22);
    powerloss_arm(&plan);
    w->acked_in_life = 0;
    write_rows(w);
    bool is_broken = !store_is_writable(w->store);
    store_close(&w->store);
    is_broken = is_broken || has_marker(w, false); /* it may fail at the close */
    w->acked += w->acked_in_life;
    w->failed_syncs += is_broken;
    assert_int_equal(is_broken, has_marker(w, w->drops_marker));
    powerloss_arm(&(struct powerloss){.seed = w->seed});
}

/* Nothing can be read any more: all that was acknowledged is lost. */
static void note_ruin(struct world *w)
{
    w->unsound++;
    for (int id = 0; id < w->next_row; id++)
        w->lost += w->is_acked[id];
}

/* Databases, each with some cuts; goes on with the next when one cannot be opened any more. */
static void run_cuts(struct world *w, int databases, int cuts_each)
{
    for (int d = 0; d < databases; d++) {
        world_begin(w);
        powerloss_arm(&(struct powerloss){.is_lying = w->is_lying, .seed = w->seed});
        assert_int_equal(world_open(w), ERR_OK);
        for (int i = 0; i < cuts_each; i++) {
            life_with_a_cut(w);
            if (world_open(w) != ERR_OK) {
                note_ruin(w);
                break;
            }
            take_census(w);
        }
        world_end(w);
    }
}

/* The start after it, which the power may end in the middle; then another. */
static enum err open_in_danger(struct world *w)
{
    struct powerloss plan = {.seed = w->seed};
    plan.cut_after = chance(w, 3) ? 1 + chance(w, 25) : 0;
    powerloss_arm(&plan);
    enum err err = world_open(w);
    if (powerloss_is_off()) {
        store_close(&w->store);
        w->cuts++;
        powerloss_restart();
        powerloss_arm(&(struct powerloss){.seed = w->seed});
        err = world_open(w);
    }
    return err;
}

static void run_failed_syncs(struct world *w, int databases)
{
    for (int d = 0; d < databases; d++) {
        world_begin(w);
        powerloss_arm(&(struct powerloss){.seed = w->seed});
        assert_int_equal(world_open(w), ERR_OK);
        write_rows(w); /* so that not every page of the database is in the log */
        store_close(&w->store);
        assert_int_equal(world_open(w), ERR_OK);
        life_with_a_failed_sync(w);
        bool is_open = open_in_danger(w) == ERR_OK;
        if (is_open) {
            take_census(w);
            assert_false(!w->drops_marker && has_marker(w, false));
            life_with_a_cut(w);
            is_open = world_open(w) == ERR_OK;
        }
        if (is_open)
            take_census(w);
        w->unsound += !is_open;
        world_end(w);
    }
}

static void report(const char *what, const struct world *w)
{
    print_message("%-28s %4d cuts %3d failed syncs %6d acknowledged %5d lost %3d unsound\n", what,
                  w->cuts, w->failed_syncs, w->acked, w->lost, w->unsound);
}

/* ---- tests ---- */

static struct world world;

static void test_full_loses_nothing(void **state)
{
    world_init(&world, (unsigned)clock_mono_us());
    print_message("seed %u\n", world.seed);
    run_cuts(&world, DATABASES, CUTS_EACH);
    report("FULL", &world);
    assert_int_equal(world.lost, 0);
    assert_int_equal(world.unsound, 0);
    assert_int_equal(world.cuts, DATABASES * CUTS_EACH);
    assert_true(world.acked > world.cuts * 10);
}

static void test_off_is_seen_losing(void **state)
{
    world_init(&world, (unsigned)clock_mono_us());
    world.pragmas = "PRAGMA synchronous=OFF";
    run_cuts(&world, 10, 2);
    report("control: OFF", &world);
    assert_true(world.lost > 0);
}

static void test_a_lying_disk_is_seen_losing(void **state)
{
    world_init(&world, (unsigned)clock_mono_us());
    world.is_lying = true;
    run_cuts(&world, 10, 2);
    report("control: the disk lies", &world);
    assert_true(world.lost > 0);
}

static void test_a_failed_sync_loses_nothing(void **state)
{
    world_init(&world, (unsigned)clock_mono_us());
    print_message("seed %u\n", world.seed);
    run_failed_syncs(&world, FAILING_DATABASES);
    report("failed sync, log rewritten", &world);
    assert_int_equal(world.lost, 0);
    assert_int_equal(world.unsound, 0);
    assert_true(world.failed_syncs > FAILING_DATABASES / 2);
}

static void test_without_the_marker_it_is_seen_losing(void **state)
{
    world_init(&world, (unsigned)clock_mono_us());
    world.drops_marker = true;
    run_failed_syncs(&world, FAILING_DATABASES);
    report("control: no marker", &world);
    assert_true(world.lost > 0 || world.unsound > 0);
}

int main(void)
{
    log_set_level(getenv("TEST_LOG") ? LOG_DEBUG : LOG_OFF);
    powerloss_register();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_loses_nothing),
        cmocka_unit_test(test_off_is_seen_losing),
        cmocka_unit_test(test_a_lying_disk_is_seen_losing),
        cmocka_unit_test(test_a_failed_sync_loses_nothing),
        cmocka_unit_test(test_without_the_marker_it_is_seen_losing),
    };
    return cmocka_run_group_tests_name("store power loss", tests, NULL, NULL);
}
