/*
 * payload_test: first bytes of payloads as encoders write them, hand-made by the formats' rules,
 * and the same bytes cut and damaged.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sfu/wire/payload.h"

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

/* ---- VP8 ---- */

static const uint8_t VP8_KEY[] = {0x90, 0xe0, 0x81, 0x02, 0x2a, 0x60,             /* descriptor */
                                  0x50, 0x42, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, /* 640 */
                                  0xe0, 0x41, 0x99};                              /* 480, scale 1 */

static void vp8_keyframe(void **state)
{
    struct vp8_payload v;
    assert_true(vp8_parse(&v, VP8_KEY, sizeof(VP8_KEY)));
    assert_true(v.is_keyframe && v.is_frame_start && !v.is_non_reference);
    assert_true(v.has_long_picture_id && v.picture_id == 0x102 && v.picture_id_offset == 2);
    assert_true(v.tl0picidx == 0x2a && v.tl0picidx_offset == 4);
    assert_true(v.has_tid && v.tid == 1 && v.is_layer_sync && v.keyidx == 0);
    assert_int_equal(v.descriptor_bytes, 6);
    assert_true(v.width == 640 && v.height == 480);
}

static void vp8_other_packets(void **state)
{
    struct vp8_payload v;
    assert_true(vp8_parse(&v, BYTES(0x10, 0x51, 0, 0))); /* no extension, interframe */
    assert_true(v.is_frame_start && !v.is_keyframe && v.descriptor_bytes == 1);
    assert_true(vp8_parse(&v, BYTES(0x00, 0x50, 1, 2))); /* in the middle: 0x50 is not looked at */
    assert_true(!v.is_frame_start && !v.is_keyframe);
    assert_true(vp8_parse(&v, BYTES(0x11, 0x50, 1, 2))); /* second partition */
    assert_true(!v.is_frame_start && !v.is_keyframe);
    assert_true(vp8_parse(&v, BYTES(0xb0, 0x90, 0x7f, 0x1f, 0x51)));
    assert_true(v.is_non_reference && !v.has_long_picture_id && v.picture_id == 0x7f);
    assert_true(!v.has_tid && v.keyidx == 31);
    /* Claims to be a keyframe without the start code. */
    assert_true(vp8_parse(&v, BYTES(0x10, 0x50, 0, 0, 0x9d, 0x01, 0x2b, 0, 0, 0, 0)));
    assert_false(v.is_keyframe);
    assert_false(vp8_parse(&v, BYTES(0x90, 0xe0, 0x81, 0x02, 0x2a, 0x60))); /* nothing behind */
    assert_false(vp8_parse(&v, NULL, 0));
}

static void vp8_rewrites_in_place(void **state)
{
    struct vp8_payload v, w;
    uint8_t out[PAYLOAD_DESCRIPTOR_MAX + 4] = {0};
    assert_true(vp8_parse(&v, VP8_KEY, sizeof(VP8_KEY)));
    assert_int_equal(vp8_rewrite(out, &v, VP8_KEY, 0x7fff, 0xee), 6);
    assert_true(vp8_parse(&w, out, 7));
    assert_true(w.picture_id == 0x7fff && w.tl0picidx == 0xee && w.tid == 1 && w.is_layer_sync);
    static const uint8_t SHORT[] = {0x90, 0x80, 0x05, 0x51};
    assert_true(vp8_parse(&v, SHORT, sizeof(SHORT)));
    assert_int_equal(vp8_rewrite(out, &v, SHORT, 0x1234, 1), 3);
    assert_int_equal(out[2], 0x34); /* keeps its width of 7 bits */
}

/* ---- VP9 ---- */

static const uint8_t VP9_KEY[] = {0xaa, 0x85, 0x01, 0x00, 0x07, /* I L B V, 15 bits, layer, TL0 */
                                  0x38, 0x02, 0x80, 0x01, 0x68,
                                  0x05, 0x00, 0x02, 0xd0, /* 2 sizes */
                                  0x01, 0x24, 0x01,       /* one picture, one reference */
                                  0x99};

static void vp9_packets(void **state)
{
    struct vp9_payload v;
    assert_true(vp9_parse(&v, VP9_KEY, sizeof(VP9_KEY)));
    assert_true(v.is_keyframe && v.is_frame_start && !v.is_frame_end && !v.is_inter_predicted);
    assert_true(v.picture_id == 0x501 && v.has_long_picture_id && v.picture_id_offset == 1);
    assert_true(v.has_layers && v.sid == 0 && v.tid == 0 && v.tl0picidx == 7);
    assert_int_equal(v.spatial_layers, 2);
    assert_true(v.width == 1280 && v.height == 720);
    assert_int_equal(v.descriptor_bytes, sizeof(VP9_KEY) - 1);
    /* Upper spatial layer of the same picture: not a place to start. */
    assert_true(vp9_parse(&v, BYTES(0xac, 0x85, 0x01, 0x03, 0x07, 0x99)));
    assert_true(!v.is_keyframe && v.sid == 1 && v.is_inter_layer && v.is_frame_end);
    /* Interframe with layers: tid 2, switching up. */
    assert_true(vp9_parse(&v, BYTES(0xe8, 0x05, 0x50, 0x07, 0x99)));
    assert_true(!v.is_keyframe && v.tid == 2 && v.is_switch_up && v.picture_id == 5);
    /* Flexible mode: references follow, no TL0PICIDX. */
    assert_true(vp9_parse(&v, BYTES(0xf8, 0x05, 0x20, 0x03, 0x05, 0x06, 0x99)));
    assert_true(v.is_flexible && v.tid == 1 && v.descriptor_bytes == 6);
    assert_false(vp9_parse(&v, BYTES(0xd8, 0x05, 0x03, 0x05, 0x07, 0x06, 0x99))); /* four of them */
    assert_false(vp9_parse(&v, BYTES(0x02, 0xff)));
}

/* ---- H.264 ---- */

static void h264_packets(void **state)
{
    static const struct {
        uint8_t bytes[16];
        size_t n;
        bool is_valid, is_keyframe, has_sps, is_frame_start;
    } CASES[] = {
        {{0x65, 0x88, 0x84}, 3, true, true, false, true},   /* IDR slice, first_mb 0 */
        {{0x65, 0x48, 0x84}, 3, true, false, false, false}, /* a later slice of it */
        {{0x41, 0x9a}, 2, true, false, false, true},        /* other slice, first */
        {{0x67, 0x42, 0xe0}, 3, true, true, true, true},    /* SPS */
        {{0x68, 0xce}, 2, true, false, false, true},        /* PPS alone */
        {{0x06, 0x05}, 2, true, false, false, false},       /* SEI */
        {{0x78, 0, 2, 0x67, 0x42, 0, 2, 0x68, 0xce}, 9, true, true, true, true}, /* STAP-A */
        {{0x78, 0, 2, 0x41, 0x9a}, 5, true, false, false, true},
        {{0x78, 0, 3, 0x41, 0x9a}, 5, false, false, false, false}, /* says 3, holds 2 */
        {{0x78, 0, 0}, 3, false, false, false, false},             /* an empty unit */
        {{0x7c, 0x85, 0x88}, 3, true, true, false, true},          /* FU-A, start of an IDR */
        {{0x7c, 0x05, 0x88}, 3, true, false, false, false},        /* FU-A, its middle */
        {{0x7c, 0x45, 0x88}, 3, true, false, false, false},        /* FU-A, its end */
        {{0x7c, 0x81, 0x9a}, 3, true, false, false, true},
        {{0x7c, 0x85}, 2, false, false, false, false},          /* no fragment */
        {{0x79, 0, 0, 2, 0x67}, 5, false, false, false, false}, /* STAP-B */
        {{0x60}, 1, false, false, false, false},                /* type 0 */
        {{0x0a}, 1, true, false, false, false},                 /* end of sequence: one byte */
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct h264_payload h;
        assert_int_equal(h264_parse(&h, CASES[i].bytes, CASES[i].n), CASES[i].is_valid);
        if (!CASES[i].is_valid)
            continue;
        assert_int_equal(h.is_keyframe, CASES[i].is_keyframe);
        assert_int_equal(h.has_sps, CASES[i].has_sps);
        assert_int_equal(h.is_frame_start, CASES[i].is_frame_start);
    }
}

/* ---- AV1 ---- */

static const uint8_t AV1_KEY[] = {0x28,                          /* W 2, N */
                                  0x03, 0x08, 0x01, 0x02,        /* sequence header, 3 bytes */
                                  0x34, 0x28, 0xaa, 0xbb, 0xcc}; /* frame, tid 1, sid 1 */

static void av1_packets(void **state)
{
    struct av1_payload a;
    assert_true(av1_parse(&a, AV1_KEY, sizeof(AV1_KEY)));
    assert_true(a.is_keyframe && a.is_new_sequence && a.has_sequence_header);
    assert_true(a.element_count == 2 && a.has_layers && a.tid == 1 && a.sid == 1);
    assert_true(av1_parse(&a, BYTES(0x10, 0x30, 1, 2, 3))); /* one frame OBU */
    assert_true(!a.is_keyframe && !a.is_continued && !a.is_unfinished && !a.has_layers);
    assert_true(av1_parse(&a, BYTES(0x90, 0x08, 1))); /* a continuation that looks like a header */
    assert_true(a.is_continued && !a.has_sequence_header && !a.is_keyframe);
    assert_true(av1_parse(&a, BYTES(0x50, 0x30, 1)));
    assert_true(a.is_unfinished);
    assert_true(
        av1_parse(&a, BYTES(0x00, 0x01, 0x08, 0x82, 0x00, 0x30, 0x01))); /* W 0, long LEB128 */
    assert_true(a.has_sequence_header && a.is_keyframe);
    assert_false(av1_parse(&a, BYTES(0x00, 0x03, 0x08, 0x01))); /* says 3, holds 2 */
    assert_false(av1_parse(&a, BYTES(0x98, 0x30, 1)));          /* Z and N */
    assert_false(av1_parse(&a, BYTES(0x20, 0x02, 0x30, 0x01))); /* W 2, one element */
    assert_false(
        av1_parse(&a, BYTES(0x00, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00, 1)));
    assert_false(av1_parse(&a, BYTES(0x00, 0xff, 0xff, 0xff, 0xff, 0x7f, 1))); /* over 32 bits */
    assert_false(av1_parse(&a, BYTES(0x10)));
}

/* ---- dependency descriptor ---- */

/* Writes bits, most significant first, to build descriptors by the specification. */
struct bit_writer {
    uint8_t bytes[64];
    size_t bits;
};

static void put(struct bit_writer *w, uint32_t value, unsigned count)
{
    while (count--) {
        if (value >> count & 1)
            w->bytes[w->bits / 8] |= (uint8_t)(0x80 >> w->bits % 8);
        w->bits++;
    }
}

static size_t size_of(const struct bit_writer *w)
{
    return (w->bits + 7) / 8;
}

/* L2T2 with 4 decode targets and 2 chains, one size per spatial layer. */
static struct bit_writer l2t2(bool has_active)
{
    struct bit_writer w = {0};
    put(&w, 1, 1); /* start */
    put(&w, 0, 1); /* end */
    put(&w, 61, 6);
    put(&w, 0xbeef, 16);
    put(&w, 1, 1); /* structure */
    put(&w, has_active, 1);
    put(&w, 0, 3);
    put(&w, 60, 6);                                 /* template id offset */
    put(&w, 3, 5);                                  /* four decode targets */
    static const uint8_t STEPS[] = {0, 1, 2, 1, 3}; /* s0t0 s0t0 s0t1 s1t0 s1t1 */
    for (size_t i = 0; i < sizeof(STEPS); i++)
        put(&w, STEPS[i], 2);
    for (int i = 0; i < 5 * 4; i++)
        put(&w, i % 4, 2); /* decode target indications */
    for (int i = 0; i < 5; i++) {
        if (i % 2)
            put(&w, 0x13, 5); /* a frame difference of 4 */
        put(&w, 0, 1);
    }
    put(&w, 2, 2); /* chains: ns(5) of 2 is two bits */
    for (int i = 0; i < 4; i++)
        put(&w, i / 2, 1); /* ns(2): one bit */
    for (int i = 0; i < 5 * 2; i++)
        put(&w, 3, 4);
    put(&w, 1, 1); /* sizes */
    put(&w, 319 << 16 | 179, 32);
    put(&w, 639 << 16 | 359, 32);
    if (has_active)
        put(&w, 0x5, 4);
    return w;
}

static void dd_with_a_structure(void **state)
{
    for (int has_active = 0; has_active < 2; has_active++) {
        struct bit_writer w = l2t2(has_active);
        struct dd_info d;
        assert_true(dd_parse(&d, w.bytes, size_of(&w), 0));
        assert_true(d.is_frame_start && !d.is_frame_end && d.has_structure);
        assert_true(d.template_id == 61 && d.frame_number == 0xbeef && d.template_id_offset == 60);
        assert_true(d.template_count == 5 && d.decode_targets == 4);
        assert_memory_equal(d.template_sid, "\0\0\0\1\1", 5);
        assert_memory_equal(d.template_tid, "\0\0\1\0\1", 5);
        assert_true(d.has_active_targets);
        assert_int_equal(d.active_targets, has_active ? 0x5 : 0xf);
        for (size_t n = 0; n < size_of(&w); n++)
            if (n != 3) /* three bytes are a whole descriptor of their own */
                assert_false(dd_parse(&d, w.bytes, n, 0));
    }
}

static void dd_without_a_structure(void **state)
{
    struct dd_info d;
    assert_true(dd_parse(&d, BYTES(0x7f, 0x12, 0x34), 4));
    assert_true(!d.is_frame_start && d.is_frame_end && d.template_id == 63 && !d.has_structure);
    assert_true(d.frame_number == 0x1234 && !d.has_active_targets);
    assert_true(dd_parse(&d, BYTES(0xc0, 0, 1, 0x45), 3)); /* active targets 101 */
    assert_true(d.has_active_targets && d.active_targets == 5);
    assert_true(dd_parse(&d, BYTES(0xc0, 0, 1, 0x45), 0));
    assert_false(d.has_active_targets);
    assert_false(dd_parse(&d, BYTES(0xc0, 0), 0));
    /* Templates without end. */
    uint8_t endless[64] = {0xc0, 0, 1, 0x80};
    assert_false(dd_parse(&d, endless, sizeof(endless), 0));
}

/* ---- all of them ---- */

static void feed(const uint8_t *bytes, size_t n)
{
    struct vp8_payload vp8;
    struct vp9_payload vp9;
    struct h264_payload h264;
    struct av1_payload av1;
    struct dd_info dd;
    uint8_t out[PAYLOAD_DESCRIPTOR_MAX];
    if (vp8_parse(&vp8, bytes, n)) {
        assert_true(vp8.descriptor_bytes < n && vp8.descriptor_bytes <= 6);
        assert_int_equal(vp8_rewrite(out, &vp8, bytes, 1, 1), vp8.descriptor_bytes);
    }
    if (vp9_parse(&vp9, bytes, n))
        assert_true(vp9.descriptor_bytes < n);
    (void)!h264_parse(&h264, bytes, n);
    (void)!av1_parse(&av1, bytes, n);
    if (dd_parse(&dd, bytes, n, 32))
        assert_true(dd.template_count <= 64 && dd.decode_targets <= 32);
}

static void truncated_and_damaged(void **state)
{
    struct bit_writer dd = l2t2(true);
    const struct {
        const uint8_t *bytes;
        size_t n;
    } seeds[] = {{VP8_KEY, sizeof(VP8_KEY)},
                 {VP9_KEY, sizeof(VP9_KEY)},
                 {AV1_KEY, sizeof(AV1_KEY)},
                 {dd.bytes, size_of(&dd)},
                 {BYTES(0x78, 0, 2, 0x67, 0x42, 0, 2, 0x68, 0xce)}};
    static const uint8_t VALUES[] = {0, 1, 0x7f, 0x80, 0xff};
    for (size_t s = 0; s < ARRAY_LEN(seeds); s++) {
        for (size_t n = 0; n <= seeds[s].n; n++) {
            for (size_t at = 0; at <= n; at++) {
                for (size_t i = 0; i < ARRAY_LEN(VALUES); i++) {
                    uint8_t *copy = malloc(n ? n : 1);
                    memcpy(copy, seeds[s].bytes, n);
                    if (at < n)
                        copy[at] = VALUES[i];
                    feed(copy, n);
                    free(copy);
                }
            }
        }
    }
}

static void opus_dtx(void **state)
{
    assert_true(opus_is_dtx((const uint8_t *)"\x78", 1));
    assert_false(opus_is_dtx((const uint8_t *)"\x78\1\2", 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vp8_keyframe),          cmocka_unit_test(vp8_other_packets),
        cmocka_unit_test(vp8_rewrites_in_place), cmocka_unit_test(vp9_packets),
        cmocka_unit_test(h264_packets),          cmocka_unit_test(av1_packets),
        cmocka_unit_test(dd_with_a_structure),   cmocka_unit_test(dd_without_a_structure),
        cmocka_unit_test(truncated_and_damaged), cmocka_unit_test(opus_dtx),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
