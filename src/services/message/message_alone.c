/*
 * message_alone: processes that cannot call one another. Who owns shards passes on calls for those
 * of others; one that serves no gRPC can neither be called nor call, so it may own shards of a
 * database only as long as nobody else does.
 */
#include <unistd.h>

#include "core/log.h"
#include "services/message/message_internal.h"
#include "services/message/message_owner_plan.h"

#define LOOK_EVERY_MS 100

static bool is_alone(const char *id)
{
    return strncmp(id, MESSAGE_ALONE, strlen(MESSAGE_ALONE)) == 0;
}

/* Rows of others beside whom this process cannot be, if they live. */
static size_t list_alone(struct message_service *svc, struct message_peer *out)
{
    struct message_owners *o = svc->owners;
    size_t count = 0;
    pthread_mutex_lock(&o->lock);
    for (unsigned i = 0; i < MESSAGE_PEERS_MAX; i++) {
        const struct message_peer *p = &o->peers[i];
        bool is_other = p->id[0] && p->is_listed && strcmp(p->id, o->me) != 0;
        if (is_other && (is_alone(p->id) || is_alone(o->me)))
            out[count++] = *p;
    }
    pthread_mutex_unlock(&o->lock);
    return count;
}

/* Whether one of them has gone on; the rows of those that were killed stand still. */
static bool has_moved(const struct message_peer *former, size_t former_count,
                      const struct message_peer *now, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < former_count; j++)
            if (strcmp(now[i].id, former[j].id) == 0 && now[i].beat != former[j].beat) {
                log_error(NULL,
                          "message: another process (%s) has conversations of this database, and "
                          "the two cannot call one another: stop it, or let both serve gRPC "
                          "(grpc.enabled)",
                          now[i].id);
                return true;
            }
    return false;
}

/* Two that own shards pass calls on to one another; one that nobody can call would have its shards
 * for itself, and the other one's would be out of its reach. */
bool message_owners_are_apart(struct message_service *svc)
{
    struct message_peer former[MESSAGE_PEERS_MAX], now[MESSAGE_PEERS_MAX];
    size_t former_count = list_alone(svc, former);
    int64_t until_ms = clock_mono_ms() + MESSAGE_LEASE_MS;
    while (former_count && clock_mono_ms() < until_ms) {
        usleep(LOOK_EVERY_MS * 1000);
        message_owners_look(svc);
        message_owners_settle(svc, 1, MESSAGE_OWNERS_START_MS);
        if (has_moved(former, former_count, now, list_alone(svc, now)))
            return true;
    }
    return false;
}
