/* bus_outbox_internal: the outbox's rows, between its relay and its SQL. */
#pragma once

#include "bus/bus_internal.h"

#define OUTBOX_READ_MAX 256 /* rows read at once */

struct outbox_row {
    int64_t id;
    struct bus_event event;
    bool is_behind; /* an older one of its key is another process's, and has not left yet */
};

struct outbox_page {
    int64_t after;
    int64_t count_max;
    const char *process;
    const char *owner; /* "": all are ours */
    bool is_ordered;   /* with regard to the rows of others */
    struct arena *arena;
    struct outbox_row rows[OUTBOX_READ_MAX];
    size_t count;
};

/* Rows to be deleted. */
struct outbox_deletion {
    struct bus_outbox *outbox;
    struct outbox_deletion *next;
    size_t count;
    int64_t ids[];
};

/* bus_outbox_store.c */
enum err outbox_insert(struct bus *bus, struct store_tx *tx, const struct bus_event *event);
/* Store jobs: arg is a page, a deletion. */
enum err outbox_page_read(struct store_tx *tx, void *page);
enum err outbox_deletion_run(struct store_tx *tx, void *deletion);
