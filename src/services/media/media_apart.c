/*
 * The other media nodes, asked for what only the node of a meeting knows. A person asks any node;
 * that one asks the others as the system, and keeps of their answers what the person may see.
 */
#include "services/media/media_internal.h"

#define OTHER_MS 2000

static void keep_own(Media__RoomStats *room, const char *user_id)
{
    size_t kept = 0;
    for (size_t i = 0; i < room->n_peers; i++)
        if (strcmp(room->peers[i]->user_id, user_id) == 0)
            room->peers[kept++] = room->peers[i];
    room->n_peers = kept;
}

/* `more` is the caller's to change. */
static void add_rooms(struct arena *arena, Media__Stats *more, const char *user_id,
                      Media__Stats *reply)
{
    Media__RoomStats **all = arena_array(arena, Media__RoomStats *, reply->n_rooms + more->n_rooms);
    for (size_t i = 0; i < reply->n_rooms; i++)
        all[i] = reply->rooms[i];
    reply->rooms = all;
    for (size_t i = 0; i < more->n_rooms; i++) {
        if (user_id)
            keep_own(more->rooms[i], user_id);
        if (more->rooms[i]->n_peers || !user_id)
            reply->rooms[reply->n_rooms++] = more->rooms[i];
    }
}

void media_stats_of_others(struct media_hub *hub, struct rpc_call *call, const char *meeting_id,
                           const char *user_id, Media__Stats *reply)
{
    if (!hub->others)
        return;
    struct registry_instance *list;
    size_t count =
        registry_find(hub->registry, hub->others->descriptor->short_name, call->arena, &list);
    Media__GetStatsRequest request = MEDIA__GET_STATS_REQUEST__INIT;
    request.meeting_id = (char *)meeting_id;
    for (size_t i = 0; i < count && !(meeting_id[0] && reply->n_rooms); i++) {
        if (!list[i].port) /* ourselves */
            continue;
        struct rpc_call *other = rpc_call_create(NULL);
        other->instance = list[i].id;
        other->timeout_ms = OTHER_MS;
        const ProtobufCMessage *answer = rpc_sync(hub->others, "GetStats", &request.base, other);
        if (answer)
            add_rooms(call->arena, (Media__Stats *)rpc_message_copy(call->arena, answer), user_id,
                      reply);
        else
            log_warn(&call->log, "media: node %s says nothing to GetStats: %s", list[i].id,
                     other->message);
        rpc_call_unref(&other);
    }
}
