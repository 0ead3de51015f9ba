/* gateway_socket: what the files about one socket share: its requests, and its own life. Everything
 * runs on the socket's loop unless it says otherwise. */
#pragma once

#include "services/gateway/gateway_internal.h"

/* An identity in as little as it needs: only guests have a name. */
struct signed_in {
    int64_t expires_at_ms;
    enum identity_role role;
    bool is_bot;
    char user_id[ID_SIZE], session_id[ID_SIZE], meeting_id[ID_SIZE];
    char name[];
};

struct gateway_socket {
    struct gateway *gw;
    uint64_t id;
    struct net_ticket ticket;
    struct signed_in *who; /* NULL: not signed in yet */
    char *remote_addr;
    struct loop_timer expiry;
    bool is_packed;
    bool is_busy;        /* a request is in work */
    uint8_t device_kind; /* Presence__DeviceKind */
    uint32_t frame_count;
    uint16_t waiting_count;
    uint32_t waiting_bytes;
    int64_t second_since_ms;
    struct list waiting; /* of struct waiting */
};

/* ---- gateway_socket.c ---- */
extern struct metric gateway_frames_total;
/* Requests that wait for their turn, as long as none is in work. */
void gateway_socket_take_next(struct ws *ws, struct gateway_socket *s);
/* Whose socket it is from now on; closes it when it is somebody else's. */
void gateway_socket_sign_in(struct ws *ws, struct gateway_socket *s, const struct identity *who);
/* Who is signed in, whole again. */
struct identity *gateway_socket_who(const struct gateway_socket *s, struct arena *arena);

/* ---- gateway_asking.c: requests that somebody else answers; the call is theirs ---- */
/* An error frame; error and texts must outlive it. request_id NULL: "". */
void gateway_fill_error(Gateway__ServerFrame *frame, Gateway__ErrorInfo *error, enum err err,
                        const char *message, const char *request_id);
/* The socket is busy until it is answered; frame lies in the call's arena. */
struct asking *gateway_asking_create(struct gateway_socket *s, const Gateway__ClientFrame *frame,
                                     struct rpc_call *call);
/* The RPC that the frame names. */
void gateway_ask_service(struct gateway_socket *s, const Gateway__ClientFrame *frame,
                         struct rpc_call *call);
/* Who the token of `authenticate` is. */
void gateway_ask_auth(struct gateway_socket *s, const Gateway__ClientFrame *frame,
                      struct rpc_call *call);
/* A ping that says how far this device has come: where does what has moved since stand? */
void gateway_ask_heads(struct gateway_socket *s, const Gateway__ClientFrame *frame,
                       struct rpc_call *call);
