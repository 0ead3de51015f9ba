/*
 * etcd_lease: see the header. One timer drives it: it grants what is not there, opens the stream
 * that is not open, and sends a keep-alive each third of the lease's time. A keep-alive that is not
 * answered by then means that the endpoint is dead or frozen: it is left, in time for another one.
 */
#include "registry/etcd_lease.h"

#include <stdlib.h>

#include "core/arena.h"
#include "core/log.h"
#include "core/mem.h"

#include "etcd.pb-c.h"

struct etcd_lease {
    struct etcd_lease_options opt;
    struct loop_timer timer;
    struct etcd_call *granting;
    struct etcd_call *stream;
    int64_t id;
    bool is_asked; /* a keep-alive is out */
    bool is_over;  /* revoked: it stays away */
    void (*revoked)(void *arg);
    void *revoked_arg;
};

static void work(void *arg);

static void work_after(struct etcd_lease *l, int64_t ms)
{
    if (!l->is_over)
        loop_timer_start(l->opt.loop, &l->timer, ms, work, l);
}

/* ---- having one ---- */

static void on_granted(void *arg, const uint8_t *bytes, size_t n)
{
    struct etcd_lease *l = arg;
    struct arena *arena = arena_create();
    const Etcd__LeaseGrantResponse *reply =
        etcd__lease_grant_response__unpack(arena_protobuf(arena, 65536), n, bytes);
    if (reply && reply->id && !l->is_over)
        l->id = reply->id;
    arena_destroy(&arena);
}

static void on_grant_end(void *arg, enum err err, const char *why)
{
    struct etcd_lease *l = arg;
    l->granting = NULL;
    if (err == ERR_CANCELLED || l->is_over)
        return;
    if (!l->id) {
        if (err && err != ERR_UNAVAILABLE && etcd_client_is_welcome(l->opt.client))
            log_error(NULL, "registry: etcd grants no lease: %s", why);
        work_after(l, etcd_client_pause_ms(l->opt.client));
        return;
    }
    l->opt.on_held(l->opt.arg, l->id);
    work_after(l, 0);
}

static const struct etcd_call_handler grant_handler = {.on_message = on_granted,
                                                       .on_end = on_grant_end};

static void grant(struct etcd_lease *l)
{
    Etcd__LeaseGrantRequest request = ETCD__LEASE_GRANT_REQUEST__INIT;
    request.ttl = MAX(l->opt.ttl_ms / 1000, (int64_t)2);
    l->granting = etcd_call_start(
        l->opt.client, &(struct etcd_call_options){.path = "/etcdserverpb.Lease/LeaseGrant",
                                                   .request = &request.base,
                                                   .handler = &grant_handler,
                                                   .arg = l});
}

/* ---- keeping it ---- */

void etcd_lease_lost(struct etcd_lease *l, int64_t id)
{
    if (l->is_over || !id || id != l->id)
        return;
    log_warn(NULL, "registry: the lease has ended; announcing anew");
    l->id = 0;
    l->is_asked = false;
    etcd_call_cancel(&l->stream);
    work_after(l, 0);
}

static void on_kept(void *arg, const uint8_t *bytes, size_t n)
{
    struct etcd_lease *l = arg;
    struct arena *arena = arena_create();
    const Etcd__LeaseKeepAliveResponse *reply =
        etcd__lease_keep_alive_response__unpack(arena_protobuf(arena, 65536), n, bytes);
    bool is_lost = reply && reply->id == l->id && reply->ttl <= 0;
    if (reply && reply->id == l->id)
        l->is_asked = false;
    arena_destroy(&arena);
    if (is_lost)
        etcd_lease_lost(l, l->id);
}

static void on_stream_end(void *arg, enum err err, const char *why)
{
    struct etcd_lease *l = arg;
    l->stream = NULL;
    l->is_asked = false;
    if (err == ERR_CANCELLED)
        return;
    if (err == ERR_NOT_FOUND)
        etcd_lease_lost(l, l->id);
    else
        work_after(l, etcd_client_pause_ms(l->opt.client));
}

static const struct etcd_call_handler keep_handler = {.on_message = on_kept,
                                                      .on_end = on_stream_end};

static void keep(struct etcd_lease *l)
{
    Etcd__LeaseKeepAliveRequest request = ETCD__LEASE_KEEP_ALIVE_REQUEST__INIT;
    request.id = l->id;
    l->is_asked = true;
    if (l->stream)
        etcd_call_send(l->stream, &request.base);
    else
        l->stream = etcd_call_start(
            l->opt.client, &(struct etcd_call_options){.path = "/etcdserverpb.Lease/LeaseKeepAlive",
                                                       .request = &request.base,
                                                       .is_stream = true,
                                                       .handler = &keep_handler,
                                                       .arg = l});
}

static void work(void *arg)
{
    struct etcd_lease *l = arg;
    if (l->is_over || l->granting)
        return;
    if (!l->id) {
        grant(l);
        return;
    }
    if (l->is_asked) {
        etcd_call_blame(l->stream);       /* its end comes, and then the next try */
        work_after(l, l->opt.ttl_ms / 3); /* unless it only waits for the sign-in */
        return;
    }
    keep(l);
    work_after(l, l->opt.ttl_ms / 3);
}

/* ---- the end ---- */

static void revoke_done(struct etcd_lease *l)
{
    if (l->revoked)
        l->revoked(l->revoked_arg);
    l->revoked = NULL;
}

static void on_revoked(void *arg, const uint8_t *bytes, size_t n)
{
}

static void on_revoke_end(void *arg, enum err err, const char *why)
{
    struct etcd_lease *l = arg;
    if (err && err != ERR_NOT_FOUND)
        log_warn(NULL, "registry: what was announced runs out by itself: %s", why);
    revoke_done(l);
}

static const struct etcd_call_handler revoke_handler = {.on_message = on_revoked,
                                                        .on_end = on_revoke_end};

void etcd_lease_revoke(struct etcd_lease *l, void (*done)(void *arg), void *arg)
{
    Etcd__LeaseRevokeRequest request = ETCD__LEASE_REVOKE_REQUEST__INIT;
    l->is_over = true;
    l->revoked = done;
    l->revoked_arg = arg;
    loop_timer_stop(&l->timer);
    request.id = l->id;
    l->id = 0;
    if (!request.id) {
        revoke_done(l);
        return;
    }
    etcd_call_start(l->opt.client,
                    &(struct etcd_call_options){.path = "/etcdserverpb.Lease/LeaseRevoke",
                                                .request = &request.base,
                                                .handler = &revoke_handler,
                                                .arg = l});
}

int64_t etcd_lease_id(const struct etcd_lease *l)
{
    return l->id;
}

struct etcd_lease *etcd_lease_create(const struct etcd_lease_options *opt)
{
    struct etcd_lease *l = mem_new(struct etcd_lease);
    l->opt = *opt;
    grant(l);
    return l;
}

void etcd_lease_destroy(struct etcd_lease **lease)
{
    if (!*lease)
        return;
    loop_timer_stop(&(*lease)->timer);
    revoke_done(*lease);
    free(*lease);
    *lease = NULL;
}
