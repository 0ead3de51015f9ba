/* message_owner_plan: see message_owner_plan.h. A row that is seen for the first time counts as
 * alive until its beat has stood still: who has just come does not take from who is slow. */
#include "services/message/message_owner_plan.h"

#include <stdio.h>
#include <string.h>

static struct message_peer *find_peer(struct message_owners *o, const char *id)
{
    for (unsigned i = 0; i < MESSAGE_PEERS_MAX; i++)
        if (o->peers[i].id[0] && strcmp(o->peers[i].id, id) == 0)
            return &o->peers[i];
    return NULL;
}

static struct message_peer *new_peer(struct message_owners *o)
{
    struct message_peer *oldest = &o->peers[0];
    for (unsigned i = 0; i < MESSAGE_PEERS_MAX; i++) {
        if (!o->peers[i].id[0])
            return &o->peers[i];
        if (o->peers[i].seen_ms < oldest->seen_ms)
            oldest = &o->peers[i];
    }
    return oldest;
}

static void take_peers(struct message_owners *o, const struct message_view *v, int64_t now_ms)
{
    for (unsigned i = 0; i < MESSAGE_PEERS_MAX; i++)
        o->peers[i].is_listed = false;
    for (unsigned i = 0; i < v->peer_count; i++) {
        const struct message_peer *seen = &v->peers[i];
        struct message_peer *p = find_peer(o, seen->id);
        bool is_new = !p;
        if (is_new) {
            p = new_peer(o);
            memcpy(p->id, seen->id, sizeof(p->id));
        }
        if (is_new || p->beat != seen->beat)
            p->seen_ms = now_ms;
        p->beat = seen->beat;
        p->is_listed = true;
    }
}

static bool is_alive(const struct message_peer *p, int64_t now_ms)
{
    return p->id[0] && p->is_listed && now_ms - p->seen_ms < MESSAGE_LEASE_MS;
}

static bool is_me(const struct message_owners *o, const char *id)
{
    return strcmp(o->me, id) == 0;
}

/* An owner without a row has left, or never was: its shards are free. */
static bool is_free(struct message_owners *o, const char *owner, int64_t now_ms)
{
    const struct message_peer *p = owner[0] ? find_peer(o, owner) : NULL;
    return !p || !is_alive(p, now_ms);
}

static unsigned count_owned(const struct message_owners *o, unsigned shard_count, const char *id)
{
    unsigned count = 0;
    for (unsigned i = 0; i < shard_count; i++)
        count += strcmp(o->holdings[i].owner, id) == 0;
    return count;
}

/* Whoever else lives and has the fewest; NULL: nobody. */
static struct message_peer *poorest(struct message_owners *o, unsigned shard_count, int64_t now_ms,
                                    unsigned *count)
{
    struct message_peer *best = NULL;
    for (unsigned i = 0; i < MESSAGE_PEERS_MAX; i++) {
        struct message_peer *p = &o->peers[i];
        if (!is_alive(p, now_ms) || is_me(o, p->id))
            continue;
        unsigned owned = count_owned(o, shard_count, p->id);
        if (!best || owned < *count) {
            best = p;
            *count = owned;
        }
    }
    return best;
}

static unsigned quota_of(const struct message_owners *o, unsigned shard_count, int64_t now_ms)
{
    unsigned alive = !o->is_leaving;
    for (unsigned i = 0; i < MESSAGE_PEERS_MAX; i++)
        alive += is_alive(&o->peers[i], now_ms) && !is_me(o, o->peers[i].id);
    return alive ? (shard_count + alive - 1) / alive : 0;
}

/* Those in a database that is away come last, and are tried beside the others: else they would fill
 * the quota for as long as it is away, and what else is free would stay so. */
static void plan_takes(struct message_owners *o, unsigned shard_count, const bool *is_ours,
                       int64_t now_ms, struct message_plan *out)
{
    unsigned quota = quota_of(o, shard_count, now_ms), mine = 0;
    for (unsigned i = 0; i < shard_count; i++)
        mine += is_ours[i] || (o->holdings[i].is_moving && !o->holdings[i].is_failing);
    for (unsigned at = 0; at < 2 * shard_count && !o->is_leaving; at++) {
        unsigned i = at % shard_count;
        struct message_holding *h = &o->holdings[i];
        if (is_ours[i] || h->is_moving || h->is_failing != (at >= shard_count))
            continue;
        bool is_given = is_me(o, h->owner); /* or was ours in an earlier life */
        if (!is_given && (mine >= quota || !is_free(o, h->owner, now_ms)))
            continue;
        out->steps[i].kind = MESSAGE_STEP_TAKE;
        h->is_moving = true;
        mine++;
    }
}

static void plan_gifts(struct message_owners *o, unsigned shard_count, const bool *is_ours,
                       int64_t now_ms, struct message_plan *out)
{
    unsigned quota = quota_of(o, shard_count, now_ms), mine = 0;
    for (unsigned i = 0; i < shard_count; i++)
        mine += is_ours[i];
    for (unsigned i = 0; i < shard_count; i++) {
        struct message_holding *h = &o->holdings[i];
        unsigned theirs = 0;
        struct message_peer *to = poorest(o, shard_count, now_ms, &theirs);
        bool is_surplus = o->is_leaving || (mine > quota && theirs < quota);
        if (!is_ours[i] || h->is_moving || !to || !is_surplus)
            continue;
        out->steps[i].kind = MESSAGE_STEP_GIVE;
        out->steps[i].to = to->id;
        memcpy(h->owner, to->id, sizeof(h->owner)); /* counts as theirs from now on */
        h->is_moving = true;
        mine--;
    }
}

void message_plan(struct message_owners *o, const struct message_view *view, unsigned shard_count,
                  const bool *is_ours, int64_t now_ms, struct message_plan *out)
{
    take_peers(o, view, now_ms);
    for (unsigned i = 0; i < shard_count; i++) {
        struct message_holding *h = &o->holdings[i];
        if (h->is_moving || view->fences[i] < h->fence) /* older than what we did ourselves */
            continue;
        memcpy(h->owner, view->owners[i], sizeof(h->owner));
        h->fence = view->fences[i];
    }
    plan_takes(o, shard_count, is_ours, now_ms, out);
    plan_gifts(o, shard_count, is_ours, now_ms, out);
}
