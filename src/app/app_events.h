/* app_events: what `parlance events --follow` sees: the events that this process hears, its own
 * and, over a broker, those of the others. It listens from the first question on, and keeps nothing
 * while nobody asks. */
#pragma once

#include "bus/bus.h"
#include "operate.pb-c.h"

struct app_events;

struct app_events *app_events_create(struct bus *bus);
/* What came after in->after; -1: begin now. In the arena. */
void app_events_watch(struct app_events *events, const Operate__WatchEventsRequest *in,
                      struct arena *arena, Operate__WatchedEvents *out);
/* Accepts NULL. */
void app_events_destroy(struct app_events **events);
