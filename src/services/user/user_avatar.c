/*
 * user_avatar: pictures of people. A picture is an immutable blob under a version nobody can guess;
 * the account names the version in force. So the address may be fetched without signing in (an
 * <img> cannot), caches may keep it for ever, and a replaced picture is gone.
 */
#include <stdlib.h>

#include "core/clock.h"
#include "core/id.h"
#include "services/common/who.h"
#include "services/user/user_image.h"
#include "services/user/user_internal.h"

#define AVATAR_MAX_BYTES (512u << 10)
#define BLOB_NAME_SIZE 80

static void blob_name(char out[BLOB_NAME_SIZE], const char *id, const char *version)
{
    snprintf(out, BLOB_NAME_SIZE, "avatars/%s/%s", id, version);
}

enum err user_delete_avatar(struct user_service *svc, const char *id, const char *version)
{
    char name[BLOB_NAME_SIZE];
    blob_name(name, id, version);
    enum err err = blob_delete(svc->deps.blob, name);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

void user_drop_avatar(struct user_service *svc, const char *id, const char *version)
{
    char name[BLOB_NAME_SIZE];
    blob_name(name, id, version);
    enum err err = blob_delete(svc->deps.blob, name);
    if (err)
        log_warn(NULL, "the old picture %s stays: %s", name, err_name(err));
}

struct avatar_change {
    struct user_service *svc;
    struct rpc_call *call;
    const char *id, *version, *type;
    char former[ID_SIZE];
    struct user_row row;
};

static enum err change_job(struct store_tx *tx, void *arg)
{
    struct avatar_change *c = arg;
    const char *taken;
    enum err err = user_store_find(tx, c->call->arena, c->id, &c->row);
    if (err)
        return err;
    snprintf(c->former, sizeof(c->former), "%s", c->row.avatar_version);
    c->row.avatar_version = c->version;
    c->row.avatar_type = c->type;
    c->row.updated_at_ms = MAX(clock_wall_ms(), c->row.updated_at_ms + 1);
    err = user_store_update(tx, c->call->arena, &c->row, &taken);
    return err ? err : user_publish_tx(c->svc, tx, c->call, "user.updated", &c->row);
}

/* The blob first, then the row that names it, then the old blob: a crash between leaves at worst a
 * blob that nobody names. */
static User__Profile *store_avatar(struct avatar_change *c, struct str image)
{
    char name[BLOB_NAME_SIZE], version[ID_SIZE];
    id_make(version);
    c->version = version;
    blob_name(name, c->id, version);
    enum err err = blob_put(c->svc->deps.blob, name, image.p, image.n);
    if (err)
        return who_fail(c->call, err);
    err = store_write_sync(c->svc->deps.store, 0, change_job, c);
    if (err)
        user_drop_avatar(c->svc, c->id, version);
    else if (c->former[0])
        user_drop_avatar(c->svc, c->id, c->former);
    if (err)
        return who_fail(c->call, err);
    c->row.avatar_version = arena_strdup(c->call->arena, version);
    return user_profile(c->call, &c->row);
}

User__Profile *user_put_avatar(struct user_service *svc, struct rpc_call *call,
                               const User__PutAvatarRequest *in)
{
    struct avatar_change c = {.svc = svc, .call = call, .id = user_resolve_id(call, in->id)};
    if (!c.id)
        return NULL;
    if (!user_may_change(svc, call, c.id))
        return NULL;
    if (in->image.len > AVATAR_MAX_BYTES) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "image: at most 512 KiB");
        return NULL;
    }
    struct strbuf clean = {0};
    struct user_image image;
    const char *problem;
    User__Profile *out = NULL;
    if (user_image_clean(in->image.data, in->image.len, &clean, &image, &problem)) {
        c.type = image.content_type;
        out = store_avatar(&c, strbuf_str(&clean));
    } else {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "image: %s", problem);
    }
    strbuf_deinit(&clean);
    return out;
}

User__Avatar *user_get_avatar(struct user_service *svc, struct rpc_call *call,
                              const User__GetAvatarRequest *in)
{
    struct user_row row;
    char name[BLOB_NAME_SIZE];
    bool is_signed_in = who_is_system(call) || who_role(call) >= ROLE_USER;
    const char *id = user_resolve_id(call, in->id);
    if (!id || !user_load(svc, call, id, &row))
        return NULL;
    bool is_version = in->version[0] ? strcmp(in->version, row.avatar_version) == 0 : is_signed_in;
    if (!row.avatar_version[0] || !is_version) {
        rpc_fail(call, ERR_NOT_FOUND, "no such picture");
        return NULL;
    }
    char *bytes = NULL;
    size_t n = 0;
    blob_name(name, row.id, row.avatar_version);
    enum err err = blob_get(svc->deps.blob, name, 0, 0, &bytes, &n);
    if (err)
        return who_fail(call, err);
    User__Avatar *out = arena_new(call->arena, User__Avatar);
    user__avatar__init(out);
    out->content_type = (char *)row.avatar_type;
    out->image.data = arena_memdup(call->arena, bytes, n);
    out->image.len = n;
    free(bytes);
    return out;
}
