/*
 * auth_login: registering and signing in by password.
 *
 * An unknown account and a wrong password are answered alike, in words and in time: a hash is
 * computed and a record written either way. Guessing is slowed by three counters: one name from one
 * address (soon), one address whatever the name (stuffing), one name from wherever (a herd of
 * addresses). The last waits half a minute at most, so nobody can shut out the owner for long.
 */
#include "core/clock.h"
#include "services/auth/auth_internal.h"
#include "services/common/text.h"
#include "services/common/who.h"

static const struct throttle_rule by_pair = {
    .scope = "login-pair",
    .free_count = 5,
    .first_delay_ms = 1000,
    .delay_max_ms = 15 * 60 * 1000,
    .window_ms = 3600 * 1000,
};
static const struct throttle_rule by_address = {
    .scope = "login-addr",
    .free_count = 50,
    .first_delay_ms = 1000,
    .delay_max_ms = 5 * 60 * 1000,
    .window_ms = 3600 * 1000,
};
static const struct throttle_rule by_name = {
    .scope = "login-name",
    .free_count = 30,
    .first_delay_ms = 1000,
    .delay_max_ms = 30 * 1000,
    .window_ms = 3600 * 1000,
};

struct attempt {
    struct auth_service *svc;
    struct rpc_call *call;
    const char *login; /* as typed, folded */
    char address[THROTTLE_ADDR_SIZE];
    const char *pair;
    struct auth_account account;
    bool is_known;
};

static bool is_let_through(struct attempt *a)
{
    struct cache *cache = a->svc->deps.cache;
    int64_t wait_ms = 0;
    enum err err = throttle_try(cache, &by_pair, a->pair, &wait_ms);
    if (!err)
        err = throttle_try(cache, &by_address, a->address, &wait_ms);
    if (!err)
        err = throttle_try(cache, &by_name, a->login, &wait_ms);
    if (!err)
        return true;
    a->call->retry_after_ms = wait_ms;
    rpc_fail(a->call, ERR_RESOURCE_EXHAUSTED, "too many attempts; try again in %lld s",
             (long long)(wait_ms + 999) / 1000);
    return false;
}

/* A success proves the name and the address's right to it. By address the success alone does not
 * count (an office may sign in through one), what failed does: one account of one's own must not
 * buy guesses at others. */
static void forgive(struct attempt *a)
{
    throttle_forget(a->svc->deps.cache, &by_pair, a->pair);
    throttle_forget(a->svc->deps.cache, &by_name, a->login);
    throttle_give_back(a->svc->deps.cache, &by_address, a->address);
}

struct failure {
    struct rpc_call *call;
    const char *target, *detail;
};

static enum err failure_job(struct store_tx *tx, void *arg)
{
    struct failure *f = arg;
    return auth_note(tx, f->call, "", "login_failed", f->target, f->detail);
}

static void record_failure(struct attempt *a, const char *detail)
{
    char masked[320];
    log_mask(masked, sizeof(masked), a->login);
    struct failure f = {a->call, a->is_known ? a->account.id : masked, detail};
    enum err err = store_write_sync(a->svc->deps.store, 0, failure_job, &f);
    if (err)
        log_warn(&a->call->log, "a failed sign-in could not be recorded: %s", err_name(err));
}

/* The password was right but hashed at a former cost. A failure is no reason to refuse. */
static void make_hash_anew(struct attempt *a, struct str password)
{
    char hash[PASSWORD_HASH_SIZE];
    int64_t unused;
    enum err err = password_hash(a->svc->hasher, password, hash);
    if (!err)
        err = auth_account_set_password(a->svc, a->call, &a->account, hash, true, &unused);
    if (err)
        log_warn(&a->call->log, "password hash stays at its old cost: %s", err_name(err));
}

static bool is_password_right(struct attempt *a, const char *password)
{
    bool is_match = false, is_outdated = false;
    enum err err = auth_account_find(a->svc, a->call, a->login, &a->account);
    a->is_known = !err && !a->account.owner_id[0]; /* nobody signs in as a bot */
    if (err && err != ERR_NOT_FOUND) {
        who_fail(a->call, err);
        return false;
    }
    err = password_verify(a->svc->hasher, a->is_known ? a->account.password_hash : NULL,
                          str_from(password), &is_match, &is_outdated);
    if (err) {
        a->call->retry_after_ms = 1000;
        rpc_fail(a->call, err, "too many people sign in at once, try again");
        return false;
    }
    if (!is_match) {
        record_failure(a, NULL);
        rpc_fail(a->call, ERR_UNAUTHENTICATED, "the name or the password is wrong");
        return false;
    }
    if (a->account.is_disabled) {
        /* Said only to who knows the password. */
        record_failure(a, "disabled");
        rpc_fail(a->call, ERR_PERMISSION_DENIED, "this account is disabled");
        return false;
    }
    if (is_outdated)
        make_hash_anew(a, str_from(password));
    return true;
}

static const char *device_of(struct rpc_call *call, const char *device)
{
    if (!device[0])
        device = auth_device_name(call->arena, call->user_agent);
    return text_take(call, device, &(struct text_rule){"device", 0, 100, 0});
}

Auth__LoginReply *auth_login(struct auth_service *svc, struct rpc_call *call,
                             const Auth__LoginRequest *in)
{
    struct attempt a = {.svc = svc, .call = call};
    const char *login = text_take(call, in->login, &(struct text_rule){"login", 1, 254, 0});
    const char *device = login ? device_of(call, in->device) : NULL;
    if (!device)
        return NULL;
    struct str password = str_from(in->password);
    if (!password.n || password.n > 128 * 4) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "password: expected 1 to 128 characters");
        return NULL;
    }
    a.login = text_fold(call->arena, str_from(login));
    throttle_addr(call->remote_addr, a.address);
    a.pair = arena_printf(call->arena, "%s %s", a.address, a.login);
    if (!is_let_through(&a) || !is_password_right(&a, in->password))
        return NULL;
    forgive(&a);
    return auth_session_open(svc, call, &a.account, device, "login");
}

static void copy_registration(User__RegisterRequest *out, const Auth__RegisterRequest *in)
{
    out->username = in->username;
    out->email = in->email;
    out->password = in->password;
    out->nickname = in->nickname;
    out->invitation = in->invitation;
    out->locale = in->locale;
    out->time_zone = in->time_zone;
}

Auth__LoginReply *auth_register(struct auth_service *svc, struct rpc_call *call,
                                const Auth__RegisterRequest *in)
{
    User__RegisterRequest request = USER__REGISTER_REQUEST__INIT;
    struct auth_account account;
    copy_registration(&request, in);
    /* With the caller's identity: whether nobody in particular may register is user's to say. */
    struct rpc_call *inner = rpc_call_create(call);
    const User__Profile *profile = rpc_sync(svc->deps.user, "Register", &request.base, inner);
    if (!profile) {
        call->retry_after_ms = inner->retry_after_ms;
        rpc_fail(call, inner->err, "%s", inner->message);
        rpc_call_unref(&inner);
        return NULL;
    }
    enum err err = auth_account_find(svc, call, profile->id, &account);
    rpc_call_unref(&inner);
    if (err)
        return who_fail(call, err);
    const char *device = device_of(call, "");
    return device ? auth_session_open(svc, call, &account, device, "login") : NULL;
}
