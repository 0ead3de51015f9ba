/* bus_outbox_internal: the outbox's rows, between its relay, what that knows of them, and its SQL.
 */
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

/* What is known of a row. */
enum {
    ROW_GIVEN = 1,   /* to the handlers here */
    ROW_HEARD = 2,   /* by them all */
    ROW_SENDING = 4, /* to the broker */
    ROW_SENT = 8,    /* it has it */
};

/* bus_outbox_rows.c: what is known of all rows that are not deleted yet. No lock of its own. */
struct outbox_rows {
    const struct bus *bus; /* where there is a link, a row must be sent, too */
    struct map64 *known;   /* by id */
    size_t busy;           /* rows of which something is pending, or that are to be deleted */
    int64_t *arrived;      /* ids to delete: heard, and sent */
    size_t arrived_count, arrived_capacity;
};
void outbox_rows_init(struct outbox_rows *r, const struct bus *bus);
void outbox_rows_deinit(struct outbox_rows *r);
unsigned outbox_row_get(const struct outbox_rows *r, int64_t id);
/* 0: forgotten. The step by which a row is over makes it arrive. */
void outbox_row_set(struct outbox_rows *r, int64_t id, unsigned known);
void outbox_row_arrived(struct outbox_rows *r, int64_t id);
/* Of what only waits for a link nothing is known any more; what is on its way is still answered. */
void outbox_rows_forget_waiting(struct outbox_rows *r);
/* All that have arrived; NULL: none. */
struct outbox_deletion *outbox_rows_take_arrived(struct outbox_rows *r, struct bus_outbox *outbox);

/* bus_outbox_store.c */
enum err outbox_insert(struct bus *bus, struct store_tx *tx, const struct bus_event *event);
/* Store jobs: arg is a page, a deletion. */
enum err outbox_page_read(struct store_tx *tx, void *page);
enum err outbox_deletion_run(struct store_tx *tx, void *deletion);
