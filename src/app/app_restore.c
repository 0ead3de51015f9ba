/*
 * app_restore: a backup becomes a data directory. Files are checked while they are copied to
 * DATA/.restore; the database gets its new epoch there; then all moves up, the database last, so
 * that no server can start on half of it.
 */
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/app.h"
#include "app/app_backup.h"
#include "core/file.h"
#include "core/mem.h"
#include "services/message/message.h"

#define INFO_MAX_BYTES 65536
#define SUMS_MAX_BYTES ((size_t)1 << 30)
#define PATH_MAX_CHARS 400

struct restoring {
    const char *from, *data_dir;
    char *stage;
    struct archive_progress *progress;
    struct strbuf *problem;
    char *sums;
    size_t sums_n;
    int64_t files;
};

static enum err refuse(struct restoring *r, enum err err, const char *fmt, ...) PRINTF_LIKE(3, 4);

static enum err refuse(struct restoring *r, enum err err, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    if (!r->problem->n)
        strbuf_vprintf(r->problem, fmt, args);
    va_end(args);
    return err;
}

/* ---- is it a backup, and whole? ---- */

static enum err read_info(struct restoring *r, char sum[ARCHIVE_SUM_CHARS + 1])
{
    char *path = archive_join(r->from, ARCHIVE_INFO), *text = NULL;
    size_t n = 0;
    enum err err = file_read(path, INFO_MAX_BYTES, &text, &n);
    json_t *info = err ? NULL : json_loadb(text, n, 0, NULL);
    const char *sums = json_string_value(json_object_get(info, "sums"));
    json_int_t format = json_integer_value(json_object_get(info, "format"));
    r->files = json_integer_value(json_object_get(info, "files"));
    if (err == ERR_NOT_FOUND)
        err = refuse(r, err, "%s is no backup, or one that was not finished: it has no %s", r->from,
                     ARCHIVE_INFO);
    else if (err || !sums || strlen(sums) != ARCHIVE_SUM_CHARS)
        err = refuse(r, ERR_DATA_LOSS, "%s cannot be read", path);
    else if (format != ARCHIVE_FORMAT)
        err = refuse(r, ERR_FAILED_PRECONDITION, "%s is of a newer form than this program knows",
                     r->from);
    else
        memcpy(sum, sums, ARCHIVE_SUM_CHARS + 1);
    json_decref(info);
    free(text);
    free(path);
    return err;
}

static enum err read_sums(struct restoring *r)
{
    char said[ARCHIVE_SUM_CHARS + 1], is[ARCHIVE_SUM_CHARS + 1];
    enum err err = read_info(r, said);
    if (err)
        return err;
    char *path = archive_join(r->from, ARCHIVE_SUMS);
    err = file_read(path, SUMS_MAX_BYTES, &r->sums, &r->sums_n);
    free(path);
    if (err)
        return refuse(r, err, "%s/%s cannot be read", r->from, ARCHIVE_SUMS);
    archive_sum(r->sums, r->sums_n, is);
    if (strcmp(is, said) != 0)
        return refuse(r, ERR_DATA_LOSS, "%s/%s was altered", r->from, ARCHIVE_SUMS);
    return ERR_OK;
}

/* Below the directory, and nowhere else. */
static bool is_plain_path(struct str path)
{
    struct str rest = path, part;
    bool has_more = path.n > 0 && path.n <= PATH_MAX_CHARS;
    if (!has_more || memchr(path.p, '\0', path.n))
        return false;
    while (has_more) {
        has_more = str_cut(&rest, '/', &part);
        if (part.n == 0 || part.p[0] == '.')
            return false;
    }
    return true;
}

static enum err copy_line(struct restoring *r, struct str line)
{
    char is[ARCHIVE_SUM_CHARS + 1];
    struct str said = str_sub(line, 0, ARCHIVE_SUM_CHARS);
    struct str path = str_sub(line, ARCHIVE_SUM_CHARS + 2, line.n);
    if (line.n <= ARCHIVE_SUM_CHARS + 2 || !is_plain_path(path))
        return refuse(r, ERR_DATA_LOSS, "%s/%s has a line that names no file", r->from,
                      ARCHIVE_SUMS);
    char *name = str_dup(path);
    enum err err = archive_copy(r->from, r->stage, name, r->progress, is);
    if (err)
        refuse(r, err, "%s/%s: %s", r->from, name,
               err == ERR_NOT_FOUND            ? "it is missing"
               : err == ERR_RESOURCE_EXHAUSTED ? "no space left to copy it"
                                               : err_text(err));
    else if (!str_eq(said, str_from(is)))
        err = refuse(r, ERR_DATA_LOSS, "%s/%s was altered: its sum is not that of the backup",
                     r->from, name);
    free(name);
    return err;
}

static enum err copy_files(struct restoring *r)
{
    struct str rest = {r->sums, r->sums_n}, line;
    int64_t count = 0;
    enum err err = ERR_OK;
    while (!err && rest.n > 0) {
        str_cut(&rest, '\n', &line);
        if (line.n == 0)
            break;
        err = copy_line(r, line);
        count++;
    }
    if (!err && count != r->files)
        err = refuse(r, ERR_DATA_LOSS, "%s lists %lld files, not %lld", r->from, (long long)count,
                     (long long)r->files);
    return err;
}

/* ---- the database ---- */

static enum err begin_epoch(struct restoring *r)
{
    struct store *store = NULL;
    struct arena *arena = arena_create();
    char *url = archive_join(r->stage, ARCHIVE_DATABASE);
    size_t count;
    const struct store_migration *list = app_migrations(arena, &count);
    enum err err = store_open(
        &store, &(struct store_options){.driver = "sqlite", .url = url, .ballast_bytes = -1});
    if (!err)
        err = store_migrate(store, list, count);
    if (!err)
        err = message_restored(store);
    store_close(&store);
    arena_destroy(&arena);
    free(url);
    return err ? refuse(r, err, "the database of %s cannot be opened: %s", r->from, err_text(err))
               : ERR_OK;
}

/* ---- into place ---- */

/* A file system of its own has lost+found. */
static bool is_empty(const char *path)
{
    static const char *const passed[] = {".", "..", "lost+found"};
    DIR *d = opendir(path);
    bool is = true;
    for (struct dirent *e; d && is && (e = readdir(d));) {
        is = false;
        for (size_t i = 0; i < ARRAY_LEN(passed); i++)
            is |= strcmp(e->d_name, passed[i]) == 0;
    }
    if (d)
        closedir(d);
    return d && is;
}

static enum err move_up(struct restoring *r, const char *name)
{
    char *from = archive_join(r->stage, name), *to = archive_join(r->data_dir, name);
    bool is_moved = rename(from, to) == 0 || errno == ENOENT;
    enum err err = is_moved ? ERR_OK : refuse(r, err_from_errno(errno), "cannot move %s", to);
    free(from);
    free(to);
    return err;
}

static enum err move_all(struct restoring *r)
{
    static const char *const names[] = {"blobs", "tls", "jwt.secret", "store"};
    enum err err = archive_sync(r->stage);
    for (size_t i = 0; i < ARRAY_LEN(names) && !err; i++)
        err = move_up(r, names[i]);
    return err ? err : archive_sync(r->data_dir);
}

enum err app_restore(const char *directory, const struct app_config *config,
                     struct archive_progress *progress, struct strbuf *problem)
{
    struct restoring r = {
        .from = directory, .data_dir = config->data_dir, .progress = progress, .problem = problem};
    if (config->store_driver)
        return refuse(
            &r, ERR_FAILED_PRECONDITION,
            "the tables are kept by a server (store.driver): restore them with its own tools");
    r.stage = archive_join(config->data_dir, ".restore");
    enum err err = read_sums(&r);
    if (err)
        goto done;
    err = file_make_dirs(config->data_dir, 0700);
    if (err) {
        refuse(&r, err, "cannot make %s: %s", config->data_dir, err_text(err));
        goto done;
    }
    if (!is_empty(config->data_dir)) {
        err = refuse(&r, ERR_ALREADY_EXISTS,
                     "%s is not empty: restore writes into an empty or missing directory only",
                     config->data_dir);
        goto done;
    }
    err = copy_files(&r);
    if (!err)
        err = begin_epoch(&r);
    if (!err)
        err = move_all(&r);
    archive_remove(r.stage);
done:
    free(r.sums);
    free(r.stage);
    return err;
}
