/*
 * blob_s3_sign: AWS Signature Version 4 for S3. Ours, because libcurl's (7.88) does not sort a
 * query or give an empty value its "=", and cannot be tested without a server. Names of blobs need
 * no escaping in a path: their alphabet is unreserved.
 */
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <string.h>

#include "blob/blob_s3_internal.h"

static const char *hex_of(const uint8_t *bytes, size_t n, struct arena *arena)
{
    static const char digits[] = "0123456789abcdef";
    char *text = arena_alloc(arena, 2 * n + 1);
    for (size_t i = 0; i < n; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    return text;
}

const char *blob_s3_sha256(struct str bytes, struct arena *arena)
{
    uint8_t sum[SHA256_DIGEST_LENGTH];
    SHA256((const uint8_t *)bytes.p, bytes.n, sum);
    return hex_of(sum, sizeof(sum), arena);
}

const char *blob_s3_encode(struct str text, struct arena *arena)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "0123456789-._~";
    static const char digits[] = "0123456789ABCDEF";
    char *out = arena_alloc(arena, 3 * text.n + 1), *at = out;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = (uint8_t)text.p[i];
        if (c && strchr(plain, c)) {
            *at++ = (char)c;
            continue;
        }
        *at++ = '%';
        *at++ = digits[c >> 4];
        *at++ = digits[c & 15];
    }
    return out;
}

static void mac(const uint8_t *key, size_t key_n, const char *text, uint8_t out[32])
{
    unsigned n = 32;
    HMAC(EVP_sha256(), key, (int)key_n, (const uint8_t *)text, strlen(text), out, &n);
}

/* "host;range;x-amz-content-sha256;x-amz-date" and their lines: in this order by the alphabet. */
static void headers_of(const struct s3_signed *in, struct arena *arena, const char **names,
                       const char **lines)
{
    const char *more_names = "", *more_lines = "";
    for (size_t i = 0; i < in->header_count; i++) {
        more_names = arena_printf(arena, "%s;%s", more_names, in->headers[i].name);
        more_lines =
            arena_printf(arena, "%s%s:%s\n", more_lines, in->headers[i].name, in->headers[i].value);
    }
    *names = arena_printf(arena, "host%s;x-amz-content-sha256;x-amz-date", more_names);
    *lines = arena_printf(arena, "host:%s\n%sx-amz-content-sha256:%s\nx-amz-date:%s\n", in->host,
                          more_lines, in->payload_sha256, in->date);
}

const char *blob_s3_sign(const struct s3_signed *in, struct arena *arena)
{
    const char *names, *lines;
    uint8_t key[32];
    headers_of(in, arena, &names, &lines);
    const char *canonical = arena_printf(arena, "%s\n%s\n%s\n%s\n%s\n%s", in->method, in->path,
                                         in->query, lines, names, in->payload_sha256);
    const char *scope = arena_printf(arena, "%.8s/%s/s3/aws4_request", in->date, in->region);
    const char *text = arena_printf(arena, "AWS4-HMAC-SHA256\n%s\n%s\n%s", in->date, scope,
                                    blob_s3_sha256(str_from(canonical), arena));
    char *secret = arena_printf(arena, "AWS4%s", in->secret_key);
    mac((const uint8_t *)secret, strlen(secret), arena_printf(arena, "%.8s", in->date), key);
    explicit_bzero(secret, strlen(secret));
    mac(key, sizeof(key), in->region, key);
    mac(key, sizeof(key), "s3", key);
    mac(key, sizeof(key), "aws4_request", key);
    mac(key, sizeof(key), text, key);
    return arena_printf(arena, "AWS4-HMAC-SHA256 Credential=%s/%s,SignedHeaders=%s,Signature=%s",
                        in->access_key, scope, names, hex_of(key, sizeof(key), arena));
}
