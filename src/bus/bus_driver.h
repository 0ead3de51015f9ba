/*
 * bus_driver: what carries events. The outbox and the tasks live in the store and are the same for
 * every driver; a driver moves events to the handlers, of this process or of all.
 */
#pragma once

#include "bus/bus.h"

struct bus_impl; /* the driver's own */

/* An event of the outbox has arrived: every handler returned, or the broker keeps it durably.
 * Called once, from any thread, never inside deliver. */
typedef void bus_ack_fn(void *arg, int64_t token);

struct bus_driver {
    const char *name;
    enum err (*open)(const struct bus_options *opt, struct bus_impl **out);
    /* Ends delivery: waits for the handlers that run, no other begins, no ack comes any more. What
     * is published after it is dropped. Once, before close. */
    void (*stop)(struct bus_impl *impl);
    void (*close)(struct bus_impl **impl);
    int (*subscribe)(struct bus_impl *impl, const char *channel, const char *name, bus_event_fn *fn,
                     void *arg);
    void (*unsubscribe)(struct bus_impl *impl, int id);
    /* At most once: dropped and counted when there is no room now. */
    void (*publish)(struct bus_impl *impl, const struct bus_event *event);
    /* At least once. ERR_UNAVAILABLE: not taken, no ack will come; try the same one again. */
    enum err (*deliver)(struct bus_impl *impl, const struct bus_event *event, bus_ack_fn *ack,
                        void *arg, int64_t token);
};

extern const struct bus_driver bus_memory;
