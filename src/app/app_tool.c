/*
 * app_tool: just enough of the house for accounts: store, bus without delivery, the user service,
 * called in place.
 */
#include "app/app_tool.h"

#include <stdlib.h>

#include "app/app.h"
#include "blob/blob.h"
#include "bus/bus.h"
#include "core/mem.h"
#include "services/common/password.h"
#include "services/user/user.h"
#include "user.pb-c.h"

#define PASSWORD_MIN_CHARS 8
#define PASSWORD_MAX_CHARS 128

struct app_tool {
    struct store *store;
    struct bus *bus;
    struct blob_store *blob;
    struct user_service *service;
    ProtobufCService *user;
    struct password_hasher *hasher;
};

static enum err open_parts(struct app_tool *tool, const struct app_config *c,
                           struct strbuf *problem)
{
    size_t count;
    struct strbuf root = {0};
    struct arena *arena = arena_create();
    const struct password_options password = {.ops = c->password_ops,
                                              .memory_bytes = c->password_memory_bytes};
    strbuf_printf(&root, "%s/blobs", c->data_dir);
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
    err = blob_open(&tool->blob, &(struct blob_options){.driver = "files", .root = root.p});
    if (err)
        goto out;
    err = user_create(&tool->service, &(struct user_deps){.store = tool->store,
                                                          .bus = tool->bus,
                                                          .blob = tool->blob,
                                                          .password = password});
    if (err)
        goto out;
    tool->user = rpc_local_create(user_rpc(tool->service),
                                  &(struct rpc_local_options){.workers.thread_count = 1});
    err = password_create(&tool->hasher, &password);
out:
    arena_destroy(&arena);
    strbuf_deinit(&root);
    return err;
}

enum err app_tool_open(struct app_tool **out, const struct app_config *config,
                       struct strbuf *problem)
{
    struct app_tool *tool = mem_zalloc(sizeof(*tool));
    enum err err = open_parts(tool, config, problem);
    if (err)
        app_tool_close(&tool);
    if (err && !problem->n)
        strbuf_adds(problem, err_text(err));
    *out = tool;
    return err;
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
    free(tool);
}

ProtobufCService *app_tool_user(struct app_tool *tool)
{
    return tool->user;
}

enum err app_tool_set_password(struct app_tool *tool, const char *login, struct str password,
                               struct strbuf *problem)
{
    char hash[PASSWORD_HASH_SIZE];
    struct rpc_call *call = rpc_call_create(NULL);
    User__GetUserByIDRequest find = USER__GET_USER_BY_IDREQUEST__INIT;
    User__SetPasswordRequest set = USER__SET_PASSWORD_REQUEST__INIT;
    enum err err = ERR_INVALID_ARGUMENT;
    if (!str_is_utf8(password) || str_utf8_count(password) < PASSWORD_MIN_CHARS ||
        str_utf8_count(password) > PASSWORD_MAX_CHARS) {
        strbuf_printf(problem, "password: expected %d to %d characters", PASSWORD_MIN_CHARS,
                      PASSWORD_MAX_CHARS);
        goto out;
    }
    find.login = (char *)(uintptr_t)login;
    const User__Credentials *found = rpc_sync(tool->user, "GetUserByID", &find.base, call);
    err = call->err;
    if (!found)
        goto said;
    err = password_hash(tool->hasher, password, hash);
    if (err)
        goto said;
    set.id = found->user->id;
    set.password_hash = hash;
    err = rpc_sync(tool->user, "SetPassword", &set.base, call) ? ERR_OK : call->err;
said:
    if (err)
        strbuf_adds(problem, call->message[0] ? call->message : err_text(err));
out:
    rpc_call_unref(&call);
    return err;
}
