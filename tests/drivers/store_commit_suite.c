/*
 * store_commit_suite: group commit under threads. Done follows the commit, a failing job fails
 * alone, order is kept, nothing is lost at close, readers see whole transactions.
 */
#include "store_suite.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/clock.h"

static void make_table(struct fixture *f)
{
    assert_int_equal(
        fixture_exec(f->store, "CREATE TABLE r (id INTEGER PRIMARY KEY AUTOINCREMENT, n INTEGER)"),
        ERR_OK);
}

/* One insert, its answer, and whether the row was there when the answer came. */
struct insert {
    struct store *store;
    int64_t id;
    bool must_fail;
    bool is_answered;
    bool was_visible;
    enum err err;
    atomic_int *answered;
};

static enum err insert_run(struct store_tx *tx, void *arg)
{
    struct insert *in = arg;
    enum err err = store_run(tx, "INSERT INTO r VALUES (?, 0)", "i", in->id);
    return !err && in->must_fail ? ERR_ABORTED : err;
}

static enum err find_run(struct store_tx *tx, void *arg)
{
    struct insert *in = arg;
    struct store_stmt *st = store_query(tx, "SELECT 1 FROM r WHERE id = ?", "i", in->id);
    in->was_visible = store_step(st);
    return store_finish(st);
}

static void insert_done(enum err err, void *arg)
{
    struct insert *in = arg;
    in->err = err;
    in->is_answered = true;
    if (store_read(in->store, find_run, in) != ERR_OK)
        in->err = ERR_UNKNOWN;
    atomic_fetch_add(in->answered, 1);
}

static void wait_for_count(atomic_int *count, int target)
{
    int64_t until = clock_mono_ms() + 20000;
    while (atomic_load(count) < target && clock_mono_ms() < until)
        usleep(500);
    assert_int_equal(atomic_load(count), target);
}

static void test_failing_jobs_fail_alone(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 120 };
    struct insert in[COUNT];
    atomic_int answered = 0;
    struct blocker b;
    make_table(f);
    fixture_block(f->store, &b); /* all of them share one batch */
    for (int i = 0; i < COUNT; i++) {
        in[i] = (struct insert){.store = f->store, .id = i, .must_fail = i % 3 == 1};
        in[i].answered = &answered;
        if (i % 10 == 9)
            in[i].id = i - 1; /* taken: a constraint fails, not the job's own mind */
        store_write(f->store, 0, insert_run, &in[i], insert_done);
    }
    fixture_release(&b);
    wait_for_count(&answered, COUNT);
    for (int i = 0; i < COUNT; i++) {
        /* Every tenth finds its id taken, unless the one before rolled back. */
        bool is_taken = i % 10 == 9 && (i - 1) % 3 != 1;
        enum err expected = is_taken ? ERR_ALREADY_EXISTS : in[i].must_fail ? ERR_ABORTED : ERR_OK;
        assert_int_equal(in[i].err, expected);
        if (expected == ERR_OK)
            assert_true(in[i].was_visible); /* done came after the commit */
        else if (!is_taken && i % 10 != 8)
            assert_false(in[i].was_visible);
    }
}

enum { THREADS = 8, EACH = 150 };

struct crowd {
    struct store *store;
    int index;
    int failures;
};

static void *crowd_main(void *arg)
{
    struct crowd *c = arg;
    for (int i = 0; i < EACH; i++) {
        struct insert in = {.store = c->store, .id = c->index * 1000 + i, .must_fail = i % 7 == 0};
        enum err err = store_write_sync(c->store, (uint32_t)i, insert_run, &in);
        bool is_read = store_read(c->store, find_run, &in) == ERR_OK;
        c->failures += err != (in.must_fail ? ERR_ABORTED : ERR_OK);
        c->failures += !is_read || in.was_visible == in.must_fail; /* read your own writes */
    }
    return NULL;
}

static void test_many_writers_read_their_writes(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[THREADS];
    struct crowd crowd[THREADS];
    make_table(f);
    for (int i = 0; i < THREADS; i++) {
        crowd[i] = (struct crowd){.store = f->store, .index = i};
        assert_int_equal(pthread_create(&threads[i], NULL, crowd_main, &crowd[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(crowd[i].failures, 0);
    }
    int kept = EACH - (EACH + 6) / 7;
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM r"), THREADS * kept);
}

/* ---- order ---- */

struct ordered {
    int64_t sequence;
    int64_t *next_run, *next_done;
    bool is_right;
    atomic_int *answered;
};

static enum err ordered_run(struct store_tx *tx, void *arg)
{
    struct ordered *o = arg;
    o->is_right = (*o->next_run)++ == o->sequence;
    return ERR_OK;
}

static void ordered_done(enum err err, void *arg)
{
    struct ordered *o = arg;
    o->is_right = o->is_right && !err && (*o->next_done)++ == o->sequence;
    atomic_fetch_add(o->answered, 1);
}

static void test_jobs_of_a_thread_keep_their_order(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 2000 };
    static struct ordered jobs[COUNT];
    int64_t next_run = 0, next_done = 0;
    atomic_int answered = 0;
    for (int i = 0; i < COUNT; i++) {
        jobs[i] = (struct ordered){.sequence = i, .next_run = &next_run, .next_done = &next_done};
        jobs[i].answered = &answered;
        store_write(f->store, 0, ordered_run, &jobs[i], ordered_done);
    }
    wait_for_count(&answered, COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_true(jobs[i].is_right);
}

/* ---- hooks ---- */

struct hooked {
    struct store *store;
    struct insert in;
    int hooks, hooks_at_done;
    bool was_visible_at_hook;
    atomic_int *answered;
};

static void hook_first(void *arg)
{
    struct hooked *h = arg;
    h->hooks = h->hooks * 10 + 1;
    if (store_read(h->store, find_run, &h->in) == ERR_OK)
        h->was_visible_at_hook = h->in.was_visible;
}

static void hook_second(void *arg)
{
    struct hooked *h = arg;
    h->hooks = h->hooks * 10 + 2;
}

static enum err hooked_run(struct store_tx *tx, void *arg)
{
    struct hooked *h = arg;
    store_on_commit(tx, hook_first, h);
    store_on_commit(tx, hook_second, h);
    return insert_run(tx, &h->in);
}

static void hooked_done(enum err err, void *arg)
{
    struct hooked *h = arg;
    h->in.err = err;
    h->hooks_at_done = h->hooks;
    atomic_fetch_add(h->answered, 1);
}

static void test_hooks_follow_the_commit(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 60 };
    static struct hooked jobs[COUNT];
    atomic_int answered = 0;
    struct blocker b;
    make_table(f);
    fixture_block(f->store, &b);
    for (int i = 0; i < COUNT; i++) {
        jobs[i] = (struct hooked){.store = f->store, .answered = &answered};
        jobs[i].in = (struct insert){.id = i, .must_fail = i % 2};
        store_write(f->store, 0, hooked_run, &jobs[i], hooked_done);
    }
    fixture_release(&b);
    wait_for_count(&answered, COUNT);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(jobs[i].in.err, i % 2 ? ERR_ABORTED : ERR_OK);
        assert_int_equal(jobs[i].hooks, i % 2 ? 0 : 12);
        assert_int_equal(jobs[i].hooks_at_done, i % 2 ? 0 : 12);
        assert_int_equal(jobs[i].was_visible_at_hook, i % 2 == 0);
    }
}

/* ---- limits, the end ---- */

static void test_a_full_queue_refuses_at_once(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 12, LIMIT = 5 };
    struct store_options opt = fixture_options(f);
    opt.queue_max = LIMIT;
    fixture_reopen(f, &opt);
    make_table(f);
    struct insert in[COUNT];
    atomic_int answered = 0;
    struct blocker b;
    fixture_block(f->store, &b);
    for (int i = 0; i < COUNT; i++) {
        in[i] = (struct insert){.store = f->store, .id = i, .answered = &answered};
        store_write(f->store, 0, insert_run, &in[i], insert_done);
        if (i >= LIMIT) { /* answered inside the call */
            assert_true(in[i].is_answered);
            assert_int_equal(in[i].err, ERR_UNAVAILABLE);
        }
    }
    fixture_release(&b);
    wait_for_count(&answered, COUNT);
    for (int i = 0; i < LIMIT; i++)
        assert_int_equal(in[i].err, ERR_OK);
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM r"), LIMIT);
    assert_int_equal(fixture_exec(f->store, "DELETE FROM r"), ERR_OK); /* and goes on */
}

static enum err insert_only_run(struct store_tx *tx, void *arg)
{
    return store_run(tx, "INSERT INTO r (n) VALUES (1)", "");
}

static void count_done(enum err err, void *arg)
{
    if (!err)
        atomic_fetch_add((atomic_int *)arg, 1);
}

static void test_close_commits_what_is_queued(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 700 }; /* more than one batch */
    atomic_int answered = 0;
    make_table(f);
    for (int i = 0; i < COUNT; i++)
        store_write(f->store, 0, insert_only_run, &answered, count_done);
    store_write(f->store, 0, insert_only_run, NULL, NULL); /* done may be NULL */
    fixture_reopen(f, NULL);
    assert_int_equal(atomic_load(&answered), COUNT);
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM r"), COUNT + 1);
}

struct chain {
    struct store *store;
    int left;
    atomic_int answered;
};

static void chain_done(enum err err, void *arg)
{
    struct chain *c = arg;
    if (!err && --c->left > 0)
        store_write(c->store, 0, insert_only_run, c, chain_done);
    else
        atomic_store(&c->answered, 1);
}

static void test_done_may_write_again(void **state)
{
    struct fixture *f = *state;
    make_table(f);
    struct chain chain = {.store = f->store, .left = 20};
    store_write(f->store, 0, insert_only_run, &chain, chain_done);
    wait_for_count(&chain.answered, 1);
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM r"), 20);
}

/* ---- isolation ---- */

static enum err move_run(struct store_tx *tx, void *arg)
{
    enum err err = store_run(tx, "UPDATE r SET n = n - 1 WHERE id = 1", "");
    return err ? err : store_run(tx, "UPDATE r SET n = n + 1 WHERE id = 2", "");
}

struct watcher {
    struct store *store;
    atomic_bool *is_over;
    atomic_int reads;
    int wrong;
};

static enum err watch_run(struct store_tx *tx, void *arg)
{
    struct watcher *w = arg;
    int64_t n[2];
    for (int i = 0; i < 2; i++) {
        struct store_stmt *st =
            store_query(tx, "SELECT n FROM r WHERE id = ?", "i", (int64_t)i + 1);
        n[i] = store_step(st) ? store_int(st, 0) : -1000;
        enum err err = store_finish(st);
        if (err)
            return err;
    }
    atomic_fetch_add(&w->reads, 1);
    w->wrong += n[0] + n[1] != 100;
    return ERR_OK;
}

static void *watch_main(void *arg)
{
    struct watcher *w = arg;
    while (!atomic_load(w->is_over))
        w->wrong += store_read(w->store, watch_run, w) != ERR_OK;
    return NULL;
}

/* All have read while there were moves: however long a busy machine lets one of them wait. */
static bool have_all_read(struct watcher *watchers, int n)
{
    for (int i = 0; i < n; i++) {
        if (atomic_load(&watchers[i].reads) < 10)
            return false;
    }
    return true;
}

static void test_readers_see_whole_transactions(void **state)
{
    struct fixture *f = *state;
    enum { WATCHERS = 3, MOVES = 300, PATIENCE_MS = 60000 };
    pthread_t threads[WATCHERS];
    struct watcher watchers[WATCHERS];
    atomic_bool is_over = false;
    make_table(f);
    assert_int_equal(fixture_exec(f->store, "INSERT INTO r VALUES (1, 100), (2, 0)"), ERR_OK);
    for (int i = 0; i < WATCHERS; i++) {
        watchers[i] = (struct watcher){.store = f->store, .is_over = &is_over};
        assert_int_equal(pthread_create(&threads[i], NULL, watch_main, &watchers[i]), 0);
    }
    int moves = 0, refused = 0;
    int64_t until_ms = clock_mono_ms() + PATIENCE_MS;
    while (moves < MOVES || (!have_all_read(watchers, WATCHERS) && clock_mono_ms() < until_ms)) {
        refused += store_write_sync(f->store, 0, move_run, NULL) != ERR_OK;
        moves++;
    }
    atomic_store(&is_over, true);
    for (int i = 0; i < WATCHERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(refused, 0);
    assert_true(have_all_read(watchers, WATCHERS));
    for (int i = 0; i < WATCHERS; i++)
        assert_int_equal(watchers[i].wrong, 0);
    assert_int_equal(fixture_int(f->store, "SELECT n FROM r WHERE id = 2"), moves);
}

struct snapshot {
    struct store *store;
    int64_t before, after;
};

static int64_t count_rows(struct store_tx *tx)
{
    struct store_stmt *st = store_query(tx, "SELECT COUNT(*) FROM r", "");
    int64_t n = store_step(st) ? store_int(st, 0) : -1;
    return store_finish(st) ? -1 : n;
}

static enum err snapshot_run(struct store_tx *tx, void *arg)
{
    struct snapshot *s = arg;
    s->before = count_rows(tx);
    enum err err = store_write_sync(s->store, 0, insert_only_run, NULL); /* writers do not wait */
    s->after = count_rows(tx);
    return err;
}

static void test_a_read_is_one_snapshot(void **state)
{
    struct fixture *f = *state;
    make_table(f);
    struct snapshot s = {.store = f->store};
    assert_int_equal(store_read(f->store, snapshot_run, &s), ERR_OK);
    assert_int_equal(s.before, 0);
    assert_int_equal(s.after, 0);
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM r"), 1);
}

static enum err orphan_run(struct store_tx *tx, void *arg)
{
    return store_run(tx, "INSERT INTO child (p) VALUES (?)", "i", *(int64_t *)arg);
}

static void test_deferred_constraints_fail_their_job_alone(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fixture_exec(f->store, "CREATE TABLE parent (id INTEGER PRIMARY KEY)"),
                     ERR_OK);
    assert_int_equal(fixture_exec(f->store, "INSERT INTO parent VALUES (1)"), ERR_OK);
    assert_int_equal(
        fixture_exec(f->store, "CREATE TABLE child (id INTEGER PRIMARY KEY AUTOINCREMENT, p INTEGER"
                               " REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)"),
        ERR_OK);
    int64_t parents[] = {1, 99, 1};
    struct blocker b;
    fixture_block(f->store, &b);
    for (size_t i = 0; i < ARRAY_LEN(parents); i++)
        store_write(f->store, 0, orphan_run, &parents[i], NULL);
    fixture_release(&b);
    fixture_reopen(f, NULL);
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM child"), 2);
    assert_int_equal(store_write_sync(f->store, 0, orphan_run, &parents[1]),
                     ERR_FAILED_PRECONDITION);
}

/* ---- what is done once before the commit ---- */

struct sealing {
    int64_t id;
    enum err verdict;
    int count;
};

static enum err seal_run(struct store_tx *tx, void *arg)
{
    struct sealing *s = arg;
    s->count++;
    enum err err = store_run(tx, "INSERT INTO r VALUES (?, 7)", "i", 1000 + s->id);
    return err ? err : s->verdict;
}

static enum err sealed_run(struct store_tx *tx, void *arg)
{
    static int64_t next = 1;
    store_before_commit(tx, seal_run, arg);
    return store_run(tx, "INSERT INTO r VALUES (?, 1)", "i", next++);
}

static void note_err(enum err err, void *arg)
{
    ((struct sealing *)arg)->id += err == ERR_ABORTED ? 100 : 0;
}

static void test_a_batch_is_sealed_once_or_fails_whole(void **state)
{
    struct fixture *f = *state;
    struct sealing good = {.id = 1}, bad = {.id = 2, .verdict = ERR_ABORTED};
    struct blocker b;
    make_table(f);
    fixture_block(f->store, &b);
    for (int i = 0; i < 3; i++)
        store_write(f->store, 0, sealed_run, &good, NULL);
    fixture_release(&b);
    store_flush(f->store);
    assert_int_equal(good.count, 1);
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM r WHERE n = 1"), 3);
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM r WHERE n = 7"), 1);
    fixture_block(f->store, &b);
    store_write(f->store, 0, sealed_run, &bad, note_err);
    store_write(f->store, 0, sealed_run, &bad, note_err);
    fixture_release(&b);
    store_flush(f->store);
    assert_int_equal(bad.count, 1);
    assert_int_equal(bad.id, 202); /* both heard that it failed */
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM r"), 4);
    good.id = 5;
    assert_int_equal(store_write_sync(f->store, 3, sealed_run, &good), ERR_OK); /* goes on */
}

int store_commit_suite(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_failing_jobs_fail_alone),
        T(test_many_writers_read_their_writes),
        T(test_jobs_of_a_thread_keep_their_order),
        T(test_hooks_follow_the_commit),
        T(test_a_full_queue_refuses_at_once),
        T(test_close_commits_what_is_queued),
        T(test_done_may_write_again),
        T(test_readers_see_whole_transactions),
        T(test_a_read_is_one_snapshot),
        T(test_deferred_constraints_fail_their_job_alone),
        T(test_a_batch_is_sealed_once_or_fails_whole),
    };
    return cmocka_run_group_tests_name("store commits", tests, NULL, NULL);
}
