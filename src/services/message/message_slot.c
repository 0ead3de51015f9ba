/* message_slot: the shard that a request is about, by the fields that name conversations
 * everywhere. A wrong guess costs a detour: whoever is asked knows better. */
#include "services/message/message_internal.h"

static const char *text_of(const ProtobufCMessage *request, const char *name)
{
    const ProtobufCFieldDescriptor *f = rpc_field_find(request->descriptor, str_from(name));
    if (!f || f->type != PROTOBUF_C_TYPE_STRING || f->label == PROTOBUF_C_LABEL_REPEATED)
        return NULL;
    const char *text = *(const char *const *)((const char *)request + f->offset);
    return text && text[0] ? text : NULL;
}

static int slot_of_direct(const char *a, const char *b, unsigned count)
{
    char key[2 * ID_SIZE + 4];
    bool is_a_first = strcmp(a, b) < 0;
    snprintf(key, sizeof(key), "d:%s:%s", is_a_first ? a : b, is_a_first ? b : a);
    return (int)shards_find(key, count);
}

int message_slot(const ProtobufCMessage *request, const struct rpc_call *call, unsigned count)
{
    static const char *const names[] = {"conversation_id", "group_id", "id"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *id = text_of(request, names[i]);
        if (id)
            return (int)shards_find(id, count);
    }
    const char *to = text_of(request, "to_user_id");
    return to && call->who ? slot_of_direct(call->who->user_id, to, count) : -1;
}
