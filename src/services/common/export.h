/*
 * export: everything that services keep of one person, for that person. A service says what is its
 * own as a table of queries, each with the person's id as its parameter; what needs more than a
 * query it writes itself. Read where the store is: by the server, or in a stopped data directory.
 */
#pragma once

#include "core/str.h"
#include "store/store.h"

/* Where it goes. */
struct export_sink {
    /* One JSON object, without a line's end, for the file NAME.jsonl. */
    enum err (*line)(void *arg, const char *name, struct str json);
    /* A blob, to be copied to that path within the export. */
    enum err (*blob)(void *arg, const char *blob, const char *path);
    void *arg;
};

struct export_query {
    const char *name;    /* of the file */
    const char *columns; /* names by spaces: "id name#": # an integer, ? a boolean */
    const char *sql;     /* one parameter: ?1, the person's id */
};

/* Each row of each query becomes a line. One snapshot for each query. */
MUST_USE enum err export_run(struct store *store, const struct export_query *queries, size_t count,
                             const char *user_id, const struct export_sink *sink);
