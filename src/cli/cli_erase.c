/* erase: an account and everything that only it said or was. The running server does it; each
 * service has its part, and goes on with it whatever happens to this command. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/app.h"
#include "app/app_control.h"
#include "cli/cli.h"
#include "core/clock.h"
#include "core/log.h"
#include "operate.pb-c.h"
#include "user.pb-c.h"

#define POLL_MS 300
#define PATIENCE_MS 120000

struct job {
    const struct app_config *config;
    struct app_control_line *line;
    ProtobufCService *remote, *service; /* one at a time */
    struct rpc_call *call;
    const char *login;
    bool is_sure;
};

static void hang_up(struct job *j)
{
    rpc_call_unref(&j->call);
    if (j->service)
        rpc_local_destroy(&j->service);
    if (j->remote)
        protobuf_c_service_destroy(j->remote);
    j->remote = NULL;
    app_control_hang_up(&j->line);
}

/* A line of its own for each question, so that other commands are not kept waiting. */
static const void *ask(struct job *j, const ProtobufCServiceDescriptor *service, const char *method,
                       const ProtobufCMessage *request, struct strbuf *problem)
{
    hang_up(j);
    enum err err = app_control_dial(&j->line, j->config->data_dir);
    if (err) {
        strbuf_adds(problem, err == ERR_NOT_FOUND
                                 ? "no server is running on this data directory: start it first, "
                                   "for it is the server that erases"
                                 : err_text(err));
        return NULL;
    }
    j->remote = app_control_service(j->line, service);
    j->service =
        rpc_local_create(j->remote, &(struct rpc_local_options){.workers.thread_count = 1});
    j->call = rpc_call_create(NULL);
    const void *reply = rpc_sync(j->service, method, request, j->call);
    if (!reply)
        strbuf_adds(problem, j->call->message);
    return reply;
}

/* The name, typed once more. */
static bool confirm(const struct job *j, const char *username)
{
    char line[256];
    if (j->is_sure)
        return true;
    fprintf(stderr, "This cannot be undone. Type the account's name, %s, to go on: ", username);
    if (!fgets(line, sizeof(line), stdin))
        return false;
    line[strcspn(line, "\r\n")] = '\0';
    return strcmp(line, username) == 0;
}

static enum err wait_until_done(struct job *j, struct strbuf *problem)
{
    Operate__GetErasingRequest get = OPERATE__GET_ERASING_REQUEST__INIT;
    int64_t until_ms = clock_mono_ms() + PATIENCE_MS;
    for (;;) {
        const Operate__Erasing *now =
            ask(j, &operate__operate__descriptor, "GetErasing", &get.base, problem);
        if (!now)
            return j->call ? j->call->err : ERR_UNAVAILABLE;
        if (now->pending_count == 0 && now->dead_count == 0) {
            puts("done");
            return ERR_OK;
        }
        if (now->pending_count == 0) {
            strbuf_printf(problem, "%lld parts were given up: the server's log says why",
                          (long long)now->dead_count);
            return ERR_INTERNAL;
        }
        if (clock_mono_ms() > until_ms) {
            printf("the server goes on with %lld parts\n", (long long)now->pending_count);
            return ERR_OK;
        }
        usleep(POLL_MS * 1000);
    }
}

static enum err erase(struct job *j, struct strbuf *problem)
{
    User__GetUserByIDRequest find = USER__GET_USER_BY_IDREQUEST__INIT;
    User__EraseUserRequest request = USER__ERASE_USER_REQUEST__INIT;
    char id[64];
    find.login = (char *)(uintptr_t)j->login;
    const User__Credentials *found =
        ask(j, &user__user__descriptor, "GetUserByID", &find.base, problem);
    if (!found)
        return ERR_NOT_FOUND;
    snprintf(id, sizeof(id), "%s", found->user->id);
    if (!confirm(j, found->user->username)) {
        strbuf_adds(problem, "nothing was erased");
        return ERR_CANCELLED;
    }
    request.id = id;
    if (!ask(j, &user__user__descriptor, "EraseUser", &request.base, problem))
        return ERR_INTERNAL;
    printf("%s is disabled and nameless; its messages, files and the rest are being erased\n", id);
    fflush(stdout);
    return wait_until_done(j, problem);
}

static int run(int argc, char **argv)
{
    const char *config_path = cli_take_value(&argc, argv, "config");
    struct job j = {.login = cli_take_value(&argc, argv, "user")};
    j.is_sure = cli_take_flag(&argc, argv, "yes");
    if (!cli_has_words(&cli_erase, argc, argv, 0))
        return 2;
    if (!j.login || !j.login[0])
        return cli_usage_error(&cli_erase, "whom? --user NAME");
    struct app_config config;
    struct arena *arena = arena_create();
    struct strbuf problem = {0};
    log_set_level(LOG_WARN);
    enum err err = app_config_load(config_path, arena, &config, &problem);
    j.config = &config;
    if (!err)
        err = erase(&j, &problem);
    hang_up(&j);
    if (err)
        fprintf(stderr, "parlance erase: %s\n", problem.n ? problem.p : err_text(err));
    strbuf_deinit(&problem);
    arena_destroy(&arena);
    return err ? 1 : 0;
}

const struct cli_command cli_erase = {
    .name = "erase",
    .summary = "Erases an account and what it said.",
    .usage = "parlance erase --user NAME [--yes]",
    .about = "Names, addresses, picture, sign-ins, keys, bots, contacts and files go, and the\n"
             "content of every message it sent; the lines stay in the logs, so `parlance verify`\n"
             "agrees. It cannot be undone; backups keep what they hold.\n\n"
             "  --user NAME    the account's name, e-mail or id\n"
             "  --yes          do not ask\n"
             "  --config FILE  the configuration; without it ./parlance.yaml if it is there\n\n"
             "The server must be running: it goes on until all is done, after a crash too.\n",
    .run = run,
};
