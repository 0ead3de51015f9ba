/*
 * rtcp_twcc: transport-wide congestion control feedback, both ways
 * (draft-holmer-rmcat-transport-wide-cc-extensions-01).
 *
 *   | base seq 16 | packet count 16 | reference time 24 (64 ms) | feedback count 8 |
 *   chunks, 16 bits each:  |0|symbol 2|run length 13|  |1|0| 14 x 1 bit |  |1|1| 7 x 2 bits |
 *   deltas, one per packet that arrived, in ticks of 250 us: symbol 1: u8, symbol 2: i16
 *
 * All arithmetic is in whole ticks of the absolute time, so rounding does not add up over deltas.
 */
#include "sfu/wire/rtcp.h"

#define TICK_US 250
#define REFERENCE_TICKS 256 /* 64 ms */
#define HEADER_BYTES 20     /* RTCP header, two SSRCs, and the eight bytes above */

enum symbol {
    NOT_RECEIVED = 0,
    SMALL_DELTA = 1,
    LARGE_DELTA = 2,
};

/* ---- writing ---- */

struct plan {
    size_t count;      /* packets covered */
    int64_t reference; /* in ticks, a multiple of REFERENCE_TICKS */
    size_t delta_bytes;
    uint8_t symbols[RTCP_TWCC_MAX_PACKETS];
    int32_t deltas[RTCP_TWCC_MAX_PACKETS];
};

static int64_t ticks_of(int64_t us)
{
    return us >= 0 ? us / TICK_US : -((-us + TICK_US - 1) / TICK_US);
}

/* Symbols and deltas of as many packets as deltas can reach; false when none arrived. */
static bool make_plan(struct plan *plan, const int64_t *arrival_us, size_t count)
{
    size_t first = 0;
    while (first < count && arrival_us[first] == RTCP_TWCC_LOST)
        first++;
    if (first == count)
        return false;
    int64_t last = ticks_of(arrival_us[first]) & ~(int64_t)(REFERENCE_TICKS - 1);
    plan->reference = last;
    plan->delta_bytes = 0;
    plan->count = 0;
    for (size_t i = 0; i < count; i++, plan->count++) {
        plan->symbols[i] = NOT_RECEIVED;
        if (arrival_us[i] == RTCP_TWCC_LOST)
            continue;
        int64_t delta = ticks_of(arrival_us[i]) - last;
        if (delta < INT16_MIN || delta > INT16_MAX)
            break;
        plan->symbols[i] = delta >= 0 && delta <= UINT8_MAX ? SMALL_DELTA : LARGE_DELTA;
        plan->deltas[i] = (int32_t)delta;
        plan->delta_bytes += plan->symbols[i];
        last += delta;
    }
    return true;
}

static size_t run_length(const uint8_t *symbols, size_t count)
{
    size_t n = 1;
    while (n < count && n < 0x1fff && symbols[n] == symbols[0])
        n++;
    return n;
}

static uint16_t vector_chunk(const uint8_t *symbols, size_t count, unsigned bits)
{
    unsigned slots = 14 / bits;
    uint16_t chunk = bits == 1 ? 0x8000 : 0xc000;
    for (size_t i = 0; i < slots && i < count; i++)
        chunk |= (uint16_t)(symbols[i] << (14 - bits * (i + 1)));
    return chunk;
}

/* The next chunk: whichever form takes most symbols. Says in *taken how many. */
static uint16_t next_chunk(const uint8_t *symbols, size_t count, size_t *taken)
{
    size_t run = run_length(symbols, count);
    size_t one_bit = 0;
    while (one_bit < count && one_bit < 14 && symbols[one_bit] <= SMALL_DELTA)
        one_bit++;
    bool fits_one_bit = one_bit == MIN(count, 14u);
    if (run >= (fits_one_bit ? one_bit : MIN(count, 7u))) {
        *taken = run;
        return (uint16_t)(symbols[0] << 13 | run);
    }
    *taken = fits_one_bit ? one_bit : MIN(count, 7u);
    return vector_chunk(symbols, count, fits_one_bit ? 1 : 2);
}

static size_t chunk_bytes(const struct plan *plan)
{
    size_t bytes = 0;
    for (size_t i = 0, taken; i < plan->count; i += taken, bytes += 2)
        (void)next_chunk(plan->symbols + i, plan->count - i, &taken);
    return bytes;
}

/* Cuts the plan down until it fits; false when nothing worth saying is left. */
static bool fit(struct plan *plan, size_t room, size_t *body_bytes)
{
    for (;;) {
        *body_bytes = chunk_bytes(plan) + plan->delta_bytes;
        if (HEADER_BYTES + *body_bytes + 3 <= room)
            break;
        for (size_t cut = plan->count / 8 + 1; cut && plan->count; cut--)
            plan->delta_bytes -= plan->symbols[--plan->count];
    }
    return plan->delta_bytes > 0;
}

size_t rtcp_write_twcc(struct writer *w, const struct rtcp_twcc *t)
{
    struct plan plan __attribute__((uninitialized));
    size_t body_bytes;
    size_t room = w->bad ? 0 : (size_t)(w->end - w->p);
    if (room < HEADER_BYTES + 8 ||
        !make_plan(&plan, t->arrival_us, MIN(t->packet_count, (size_t)RTCP_TWCC_MAX_PACKETS)) ||
        !fit(&plan, room, &body_bytes))
        return 0;
    size_t padding = -body_bytes & 3;
    writer_u8(w, 0x80 | RTCP_FMT_TWCC);
    writer_u8(w, RTCP_RTPFB);
    writer_u16(w, (uint16_t)((HEADER_BYTES + body_bytes + padding) / 4 - 1));
    writer_u32(w, t->sender_ssrc);
    writer_u32(w, t->media_ssrc);
    writer_u16(w, t->base_seq);
    writer_u16(w, (uint16_t)plan.count);
    writer_u24(w, (uint32_t)(plan.reference / REFERENCE_TICKS) & 0xffffff);
    writer_u8(w, t->feedback_count);
    for (size_t i = 0, taken; i < plan.count; i += taken)
        writer_u16(w, next_chunk(plan.symbols + i, plan.count - i, &taken));
    for (size_t i = 0; i < plan.count; i++) {
        if (plan.symbols[i] == SMALL_DELTA)
            writer_u8(w, (uint8_t)plan.deltas[i]);
        else if (plan.symbols[i] == LARGE_DELTA)
            writer_u16(w, (uint16_t)plan.deltas[i]);
    }
    for (; padding; padding--)
        writer_u8(w, 0);
    return plan.count;
}

/* ---- reading ---- */

/* Unpacks chunks into one symbol per packet; false when they end early or use the reserved one. */
static bool parse_chunks(uint8_t *symbols, size_t count, struct cursor *c)
{
    for (size_t i = 0; i < count;) {
        uint16_t chunk = cursor_u16(c);
        bool is_vector = chunk >> 15, is_two_bit = chunk >> 14 & 1;
        unsigned bits = is_two_bit ? 2 : 1;
        size_t slots = is_vector ? 14 / bits : chunk & 0x1fff;
        if (c->bad || slots == 0)
            return false;
        for (size_t s = 0; s < slots && i < count; s++, i++) {
            unsigned symbol =
                is_vector ? chunk >> (14 - bits * (s + 1)) & (is_two_bit ? 3 : 1) : chunk >> 13 & 3;
            if (symbol > LARGE_DELTA)
                return false;
            symbols[i] = (uint8_t)symbol;
        }
    }
    return true;
}

bool rtcp_parse_twcc(struct rtcp_twcc *t, size_t max, const struct rtcp_feedback *f)
{
    uint8_t symbols[RTCP_TWCC_MAX_PACKETS] __attribute__((uninitialized));
    struct cursor c = f->fci;
    t->sender_ssrc = f->sender_ssrc;
    t->media_ssrc = f->media_ssrc;
    t->base_seq = cursor_u16(&c);
    t->packet_count = cursor_u16(&c);
    int64_t at = (int64_t)cursor_u24(&c) * REFERENCE_TICKS;
    t->feedback_count = cursor_u8(&c);
    if (c.bad || t->packet_count == 0 ||
        t->packet_count > MIN(max, (size_t)RTCP_TWCC_MAX_PACKETS) ||
        !parse_chunks(symbols, t->packet_count, &c))
        return false;
    for (size_t i = 0; i < t->packet_count; i++) {
        t->arrival_us[i] = RTCP_TWCC_LOST;
        if (symbols[i] == NOT_RECEIVED)
            continue;
        at += symbols[i] == SMALL_DELTA ? cursor_u8(&c) : (int16_t)cursor_u16(&c);
        t->arrival_us[i] = at * TICK_US;
    }
    return !c.bad;
}
