/* world: see world.h. */
#include "world.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"

struct world_calls {
    pthread_mutex_t lock;
    struct rpc_call **list;
    size_t count;
};

_Thread_local struct answer answer;
const struct identity nobody = {.role = ROLE_NONE};

static void must(enum err err)
{
    if (err)
        fail_msg("%s", err_name(err));
}

static void migrate(struct world *w, const struct store_migration *list, size_t count)
{
    must(store_migrate(w->store, list, count));
}

static void on_fatal(void *arg UNUSED)
{
}

static void open_rooms(struct world *w, const struct world_options *opt)
{
    char path[128];
    snprintf(w->dir, sizeof(w->dir), "%s", opt->dir ? opt->dir : "/tmp/parlance-test-XXXXXX");
    if (!opt->dir)
        assert_non_null(mkdtemp(w->dir));
    snprintf(path, sizeof(path), "%s/db/parlance.db", w->dir);
    char db[128];
    snprintf(db, sizeof(db), "%s/db", w->dir);
    must(file_make_dirs(db, 0700));
    must(store_open(
        &w->store, &(struct store_options){.driver = "sqlite",
                                           .url = path,
                                           .ballast_bytes = -1,
                                           .reserve_percent = -1,
                                           .gather_us = -1,
                                           .vfs = opt->vfs,
                                           .on_fatal = opt->vfs ? on_fatal : NULL,
                                           .pragmas = opt->vfs ? NULL : "PRAGMA synchronous=OFF"}));
    must(bus_open(&w->bus, &(struct bus_options){.driver = "memory", .store = w->store}));
    must(cache_open(&w->cache, &(struct cache_options){.driver = "memory"}));
    snprintf(path, sizeof(path), "%s/blob", w->dir);
    must(blob_open(&w->blob, &(struct blob_options){.driver = "files", .root = path}));
}

static const struct password_options cheap = {.ops = 1, .memory_bytes = 8192};
static const struct rpc_local_options packing = {.is_packing = true};

/* All tests of messages hold with any number of shards. */
static unsigned shards_wanted(void)
{
    const char *text = getenv("PARLANCE_TEST_SHARDS");
    return text ? (unsigned)atoi(text) : 1;
}

/* With two databases the upper half of the shards lies in the second. */
static void open_second(struct world *w)
{
    static const char *const channels[] = {"file_refs", "audit_events", NULL};
    static const char *const queues[] = {"push", "webhooks", "message_schedule", NULL};
    unsigned shards = shards_wanted();
    if (!getenv("PARLANCE_TEST_BASES") || w->base.store)
        return;
    must(
        store_open(&w->base.store, &(struct store_options){.driver = "sqlite", .url = ":memory:"}));
    must(store_migrate(w->base.store, message_migrations, message_migration_count));
    must(bus_forward_open(&w->forward, &(struct bus_forward_options){.to = w->bus,
                                                                     .store = w->base.store,
                                                                     .channels = channels,
                                                                     .queues = queues}));
    w->base.bus = bus_forward_bus(w->forward);
    for (unsigned i = shards / 2; i < shards; i++)
        w->base.shards |= UINT64_C(1) << i;
}

static void open_message(struct world *w)
{
    open_second(w);
    must(message_create(
        &w->message_service,
        &(struct message_deps){.user = w->user,
                               .meeting = w->meeting,
                               .store = w->store,
                               .bus = w->bus,
                               .loop = w->loop,
                               .recall_ms = w->opt.recall_ms,
                               .group_members_max = w->opt.group_members_max,
                               .invitation_ms = w->opt.invitation_ms,
                               .shards = shards_wanted(),
                               .bases = &w->base,
                               .base_count = w->base.store != NULL,
                               .is_adding_contacts_only = w->opt.is_adding_contacts_only}));
    w->message = rpc_local_create(message_rpc(w->message_service), &packing);
    w->group = rpc_local_create(message_group_rpc(w->message_service), &packing);
    w->contact = rpc_local_create(message_contact_rpc(w->message_service), &packing);
}

static void close_message(struct world *w)
{
    rpc_local_destroy(&w->message);
    rpc_local_destroy(&w->group);
    rpc_local_destroy(&w->contact);
    message_destroy(&w->message_service);
}

void world_restart_message(struct world *w)
{
    bus_stop_tasks(w->bus); /* for good: their handler is the old service's */
    close_message(w);
    open_message(w);
}

struct world *world_open(const struct world_options *opt)
{
    struct world *w = mem_zalloc(sizeof(*w));
    w->calls = mem_zalloc(sizeof(*w->calls));
    pthread_mutex_init(&w->calls->lock, NULL);
    log_set_level(opt->vfs ? LOG_OFF : LOG_ERROR);
    open_rooms(w, opt);
    migrate(w, user_migrations, user_migration_count);
    migrate(w, auth_migrations, auth_migration_count);
    migrate(w, meeting_migrations, meeting_migration_count);
    migrate(w, message_migrations, message_migration_count);
    must(user_create(&w->user_service, &(struct user_deps){
                                           .store = w->store,
                                           .bus = w->bus,
                                           .blob = w->blob,
                                           .registration = opt->registration,
                                           .password = cheap,
                                       }));
    w->user = rpc_local_create(user_rpc(w->user_service), &packing);
    must(auth_create(&w->auth_service, &(struct auth_deps){
                                           .store = w->store,
                                           .bus = w->bus,
                                           .cache = w->cache,
                                           .user = w->user,
                                           .secret = STR("a secret of the tests, long enough"),
                                           .access_ms = opt->access_ms,
                                           .refresh_ms = opt->refresh_ms,
                                           .refresh_grace_ms = opt->refresh_grace_ms,
                                           .session_max = opt->session_max,
                                           .is_remembering = opt->is_remembering,
                                           .password = cheap,
                                       }));
    w->auth = rpc_local_create(auth_rpc(w->auth_service), &packing);
    must(meeting_create(&w->meeting_service, &(struct meeting_deps){
                                                 .user = w->user,
                                                 .auth = w->auth,
                                                 .store = w->store,
                                                 .bus = w->bus,
                                                 .cache = w->cache,
                                                 .password = cheap,
                                                 .public_url = opt->public_url,
                                                 .empty_grace_ms = opt->empty_grace_ms,
                                                 .presence_ms = opt->presence_ms,
                                             }));
    w->meeting = rpc_local_create(meeting_rpc(w->meeting_service), &packing);
    must(loop_create(&w->loop, "world"));
    w->opt = *opt;
    open_message(w);
    bus_start(w->bus);
    if (w->forward)
        bus_forward_start(w->forward);
    return w;
}

void world_close(struct world **world)
{
    struct world *w = *world;
    *world = NULL;
    bus_forward_stop(w->forward);
    bus_stop_tasks(w->bus);
    close_message(w);
    loop_destroy(&w->loop);
    rpc_local_destroy(&w->meeting);
    meeting_destroy(&w->meeting_service);
    rpc_local_destroy(&w->auth);
    auth_destroy(&w->auth_service);
    bus_forward_close(&w->forward);
    bus_close(&w->bus);
    rpc_local_destroy(&w->user);
    user_destroy(&w->user_service);
    for (size_t i = 0; i < w->calls->count; i++)
        rpc_call_unref(&w->calls->list[i]);
    free(w->calls->list);
    pthread_mutex_destroy(&w->calls->lock);
    free(w->calls);
    store_close(&w->base.store);
    store_close(&w->store);
    cache_close(&w->cache);
    blob_close(&w->blob);
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", w->dir);
    if (!w->opt.dir)
        assert_int_equal(system(command), 0);
    free(w);
}

static void keep(struct world *w, struct rpc_call *call)
{
    pthread_mutex_lock(&w->calls->lock);
    w->calls->list =
        mem_realloc_array(w->calls->list, w->calls->count + 1, sizeof(struct rpc_call *));
    w->calls->list[w->calls->count++] = call;
    pthread_mutex_unlock(&w->calls->lock);
}

const void *ask_as(struct world *w, ProtobufCService *svc, const char *method, const void *request,
                   const struct asker *asker)
{
    struct rpc_call *call = rpc_call_create(NULL);
    keep(w, call);
    if (asker->who)
        call->who = arena_memdup(call->arena, asker->who, sizeof(*asker->who));
    call->remote_addr = asker->remote_addr ? asker->remote_addr : "192.0.2.1";
    call->user_agent = asker->user_agent ? asker->user_agent : "test/1.0";
    const void *reply = rpc_sync(svc, method, request, call);
    answer = (struct answer){.err = call->err, .retry_after_ms = call->retry_after_ms};
    memcpy(answer.message, call->message, sizeof(answer.message));
    assert_true((reply == NULL) == (call->err != ERR_OK));
    return reply;
}

const void *ask(struct world *w, ProtobufCService *svc, const char *method, const void *request,
                const struct identity *who)
{
    return ask_as(w, svc, method, request, &(struct asker){.who = who});
}

struct identity person(const char *user_id, enum identity_role role)
{
    struct identity who = {.role = role};
    snprintf(who.user_id, sizeof(who.user_id), "%s", user_id);
    snprintf(who.name, sizeof(who.name), "%.4s", user_id);
    return who;
}

struct identity world_register(struct world *w, const char *name)
{
    char password[64];
    snprintf(password, sizeof(password), "password of %s", name);
    User__RegisterRequest in = USER__REGISTER_REQUEST__INIT;
    in.username = (char *)name;
    in.password = password;
    const User__Profile *profile = ask(w, w->user, "Register", &in, NULL);
    if (!profile)
        fail_msg("register %s: %s", name, answer.message);
    struct identity who = person(profile->id, (enum identity_role)profile->role);
    snprintf(who.name, sizeof(who.name), "%s", name);
    return who;
}

void world_disable(struct world *w, const struct identity *who, bool is_disabled)
{
    User__UpdateUserRequest in = USER__UPDATE_USER_REQUEST__INIT;
    in.id = (char *)who->user_id;
    in._is_disabled_case = USER__UPDATE_USER_REQUEST___IS_DISABLED_IS_DISABLED;
    in.is_disabled = is_disabled;
    assert_non_null(ask(w, w->user, "UpdateUser", &in, NULL));
}

void eventually(bool (*check)(void *arg), void *arg)
{
    for (int64_t end = clock_mono_ms() + 20000; clock_mono_ms() < end; usleep(2000))
        if (check(arg))
            return;
    fail_msg("it did not come true in time");
}

struct count {
    const char *sql, *param;
    int64_t value;
};

static enum err count_job(struct store_tx *tx, void *arg)
{
    struct count *c = arg;
    struct store_stmt *st = store_query(tx, c->sql, "s", c->param);
    c->value = store_step(st) ? store_int(st, 0) : 0;
    return store_finish(st);
}

int64_t world_count(struct world *w, const char *sql, const char *param)
{
    struct count c = {sql, param, 0};
    must(store_read(w->store, count_job, &c));
    return c.value;
}

struct runner {
    void (*fn)(void *arg);
    void *arg;
    pthread_barrier_t *start;
};

static void *run(void *arg)
{
    struct runner *r = arg;
    pthread_barrier_wait(r->start);
    r->fn(r->arg);
    return NULL;
}

void in_parallel(void (*fn)(void *arg), void *args, size_t count, size_t size)
{
    pthread_t *threads = mem_calloc(count, sizeof(*threads));
    struct runner *runners = mem_calloc(count, sizeof(*runners));
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, (unsigned)count);
    for (size_t i = 0; i < count; i++) {
        runners[i] = (struct runner){fn, (char *)args + i * size, &start};
        assert_int_equal(pthread_create(&threads[i], NULL, run, &runners[i]), 0);
    }
    for (size_t i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&start);
    free(runners);
    free(threads);
}
