/*
 * rpc_libgrpc: the same call over gRPC's own C core (Debian's libgrpc): registered methods, one
 * completion queue, one thread that waits for it at either end, no sync server and no C++ above it:
 * the cheapest way that the library offers. It shows the same secret and deadline.
 *
 *   rpc_libgrpc server PORT
 *   rpc_libgrpc client PORT IN_FLIGHT SECONDS
 */
#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base.h"
#include "core/clock.h"
#include "rpc/said.h"

#define BEARER "Bearer " SAID_SECRET

static grpc_completion_queue *queue;

static grpc_byte_buffer *pack(const ProtobufCMessage *message)
{
    size_t n = protobuf_c_message_get_packed_size(message);
    grpc_slice slice = grpc_slice_malloc(n);
    protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return buffer;
}

static ProtobufCMessage *unpack(const ProtobufCMessageDescriptor *descriptor,
                                grpc_byte_buffer *buffer)
{
    grpc_byte_buffer_reader reader;
    if (!buffer || !grpc_byte_buffer_reader_init(&reader, buffer))
        return NULL;
    grpc_slice slice = grpc_byte_buffer_reader_readall(&reader);
    ProtobufCMessage *message = protobuf_c_message_unpack(
        descriptor, NULL, GRPC_SLICE_LENGTH(slice), GRPC_SLICE_START_PTR(slice));
    grpc_slice_unref(slice);
    grpc_byte_buffer_reader_destroy(&reader);
    return message;
}

static void start_batch(grpc_call *call, const grpc_op *ops, size_t count, void *tag)
{
    if (grpc_call_start_batch(call, ops, count, tag, NULL) != GRPC_CALL_OK) {
        fputs("a batch was refused\n", stderr);
        abort();
    }
}

/* ---- the server ---- */

static grpc_server *server;
static void *method;

/* One call that is awaited or answered. */
struct served {
    grpc_call *call;
    gpr_timespec deadline;
    grpc_metadata_array metadata;
    grpc_byte_buffer *request, *reply;
    int is_cancelled;
    bool is_answered;
};

static void await_call(struct served *s)
{
    s->is_answered = false;
    s->request = s->reply = NULL;
    grpc_metadata_array_init(&s->metadata);
    grpc_server_request_registered_call(server, method, &s->call, &s->deadline, &s->metadata,
                                        &s->request, queue, queue, s);
}

static bool is_one_of_us(const struct served *s)
{
    for (size_t i = 0; i < s->metadata.count; i++)
        if (grpc_slice_str_cmp(s->metadata.metadata[i].key, "authorization") == 0)
            return grpc_slice_str_cmp(s->metadata.metadata[i].value, BEARER) == 0;
    return false;
}

static void answer(struct served *s)
{
    User__GetUserRequest *request =
        (User__GetUserRequest *)unpack(&user__get_user_request__descriptor, s->request);
    bool is_ok = is_one_of_us(s) && request && strcmp(request->id, SAID_ID) == 0;
    protobuf_c_message_free_unpacked(request ? &request->base : NULL, NULL);
    grpc_op ops[4] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
                      {.op = GRPC_OP_SEND_STATUS_FROM_SERVER},
                      {.op = GRPC_OP_RECV_CLOSE_ON_SERVER},
                      {.op = GRPC_OP_SEND_MESSAGE}};
    ops[1].data.send_status_from_server.status = is_ok ? GRPC_STATUS_OK : GRPC_STATUS_NOT_FOUND;
    ops[2].data.recv_close_on_server.cancelled = &s->is_cancelled;
    s->reply = pack(&said_answer()->base);
    ops[3].data.send_message.send_message = s->reply;
    s->is_answered = true;
    start_batch(s->call, ops, is_ok ? 4 : 3, s);
}

static void forget(struct served *s)
{
    grpc_byte_buffer_destroy(s->request);
    grpc_byte_buffer_destroy(s->reply);
    grpc_metadata_array_destroy(&s->metadata);
    grpc_call_unref(s->call);
}

static volatile sig_atomic_t is_stopping;

static void on_signal(int number)
{
    is_stopping = 1;
}

static gpr_timespec soon(void)
{
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(100, GPR_TIMESPAN));
}

static int serve(int port)
{
    static struct served all[SAID_IN_FLIGHT_MAX];
    char address[32];
    snprintf(address, sizeof(address), "127.0.0.1:%d", port);
    signal(SIGTERM, on_signal);
    server = grpc_server_create(NULL, NULL);
    grpc_server_register_completion_queue(server, queue, NULL);
    method = grpc_server_register_method(server, SAID_PATH, NULL,
                                         GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER, 0);
    grpc_server_credentials *open = grpc_insecure_server_credentials_create();
    if (!grpc_server_add_http2_port(server, address, open))
        return 1;
    grpc_server_start(server);
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        await_call(&all[i]);
    while (!is_stopping) {
        grpc_event event = grpc_completion_queue_next(queue, soon(), NULL);
        struct served *s = event.tag;
        if (event.type != GRPC_OP_COMPLETE)
            continue;
        if (!s->is_answered && event.success) {
            answer(s);
        } else if (s->is_answered) {
            forget(s);
            await_call(s);
        }
    }
    return 0;
}

/* ---- the client ---- */

struct asked {
    grpc_call *call;
    grpc_byte_buffer *request, *reply;
    grpc_metadata_array initial, trailing;
    grpc_status_code status;
    grpc_slice details;
};

static grpc_channel *channel;
static void *registered;
static uint64_t calls, wrong;

static void ask(struct asked *a)
{
    static grpc_metadata secret;
    secret = (grpc_metadata){.key = grpc_slice_from_static_string("authorization"),
                             .value = grpc_slice_from_static_string(BEARER)};
    gpr_timespec deadline =
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_seconds(10, GPR_TIMESPAN));
    a->call = grpc_channel_create_registered_call(channel, NULL, GRPC_PROPAGATE_DEFAULTS, queue,
                                                  registered, deadline, NULL);
    a->request = pack(&said_question()->base);
    a->reply = NULL;
    grpc_metadata_array_init(&a->initial);
    grpc_metadata_array_init(&a->trailing);
    grpc_op ops[6] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},  {.op = GRPC_OP_SEND_MESSAGE},
        {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT}, {.op = GRPC_OP_RECV_INITIAL_METADATA},
        {.op = GRPC_OP_RECV_MESSAGE},           {.op = GRPC_OP_RECV_STATUS_ON_CLIENT}};
    ops[0].data.send_initial_metadata.count = 1;
    ops[0].data.send_initial_metadata.metadata = &secret;
    ops[1].data.send_message.send_message = a->request;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &a->initial;
    ops[4].data.recv_message.recv_message = &a->reply;
    ops[5].data.recv_status_on_client.trailing_metadata = &a->trailing;
    ops[5].data.recv_status_on_client.status = &a->status;
    ops[5].data.recv_status_on_client.status_details = &a->details;
    start_batch(a->call, ops, ARRAY_LEN(ops), a);
}

static void take(struct asked *a)
{
    ProtobufCMessage *reply = unpack(&user__profile__descriptor, a->reply);
    bool is_right = a->status == GRPC_STATUS_OK && said_is_right((User__Profile *)reply);
    is_right ? calls++ : wrong++;
    protobuf_c_message_free_unpacked(reply, NULL);
    grpc_byte_buffer_destroy(a->request);
    grpc_byte_buffer_destroy(a->reply);
    grpc_metadata_array_destroy(&a->initial);
    grpc_metadata_array_destroy(&a->trailing);
    grpc_slice_unref(a->details);
    grpc_call_unref(a->call);
}

static void run(unsigned in_flight, int64_t run_us)
{
    static struct asked all[SAID_IN_FLIGHT_MAX];
    int64_t until_us = clock_mono_us() + run_us;
    calls = wrong = 0;
    for (unsigned i = 0; i < in_flight; i++)
        ask(&all[i]);
    while (in_flight) {
        grpc_event event =
            grpc_completion_queue_next(queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        take(event.tag);
        if (clock_mono_us() < until_us)
            ask(event.tag);
        else
            in_flight--;
    }
}

static int measure(int port, unsigned in_flight, unsigned seconds)
{
    char address[32];
    snprintf(address, sizeof(address), "127.0.0.1:%d", port);
    grpc_channel_credentials *open = grpc_insecure_credentials_create();
    channel = grpc_channel_create(address, open, NULL);
    registered = grpc_channel_register_call(channel, SAID_PATH, NULL, NULL);
    run(in_flight, 200000);
    said_ready();
    said_wait();
    int64_t start_us = clock_mono_us();
    run(in_flight, (int64_t)seconds * 1000000);
    said_done(calls, wrong, (double)(clock_mono_us() - start_us) / 1e6);
    said_wait();
    return 0;
}

int main(int argc, char **argv)
{
    grpc_init();
    queue = grpc_completion_queue_create_for_next(NULL);
    if (argc == 3 && strcmp(argv[1], "server") == 0)
        return serve(atoi(argv[2]));
    if (argc == 5 && strcmp(argv[1], "client") == 0)
        return measure(atoi(argv[2]), (unsigned)MIN(atoi(argv[3]), SAID_IN_FLIGHT_MAX),
                       (unsigned)atoi(argv[4]));
    fprintf(stderr, "usage: rpc_libgrpc server PORT | client PORT IN_FLIGHT SECONDS\n");
    return 2;
}
