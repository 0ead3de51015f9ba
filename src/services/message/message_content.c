/*
 * What people may say: kinds, sizes, mentions. Text is kept as it was typed (clients render the
 * safe subset of Markdown); what the server checks is its form and its bounds.
 */
#include <endian.h>
#include <sodium.h>

#include "services/message/message_internal.h"

#define TEXT_BYTES_MAX 16384
#define COMBINING_RUN_MAX 8 /* marks upon one letter: beyond it a text only overflows its line */
#define MENTIONS_MAX 50
#define ATTACHMENTS_MAX 20
#define PLACE_NAME_MAX 200
#define CLIENT_ID_BYTES_MAX 64
#define EMOJI_BYTES_MAX 32

void *message_pack(struct arena *arena, const ProtobufCMessage *message, size_t *n)
{
    *n = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = arena_alloc(arena, *n + 1); /* the NUL that bus payloads end with */
    protobuf_c_message_pack(message, bytes);
    return bytes;
}

struct message_digest message_digest(const void *bytes, size_t n)
{
    struct message_digest digest;
    crypto_generichash(digest.bytes, sizeof(digest.bytes), bytes, n, NULL, 0);
    return digest;
}

struct message_digest message_content_digest(const struct message_row *m)
{
    if (!m->forwarded_n)
        return message_digest(m->content, m->content_n);
    struct message_digest digest;
    uint64_t n = htole64((uint64_t)m->content_n);
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, sizeof(digest.bytes));
    crypto_generichash_update(&state, (const uint8_t *)&n, sizeof(n));
    crypto_generichash_update(&state, m->content, m->content_n);
    crypto_generichash_update(&state, m->forwarded, m->forwarded_n);
    crypto_generichash_final(&state, digest.bytes, sizeof(digest.bytes));
    return digest;
}

/* Forwards of older builds have a digest of their content alone. */
bool message_content_is_whole(const struct message_row *m)
{
    struct message_digest all = message_content_digest(m);
    struct message_digest content = message_digest(m->content, m->content_n);
    return memcmp(&all, &m->content_digest, sizeof(all)) == 0 ||
           memcmp(&content, &m->content_digest, sizeof(content)) == 0;
}

void message_digest_read(struct store_stmt *st, int column, struct message_digest *out)
{
    struct str bytes = store_str(st, column);
    if (bytes.n == sizeof(out->bytes))
        memcpy(out->bytes, bytes.p, bytes.n);
}

Message__Content *message_content_of(struct arena *arena, const struct message_row *m)
{
    return (Message__Content *)rpc_message_unpack(&message__content__descriptor, arena, m->content,
                                                  m->content_n);
}

static void *refuse(struct rpc_call *call, const char *why)
{
    rpc_fail(call, ERR_INVALID_ARGUMENT, "%s", why);
    return NULL;
}

static bool is_combining(uint32_t c)
{
    return (c >= 0x300 && c <= 0x36F) || (c >= 0x1AB0 && c <= 0x1AFF) ||
           (c >= 0x1DC0 && c <= 0x1DFF) || (c >= 0x20D0 && c <= 0x20FF) ||
           (c >= 0xFE20 && c <= 0xFE2F);
}

static bool has_piled_marks(struct str text)
{
    size_t run = 0;
    for (size_t at = 0; at < text.n;) {
        run = is_combining(text_next(text, &at)) ? run + 1 : 0;
        if (run > COMBINING_RUN_MAX)
            return true;
    }
    return false;
}

static char *take_text(struct rpc_call *call, const char *value, bool is_needed)
{
    if (value && strlen(value) > TEXT_BYTES_MAX)
        return refuse(call, "content.text: at most 16,384 bytes");
    char *text = text_take(call, value,
                           &(struct text_rule){.field = "content.text",
                                               .min = is_needed ? 1 : 0,
                                               .max = TEXT_BYTES_MAX,
                                               .flags = TEXT_LINES});
    if (text && has_piled_marks(str_from(text)))
        return refuse(call, "content.text: too many marks upon one letter");
    return text;
}

static bool check_mentions(struct rpc_call *call, const Message__Content *content)
{
    if (content->n_mentions > MENTIONS_MAX)
        return refuse(call, "content.mentions: at most 50");
    for (size_t i = 0; i < content->n_mentions; i++) {
        if (!id_is_valid(content->mentions[i]))
            return refuse(call, "content.mentions: expected ids of users");
    }
    return true;
}

static bool check_location(struct rpc_call *call, const Message__Location *at)
{
    bool is_on_earth = at && at->latitude >= -90 && at->latitude <= 90 && at->longitude >= -180 &&
                       at->longitude <= 180;
    if (!is_on_earth)
        return refuse(call, "content.location: expected latitude -90 to 90, longitude -180 to 180");
    return text_take(call, at->name,
                     &(struct text_rule){.field = "content.location.name", .max = PLACE_NAME_MAX});
}

bool message_is_file_kind(Message__ContentKind kind)
{
    return kind == MESSAGE__CONTENT_KIND__IMAGE || kind == MESSAGE__CONTENT_KIND__FILE ||
           kind == MESSAGE__CONTENT_KIND__VOICE || kind == MESSAGE__CONTENT_KIND__VIDEO;
}

/* Each kind carries what it is named for, and nothing that belongs to another. */
static bool check_kind(struct rpc_call *call, const Message__Content *content)
{
    Message__ContentKind kind = content->kind;
    if (!protobuf_c_enum_descriptor_get_value(&message__content_kind__descriptor, (int)kind))
        return refuse(call, "content.kind: there is no such kind"); /* packed: any number */
    if (content->note || kind == MESSAGE__CONTENT_KIND__SYSTEM)
        return refuse(call, "content: only the server writes system messages");
    if (message_is_file_kind(kind) != (content->n_attachments > 0))
        return refuse(call, "content.attachments: expected with images, files, voice and video, "
                            "and with nothing else");
    if (content->n_attachments > ATTACHMENTS_MAX)
        return refuse(call, "content.attachments: at most 20");
    for (size_t i = 0; i < content->n_attachments; i++) {
        if (!content->attachments[i] || !id_is_valid(content->attachments[i]->file_id))
            return refuse(call, "content.attachments: expected the file_id of an upload");
    }
    bool is_location = kind == MESSAGE__CONTENT_KIND__LOCATION;
    if (is_location != (content->location != NULL))
        return refuse(call, "content.location: expected with a location, and with nothing else");
    if (is_location && !check_location(call, content->location))
        return false;
    bool is_card = kind == MESSAGE__CONTENT_KIND__CARD;
    if (is_card ? !id_is_valid(content->card_user_id) : content->card_user_id[0] != '\0')
        return refuse(call, "content.card_user_id: expected with a card, and with nothing else");
    return true;
}

Message__Content *message_take_content(struct rpc_call *call, const Message__Content *content)
{
    if (!content)
        return refuse(call, "content: missing");
    if (!check_kind(call, content) || !check_mentions(call, content))
        return NULL;
    Message__Content *own = (Message__Content *)rpc_message_copy(call->arena, &content->base);
    own->text = take_text(call, content->text, content->kind == MESSAGE__CONTENT_KIND__TEXT);
    return own->text ? own : NULL;
}

const char *message_take_client_id(struct rpc_call *call, const char *id)
{
    if (strlen(id) > CLIENT_ID_BYTES_MAX)
        return refuse(call, "client_msg_id: at most 64 bytes");
    return text_take(
        call, id,
        &(struct text_rule){
            .field = "client_msg_id", .min = 1, .max = CLIENT_ID_BYTES_MAX, .flags = TEXT_EXACT});
}

/* The first code point stands where emoji stand (or begins a keycap); what follows joins to it. */
static bool is_emoji(struct str text)
{
    size_t at = 0;
    uint32_t first = text.n ? text_next(text, &at) : 0;
    bool is_keycap = first < 0x80 && text.n > at && strchr("0123456789#*", (int)first);
    return is_keycap || first >= 0x1F000 || (first >= 0x203C && first <= 0x3299) || first == 0xA9 ||
           first == 0xAE;
}

const char *message_take_emoji(struct rpc_call *call, const char *emoji)
{
    if (!emoji[0] || strlen(emoji) > EMOJI_BYTES_MAX || !is_emoji(str_from(emoji)))
        return refuse(call, "emoji: expected one emoji");
    return arena_strdup(call->arena, emoji);
}
