/*
 * etcd_keys: see the header. A key is dirty (on the list `dirty`), on its way (`call`), or settled.
 * It is let go when its deletion is settled.
 */
#include "registry/etcd_keys.h"

#include <stdlib.h>

#include "core/list.h"
#include "core/log.h"
#include "core/map.h"
#include "core/mem.h"

#include "etcd.pb-c.h"

#define UNDER_WAY_MAX 32

struct key {
    struct list node; /* in dirty, when it is */
    struct etcd_keys *keys;
    struct etcd_call *call;
    struct str name;
    struct strbuf value;
    int64_t lease; /* under which it was put last; 0: never */
    bool is_claim;
    bool is_dropped;
    bool is_changed; /* while it was under way */
    bool is_ceded;   /* the same */
};

struct etcd_keys {
    struct etcd_keys_options opt;
    struct map *all;
    struct list dirty;
    struct loop_timer timer;
    unsigned under_way;
    bool is_stopped;
};

static void pump(struct etcd_keys *k);

static void on_retry(void *arg)
{
    pump(arg);
}

static void let_go(struct key *key)
{
    map_remove(key->keys->all, key->name);
    list_remove(&key->node);
    strbuf_deinit(&key->value);
    free((char *)(uintptr_t)key->name.p);
    free(key);
}

static void make_dirty(struct key *key)
{
    if (key->call)
        key->is_changed = true;
    else if (!list_is_linked(&key->node))
        list_add_tail(&key->keys->dirty, &key->node);
}

/* ---- a request ---- */

static void on_answer(void *arg, const uint8_t *bytes, size_t n)
{
}

/* What becomes of a key after its request. */
static void settle(struct key *key, enum err err)
{
    bool is_changed = key->is_changed;
    key->is_changed = false;
    if (is_changed)
        make_dirty(key);
    else if (key->is_ceded || (!err && key->is_dropped))
        let_go(key);
    else if (err || key->lease != etcd_lease_id(*key->keys->opt.lease))
        make_dirty(key);
}

static void on_end(void *arg, enum err err, const char *why)
{
    struct key *key = arg;
    struct etcd_keys *k = key->keys;
    key->call = NULL;
    k->under_way--;
    if (err == ERR_CANCELLED)
        return;
    if (err == ERR_NOT_FOUND && !key->is_dropped)
        etcd_lease_lost(*k->opt.lease, key->lease);
    else if (err && err != ERR_UNAVAILABLE)
        log_error(NULL, "registry: etcd does not take %.*s: %s", STR_FMT(key->name), why);
    settle(key, err);
    if (err)
        loop_timer_start(k->opt.loop, &k->timer, etcd_client_pause_ms(k->opt.client), on_retry, k);
    else
        pump(k);
}

static const struct etcd_call_handler handler = {.on_message = on_answer, .on_end = on_end};

static ProtobufCBinaryData bytes_of(const char *p, size_t n)
{
    return (ProtobufCBinaryData){n, (uint8_t *)(uintptr_t)p};
}

/* If it stands under our lease (a deletion), or does not stand at all (a claim). */
static void send_txn(struct key *key, Etcd__PutRequest *put)
{
    Etcd__Compare compare = ETCD__COMPARE__INIT, *compares[] = {&compare};
    Etcd__RequestOp op = ETCD__REQUEST_OP__INIT, *ops[] = {&op};
    Etcd__DeleteRangeRequest deletion = ETCD__DELETE_RANGE_REQUEST__INIT;
    Etcd__TxnRequest txn = ETCD__TXN_REQUEST__INIT;
    compare.key = deletion.key = bytes_of(key->name.p, key->name.n);
    if (put) {
        compare.target = ETCD__COMPARE__TARGET__CREATE;
        compare.target_union_case = ETCD__COMPARE__TARGET_UNION_CREATE_REVISION;
        op.request_case = ETCD__REQUEST_OP__REQUEST_REQUEST_PUT;
        op.request_put = put;
    } else {
        compare.target = ETCD__COMPARE__TARGET__LEASE;
        compare.target_union_case = ETCD__COMPARE__TARGET_UNION_LEASE;
        compare.lease = key->lease;
        op.request_case = ETCD__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
        op.request_delete_range = &deletion;
    }
    txn.n_compare = txn.n_success = 1;
    txn.compare = compares;
    txn.success = ops;
    key->call = etcd_call_start(
        key->keys->opt.client,
        &(struct etcd_call_options){
            .path = "/etcdserverpb.KV/Txn", .request = &txn.base, .handler = &handler, .arg = key});
}

static void send_put(struct key *key, int64_t lease)
{
    Etcd__PutRequest put = ETCD__PUT_REQUEST__INIT;
    bool is_again = key->is_claim && key->lease && key->lease != lease;
    put.key = bytes_of(key->name.p, key->name.n);
    put.value = bytes_of(key->value.p, key->value.n);
    put.lease = lease;
    key->lease = lease;
    if (is_again) {
        send_txn(key, &put);
        return;
    }
    key->call = etcd_call_start(
        key->keys->opt.client,
        &(struct etcd_call_options){
            .path = "/etcdserverpb.KV/Put", .request = &put.base, .handler = &handler, .arg = key});
}

static void pump(struct etcd_keys *k)
{
    int64_t lease = *k->opt.lease ? etcd_lease_id(*k->opt.lease) : 0;
    while (lease && !k->is_stopped && k->under_way < UNDER_WAY_MAX && !list_is_empty(&k->dirty)) {
        struct key *key = LIST_ENTRY(k->dirty.next, struct key, node);
        list_remove(&key->node);
        if (key->is_dropped && !key->lease) {
            let_go(key);
            continue;
        }
        k->under_way++;
        if (key->is_dropped)
            send_txn(key, NULL);
        else
            send_put(key, lease);
    }
}

/* ---- for the driver ---- */

void etcd_keys_set(struct etcd_keys *k, struct str name, struct str value, bool is_claim)
{
    struct key *key = map_get(k->all, name);
    if (!key) {
        key = mem_new(struct key);
        key->keys = k;
        key->name = (struct str){str_dup(name), name.n};
        map_set(k->all, name, key);
    }
    strbuf_clear(&key->value);
    strbuf_add(&key->value, value.p, value.n);
    key->is_claim = is_claim;
    key->is_dropped = key->is_ceded = false;
    make_dirty(key);
    pump(k);
}

void etcd_keys_drop(struct etcd_keys *k, struct str name)
{
    struct key *key = map_get(k->all, name);
    if (!key)
        return;
    key->is_dropped = true;
    make_dirty(key);
    pump(k);
}

bool etcd_keys_has(const struct etcd_keys *k, struct str name)
{
    const struct key *key = map_get(k->all, name);
    return key && !key->is_dropped;
}

void etcd_keys_cede(struct etcd_keys *k, struct str name)
{
    struct key *key = map_get(k->all, name);
    if (!key)
        return;
    list_remove(&key->node);
    key->is_ceded = true;
    key->is_changed = false;
    if (!key->call)
        let_go(key);
}

void etcd_keys_missing(struct etcd_keys *k, struct str name)
{
    struct key *key = map_get(k->all, name);
    if (!key || key->is_dropped || key->call)
        return;
    make_dirty(key);
    pump(k);
}

void etcd_keys_renew(struct etcd_keys *k)
{
    struct str name;
    void *key;
    for (size_t at = 0; map_next(k->all, &at, &name, &key);)
        make_dirty(key);
    pump(k);
}

void etcd_keys_stop(struct etcd_keys *k)
{
    k->is_stopped = true;
}

struct etcd_keys *etcd_keys_create(const struct etcd_keys_options *opt)
{
    struct etcd_keys *k = mem_new(struct etcd_keys);
    k->opt = *opt;
    k->all = map_create();
    list_init(&k->dirty);
    return k;
}

void etcd_keys_destroy(struct etcd_keys **keys)
{
    struct etcd_keys *k = *keys;
    struct str name;
    void *key;
    *keys = NULL;
    if (!k)
        return;
    loop_timer_stop(&k->timer);
    for (size_t at = 0; map_next(k->all, &at, &name, &key);)
        let_go(key);
    map_destroy(&k->all);
    free(k);
}
