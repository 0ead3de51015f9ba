/*
 * json: any bytes as a request's body. A refusal must name a reason. What is accepted must be a
 * message that packs and unpacks, and whose JSON reads back as the same bytes on the wire.
 */
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/str.h"
#include "rpc/rpc.h"

#include "sample.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct str pack(const ProtobufCMessage *m, struct arena *arena)
{
    size_t n = protobuf_c_message_get_packed_size(m);
    uint8_t *bytes = arena_alloc(arena, n + 1);
    protobuf_c_message_pack(m, bytes);
    return (struct str){(const char *)bytes, n};
}

static void check_round_trip(const ProtobufCMessage *m, struct arena *arena)
{
    const ProtobufCMessageDescriptor *d = m->descriptor;
    struct strbuf json = {0}, again = {0}, problem = {0};
    struct str wire = pack(m, arena);
    ProtobufCMessage *unpacked = rpc_message_unpack(d, arena, wire.p, wire.n);
    if (!unpacked)
        abort();
    rpc_json_write(&json, m);
    rpc_json_write(&again, unpacked);
    if (!str_eq(strbuf_str(&json), strbuf_str(&again)))
        abort();
    ProtobufCMessage *parsed = rpc_json_parse(d, strbuf_str(&json), arena, &problem);
    if (!parsed || !str_eq(pack(parsed, arena), wire))
        abort();
    ProtobufCMessage *copy = rpc_message_copy(arena, m);
    if (!str_eq(pack(copy, arena), wire))
        abort();
    strbuf_deinit(&json);
    strbuf_deinit(&again);
    strbuf_deinit(&problem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 65536) /* as the edge */
        return 0;
    struct arena *arena = arena_create();
    struct strbuf problem = {0};
    ProtobufCMessage *m = rpc_json_parse(&sample__everything__descriptor,
                                         (struct str){(const char *)data, size}, arena, &problem);
    if (!m && problem.n == 0)
        abort();
    if (m)
        check_round_trip(m, arena);
    strbuf_deinit(&problem);
    arena_destroy(&arena);
    return 0;
}
