/*
 * registry_static: the driver for a fixed set of processes, one of them included: what the options
 * name is alive for ever, what this process announces is alive until it is withdrawn, and nobody
 * else is asked or told.
 */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "registry/registry_driver.h"

struct registry_impl {
    struct registry *front;
    struct registry_instance *fixed; /* only names: what may not be withdrawn */
    size_t fixed_count;
    struct arena *arena;
};

static void static_close(struct registry_impl **impl_)
{
    struct registry_impl *impl = *impl_;
    *impl_ = NULL;
    arena_destroy(&impl->arena);
    free(impl);
}

static enum err static_open(struct registry *front, const struct registry_options *opt,
                            struct registry_impl **out)
{
    struct registry_impl *impl = mem_new(struct registry_impl);
    impl->front = front;
    impl->arena = arena_create();
    impl->fixed = arena_array(impl->arena, struct registry_instance, opt->fixed_count);
    for (; impl->fixed_count < opt->fixed_count; impl->fixed_count++) {
        const struct registry_instance *i = &opt->fixed[impl->fixed_count];
        enum err err = registry_put(front, i);
        if (err) {
            static_close(&impl);
            return err;
        }
        impl->fixed[impl->fixed_count] =
            (struct registry_instance){.service = arena_strdup(impl->arena, i->service),
                                       .id = arena_strdup(impl->arena, i->id)};
    }
    *out = impl;
    return ERR_OK;
}

static enum err static_announce(struct registry_impl *impl,
                                const struct registry_instance *instance)
{
    return registry_put(impl->front, instance);
}

static enum err static_withdraw(struct registry_impl *impl, const char *service, const char *id)
{
    for (size_t i = 0; i < impl->fixed_count; i++)
        if (strcmp(impl->fixed[i].service, service) == 0 && strcmp(impl->fixed[i].id, id) == 0)
            return ERR_NOT_FOUND;
    return registry_drop(impl->front, service, id);
}

const struct registry_driver registry_static = {
    .name = "static",
    .open = static_open,
    .close = static_close,
    .announce = static_announce,
    .withdraw = static_withdraw,
};
