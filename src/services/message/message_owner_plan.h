/* message_owner_plan: what follows from what the rows say; no store, no clock of its own. */
#pragma once

#include "services/message/message_owner.h"

#define MESSAGE_LEASE_MS 3000 /* whose beat stands still for so long is gone */

/* The rows at one moment. */
struct message_view {
    struct message_peer peers[MESSAGE_PEERS_MAX];
    unsigned peer_count;
    char owners[SHARDS_MAX][MESSAGE_OWNER_SIZE];
    int64_t fences[SHARDS_MAX];
};

enum message_step_kind { MESSAGE_STEP_NONE, MESSAGE_STEP_TAKE, MESSAGE_STEP_GIVE };

struct message_plan {
    struct {
        enum message_step_kind kind;
        const char *to; /* GIVE: in `o` */
    } steps[SHARDS_MAX];
};

/* Takes the view into `o` and says what to do; shards with a step count as moving from now on. */
void message_plan(struct message_owners *o, const struct message_view *view, unsigned shard_count,
                  const bool *is_ours, int64_t now_ms, struct message_plan *out);
