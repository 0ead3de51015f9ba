/* message: create, destroy. */
#include "core/live.h"
#include "core/log.h"
#include "services/message/message_internal.h"

enum err message_create(struct message_service **out, const struct message_deps *deps)
{
    struct message_service *svc = mem_zalloc(sizeof(*svc));
    svc->rpc = message_rpc_table;
    svc->group_rpc = group_rpc_table;
    svc->contact_rpc = contact_rpc_table;
    svc->webhook_rpc = webhook_rpc_table;
    svc->deps = *deps;
    svc->deps.secret = STR_NULL;
    seal_key_make(deps->secret, "parlance webhooks 1", &svc->seal_key);
    if (!svc->deps.webhook_failing_max_ms)
        svc->deps.webhook_failing_max_ms = 24 * 3600 * 1000LL;
    if (!svc->deps.recall_ms)
        svc->deps.recall_ms = 24 * 3600 * 1000LL;
    if (!svc->deps.invitation_ms)
        svc->deps.invitation_ms = 14 * 24 * 3600 * 1000LL;
    if (!svc->deps.group_members_max)
        svc->deps.group_members_max = 5000;
    if (!svc->deps.channel_members_max)
        svc->deps.channel_members_max = 200000;
    message_bases_open(svc);
    enum err err = message_shards_open(svc);
    *out = svc;
    if (err) {
        message_shards_close(svc);
        free(svc);
        *out = NULL;
        return err;
    }
    if (deps->loop && bus_is_apart(deps->bus))
        svc->downstream = downstream_create(deps->bus, deps->loop);
    webhook_start(svc);
    message_index_start(svc);
    message_schedule_start(svc);
    message_meeting_start(svc);
    message_retention_start(svc);
    message_erase_start(svc);
    return ERR_OK;
}

static enum err renew_epoch(struct store_tx *tx, void *arg)
{
    char fresh[ID_SIZE];
    id_make(fresh);
    return store_run(tx, "UPDATE message_shards SET epoch = ?", "s", fresh);
}

enum err message_restored(struct store *store)
{
    return store_write_sync(store, 0, renew_epoch, NULL);
}

void message_set_rules(struct message_service *svc, const struct message_rules *rules)
{
    LIVE_SET(svc->deps.recall_ms, rules->recall_ms);
    LIVE_SET(svc->deps.keep_max_ms, rules->keep_max_ms);
    LIVE_SET(svc->deps.is_adding_contacts_only, rules->is_adding_contacts_only);
}

ProtobufCService *message_rpc(struct message_service *svc)
{
    return &svc->rpc.base;
}

ProtobufCService *message_group_rpc(struct message_service *svc)
{
    return &svc->group_rpc.base;
}

ProtobufCService *message_contact_rpc(struct message_service *svc)
{
    return &svc->contact_rpc.base;
}

ProtobufCService *message_webhook_rpc(struct message_service *svc)
{
    return &svc->webhook_rpc.base;
}

void message_set_peers(struct message_service *svc, ProtobufCService *peers)
{
    svc->peers = peers;
}

void message_drain(struct message_service *svc)
{
    svc->is_stopping = true;
    message_owners_leave(svc);
}

void message_stop_following(struct message_service *svc)
{
    if (svc)
        message_meeting_stop(svc);
}

void message_destroy(struct message_service **svc)
{
    if (!*svc)
        return;
    message_retention_stop(*svc);
    message_meeting_stop(*svc);
    message_index_stop(*svc);
    message_owners_stop(*svc);
    downstream_destroy(&(*svc)->downstream);
    message_shards_close(*svc);
    free(*svc);
    *svc = NULL;
}
