/*
 * h2_reflection: each request of the stream is answered by itself. A client that does not read its
 * answers and goes on asking is sent away, so that nothing piles up.
 */
#include "grpc/h2_reflection.h"

#include <stdlib.h>

#include "core/mem.h"
#include "grpc/h2_contracts.h"
#include "reflection.pb-c.h"

#define REQUEST_MAX_BYTES 4096
#define UNSENT_MAX_BYTES (1 << 20)
#define STREAMS_MAX 32 /* at once, of everybody: whoever may connect may ask */

typedef Reflection__ServerReflectionRequest request_t;
typedef Reflection__ServerReflectionResponse response_t;
#define ASKS(name) REFLECTION__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##name
#define ANSWERS(name) REFLECTION__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##name

struct h2_reflection {
    struct h2_contracts *contracts;
    char **services;
    size_t count;
    unsigned open;
};

static void list_services(const struct h2_reflection *r, struct arena *arena, response_t *response)
{
    Reflection__ListServiceResponse *list = arena_new(arena, Reflection__ListServiceResponse);
    reflection__list_service_response__init(list);
    list->service = arena_array(arena, Reflection__ServiceResponse *, r->count);
    for (; list->n_service < r->count; list->n_service++) {
        Reflection__ServiceResponse *service = arena_new(arena, Reflection__ServiceResponse);
        reflection__service_response__init(service);
        service->name = r->services[list->n_service];
        list->service[list->n_service] = service;
    }
    response->message_response_case = ANSWERS(LIST_SERVICES_RESPONSE);
    response->list_services_response = list;
}

static void answer_error(enum err err, const char *message, struct arena *arena,
                         response_t *response)
{
    Reflection__ErrorResponse *error = arena_new(arena, Reflection__ErrorResponse);
    reflection__error_response__init(error);
    error->error_code = (int32_t)err;
    error->error_message = arena_strdup(arena, message);
    response->message_response_case = ANSWERS(ERROR_RESPONSE);
    response->error_response = error;
}

static void answer_files(const struct str *files, size_t count, struct arena *arena,
                         response_t *response)
{
    if (count == 0) {
        answer_error(ERR_NOT_FOUND, "nothing of that name here", arena, response);
        return;
    }
    Reflection__FileDescriptorResponse *found =
        arena_new(arena, Reflection__FileDescriptorResponse);
    reflection__file_descriptor_response__init(found);
    found->n_file_descriptor_proto = count;
    found->file_descriptor_proto = arena_array(arena, ProtobufCBinaryData, count);
    for (size_t i = 0; i < count; i++)
        found->file_descriptor_proto[i] =
            (ProtobufCBinaryData){files[i].n, (uint8_t *)(uintptr_t)files[i].p};
    response->message_response_case = ANSWERS(FILE_DESCRIPTOR_RESPONSE);
    response->file_descriptor_response = found;
}

static void answer(const struct h2_reflection *r, const request_t *request, struct arena *arena,
                   response_t *response)
{
    struct str *files = NULL;
    size_t count;
    switch (request->message_request_case) {
    case ASKS(LIST_SERVICES):
        list_services(r, arena, response);
        return;
    case ASKS(FILE_BY_FILENAME):
        count = h2_contracts_file(r->contracts, str_from(request->file_by_filename), arena, &files);
        answer_files(files, count, arena, response);
        return;
    case ASKS(FILE_CONTAINING_SYMBOL):
        count = h2_contracts_symbol(r->contracts, str_from(request->file_containing_symbol), arena,
                                    &files);
        answer_files(files, count, arena, response);
        return;
    case ASKS(FILE_CONTAINING_EXTENSION):
    case ASKS(ALL_EXTENSION_NUMBERS_OF_TYPE):
        answer_error(ERR_NOT_FOUND, "there are no extensions", arena, response);
        return;
    default:
        answer_error(ERR_INVALID_ARGUMENT, "a question is missing", arena, response);
    }
}

/* ---- the stream ---- */

static bool reflection_on_open(void *arg, struct h2_stream *s, const char *method)
{
    struct h2_reflection *r = arg;
    if (strcmp(method, "ServerReflectionInfo") != 0)
        return false;
    if (++r->open > STREAMS_MAX)
        h2_stream_finish(s, &(struct h2_status){.err = ERR_RESOURCE_EXHAUSTED,
                                                .message = "too many ask at once"});
    return true;
}

static void send_response(struct h2_stream *s, const response_t *response, struct arena *arena)
{
    size_t n = reflection__server_reflection_response__get_packed_size(response);
    uint8_t *bytes = arena_alloc(arena, n);
    reflection__server_reflection_response__pack(response, bytes);
    h2_stream_send(s, bytes, n);
}

static void reflection_on_message(void *arg, struct h2_stream *s, const uint8_t *bytes, size_t n)
{
    const struct h2_reflection *r = arg;
    struct arena *arena = arena_create();
    response_t response = REFLECTION__SERVER_REFLECTION_RESPONSE__INIT;
    request_t *request =
        n <= REQUEST_MAX_BYTES
            ? reflection__server_reflection_request__unpack(arena_protobuf(arena, 65536), n, bytes)
            : NULL;
    if (!request) {
        h2_stream_finish(s, &(struct h2_status){.err = ERR_INVALID_ARGUMENT});
    } else if (h2_stream_unsent(s) > UNSENT_MAX_BYTES) {
        h2_stream_finish(s, &(struct h2_status){.err = ERR_RESOURCE_EXHAUSTED,
                                                .message = "read the answers, too"});
    } else {
        response.valid_host = request->host;
        response.original_request = request;
        answer(r, request, arena, &response);
        send_response(s, &response, arena);
    }
    arena_destroy(&arena);
}

static void reflection_on_end(void *arg, struct h2_stream *s)
{
    h2_stream_finish(s, &(struct h2_status){.err = ERR_OK});
}

static void reflection_on_gone(void *arg, struct h2_stream *s)
{
    struct h2_reflection *r = arg;
    r->open--;
}

static const struct h2_service_handler handler = {.on_open = reflection_on_open,
                                                  .on_message = reflection_on_message,
                                                  .on_end = reflection_on_end,
                                                  .on_gone = reflection_on_gone};

void h2_reflection_services(struct h2_reflection *r, struct h2_service out[H2_REFLECTION_SERVICES])
{
    out[0] =
        (struct h2_service){"grpc.reflection.v1.ServerReflection", &handler, r, REQUEST_MAX_BYTES};
    out[1] = (struct h2_service){"grpc.reflection.v1alpha.ServerReflection", &handler, r,
                                 REQUEST_MAX_BYTES};
}

enum err h2_reflection_create(struct h2_reflection **out, const void *contracts, size_t n,
                              const char *const *services, size_t count)
{
    struct h2_reflection *r = mem_new(struct h2_reflection);
    enum err err = h2_contracts_create(&r->contracts, contracts, n);
    r->services = mem_calloc(count + 1, sizeof(*r->services));
    for (; r->count < count; r->count++)
        r->services[r->count] = mem_strdup(services[r->count]);
    if (err)
        h2_reflection_destroy(&r);
    *out = r;
    return err;
}

void h2_reflection_destroy(struct h2_reflection **reflection)
{
    struct h2_reflection *r = *reflection;
    *reflection = NULL;
    if (!r)
        return;
    h2_contracts_destroy(&r->contracts);
    for (size_t i = 0; i < r->count; i++)
        free(r->services[i]);
    free(r->services);
    free(r);
}
