/* registry_fixture: what the tests of the etcd driver share: one service, one space, and waiting.
 */
#pragma once

#include <stdint.h>

#include "registry/registry.h"

/* As an instance of "User". */
void announce(struct registry *r, const char *id);
/* Until r knows exactly these, "a b". */
void wait_for(struct registry *r, const char *expected, int64_t max_ms);
/* r knows exactly these, all the time. */
void must_stay(struct registry *r, const char *expected, int64_t ms);
/* Until this record of "rooms" says so; "-": there is none. */
void wait_record(struct registry *r, const char *name, const char *expected, int64_t max_ms);
