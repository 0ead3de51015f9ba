/*
 * registry_static: the driver for a fixed set of processes, one of them included: what the options
 * name is alive for ever, what this process announces or puts is there until it is withdrawn, and
 * nobody else is asked or told. All of that the front keeps.
 */
#include "core/mem.h"
#include "registry/registry_driver.h"

#include <stdlib.h>

struct registry_impl {
    struct registry *front;
};

static void static_close(struct registry_impl **impl)
{
    free(*impl);
    *impl = NULL;
}

static enum err static_open(struct registry *front, const struct registry_options *opt,
                            struct registry_impl **out)
{
    *out = mem_new(struct registry_impl);
    (*out)->front = front;
    return ERR_OK;
}

static void static_announce(struct registry_impl *impl, const struct registry_instance *instance)
{
}

static void static_withdraw(struct registry_impl *impl, const char *service, const char *id)
{
}

static void static_leave(struct registry_impl *impl)
{
}

static void static_put(struct registry_impl *impl, const char *space, const char *name,
                       const char *value)
{
}

static void static_drop(struct registry_impl *impl, const char *space, const char *name)
{
}

static void static_follow(struct registry_impl *impl, const char *space)
{
}

/* As long as this process: nothing here lasts longer. */
static enum err static_write(struct registry_impl *impl, const char *space, const char *name,
                             const char *value)
{
    if (value)
        registry_record_learn(impl->front, space, name, value);
    else
        registry_record_forget(impl->front, space, name);
    return ERR_OK;
}

const struct registry_driver registry_static = {
    .name = "static",
    .open = static_open,
    .close = static_close,
    .announce = static_announce,
    .withdraw = static_withdraw,
    .leave = static_leave,
    .put = static_put,
    .drop = static_drop,
    .write = static_write,
    .follow = static_follow,
};
