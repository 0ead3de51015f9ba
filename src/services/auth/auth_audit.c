/*
 * auth_audit: the log of who did what, whom, when and from where. Auth's own lines are written in
 * the transaction of what they record; those of others come through the outbox of theirs
 * (auth_events.c).
 */
#include "services/auth/auth_internal.h"
#include "services/common/who.h"

struct listing {
    struct arena *arena;
    const Auth__ListAuditRequest *in;
    struct page page;
    struct auth_audit *list;
    size_t count;
};

static enum err list_job(struct store_tx *tx, void *arg)
{
    struct listing *l = arg;
    return auth_store_list_audit(tx, l->arena, l->in->actor_id, l->in->action, &l->page, &l->list,
                                 &l->count);
}

static Auth__AuditEntry *show(struct arena *arena, const struct auth_audit *a)
{
    Auth__AuditEntry *out = arena_new(arena, Auth__AuditEntry);
    auth__audit_entry__init(out);
    out->id = (char *)a->id;
    out->at_ms = a->at_ms;
    out->actor_id = (char *)a->actor_id;
    out->action = (char *)a->action;
    out->target = (char *)a->target;
    out->remote_addr = (char *)a->remote_addr;
    out->detail = (char *)a->detail;
    return out;
}

Auth__AuditList *auth_list_audit(struct auth_service *svc, struct rpc_call *call,
                                 const Auth__ListAuditRequest *in)
{
    struct listing l = {.arena = call->arena, .in = in};
    if (!page_parse(&l.page, in->limit, 50, 500, in->cursor)) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "cursor: not one of this list");
        return NULL;
    }
    enum err err = store_read_stale(svc->deps.store, list_job, &l);
    if (err)
        return who_fail(call, err);
    Auth__AuditList *out = arena_new(call->arena, Auth__AuditList);
    auth__audit_list__init(out);
    out->n_entries = MIN(l.count, (size_t)l.page.limit);
    out->entries = arena_array(call->arena, Auth__AuditEntry *, out->n_entries);
    for (size_t i = 0; i < out->n_entries; i++)
        out->entries[i] = show(call->arena, &l.list[i]);
    if (l.count > out->n_entries) {
        const struct auth_audit *last = &l.list[out->n_entries - 1];
        out->next_cursor = page_cursor(call->arena, last->at_ms, last->id);
    }
    return out;
}
