/*
 * sdp_test: offers in the manner of Chrome, Firefox and Safari, and two that browsers really made
 * (tests/unit/sfu/wire/sdp); what is written read back alike, single attributes in odd forms, and
 * text that is no description.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sfu/wire/sdp.h"

#define HEAD "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
#define VIDEO HEAD "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\n"

static struct arena *arena;

static int setup(void **state)
{
    arena = arena_create();
    return 0;
}

static int teardown(void **state)
{
    arena_destroy(&arena);
    return 0;
}

static struct str read_fixture(const char *name)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", FIXTURES, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *text = arena_alloc(arena, SDP_MAX_BYTES);
    size_t n = fread(text, 1, SDP_MAX_BYTES, f);
    fclose(f);
    return (struct str){text, n};
}

static struct sdp_session parse(struct str text)
{
    struct sdp_session s;
    const char *problem = NULL;
    enum err err = sdp_parse(&s, arena, text, &problem);
    if (err)
        fail_msg("%s: %s", err_name(err), problem);
    return s;
}

static bool is(struct str actual, const char *expected)
{
    return str_eq(actual, str_from(expected));
}

static const struct sdp_extmap *find_ext(const struct sdp_media *m, enum rtp_ext_kind kind)
{
    for (size_t i = 0; i < m->extmap_count; i++)
        if (m->extmaps[i].kind == kind)
            return &m->extmaps[i];
    fail();
    return NULL;
}

static void chrome(void **state)
{
    struct sdp_session s = parse(read_fixture("chrome_offer.sdp"));
    assert_int_equal(s.media_count, 4);
    assert_true(s.origin_id == 4611731400430051336 && s.origin_version == 2);
    assert_true(s.has_bundle && is(s.bundle, "0 1 2 3") && s.has_extmap_allow_mixed);
    assert_true(sdp_bundle_has(&s, STR("3")) && !sdp_bundle_has(&s, STR("4")));
    assert_false(s.is_ice_lite);
    const struct sdp_media *audio = &s.media[0], *video = &s.media[1], *screen = &s.media[2],
                           *data = &s.media[3];
    assert_true(audio->kind == SDP_AUDIO && audio->port == 9 && audio->direction == SDP_SENDONLY);
    assert_true(is(audio->ice_ufrag, "kLq7") && is(audio->ice_pwd, "9sXb2TqzR0uHc4VmEwJ1yKfA"));
    assert_true(audio->fingerprint.hash == FINGERPRINT_SHA256 &&
                audio->fingerprint.bytes[31] == 0x94);
    assert_true(audio->setup == SDP_SETUP_ACTPASS && audio->has_rtcp_mux && audio->has_rtcp_rsize);
    assert_true(is(audio->msid_stream, "5f1c7a2e-cam") && is(audio->msid_track, "1b9e-mic"));
    struct sdp_codec *opus = sdp_find_codec(audio, 111);
    assert_true(is(opus->name, "opus") && opus->clock_rate == 48000 && opus->channels == 2);
    assert_true(opus->feedback == SDP_FB_TRANSPORT_CC);
    assert_true(is(opus->fmtp, "minptime=10;useinbandfec=1"));
    assert_int_equal(audio->codec_count, 8);
    assert_int_equal(find_ext(audio, RTP_EXT_AUDIO_LEVEL)->id, 1);
    assert_true(audio->ssrc_count == 1 && audio->ssrcs[0].ssrc == 2231627014);
    assert_true(is(audio->ssrcs[0].msid, "5f1c7a2e-cam 1b9e-mic"));

    struct sdp_codec *vp8 = sdp_find_codec(video, 96);
    assert_int_equal(vp8->feedback, SDP_FB_NACK | SDP_FB_NACK_PLI | SDP_FB_CCM_FIR |
                                        SDP_FB_TRANSPORT_CC | SDP_FB_REMB);
    assert_int_equal(sdp_find_rtx(video, 96)->pt, 97);
    assert_int_equal(sdp_find_rtx(video, 45)->pt, 46);
    assert_null(sdp_find_rtx(video, 116));
    struct str value;
    assert_true(sdp_fmtp_find(sdp_find_codec(video, 102)->fmtp, STR("profile-level-id"), &value) &&
                is(value, "42001f"));
    assert_int_equal(find_ext(video, RTP_EXT_DEPENDENCY_DESCRIPTOR)->id, 12);
    assert_int_equal(video->rid_count, 3);
    assert_true(video->rids[1].is_send && is(video->rids[1].id, "h"));
    assert_int_equal(video->simulcast_send_count, 3);
    assert_true(is(video->simulcast_send[0].rid, "q") && is(video->simulcast_send[2].rid, "f"));
    assert_int_equal(video->ssrc_count, 0);

    assert_int_equal(screen->ssrc_group_count, 1);
    assert_true(is(screen->ssrc_groups[0].semantics, "FID") && screen->ssrc_groups[0].count == 2);
    assert_int_equal(screen->ssrc_groups[0].ssrcs[1], 4079413216);
    assert_int_equal(screen->ssrc_count, 2);

    assert_true(data->kind == SDP_APPLICATION && is(data->formats, "webrtc-datachannel"));
    assert_true(data->sctp_port == 5000 && data->max_message_bytes == 262144);
    assert_int_equal(data->codec_count, 0);
}

static void firefox(void **state)
{
    struct sdp_session s = parse(read_fixture("firefox_offer.sdp"));
    assert_int_equal(s.media_count, 3);
    const struct sdp_media *audio = &s.media[0], *video = &s.media[1], *data = &s.media[2];
    /* The fingerprint stands at session level. */
    assert_true(audio->fingerprint.hash == FINGERPRINT_SHA256 &&
                video->fingerprint.bytes[0] == 0x5b);
    assert_true(is(audio->ice_options, "trickle") && audio->direction == SDP_SENDRECV);
    assert_int_equal(audio->extmaps[1].direction, SDP_RECVONLY);
    assert_int_equal(audio->extmaps[1].kind, RTP_EXT_NONE);
    assert_int_equal(sdp_find_codec(audio, 9)->channels, 1);
    assert_int_equal(find_ext(video, RTP_EXT_RID)->direction, SDP_SENDONLY);
    assert_int_equal(find_ext(video, RTP_EXT_REPAIRED_RID)->id, 9);
    assert_true(is(video->msid_stream, "-") && video->msid_track.n > 0);
    /* rid and FID ssrc-groups together */
    assert_int_equal(video->rid_count, 3);
    assert_true(is(video->rids[1].restrictions, "max-width=640;max-height=360"));
    assert_int_equal(video->ssrc_group_count, 3);
    assert_int_equal(video->ssrc_count, 6);
    assert_int_equal(video->ssrc_groups[2].ssrcs[0], 3001);
    assert_true(is(video->simulcast_send[0].rid, "h") && is(video->simulcast_send[2].rid, "l"));
    assert_int_equal(sdp_find_rtx(video, 120)->pt, 124); /* fmtp stands before rtpmap */
    assert_true(data->port == 0 && data->is_bundle_only && !sdp_media_is_rejected(data));
    assert_int_equal(data->max_message_bytes, 1073741823);
}

static void safari(void **state)
{
    struct sdp_session s = parse(read_fixture("safari_offer.sdp"));
    assert_int_equal(s.media_count, 3);
    assert_true(is(s.media[0].mid, "audio0") && s.media[0].candidate_count == 1);
    assert_true(str_starts(s.media[0].candidates[0], STR("1316209383 1 udp")));
    assert_true(sdp_media_is_rejected(&s.media[1]) && s.media[1].direction == SDP_INACTIVE);
    assert_true(is(s.media[1].mid, "1") && !sdp_bundle_has(&s, STR("1")));
    assert_int_equal(sdp_find_codec(&s.media[1], 0)->clock_rate, 8000); /* named by RFC 3551 */
    assert_int_equal(sdp_find_rtx(&s.media[2], 96)->pt, 97);
    assert_int_equal(s.media[2].codec_count, 6);
}

/* Taken from the browsers themselves: microphone, camera, and the camera again with three layers.
 */
static void captured(void **state)
{
    static const char *const NAMES[] = {"chromium_156_offer.sdp", "firefox_153_offer.sdp"};
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        struct sdp_session s = parse(read_fixture(NAMES[i]));
        bool is_firefox = i == 1;
        assert_int_equal(s.media_count, 3);
        assert_true(is(s.bundle, "0 1 2"));
        for (size_t k = 0; k < 3; k++) {
            const struct sdp_media *m = &s.media[k];
            assert_true(m->kind == (k ? SDP_VIDEO : SDP_AUDIO) && m->has_rtcp_mux);
            assert_true(m->fingerprint.hash == FINGERPRINT_SHA256 && m->setup == SDP_SETUP_ACTPASS);
            assert_true(m->ice_ufrag.n >= 4 && m->ice_pwd.n >= 22 && m->has_extmap_allow_mixed);
            assert_int_equal(m->direction, k == 2 ? SDP_SENDONLY : SDP_SENDRECV);
            assert_true(find_ext(m, RTP_EXT_MID)->id > 0 &&
                        find_ext(m, RTP_EXT_TRANSPORT_SEQ)->id > 0);
            for (size_t c = 0; c < m->codec_count; c++)
                assert_true(m->codecs[c].name.n && m->codecs[c].clock_rate);
        }
        const struct sdp_media *layers = &s.media[2];
        assert_true(layers->rid_count == 3 && layers->simulcast_send_count == 3);
        assert_true(is(layers->simulcast_send[1].rid, "h") && is(layers->msid_stream, "-"));
        assert_int_equal(layers->ssrc_group_count, is_firefox ? 3 : 0);
        assert_int_equal(find_ext(layers, RTP_EXT_RID)->direction,
                         is_firefox ? SDP_SENDONLY : SDP_SENDRECV);
    }
}

/* Reading what was written gives the same again: the second text equals the first. */
static void reads_what_it_writes(void **state)
{
    static const char *const NAMES[] = {"chrome_offer.sdp", "firefox_offer.sdp",
                                        "safari_offer.sdp"};
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        struct strbuf first = {0}, second = {0};
        struct sdp_session s = parse(read_fixture(NAMES[i]));
        sdp_write(&first, &s);
        struct sdp_session again = parse(strbuf_str(&first));
        sdp_write(&second, &again);
        assert_string_equal(first.p, second.p);
        assert_int_equal(again.media_count, s.media_count);
        for (size_t m = 0; m < s.media_count; m++) {
            struct sdp_media *a = &s.media[m], *b = &again.media[m];
            assert_true(str_eq(a->mid, b->mid) && a->kind == b->kind);
            assert_int_equal(a->codec_count, b->codec_count);
            if (sdp_media_is_rejected(a))
                continue;
            assert_int_equal(a->direction, b->direction);
            assert_memory_equal(&a->fingerprint, &b->fingerprint, sizeof(a->fingerprint));
            assert_int_equal(a->extmap_count, b->extmap_count);
            assert_int_equal(a->ssrc_count, b->ssrc_count);
            assert_int_equal(a->ssrc_group_count, b->ssrc_group_count);
            assert_int_equal(a->rid_count, b->rid_count);
            assert_int_equal(a->simulcast_send_count, b->simulcast_send_count);
            for (size_t c = 0; c < a->codec_count; c++) {
                assert_int_equal(a->codecs[c].feedback, b->codecs[c].feedback);
                assert_true(str_eq(a->codecs[c].fmtp, b->codecs[c].fmtp));
            }
        }
        strbuf_deinit(&first);
        strbuf_deinit(&second);
    }
}

static void writes_an_answer(void **state)
{
    struct sdp_codec codecs[] = {
        {.pt = 96, .name = STR("VP8"), .clock_rate = 90000, .channels = 1, .feedback = SDP_FB_NACK},
        {.pt = 97,
         .name = STR("rtx"),
         .clock_rate = 90000,
         .channels = 1,
         .apt = 96,
         .has_apt = true}};
    struct sdp_extmap extmaps[] = {{.id = 4, .kind = RTP_EXT_MID}};
    struct sdp_rid rids[] = {{.id = STR("q")}, {.id = STR("f")}};
    struct sdp_simulcast layers[] = {{.rid = STR("q")}, {.rid = STR("f"), .is_paused = true}};
    struct str candidates[] = {STR("1 1 udp 2130706431 192.0.2.1 8810 typ host")};
    struct sdp_media media = {.kind = SDP_VIDEO,
                              .port = 9,
                              .mid = STR("1"),
                              .direction = SDP_RECVONLY,
                              .codecs = codecs,
                              .codec_count = 2,
                              .extmaps = extmaps,
                              .extmap_count = 1,
                              .rids = rids,
                              .rid_count = 2,
                              .simulcast_recv = layers,
                              .simulcast_recv_count = 2,
                              .candidates = candidates,
                              .candidate_count = 1,
                              .ice_ufrag = STR("abcd"),
                              .ice_pwd = STR("0123456789abcdefghijkl"),
                              .setup = SDP_SETUP_PASSIVE,
                              .has_rtcp_mux = true,
                              .has_end_of_candidates = true};
    struct sdp_session s = {.origin_id = 5,
                            .origin_version = 1,
                            .is_ice_lite = true,
                            .has_bundle = true,
                            .bundle = STR("1"),
                            .media = &media,
                            .media_count = 1};
    struct strbuf out = {0};
    sdp_write(&out, &s);
    assert_string_equal(
        out.p, "v=0\r\no=- 5 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
               "a=ice-lite\r\na=group:BUNDLE 1\r\na=msid-semantic: WMS *\r\n"
               "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\n"
               "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdefghijkl\r\na=setup:passive\r\n"
               "a=candidate:1 1 udp 2130706431 192.0.2.1 8810 typ host\r\n"
               "a=end-of-candidates\r\n"
               "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=recvonly\r\n"
               "a=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\n"
               "a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n"
               "a=rid:q recv\r\na=rid:f recv\r\na=simulcast:recv q;~f\r\n");
    strbuf_deinit(&out);
}

/* Nobody puts lines into another's description. */
static void leaves_control_characters_out(void **state)
{
    struct sdp_ssrc ssrcs[] = {{1, STR("name\r\na=evil"), STR_NULL}};
    struct sdp_media media = {.kind = SDP_AUDIO,
                              .port = 9,
                              .mid = STR("0\na=evil"),
                              .protocol = STR("UDP\r\na=evil"),
                              .msid_stream = STR("s\na=evil"),
                              .ice_ufrag = STR("u\ra=evil"),
                              .ssrcs = ssrcs,
                              .ssrc_count = 1};
    struct sdp_session s = {
        .has_bundle = true, .bundle = STR("0\r\na=evil"), .media = &media, .media_count = 1};
    struct strbuf out = {0};
    sdp_write(&out, &s);
    assert_null(strstr(out.p, "evil"));
    strbuf_deinit(&out);
}

static void simulcast_lists(void **state)
{
    struct sdp_session s = parse(STR(VIDEO "a=simulcast:send 1,~4;2;~3 recv a;b,c\r\n"));
    const struct sdp_media *m = &s.media[0];
    assert_int_equal(m->simulcast_send_count, 4);
    assert_int_equal(m->simulcast_recv_count, 3);
    assert_true(is(m->simulcast_send[1].rid, "4") && m->simulcast_send[1].is_paused &&
                m->simulcast_send[1].is_alternative);
    assert_true(is(m->simulcast_send[3].rid, "3") && m->simulcast_send[3].is_paused &&
                !m->simulcast_send[3].is_alternative);
    assert_true(m->simulcast_recv[2].is_alternative && !m->simulcast_recv[2].is_paused);
    s = parse(STR(VIDEO "a=simulcast: recv x;;y!;z send\r\n"));
    assert_int_equal(s.media[0].simulcast_recv_count, 2);
    assert_int_equal(s.media[0].simulcast_send_count, 0);
}

static void odd_attributes_are_ignored(void **state)
{
    struct sdp_session s = parse(
        STR(VIDEO
            "a=rtpmap:96\r\na=rtpmap:200 X/1\r\na=rtpmap:97 VP8/x\r\na=rtpmap:98 VP8/90000\r\n"
            "a=fmtp:\r\na=rtcp-fb:\r\na=rtcp-fb:96\r\na=rtcp-fb:* nack\r\na=rtcp-fb:96 nack sli\r\n"
            "a=extmap:\r\na=extmap:0 uri\r\na=extmap:4096 uri\r\na=extmap:5/both uri\r\n"
            "a=ssrc:\r\na=ssrc:x cname:y\r\na=ssrc:4294967296 cname:y\r\na=ssrc-group:\r\n"
            "a=ssrc-group:FID 1 x\r\na=rid:\r\na=rid:a!b send\r\na=rid:x both\r\na=msid:\r\n"
            "a=setup:holdconn\r\na=sctp-port:70000\r\na=max-message-size:-1\r\n"
            "a=fingerprint:sha-1 AA:BB\r\na=fingerprint:sha-256 AA:BB\r\na=unheard:of\r\na=:\r\n"
            "a=\r\nb=AS:500\r\nk=clear:x\r\n"));
    const struct sdp_media *m = &s.media[0];
    assert_int_equal(m->codecs[0].feedback, SDP_FB_NACK);
    assert_true(!m->codecs[0].name.n && !m->codecs[1].name.n);
    assert_true(m->extmap_count == 0 && m->ssrc_count == 0 && m->ssrc_group_count == 0);
    assert_true(m->rid_count == 0 && m->setup == SDP_SETUP_NONE && m->sctp_port == 0);
    assert_int_equal(m->fingerprint.hash, FINGERPRINT_NONE);
}

static void sections_inherit_from_the_session(void **state)
{
    struct sdp_session s = parse(
        STR(HEAD "a=ice-ufrag:sess\r\na=ice-pwd:session0session0session0\r\na=setup:active\r\n"
                 "a=recvonly\r\na=extmap-allow-mixed\r\na=ice-lite\r\na=group:BUNDLE\r\n"
                 "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n"
                 "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=ice-ufrag:ownu\r\n"
                 "a=ice-pwd:ownpwdownpwdownpwdownpwd\r\na=setup:passive\r\na=sendonly\r\n"));
    assert_true(s.is_ice_lite && s.has_bundle && !s.bundle.n);
    assert_true(is(s.media[0].ice_ufrag, "sess") && is(s.media[1].ice_ufrag, "ownu"));
    assert_true(s.media[0].setup == SDP_SETUP_ACTIVE && s.media[1].setup == SDP_SETUP_PASSIVE);
    assert_true(s.media[0].direction == SDP_RECVONLY && s.media[1].direction == SDP_SENDONLY);
    assert_true(s.media[0].has_extmap_allow_mixed && s.media[1].has_extmap_allow_mixed);
}

static void takes_the_strongest_fingerprint(void **state)
{
    char text[1024], print[3][FINGERPRINT_TEXT_SIZE];
    for (int i = 0; i < 3; i++) {
        struct fingerprint f = {.hash = FINGERPRINT_SHA256 + i, .n = (uint8_t)(32 + 16 * i)};
        for (int k = 0; k < f.n; k++)
            f.bytes[k] = (uint8_t)(k * 7 + i);
        fingerprint_text(&f, print[i]);
        struct fingerprint back;
        assert_true(fingerprint_parse(str_from(print[i]), &back));
        assert_memory_equal(&f, &back, sizeof(f));
        for (size_t cut = 0; cut < strlen(print[i]); cut++)
            assert_false(fingerprint_parse((struct str){print[i], cut}, &back));
    }
    snprintf(text, sizeof(text),
             VIDEO "a=fingerprint:%s\r\na=fingerprint:%s\r\na=fingerprint:%s\r\n", print[1],
             print[2], print[0]);
    assert_int_equal(parse(str_from(text)).media[0].fingerprint.hash, FINGERPRINT_SHA512);
}

static void lines_may_end_in_newline_alone(void **state)
{
    struct sdp_session s =
        parse(STR("v=0\no=- x y IN\ns=-\nm=audio 9 UDP/TLS/RTP/SAVPF 111\na=mid:a"));
    assert_true(s.media_count == 1 && is(s.media[0].mid, "a") && s.origin_id == 0);
}

static void fails_with_a_reason(void **state)
{
    static const struct {
        const char *text;
        enum err err;
    } CASES[] = {
        {"", ERR_INVALID_ARGUMENT},
        {"\r\n\r\n", ERR_INVALID_ARGUMENT},
        {"o=- 1 1 IN IP4 0\r\n", ERR_INVALID_ARGUMENT},
        {"v=1\r\n", ERR_INVALID_ARGUMENT},
        {"v=0\r\nnonsense\r\n", ERR_INVALID_ARGUMENT},
        {"v=0\r\nM=audio 9 X 0\r\n", ERR_INVALID_ARGUMENT},
        {"v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF\r\n", ERR_INVALID_ARGUMENT},
        {"v=0\r\nm=audio 65536 UDP/TLS/RTP/SAVPF 0\r\n", ERR_INVALID_ARGUMENT},
        {"v=0\r\nm=audio x UDP/TLS/RTP/SAVPF 0\r\n", ERR_INVALID_ARGUMENT},
        {"v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 128\r\n", ERR_INVALID_ARGUMENT},
        {"v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF opus\r\n", ERR_INVALID_ARGUMENT},
        {VIDEO "a=mid:\r\n", ERR_INVALID_ARGUMENT},
        {VIDEO "a=mid:x\r\nm=audio 9 RTP/AVP 0\r\na=mid:x\r\n", ERR_INVALID_ARGUMENT},
        {VIDEO "a=ice-ufrag:abc\r\n", ERR_INVALID_ARGUMENT},
        {VIDEO "a=ice-pwd:short\r\n", ERR_INVALID_ARGUMENT},
        {VIDEO "a=extmap:1 a\r\na=extmap:1 b\r\n", ERR_INVALID_ARGUMENT},
        {VIDEO "a=tool:\x01\r\n", ERR_INVALID_ARGUMENT},
        {VIDEO "a=tool:\xff\r\n", ERR_INVALID_ARGUMENT},
        {VIDEO "a=mid:x\ra=evil\r\n", ERR_INVALID_ARGUMENT},
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct sdp_session s;
        const char *problem = NULL;
        assert_int_equal(sdp_parse(&s, arena, str_from(CASES[i].text), &problem), CASES[i].err);
        assert_non_null(problem);
        assert_int_equal(s.media_count, 0);
        assert_int_equal(sdp_parse(&s, arena, str_from(CASES[i].text), NULL), CASES[i].err);
    }
    struct sdp_session s;
    assert_int_equal(sdp_parse(&s, arena, (struct str){VIDEO "a=x\0y", sizeof(VIDEO) + 4}, NULL),
                     ERR_INVALID_ARGUMENT);
}

/* `line` so often that it passes the limit: refused, and little memory used. */
static void check_limit(const char *head, const char *format, size_t count, bool is_error)
{
    struct strbuf text = {0};
    struct arena *own = arena_create();
    struct sdp_session s;
    strbuf_adds(&text, head);
    for (size_t i = 0; i < count; i++) {
        for (const char *c = format; *c; c++)
            if (*c == '#')
                strbuf_printf(&text, "%zu", i + 1);
            else
                strbuf_addc(&text, *c);
        strbuf_adds(&text, "\n");
    }
    assert_int_equal(sdp_parse(&s, own, strbuf_str(&text), NULL),
                     is_error ? ERR_RESOURCE_EXHAUSTED : ERR_OK);
    assert_true(arena_used(own) <= text.n * 64 + 4096); /* a fixed multiple of the input */
    strbuf_deinit(&text);
    arena_destroy(&own);
}

static void everything_is_bounded(void **state)
{
    check_limit("v=0\n", "m=audio 9 X 0", SDP_MAX_MEDIA, false);
    check_limit("v=0\n", "m=audio 9 X 0", SDP_MAX_MEDIA + 1, true);
    check_limit(VIDEO, "a=ssrc:#", SDP_MAX_SSRCS, false);
    check_limit(VIDEO, "a=ssrc:#", SDP_MAX_SSRCS + 1, true);
    check_limit(VIDEO, "a=ssrc-group:FID #", SDP_MAX_SSRCS + 1, true);
    check_limit(VIDEO, "a=rid:# send", SDP_MAX_RIDS + 1, true);
    check_limit(VIDEO, "a=extmap:# u", SDP_MAX_EXTMAPS, false);
    check_limit(VIDEO, "a=extmap:# u", SDP_MAX_EXTMAPS + 1, true);
    check_limit(VIDEO, "a=candidate:#", 1000, false); /* the rest is ignored */
    check_limit(VIDEO, "a=x", SDP_MAX_LINES, true);
    check_limit("v=0\n", "a=0123456789012345678901234567890123456789", 12800, true); /* 512 kB */
    check_limit("v=0\n", "m=audio 9 RTP/AVP 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17", 64,
                false);
    char simulcast[256] = VIDEO "a=simulcast:send 1";
    for (int i = 0; i < SDP_MAX_RIDS; i++)
        strcat(simulcast, i % 2 ? ";2" : ",~3");
    check_limit(simulcast, "", 1, true);
}

/* Each fixture cut at every byte, and with every byte of its first kilobyte replaced. */
static void truncated_and_damaged(void **state)
{
    static const char *const NAMES[] = {"chrome_offer.sdp", "firefox_offer.sdp",
                                        "safari_offer.sdp"};
    static const char VALUES[] = {'\n', ' ', ':', '0', '9', '\0', ';', '/'};
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        struct str text = read_fixture(NAMES[i]);
        for (size_t n = 0; n < text.n * 2; n++) {
            struct arena *own = arena_create();
            size_t size = n < text.n ? n : text.n;
            char *copy = malloc(size ? size : 1); /* exact: a sanitizer sees an overrun */
            struct sdp_session s;
            memcpy(copy, text.p, size);
            if (n >= text.n)
                copy[n - text.n] = VALUES[n % sizeof(VALUES)];
            if (sdp_parse(&s, own, (struct str){copy, size}, NULL) == ERR_OK) {
                struct strbuf out = {0};
                sdp_write(&out, &s);
                strbuf_deinit(&out);
            }
            free(copy);
            arena_destroy(&own);
        }
    }
}

static void reverses_directions(void **state)
{
    assert_int_equal(sdp_direction_reverse(SDP_SENDONLY), SDP_RECVONLY);
    assert_int_equal(sdp_direction_reverse(SDP_RECVONLY), SDP_SENDONLY);
    assert_int_equal(sdp_direction_reverse(SDP_SENDRECV), SDP_SENDRECV);
    assert_string_equal(sdp_direction_name(SDP_INACTIVE), "inactive");
    struct str value;
    assert_true(sdp_fmtp_find(STR(" a=1 ; B = 2;c"), STR("b"), &value) && is(value, "2"));
    assert_true(sdp_fmtp_find(STR("a=1;c"), STR("c"), &value) && value.n == 0);
    assert_false(sdp_fmtp_find(STR("a=1;cc=3"), STR("c"), &value));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(chrome),
        TEST(firefox),
        TEST(safari),
        TEST(captured),
        TEST(reads_what_it_writes),
        TEST(writes_an_answer),
        TEST(leaves_control_characters_out),
        TEST(simulcast_lists),
        TEST(odd_attributes_are_ignored),
        TEST(sections_inherit_from_the_session),
        TEST(takes_the_strongest_fingerprint),
        TEST(lines_may_end_in_newline_alone),
        TEST(fails_with_a_reason),
        TEST(everything_is_bounded),
        TEST(truncated_and_damaged),
        TEST(reverses_directions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
