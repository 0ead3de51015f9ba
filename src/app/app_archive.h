/* app_archive: what backup and restore share: files copied with their SHA-256 on the way, the list
 * of them, and how far one is. A backup is a directory:
 *
 *   backup.json   format, version, time, count of files, SHA-256 of the list; written last
 *   SHA256SUMS    the list, as sha256sum(1) checks it
 *   store/parlance.db, blobs/..., jwt.secret, tls/...   as in a data directory
 */
#pragma once

#include "core/err.h"
#include "core/str.h"

#define ARCHIVE_FORMAT 1
#define ARCHIVE_INFO "backup.json"
#define ARCHIVE_SUMS "SHA256SUMS"
#define ARCHIVE_DATABASE "store/parlance.db"
#define ARCHIVE_SUM_CHARS 64

enum archive_phase { ARCHIVE_FILES, ARCHIVE_DATABASE_COPY, ARCHIVE_CLOSING };

struct archive_state {
    enum archive_phase phase;
    int64_t done_bytes, total_bytes, file_count;
};

struct archive_progress {
    bool (*fn)(void *arg, const struct archive_state *state); /* false: stop */
    void *arg;
    struct archive_state state;
};

/* False after progress said stop. */
bool archive_go_on(struct archive_progress *progress, int64_t more_bytes);
/* Copies from/path to to/path, directories made (0700, files 0600), and yields its sum in hex.
 * ERR_ALREADY_EXISTS: it is there. What was begun and failed is removed. */
MUST_USE enum err archive_copy(const char *from, const char *to, const char *path,
                               struct archive_progress *progress, char sum[ARCHIVE_SUM_CHARS + 1]);
MUST_USE enum err archive_sum_file(const char *path, char sum[ARCHIVE_SUM_CHARS + 1]);
void archive_sum(const void *bytes, size_t n, char sum[ARCHIVE_SUM_CHARS + 1]);
/* Every regular file beneath root/dir, by its path below root, but those hidden by a dot. A
 * directory that is not there has none. */
typedef enum err archive_walk_fn(void *arg, const char *path, int64_t bytes);
MUST_USE enum err archive_walk(const char *root, const char *dir, archive_walk_fn *fn, void *arg);
/* Everything on that file system is on disk. */
MUST_USE enum err archive_sync(const char *path);
/* rm -r; best effort. */
void archive_remove(const char *path);
char *archive_join(const char *dir, const char *name); /* the caller frees */
