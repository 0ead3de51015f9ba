/* meeting_export: meetings that a person holds or was in, and invitations to that person. */
#include "services/common/export.h"
#include "services/meeting/meeting_internal.h"

static const struct export_query queries[] = {
    {"meetings",
     "id code title description host_id time_zone state# scheduled_start_ms# scheduled_end_ms#"
     " created_at_ms# started_at_ms# ended_at_ms#",
     "SELECT id, code, title, description, host_id, time_zone, state, scheduled_start_ms,"
     " scheduled_end_ms, created_at_ms, started_at_ms, ended_at_ms FROM meetings"
     " WHERE host_id = ?1"},
    {"participations", "meeting_id title name role# state# joined_at_ms# left_at_ms# attended_ms#",
     "SELECT p.meeting_id, m.title, p.name, p.role, p.state, p.joined_at_ms, p.left_at_ms,"
     " p.attended_ms"
     " FROM meeting_participants p JOIN meetings m ON m.id = p.meeting_id WHERE p.user_id = ?1"},
    {"meeting_invitations", "meeting_id user_name created_by created_at_ms# expires_at_ms#",
     "SELECT meeting_id, user_name, created_by, created_at_ms, expires_at_ms"
     " FROM meeting_invitations WHERE user_id = ?1"},
};

enum err meeting_export(struct store *store, const char *user_id, const struct export_sink *sink)
{
    return export_run(store, queries, ARRAY_LEN(queries), user_id, sink);
}
