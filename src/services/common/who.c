/*
 * who: the rules about callers that every service applies the same way, in one place, so that a
 * service's own code says only what is its own.
 */
#include "services/common/who.h"

#define FULL_RETRY_MS 5000

bool who_require(struct rpc_call *call, enum identity_role least)
{
    if (who_is_system(call) || who_role(call) >= least)
        return true;
    if (who_role(call) == ROLE_NONE)
        rpc_fail(call, ERR_UNAUTHENTICATED, "sign in first");
    else if (least == ROLE_ADMIN)
        rpc_fail(call, ERR_PERMISSION_DENIED, "only an administrator may do this");
    else
        rpc_fail(call, ERR_PERMISSION_DENIED, "this needs an account");
    return false;
}

bool who_require_person(struct rpc_call *call)
{
    if (!call->who || !call->who->is_bot)
        return true;
    rpc_fail(call, ERR_PERMISSION_DENIED, "bots may not do this by themselves");
    return false;
}

bool who_require_system(struct rpc_call *call)
{
    if (!who_is_system(call))
        rpc_fail(call, ERR_PERMISSION_DENIED, "not allowed");
    return who_is_system(call);
}

void *who_fail(struct rpc_call *call, enum err err)
{
    if (rpc_failure(call) == err)
        return NULL;
    bool is_full = err == ERR_RESOURCE_EXHAUSTED; /* only the store says so without a word */
    rpc_fail(call, err, "%s", is_full ? "The server has no room left for this." : err_text(err));
    if (is_full)
        call->retry_after_ms = FULL_RETRY_MS;
    return NULL;
}
