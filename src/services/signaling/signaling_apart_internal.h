/*
 * Signaling as one of several instances, with media on several nodes. A meeting's room is in the
 * memory of one instance, its owner; a socket that landed elsewhere is relayed there. Its tracks
 * are on one media node. Both stand in the meeting's place (services/meeting/meeting_place.c).
 * Everything here runs on hub->loop.
 */
#pragma once

#include "registry/registry.h"
#include "services/signaling/signaling_internal.h"

#define NODE_EVERY_MS 1000 /* each is asked so often how it is, */
#define NODE_LOST_MS 3000  /* and dead when it has not answered for so long */
#define NODE_GONE_MS 1500  /* sooner when nobody listens there any more */
#define NODE_INSTANCE_SIZE 65
#define SPACE_MEETINGS "meetings"
#define MEDIA_CALL_MS 4000 /* of a node that may just have died */

/* ---- signaling_nodes.c: who is there ---- */

struct node_set {
    struct signaling_hub *hub;
    ProtobufCService *service; /* whose GetNode is asked */
    struct list nodes;
    bool is_media;
};

struct signaling_node {
    struct list in_set;
    struct node_set *set;
    int64_t number;
    char instance[NODE_INSTANCE_SIZE]; /* in the registry */
    char id[ID_SIZE];                  /* of this life of its process; "": not heard yet */
    bool is_listed, is_asking, is_alive, is_draining;
    int64_t heard_ms;
    unsigned failures;     /* in a row */
    double load;           /* 0 to 1 and beyond */
    unsigned placed_count; /* rooms given to it since it was last heard */
};

void signaling_nodes_start(struct signaling_hub *hub); /* not on the loop */
void signaling_nodes_stop(struct signaling_hub *hub);  /* not on the loop */
void signaling_nodes_free(struct signaling_hub *hub);
/* Alive, and not about to go; NULL. */
struct signaling_node *signaling_node_find(struct node_set *set, const char *id);
/* It was there, and does not answer any more or is about to go. */
bool signaling_node_is_dead(struct node_set *set, const char *id);
/* That media node says that it goes. */
void signaling_nodes_leave(struct signaling_hub *hub, const char *media_id);
/* The one with the least to do; NULL: none. */
struct signaling_node *signaling_node_choose(struct node_set *set);

/* ---- signaling_place.c: whose is a meeting ---- */

/* A socket whose person may be in the meeting: enters the room if it is, or can be, ours; else it
 * is relayed. */
void signaling_place_enter(struct signaling_socket *s, int64_t request_id,
                           const Meeting__AuthorizeParticipantReply *reply);
/* Into the registry, for whoever wants to see it. */
void signaling_place_note(const struct room *room);
/* The room is empty: anybody may have it. */
void signaling_place_release(struct room *room);
/* Somebody else has it: sockets are told to come back. */
void signaling_place_lost(struct room *room);
void signaling_place_free(struct signaling_hub *hub);
/* Asks for a place: signaling_id "" gives it back. */
struct place_wish {
    const char *meeting_id, *signaling_id, *media_id;
    int64_t expected_fence, request_id;
    signaling_reply_fn *done;
};
void signaling_place_ask(struct signaling_hub *hub, const struct place_wish *wish);

/* ---- signaling_relay.c: sockets of other instances ---- */

/* From now on the socket's frames go to the owner; the first is its join. */
void signaling_relay_open(struct signaling_socket *s, const char *owner_id, struct str join);
void signaling_relay_item(struct signaling_socket *s, struct str text);
void signaling_relay_who(struct signaling_socket *s);
/* What the socket of another instance hears; sockets of one front. */
void signaling_relay_send(struct relay_link *front, const uint64_t *ids, size_t count,
                          struct str text);
void signaling_relay_shut(struct signaling_socket *s, unsigned code, const char *reason);
/* The socket is being destroyed. */
void signaling_relay_forget(struct signaling_socket *s);
/* That instance is gone. */
void signaling_relay_break(struct signaling_hub *hub, const char *id);
void signaling_relay_tick(struct signaling_hub *hub);
void signaling_relay_free(struct signaling_hub *hub);
/* What another instance sent. FAILED_PRECONDITION: we do not know it (yet). */
enum err signaling_relay_take(struct signaling_hub *hub, const Signaling__RelayRequest *in);

/* ---- signaling_move.c: media elsewhere ---- */

/* That node is gone, or will be. */
void signaling_move_from(struct signaling_hub *hub, const char *media_id);
/* Every second: what could not be moved yet, what must be kept. */
void signaling_move_tick(struct signaling_hub *hub);

struct signaling_cluster {
    char self_id[ID_SIZE];
    struct registry *registry;
    ProtobufCService *peers;
    bool is_media_apart;
    struct node_set signaling, media;
    int64_t last_number; /* of nodes, links, claims and moves */
    struct loop_timer tick_timer;
    int64_t ticked_ms, started_ms;
    unsigned tick_count;
    struct map *claims;  /* meeting id -> struct claim */
    struct list links;   /* struct relay_link */
    struct map *remotes; /* "id of the front/number there" -> struct signaling_socket */
};
