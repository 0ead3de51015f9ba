/*
 * engine_fuzz: the whole engine, on two workers, fed by an authenticated and hostile publisher and
 * two hostile subscribers. The input is a row of commands (see `commands`): packets before their
 * encryption, datagrams as they are, time that passes, wishes of the control plane. ICE is spoken,
 * the DTLS handshake is left out: the keys are put in place.
 *
 * Whatever comes in, what goes out must be right: every datagram goes to an address that passed a
 * check, decrypts, parses, and carries only the SSRCs, payload types and extensions that this
 * subscriber negotiated. And when all have left nothing is kept.
 */
#include "engine_world.h"

#include <string.h>

#include "core/log.h"
#include "sfu/wire/rtcp.h"

#define COMMANDS_MAX 400
#define PACKET_MAX 1500

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Where the payload of these bytes begins, as SRTP sees it; 0: cannot be protected. */
static size_t header_bytes(const uint8_t *bytes, size_t n)
{
    if (n < RTP_HEADER_BYTES)
        return 0;
    size_t at = RTP_HEADER_BYTES + 4u * (bytes[0] & 15);
    if (bytes[0] & 0x10)
        at += at + 4 <= n ? 4 + 4u * (size_t)(bytes[at + 2] << 8 | bytes[at + 3]) : n;
    return at <= n ? at : 0;
}

static void send_rtp(struct world *w, const uint8_t *bytes, size_t n)
{
    struct end *e = &w->ends[PUBLISHER];
    uint8_t plain[PACKET_MAX], out[PACKET_MAX + SRTP_MAX_TRAILER];
    size_t header, size;
    memcpy(plain, bytes, n);
    if (n)
        plain[0] = (uint8_t)(0x80 | (plain[0] & 0x3f)); /* else it is no RTP to anyone */
    if (!(header = header_bytes(plain, n)))
        return;
    struct sfu_srtp_parts parts = {.header = plain,
                                   .header_bytes = header,
                                   .payload = plain + header,
                                   .payload_bytes = n - header};
    if (!sfu_srtp_protect(e->tx, &parts, out, sizeof(out), &size))
        world_inject(w, e->worker, &e->address, out, size);
}

/* A packet that is nearly right: |stream|seq 16|time|flags|payload type|payload. */
static void send_shaped_rtp(struct world *w, const uint8_t *bytes, size_t n)
{
    static const char RIDS[] = "qhfx";
    static const char MIDS[] = "0121";
    struct cursor c = cursor_of(bytes, n);
    uint8_t stream = cursor_u8(&c), plain[PACKET_MAX + RTP_HEADER_MAX];
    uint16_t seq = cursor_u16(&c);
    uint8_t time = cursor_u8(&c), flags = cursor_u8(&c), pt = cursor_u8(&c);
    if (c.bad)
        return;
    uint8_t tcc[2] = {0, (uint8_t)seq}, level = time | 0x80;
    bool is_rtx = flags & 2;
    struct rtp_ext_value ext[] = {
        {flags & 4 ? ID_MID : 0, 1, (const uint8_t *)&MIDS[stream >> 2 & 3]},
        {flags & 8 ? (is_rtx ? ID_REPAIRED : ID_RID) : 0, 1, (const uint8_t *)&RIDS[stream & 3]},
        {flags & 16 ? ID_TCC : 0, 2, tcc},
        {flags & 32 ? ID_LEVEL : 0, 1, &level},
        {flags & 64 ? ID_DESCRIPTOR : 0, (uint8_t)MIN(cursor_left(&c), 15u), c.p},
    };
    if (!ext[4].n)
        ext[4].id = 0;
    size_t header = rtp_rewrite_header(plain, RTP_HEADER_MAX, NULL, NULL,
                                       &(struct rtp_rewrite){
                                           .ssrc = stream,
                                           .timestamp = time * 3000u,
                                           .seq = seq,
                                           .pt = pt & 127,
                                           .marker = flags & 1,
                                           .extra = ext,
                                           .extra_count = ARRAY_LEN(ext),
                                       });
    size_t left = MIN(cursor_left(&c), (size_t)PACKET_MAX - header);
    memcpy(plain + header, c.p, left);
    send_rtp(w, plain, header + left);
}

static void send_rtcp(struct world *w, struct end *e, const uint8_t *bytes, size_t n)
{
    uint8_t out[PACKET_MAX + SRTCP_MAX_TRAILER];
    memcpy(out, bytes, n);
    if (n < 8)
        return;
    out[0] = (uint8_t)(0x80 | (out[0] & 0x3f));
    out[1] = (uint8_t)(192 | (out[1] & 31));
    if (!sfu_srtcp_protect(e->tx, out, sizeof(out), &n))
        world_inject(w, e->worker, &e->address, out, n);
}

/* A NACK that hits: |who and track|how far back|how many|. */
static void send_nack(struct world *w, const uint8_t *bytes, size_t n)
{
    uint8_t out[PACKET_MAX];
    uint16_t seqs[256];
    if (n < 3)
        return;
    unsigned index = 1 + (bytes[0] & 1);
    uint32_t track = 1 + bytes[0] / 2 % w->last_track;
    uint16_t from = (uint16_t)(w->ends[index].last_seq[track] - bytes[1]);
    for (unsigned i = 0; i < bytes[2]; i++)
        seqs[i] = (uint16_t)(from + i);
    struct writer out_writer = writer_of(out, sizeof(out));
    rtcp_write_nack(&out_writer, 77, world_consumer_ssrc(index, track), seqs, bytes[2]);
    send_rtcp(w, &w->ends[index], out, writer_size(&out_writer));
}

static void choose(struct world *w, const uint8_t *bytes, size_t n)
{
    if (n < 3)
        return;
    struct sfu_consumer_choice choice = {.layer = bytes[1], .is_paused = bytes[2] & 1};
    (void)!sfu_consumer_set_choice(w->sfu, w->ends[1 + (bytes[0] & 1)].id,
                                   1 + bytes[0] / 2 % w->last_track, choice);
    world_poll(w);
}

static void flag(struct world *w, const uint8_t *bytes, size_t n)
{
    if (n < 1)
        return;
    struct sfu_producer_flags flags = {.is_muted = bytes[0] & 1, .is_held = bytes[0] & 2};
    (void)!sfu_producer_set_flags(w->sfu, w->ends[PUBLISHER].id, 1 + bytes[0] / 4 % w->last_track,
                                  flags);
    world_poll(w);
}

static void toggle_screen(struct world *w)
{
    if (w->has_screen)
        (void)!sfu_producer_remove(w->sfu, w->ends[PUBLISHER].id, w->last_track);
    else if (w->last_track < TRACKS_MAX)
        world_publish(w, ++w->last_track);
    w->has_screen = !w->has_screen;
    world_poll(w);
}

/* The publisher checks from its other address, on the other worker, and back. */
static void move(struct world *w)
{
    struct end *e = &w->ends[PUBLISHER];
    struct sfu_address old = e->address;
    e->address = w->spare;
    w->spare = old;
    world_send_check(w, e, &e->address, old.port == 1000);
}

static void command(struct world *w, uint8_t op, const uint8_t *bytes, size_t n)
{
    static const struct sfu_address STRANGER = {.family = 4, .port = 9, .ip = {198, 51, 100, 1}};
    switch (op & 15) {
    case 0:
        send_rtp(w, bytes, n);
        break;
    case 1:
    case 2:
    case 3:
        send_shaped_rtp(w, bytes, n);
        break;
    case 4:
    case 5:
    case 6:
        send_rtcp(w, &w->ends[(op & 15) - 4], bytes, n);
        break;
    case 7:
        world_inject(w, op >> 4 & 1, &w->ends[op >> 5 & 1].address, bytes, n);
        break;
    case 8:
        world_inject(w, op >> 4 & 1, &STRANGER, bytes, n);
        break;
    case 9:
        world_pass_time(w, n ? bytes[0] * 4000 : 1000);
        break;
    case 10:
        choose(w, bytes, n);
        break;
    case 11:
        flag(w, bytes, n);
        break;
    case 12:
        toggle_screen(w);
        break;
    case 13:
        move(w);
        break;
    case 14:
        send_nack(w, bytes, n);
        break;
    default:
        world_poll(w);
    }
}

/* Each command: |op|size 16|bytes. */
static void commands(struct world *w, const uint8_t *data, size_t size)
{
    struct cursor c = cursor_of(data, size);
    for (int i = 0; i < COMMANDS_MAX && cursor_left(&c) >= 3; i++) {
        uint8_t op = cursor_u8(&c);
        size_t n = cursor_u16(&c) % PACKET_MAX;
        n = MIN(n, cursor_left(&c));
        command(w, op, cursor_bytes(&c, n), n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world *w = malloc(sizeof(*w));
    check(w && size <= 1 << 20);
    log_set_level(LOG_ERROR);
    world_init(w);
    commands(w, data, size);
    world_pass_time(w, 1500000);
    world_deinit(w);
    free(w);
    return 0;
}
