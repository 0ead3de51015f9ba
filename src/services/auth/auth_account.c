/*
 * auth_account: accounts and their password hashes are kept by user. Auth asks as the system
 * itself, since the hash is for nobody else, and hands nothing of it on.
 */
#include "core/clock.h"
#include "core/id.h"
#include "services/auth/auth_internal.h"
#include "services/common/who.h"

static struct rpc_call *system_call(const struct rpc_call *call)
{
    struct rpc_call *inner = rpc_call_create(call);
    inner->who = NULL;
    return inner;
}

enum err auth_account_find(struct auth_service *svc, struct rpc_call *call, const char *login,
                           struct auth_account *out)
{
    struct rpc_call *inner = system_call(call);
    User__GetUserByIDRequest request = USER__GET_USER_BY_IDREQUEST__INIT;
    request.login = (char *)login;
    inner->is_idempotent = true;
    const User__Credentials *found = rpc_sync(svc->deps.user, "GetUserByID", &request.base, inner);
    enum err err = inner->err;
    if (found) {
        const User__Credentials *c =
            (const User__Credentials *)rpc_message_copy(call->arena, &found->base);
        *out = (struct auth_account){
            .id = c->user->id,
            .name = c->user->nickname,
            .owner_id = c->user->owner_id,
            .password_hash = c->password_hash,
            .role = (enum identity_role)c->user->role,
            .is_disabled = c->user->is_disabled,
            .password_changed_at_ms = c->password_changed_at_ms,
            .profile = c->user,
        };
    }
    rpc_call_unref(&inner);
    return err;
}

enum err auth_account_set_password(struct auth_service *svc, struct rpc_call *call,
                                   const struct auth_account *account, const char *hash,
                                   bool is_rehash, int64_t *changed_at_ms)
{
    struct rpc_call *inner = system_call(call);
    User__SetPasswordRequest request = USER__SET_PASSWORD_REQUEST__INIT;
    request.id = (char *)account->id;
    request.password_hash = (char *)hash;
    request.former_hash = (char *)account->password_hash;
    request.is_rehash = is_rehash;
    const User__SetPasswordReply *reply =
        rpc_sync(svc->deps.user, "SetPassword", &request.base, inner);
    enum err err = inner->err;
    if (reply)
        *changed_at_ms = reply->password_changed_at_ms;
    rpc_call_unref(&inner);
    return err;
}

enum err auth_note(struct store_tx *tx, const struct rpc_call *call, const char *actor_id,
                   const char *action, const char *target, const char *detail)
{
    char id[ID_SIZE];
    id_make(id);
    return auth_store_add_audit(tx, &(struct auth_audit){
                                        .id = id,
                                        .at_ms = clock_wall_ms(),
                                        .actor_id = actor_id,
                                        .action = action,
                                        .target = target ? target : "",
                                        .remote_addr = call->remote_addr ? call->remote_addr : "",
                                        .detail = detail ? detail : "",
                                    });
}
