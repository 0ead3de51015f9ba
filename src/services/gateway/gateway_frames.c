/*
 * Frames: ClientFrame and ServerFrame as JSON text, or packed as they are. A request is named by
 * the field it stands in, so the table of methods is the descriptor itself: no name is written
 * twice.
 */
#include <ctype.h>

#include "services/gateway/gateway_internal.h"

#define FIRST_METHOD 20 /* below: what the gateway answers itself */

struct ws_frame *gateway_encode(const Gateway__ServerFrame *frame, bool is_packed)
{
    if (is_packed) {
        size_t n = gateway__server_frame__get_packed_size(frame);
        uint8_t *bytes = mem_alloc(n + 1);
        gateway__server_frame__pack(frame, bytes);
        struct ws_frame *f = ws_frame_create(WS_BINARY, (struct str){(const char *)bytes, n});
        free(bytes);
        return f;
    }
    struct strbuf json = {0};
    rpc_json_write(&json, &frame->base);
    struct ws_frame *f = ws_frame_create(WS_TEXT, strbuf_str(&json));
    strbuf_deinit(&json);
    return f;
}

const Gateway__ClientFrame *gateway_decode(struct arena *arena, enum ws_opcode opcode,
                                           struct str payload, struct strbuf *problem)
{
    const ProtobufCMessage *frame =
        opcode == WS_TEXT
            ? rpc_json_parse(&gateway__client_frame__descriptor, payload, arena, problem)
            : rpc_message_unpack(&gateway__client_frame__descriptor, arena, payload.p, payload.n);
    if (!frame && !problem->n)
        strbuf_adds(problem, "not a frame");
    return (const Gateway__ClientFrame *)frame;
}

Gateway__ServerFrame gateway_answer(uint32_t field, const ProtobufCMessage *reply)
{
    Gateway__ServerFrame frame = GATEWAY__SERVER_FRAME__INIT;
    const ProtobufCFieldDescriptor *f =
        protobuf_c_message_descriptor_get_field(&gateway__server_frame__descriptor, field);
    *(const ProtobufCMessage **)((char *)&frame + f->offset) = reply;
    frame.body_case = (Gateway__ServerFrame__BodyCase)field;
    return frame;
}

/* "send_message" and "SendMessage" */
static bool is_same_name(const char *field, const char *method)
{
    for (; *field; field++) {
        if (*field != '_' && tolower(*method++) != *field)
            return false;
    }
    return !*method;
}

static struct gateway_method find_method(struct gateway *gw, const char *name)
{
    ProtobufCService *services[] = {gw->deps.message, gw->deps.group, gw->deps.contact,
                                    gw->deps.presence};
    for (size_t i = 0; i < ARRAY_LEN(services); i++) {
        const ProtobufCServiceDescriptor *d = services[i]->descriptor;
        for (unsigned j = 0; j < d->n_methods; j++) {
            if (is_same_name(name, d->methods[j].name))
                return (struct gateway_method){services[i], j};
        }
    }
    abort(); /* a field of the frame that no service answers */
}

void gateway_find_methods(struct gateway *gw)
{
    const ProtobufCMessageDescriptor *d = &gateway__client_frame__descriptor;
    for (unsigned i = 0; i < d->n_fields; i++) {
        if (d->fields[i].id >= FIRST_METHOD && d->fields[i].id < GATEWAY_METHOD_MAX)
            gw->methods[d->fields[i].id] = find_method(gw, d->fields[i].name);
    }
}

const struct edge_socket gateway_frames = {
    .name = "im",
    .path = "/ws/im",
    .summary = "Messages: requests with ids, their answers, and what happens by itself",
    .manual = "docs/messaging.md",
    .client = &gateway__client_frame__descriptor,
    .server = &gateway__server_frame__descriptor,
};
