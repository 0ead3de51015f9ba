/*
 * user_events: what others hear of accounts (channel "user_events"). This service itself listens to
 * nobody.
 */
#include <stdlib.h>

#include "core/clock.h"
#include "core/mem.h"
#include "services/common/who.h"
#include "services/user/user_internal.h"

enum err user_publish_tx(struct user_service *svc, struct store_tx *tx, const struct rpc_call *call,
                         const char *type, const struct user_row *row)
{
    User__UserEvent event = USER__USER_EVENT__INIT;
    event.type = (char *)type;
    event.user_id = (char *)row->id;
    event.actor_id = (char *)who_id(call);
    event.role = (User__Role)row->role;
    event.is_disabled = row->is_disabled;
    event.at_ms = clock_wall_ms();
    size_t n = user__user_event__get_packed_size(&event);
    uint8_t *bytes = mem_alloc(n + 1);
    user__user_event__pack(&event, bytes);
    enum err err = bus_publish_tx(svc->deps.bus, tx,
                                  &(struct bus_event){
                                      .channel = "user_events",
                                      .type = type,
                                      .key = row->id,
                                      .payload = {(const char *)bytes, n},
                                  });
    free(bytes);
    return err;
}
