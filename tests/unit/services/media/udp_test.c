/*
 * The packet threads over loopback: the peers of one room spread over all of them by the kernel's
 * hash, each worker answers its own, and strangers hear nothing.
 */
#include "test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "services/media/media_udp.h"
#include "sfu/wire/stun.h"

#define PEERS 64
#define WORKERS 2

static struct {
    struct media_udp *udp;
    struct sfu *sfu;
} t;

static void on_event(void *arg UNUSED, const struct sfu_event *event UNUSED)
{
}

static int setup(void **state UNUSED)
{
    struct sfu_worker_io io[WORKERS];
    struct media_udp_options opt = {.host = "127.0.0.1", .worker_count = WORKERS};
    assert_int_equal(media_udp_open(&t.udp, &opt), ERR_OK);
    media_udp_fill_io(t.udp, io, on_event, NULL);
    assert_int_equal(sfu_create(&t.sfu, &(struct sfu_options){.worker_count = WORKERS, .io = io}),
                     ERR_OK);
    assert_int_equal(media_udp_start(t.udp, t.sfu), ERR_OK);
    return 0;
}

static int teardown(void **state UNUSED)
{
    media_udp_stop(t.udp);
    sfu_destroy(&t.sfu);
    media_udp_close(&t.udp);
    return 0;
}

static int connect_socket(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(media_udp_port(t.udp)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static void send_check(int fd, const char *ufrag, const char *pwd)
{
    static const uint8_t TRANSACTION[STUN_TRANSACTION_SIZE] = {3};
    uint8_t out[256];
    char username[64];
    snprintf(username, sizeof(username), "%s:remote", ufrag);
    size_t n = stun_write_request(out, sizeof(out),
                                  &(struct stun_request_options){
                                      .transaction = TRANSACTION,
                                      .username = str_from(username),
                                      .password = str_from(pwd),
                                      .priority = 1,
                                      .has_use_candidate = true,
                                  });
    assert_int_equal(send(fd, out, n, 0), (ssize_t)n);
}

/* Bytes of what came, 0: nothing in time. */
static ssize_t receive(int fd, uint8_t *bytes, size_t capacity, int wait_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, wait_ms) > 0 ? recv(fd, bytes, capacity, 0) : 0;
}

static uint64_t counter(enum sfu_counter c)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < WORKERS; i++)
        sum += sfu_worker_counter(sfu_worker(t.sfu, i), c);
    return sum;
}

static void wait_counter(enum sfu_counter c, uint64_t wanted)
{
    int64_t until_ms = clock_mono_ms() + 20000;
    while (counter(c) < wanted && clock_mono_ms() < until_ms)
        usleep(1000);
    assert_int_equal(counter(c), wanted);
}

static void test_one_room_uses_all_workers(void **state UNUSED)
{
    int fds[PEERS];
    sfu_peer_id ids[PEERS];
    uint8_t bytes[1500];
    size_t sum = 0;
    for (unsigned i = 0; i < PEERS; i++) {
        struct sfu_credentials c;
        struct stun_message m;
        assert_int_equal(sfu_peer_add(t.sfu, &(struct sfu_peer_options){.room = 1}, &ids[i], &c),
                         ERR_OK);
        fds[i] = connect_socket();
        send_check(fds[i], c.ufrag, c.pwd);
        ssize_t n = receive(fds[i], bytes, sizeof(bytes), 5000);
        assert_true(n > 0);
        assert_int_equal(stun_parse(&m, bytes, (size_t)n), ERR_OK);
        assert_int_equal(m.class, STUN_SUCCESS);
        assert_true(stun_is_authentic(&m, str_from(c.pwd)));
    }
    for (unsigned w = 0; w < WORKERS; w++) {
        size_t here = sfu_worker_peer_count(sfu_worker(t.sfu, w));
        assert_true(here >= PEERS / 8); /* the odds against are 10^13 to one */
        sum += here;
    }
    assert_int_equal(sum, PEERS);
    for (unsigned i = 0; i < PEERS; i++) {
        assert_int_equal(sfu_peer_remove(t.sfu, ids[i]), ERR_OK);
        close(fds[i]);
    }
    int64_t until_ms = clock_mono_ms() + 20000;
    while (sfu_worker_peer_count(sfu_worker(t.sfu, 0)) +
               sfu_worker_peer_count(sfu_worker(t.sfu, 1)) &&
           clock_mono_ms() < until_ms)
        usleep(1000);
    assert_int_equal(sfu_worker_peer_count(sfu_worker(t.sfu, 0)), 0);
}

static void test_strangers(void **state UNUSED)
{
    static const uint8_t HELLO[] = {22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1};
    static const uint8_t RTP[40] = {0x80, 96};
    struct sfu_credentials c;
    sfu_peer_id id;
    uint8_t bytes[1500];
    uint64_t before = counter(SFU_COUNTER_RECEIVED);
    assert_int_equal(sfu_peer_add(t.sfu, &(struct sfu_peer_options){.room = 1}, &id, &c), ERR_OK);
    int fd = connect_socket();
    assert_int_equal(send(fd, HELLO, sizeof(HELLO), 0), sizeof(HELLO));
    assert_int_equal(send(fd, RTP, sizeof(RTP), 0), sizeof(RTP));
    send_check(fd, c.ufrag, "not the password at all!");
    send_check(fd, "nobody's", c.pwd);
    wait_counter(SFU_COUNTER_RECEIVED, before + 4);
    assert_int_equal(receive(fd, bytes, sizeof(bytes), 50), 0);
    assert_int_equal(counter(SFU_COUNTER_DROP_UNKNOWN), 2);
    assert_int_equal(counter(SFU_COUNTER_DROP_STUN_REFUSED), 1);
    assert_int_equal(counter(SFU_COUNTER_DROP_STUN_STRANGER), 1);
    assert_int_equal(sfu_peer_remove(t.sfu, id), ERR_OK);
    close(fd);
}

/* What the kernel had to drop is known: nothing listens here until 60,000 datagrams came. */
static void test_kernel_drops(void **state UNUSED)
{
    static const uint8_t BYTES[1200] = {0x80};
    media_udp_stop(t.udp);
    assert_int_equal(media_udp_kernel_drops(t.udp), 0);
    int fd = connect_socket();
    for (unsigned i = 0; i < 60000 && !media_udp_kernel_drops(t.udp); i++)
        assert_int_equal(send(fd, BYTES, sizeof(BYTES), 0), sizeof(BYTES));
    assert_true(media_udp_kernel_drops(t.udp) > 0);
    close(fd);
}

/* A second server on the same port is told so, although the sockets of one share it. */
static void test_port_is_taken(void **state UNUSED)
{
    struct media_udp *other = NULL;
    struct media_udp_options opt = {
        .host = "127.0.0.1", .port = media_udp_port(t.udp), .worker_count = 1};
    assert_int_equal(media_udp_open(&other, &opt), ERR_ALREADY_EXISTS);
    assert_null(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_room_uses_all_workers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strangers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_port_is_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kernel_drops, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
