/* app_export: everything of one person, as a directory: lines of JSON, one file for each kind of
 * thing, and the person's files. Each service says what it has (services/common/export.h). */
#pragma once

#include "app/app_archive.h"
#include "store/store.h"

struct app_export {
    struct store *store;
    struct store *const *shard_stores; /* where the log lies, too */
    size_t shard_store_count;
    const char *blob_dir;
    const char *login;     /* name, e-mail or id */
    const char *directory; /* absolute; nothing may be there */
    struct archive_progress progress;
};

/* It appears under its name whole, or not at all. `problem` says in a sentence what went wrong. */
MUST_USE enum err app_export_write(struct app_export *e, struct strbuf *problem);
