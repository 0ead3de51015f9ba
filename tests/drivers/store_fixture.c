/* store_fixture: see the header. */
#include "store_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include <unistd.h>

#include "core/mem.h"
#include "store_server.h"

const char *fixture_driver = "sqlite";

struct store_options fixture_options(const struct fixture *f)
{
    return (struct store_options){
        .driver = fixture_driver, .url = f->url, .ballast_bytes = -1, .reserve_percent = -1};
}

static int databases;

int fixture_setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof(*f));
    test_dir_make(&f->dir);
    if (store_server_is_needed(fixture_driver)) {
        snprintf(f->database, sizeof(f->database), "t%d_%d", (int)getpid(), ++databases);
        store_server_make(fixture_driver, f->database, f->url, sizeof(f->url));
    } else {
        snprintf(f->url, sizeof(f->url), "%s/store.db", f->dir.path);
    }
    fixture_reopen(f, NULL);
    *state = f;
    return 0;
}

void fixture_reopen(struct fixture *f, const struct store_options *opt)
{
    struct store_options own = fixture_options(f);
    store_close(&f->store);
    assert_int_equal(store_open(&f->store, opt ? opt : &own), ERR_OK);
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    store_close(&f->store);
    if (f->database[0])
        store_server_drop(fixture_driver, f->database);
    test_dir_remove(&f->dir);
    free(f);
    return 0;
}

static enum err exec_run(struct store_tx *tx, void *arg)
{
    return store_run(tx, arg, "");
}

enum err fixture_exec(struct store *store, const char *sql)
{
    return store_write_sync(store, 0, exec_run, (void *)sql);
}

struct int_query {
    const char *sql;
    int64_t value;
};

static enum err int_run(struct store_tx *tx, void *arg)
{
    struct int_query *q = arg;
    struct store_stmt *st = store_prepare(tx, q->sql);
    q->value = store_step(st) ? store_int(st, 0) : -1;
    return store_finish(st);
}

int64_t fixture_int(struct store *store, const char *sql)
{
    struct int_query q = {.sql = sql};
    assert_int_equal(store_read(store, int_run, &q), ERR_OK);
    return q.value;
}

static enum err block_run(struct store_tx *tx, void *arg)
{
    struct blocker *b = arg;
    sem_post(&b->is_entered);
    sem_wait(&b->may_leave);
    return ERR_OK;
}

static void block_done(enum err err, void *arg)
{
    struct blocker *b = arg;
    sem_post(&b->is_done);
}

void fixture_block(struct store *store, struct blocker *b)
{
    sem_init(&b->is_entered, 0, 0);
    sem_init(&b->may_leave, 0, 0);
    sem_init(&b->is_done, 0, 0);
    store_write(store, 0, block_run, b, block_done);
    sem_wait(&b->is_entered);
}

void fixture_release(struct blocker *b)
{
    sem_post(&b->may_leave);
    sem_wait(&b->is_done);
    sem_destroy(&b->is_entered);
    sem_destroy(&b->may_leave);
    sem_destroy(&b->is_done);
}
