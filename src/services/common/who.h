/* who: questions about the caller of an RPC that every service asks. */
#pragma once

#include <string.h>

#include "core/clock.h"
#include "rpc/rpc.h"

/* Another service or a command, acting for nobody; never what comes from outside (the edge always
 * names an identity, if only one without a role). */
static inline bool who_is_system(const struct rpc_call *call)
{
    return !call->who;
}

static inline enum identity_role who_role(const struct rpc_call *call)
{
    return call->who ? call->who->role : ROLE_NONE;
}

static inline bool who_is_admin(const struct rpc_call *call)
{
    return who_is_system(call) || who_role(call) == ROLE_ADMIN;
}

/* "" for nobody and for the system. */
static inline const char *who_id(const struct rpc_call *call)
{
    return call->who ? call->who->user_id : "";
}

/* Is the caller this very person? */
static inline bool who_is(const struct rpc_call *call, const char *user_id)
{
    return user_id[0] && strcmp(who_id(call), user_id) == 0;
}

/* false after rpc_fail: UNAUTHENTICATED for nobody, PERMISSION_DENIED for too little. */
bool who_require(struct rpc_call *call, enum identity_role least);
/* false after rpc_fail: bots may not do this by themselves. */
bool who_require_person(struct rpc_call *call);
/* false after rpc_fail: only other services may call this. */
bool who_require_system(struct rpc_call *call);

/* Records err with its own text unless it was recorded already, with a better one. Always NULL, so
 * that a domain function may end with `return who_fail(call, err)`. */
void *who_fail(struct rpc_call *call, enum err err);
