/*
 * etcd_value: an instance as it stands in etcd: {"service_name","address","port","instance_id",
 * "metadata"}. Pure functions over bytes of strangers, bounded.
 */
#pragma once

#include "registry/registry.h"

void etcd_value_write(struct strbuf *out, const struct registry_instance *instance);
/*
 * The key's own part is "SERVICE/ID"; the value may repeat both, and must then agree. All texts in
 * the arena. False: it is no instance.
 */
MUST_USE bool etcd_value_parse(struct str name, struct str value, struct arena *arena,
                               struct registry_instance *out);
