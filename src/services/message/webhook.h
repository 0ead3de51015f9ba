/* webhook: what the files of webhooks share (webhook.c, webhook_post.c, webhook_deliver.c). */
#pragma once

#include "services/common/seal.h"
#include "services/message/message_internal.h"

#include "webhook.pb-c.h"

#define WEBHOOK_SECRET_CHARS 43 /* 256 bits */

struct webhook {
    const char *id; /* NULL: none */
    Webhook__WebhookKind kind;
    const char *name, *url, *problem, *created_by;
    const char *conversation_id; /* "": wherever the bot is */
    const char *bot_id;          /* outgoing: "" or whose eyes it has; incoming: who speaks */
    int64_t conversation_num;    /* 0: as above */
    const void *secret;          /* incoming: its digest; outgoing: sealed */
    size_t secret_n;
    int64_t events; /* outgoing: a bit for each enum message_change_type */
    int64_t created_at_ms;
    bool is_disabled;
    int64_t fail_count, failing_since_ms; /* outgoing: of deliveries in a row; 0: none */
    int64_t retry_at_ms;                  /* nothing is delivered before */
    int64_t full_at_ms;                   /* incoming: when its bucket is full again */
};

#define WEBHOOKS_MAX 20 /* of a conversation, of a bot */
#define WEBHOOK_COLUMNS                                                               \
    "id, kind, name, conversation_num, conversation_id, bot_id, url, secret, events," \
    " created_by, created_at_ms, is_disabled, problem, fail_count, failing_since_ms," \
    " retry_at_ms, full_at_ms"

/* ---- webhook_store.c ---- */
enum err webhook_insert(struct store_tx *tx, const struct webhook *w);
/* Of a conversation, or (num 0) of a bot; at most WEBHOOKS_MAX. */
enum err webhook_list(struct store_tx *tx, struct arena *arena, int64_t num, const char *bot_id,
                      struct webhook **list, size_t *count);
/* ERR_NOT_FOUND. */
enum err webhook_find(struct store_tx *tx, struct arena *arena, const char *id,
                      struct webhook *out);
/* State that moves: problem, disabling, counts and times. */
enum err webhook_update(struct store_tx *tx, const struct webhook *w);
/* Is the one who made a conversation's webhook still an admin of it? */
enum err webhook_check_maker(struct store_tx *tx, struct message_op *op, const struct webhook *w);
/* ERR_NOT_FOUND, said. */
enum err webhook_not_found(struct message_op *op);

/* ---- webhook.c ---- */
/* The account that speaks for an incoming one goes; none there is no error. */
enum err webhook_drop_speaker(struct message_service *svc, struct rpc_call *call,
                              const char *bot_id);
/* A change of this webhook is made where its conversation lies. */
void webhook_find_place(struct message_op *op, const char *id);

#define WEBHOOK_HANDLER(name, Request, Reply)                              \
    void name(Webhook__Webhook_Service *rpc, const Webhook__##Request *in, \
              Webhook__##Reply##_Closure closure, void *data)
#define WEBHOOK_OF(rpc_) CONTAINER_OF(rpc_, struct message_service, webhook_rpc)

/* webhook.c */
WEBHOOK_HANDLER(webhook_on_create, CreateWebhookRequest, WebhookInfo);
WEBHOOK_HANDLER(webhook_on_list, ListWebhooksRequest, WebhookList);
WEBHOOK_HANDLER(webhook_on_enable, EnableWebhookRequest, WebhookInfo);
WEBHOOK_HANDLER(webhook_on_delete, DeleteWebhookRequest, DeleteWebhookReply);
/* webhook_post.c */
WEBHOOK_HANDLER(webhook_on_post, PostWebhookRequest, PostWebhookReply);
/* webhook_deliver.c */
WEBHOOK_HANDLER(webhook_on_get_delivery, GetDeliveryRequest, Delivery);
WEBHOOK_HANDLER(webhook_on_report, ReportDeliveryRequest, ReportDeliveryReply);
