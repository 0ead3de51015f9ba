/*
 * Who may see what. Contacts and people who share a conversation see one another as far as each
 * one's settings let them; between two of whom one has blocked the other there is nothing to see.
 * Whom one may not see looks like somebody who does not exist.
 */
#include "services/common/audience.h"
#include "services/presence/presence_internal.h"

#include "contact.pb-c.h"
#include "message.pb-c.h"

#define CONTACTS_NORMAL 100

static Presence__Tie tie_of(const Message__Relation *r)
{
    if (r->is_blocked)
        return PRESENCE__TIE__STRANGER;
    if (r->is_contact)
        return PRESENCE__TIE__CONTACT;
    return r->is_sharing ? PRESENCE__TIE__SHARING : PRESENCE__TIE__STRANGER;
}

static Presence__View *view_of(struct arena *arena, Presence__PresenceInfo *all,
                               const Presence__Settings *s, Presence__Tie tie)
{
    Presence__View *v = arena_new(arena, Presence__View);
    presence__view__init(v);
    v->tie = tie;
    v->presence = all;
    if (!audience_has(s->shown_to, tie)) {
        v->presence = arena_new(arena, Presence__PresenceInfo);
        presence__presence_info__init(v->presence);
        v->presence->user_id = all->user_id;
    } else if (!audience_has(s->last_seen_to, tie)) {
        all->last_seen_ms = 0;
    }
    return v;
}

/* NULL after rpc_fail. */
static const Message__Relations *relations_of(struct presence_service *svc, struct rpc_call *call,
                                              const char *viewer_id, char **ids, size_t count)
{
    struct rpc_call *c = rpc_call_create(call);
    Message__GetRelationsRequest in = MESSAGE__GET_RELATIONS_REQUEST__INIT;
    c->who = NULL; /* the service asks */
    in.user_id = (char *)viewer_id;
    in.other_ids = ids;
    in.n_other_ids = count;
    const Message__Relations *found = rpc_sync(svc->deps.message, "GetRelations", &in.base, c);
    if (found)
        found = (const Message__Relations *)rpc_message_copy(call->arena, &found->base);
    else
        rpc_fail(call, c->err, "%s", c->message);
    rpc_call_unref(&c);
    if (found && found->n_relations != count) {
        rpc_fail(call, ERR_INTERNAL, "relations do not fit");
        return NULL;
    }
    return found;
}

static bool check_ids(struct rpc_call *call, char **ids, size_t count)
{
    if (count > PRESENCE_USERS_MAX)
        rpc_fail(call, ERR_INVALID_ARGUMENT, "user_ids: at most %d", PRESENCE_USERS_MAX);
    for (size_t i = 0; i < count && !rpc_failure(call); i++) {
        if (!id_is_valid(ids[i]))
            rpc_fail(call, ERR_INVALID_ARGUMENT, "user_ids: expected ids of users");
    }
    return !rpc_failure(call);
}

Presence__Views *presence_views(struct presence_service *svc, struct rpc_call *call,
                                const char *viewer_id, char **ids, size_t count)
{
    struct arena *arena = call->arena;
    const Message__Relations *relations = NULL;
    if (!check_ids(call, ids, count))
        return NULL;
    if (viewer_id && count && !(relations = relations_of(svc, call, viewer_id, ids, count)))
        return NULL;
    int64_t version = svc->version; /* before looking: what is newer is told by an event */
    struct presence_batch batch = {.arena = arena,
                                   .ids = ids,
                                   .count = count,
                                   .settings = arena_array(arena, Presence__Settings *, count)};
    Presence__Record **records = arena_array(arena, Presence__Record *, count);
    bool *are_unknown = arena_array(arena, bool, count);
    for (size_t i = 0; i < count; i++) {
        records[i] = presence_record_find(svc, arena, ids[i], &are_unknown[i]);
        batch.settings[i] = records[i] ? records[i]->settings : NULL;
    }
    enum err err = presence_load(svc, &batch);
    if (err)
        return who_fail(call, err);
    Presence__Views *out = arena_new(arena, Presence__Views);
    presence__views__init(out);
    out->views = arena_array(arena, Presence__View *, count);
    out->n_views = count;
    for (size_t i = 0; i < count; i++) {
        Presence__Settings *s = batch.settings[i];
        bool is_self = viewer_id && strcmp(viewer_id, ids[i]) == 0;
        s->last_seen_ms = MAX(s->last_seen_ms, presence_seen_at(svc, ids[i]));
        Presence__PresenceInfo *all =
            presence_shape(arena, arena_strdup(arena, ids[i]), records[i], s);
        all->is_unknown = are_unknown[i];
        all->last_seen_ms = are_unknown[i] ? 0 : all->last_seen_ms;
        out->views[i] =
            view_of(arena, all, s,
                    is_self || !relations ? PRESENCE__TIE__SELF : tie_of(relations->relations[i]));
        out->views[i]->presence->version = version;
    }
    return out;
}

/* ---- who of one's contacts is here ---- */

/* NULL after rpc_fail. */
static const Contact__ContactList *contacts_of(struct presence_service *svc, struct rpc_call *call,
                                               const Presence__GetOnlineUsersRequest *in)
{
    struct rpc_call *c = rpc_call_create(call);
    Contact__ListContactsRequest request = CONTACT__LIST_CONTACTS_REQUEST__INIT;
    request.limit = in->limit > 0 ? MIN(in->limit, PRESENCE_USERS_MAX) : CONTACTS_NORMAL;
    request.cursor = in->cursor;
    const Contact__ContactList *found =
        rpc_sync(svc->deps.contact, "ListContacts", &request.base, c);
    if (found)
        found = (const Contact__ContactList *)rpc_message_copy(call->arena, &found->base);
    else
        rpc_fail(call, c->err, "%s", c->message);
    rpc_call_unref(&c);
    return found;
}

void *presence_online_users(struct presence_service *svc, struct rpc_call *call,
                            const Presence__GetOnlineUsersRequest *in)
{
    struct arena *arena = call->arena;
    Presence__OnlineUsers *out = arena_new(arena, Presence__OnlineUsers);
    presence__online_users__init(out);
    char **ids = in->user_ids;
    size_t count = in->n_user_ids;
    if (!count && !who_is_system(call)) {
        const Contact__ContactList *list = contacts_of(svc, call, in);
        if (!list)
            return NULL;
        count = list->n_contacts;
        ids = arena_array(arena, char *, count);
        for (size_t i = 0; i < count; i++)
            ids[i] = list->contacts[i]->user_id;
        out->next_cursor = list->next_cursor;
    }
    Presence__Views *views =
        presence_views(svc, call, who_is_system(call) ? NULL : who_id(call), ids, count);
    if (!views)
        return NULL;
    out->presences = arena_array(arena, Presence__PresenceInfo *, count);
    for (size_t i = 0; i < count; i++) {
        if (views->views[i]->presence->status != PRESENCE__STATUS__OFFLINE)
            out->presences[out->n_presences++] = views->views[i]->presence;
    }
    return out;
}
