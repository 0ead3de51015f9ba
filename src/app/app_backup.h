/* app_backup: all that a data directory must not lose, as a directory of its own; and back again.
 * What a backup looks like stands in app_archive.h. */
#pragma once

#include "app/app_archive.h"
#include "app/app_config.h"
#include "store/store.h"

struct app_backup {
    struct store *store;
    const char *data_dir;
    const char *directory; /* absolute; nothing may be there */
    const char *version;
    struct archive_progress progress;
};

/*
 * Writes it while the store is in use. It appears under its name whole and synced, or not at all.
 * `problem` says in a sentence what went wrong. Blocks; not on a loop.
 */
MUST_USE enum err app_backup_write(struct app_backup *backup, struct strbuf *problem);

/*
 * Checks each file against its sum on the way into the configured data directory, which must be
 * empty or missing. The logs get a new epoch: every client loads anew what it knows from later than
 * the backup. Nothing is left there if it fails.
 */
MUST_USE enum err app_restore(const char *directory, const struct app_config *config,
                              struct archive_progress *progress, struct strbuf *problem);
