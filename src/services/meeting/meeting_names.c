/* What accounts are called and look like: asked of the user service, before a transaction begins.
 */
#include "services/meeting/meeting_internal.h"

#include "user.pb-c.h"

static struct meeting_account take(struct arena *arena, const User__Profile *p)
{
    return (struct meeting_account){
        .user_id = arena_strdup(arena, p->id),
        .name = arena_strdup(arena, p->nickname[0] ? p->nickname : p->username),
        .avatar_url = arena_strdup(arena, p->avatar_url),
    };
}

bool meeting_find_account(struct meeting_service *svc, struct rpc_call *call, const char *user_id,
                          struct meeting_account *out)
{
    struct rpc_call *c = rpc_call_create(call);
    User__GetUserRequest request = USER__GET_USER_REQUEST__INIT;
    request.id = (char *)user_id;
    c->is_idempotent = true;
    const User__Profile *p = rpc_sync(svc->deps.user, "GetUser", &request.base, c);
    if (p)
        *out = take(call->arena, p);
    else
        rpc_fail(call, c->err, "%s", c->message);
    rpc_call_unref(&c);
    return p != NULL;
}
