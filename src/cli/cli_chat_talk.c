/*
 * Requests on the socket, their answers by id, and the way back after a cut: every request of this
 * client may be repeated (reads change nothing, sends have a key), so a lost connection is only a
 * delay. Pauses grow, are jittered, and keep to what the server asked for.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "cli/cli_chat.h"
#include "core/clock.h"

#define PAUSE_MS 200
#define PAUSE_MAX_MS 10000
#define RETRY_AFTER_MAX_MS 60000
#define CLOSE_SIGNED_OUT 4401

void chat_say(const char *fmt, ...)
{
    va_list args;
    fputs("parlance chat: ", stderr);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
}

/* ---- the connection ---- */

void chat_lose(struct chat *chat)
{
    chat_socket_close(&chat->socket);
    if (!chat->lost_ms)
        chat->lost_ms = clock_mono_ms();
}

void chat_disconnect(struct chat *chat)
{
    chat_socket_close(&chat->socket);
}

static bool is_interrupted(const struct chat *chat)
{
    return chat->is_interrupted && *chat->is_interrupted;
}

/* In short pieces: the signal may come just before one begins. */
static void sleep_for(const struct chat *chat, int64_t pause_ms)
{
    int64_t until_ms = clock_mono_ms() + pause_ms, left_ms;
    while (!is_interrupted(chat) && (left_ms = until_ms - clock_mono_ms()) > 0)
        usleep((unsigned)MIN(left_ms, 100) * 1000);
}

static void pause_before_next(struct chat *chat)
{
    uint16_t random;
    if (getentropy(&random, sizeof(random)) != 0)
        abort();
    int64_t pause_ms = MIN((int64_t)PAUSE_MS << MIN(chat->attempts, 10), PAUSE_MAX_MS);
    pause_ms = MAX(pause_ms, chat->retry_after_ms);
    chat->retry_after_ms = 0;
    sleep_for(chat, pause_ms / 2 + pause_ms * random / 65536);
}

static void note_retry_after(struct chat *chat, const json_t *told)
{
    chat->retry_after_ms = CLAMP(chat_number(told, "retry_after_ms"), 0, RETRY_AFTER_MAX_MS);
}

/* A socket that has said "ready": from here on everything is told. */
static enum err connect_once(struct chat *chat)
{
    enum err err = chat_socket_open(&chat->socket, chat->session);
    /* Twice: the token that another process has put into the file may have ended, too. */
    for (int i = 0; i < 2 && err == ERR_UNAUTHENTICATED; i++) {
        err = chat_session_renew(chat->session);
        if (err)
            break;
        err = chat_socket_open(&chat->socket, chat->session);
    }
    int64_t until_ms = clock_mono_ms() + CHAT_ANSWER_MS;
    while (!err) {
        json_t *frame = NULL;
        err = chat_hear(chat, 1000, -1, &frame);
        bool is_ready = frame && json_object_get(frame, "ready");
        json_decref(frame);
        if (is_ready)
            return ERR_OK;
        if (!err && clock_mono_ms() > until_ms)
            err = ERR_UNAVAILABLE;
        if (is_interrupted(chat))
            err = ERR_CANCELLED;
    }
    chat_lose(chat);
    return err;
}

enum err chat_connect(struct chat *chat)
{
    if (chat->socket)
        return ERR_OK;
    enum err err = ERR_UNAVAILABLE;
    while (err == ERR_UNAVAILABLE) {
        if (chat->lost_ms && chat->attempts &&
            clock_mono_ms() - chat->lost_ms > chat->patience_ms) {
            chat_say("no connection to %s", chat->session->server);
            return err;
        }
        if (chat->lost_ms)
            pause_before_next(chat);
        if (is_interrupted(chat))
            return ERR_CANCELLED;
        err = connect_once(chat);
        chat->attempts++;
    }
    return err;
}

/* ---- frames ---- */

enum err chat_send(struct chat *chat, const char *method, json_t *request, int64_t *id)
{
    *id = ++chat->last_id;
    json_t *frame = json_pack("{s:I, s:o}", "id", (json_int_t)*id, method, request);
    if (!frame) {
        chat_say("what is asked is not UTF-8");
        return ERR_INVALID_ARGUMENT;
    }
    char *text = json_dumps(frame, JSON_COMPACT);
    enum err err = chat->socket ? chat_socket_send(chat->socket, str_from(text)) : ERR_UNAVAILABLE;
    if (err)
        chat_lose(chat);
    json_decref(frame);
    free(text);
    return err;
}

enum err chat_hear(struct chat *chat, int timeout_ms, int other_fd, json_t **frame)
{
    struct str text;
    unsigned code;
    *frame = NULL;
    if (!chat->socket)
        return ERR_UNAVAILABLE;
    switch (chat_socket_hear(chat->socket, timeout_ms, other_fd, &text, &code)) {
    case CHAT_HEARD_NOTHING:
        return ERR_OK;
    case CHAT_HEARD_MESSAGE:
        *frame = json_loadb(text.p, text.n, 0, NULL);
        if (*frame && json_object_get(*frame, "closing"))
            note_retry_after(chat, json_object_get(*frame, "closing"));
        if (*frame)
            return ERR_OK;
        chat_say("the server's frame makes no sense");
        break;
    case CHAT_HEARD_CLOSE:
        break;
    }
    chat_lose(chat);
    if (code != CLOSE_SIGNED_OUT)
        return ERR_UNAVAILABLE;
    enum err err = chat_session_renew(chat->session);
    return err ? err : ERR_UNAVAILABLE;
}

enum err chat_refused(const json_t *error)
{
    static const struct {
        const char *code;
        enum err err;
    } known[] = {
        {"unavailable", ERR_UNAVAILABLE},
        {"deadline_exceeded", ERR_UNAVAILABLE},
        {"aborted", ERR_UNAVAILABLE}, /* nothing was done */
        {"resource_exhausted", ERR_RESOURCE_EXHAUSTED},
        {"not_found", ERR_NOT_FOUND},
        {"already_exists", ERR_ALREADY_EXISTS},
        {"permission_denied", ERR_PERMISSION_DENIED},
        {"unauthenticated", ERR_UNAUTHENTICATED},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(chat_text(error, "code"), known[i].code) == 0)
            return known[i].err;
    return ERR_INVALID_ARGUMENT;
}

/* ---- asking ---- */

bool chat_is_passing(enum err err)
{
    return err == ERR_UNAVAILABLE || err == ERR_RESOURCE_EXHAUSTED;
}

bool chat_is_too_busy(const struct chat *chat, int64_t since_ms)
{
    bool is = clock_mono_ms() - since_ms > chat->patience_ms;
    if (is)
        chat_say("%s is there but too busy; try again later", chat->session->server);
    return is;
}

enum err chat_pause(struct chat *chat)
{
    if (!chat->busy_ms)
        chat->busy_ms = clock_mono_ms();
    if (chat_is_too_busy(chat, chat->busy_ms))
        return ERR_UNAVAILABLE;
    pause_before_next(chat);
    chat->attempts++;
    return ERR_OK;
}

static enum err take_answer(struct chat *chat, json_t *frame, const char *method, json_t **answer)
{
    json_t *error = json_object_get(frame, "error");
    *answer = json_incref(json_object_get(frame, method));
    enum err err = *answer ? ERR_OK : chat_refused(error);
    chat->lost_ms = 0;
    if (chat_is_passing(err)) {
        note_retry_after(chat, error);
        return err;
    }
    chat->busy_ms = 0;
    chat->attempts = 0;
    if (err)
        chat_say("%s", *chat_text(error, "message") ? chat_text(error, "message")
                                                    : "the server's answer makes no sense");
    return err;
}

enum err chat_try(struct chat *chat, const char *method, json_t *request, json_t **answer)
{
    int64_t id;
    *answer = NULL;
    enum err err = chat_send(chat, method, request, &id);
    int64_t until_ms = clock_mono_ms() + CHAT_ANSWER_MS;
    while (!err && clock_mono_ms() < until_ms) {
        json_t *frame;
        if (is_interrupted(chat))
            return ERR_CANCELLED;
        err = chat_hear(chat, 1000, -1, &frame);
        if (!frame)
            continue;
        bool is_answer = json_object_get(frame, "id") && chat_number(frame, "id") == id;
        if (is_answer)
            err = take_answer(chat, frame, method, answer);
        else if (chat->on_frame)
            chat->on_frame(chat, frame);
        json_decref(frame);
        if (is_answer)
            return err;
    }
    chat_lose(chat);
    return err ? err : ERR_UNAVAILABLE;
}

enum err chat_ask(struct chat *chat, const char *method, json_t *request, json_t **answer)
{
    enum err err = chat_connect(chat);
    while (!err) {
        err = chat_try(chat, method, json_incref(request), answer);
        if (!chat_is_passing(err))
            break;
        err = chat->socket ? chat_pause(chat) : chat_connect(chat);
    }
    json_decref(request);
    return err;
}
