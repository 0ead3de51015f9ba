/* app_export: asks each service in turn and writes what it says beside the directory that is to be;
 * renamed when all is there. */
#include "app/app_export.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/app_internal.h"
#include "core/file.h"
#include "core/id.h"
#include "services/auth/auth.h"
#include "services/common/export.h"
#include "services/file/file.h"
#include "services/meeting/meeting.h"
#include "services/message/message.h"
#include "services/presence/presence.h"
#include "services/user/user.h"

#define NAMES_MAX 32

struct exporting {
    struct app_export *e;
    char *stage;
    struct {
        const char *name;
        FILE *file;
    } open[NAMES_MAX]; /* by name; each service has a few */
    size_t open_count;
};

static FILE *file_for(struct exporting *x, const char *name)
{
    for (size_t i = 0; i < x->open_count; i++)
        if (strcmp(x->open[i].name, name) == 0)
            return x->open[i].file;
    if (x->open_count == NAMES_MAX)
        return NULL;
    struct strbuf path = {0};
    strbuf_printf(&path, "%s/%s.jsonl", x->stage, name);
    int fd = open(path.p, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    strbuf_deinit(&path);
    if (!file && fd >= 0)
        close(fd);
    if (!file)
        return NULL;
    x->open[x->open_count].name = name;
    x->open[x->open_count++].file = file;
    x->e->progress.state.file_count++;
    return file;
}

static enum err on_line(void *arg, const char *name, struct str json)
{
    struct exporting *x = arg;
    FILE *file = file_for(x, name);
    if (!file)
        return ERR_UNAVAILABLE;
    bool is_written = fwrite(json.p, 1, json.n, file) == json.n && fputc('\n', file) != EOF;
    if (!is_written)
        return errno == ENOSPC ? ERR_RESOURCE_EXHAUSTED : ERR_UNAVAILABLE;
    return archive_go_on(&x->e->progress, (int64_t)json.n + 1) ? ERR_OK : ERR_CANCELLED;
}

static enum err on_blob(void *arg, const char *blob, const char *path)
{
    struct exporting *x = arg;
    char sum[ARCHIVE_SUM_CHARS + 1];
    char *copied = archive_join(x->stage, blob);
    char *wanted = archive_join(x->stage, path), *dir = archive_join(x->stage, "files");
    enum err err = archive_copy(x->e->blob_dir, x->stage, blob, &x->e->progress, sum);
    if (!err)
        err = file_make_dirs(dir, 0700);
    if (!err && rename(copied, wanted) != 0)
        err = err_from_errno(errno);
    /* What was made for the blob's own name. */
    for (char *slash = strrchr(copied, '/'); slash > copied + strlen(x->stage);
         slash = strrchr(copied, '/')) {
        *slash = '\0';
        rmdir(copied);
    }
    free(copied);
    free(wanted);
    free(dir);
    return err;
}

static enum err ask_services(struct exporting *x)
{
    static enum err (*const services[])(struct store *, const char *,
                                        const struct export_sink *) = {
        auth_export, meeting_export, message_export, file_export, presence_export};
    const struct export_sink sink = {.line = on_line, .blob = on_blob, .arg = x};
    char id[ID_SIZE];
    enum err err = user_export(x->e->store, x->e->login, id, &sink);
    for (size_t i = 0; i < ARRAY_LEN(services) && !err; i++)
        err = services[i](x->e->store, id, &sink);
    for (size_t i = 0; i < x->e->shard_store_count && !err; i++)
        err = message_export(x->e->shard_stores[i], id, &sink);
    for (size_t i = 0; i < x->open_count; i++)
        if (fclose(x->open[i].file) != 0 && !err)
            err = errno == ENOSPC ? ERR_RESOURCE_EXHAUSTED : ERR_UNAVAILABLE;
    return err;
}

enum err app_export_write(struct app_export *e, struct strbuf *problem)
{
    struct strbuf stage = {0};
    strbuf_printf(&stage, "%s.partial", e->directory);
    struct exporting x = {.e = e, .stage = stage.p};
    enum err err = ERR_OK;
    if (access(e->directory, F_OK) == 0 || mkdir(x.stage, 0700) != 0) {
        err = access(e->directory, F_OK) == 0 ? ERR_ALREADY_EXISTS : err_from_errno(errno);
        strbuf_printf(problem, "cannot make %s: %s", e->directory, err_text(err));
        goto done;
    }
    err = ask_services(&x);
    if (!err)
        err = archive_sync(x.stage);
    if (!err && renameat2(AT_FDCWD, x.stage, AT_FDCWD, e->directory, RENAME_NOREPLACE) != 0)
        err = err_from_errno(errno);
    if (err == ERR_NOT_FOUND)
        strbuf_adds(problem, "there is no such user");
    else if (err)
        strbuf_printf(problem, "cannot write %s: %s", e->directory,
                      err == ERR_RESOURCE_EXHAUSTED ? "no space left" : err_text(err));
    if (err)
        archive_remove(x.stage);
done:
    strbuf_deinit(&stage);
    return err;
}
