/*
 * user_bot: accounts of programs. A bot is an account without password or e-mail that belongs to a
 * person; nobody signs in as it, it acts by keys that its owner makes (auth). It ends with its
 * owner: auth admits no key whose owner may not act. Ended, it is a disabled account for good, so
 * that what it said keeps its name.
 */
#include <string.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/live.h"
#include "services/common/audit.h"
#include "services/common/who.h"
#include "services/user/user_internal.h"

#define BOTS_MAX_NORMAL 20
#define BOTS_LISTED 1000

static int64_t bots_max(const struct user_service *svc)
{
    int64_t most = LIVE_GET(svc->deps.bots_max);
    return most < 0 ? 0 : most ? MIN(most, (int64_t)BOTS_LISTED) : BOTS_MAX_NORMAL;
}

/* ---- making ---- */

struct making {
    struct user_service *svc;
    struct rpc_call *call;
    struct user_row row;
};

static enum err check_room(struct store_tx *tx, struct making *m)
{
    struct user_row *bots;
    size_t count;
    int64_t most = bots_max(m->svc);
    if (who_is_system(m->call)) /* who asks has bounds of its own */
        return ERR_OK;
    enum err err =
        user_store_list_bots(tx, m->call->arena, m->row.owner_id, BOTS_LISTED, &bots, &count);
    if (err || (int64_t)count < most)
        return err;
    rpc_fail(m->call, ERR_RESOURCE_EXHAUSTED, most ? "at most %lld bots" : "there are no bots here",
             (long long)most);
    return ERR_RESOURCE_EXHAUSTED;
}

static enum err make_job(struct store_tx *tx, void *arg)
{
    struct making *m = arg;
    const char *taken = NULL;
    enum err err = check_room(tx, m);
    if (!err)
        err = user_store_insert(tx, m->call->arena, &m->row, &taken);
    if (err == ERR_ALREADY_EXISTS)
        rpc_fail(m->call, err, "%s: belongs to another account already",
                 taken ? taken : "username");
    if (!err)
        err = audit_publish_tx(m->svc->deps.bus, tx, m->call,
                               &(struct audit_note){"bot_created", m->row.id, NULL, NULL});
    return err ? err : user_publish_tx(m->svc, tx, m->call, "user.registered", &m->row);
}

User__Profile *user_create_bot(struct user_service *svc, struct rpc_call *call,
                               const User__CreateBotRequest *in)
{
    struct making m = {.svc = svc, .call = call};
    struct user_row *row = &m.row;
    const char *owner = who_is_system(call) ? in->owner_id : who_id(call);
    char *id = arena_alloc(call->arena, ID_SIZE);
    if (!owner[0])
        return who_fail(call, ERR_PERMISSION_DENIED);
    id_make(id);
    *row = (struct user_row){.id = id, .email = "", .phone = "", .avatar_version = ""};
    row->avatar_type = row->password_hash = "";
    row->locale = "en";
    row->time_zone = "UTC";
    row->role = ROLE_USER;
    row->owner_id = arena_strdup(call->arena, owner);
    row->created_at_ms = row->updated_at_ms = row->password_changed_at_ms = clock_wall_ms();
    if (!(row->username = user_take_username(call, in->username)) ||
        !(row->nickname =
              user_take_nickname(call, in->nickname[0] ? in->nickname : row->username)) ||
        !(row->description = user_take_description(call, in->description)))
        return NULL;
    enum err err = store_write_sync(svc->deps.store, 0, make_job, &m);
    return err ? who_fail(call, err) : user_profile(call, row);
}

/* ---- looking ---- */

struct listing {
    struct rpc_call *call;
    struct user_row *rows;
    size_t count;
};

static enum err list_job(struct store_tx *tx, void *arg)
{
    struct listing *l = arg;
    return user_store_list_bots(tx, l->call->arena, who_id(l->call), BOTS_LISTED, &l->rows,
                                &l->count);
}

User__UserList *user_list_bots(struct user_service *svc, struct rpc_call *call)
{
    struct listing l = {.call = call};
    enum err err = store_read(svc->deps.store, list_job, &l);
    if (err)
        return who_fail(call, err);
    User__UserList *out = arena_new(call->arena, User__UserList);
    user__user_list__init(out);
    out->n_users = l.count;
    out->users = arena_array(call->arena, User__Profile *, l.count);
    for (size_t i = 0; i < l.count; i++)
        out->users[i] = user_profile(call, &l.rows[i]);
    return out;
}

bool user_may_change(struct user_service *svc, struct rpc_call *call, const char *id)
{
    struct user_row row;
    if (who_is_admin(call) || who_is(call, id))
        return true;
    if (user_load(svc, call, id, &row) && row.owner_id[0] && who_is(call, row.owner_id))
        return true;
    if (!rpc_failure(call))
        rpc_fail(call, ERR_PERMISSION_DENIED, "only the person or an administrator may do this");
    return false;
}

/* ---- ending ---- */

struct ending {
    struct user_service *svc;
    struct rpc_call *call;
    const char *id;
};

static enum err end_job(struct store_tx *tx, void *arg)
{
    struct ending *e = arg;
    struct user_row row;
    const char *taken;
    enum err err = user_store_find(tx, e->call->arena, e->id, &row);
    bool is_own =
        !err && row.owner_id[0] && (who_is(e->call, row.owner_id) || who_is_admin(e->call));
    if (!err && !is_own)
        err = ERR_NOT_FOUND;
    if (err || row.is_disabled)
        return err;
    row.is_disabled = true;
    row.updated_at_ms = MAX(clock_wall_ms(), row.updated_at_ms + 1);
    err = user_store_update(tx, e->call->arena, &row, &taken);
    if (!err)
        err = audit_publish_tx(e->svc->deps.bus, tx, e->call,
                               &(struct audit_note){"bot_deleted", row.id, NULL, NULL});
    if (!err)
        err = user_publish_tx(e->svc, tx, e->call, "user.disabled", &row);
    return err ? err : user_publish_tx(e->svc, tx, e->call, "user.removed", &row);
}

User__DeleteBotReply *user_delete_bot(struct user_service *svc, struct rpc_call *call,
                                      const char *id)
{
    struct ending e = {svc, call, id};
    enum err err =
        id_is_valid(id) ? store_write_sync(svc->deps.store, 0, end_job, &e) : ERR_NOT_FOUND;
    if (err)
        return who_fail(call, err);
    User__DeleteBotReply *out = arena_new(call->arena, User__DeleteBotReply);
    user__delete_bot_reply__init(out);
    return out;
}
