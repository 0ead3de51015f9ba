/*
 * identity: what another process may say of who asks, and of the trace it belongs to. What is taken
 * is written so that it is read as the same.
 */
#include <assert.h>
#include <string.h>

#include "core/span.h"
#include "rpc/metadata.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_identity(struct str text, struct arena *arena)
{
    struct identity who, again;
    if (!rpc_identity_read(text, &who))
        return;
    assert(str_is_utf8(str_from(who.name)));
    assert(rpc_identity_read(str_from(rpc_identity_write(&who, arena)), &again));
    assert(who.role == again.role && who.is_bot == again.is_bot);
    assert(who.expires_at_ms == again.expires_at_ms);
    assert(strcmp(who.user_id, again.user_id) == 0 && strcmp(who.name, again.name) == 0);
    assert(strcmp(who.session_id, again.session_id) == 0);
    assert(strcmp(who.meeting_id, again.meeting_id) == 0);
}

static void ignore(void *arg, const struct span *s, int64_t duration_us, int err)
{
}

static void check_trace(const char *text)
{
    struct span span;
    char out[SPAN_TRACEPARENT_SIZE];
    span_set_sink(ignore, NULL);
    span_start(&span, "fuzz", SPAN_SERVER, text);
    span_traceparent(&span, out);
    assert(strlen(out) == SPAN_TRACEPARENT_SIZE - 1);
    span_end(&span, 0);
    span_set_sink(NULL, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_create();
    struct str text = {(const char *)data, size};
    check_identity(text, arena);
    check_trace(str_arena(arena, text));
    arena_destroy(&arena);
    return 0;
}
