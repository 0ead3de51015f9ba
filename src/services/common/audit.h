/*
 * audit: what must be on record (who, what, whom, when, from where). The record leaves through the
 * outbox of the very transaction it speaks of, so neither exists without the other; auth, which
 * owns the log, writes it down (channel "audit_events", packed AuditEntry).
 */
#pragma once

#include "bus/bus.h"
#include "rpc/rpc.h"
#include "store/store.h"

struct audit_note {
    const char *action; /* "role_changed" */
    const char *target; /* an id, or a masked login; NULL: none */
    const char *detail; /* short, without secrets; NULL: none */
    const char *actor;  /* NULL: the caller */
};

MUST_USE enum err audit_publish_tx(struct bus *bus, struct store_tx *tx,
                                   const struct rpc_call *call, const struct audit_note *note);
