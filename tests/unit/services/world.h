/*
 * world: the services in one process on a store, bus, cache and blobs of their own in a temporary
 * directory. Calls go through rpc_local with packing, so lifetime mistakes show.
 */
#pragma once

#include "test.h"

#include "blob/blob.h"
#include "bus/bus_forward.h"
#include "cache/cache.h"
#include "core/id.h"
#include "rpc/rpc.h"
#include "services/auth/auth.h"
#include "services/meeting/meeting.h"
#include "services/message/message.h"
#include "services/user/user.h"
#include "store/store.h"
#include "user.pb-c.h"
#include "auth.pb-c.h"
#include "meeting.pb-c.h"

struct world_options {
    enum user_registration registration;
    int64_t access_ms, refresh_ms, refresh_grace_ms; /* as auth_deps */
    int session_max;
    bool is_remembering;
    int64_t empty_grace_ms, presence_ms; /* as meeting_deps */
    const char *public_url;
    int64_t recall_ms, group_members_max; /* as message_deps */
    int64_t invitation_ms;
    bool is_adding_contacts_only;
    const char *dir; /* kept at the end, and used again; NULL: one of its own, removed */
    const char *vfs; /* of SQLite, with synced commits; then errors of the disk are not logged, and
                        end nothing; NULL: the system's, unsynced */
};

struct world {
    char dir[64];
    struct store *store;
    struct bus *bus;
    struct cache *cache;
    struct blob_store *blob;
    struct user_service *user_service;
    struct auth_service *auth_service;
    struct meeting_service *meeting_service;
    struct message_service *message_service;
    struct message_base base; /* a second database, if there is one */
    struct bus_forward *forward;
    ProtobufCService *user, *auth, *meeting;
    ProtobufCService *message, *group, *contact;
    struct loop *loop; /* what services do by the clock */
    struct world_options opt;
    /* internal: calls whose replies the test may still look at */
    struct world_calls *calls;
};

/* The message service as after a restart: what it kept in memory is gone; tasks do not run any
 * more. */
void world_restart_message(struct world *w);
struct world *world_open(const struct world_options *opt);
void world_close(struct world **w);

/* What the last ask() of this thread came to. */
struct answer {
    enum err err;
    char message[200];
    int64_t retry_after_ms;
};
extern _Thread_local struct answer answer;

struct asker {
    const struct identity *who; /* NULL: the system */
    const char *remote_addr;    /* NULL: 192.0.2.1 */
    const char *user_agent;
};

/* Calls and waits; the reply (valid until world_close) or NULL with `answer` set. */
const void *ask_as(struct world *w, ProtobufCService *svc, const char *method, const void *request,
                   const struct asker *asker);
const void *ask(struct world *w, ProtobufCService *svc, const char *method, const void *request,
                const struct identity *who);

/* Nobody: what the edge says of somebody who is not signed in. */
extern const struct identity nobody;
struct identity person(const char *user_id, enum identity_role role);

/* Registers (password "password of NAME") and says who it is. The first is administrator. */
void world_disable(struct world *w, const struct identity *who, bool is_disabled);
struct identity world_register(struct world *w, const char *name);

/* Waits up to 20 s until check(arg) is true; fails the test otherwise. */
void eventually(bool (*check)(void *arg), void *arg);

/* How many times a row is there: SQL with one text parameter. */
int64_t world_count(struct world *w, const char *sql, const char *param);

/* Runs fn(arg + i * size) for each i on a thread of its own, all released at once. */
void in_parallel(void (*fn)(void *arg), void *args, size_t count, size_t size);
