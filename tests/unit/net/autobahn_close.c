/* autobahn 7: closing, by whom it may, with what it may. */
#include "autobahn.h"

static void close_with(const char *group, unsigned number, struct str payload, unsigned code)
{
    struct run r = autobahn_start(group, number, 0);
    autobahn_add(&r, WS_WIRE_CLOSE, payload, 0);
    autobahn_flush(&r);
    autobahn_expect_close(&r, code);
}

static void close_codes(const char *group, const unsigned *codes, unsigned count, bool is_valid)
{
    for (unsigned i = 0; i < count; i++) {
        char payload[2] = {(char)(codes[i] >> 8), (char)codes[i]};
        close_with(group, i + 1, (struct str){payload, 2}, is_valid ? codes[i] : 1002);
    }
}

/* Nothing after a close is answered: another close, a ping, text, the rest of a message. */
static void after_close(unsigned number, unsigned opcode)
{
    struct run r = autobahn_start("7.1", number, 0);
    if (opcode == WS_WIRE_CONTINUE)
        autobahn_add(&r, WS_TEXT, STR("fragment1"), CLIENT_WS_NOT_FINAL);
    autobahn_add(&r, WS_WIRE_CLOSE, STR("\x03\xe8"), 0);
    autobahn_add(&r, opcode, opcode > 2 ? STR("") : STR("Hello World!"), 0);
    autobahn_flush(&r);
    autobahn_expect_close(&r, 1000);
}

static void basic_behaviour(void)
{
    struct run r = autobahn_start("7.1", 1, 0);
    autobahn_add(&r, WS_TEXT, STR("Hello World!"), 0);
    autobahn_flush(&r);
    autobahn_expect(&r, WS_TEXT, STR("Hello World!"));
    autobahn_finish(&r);
    after_close(2, WS_WIRE_CLOSE);
    after_close(3, WS_WIRE_PING);
    after_close(4, WS_TEXT);
    after_close(5, WS_WIRE_CONTINUE);
    r = autobahn_start("7.1", 6, 0); /* what came before the close is still answered, in order */
    autobahn_add(&r, WS_TEXT, autobahn_fill(256 * 1024), 0);
    autobahn_add(&r, WS_TEXT, STR("Hello World!"), 0);
    autobahn_add(&r, WS_WIRE_CLOSE, STR("\x03\xe8"), 0);
    autobahn_add(&r, WS_WIRE_PING, STR(""), 0);
    autobahn_flush(&r);
    autobahn_expect(&r, WS_TEXT, autobahn_fill(256 * 1024));
    autobahn_expect(&r, WS_TEXT, STR("Hello World!"));
    autobahn_expect_close(&r, 1000);
}

void autobahn_7_close(void **state)
{
    basic_behaviour();

    char longest[126] = "\x03\xe8";
    memset(longest + 2, '*', sizeof(longest) - 2);
    close_with("7.3", 1, STR(""), WS_CLOSE_NO_STATUS);
    close_with("7.3", 2, STR("a"), 1002);
    close_with("7.3", 3, STR("\x03\xe8"), 1000);
    close_with("7.3", 4, STR("\x03\xe8Hello World!"), 1000);
    close_with("7.3", 5, (struct str){longest, 125}, 1000);
    close_with("7.3", 6, (struct str){longest, 126}, 1002);

    struct str bad_reason = STR("\x03\xe8\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80"
                                "edited");
    close_with("7.5", 1, bad_reason, 1007);

    static const unsigned good[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009,
                                    1010, 1011, 3000, 3999, 4000, 4999};
    static const unsigned bad[] = {0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999};
    static const unsigned undefined[] = {5000, 65535}; /* we refuse these too */
    close_codes("7.7", good, ARRAY_LEN(good), true);
    close_codes("7.9", bad, ARRAY_LEN(bad), false);
    close_codes("7.13", undefined, ARRAY_LEN(undefined), false);
}
