/*
 * app_tool: accounts for commands. When a server is running on the data directory its own services
 * are called, through its control socket; else just enough of the house is put up here: store, bus
 * without delivery, the user service.
 */
#include "app/app_tool.h"

#include <stdlib.h>

#include "app/app.h"
#include "app/app_control.h"
#include "auth.pb-c.h"
#include "blob/blob.h"
#include "bus/bus.h"
#include "core/mem.h"
#include "services/common/password.h"
#include "services/user/user.h"
#include "user.pb-c.h"

#define PASSWORD_MIN_CHARS 8
#define PASSWORD_MAX_CHARS 128

struct app_tool {
    /* a server is running: */
    struct app_control_line *line;
    ProtobufCService *remote_user, *remote_auth;
    ProtobufCService *auth;
    /* none is: */
    struct store *store;
    struct bus *bus;
    struct blob_store *blob;
    struct user_service *service;
    struct password_hasher *hasher;
    /* either way: */
    ProtobufCService *user;
};

static const struct rpc_local_options one_thread = {.workers.thread_count = 1};

static enum err open_line(struct app_tool *tool, const struct app_config *c, struct strbuf *problem)
{
    enum err err = app_control_dial(&tool->line, c->data_dir);
    if (err == ERR_PERMISSION_DENIED)
        strbuf_printf(problem, "the server on %s runs as another user: call this as that one",
                      c->data_dir);
    if (err)
        return err;
    tool->remote_user = app_control_service(tool->line, &user__user__descriptor);
    tool->remote_auth = app_control_service(tool->line, &auth__auth__descriptor);
    tool->user = rpc_local_create(tool->remote_user, &one_thread);
    tool->auth = rpc_local_create(tool->remote_auth, &one_thread);
    return ERR_OK;
}

static enum err open_parts(struct app_tool *tool, const struct app_config *c,
                           struct strbuf *problem)
{
    size_t count;
    struct arena *arena = arena_create();
    const struct password_options password = {.ops = c->password_ops,
                                              .memory_bytes = c->password_memory_bytes};
    enum err err = app_store_open(&tool->store, c, problem);
    if (err)
        goto out;
    const struct store_migration *list = app_migrations(arena, &count);
    err = store_migrate(tool->store, list, count);
    if (err)
        goto out;
    err = bus_open(&tool->bus, &(struct bus_options){.driver = "memory", .store = tool->store});
    if (err)
        goto out;
    err = app_blob_open(&tool->blob, c, arena);
    if (err)
        goto out;
    err = user_create(&tool->service, &(struct user_deps){.store = tool->store,
                                                          .bus = tool->bus,
                                                          .blob = tool->blob,
                                                          .password = password});
    if (err)
        goto out;
    tool->user = rpc_local_create(user_rpc(tool->service), &one_thread);
    err = password_create(&tool->hasher, &password);
out:
    arena_destroy(&arena);
    return err;
}

enum err app_tool_open(struct app_tool **out, const struct app_config *config,
                       struct strbuf *problem)
{
    struct app_tool *tool = mem_zalloc(sizeof(*tool));
    enum err err = open_line(tool, config, problem);
    if (err == ERR_NOT_FOUND)
        err = open_parts(tool, config, problem);
    if (err)
        app_tool_close(&tool);
    if (err && !problem->n)
        strbuf_adds(problem, err_text(err));
    *out = tool;
    return err;
}

static void destroy_remote(ProtobufCService **service)
{
    if (*service)
        protobuf_c_service_destroy(*service);
    *service = NULL;
}

void app_tool_close(struct app_tool **tool_)
{
    struct app_tool *tool = *tool_;
    *tool_ = NULL;
    if (!tool)
        return;
    password_destroy(&tool->hasher);
    rpc_local_destroy(&tool->user);
    user_destroy(&tool->service);
    blob_close(&tool->blob);
    bus_close(&tool->bus);
    store_close(&tool->store);
    rpc_local_destroy(&tool->auth);
    destroy_remote(&tool->remote_user);
    destroy_remote(&tool->remote_auth);
    app_control_hang_up(&tool->line);
    free(tool);
}

ProtobufCService *app_tool_user(struct app_tool *tool)
{
    return tool->user;
}

/* The server does it, and the account's sign-ins end at once. */
static enum err reset(struct app_tool *tool, const char *id, struct str password,
                      struct rpc_call *call)
{
    Auth__ResetPasswordRequest in = AUTH__RESET_PASSWORD_REQUEST__INIT;
    in.user_id = (char *)(uintptr_t)id;
    in.new_password = str_arena(call->arena, password);
    return rpc_sync(tool->auth, "ResetPassword", &in.base, call) ? ERR_OK : call->err;
}

static enum err set_here(struct app_tool *tool, const char *id, struct str password,
                         struct rpc_call *call)
{
    char hash[PASSWORD_HASH_SIZE];
    User__SetPasswordRequest set = USER__SET_PASSWORD_REQUEST__INIT;
    enum err err = password_hash(tool->hasher, password, hash);
    if (err)
        return err;
    set.id = (char *)(uintptr_t)id;
    set.password_hash = hash;
    return rpc_sync(tool->user, "SetPassword", &set.base, call) ? ERR_OK : call->err;
}

enum err app_tool_set_password(struct app_tool *tool, const char *login, struct str password,
                               struct strbuf *problem)
{
    if (!str_is_utf8(password) || str_utf8_count(password) < PASSWORD_MIN_CHARS ||
        str_utf8_count(password) > PASSWORD_MAX_CHARS) {
        strbuf_printf(problem, "password: expected %d to %d characters", PASSWORD_MIN_CHARS,
                      PASSWORD_MAX_CHARS);
        return ERR_INVALID_ARGUMENT;
    }
    struct rpc_call *finding = rpc_call_create(NULL), *setting = rpc_call_create(NULL);
    const struct rpc_call *last = finding;
    finding->remote_addr = setting->remote_addr = "local";
    User__GetUserByIDRequest find = USER__GET_USER_BY_IDREQUEST__INIT;
    find.login = (char *)(uintptr_t)login;
    const User__Credentials *found = rpc_sync(tool->user, "GetUserByID", &find.base, finding);
    enum err err = finding->err;
    if (found) {
        last = setting;
        err = tool->auth ? reset(tool, found->user->id, password, setting)
                         : set_here(tool, found->user->id, password, setting);
    }
    if (err)
        strbuf_adds(problem, last->message[0] ? last->message : err_text(err));
    rpc_call_unref(&finding);
    rpc_call_unref(&setting);
    return err;
}
