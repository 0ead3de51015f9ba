/* im_load: what its files share. One thread, one epoll; see load.c for how it is called. */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "core/clock.h"
#include "core/mem.h"
#include "core/str.h"

#define FIELDS_MAX 3

struct client {
    int fd; /* -1: none */
    int number;
    char *fields[FIELDS_MAX]; /* of its line on stdin: a token, say */
    struct strbuf in;         /* what came and is not whole yet */
    unsigned stage;           /* of the protocol; 0 when it has just connected */
    bool is_ready, is_gone;
    int64_t sent_us;  /* when the message under way was sent; 0: none is */
    unsigned stanzas; /* xmpp: received since that is counted */
    uint64_t sends;   /* made so far: numbers the messages */
    char cursor[128]; /* parlance: of the last sync */
};

/* A server's language. All of it works on whole bytes that came; what is not whole is left. */
struct protocol {
    const char *name;
    void (*begin)(struct client *c);                           /* connected: says hello */
    size_t (*take)(struct client *c, const char *p, size_t n); /* bytes used; 0: more needed */
    void (*send)(struct client *c);                            /* one message */
    void (*publish)(void);                                     /* one message to all */
    void (*resume)(struct client *c);                          /* ready: asks what it missed */
};
extern const struct protocol protocol_parlance, protocol_xmpp, protocol_muc, protocol_plain;

struct options {
    const struct protocol *protocol;
    const char *mode;
    int port, seconds, bytes, concurrency;
    int other_port;     /* where every second client goes; 0: all go to one */
    const char *run_id; /* makes message ids of one run unlike another's */
};
extern struct options opt;

/* ---- wire.c ---- */
extern struct client *clients;
extern int client_count;
void wire_open(struct client *c);
void wire_close(struct client *c);
void wire_send(struct client *c, const void *bytes, size_t n);
/* A masked text frame. */
void wire_send_text(struct client *c, struct str text);
/* How many sockets had something. */
int wire_poll(int timeout_ms);
void wire_init(void);

/* One WebSocket frame in the bytes: its whole size, 0 if it is not whole; control frames are
 * answered and give an empty payload. */
size_t wire_take_frame(struct client *c, const char *p, size_t n, struct str *payload);
/* The answer to the upgrade: its size, 0 if it is not whole. Ends the program if it was refused. */
size_t wire_take_upgrade(const char *p, size_t n);

/* ---- told by protocols (load.c) ---- */
void load_ready(struct client *c);
void load_acked(struct client *c, bool is_refused);
void load_delivered(struct client *c, size_t bytes);
void load_gone(struct client *c);
