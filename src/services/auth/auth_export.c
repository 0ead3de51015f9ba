/* auth_export: a person's sign-ins, keys (never a secret), and lines of the audit log. */
#include "services/auth/auth_internal.h"
#include "services/common/export.h"

static const struct export_query queries[] = {
    {"sessions",
     "id device user_agent remote_addr created_at_ms# last_seen_at_ms# expires_at_ms#"
     " revoked_at_ms#",
     "SELECT id, device, user_agent, remote_addr, created_at_ms, last_seen_at_ms, expires_at_ms,"
     " revoked_at_ms FROM auth_sessions WHERE user_id = ?1"},
    {"keys", "id user_id name scopes created_at_ms# expires_at_ms# last_used_at_ms#",
     "SELECT id, user_id, name, scopes, created_at_ms, expires_at_ms, last_used_at_ms"
     " FROM auth_api_keys WHERE owner_id = ?1"},
    {"audit", "id at_ms# action target remote_addr detail",
     "SELECT id, at_ms, action, target, remote_addr, detail FROM auth_audit WHERE actor_id = ?1"
     " ORDER BY at_ms, id"},
};

enum err auth_export(struct store *store, const char *user_id, const struct export_sink *sink)
{
    return export_run(store, queries, ARRAY_LEN(queries), user_id, sink);
}
