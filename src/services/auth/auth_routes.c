/* auth_routes: this service's rows of the public API. */
#include "auth.pb-c.h"
#include "services/auth/auth.h"

static const struct edge_route routes[] = {
    {
        .method = "POST",
        .path = "/api/v1/auth/register",
        .rpc = "Register",
        .who = EDGE_WHO_ANYONE,
        .ok_status = 201,
        .body_max_bytes = 8 << 10,
        .rate_per_minute = 30,
        .flags = EDGE_COOKIE_SET,
        .summary = "Make an account and sign in; the first account is administrator",
    },
    {
        .method = "POST",
        .path = "/api/v1/auth/login",
        .rpc = "Login",
        .who = EDGE_WHO_ANYONE,
        .body_max_bytes = 8 << 10,
        .rate_per_minute = 120, /* an office behind one address; guessing is throttled by auth */
        .flags = EDGE_COOKIE_SET,
        .summary = "Sign in by id, e-mail or username",
    },
    {
        .method = "POST",
        .path = "/api/v1/auth/logout",
        .rpc = "RevokeToken",
        .who = EDGE_WHO_ANYONE,
        .body_max_bytes = 8 << 10,
        .flags = EDGE_COOKIE_USE | EDGE_COOKIE_CLEAR,
        .is_idempotent = true,
        .summary = "Sign out: the tokens of this sign-in are void from now on",
    },
    {
        .method = "POST",
        .path = "/api/v1/auth/refresh",
        .rpc = "RefreshToken",
        .who = EDGE_WHO_ANYONE,
        .body_max_bytes = 8 << 10,
        .rate_per_minute = 120,
        .flags = EDGE_COOKIE_USE | EDGE_COOKIE_SET,
        .summary = "New tokens for a refresh token, which is used up by it",
    },
    {
        .method = "GET",
        .path = "/api/v1/auth/csrf",
        .rpc = "GetCsrfToken",
        .who = EDGE_WHO_ANYONE,
        .flags = EDGE_COOKIE_USE,
        .summary = "The CSRF token that goes with the refresh cookie",
    },
    {
        .method = "GET",
        .path = "/api/v1/auth/sessions",
        .rpc = "ListSessions",
        .who = EDGE_WHO_USER,
        .summary = "Where one is signed in",
    },
    {
        .method = "DELETE",
        .path = "/api/v1/auth/sessions/:id",
        .rpc = "RevokeSession",
        .who = EDGE_WHO_USER,
        .is_idempotent = true,
        .summary = "End a sign-in of one's own, or \"others\": all but this one",
    },
    {
        .method = "POST",
        .path = "/api/v1/auth/password",
        .rpc = "ChangePassword",
        .who = EDGE_WHO_USER,
        .body_max_bytes = 8 << 10,
        .rate_per_minute = 20,
        .summary = "Change one's password; ends all other sign-ins",
    },
    {
        .method = "POST",
        .path = "/api/v1/auth/users/:user_id/password",
        .rpc = "ResetPassword",
        .who = EDGE_WHO_ADMIN,
        .body_max_bytes = 8 << 10,
        .rate_per_minute = 20,
        .summary = "Give somebody a new password; ends all the person's sign-ins",
    },
    {
        .method = "GET",
        .path = "/api/v1/audit",
        .rpc = "ListAudit",
        .who = EDGE_WHO_ADMIN,
        .summary = "Who did what, whom, when and from where; the newest first",
    },
};

const struct edge_route_table auth_routes = {
    .tag = "auth",
    .service = &auth__auth__descriptor,
    .routes = routes,
    .count = ARRAY_LEN(routes),
};
