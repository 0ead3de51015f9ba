/* presence_export: what a person says of being here, and the last visit. */
#include "services/common/export.h"
#include "services/presence/presence_internal.h"

static const struct export_query queries[] = {
    {"presence",
     "status# status_until_ms# text emoji text_until_ms# shown_to# last_seen_to# last_seen_ms#",
     "SELECT status, status_until_ms, text, emoji, text_until_ms, shown_to, last_seen_to,"
     " last_seen_ms FROM presence_people WHERE user_id = ?1"},
};

enum err presence_export(struct store *store, const char *user_id, const struct export_sink *sink)
{
    return export_run(store, queries, ARRAY_LEN(queries), user_id, sink);
}
