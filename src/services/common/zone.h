/* zone: names of time zones (IANA: "Europe/Berlin"), checked by shape and against the machine's own
 * list when it has one. */
#pragma once

#include "rpc/rpc.h"

/* Trimmed, in the arena; "" becomes "UTC". NULL after rpc_fail. dir NULL: /usr/share/zoneinfo. */
char *zone_take(struct rpc_call *call, const char *value, const char *dir);
