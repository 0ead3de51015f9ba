/*
 * registry: which instances of which service are alive, and where. A process announces what it runs
 * and watches what it calls. Instances that others announce come by the driver: "static" knows
 * those that the configuration fixes, and this process's own; one that asks a registry on the
 * network is to be written against registry_driver.h, and changes nothing for who announces or
 * watches.
 */
#pragma once

#include "core/arena.h"
#include "core/err.h"
#include "core/str.h"

struct registry;

struct registry_instance {
    const char *service; /* "User": as its contract calls it */
    const char *id;      /* of the instance, unique in its service */
    const char *address; /* host name or IP; "": in this process */
    uint16_t port;       /* of its RPC; 0: in this process */
};

struct registry_options {
    const char *driver;                    /* NULL: "static" */
    const struct registry_instance *fixed; /* alive from the start and for ever; copied */
    size_t fixed_count;
};

/* INVALID_ARGUMENT (logged): no such driver, or a fixed instance that is none. */
MUST_USE enum err registry_open(struct registry **out, const struct registry_options *opt);
/* What this process announced is withdrawn; watchers hear nothing any more. Accepts NULL. */
void registry_close(struct registry **registry);

/* From any thread. INVALID_ARGUMENT: names of 1 to 64 letters, digits, '.', '_', '-' are expected;
 * ALREADY_EXISTS: that id is alive. */
MUST_USE enum err registry_announce(struct registry *registry,
                                    const struct registry_instance *instance);
/* NOT_FOUND: it was not announced here. To be called before draining, so that nobody new comes. */
enum err registry_withdraw(struct registry *registry, const char *service, const char *id);

/* All instances of a service that are known now, in the arena, by id. Returns how many. */
size_t registry_find(struct registry *registry, const char *service, struct arena *arena,
                     struct registry_instance **out);

/*
 * `changed` gets the whole list: once before registry_watch returns, then after each change, one
 * call at a time, on the thread that brought the change; the list is valid during the call, which
 * must be short and must not call the registry. Two watches differ in fn or arg.
 */
typedef void registry_changed_fn(void *arg, const struct registry_instance *list, size_t count);
void registry_watch(struct registry *registry, const char *service, registry_changed_fn *changed,
                    void *arg);
/* When it returns, `changed` is not running and will not run. */
void registry_unwatch(struct registry *registry, registry_changed_fn *changed, void *arg);
