/* The engine's counters as metrics. They live in the workers, are read from any thread, and summed
 * when scraped. */
#include "services/media/media_internal.h"

static struct metric counters[SFU_COUNTER_COUNT];
static char names[SFU_COUNTER_COUNT][80];
static struct {
    struct media_hub *hub;
    enum sfu_counter counter;
} reads[SFU_COUNTER_COUNT];

static struct metric peers_gauge =
    METRIC_GAUGE("parlance_sfu_peers", "Peer connections on the packet threads.");
static struct metric bufs_gauge =
    METRIC_GAUGE("parlance_sfu_packet_bufs", "Packet buffers in use on the packet threads.");

static struct metric kernel_drops =
    METRIC_COUNTER("parlance_media_kernel_drops_total",
                   "Datagrams the kernel dropped: the sockets' receive buffers were full.");

static double read_kernel_drops(void *arg)
{
    const struct media_hub *hub = arg;
    return (double)media_udp_kernel_drops(hub->udp);
}

static double read_counter(void *arg)
{
    size_t i = (size_t)((char *)arg - (char *)reads) / sizeof(reads[0]);
    double sum = 0;
    for (unsigned w = 0; w < reads[i].hub->worker_count; w++)
        sum += (double)sfu_worker_counter(sfu_worker(reads[i].hub->sfu, w), reads[i].counter);
    return sum;
}

static double read_peers(void *arg)
{
    const struct media_hub *hub = arg;
    double sum = 0;
    for (unsigned w = 0; w < hub->worker_count; w++)
        sum += (double)sfu_worker_peer_count(sfu_worker(hub->sfu, w));
    return sum;
}

static double read_bufs(void *arg)
{
    const struct media_hub *hub = arg;
    double sum = 0;
    for (unsigned w = 0; w < hub->worker_count; w++)
        sum += (double)sfu_worker_buf_count(sfu_worker(hub->sfu, w));
    return sum;
}

void media_metrics_start(struct media_hub *hub)
{
    for (enum sfu_counter c = 0; c < SFU_COUNTER_COUNT; c++) {
        snprintf(names[c], sizeof(names[c]), "parlance_sfu_%s_total", sfu_counter_name(c));
        if (!counters[c].name)
            counters[c] = (struct metric){
                .type = METRIC_TYPE_COUNTER, .name = names[c], .help = sfu_counter_help(c)};
        reads[c].hub = hub;
        reads[c].counter = c;
        metric_register_read(&counters[c], read_counter, &reads[c]);
    }
    media_room_metrics_start();
    metric_register_read(&peers_gauge, read_peers, hub);
    metric_register_read(&bufs_gauge, read_bufs, hub);
    metric_register_read(&kernel_drops, read_kernel_drops, hub);
}

void media_metrics_stop(struct media_hub *hub)
{
    for (enum sfu_counter c = 0; c < SFU_COUNTER_COUNT; c++)
        metric_unregister_read(&counters[c], &reads[c]);
    metric_unregister_read(&peers_gauge, hub);
    metric_unregister_read(&bufs_gauge, hub);
    metric_unregister_read(&kernel_drops, hub);
}
