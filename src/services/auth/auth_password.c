/*
 * auth_password: changing one's password, and an administrator giving somebody a new one. The new
 * hash takes the place of exactly the old one that was checked, so of two changes at once one
 * fails. The moment user has it, sign-ins opened with the old password fail validation by
 * themselves; ending them here, too, is what drops their sockets.
 */
#include <string.h>

#include "services/auth/auth_internal.h"
#include "services/common/text.h"
#include "services/common/who.h"

static const struct throttle_rule by_account = {
    .scope = "password",
    .free_count = 5,
    .first_delay_ms = 1000,
    .delay_max_ms = 5 * 60 * 1000,
    .window_ms = 3600 * 1000,
};

struct change {
    struct auth_service *svc;
    struct rpc_call *call;
    struct auth_account account;
    const char *action, *kept_session; /* "": none */
    int64_t changed_at_ms;
};

static enum err change_job(struct store_tx *tx, void *arg)
{
    struct change *c = arg;
    int count;
    enum err err = ERR_OK;
    if (c->kept_session[0])
        err = auth_store_set_session_password(tx, c->kept_session, c->changed_at_ms);
    if (!err)
        err = auth_session_end_all_tx(
            c->svc, tx, c->call->arena,
            &(struct auth_end_all){.user_id = c->account.id, .except = c->kept_session}, &count);
    /* Somebody else has to mend it: then what an intruder may have made goes, too. */
    if (!err && !c->kept_session[0])
        err = auth_key_end_all_tx(c->svc, tx, c->call->arena, c->account.id);
    if (!err)
        err = auth_note(tx, c->call, who_id(c->call), c->action, c->account.id, NULL);
    return err;
}

static bool set_password(struct change *c, const char *value)
{
    char hash[PASSWORD_HASH_SIZE];
    struct rpc_call *call = c->call;
    const char *password =
        text_take(call, value, &(struct text_rule){"new_password", 8, 128, TEXT_EXACT});
    if (!password)
        return false;
    enum err err = password_hash(c->svc->hasher, str_from(password), hash);
    if (!err)
        err = auth_account_set_password(c->svc, call, &c->account, hash, false, &c->changed_at_ms);
    if (err == ERR_ABORTED)
        rpc_fail(call, err, "the password was changed by somebody else just now");
    if (!err)
        err = store_write_sync(c->svc->deps.store, 0, change_job, c);
    if (err)
        who_fail(call, err);
    return !err;
}

static enum err failure_job(struct store_tx *tx, void *arg)
{
    struct change *c = arg;
    return auth_note(tx, c->call, c->account.id, "password_change_failed", c->account.id, NULL);
}

static bool check_old(struct change *c, const char *old_password)
{
    struct rpc_call *call = c->call;
    bool is_match = false, is_outdated;
    int64_t wait_ms = 0;
    enum err err = throttle_try(c->svc->deps.cache, &by_account, c->account.id, &wait_ms);
    if (err) {
        call->retry_after_ms = wait_ms;
        rpc_fail(call, err, "too many attempts; try again in %lld s",
                 (long long)(wait_ms + 999) / 1000);
        return false;
    }
    struct str old = str_sub(str_from(old_password), 0, 128 * 4);
    err = password_verify(c->svc->hasher, c->account.password_hash, old, &is_match, &is_outdated);
    if (err) {
        who_fail(call, err);
    } else if (!is_match) {
        if (store_write_sync(c->svc->deps.store, 0, failure_job, c))
            log_warn(&call->log, "a failed password change could not be recorded");
        rpc_fail(call, ERR_PERMISSION_DENIED, "old_password: is wrong");
    } else {
        throttle_forget(c->svc->deps.cache, &by_account, c->account.id);
    }
    return is_match;
}

static Auth__ChangePasswordReply *done(struct rpc_call *call)
{
    Auth__ChangePasswordReply *out = arena_new(call->arena, Auth__ChangePasswordReply);
    auth__change_password_reply__init(out);
    return out;
}

Auth__ChangePasswordReply *auth_change_password(struct auth_service *svc, struct rpc_call *call,
                                                const Auth__ChangePasswordRequest *in)
{
    struct change c = {.svc = svc, .call = call, .action = "password_changed"};
    enum err err = auth_account_find(svc, call, who_id(call), &c.account);
    if (err)
        return who_fail(call, err);
    c.kept_session = call->who->session_id;
    if (!check_old(&c, in->old_password))
        return NULL;
    if (strcmp(in->old_password, in->new_password) == 0) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "new_password: is the old one");
        return NULL;
    }
    return set_password(&c, in->new_password) ? done(call) : NULL;
}

Auth__ChangePasswordReply *auth_reset_password(struct auth_service *svc, struct rpc_call *call,
                                               const Auth__ResetPasswordRequest *in)
{
    struct change c = {.svc = svc, .call = call, .action = "password_reset", .kept_session = ""};
    enum err err = id_is_valid(in->user_id) ? auth_account_find(svc, call, in->user_id, &c.account)
                                            : ERR_NOT_FOUND;
    if (err == ERR_NOT_FOUND)
        rpc_fail(call, err, "no such user");
    if (!err && c.account.owner_id[0]) {
        err = ERR_FAILED_PRECONDITION;
        rpc_fail(call, err, "a bot has no password: its owner makes keys for it");
    }
    if (err)
        return who_fail(call, err);
    return set_password(&c, in->new_password) ? done(call) : NULL;
}
