/*
 * cli_chat: what the files of `parlance chat` share. It is a stranger here: it knows what
 * docs/messaging.md and docs/api.md say and nothing of the server's code, so it proves that they
 * suffice. Of the house it uses `core` alone.
 */
#pragma once

#include <jansson.h>
#include <signal.h>

#include "core/err.h"
#include "core/str.h"

#define CHAT_LINE_MAX 20000 /* a message has at most 16,384 bytes */
#define CHAT_ANSWER_MS 20000

/* Says it on standard error, with the command's name. */
void chat_say(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* ---- cli_chat_session.c: who we are, and where ---- */
struct chat_session {
    char *path;   /* of the file that keeps it (0600); NULL: nowhere, it is not ours to renew */
    char *server; /* "https://chat.example.org" without a slash at the end */
    char *ca_file;
    char *user_id, *access_token, *refresh_token;
};
/* From the environment (PARLANCE_CHAT_SERVER and _TOKEN) or the file; says why not. */
MUST_USE enum err chat_session_load(struct chat_session *out, const char *path,
                                    const char *ca_file);
void chat_session_deinit(struct chat_session *s);
/* Signs in and keeps it in the file. */
MUST_USE enum err chat_session_sign_in(struct chat_session *s, const char *login,
                                       const char *password);
/* Takes fresh tokens: those of another process that has renewed the sign-in meanwhile, else new
 * ones from the server, where a refresh token that is used twice ends the sign-in. */
MUST_USE enum err chat_session_renew(struct chat_session *s);
/* Ends the sign-in and removes the file. */
MUST_USE enum err chat_session_sign_out(struct chat_session *s);

/* ---- cli_chat_socket.c: a WebSocket ---- */
struct chat_socket;
enum chat_heard {
    CHAT_HEARD_NOTHING, /* the time is over, or the other descriptor has something */
    CHAT_HEARD_MESSAGE,
    CHAT_HEARD_CLOSE,
};
/* ERR_UNAUTHENTICATED: the token is not good (any more). ERR_UNAVAILABLE: no connection. */
MUST_USE enum err chat_socket_open(struct chat_socket **out, const struct chat_session *session);
/* Accepts NULL. */
void chat_socket_close(struct chat_socket **socket);
MUST_USE enum err chat_socket_send(struct chat_socket *s, struct str text);
/* Waits for a message, until `timeout_ms` are over or `other_fd` (-1: none) can be read. The text
 * lives until the next call; `close_code` is that of the server, or 1006. */
enum chat_heard chat_socket_hear(struct chat_socket *s, int timeout_ms, int other_fd,
                                 struct str *text, unsigned *close_code);

/* ---- cli_chat_talk.c: requests and answers ---- */
struct chat {
    struct chat_session *session;
    struct chat_socket *socket; /* NULL: not connected */
    int64_t last_id;
    int64_t patience_ms;    /* how long a lost connection is sought */
    int64_t retry_after_ms; /* what the server asked for when it went away */
    int attempts;           /* since it answered last: connections, and pauses for it */
    int64_t lost_ms;        /* since when there is none that answers; 0: there is */
    int64_t busy_ms;        /* since when it has answered nothing but "later"; 0: it answers */
    bool is_json;
    const volatile sig_atomic_t *is_interrupted; /* what waits ends when it is set; NULL: never */
    /* What comes while an answer is waited for and is not it: events, which have no id, and other
     * answers. May be NULL. */
    void (*on_frame)(struct chat *chat, json_t *frame);
    void *arg;
};
/* Connects, with pauses, until "ready" or the patience is over; ERR_CANCELLED: interrupted. A
 * connection that is lost again before it answered anything has not ended the search. */
MUST_USE enum err chat_connect(struct chat *chat);
void chat_disconnect(struct chat *chat);
/* Gives the connection up: it does not do what it should. */
void chat_lose(struct chat *chat);
/* Sends without waiting; the request is taken. */
MUST_USE enum err chat_send(struct chat *chat, const char *method, json_t *request, int64_t *id);
/* The next frame (to be freed), or NULL: nothing came. ERR_UNAVAILABLE: the connection is lost. */
MUST_USE enum err chat_hear(struct chat *chat, int timeout_ms, int other_fd, json_t **frame);
/* One request and its answer on this connection: ERR_UNAVAILABLE when it is lost, or, with the
 * socket still there, when the server says "later", as ERR_RESOURCE_EXHAUSTED does. */
MUST_USE enum err chat_try(struct chat *chat, const char *method, json_t *request, json_t **answer);
/* The same, sent again on a new connection: everything here may be repeated. */
MUST_USE enum err chat_ask(struct chat *chat, const char *method, json_t *request, json_t **answer);
/* What went wrong, by the code of an error frame. */
enum err chat_refused(const json_t *error);
/* Whether the same may be answered otherwise later. */
bool chat_is_passing(enum err err);
/* Whether "later" is all that was said since then, for longer than the patience: says so. */
bool chat_is_too_busy(const struct chat *chat, int64_t since_ms);
/* Waits for a server that said "later", longer each time; ERR_UNAVAILABLE when it is too busy. */
MUST_USE enum err chat_pause(struct chat *chat);

/* ---- cli_chat_follow.c: one conversation, live ---- */
struct chat_follow_options {
    const char *conversation_id;
    const char *state_path; /* cursor, revision and what is not acknowledged; NULL: not kept */
    int64_t last;           /* messages shown at first */
    bool is_reading_only;   /* standard input is not sent */
    bool ends_with_input;   /* when all of standard input is acknowledged */
};
int chat_follow(struct chat *chat, const struct chat_follow_options *opt);

/* ---- cli_chat_print.c ---- */
void chat_print_json(const char *what, json_t *value);
void chat_print_conversation(json_t *conversation);
void chat_print_message(json_t *message);
void chat_print_change(json_t *change);
/* The text or "". */
const char *chat_text(const json_t *object, const char *name);
int64_t chat_number(const json_t *object, const char *name);
