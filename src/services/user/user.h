/*
 * user: accounts. Who exists, how they are called and may be reached, what role they have, and the
 * hash of their password (which only auth ever sees). Registration rules and invitations live here
 * too, since they decide whether an account comes into being.
 */
#pragma once

#include "blob/blob.h"
#include "bus/bus.h"
#include "edge/edge.h"
#include "core/id.h"
#include "rpc/rpc.h"
#include "services/common/password.h"
#include "store/store.h"

struct user_service;

/* Who may make an account. The very first account may be made in any mode but closed, and becomes
 * administrator. Commands (the system's own identity) may always make one. */
enum user_registration {
    USER_REGISTRATION_OPEN,
    USER_REGISTRATION_INVITATION,
    USER_REGISTRATION_CLOSED,
};

struct user_deps {
    struct store *store;
    struct bus *bus;
    struct blob_store *blob; /* avatars */
    enum user_registration registration;
    struct password_options password;
    int64_t bots_max; /* that a person may have; 0: 20; -1: none */
    /* Tasks for an account that is erased: of each service that keeps something of people
     * (services/common/erase.h). */
    const char *const *erase_queues;
    size_t erase_queue_count;
    const char *zoneinfo_dir; /* NULL: /usr/share/zoneinfo; time zones are checked against it if it
                                 is there */
};

/* The migrations below must have run. What deps points to must outlive the service. */
MUST_USE enum err user_create(struct user_service **out, const struct user_deps *deps);
/* The implementation, for rpc_local_create. */
/* Other rules, while it runs. */
void user_set_rules(struct user_service *svc, enum user_registration registration,
                    int64_t bots_max);
ProtobufCService *user_rpc(struct user_service *svc);
/* No call may be in flight. */
void user_destroy(struct user_service **svc);

/* Everything kept of a person: `parlance export`. login: name, e-mail or id; yields the id.
 * ERR_NOT_FOUND: nobody. */
struct export_sink;
MUST_USE enum err user_export(struct store *store, const char *login, char id[ID_SIZE],
                              const struct export_sink *sink);

extern const struct store_migration user_migrations[];
extern const size_t user_migration_count;
extern const struct edge_route_table user_routes;
