/*
 * message_files: what messages say to the file service about the files they name: channel
 * "file_refs", in the transaction that makes or ends the reference.
 */
#include "file.pb-c.h"
#include "services/message/message_internal.h"

static enum err tell_ref(struct store_tx *tx, struct message_service *svc,
                         const struct message_row *m, const char *file_id, bool is_released)
{
    char ref[ID_SIZE + 8];
    File__RefEvent event = FILE__REF_EVENT__INIT;
    snprintf(ref, sizeof(ref), "message:%s", m->id);
    event.file_id = (char *)(uintptr_t)file_id;
    event.ref = ref;
    event.is_released = is_released;
    size_t n = file__ref_event__get_packed_size(&event);
    uint8_t *bytes = mem_alloc(n + 1);
    file__ref_event__pack(&event, bytes);
    bytes[n] = 0;
    enum err err = bus_publish_tx(svc->deps.bus, tx,
                                  &(struct bus_event){.channel = "file_refs",
                                                      .type = "ref",
                                                      .key = file_id,
                                                      .payload = {(const char *)bytes, n}});
    free(bytes);
    return err;
}

enum err message_release_files(struct store_tx *tx, struct message_service *svc,
                               const struct message_row *m, const Message__Content *content)
{
    enum err err = ERR_OK;
    for (size_t i = 0; i < content->n_attachments && !err; i++)
        if (content->attachments[i]->file_id[0])
            err = tell_ref(tx, svc, m, content->attachments[i]->file_id, true);
    return err;
}
