/* autobahn 9 and 10: large messages, many fragments, small packets, round trips, at full size. */
#include "autobahn.h"

void autobahn_9_sizes(void **state)
{
    static const size_t sizes[] = {64 << 10, 256 << 10, 1 << 20, 4 << 20, 8 << 20, 16 << 20};
    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        autobahn_echo("9.1", i + 1, WS_TEXT, sizes[i], 0);
        autobahn_echo("9.2", i + 1, WS_BINARY, sizes[i], 0);
    }
}

static void fragmented_echo(const char *group, unsigned number, unsigned opcode, size_t n,
                            size_t fragment)
{
    struct run r = autobahn_start(group, number, 0);
    for (size_t at = 0; at < n; at += fragment)
        autobahn_add(&r, at ? WS_WIRE_CONTINUE : opcode, str_sub(autobahn_fill(n), at, fragment),
                     at + fragment < n ? CLIENT_WS_NOT_FINAL : 0);
    autobahn_flush(&r);
    autobahn_expect(&r, opcode, autobahn_fill(n));
    autobahn_finish(&r);
}

void autobahn_9_fragments(void **state)
{
    for (unsigned i = 0; i < 9; i++) { /* 64 bytes to 4 MiB */
        fragmented_echo("9.3", i + 1, WS_TEXT, 4 << 20, (size_t)64 << 2 * i);
        fragmented_echo("9.4", i + 1, WS_BINARY, 4 << 20, (size_t)64 << 2 * i);
    }
}

void autobahn_9_chops(void **state)
{
    for (unsigned i = 0; i < 6; i++) { /* 64 bytes to 2 KiB */
        autobahn_echo("9.5", i + 1, WS_TEXT, 1 << 20, (size_t)64 << i);
        autobahn_echo("9.6", i + 1, WS_BINARY, 1 << 20, (size_t)64 << i);
    }
}

static void round_trips(const char *group, unsigned number, unsigned opcode, size_t n)
{
    struct run r = autobahn_start(group, number, 0);
    for (int i = 0; i < 1000; i++) {
        autobahn_add(&r, opcode, autobahn_fill(n), 0);
        autobahn_flush(&r);
        autobahn_expect(&r, opcode, autobahn_fill(n));
    }
    autobahn_finish(&r);
}

void autobahn_9_round_trips(void **state)
{
    static const size_t sizes[] = {0, 16, 64, 256, 1024, 4096};
    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        round_trips("9.7", i + 1, WS_TEXT, sizes[i]);
        round_trips("9.8", i + 1, WS_BINARY, sizes[i]);
    }
}

void autobahn_10_fragments(void **state)
{
    fragmented_echo("10.1", 1, WS_TEXT, 65536, 1300);
}
