/* grpc_fixture: see grpc_fixture.h. */
#include "grpc_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"

/* ---- the service ---- */

enum kind { DOES_ECHO, DOES_COUNT, DOES_FAIL, DOES_HANG, DOES_HEADER };
static const char *const methods[] = {"Echo", "Count", "Fail", "Hang", "Header"};

struct open_call {
    enum kind kind;
};

static bool on_open(void *arg, struct h2_stream *s, const char *method)
{
    struct grpc_fixture *f = arg;
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (strcmp(method, methods[i]) != 0)
            continue;
        struct open_call *call = mem_new(struct open_call);
        call->kind = (enum kind)i;
        h2_stream_set_user(s, call);
        f->opened++;
        return true;
    }
    return false;
}

static void on_message(void *arg, struct h2_stream *s, const uint8_t *bytes, size_t n)
{
    struct open_call *call = h2_stream_user(s);
    if (call->kind == DOES_ECHO)
        h2_stream_send(s, bytes, n);
    for (int i = 0; call->kind == DOES_COUNT && n > 0 && i < bytes[0]; i++)
        h2_stream_send(s, &(uint8_t){(uint8_t)i}, 1);
}

static void on_end(void *arg, struct h2_stream *s)
{
    struct open_call *call = h2_stream_user(s);
    const struct h2_pair pair = {"x-test", "trailing"};
    struct h2_status status = {.err = ERR_OK, .metadata = &pair, .metadata_count = 1};
    const char *value = h2_stream_header(s, "x-test");
    if (call->kind == DOES_HANG)
        return;
    if (call->kind == DOES_FAIL) {
        status.err = ERR_NOT_FOUND;
        status.message = "nothing at 100% \xc3\xa4\n";
    }
    if (call->kind == DOES_HEADER)
        h2_stream_send(s, value ? value : "", value ? strlen(value) : 0);
    h2_stream_finish(s, &status);
}

static void on_gone(void *arg, struct h2_stream *s)
{
    struct grpc_fixture *f = arg;
    free(h2_stream_user(s));
    f->gone++;
}

static const struct h2_service_handler handler = {
    .on_open = on_open, .on_message = on_message, .on_end = on_end, .on_gone = on_gone};

/* ---- up and down ---- */

static void make_channel(void *arg)
{
    struct grpc_fixture *f = arg;
    f->channel = h2_channel_create(&f->channel_options);
}

void fixture_start(struct grpc_fixture *f)
{
    const struct h2_service service = {"test.Echo", &handler, f};
    assert_int_equal(loop_create(&f->loop, "grpc"), ERR_OK);
    f->io = h2_io_create(f->loop);
    f->server_options.io = f->io;
    f->server_options.host = "127.0.0.1";
    f->server_options.services = &service;
    f->server_options.service_count = 1;
    assert_int_equal(h2_server_create(&f->server, &f->server_options), ERR_OK);
    f->channel_options.io = f->io;
    if (!f->channel_options.host)
        f->channel_options.host = "127.0.0.1";
    if (!f->channel_options.port)
        f->channel_options.port = h2_server_port(f->server);
    loop_call(f->loop, make_channel, f);
}

static void drop_channel(void *arg)
{
    struct grpc_fixture *f = arg;
    h2_channel_destroy(&f->channel);
}

void fixture_stop(struct grpc_fixture *f)
{
    loop_call(f->loop, drop_channel, f);
    h2_server_destroy(&f->server);
    h2_io_destroy(&f->io);
    loop_destroy(&f->loop);
    assert_int_equal(f->opened, f->gone);
}

/* ---- asking ---- */

static void on_answer(void *arg, const uint8_t *bytes, size_t n)
{
    struct outcome *out = arg;
    out->messages++;
    out->last_n = n;
    memcpy(out->last, bytes, MIN(n, sizeof(out->last)));
}

static void on_outcome(void *arg, const struct h2_result *result)
{
    struct outcome *out = arg;
    const char *trailer = h2_metadata_find(result->metadata, "x-test");
    pthread_mutex_lock(&out->lock);
    out->is_ended = true;
    out->err = result->err;
    out->is_unprocessed = result->is_unprocessed;
    out->is_answered = result->is_answered;
    snprintf(out->message, sizeof(out->message), "%s", result->message);
    snprintf(out->trailer, sizeof(out->trailer), "%s", trailer ? trailer : "");
    pthread_cond_signal(&out->changed);
    pthread_mutex_unlock(&out->lock);
}

static const struct h2_call_handler asking = {.on_message = on_answer, .on_end = on_outcome};

struct start {
    struct grpc_fixture *f;
    const struct ask *ask;
    struct outcome *out;
};

static void start(void *arg)
{
    const struct start *it = arg;
    const struct ask *ask = it->ask;
    const struct h2_pair pair = {"x-test", ask->header};
    char path[64];
    snprintf(path, sizeof(path), "/test.Echo/%s", ask->method ? ask->method : "");
    struct h2_call *call = h2_call_start(
        it->f->channel, &(struct h2_call_options){.path = ask->path ? ask->path : path,
                                                  .metadata = &pair,
                                                  .metadata_count = ask->header != NULL,
                                                  .timeout_ms = ask->timeout_ms,
                                                  .is_patient = ask->is_patient,
                                                  .handler = &asking,
                                                  .arg = it->out});
    for (int i = 0; ask->body && i < MAX(ask->repeat, 1); i++)
        h2_call_send(call, ask->body, ask->body_n ? ask->body_n : strlen(ask->body));
    if (!ask->is_open)
        h2_call_end(call);
}

void ask_start(struct grpc_fixture *f, const struct ask *ask, struct outcome *out)
{
    struct start it = {f, ask, out};
    *out = (struct outcome){.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    loop_call(f->loop, start, &it);
}

void outcome_wait(struct outcome *out)
{
    pthread_mutex_lock(&out->lock);
    while (!out->is_ended)
        pthread_cond_wait(&out->changed, &out->lock);
    pthread_mutex_unlock(&out->lock);
}

void ask_wait(struct grpc_fixture *f, const struct ask *ask, struct outcome *out)
{
    ask_start(f, ask, out);
    outcome_wait(out);
}
