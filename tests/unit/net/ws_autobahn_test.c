/* ws_autobahn: the echo server, the steps of a case, and the check that none is missing. */
#include "autobahn.h"

#include <poll.h>

static struct fixture f;
static char *filler; /* printable, AUTOBAHN_MESSAGE_MAX long */

/* ---- the list ---- */

/* Every group, and how many cases it has. */
static const struct {
    const char *group;
    unsigned count;
} list[] = {
    {"1.1", 8},   {"1.2", 8},   {"2", 11},    {"3", 7},     {"4.1", 5},   {"4.2", 5},
    {"5", 20},    {"6.1", 3},   {"6.2", 4},   {"6.3", 2},   {"6.4", 4},   {"6.5", 5},
    {"6.6", 11},  {"6.7", 4},   {"6.8", 2},   {"6.9", 4},   {"6.10", 3},  {"6.11", 5},
    {"6.12", 8},  {"6.13", 5},  {"6.14", 10}, {"6.15", 1},  {"6.16", 3},  {"6.17", 5},
    {"6.18", 5},  {"6.19", 5},  {"6.20", 7},  {"6.21", 8},  {"6.22", 34}, {"6.23", 7},
    {"7.1", 6},   {"7.3", 6},   {"7.5", 1},   {"7.7", 13},  {"7.9", 9},   {"7.13", 2},
    {"9.1", 6},   {"9.2", 6},   {"9.3", 9},   {"9.4", 9},   {"9.5", 6},   {"9.6", 6},
    {"9.7", 6},   {"9.8", 6},   {"10.1", 1},  {"12.1", 18}, {"12.2", 18}, {"12.3", 18},
    {"12.4", 18}, {"12.5", 18}, {"13.1", 18}, {"13.2", 18}, {"13.3", 18}, {"13.4", 18},
    {"13.5", 18}, {"13.6", 18}, {"13.7", 18},
};
static bool was_run[ARRAY_LEN(list)][64];

static void mark(const char *group, unsigned number)
{
    for (size_t i = 0; i < ARRAY_LEN(list); i++) {
        if (strcmp(list[i].group, group) != 0)
            continue;
        if (number < 1 || number > list[i].count)
            fail_msg("%s.%u is not in the list", group, number);
        was_run[i][number] = true;
        return;
    }
    fail_msg("group %s is not in the list", group);
}

static void none_is_missing(void **state)
{
    unsigned count = 0;
    for (size_t i = 0; i < ARRAY_LEN(list); i++) {
        for (unsigned number = 1; number <= list[i].count; number++)
            if (!was_run[i][number])
                fail_msg("%s.%u was not run", list[i].group, number);
        count += list[i].count;
    }
    assert_int_equal(count, 517);
}

/* ---- the server ---- */

static void on_message(void *arg, struct ws *ws, enum ws_opcode opcode, struct str payload)
{
    struct ws_frame *frame = ws_frame_create(opcode, payload);
    ws_send_frame(ws, frame, 0);
    ws_frame_unref(&frame);
}

static void on_close(void *arg, struct ws *ws, unsigned code, struct str reason)
{
}

static const struct ws_handler echo = {.on_message = on_message, .on_close = on_close};
static const struct ws_limits limits = {.message_max_bytes = AUTOBAHN_MESSAGE_MAX,
                                        .queue_hard_bytes = 4 * AUTOBAHN_MESSAGE_MAX};

static void on_request(void *arg, struct http_request *req)
{
    struct ws *ws;
    assert_int_equal(ws_accept(req, &(struct ws_options){.handler = &echo, .limits = &limits}, &ws),
                     ERR_OK);
}

static int setup(void **state)
{
    filler = malloc(AUTOBAHN_MESSAGE_MAX);
    for (size_t i = 0; i < AUTOBAHN_MESSAGE_MAX; i++)
        filler[i] = (char)('*' + i % 80);
    fixture_start(&f, (struct net_server_options){.http = {.on_request = on_request}});
    return 0;
}

static int teardown(void **state)
{
    fixture_stop(&f);
    free(filler);
    return 0;
}

/* ---- steps ---- */

struct run autobahn_start_with(const char *group, unsigned number, size_t chop, const char *headers)
{
    struct run r = {.chop = chop};
    mark(group, number);
    snprintf(r.number, sizeof(r.number), "%.8s.%u", group, number % 100);
    client_connect(&r.c, &f);
    client_ws_open(&r.c, "/", headers);
    return r;
}

struct run autobahn_start(const char *group, unsigned number, size_t chop)
{
    return autobahn_start_with(group, number, chop, "");
}

void autobahn_add(struct run *r, unsigned opcode, struct str payload, unsigned flags)
{
    client_ws_encode(&r->out, opcode, payload, flags);
}

void autobahn_flush(struct run *r)
{
    if (r->chop)
        client_send_in_steps(&r->c, strbuf_str(&r->out), r->chop);
    else
        client_send(&r->c, strbuf_str(&r->out));
    strbuf_clear(&r->out);
}

void autobahn_expect(struct run *r, unsigned opcode, struct str payload)
{
    struct client_ws_frame frame = client_ws_read(&r->c);
    if (!frame.is_there || frame.opcode != opcode || !str_eq(frame.payload, payload))
        fail_msg("%s: wanted opcode %u with %zu bytes, got %s %u with %zu", r->number, opcode,
                 payload.n, frame.is_there ? "opcode" : "the end, not", frame.opcode,
                 frame.payload.n);
}

void autobahn_expect_silence(struct run *r)
{
    struct pollfd p = {.fd = r->c.fd, .events = POLLIN};
    if (r->c.in.n > 0 || poll(&p, 1, 30) != 0)
        fail_msg("%s: something came where nothing was due", r->number);
}

static void end(struct run *r)
{
    if (!client_is_closed(&r->c))
        fail_msg("%s: the server did not close", r->number);
    client_close(&r->c);
    strbuf_deinit(&r->out);
}

void autobahn_expect_close(struct run *r, unsigned code)
{
    unsigned got = client_ws_read_close(&r->c);
    if (got != code)
        fail_msg("%s: closed with %u instead of %u", r->number, got, code);
    end(r);
}

void autobahn_finish(struct run *r)
{
    client_ws_send(&r->c, WS_WIRE_CLOSE, STR("\x03\xe8"), 0);
    autobahn_expect_close(r, 1000);
}

struct str autobahn_fill(size_t n)
{
    return (struct str){filler, n};
}

void autobahn_echo(const char *group, unsigned number, unsigned opcode, size_t n, size_t chop)
{
    struct run r = autobahn_start(group, number, chop);
    autobahn_add(&r, opcode, autobahn_fill(n), 0);
    autobahn_flush(&r);
    autobahn_expect(&r, opcode, autobahn_fill(n));
    autobahn_finish(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(autobahn_1_framing),       cmocka_unit_test(autobahn_2_pings),
        cmocka_unit_test(autobahn_3_reserved_bits), cmocka_unit_test(autobahn_4_opcodes),
        cmocka_unit_test(autobahn_5_fragmentation), cmocka_unit_test(autobahn_6_1_to_4),
        cmocka_unit_test(autobahn_6_sequences),     cmocka_unit_test(autobahn_7_close),
        cmocka_unit_test(autobahn_9_sizes),         cmocka_unit_test(autobahn_9_fragments),
        cmocka_unit_test(autobahn_9_chops),         cmocka_unit_test(autobahn_9_round_trips),
        cmocka_unit_test(autobahn_10_fragments),    cmocka_unit_test(autobahn_12_compression),
        cmocka_unit_test(autobahn_13_parameters),   cmocka_unit_test(autobahn_compressed_nonsense),
        cmocka_unit_test(none_is_missing),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
