/*
 * audit: packs an AuditEntry with an id of its own (the log takes each id once, so a second
 * delivery changes nothing) and publishes it inside the caller's transaction.
 */
#include "services/common/audit.h"

#include <stdlib.h>

#include "auth.pb-c.h"
#include "core/clock.h"
#include "core/id.h"
#include "core/mem.h"
#include "services/common/who.h"

static char *text_or_empty(const char *s)
{
    return (char *)(s ? s : "");
}

enum err audit_publish_tx(struct bus *bus, struct store_tx *tx, const struct rpc_call *call,
                          const struct audit_note *note)
{
    char id[ID_SIZE];
    id_make(id);
    Auth__AuditEntry entry = AUTH__AUDIT_ENTRY__INIT;
    entry.id = id;
    entry.at_ms = clock_wall_ms();
    entry.actor_id = text_or_empty(note->actor ? note->actor : who_id(call));
    entry.action = text_or_empty(note->action);
    entry.target = text_or_empty(note->target);
    entry.remote_addr = text_or_empty(call->remote_addr);
    entry.detail = text_or_empty(note->detail);
    size_t n = auth__audit_entry__get_packed_size(&entry);
    uint8_t *bytes = mem_alloc(n + 1);
    auth__audit_entry__pack(&entry, bytes);
    enum err err = bus_publish_tx(bus, tx,
                                  &(struct bus_event){
                                      .channel = "audit_events",
                                      .type = note->action,
                                      .key = entry.actor_id[0] ? entry.actor_id : id,
                                      .payload = {(const char *)bytes, n},
                                  });
    free(bytes);
    return err;
}
