/*
 * registry: what strangers may write into etcd as an instance: the key's own part, a newline, the
 * value. What is taken is written by us so that it is read as the same.
 */
#include <assert.h>
#include <string.h>

#include "registry/etcd_value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_create();
    struct str value = {(const char *)data, size}, name;
    struct registry_instance found, again;
    str_cut(&value, '\n', &name);
    if (etcd_value_parse(name, value, arena, &found)) {
        struct strbuf text = {0};
        assert(found.port && found.address[0] && found.metadata[0] == '{');
        etcd_value_write(&text, &found);
        assert(etcd_value_parse(name, strbuf_str(&text), arena, &again));
        assert(strcmp(found.service, again.service) == 0 && strcmp(found.id, again.id) == 0);
        assert(strcmp(found.address, again.address) == 0 && found.port == again.port);
        assert(strcmp(found.metadata, again.metadata) == 0);
        strbuf_deinit(&text);
    }
    arena_destroy(&arena);
    return 0;
}
