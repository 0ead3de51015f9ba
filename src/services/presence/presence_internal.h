/* presence_internal: what the files of this service share. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/list.h"
#include "core/log.h"
#include "core/map.h"
#include "core/mem.h"
#include "core/metric.h"
#include "services/common/text.h"
#include "services/common/who.h"
#include "services/presence/presence.h"

#include "presence.pb-c.h"

#define PRESENCE_USERS_MAX 200 /* asked about at once */
#define PRESENCE_DEVICES_MAX 16
#define PRESENCE_DEVICE_ID_MAX 65 /* 64 and a sign */
#define PRESENCE_SLOTS 512        /* seconds that the agenda looks ahead */
#define PRESENCE_SETTERS 64

struct presence_service {
    Presence__Presence_Service rpc; /* handlers get the service back by CONTAINER_OF */
    struct presence_deps deps;
    struct loop_timer timer; /* on deps.loop, once a second */
    _Atomic int64_t version; /* of the latest change that can be read */
    char id[ID_SIZE];        /* of this life of the service, as a writer of records */
    /* One for a share of the people, held from the write of a setting until it counts: what is
     * committed last is told last. Before `lock`. */
    pthread_mutex_t setting[PRESENCE_SETTERS];
    pthread_mutex_t lock;              /* the rest; and records change under it, one at a time */
    uint64_t settings_serial;          /* counts changes of anybody's settings */
    struct map *people;                /* id -> struct presence_person: who has a record */
    struct list slots[PRESENCE_SLOTS]; /* of people, by the second in which something runs out */
    int64_t swept_s;                   /* monotonic: slots up to here are done */
    struct map *seen;                  /* id -> struct presence_seen: to be written */
    int64_t flush_at_ms;
};

struct presence_person {
    struct list in_slot;
    int64_t due_ms;     /* monotonic */
    int64_t seen_at_ms; /* wall; when `seen` last got a time of this person */
    char id[ID_SIZE];
};

struct presence_seen {
    int64_t at_ms;
    char id[ID_SIZE];
};

/* ---- presence_store.c ---- */
/* Settings of a person; what there is none of stays as it is. */
enum err presence_store_load(struct store_tx *tx, struct arena *arena, const char *user_id,
                             Presence__Settings *out);
enum err presence_store_save(struct store_tx *tx, const char *user_id, const Presence__Settings *s);
/* Never back. */
enum err presence_store_seen(struct store_tx *tx, const char *user_id, int64_t at_ms);

/* A number of people and what is known of each; settings in the arena, never NULL after a load. */
struct presence_batch {
    struct arena *arena;
    char **ids;
    size_t count;
    Presence__Settings **settings; /* those that are NULL are loaded */
};
enum err presence_load(struct presence_service *svc, struct presence_batch *batch);

/* ---- presence_state.c: records, and how they look ---- */
/* NULL: not here, or (is_unknown, may be NULL) nobody can say. In the arena. */
Presence__Record *presence_record_find(struct presence_service *svc, struct arena *arena,
                                       const char *user_id, bool *is_unknown);
Presence__Record *presence_record(struct presence_service *svc, struct arena *arena,
                                  const char *user_id);
/* As anybody may see it at most. record NULL: offline. In the arena. */
Presence__PresenceInfo *presence_shape(struct arena *arena, const char *user_id,
                                       const Presence__Record *record,
                                       const Presence__Settings *settings);
Presence__OwnPresence *presence_own_shape(struct arena *arena, const char *user_id,
                                          const Presence__Record *record,
                                          const Presence__Settings *settings);
/* Notes devices that came, stay, changed or went, and tells of who looks different now. */
enum err presence_report(struct presence_service *svc, struct arena *arena,
                         Presence__DeviceReport **reports, size_t count);
/* Settings were committed: they count from now on, for all to hear. */
void presence_settings_changed(struct presence_service *svc, struct arena *arena,
                               const char *user_id, const Presence__Settings *settings);
/* A last visit that waits to be written, or 0. */
int64_t presence_seen_at(struct presence_service *svc, const char *user_id);

/* ---- presence_agenda.c: what the clock does ---- */
void presence_agenda_start(struct presence_service *svc);
void presence_agenda_stop(struct presence_service *svc);
/* With the lock: this person is to be looked at then. */
void presence_agenda_set(struct presence_service *svc, struct presence_person *p, int64_t due_ms);
/* With the lock. */
void presence_seen_note(struct presence_service *svc, const char *user_id, int64_t at_ms);
/* presence_state.c, with the lock: something of this person may have run out. */
void presence_expire(struct presence_service *svc, struct presence_person *p);

/* ---- presence_erase.c ---- */
void presence_erase_start(struct presence_service *svc);

/* ---- presence_view.c: who may see what ---- */
/* Views of batch->ids; viewer_id NULL: everything. NULL after rpc_fail. */
Presence__Views *presence_views(struct presence_service *svc, struct rpc_call *call,
                                const char *viewer_id, char **ids, size_t count);

/* ---- domain functions of the RPCs; NULL after rpc_fail ---- */
void *presence_set(struct presence_service *svc, struct rpc_call *call,
                   const Presence__SetPresenceRequest *in);
void *presence_get_own(struct presence_service *svc, struct rpc_call *call);
void *presence_online_users(struct presence_service *svc, struct rpc_call *call,
                            const Presence__GetOnlineUsersRequest *in);

extern const Presence__Presence_Service presence_rpc_table;
