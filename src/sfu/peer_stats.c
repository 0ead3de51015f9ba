/* peer_stats: a snapshot of a peer, a row per layer of each track and per consumer. */
#include <stdlib.h>

#include "core/mem.h"
#include "sfu/peer.h"
#include "sfu/consumer.h"

static float ms_of(uint32_t jitter, uint32_t clock_rate)
{
    return clock_rate ? (float)jitter * 1000.0f / (float)clock_rate : 0;
}

static struct sfu_track_stats layer_row(const struct peer *p, const struct track *t,
                                        const struct layer *l)
{
    const struct sfu_codec_pt *codec = &t->info.codecs[l->codec];
    return (struct sfu_track_stats){
        .track = t->number,
        .codec = codec->codec,
        .layer = l->index,
        .is_paused = track_is_silenced(t),
        .ssrc = l->ssrc,
        .packets = l->stats.packets,
        .bytes = l->stats.bytes,
        .packets_retransmitted = l->stats.recovered,
        .packets_lost =
            (uint64_t)MAX(receive_stats_lost(&l->stats) - (int64_t)l->stats.recovered, 0),
        .nacks = l->nacks.asked,
        .keyframe_requests = l->keyframe.count,
        .keyframes = l->keyframes,
        .bitrate_bps = rate_bps(&l->rate, l->stats.bytes, p->worker->now_us),
        .fraction_lost = (float)l->stats.fraction_lost / 256.0f,
        .jitter_ms = ms_of(receive_stats_jitter(&l->stats), codec->clock_rate),
        .width = l->width,
        .height = l->height,
    };
}

static struct sfu_track_stats consumer_row(const struct peer *p, const struct consumer *c)
{
    struct sfu_track_stats row = {
        .consumer = c->number,
        .layer = c->current,
        .is_paused = c->is_paused || !c->is_flowing,
        .ssrc = c->ssrc,
        .packets = c->packets,
        .bytes = c->bytes,
        .packets_retransmitted = c->retransmitted,
        .packets_lost = (uint64_t)MAX(c->lost, 0),
        .nacks = c->nacks,
        .keyframe_requests = c->keyframe_requests,
        .keyframes = c->keyframes,
        .bitrate_bps = rate_bps(&c->rate, c->bytes, p->worker->now_us),
        .fraction_lost = (float)c->fraction_lost / 256.0f,
    };
    if (c->track && c->track->is_known) {
        const struct layer *l = c->track->layers[c->current];
        const struct sfu_codec_pt *codec = &c->track->info.codecs[l->codec];
        row.codec = codec->codec;
        row.jitter_ms = ms_of(c->jitter, codec->clock_rate);
        row.width = l->width;
        row.height = l->height;
    }
    return row;
}

void peer_emit_stats(struct peer *p, uint64_t token)
{
    size_t room = (size_t)p->track_count * SFU_MAX_LAYERS + p->consumer_count, count = 0;
    struct sfu_track_stats *rows = mem_calloc(room + 1, sizeof(struct sfu_track_stats));
    int64_t now_us = p->worker->now_us;
    for (unsigned i = 0; i < p->track_count; i++)
        for (unsigned k = 0; k < p->tracks[i]->info.layer_count; k++)
            rows[count++] = layer_row(p, p->tracks[i], p->tracks[i]->layers[k]);
    LIST_FOREACH(&p->consumers, node)
    rows[count++] = consumer_row(p, LIST_ENTRY(node, struct consumer, in_peer));
    struct sfu_peer_stats stats = {
        .address = p->to,
        .srtp_profile = p->profile,
        .is_connected = p->can_send,
        .worker = p->worker->index,
        .round_trip_ms = (float)p->round_trip_us / 1000.0f,
        .packets_in = p->packets_in,
        .packets_out = p->packets_out,
        .bytes_in = p->bytes_in,
        .bytes_out = p->bytes_out,
        .bitrate_in_bps = rate_bps(&p->rate_in, p->bytes_in, now_us),
        .bitrate_out_bps = rate_bps(&p->rate_out, p->bytes_out, now_us),
        .tracks = rows,
        .track_count = count,
    };
    sfu_emit(p->worker, &(struct sfu_event){.type = SFU_EVENT_STATS,
                                            .room = p->room,
                                            .peer = p->id,
                                            .token = token,
                                            .stats = &stats});
    free(rows);
}
