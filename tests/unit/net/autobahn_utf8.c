/* autobahn 6: UTF-8, whole, in fragments and failing as soon as it can be known. */
#include "autobahn.h"

/* "kosme" in Greek; a surrogate; a code point beyond the last. */
#define KOSME "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"
#define SURROGATE "\xed\xa0\x80"
#define BEYOND "\xf4\x90\x80\x80"
#define UMLAUTS_1 "Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4"
#define UMLAUTS_2 "\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!"

/* In frames of `fragment` bytes (0: one frame). */
static void send_text(struct run *r, struct str text, size_t fragment)
{
    size_t step = fragment ? fragment : text.n;
    for (size_t at = 0; at < text.n; at += step)
        autobahn_add(r, at ? WS_WIRE_CONTINUE : WS_TEXT, str_sub(text, at, step),
                     at + step < text.n ? CLIENT_WS_NOT_FINAL : 0);
    autobahn_flush(r);
}

static void judge(const char *group, unsigned number, struct str text, size_t fragment,
                  bool is_valid)
{
    struct run r = autobahn_start(group, number, 0);
    send_text(&r, text, fragment);
    if (!is_valid) {
        autobahn_expect_close(&r, 1007);
        return;
    }
    autobahn_expect(&r, WS_TEXT, text);
    autobahn_finish(&r);
}

/* One text message of three frames, empty but for the middle one; or one empty frame. */
static void empty_fragments(unsigned number, unsigned frames, struct str middle)
{
    struct run r = autobahn_start("6.1", number, 0);
    for (unsigned i = 0; i < frames; i++)
        autobahn_add(&r, i ? WS_WIRE_CONTINUE : WS_TEXT, i == 1 ? middle : STR(""),
                     i + 1 < frames ? CLIENT_WS_NOT_FINAL : 0);
    autobahn_flush(&r);
    autobahn_expect(&r, WS_TEXT, middle);
    autobahn_finish(&r);
}

/* The message comes in three parts: the first is good as far as it goes, the second shows that the
 * whole is not, the third must not be waited for. */
static void fail_fast(unsigned number, struct str whole, size_t first_n, size_t second_n,
                      bool is_one_frame)
{
    struct run r = autobahn_start("6.4", number, 0);
    if (is_one_frame) {
        struct strbuf frame = {0};
        client_ws_encode(&frame, WS_TEXT, whole, 0);
        size_t header_n = frame.n - whole.n;
        client_send(&r.c, str_sub(strbuf_str(&frame), 0, header_n + first_n));
        autobahn_expect_silence(&r);
        client_send(&r.c, str_sub(strbuf_str(&frame), header_n + first_n, second_n));
        strbuf_deinit(&frame);
    } else {
        autobahn_add(&r, WS_TEXT, str_sub(whole, 0, first_n), CLIENT_WS_NOT_FINAL);
        autobahn_flush(&r);
        autobahn_expect_silence(&r);
        autobahn_add(&r, WS_WIRE_CONTINUE, str_sub(whole, first_n, second_n), CLIENT_WS_NOT_FINAL);
        autobahn_flush(&r);
    }
    autobahn_expect_close(&r, 1007);
}

void autobahn_6_1_to_4(void **state)
{
    empty_fragments(1, 1, STR(""));
    empty_fragments(2, 3, STR(""));
    empty_fragments(3, 3, STR("middle frame payload"));

    struct str umlauts = STR(UMLAUTS_1 UMLAUTS_2);
    judge("6.2", 1, umlauts, 0, true);
    judge("6.2", 2, umlauts, sizeof(UMLAUTS_1) - 1, true);
    judge("6.2", 3, umlauts, 1, true);
    judge("6.2", 4, STR(KOSME), 1, true);

    struct str bad = STR(KOSME SURROGATE "edited");
    judge("6.3", 1, bad, 0, false);
    judge("6.3", 2, bad, 1, false);

    struct str beyond = STR(KOSME BEYOND "edited");
    const size_t kosme_n = sizeof(KOSME) - 1;
    fail_fast(1, beyond, kosme_n, sizeof(BEYOND) - 1, false);
    fail_fast(2, beyond, kosme_n + 1, 1, false); /* the second byte of four tells */
    fail_fast(3, beyond, kosme_n, sizeof(BEYOND) - 1, true);
    fail_fast(4, beyond, kosme_n + 1, 1, true);
}

/* 6.5 to 6.23, without 6.6 and 6.22.3 on, which are counted out below. */
static const struct {
    const char *group;
    bool is_valid;
    struct str texts[10]; /* .1, .2, ... */
} rows[] = {
    {"6.5",
     true,
     {STR("hello$world"), STR("hello\xc2\xa2world"), STR("hello\xe2\x82\xacworld"),
      STR("hello\xf0\xa4\xad\xa2world"), STR(KOSME)}},
    {"6.7", true, {STR("\x00"), STR("\xc2\x80"), STR("\xe0\xa0\x80"), STR("\xf0\x90\x80\x80")}},
    {"6.8", false, {STR("\xf8\x88\x80\x80\x80"), STR("\xfc\x84\x80\x80\x80\x80")}},
    {"6.9", true, {STR("\x7f"), STR("\xdf\xbf"), STR("\xef\xbf\xbf"), STR("\xf4\x8f\xbf\xbf")}},
    {"6.10",
     false,
     {STR("\xf7\xbf\xbf\xbf"), STR("\xfb\xbf\xbf\xbf\xbf"), STR("\xfd\xbf\xbf\xbf\xbf\xbf")}},
    {"6.13",
     false,
     {STR("\xc0 \xc1 \xc2 \xc3 \xc4 \xc5 \xc6 \xc7 \xc8 \xc9 \xca \xcb \xcc \xcd \xce \xcf "
          "\xd0 \xd1 \xd2 \xd3 \xd4 \xd5 \xd6 \xd7 \xd8 \xd9 \xda \xdb \xdc \xdd \xde "),
      STR("\xe0 \xe1 \xe2 \xe3 \xe4 \xe5 \xe6 \xe7 \xe8 \xe9 \xea \xeb \xec \xed \xee "),
      STR("\xf0 \xf1 \xf2 \xf3 \xf4 \xf5 \xf6 "), STR("\xf8 \xf9 \xfa "), STR("\xfc ")}},
    {"6.14",
     false,
     {STR("\xc0"), STR("\xe0\x80"), STR("\xf0\x80\x80"), STR("\xf8\x80\x80\x80"),
      STR("\xfc\x80\x80\x80\x80"), STR("\xdf"), STR("\xef\xbf"), STR("\xf7\xbf\xbf"),
      STR("\xfb\xbf\xbf\xbf"), STR("\xfd\xbf\xbf\xbf\xbf")}},
    {"6.15",
     false,
     {STR("\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80\xfc\x80\x80\x80\x80"
          "\xdf\xef\xbf\xf7\xbf\xbf\xfb\xbf\xbf\xbf\xfd\xbf\xbf\xbf\xbf")}},
    {"6.16", false, {STR("\xfe"), STR("\xff"), STR("\xfe\xfe\xff\xff")}},
    {"6.17",
     false,
     {STR("\xc0\xaf"), STR("\xe0\x80\xaf"), STR("\xf0\x80\x80\xaf"), STR("\xf8\x80\x80\x80\xaf"),
      STR("\xfc\x80\x80\x80\x80\xaf")}},
    {"6.18",
     false,
     {STR("\xc1\xbf"), STR("\xe0\x9f\xbf"), STR("\xf0\x8f\xbf\xbf"), STR("\xf8\x87\xbf\xbf\xbf"),
      STR("\xfc\x83\xbf\xbf\xbf\xbf")}},
    {"6.19",
     false,
     {STR("\xc0\x80"), STR("\xe0\x80\x80"), STR("\xf0\x80\x80\x80"), STR("\xf8\x80\x80\x80\x80"),
      STR("\xfc\x80\x80\x80\x80\x80")}},
    {"6.20",
     false,
     {STR("\xed\xa0\x80"), STR("\xed\xad\xbf"), STR("\xed\xae\x80"), STR("\xed\xaf\xbf"),
      STR("\xed\xb0\x80"), STR("\xed\xbe\x80"), STR("\xed\xbf\xbf")}},
    {"6.21",
     false,
     {STR("\xed\xa0\x80\xed\xb0\x80"), STR("\xed\xa0\x80\xed\xbf\xbf"),
      STR("\xed\xad\xbf\xed\xb0\x80"), STR("\xed\xad\xbf\xed\xbf\xbf"),
      STR("\xed\xae\x80\xed\xb0\x80"), STR("\xed\xae\x80\xed\xbf\xbf"),
      STR("\xed\xaf\xbf\xed\xb0\x80"), STR("\xed\xaf\xbf\xed\xbf\xbf")}},
    {"6.22", true, {STR("\xef\xbf\xbe"), STR("\xef\xbf\xbf")}},
    {"6.23",
     true,
     {STR("\xef\xbf\xb9"), STR("\xef\xbf\xba"), STR("\xef\xbf\xbb"), STR("\xef\xbf\xbc"),
      STR("\xef\xbf\xbd"), STR("\xef\xbf\xbe"), STR("\xef\xbf\xbf")}},
};

/* Whole, in frames cut at every place, and packet by packet. */
static void judge_all_ways(const char *group, unsigned number, struct str text, bool is_valid)
{
    judge(group, number, text, 0, is_valid);
    for (size_t fragment = 1; fragment < text.n; fragment = fragment < 6 ? fragment + 1 : text.n)
        judge(group, number, text, fragment, is_valid);
    struct run r = autobahn_start(group, number, 1);
    send_text(&r, text, 0);
    if (is_valid) {
        autobahn_expect(&r, WS_TEXT, text);
        autobahn_finish(&r);
    } else {
        autobahn_expect_close(&r, 1007);
    }
}

void autobahn_6_sequences(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (unsigned k = 0; k < 10 && rows[i].texts[k].p; k++)
            judge_all_ways(rows[i].group, k + 1, rows[i].texts[k], rows[i].is_valid);

    /* 6.6: every beginning of a good text; those that end within a character are bad. */
    struct str kosme = STR(KOSME);
    for (unsigned n = 1; n <= kosme.n; n++) {
        bool is_valid = n == 2 || n == 5 || n == 7 || n == 9 || n == 11;
        judge_all_ways("6.6", n, str_sub(kosme, 0, n), is_valid);
    }

    /* 6.11: on both sides of the surrogates and of the end. */
    const struct str edges[] = {STR("\xed\x9f\xbf"), STR("\xee\x80\x80"), STR("\xef\xbf\xbd"),
                                STR("\xf4\x8f\xbf\xbf"), STR(BEYOND)};
    for (unsigned i = 0; i < ARRAY_LEN(edges); i++)
        judge_all_ways("6.11", i + 1, edges[i], i < 4);

    /* 6.12: one to six continuation bytes alone, and all of them. */
    struct str six = STR("\x80\xbf\x80\xbf\x80\xbf");
    char all[63];
    for (size_t i = 0; i < sizeof(all); i++)
        all[i] = (char)(0x80 + i);
    judge_all_ways("6.12", 1, str_sub(six, 0, 1), false);
    judge_all_ways("6.12", 2, str_sub(six, 1, 1), false);
    for (unsigned n = 2; n <= six.n; n++)
        judge_all_ways("6.12", n + 1, str_sub(six, 0, n), false);
    judge_all_ways("6.12", 8, (struct str){all, sizeof(all)}, false);

    /* 6.22.3 to 34: U+1FFFE and U+1FFFF, U+2FFFE ... U+10FFFF, which are no characters but valid.
     */
    unsigned number = 3;
    for (uint32_t plane = 1; plane <= 16; plane++) {
        for (uint32_t last = 0xfffe; last <= 0xffff; last++) {
            uint32_t c = plane << 16 | last;
            char text[4] = {(char)(0xf0 | c >> 18), (char)(0x80 | (c >> 12 & 0x3f)),
                            (char)(0x80 | (c >> 6 & 0x3f)), (char)(0x80 | (c & 0x3f))};
            judge_all_ways("6.22", number++, (struct str){text, 4}, true);
        }
    }
}
