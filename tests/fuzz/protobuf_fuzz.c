/* protobuf: any bytes as a packed message. What is accepted has sound texts and is written as JSON.
 */
#include <stdlib.h>

#include "core/arena.h"
#include "core/str.h"
#include "rpc/rpc.h"

#include "sample.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_create();
    struct strbuf json = {0};
    ProtobufCMessage *m = rpc_message_unpack(&sample__everything__descriptor, arena, data, size);
    if (m) {
        rpc_json_write(&json, m);
        if (!str_is_utf8(strbuf_str(&json)))
            abort();
        rpc_json_write(&json, rpc_message_copy(arena, m));
    }
    if (arena_used(arena) > 1u << 20 && arena_used(arena) > 200 * size)
        abort();
    strbuf_deinit(&json);
    arena_destroy(&arena);
    return 0;
}
