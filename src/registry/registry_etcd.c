/*
 * registry_etcd: the driver over an etcd cluster (API v3, our own gRPC). Instances stand at
 * PREFIX/services/SERVICE/ID, records at PREFIX/SPACE/NAME; what this process has there is under
 * its lease. A loop of its own keeps the lease and the watches, whatever else the process is busy
 * with.
 *
 * What is known stays known while etcd cannot be reached. What it says when it is back is believed
 * only after one time of a lease, or nine seconds (etcd_view's grace): meanwhile its holders
 * announce themselves anew.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/log.h"
#include "core/mem.h"
#include "registry/etcd_value.h"
#include "registry/registry_etcd_internal.h"

#include "etcd.pb-c.h"

#define LEASE_MS 10000
#define LEASE_MIN_MS 2000
#define PATIENCE_MS 3000
#define LEAVE_MS 2000
#define WRITE_MS 5000

/* ---- what this process says: posts to the loop ---- */

struct post {
    struct registry_impl *impl;
    struct strbuf key, value;
    bool is_claim;
};

static struct post *make_post(struct registry_impl *impl, const char *space, const char *name,
                              const char *rest)
{
    struct post *post = mem_new(struct post);
    post->impl = impl;
    registry_etcd_key(impl, &post->key, space, name, rest);
    return post;
}

static void post_free(struct post *post)
{
    strbuf_deinit(&post->key);
    strbuf_deinit(&post->value);
    free(post);
}

static void set_key(void *arg)
{
    struct post *post = arg;
    etcd_keys_set(post->impl->keys, strbuf_str(&post->key), strbuf_str(&post->value),
                  post->is_claim);
    post_free(post);
}

static void drop_key(void *arg)
{
    struct post *post = arg;
    etcd_keys_drop(post->impl->keys, strbuf_str(&post->key));
    post_free(post);
}

static void etcd_announce(struct registry_impl *impl, const struct registry_instance *i)
{
    if (!i->port)
        return; /* in this process: nobody else can reach it */
    struct post *post = make_post(impl, "services", i->service, i->id);
    etcd_value_write(&post->value, i);
    loop_post(impl->loop, set_key, post);
}

static void etcd_withdraw(struct registry_impl *impl, const char *service, const char *id)
{
    loop_post(impl->loop, drop_key, make_post(impl, "services", service, id));
}

static void etcd_put(struct registry_impl *impl, const char *space, const char *name,
                     const char *value)
{
    struct post *post = make_post(impl, space, name, NULL);
    strbuf_adds(&post->value, value);
    post->is_claim = true;
    loop_post(impl->loop, set_key, post);
}

static void etcd_drop(struct registry_impl *impl, const char *space, const char *name)
{
    loop_post(impl->loop, drop_key, make_post(impl, space, name, NULL));
}

static void follow_post(void *arg)
{
    struct post *post = arg;
    registry_etcd_follow(post->impl, post->value.p);
    post_free(post);
}

static void etcd_follow(struct registry_impl *impl, const char *space)
{
    struct post *post = make_post(impl, space, "", NULL);
    strbuf_adds(&post->value, space);
    loop_post(impl->loop, follow_post, post);
}

/* ---- what waits for the loop ---- */

/* Shared by who waits and the loop: whoever is last frees it. */
struct wait {
    struct registry_impl *impl;
    sem_t done;
    _Atomic int refs;
    _Atomic enum err err;
    struct strbuf key, value;
    bool is_deletion;
};

static struct wait *wait_create(struct registry_impl *impl)
{
    struct wait *w = mem_new(struct wait);
    w->impl = impl;
    w->refs = 2;
    w->err = ERR_UNAVAILABLE;
    sem_init(&w->done, 0, 0);
    return w;
}

static void wait_unref(struct wait *w)
{
    if (--w->refs)
        return;
    sem_destroy(&w->done);
    strbuf_deinit(&w->key);
    strbuf_deinit(&w->value);
    free(w);
}

static bool sem_wait_ms(sem_t *sem, int64_t ms)
{
    struct timespec until;
    int rc;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while ((rc = sem_clockwait(sem, CLOCK_MONOTONIC, &until)) != 0 && errno == EINTR)
        ;
    return rc == 0;
}

static void on_left(void *arg)
{
    struct wait *w = arg;
    sem_post(&w->done);
    wait_unref(w);
}

static void leave(void *arg)
{
    struct wait *w = arg;
    etcd_keys_stop(w->impl->keys);
    etcd_lease_revoke(w->impl->lease, on_left, w);
}

static void etcd_leave(struct registry_impl *impl)
{
    if (impl->has_left)
        return;
    impl->has_left = true;
    struct wait *w = wait_create(impl);
    loop_post(impl->loop, leave, w);
    if (!sem_wait_ms(&w->done, LEAVE_MS))
        log_warn(NULL, "registry: etcd does not answer; what was announced runs out by itself");
    wait_unref(w);
}

static void on_written_bytes(void *arg, const uint8_t *bytes, size_t n)
{
}

static void on_written(void *arg, enum err err, const char *why)
{
    struct wait *w = arg;
    w->err = err;
    if (err)
        log_warn(NULL, "registry: etcd did not take %s: %s", w->key.p, why);
    sem_post(&w->done);
    wait_unref(w);
}

static const struct etcd_call_handler write_handler = {.on_message = on_written_bytes,
                                                       .on_end = on_written};

static void write_key(void *arg)
{
    struct wait *w = arg;
    Etcd__PutRequest put = ETCD__PUT_REQUEST__INIT;
    Etcd__DeleteRangeRequest deletion = ETCD__DELETE_RANGE_REQUEST__INIT;
    put.key = deletion.key = (ProtobufCBinaryData){w->key.n, (uint8_t *)w->key.p};
    put.value = (ProtobufCBinaryData){w->value.n, (uint8_t *)w->value.p};
    etcd_call_start(w->impl->client, &(struct etcd_call_options){
                                         .path = w->is_deletion ? "/etcdserverpb.KV/DeleteRange"
                                                                : "/etcdserverpb.KV/Put",
                                         .request = w->is_deletion ? &deletion.base : &put.base,
                                         .handler = &write_handler,
                                         .arg = w,
                                     });
}

static enum err etcd_write(struct registry_impl *impl, const char *space, const char *name,
                           const char *value)
{
    struct wait *w = wait_create(impl);
    registry_etcd_key(impl, &w->key, space, name, NULL);
    strbuf_adds(&w->value, value ? value : "");
    w->is_deletion = !value;
    loop_post(impl->loop, write_key, w);
    enum err err = sem_wait_ms(&w->done, WRITE_MS) ? w->err : ERR_UNAVAILABLE;
    wait_unref(w);
    return err;
}

/* ---- life ---- */

static void start(void *arg)
{
    struct registry_impl *impl = arg;
    impl->client = etcd_client_create(&impl->client_options);
    impl->keys = etcd_keys_create(&(struct etcd_keys_options){
        .loop = impl->loop, .client = impl->client, .lease = &impl->lease});
    impl->lease = etcd_lease_create(&(struct etcd_lease_options){.loop = impl->loop,
                                                                 .client = impl->client,
                                                                 .ttl_ms = impl->lease_ms,
                                                                 .on_held = registry_etcd_on_lease,
                                                                 .arg = impl});
    registry_etcd_follow(impl, "services");
    for (size_t i = 0; i < impl->opt->space_count; i++)
        registry_etcd_follow(impl, impl->opt->spaces[i]);
}

static void stop(void *arg)
{
    struct registry_impl *impl = arg;
    etcd_client_destroy(&impl->client);
    etcd_lease_destroy(&impl->lease);
    etcd_keys_destroy(&impl->keys);
    LIST_FOREACH(&impl->follows, node)
    {
        struct follow *f = LIST_ENTRY(node, struct follow, node);
        list_remove(&f->node);
        etcd_view_destroy(&f->view);
        free(f->space);
        free(f);
    }
}

static void etcd_close(struct registry_impl **impl_)
{
    struct registry_impl *impl = *impl_;
    *impl_ = NULL;
    if (impl->io) {
        etcd_leave(impl);
        loop_call(impl->loop, stop, impl);
        h2_io_destroy(&impl->io);
    }
    loop_destroy(&impl->loop);
    net_tls_destroy(&impl->tls);
    sem_destroy(&impl->listed);
    free(impl->prefix);
    free(impl);
}

static enum err check_endpoints(const struct registry_options *opt, bool *has_tls)
{
    *has_tls = false;
    for (size_t i = 0; i < opt->endpoint_count; i++) {
        struct etcd_endpoint endpoint;
        if (!etcd_endpoint_parse(opt->endpoints[i], &endpoint)) {
            log_error(NULL, "registry: %s is no address of etcd", opt->endpoints[i]);
            return ERR_INVALID_ARGUMENT;
        }
        *has_tls |= endpoint.is_tls;
        free(endpoint.host);
    }
    return opt->endpoint_count ? ERR_OK : ERR_INVALID_ARGUMENT;
}

static enum err load_tls(struct registry_impl *impl, const struct registry_options *opt)
{
    static const char *const alpn[] = {"h2", NULL};
    struct strbuf problem = {0};
    bool has_cert = opt->tls_cert && opt->tls_cert[0];
    enum err err =
        net_tls_create(&impl->tls,
                       &(struct net_tls_options){.cert_path = has_cert ? opt->tls_cert : NULL,
                                                 .key_path = has_cert ? opt->tls_key : NULL,
                                                 .ca_path = opt->tls_ca,
                                                 .alpn = alpn,
                                                 .is_client = true},
                       &problem);
    if (err)
        log_error(NULL, "registry: %s", problem.p ? problem.p : err_text(err));
    strbuf_deinit(&problem);
    return err;
}

static char *trimmed_prefix(const char *prefix)
{
    struct str text = str_from(prefix && prefix[0] ? prefix : "/parlance");
    while (text.n > 1 && text.p[text.n - 1] == '/')
        text.n--;
    return str_dup(text);
}

static enum err etcd_open(struct registry *front, const struct registry_options *opt,
                          struct registry_impl **out)
{
    bool has_tls;
    enum err err = check_endpoints(opt, &has_tls);
    if (err)
        return err;
    struct registry_impl *impl = mem_new(struct registry_impl);
    impl->front = front;
    impl->prefix = trimmed_prefix(opt->prefix);
    impl->lease_ms = MAX(opt->lease_ms ? opt->lease_ms : LEASE_MS, (int64_t)LEASE_MIN_MS);
    impl->opt = opt;
    list_init(&impl->follows);
    sem_init(&impl->listed, 0, 0);
    *out = impl;
    err = has_tls ? load_tls(impl, opt) : ERR_OK;
    if (!err)
        err = loop_create(&impl->loop, "registry");
    if (err)
        return err;
    impl->io = h2_io_create(impl->loop);
    impl->client_options = (struct etcd_client_options){.io = impl->io,
                                                        .endpoints = opt->endpoints,
                                                        .endpoint_count = opt->endpoint_count,
                                                        .username = opt->username,
                                                        .password = opt->password,
                                                        .tls = impl->tls};
    loop_call(impl->loop, start, impl);
    if (!sem_wait_ms(&impl->listed, opt->patience_ms ? opt->patience_ms : PATIENCE_MS))
        log_warn(NULL, "registry: etcd does not answer yet; starting with what is configured");
    impl->opt = NULL;
    return ERR_OK;
}

const struct registry_driver registry_etcd = {
    .name = "etcd",
    .open = etcd_open,
    .close = etcd_close,
    .announce = etcd_announce,
    .withdraw = etcd_withdraw,
    .leave = etcd_leave,
    .put = etcd_put,
    .drop = etcd_drop,
    .write = etcd_write,
    .follow = etcd_follow,
};
