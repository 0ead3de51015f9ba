/*
 * app_known: what can be known of the services without starting them: rows, sockets, queues, and
 * the steps that bring a database up to date.
 */
#include "app/app_internal.h"
#include "bus/bus_schema.h"
#include "services/common/erase.h"
#include "services/auth/auth.h"
#include "services/file/file.h"
#include "services/gateway/gateway.h"
#include "services/media/media.h"
#include "services/meeting/meeting.h"
#include "services/message/message.h"
#include "services/presence/presence.h"
#include "services/signaling/signaling.h"
#include "services/task/task.h"
#include "services/user/user.h"

const struct edge_route_table *const app_route_tables[] = {
    &user_routes,      &auth_routes,     &media_routes,   &meeting_routes,
    &signaling_routes, &file_routes,     &message_routes, &group_routes,
    &contact_routes,   &presence_routes, &webhook_routes, &task_routes};
const size_t app_route_table_count = ARRAY_LEN(app_route_tables);
const struct edge_socket *const app_sockets[] = {&gateway_frames, &signaling_frames};
const size_t app_socket_count = ARRAY_LEN(app_sockets);

/* Each service that keeps something of people, and works on this queue. */
const char *const app_erase_queues[] = {ERASE_QUEUE("auth"), ERASE_QUEUE("meeting"),
                                        ERASE_QUEUE("message"), ERASE_QUEUE("file"),
                                        ERASE_QUEUE("presence")};
const size_t app_erase_queue_count = ARRAY_LEN(app_erase_queues);

static const struct {
    const struct store_migration *list;
    const size_t *count;
} migrations[] = {
    {bus_migrations, &bus_migration_count},
    {user_migrations, &user_migration_count},
    {auth_migrations, &auth_migration_count},
    {media_migrations, &media_migration_count},
    {meeting_migrations, &meeting_migration_count},
    {file_migrations, &file_migration_count},
    {message_migrations, &message_migration_count},
    {presence_migrations, &presence_migration_count},
};

const struct store_migration *app_migrations(struct arena *arena, size_t *count)
{
    *count = 0;
    for (size_t i = 0; i < ARRAY_LEN(migrations); i++)
        *count += *migrations[i].count;
    struct store_migration *all = arena_array(arena, struct store_migration, *count);
    size_t at = 0;
    for (size_t i = 0; i < ARRAY_LEN(migrations); i++) {
        for (size_t j = 0; j < *migrations[i].count; j++)
            all[at++] = migrations[i].list[j];
    }
    return all;
}
