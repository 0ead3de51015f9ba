/* etcd_value: see the header. */
#include "registry/etcd_value.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "registry/registry_driver.h"

#define VALUE_MAX_BYTES 16384

void etcd_value_write(struct strbuf *out, const struct registry_instance *i)
{
    strbuf_adds(out, "{\"service_name\":");
    strbuf_add_json(out, str_from(i->service));
    strbuf_adds(out, ",\"address\":");
    strbuf_add_json(out, str_from(i->address));
    strbuf_printf(out, ",\"port\":%u,\"instance_id\":", i->port);
    strbuf_add_json(out, str_from(i->id));
    strbuf_printf(out, ",\"metadata\":%s}", i->metadata ? i->metadata : "{}");
}

/* Absent is as good as equal. */
static bool agrees(const json_t *json, const char *field, const char *with)
{
    const json_t *value = json_object_get(json, field);
    return !value || (json_is_string(value) && strcmp(json_string_value(value), with) == 0);
}

static const char *metadata_of(const json_t *json, struct arena *arena)
{
    const json_t *value = json_object_get(json, "metadata");
    if (!json_is_object(value))
        return value && !json_is_null(value) ? NULL : "{}";
    char *text = json_dumps(value, JSON_COMPACT);
    const char *copy =
        text && strlen(text) <= REGISTRY_VALUE_MAX_BYTES ? arena_strdup(arena, text) : NULL;
    free(text);
    return copy;
}

bool etcd_value_parse(struct str name, struct str value, struct arena *arena,
                      struct registry_instance *out)
{
    struct str service, id = name;
    if (!str_cut(&id, '/', &service) || value.n > VALUE_MAX_BYTES)
        return false;
    json_t *json = json_loadb(value.p ? value.p : "", value.n, JSON_REJECT_DUPLICATES, NULL);
    const char *address = json_string_value(json_object_get(json, "address"));
    const json_t *port = json_object_get(json, "port");
    json_int_t number = json_is_integer(port) ? json_integer_value(port) : 0;
    *out = (struct registry_instance){.service = str_arena(arena, service),
                                      .id = str_arena(arena, id),
                                      .address = arena_strdup(arena, address),
                                      .port = number > 0 && number < 65536 ? (uint16_t)number : 0,
                                      .metadata = metadata_of(json, arena)};
    bool is = json_is_object(json) && agrees(json, "service_name", out->service) &&
              agrees(json, "instance_id", out->id) && out->port && out->metadata &&
              registry_is_instance(out);
    json_decref(json);
    return is;
}
