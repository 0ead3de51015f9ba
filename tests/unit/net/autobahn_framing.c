/* autobahn 1 to 5: framing, pings and pongs, reserved bits, opcodes, fragmentation. */
#include "autobahn.h"

void autobahn_1_framing(void **state)
{
    static const size_t sizes[] = {0, 125, 126, 127, 128, 65535, 65536};
    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        autobahn_echo("1.1", i + 1, WS_TEXT, sizes[i], 0);
        autobahn_echo("1.2", i + 1, WS_BINARY, sizes[i], 0);
    }
    autobahn_echo("1.1", 8, WS_TEXT, 65536, 997);
    autobahn_echo("1.2", 8, WS_BINARY, 65536, 997);
}

static void ping(unsigned number, struct str payload, size_t chop)
{
    struct run r = autobahn_start("2", number, chop);
    autobahn_add(&r, WS_WIRE_PING, payload, 0);
    autobahn_flush(&r);
    autobahn_expect(&r, WS_WIRE_PONG, payload);
    autobahn_finish(&r);
}

/* Unsolicited pongs are ignored; a ping after them is answered. */
static void pong(unsigned number, struct str payload, bool has_ping)
{
    struct run r = autobahn_start("2", number, 0);
    autobahn_add(&r, WS_WIRE_PONG, payload, 0);
    if (has_ping)
        autobahn_add(&r, WS_WIRE_PING, STR("ping payload"), 0);
    autobahn_flush(&r);
    if (has_ping)
        autobahn_expect(&r, WS_WIRE_PONG, STR("ping payload"));
    autobahn_finish(&r);
}

void autobahn_2_pings(void **state)
{
    ping(1, STR(""), 0);
    ping(2, STR("Hello, world!"), 0);
    ping(3, STR("\x00\xff\xfe\xfd\xfc\xfb\x00\xff"), 0);
    ping(4, autobahn_fill(125), 0);
    struct run r = autobahn_start("2", 5, 0);
    autobahn_add(&r, WS_WIRE_PING, autobahn_fill(126), 0);
    autobahn_flush(&r);
    autobahn_expect_close(&r, 1002);
    ping(6, autobahn_fill(125), 1);
    pong(7, STR(""), false);
    pong(8, STR("unsolicited pong payload"), false);
    pong(9, STR("unsolicited pong payload"), true);
    for (unsigned chop = 0; chop < 2; chop++) {
        r = autobahn_start("2", 10 + chop, chop);
        for (size_t i = 0; i < 10; i++)
            autobahn_add(&r, WS_WIRE_PING, autobahn_fill(i + 1), 0);
        autobahn_flush(&r);
        for (size_t i = 0; i < 10; i++)
            autobahn_expect(&r, WS_WIRE_PONG, autobahn_fill(i + 1));
        autobahn_finish(&r);
    }
}

/* A bad frame, alone or after a message that is still echoed and before a ping that is not heard.
 */
struct bad_frame {
    const char *group;
    unsigned number;
    unsigned opcode;
    struct str payload;
    unsigned flags;
    bool is_alone;
    size_t chop;
};

static void refuse(const struct bad_frame *bad)
{
    struct run r = autobahn_start(bad->group, bad->number, bad->chop);
    if (!bad->is_alone)
        autobahn_add(&r, WS_TEXT, STR("Hello, world!"), 0);
    autobahn_add(&r, bad->opcode, bad->payload, bad->flags);
    if (!bad->is_alone)
        autobahn_add(&r, WS_WIRE_PING, STR(""), 0);
    autobahn_flush(&r);
    if (!bad->is_alone)
        autobahn_expect(&r, WS_TEXT, STR("Hello, world!"));
    autobahn_expect_close(&r, 1002);
}

#define HELLO STR("Hello, world!")

void autobahn_3_reserved_bits(void **state)
{
    const unsigned rsv1 = CLIENT_WS_RSV1, rsv2 = CLIENT_WS_RSV2, rsv3 = CLIENT_WS_RSV3;
    const struct bad_frame rows[] = {
        {"3", 1, WS_TEXT, HELLO, rsv3, .is_alone = true},
        {"3", 2, WS_TEXT, HELLO, rsv2},
        {"3", 3, WS_TEXT, HELLO, rsv2 | rsv3, .chop = 19}, /* frame by frame */
        {"3", 4, WS_TEXT, HELLO, rsv1, .chop = 1},
        {"3", 5, WS_BINARY, STR("\x00\xff\xfe\xfd\xfc\xfb\x00\xff"), rsv1 | rsv3, .is_alone = true},
        {"3", 6, WS_WIRE_PING, HELLO, rsv1 | rsv2, .is_alone = true},
        {"3", 7, WS_WIRE_CLOSE, STR(""), rsv1 | rsv2 | rsv3, .is_alone = true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        refuse(&rows[i]);
}

void autobahn_4_opcodes(void **state)
{
    for (unsigned i = 0; i < 2; i++) {
        const char *group = i ? "4.2" : "4.1";
        const unsigned first = i ? 11 : 3;
        const struct bad_frame rows[] = {
            {group, 1, first, STR(""), 0, .is_alone = true},
            {group, 2, first + 1, STR("reserved opcode payload"), 0, .is_alone = true},
            {group, 3, first + 2, STR(""), 0},
            {group, 4, first + 3, HELLO, 0},
            {group, 5, first + 4, HELLO, 0, .chop = 1},
        };
        for (size_t k = 0; k < ARRAY_LEN(rows); k++)
            refuse(&rows[k]);
    }
}

/* Frames of a fragmented message, as text: "t" text, "c" continuation, "i" ping, "o" pong, capitals
 * are final, "-" waits a moment. Each data frame carries "fragN", each ping "pingN". */
static void send_script(struct run *r, const char *script)
{
    unsigned count = 0;
    for (const char *s = script; *s; s++) {
        char kind = (char)(*s | 0x20), payload[16];
        unsigned opcode = kind == 't'   ? WS_TEXT
                          : kind == 'i' ? WS_WIRE_PING
                          : kind == 'o' ? WS_WIRE_PONG
                                        : WS_WIRE_CONTINUE;
        if (*s == '-') {
            autobahn_flush(r);
            autobahn_expect(r, WS_WIRE_PONG, STR("ping3"));
            autobahn_expect_silence(r);
            continue;
        }
        snprintf(payload, sizeof(payload), "%s%u", opcode > 2 ? "ping" : "frag", ++count);
        autobahn_add(r, opcode, str_from(payload), *s < 'a' ? 0 : CLIENT_WS_NOT_FINAL);
    }
    autobahn_flush(r);
}

void autobahn_5_fragmentation(void **state)
{
    static const struct {
        const char *script;
        size_t chop;
        const char *replies[2]; /* "p..." a pong, else text */
        bool is_refused;        /* after these replies */
    } rows[] = {
        [1] = {"iC", 0, {NULL}, true},
        [2] = {"oC", 0, {NULL}, true},
        [3] = {"tC", 11, {"frag1frag2"}, false}, /* frame by frame */
        [4] = {"tC", 0, {"frag1frag2"}, false},
        [5] = {"tC", 1, {"frag1frag2"}, false},
        [6] = {"tIC", 11, {"pping2", "frag1frag3"}, false},
        [7] = {"tIC", 0, {"pping2", "frag1frag3"}, false},
        [8] = {"tIC", 1, {"pping2", "frag1frag3"}, false},
        [9] = {"CT", 11, {NULL}, true},
        [10] = {"CT", 0, {NULL}, true},
        [11] = {"CT", 1, {NULL}, true},
        [12] = {"cT", 11, {NULL}, true},
        [13] = {"cT", 0, {NULL}, true},
        [14] = {"cT", 1, {NULL}, true},
        [15] = {"tCcT", 0, {"frag1frag2"}, true},
        [16] = {"ctCctC", 11, {NULL}, true},
        [17] = {"CtCCtC", 11, {NULL}, true},
        [18] = {"tT", 0, {NULL}, true},
        [19] = {"tcI-ccIC", 0, {"pping6", "frag1frag2frag4frag5frag7"}, false},
        [20] = {"tcI-ccIC", 11, {"pping6", "frag1frag2frag4frag5frag7"}, false},
    };
    for (unsigned i = 1; i < ARRAY_LEN(rows); i++) {
        struct run r = autobahn_start("5", i, rows[i].chop);
        send_script(&r, rows[i].script);
        for (size_t k = 0; k < 2 && rows[i].replies[k]; k++) {
            const char *reply = rows[i].replies[k];
            bool is_pong = reply[0] == 'p';
            autobahn_expect(&r, is_pong ? WS_WIRE_PONG : WS_TEXT, str_from(reply + is_pong));
        }
        if (rows[i].is_refused)
            autobahn_expect_close(&r, 1002);
        else
            autobahn_finish(&r);
    }
}
