/* h2_server_internal: what h2_server.c (connections) and h2_stream.c (calls) know of one another.
 */
#pragma once

#include <pthread.h>

#include "core/map.h"
#include "grpc/h2_internal.h"
#include "grpc/h2_server.h"

struct h2_server {
    struct h2_server_options opt;
    struct h2_io *io;
    struct map *services; /* name -> const struct h2_service * */
    struct h2_service *service_list;
    uv_poll_t poll;
    struct loop_timer pause;  /* no descriptors: accepting rests */
    struct loop_timer notice; /* between the two GOAWAYs of a drain */
    struct list peers;
    int fd;
    uint16_t port;
    uint32_t peer_count;
    bool is_stopped; /* does not listen any more */
    bool is_draining;
    /* Of who waits for the end. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t left; /* under lock: peers, and one for the listening handle */
};

/* One connection. */
struct h2_peer {
    struct h2_conn conn; /* first */
    struct list node;
    struct h2_server *server;
    uint32_t reset_tokens;
    int64_t reset_us; /* when tokens were last added */
};

struct h2_stream {
    struct h2_half half; /* first */
    struct h2_server *server;
    const struct h2_service *service; /* NULL: not open */
    void *user;
    struct h2_metadata headers;
    int64_t timeout_ms;
    enum err header_err;
    bool is_open;     /* the service has it */
    bool is_begun;    /* response headers are out */
    bool is_finished; /* and all that we have to say */
};

/* h2_stream.c */
void h2_stream_on_begin(struct h2_conn *conn, int32_t id);
void h2_stream_on_header(struct h2_half *half, struct str name, struct str value);
void h2_stream_on_headers(struct h2_half *half);
void h2_stream_on_message(void *arg, const uint8_t *bytes, size_t n);
void h2_stream_on_broken(struct h2_half *half, enum err err);
void h2_stream_on_end(struct h2_half *half);
void h2_stream_on_sent(struct h2_half *half, bool is_end);
void h2_stream_on_close(struct h2_half *half, uint32_t code);
