/* backup: a copy of everything that must not be lost. A running server writes it itself; without
 * one it is done here. restore: the way back. export: the same for all that is kept of one person.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/app.h"
#include "app/app_stores.h"
#include "app/app_backup.h"
#include "app/app_control.h"
#include "app/app_export.h"
#include "cli/cli.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "operate.pb-c.h"

#define POLL_MS 200
#define SHOW_MS 250

static volatile sig_atomic_t is_interrupted;

static void on_interrupt(int number)
{
    is_interrupted = 1;
}

/* ---- progress: one line that changes on a terminal, else a line for every tenth ---- */

struct show {
    int64_t shown_ms;
    int64_t tenth;
};

static void show(struct show *s, int64_t done, int64_t total, int64_t files)
{
    bool is_terminal = isatty(STDERR_FILENO);
    int64_t tenth = total > 0 ? done * 10 / total : 0;
    if (is_terminal ? clock_mono_ms() - s->shown_ms < SHOW_MS : tenth <= s->tenth)
        return;
    s->shown_ms = clock_mono_ms();
    s->tenth = tenth;
    fprintf(stderr, "%s%lld files, %.1f of %.1f MB%s", is_terminal ? "\r\033[K" : "",
            (long long)files, (double)done / 1e6, (double)total / 1e6, is_terminal ? "" : "\n");
}

static void show_end(void)
{
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

/* ---- by the server ---- */

/* Each question on a line of its own, so that other commands are not kept waiting. */
static enum err ask(const char *data_dir, const char *method, const ProtobufCMessage *request,
                    Operate__BackupState *out, struct strbuf *problem)
{
    struct app_control_line *line = NULL;
    enum err err = app_control_dial(&line, data_dir);
    if (err)
        return err;
    ProtobufCService *remote = app_control_service(line, &operate__operate__descriptor);
    ProtobufCService *service =
        rpc_local_create(remote, &(struct rpc_local_options){.workers.thread_count = 1});
    struct rpc_call *call = rpc_call_create(NULL);
    const Operate__BackupState *state = rpc_sync(service, method, request, call);
    err = state ? ERR_OK : call->err;
    if (state) {
        *out = *state;
        if (state->phase == OPERATE__BACKUP_STATE__PHASE__FAILED)
            strbuf_adds(problem, state->problem);
        out->problem = NULL;
    } else {
        strbuf_adds(problem, call->message);
    }
    rpc_call_unref(&call);
    rpc_local_destroy(&service);
    protobuf_c_service_destroy(remote);
    app_control_hang_up(&line);
    return err;
}

static enum err wait_for_server(const char *data_dir, Operate__BackupState *state,
                                struct strbuf *problem)
{
    Operate__GetBackupRequest get = OPERATE__GET_BACKUP_REQUEST__INIT;
    Operate__CancelBackupRequest cancel = OPERATE__CANCEL_BACKUP_REQUEST__INIT;
    struct show s = {0};
    enum err err = ERR_OK;
    bool is_cancelled = false;
    while (!err && state->phase != OPERATE__BACKUP_STATE__PHASE__DONE &&
           state->phase != OPERATE__BACKUP_STATE__PHASE__FAILED) {
        usleep(POLL_MS * 1000);
        bool is_new = is_interrupted && !is_cancelled;
        is_cancelled |= is_new;
        err = is_new ? ask(data_dir, "CancelBackup", &cancel.base, state, problem)
                     : ask(data_dir, "GetBackup", &get.base, state, problem);
        show(&s, state->done_bytes, state->total_bytes, state->file_count);
    }
    show_end();
    return err ? err : state->phase == OPERATE__BACKUP_STATE__PHASE__DONE ? ERR_OK : ERR_INTERNAL;
}

static enum err by_server(const struct app_config *config, const char *directory, const char *login,
                          int64_t *files, struct strbuf *problem)
{
    Operate__BeginBackupRequest begin = OPERATE__BEGIN_BACKUP_REQUEST__INIT;
    Operate__BackupState state = OPERATE__BACKUP_STATE__INIT;
    begin.directory = (char *)(uintptr_t)directory;
    begin.export_login = (char *)(uintptr_t)login;
    enum err err = ask(config->data_dir, "BeginBackup", &begin.base, &state, problem);
    if (!err)
        err = wait_for_server(config->data_dir, &state, problem);
    *files = state.file_count;
    return err;
}

/* ---- here ---- */

static bool on_progress(void *arg, const struct archive_state *state)
{
    show(arg, state->done_bytes, state->total_bytes, state->file_count);
    return !is_interrupted;
}

static enum err write_here(const struct app_config *config, const struct app_stores *stores,
                           const char *directory, const char *login, int64_t *files,
                           struct strbuf *problem)
{
    struct show s = {0};
    struct arena *arena = arena_create();
    struct app_backup backup = {.store = stores->main,
                                .data_dir = config->data_dir,
                                .directory = directory,
                                .version = PARLANCE_VERSION,
                                .progress = {.fn = on_progress, .arg = &s}};
    struct app_export export = {.store = stores->main,
                                .shard_stores = stores->shard_stores,
                                .shard_store_count = stores->count,
                                .blob_dir = app_blob_dir(config, arena),
                                .directory = directory,
                                .login = login,
                                .progress = {.fn = on_progress, .arg = &s}};
    enum err err =
        login[0] ? app_export_write(&export, problem) : app_backup_write(&backup, problem);
    show_end();
    *files = login[0] ? export.progress.state.file_count : backup.progress.state.file_count;
    arena_destroy(&arena);
    return err;
}

static enum err by_oneself(const struct app_config *config, const char *directory,
                           const char *login, int64_t *files, struct strbuf *problem)
{
    struct app_stores stores = {0};
    char *database = archive_join(config->data_dir, ARCHIVE_DATABASE);
    bool is_there = config->store_driver || access(database, F_OK) == 0;
    free(database);
    if (!is_there) {
        strbuf_printf(problem, "there is nothing in %s", config->data_dir);
        return ERR_NOT_FOUND;
    }
    struct arena *arena = arena_create();
    enum err err = app_stores_open(&stores, config, arena, problem);
    if (!err)
        err = write_here(config, &stores, directory, login, files, problem);
    app_stores_close(&stores);
    arena_destroy(&arena);
    return err;
}

/* ---- the commands ---- */

/* The server has another working directory. */
static char *absolute(const char *path)
{
    char here[PATH_MAX];
    if (path[0] == '/')
        return mem_strdup(path);
    return archive_join(getcwd(here, sizeof(here)) ? here : ".", path);
}

static int finish(const struct cli_command *command, enum err err, struct strbuf *problem)
{
    if (err)
        fprintf(stderr, "parlance %s: %s\n", command->name,
                is_interrupted ? "given up"
                : problem->n   ? problem->p
                               : err_text(err));
    strbuf_deinit(problem);
    return err ? 1 : 0;
}

/* Everything, or (login) everything of a person. */
static int write_copy(const struct cli_command *command, const char *config_path, const char *path,
                      const char *login)
{
    struct app_config config;
    struct arena *arena = arena_create();
    struct strbuf problem = {0};
    char *directory = absolute(path);
    int64_t files = 0;
    log_set_level(LOG_WARN);
    signal(SIGINT, on_interrupt);
    enum err err = app_config_load(config_path, arena, &config, &problem);
    if (!err)
        err = by_server(&config, directory, login, &files, &problem);
    if (err == ERR_NOT_FOUND && !problem.n)
        err = by_oneself(&config, directory, login, &files, &problem);
    if (!err)
        printf("%lld files in %s\n", (long long)files, directory);
    free(directory);
    arena_destroy(&arena);
    return finish(command, err, &problem);
}

static int run_backup(int argc, char **argv)
{
    const char *config_path = cli_take_value(&argc, argv, "config");
    if (!cli_has_words(&cli_backup, argc, argv, 1))
        return 2;
    return write_copy(&cli_backup, config_path, argv[1], "");
}

static int run_export(int argc, char **argv)
{
    const char *config_path = cli_take_value(&argc, argv, "config");
    const char *login = cli_take_value(&argc, argv, "user");
    if (!cli_has_words(&cli_export, argc, argv, 1))
        return 2;
    if (!login || !login[0])
        return cli_usage_error(&cli_export, "whose? --user NAME");
    return write_copy(&cli_export, config_path, argv[1], login);
}

static int run_restore(int argc, char **argv)
{
    const char *config_path = cli_take_value(&argc, argv, "config");
    if (!cli_has_words(&cli_restore, argc, argv, 1))
        return 2;
    struct app_config config;
    struct arena *arena = arena_create();
    struct strbuf problem = {0};
    struct show s = {0};
    struct archive_progress progress = {.fn = on_progress, .arg = &s};
    log_set_level(LOG_WARN);
    signal(SIGINT, on_interrupt);
    enum err err = app_config_load(config_path, arena, &config, &problem);
    if (!err)
        err = app_restore(argv[1], &config, &progress, &problem);
    show_end();
    if (!err)
        printf("%lld files restored to %s\n", (long long)progress.state.file_count,
               config.data_dir);
    arena_destroy(&arena);
    return finish(&cli_restore, err, &problem);
}

const struct cli_command cli_backup = {
    .name = "backup",
    .summary = "Copies everything, from a running server too.",
    .usage = "parlance backup DIRECTORY [--config FILE]",
    .about =
        "A directory that is not there yet: database, files, keys and certificate, each with\n"
        "its SHA-256 (`sha256sum -c SHA256SUMS`). It appears whole and synced, or not at all.\n"
        "A running server writes it itself, as its own user, and serves on meanwhile.\n\n"
        "  --config FILE  the configuration; without it ./parlance.yaml if it is there\n\n"
        "It holds secrets: keep it as you keep the data directory.\n",
    .run = run_backup,
};

const struct cli_command cli_restore = {
    .name = "restore",
    .summary = "Makes a data directory of a backup.",
    .usage = "parlance restore DIRECTORY [--config FILE]",
    .about = "Into the configured data directory, which must be empty or missing; every file is\n"
             "checked on the way. Clients that know of more than the backup has load anew.\n\n"
             "  --config FILE  the configuration; without it ./parlance.yaml if it is there\n\n"
             "Run it as the server's user.\n",
    .run = run_restore,
};

const struct cli_command cli_export = {
    .name = "export",
    .summary = "Copies everything that is kept of a person.",
    .usage = "parlance export --user NAME DIRECTORY [--config FILE]",
    .about = "A directory that is not there yet: one file of JSON lines for each kind of thing\n"
             "(profile, sessions, audit, conversations, messages, contacts, ...) and the person's\n"
             "files. What others said or own is not in it.\n\n"
             "  --user NAME    the account's name, e-mail or id\n"
             "  --config FILE  the configuration; without it ./parlance.yaml if it is there\n",
    .run = run_export,
};
