/*
 * user_routes: this service's rows of the public API. Who may see or change which account is
 * decided again, and finer, by the RPCs themselves; the rule here is the coarse one.
 */
#include "services/user/user.h"
#include "user.pb-c.h"

static const struct edge_route routes[] = {
    {
        .method = "GET",
        .path = "/api/v1/users/me",
        .rpc = "GetUser", /* the id stays empty: the caller */
        .who = EDGE_WHO_USER,
        .rate_per_minute = 60000, /* clients poll it; the benchmark too */
        .summary = "One's own account",
    },
    {
        .method = "GET",
        .path = "/api/v1/users",
        .rpc = "SearchUsers",
        .who = EDGE_WHO_USER,
        .rate_per_minute = 120,
        .summary = "Search accounts by username or nickname",
    },
    {
        .method = "GET",
        .path = "/api/v1/users/:id",
        .rpc = "GetUser",
        .who = EDGE_WHO_USER,
        .summary = "An account; e-mail and phone are masked for others",
    },
    {
        .method = "PUT",
        .path = "/api/v1/users/:id",
        .rpc = "UpdateUser",
        .who = EDGE_WHO_USER,
        .rate_per_minute = 60,
        .is_idempotent = true,
        .summary = "Change one's profile; administrators: any account, its role and whether it is "
                   "disabled",
    },
    {
        .method = "PUT",
        .path = "/api/v1/users/:id/avatar",
        .rpc = "PutAvatar",
        .who = EDGE_WHO_USER,
        .body_max_bytes = 512 << 10,
        .rate_per_minute = 10,
        .flags = EDGE_RAW_BODY,
        .raw_types = "image/png image/jpeg image/webp",
        .raw_field = "image",
        .summary = "Set one's picture (PNG, JPEG or WebP, at most 512 KiB)",
    },
    {
        .method = "GET",
        .path = "/api/v1/users/:id/avatar",
        .rpc = "GetAvatar",
        .who = EDGE_WHO_ANYONE, /* the version in avatar_url cannot be guessed */
        .rate_per_minute = 6000,
        .flags = EDGE_RAW_REPLY,
        .raw_types = "image/png image/jpeg image/webp",
        .summary = "The picture, at the address that avatar_url says",
    },
    {
        .method = "POST",
        .path = "/api/v1/bots",
        .rpc = "CreateBot",
        .who = EDGE_WHO_USER,
        .ok_status = 201,
        .rate_per_minute = 30,
        .summary = "Make an account for a program, owned by the caller",
    },
    {
        .method = "GET",
        .path = "/api/v1/bots",
        .rpc = "ListBots",
        .who = EDGE_WHO_USER,
        .summary = "One's own bots",
    },
    {
        .method = "DELETE",
        .path = "/api/v1/bots/:id",
        .rpc = "DeleteBot",
        .who = EDGE_WHO_USER,
        .is_idempotent = true,
        .summary = "End a bot of one's own: its keys are void, what it said stays",
    },
    {
        .method = "POST",
        .path = "/api/v1/invitations",
        .rpc = "CreateInvitation",
        .who = EDGE_WHO_ADMIN,
        .ok_status = 201,
        .summary = "Invite somebody to register",
    },
    {
        .method = "GET",
        .path = "/api/v1/invitations",
        .rpc = "ListInvitations",
        .who = EDGE_WHO_ADMIN,
        .summary = "Invitations to register",
    },
    {
        .method = "DELETE",
        .path = "/api/v1/invitations/:code",
        .rpc = "DeleteInvitation",
        .who = EDGE_WHO_ADMIN,
        .is_idempotent = true,
        .summary = "Withdraw an invitation to register",
    },
};

const struct edge_route_table user_routes = {
    .tag = "users",
    .service = &user__user__descriptor,
    .routes = routes,
    .count = ARRAY_LEN(routes),
};
