/*
 * store_fixture: what the store's tests share. The suite runs for a driver named on its command
 * line; where that driver's databases are is known here and nowhere else in the tests.
 */
#pragma once

#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/store.h"
#include "test_dir.h"

struct fixture {
    struct test_dir dir;
    char database[32]; /* on a server; "": in the directory */
    char url[256];
    struct store *store;
};

/* The driver under test; "sqlite" until set. */
extern const char *fixture_driver;

/* cmocka setup and teardown: an empty database, opened with the defaults of tests. */
int fixture_setup(void **state);
int fixture_teardown(void **state);
/* Options for the fixture's database: no ballast, no reserve. */
struct store_options fixture_options(const struct fixture *f);
/* Closes and opens again. NULL: fixture_options. */
void fixture_reopen(struct fixture *f, const struct store_options *opt);

/* Runs one statement without parameters in a job of its own. */
enum err fixture_exec(struct store *store, const char *sql);
/* The first column of the first row, in a read transaction; -1 when there is none. */
int64_t fixture_int(struct store *store, const char *sql);

/* A job that holds the writer until fixture_release, so that what is queued meanwhile shares a
 * batch. */
struct blocker {
    sem_t is_entered;
    sem_t may_leave;
    sem_t is_done;
};
void fixture_block(struct store *store, struct blocker *b);
void fixture_release(struct blocker *b);
