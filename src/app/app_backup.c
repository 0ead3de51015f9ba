/*
 * app_backup: a backup of a running server. Files go first, then the database as it stands at one
 * moment, then the files that came meanwhile: a file is durable before the database speaks of it,
 * so the copy has every file that its database knows. (One that came and went within that very
 * window may be missing; it was deleted.) All is written aside, synced and renamed.
 */
#include "app/app_backup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/file.h"

struct writing {
    struct app_backup *backup;
    struct strbuf *problem;
    char *stage;
    struct strbuf sums;
};

static enum err say(struct strbuf *problem, enum err err, const char *what, const char *path)
{
    strbuf_printf(problem, "%s %s: %s", what, path,
                  err == ERR_RESOURCE_EXHAUSTED ? "no space left" : err_text(err));
    return err;
}

static void add_sum(struct writing *w, const char *sum, const char *path)
{
    strbuf_printf(&w->sums, "%s  %s\n", sum, path);
}

static enum err copy_one(struct writing *w, const char *path)
{
    char sum[ARCHIVE_SUM_CHARS + 1];
    enum err err = archive_copy(w->backup->data_dir, w->stage, path, &w->backup->progress, sum);
    if (!err)
        add_sum(w, sum, path);
    return err;
}

static enum err on_file(void *arg, const char *path, int64_t bytes)
{
    struct writing *w = arg;
    enum err err = copy_one(w, path);
    if (err == ERR_NOT_FOUND || err == ERR_ALREADY_EXISTS) /* gone meanwhile; copied before */
        return ERR_OK;
    return err ? say(w->problem, err, "cannot copy", path) : ERR_OK;
}

static enum err on_size(void *arg, const char *path, int64_t bytes)
{
    struct writing *w = arg;
    w->backup->progress.state.total_bytes += bytes;
    return ERR_OK;
}

/* ---- the database ---- */

struct pages {
    struct archive_progress *progress;
    int64_t page_bytes, before;
};

static bool on_pages(void *arg, int64_t done, int64_t total)
{
    struct pages *p = arg;
    struct archive_state *state = &p->progress->state;
    state->done_bytes = p->before + (total ? p->page_bytes * done / total : 0);
    return archive_go_on(p->progress, 0);
}

static int64_t size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_size : 0;
}

static enum err copy_database(struct writing *w)
{
    char sum[ARCHIVE_SUM_CHARS + 1];
    struct archive_progress *progress = &w->backup->progress;
    char *from = archive_join(w->backup->data_dir, ARCHIVE_DATABASE);
    char *to = archive_join(w->stage, ARCHIVE_DATABASE);
    char *dir = archive_join(w->stage, "store");
    struct pages pages = {progress, size_of(from), progress->state.done_bytes};
    progress->state.phase = ARCHIVE_DATABASE_COPY;
    enum err err = file_make_dirs(dir, 0700);
    if (!err)
        err = store_backup(w->backup->store, to, &(struct store_progress){on_pages, &pages});
    if (!err)
        err = archive_sum_file(to, sum);
    if (!err)
        add_sum(w, sum, ARCHIVE_DATABASE);
    progress->state.file_count += !err;
    free(from);
    free(to);
    free(dir);
    if (err == ERR_UNIMPLEMENTED) {
        strbuf_adds(w->problem,
                    "the tables are kept by a server (store.driver): back them up with its "
                    "own tools, and the data directory beside them");
        return err;
    }
    return err ? say(w->problem, err, "cannot copy", ARCHIVE_DATABASE) : ERR_OK;
}

/* ---- all of it ---- */

static enum err copy_all(struct writing *w)
{
    const char *data = w->backup->data_dir;
    char *database = archive_join(data, ARCHIVE_DATABASE);
    w->backup->progress.state.total_bytes = size_of(database);
    free(database);
    enum err err = archive_walk(data, "blobs", on_size, w);
    if (!err)
        err = archive_walk(data, "blobs", on_file, w);
    if (!err)
        err = copy_database(w);
    w->backup->progress.state.phase = ARCHIVE_CLOSING;
    if (!err)
        err = archive_walk(data, "blobs", on_file, w);
    if (!err)
        err = archive_walk(data, "tls", on_file, w);
    if (!err)
        err = on_file(w, "jwt.secret", 0);
    if (err && !w->problem->n)
        say(w->problem, err, "cannot read", data);
    return err;
}

/* The list, then the word that it is whole. */
static enum err write_info(struct writing *w)
{
    char sum[ARCHIVE_SUM_CHARS + 1], when[CLOCK_TEXT_SIZE];
    struct strbuf info = {0};
    char *sums = archive_join(w->stage, ARCHIVE_SUMS), *path = archive_join(w->stage, ARCHIVE_INFO);
    archive_sum(w->sums.p, w->sums.n, sum);
    clock_format(clock_wall_ms(), when);
    strbuf_printf(&info,
                  "{\"format\": %d, \"version\": \"%s\", \"made_at\": \"%s\", \"files\": %lld,"
                  " \"sums\": \"%s\"}\n",
                  ARCHIVE_FORMAT, w->backup->version, when,
                  (long long)w->backup->progress.state.file_count, sum);
    enum err err = file_write_atomic(sums, w->sums.p, w->sums.n, 0600);
    if (!err)
        err = file_write_atomic(path, info.p, info.n, 0600);
    free(sums);
    free(path);
    strbuf_deinit(&info);
    return err;
}

static enum err put_in_place(struct writing *w)
{
    char *parent = archive_join(w->stage, "..");
    enum err err = archive_sync(w->stage);
    if (!err &&
        renameat2(AT_FDCWD, w->stage, AT_FDCWD, w->backup->directory, RENAME_NOREPLACE) != 0)
        err = err_from_errno(errno);
    free(parent);
    if (!err) {
        parent = archive_join(w->backup->directory, "..");
        err = archive_sync(parent);
        free(parent);
    }
    return err;
}

enum err app_backup_write(struct app_backup *backup, struct strbuf *problem)
{
    struct strbuf stage = {0};
    strbuf_printf(&stage, "%s.partial", backup->directory);
    struct writing w = {.backup = backup, .problem = problem, .stage = stage.p};
    enum err err = ERR_OK;
    if (backup->directory[0] != '/' || access(backup->directory, F_OK) == 0) {
        err = say(problem, ERR_ALREADY_EXISTS, "cannot write to", backup->directory);
        goto done;
    }
    if (mkdir(w.stage, 0700) != 0) {
        err = say(problem, err_from_errno(errno), "cannot make", w.stage);
        goto done;
    }
    err = copy_all(&w);
    if (!err)
        err = write_info(&w);
    if (!err)
        err = put_in_place(&w);
    if (err && !problem->n)
        say(problem, err, "cannot finish", backup->directory);
    if (err)
        archive_remove(w.stage);
done:
    strbuf_deinit(&w.sums);
    strbuf_deinit(&stage);
    return err;
}
