/*
 * auth_rpc: the handlers. Each checks who asks, lets a domain file do the work, and ends with the
 * one closure. Whose session or password it is follows from the caller's identity, never from a
 * field.
 */
#include "services/auth/auth_internal.h"
#include "services/common/who.h"

static struct auth_service *service_of(Auth__Auth_Service *rpc)
{
    return CONTAINER_OF(rpc, struct auth_service, rpc);
}

static void on_register(Auth__Auth_Service *rpc, const Auth__RegisterRequest *in,
                        Auth__LoginReply_Closure closure, void *data)
{
    closure(auth_register(service_of(rpc), data, in), data);
}

static void on_login(Auth__Auth_Service *rpc, const Auth__LoginRequest *in,
                     Auth__LoginReply_Closure closure, void *data)
{
    closure(auth_login(service_of(rpc), data, in), data);
}

static void on_validate_token(Auth__Auth_Service *rpc, const Auth__ValidateTokenRequest *in,
                              Auth__ValidateTokenReply_Closure closure, void *data)
{
    closure(auth_validate(service_of(rpc), data, in), data);
}

static void on_refresh_token(Auth__Auth_Service *rpc, const Auth__RefreshTokenRequest *in,
                             Auth__LoginReply_Closure closure, void *data)
{
    closure(auth_refresh(service_of(rpc), data, in), data);
}

static void on_revoke_token(Auth__Auth_Service *rpc, const Auth__RevokeTokenRequest *in,
                            Auth__RevokeTokenReply_Closure closure, void *data)
{
    closure(auth_revoke(service_of(rpc), data, in), data);
}

static void on_issue_guest_token(Auth__Auth_Service *rpc, const Auth__IssueGuestTokenRequest *in,
                                 Auth__GuestToken_Closure closure, void *data)
{
    bool is_allowed = who_require_system(data);
    closure(is_allowed ? auth_issue_guest(service_of(rpc), data, in) : NULL, data);
}

static void on_list_sessions(Auth__Auth_Service *rpc, const Auth__ListSessionsRequest *in,
                             Auth__SessionList_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_USER);
    closure(is_allowed ? auth_list_sessions(service_of(rpc), data) : NULL, data);
}

static void on_revoke_session(Auth__Auth_Service *rpc, const Auth__RevokeSessionRequest *in,
                              Auth__RevokeSessionReply_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_USER);
    closure(is_allowed ? auth_revoke_session(service_of(rpc), data, in->id) : NULL, data);
}

static void on_change_password(Auth__Auth_Service *rpc, const Auth__ChangePasswordRequest *in,
                               Auth__ChangePasswordReply_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_USER);
    closure(is_allowed ? auth_change_password(service_of(rpc), data, in) : NULL, data);
}

static void on_reset_password(Auth__Auth_Service *rpc, const Auth__ResetPasswordRequest *in,
                              Auth__ChangePasswordReply_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_ADMIN);
    closure(is_allowed ? auth_reset_password(service_of(rpc), data, in) : NULL, data);
}

static void on_get_csrf_token(Auth__Auth_Service *rpc, const Auth__GetCsrfTokenRequest *in,
                              Auth__CsrfToken_Closure closure, void *data)
{
    closure(auth_csrf(service_of(rpc), data, in), data);
}

static void on_list_audit(Auth__Auth_Service *rpc, const Auth__ListAuditRequest *in,
                          Auth__AuditList_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_ADMIN);
    closure(is_allowed ? auth_list_audit(service_of(rpc), data, in) : NULL, data);
}

static void on_validate_signature(Auth__Auth_Service *rpc, const Auth__ValidateSignatureRequest *in,
                                  Auth__ValidateTokenReply_Closure closure, void *data)
{
    closure(auth_validate_signature(service_of(rpc), data, in), data);
}

static void on_create_key(Auth__Auth_Service *rpc, const Auth__CreateKeyRequest *in,
                          Auth__ApiKey_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_USER);
    closure(is_allowed ? auth_create_key(service_of(rpc), data, in) : NULL, data);
}

static void on_list_keys(Auth__Auth_Service *rpc, const Auth__ListKeysRequest *in UNUSED,
                         Auth__KeyList_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_USER);
    closure(is_allowed ? auth_list_keys(service_of(rpc), data) : NULL, data);
}

static void on_revoke_key(Auth__Auth_Service *rpc, const Auth__RevokeKeyRequest *in,
                          Auth__RevokeKeyReply_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_USER);
    closure(is_allowed ? auth_revoke_key(service_of(rpc), data, in->id) : NULL, data);
}

static void on_check_sessions(Auth__Auth_Service *rpc, const Auth__CheckSessionsRequest *in,
                              Auth__CheckSessionsReply_Closure closure, void *data)
{
    bool is_allowed = who_require_system(data);
    closure(is_allowed ? auth_check_sessions(service_of(rpc), data, in) : NULL, data);
}

const Auth__Auth_Service auth_rpc_table = AUTH__AUTH__INIT(on_);
