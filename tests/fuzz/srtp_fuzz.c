/*
 * srtp_fuzz: the first byte chooses profile, engine and kind; the rest is unprotected as it is, and
 * then protected as an authenticated peer would and unprotected again, which must give it back.
 */
#include <stdlib.h>
#include <string.h>

#include "sfu/transport/srtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void check_rtp(struct sfu_srtp_tx *tx, struct sfu_srtp_rx *rx, const uint8_t *data,
                      size_t size)
{
    uint8_t copy[2048], out[2048];
    size_t n = size, header = 12;
    memcpy(copy, data, size);
    if (sfu_srtp_unprotect(rx, copy, &n) == ERR_OK)
        check(n < size);
    if (size < 12 || data[0] >> 6 != 2)
        return;
    header += (size_t)(data[0] & 15) * 4;
    if (data[0] & 0x10)
        header +=
            header + 4 <= size ? 4 + ((size_t)data[header + 2] << 8 | data[header + 3]) * 4 : size;
    if (header > size)
        return;
    struct sfu_srtp_parts parts = {.header = data,
                                   .header_bytes = header,
                                   .payload = data + header,
                                   .payload_bytes = size - header};
    if (sfu_srtp_protect(tx, &parts, out, sizeof(out), &n) != ERR_OK)
        return;
    check(n == size + sfu_srtp_overhead(tx));
    enum err err = sfu_srtp_unprotect(rx, out, &n);
    check(err == ERR_ALREADY_EXISTS || (err == ERR_OK && n == size && memcmp(out, data, n) == 0));
}

static void check_rtcp(struct sfu_srtp_tx *tx, struct sfu_srtp_rx *rx, const uint8_t *data,
                       size_t size)
{
    uint8_t copy[2048];
    size_t n = size;
    memcpy(copy, data, size);
    if (sfu_srtcp_unprotect(rx, copy, &n) == ERR_OK)
        check(n < size);
    memcpy(copy, data, size);
    n = size;
    if (sfu_srtcp_protect(tx, copy, sizeof(copy), &n) != ERR_OK)
        return;
    enum err err = sfu_srtcp_unprotect(rx, copy, &n);
    check(data[0] >> 6 != 2 || err == ERR_ALREADY_EXISTS ||
          (err == ERR_OK && n == size && memcmp(copy, data, n) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum srtp_profile PROFILES[] = {SRTP_PROFILE_GCM_128, SRTP_PROFILE_GCM_256,
                                                 SRTP_PROFILE_SHA1_80};
    static const struct srtp_key KEY = {.key = {1, 2, 3}, .salt = {4, 5, 6}};
    if (size < 1 || size > 1600)
        return 0;
    struct sfu_srtp_options opt = {.profile = PROFILES[data[0] % 3],
                                   .engine = data[0] & 64 ? SRTP_ENGINE_OPENSSL : SRTP_ENGINE_BEST,
                                   .key = &KEY};
    struct sfu_srtp_tx *tx = NULL;
    struct sfu_srtp_rx *rx = NULL;
    check(sfu_srtp_tx_create(&tx, &opt) == ERR_OK && sfu_srtp_rx_create(&rx, &opt) == ERR_OK);
    if (data[0] & 128)
        check_rtcp(tx, rx, data + 1, size - 1);
    else
        check_rtp(tx, rx, data + 1, size - 1);
    sfu_srtp_tx_destroy(&tx);
    sfu_srtp_rx_destroy(&rx);
    return 0;
}
