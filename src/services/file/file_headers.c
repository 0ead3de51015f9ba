/*
 * What clients say in headers of tus: metadata of an upload and the checksum of a body. Pure
 * functions over hostile text; the fuzzer drives them.
 */
#include <time.h>

#include <sodium.h>

#include "services/file/file_internal.h"

#define NAME_MAX_CHARS 255
#define TYPE_MAX_BYTES 100

/* Padded or not; empty is empty. */
static bool unbase64(struct str text, uint8_t *out, size_t capacity, size_t *n)
{
    const char *end;
    while (text.n && text.p[text.n - 1] == '=')
        text.n--;
    if (sodium_base642bin(out, capacity, text.p, text.n, NULL, n, &end,
                          sodium_base64_VARIANT_ORIGINAL_NO_PADDING) != 0)
        return false;
    return end == text.p + text.n;
}

/* The last part of a path, as some clients send one; nothing that would hide or turn a line. */
static const char *clean_name(struct str raw, struct arena *arena)
{
    for (size_t i = raw.n; i-- > 0;) {
        if (raw.p[i] == '/' || raw.p[i] == '\\') {
            raw = str_sub(raw, i + 1, raw.n);
            break;
        }
    }
    raw = str_trim(raw);
    if (!str_is_utf8(raw) || str_utf8_count(raw) > NAME_MAX_CHARS || str_eq(raw, STR(".")) ||
        str_eq(raw, STR("..")))
        return NULL;
    for (size_t i = 0; i < raw.n; i++) {
        unsigned char c = (unsigned char)raw.p[i];
        bool is_control = c < 32 || c == 127;
        /* U+202A to U+202E and U+2066 to U+2069 turn the reading: "gpj.exe" */
        bool is_turning =
            raw.n - i >= 3 && c == 0xE2 &&
            (((unsigned char)raw.p[i + 1] == 0x80 && (unsigned char)raw.p[i + 2] >= 0xAA &&
              (unsigned char)raw.p[i + 2] <= 0xAE) ||
             ((unsigned char)raw.p[i + 1] == 0x81 && (unsigned char)raw.p[i + 2] >= 0xA6 &&
              (unsigned char)raw.p[i + 2] <= 0xA9));
        if (is_control || is_turning)
            return NULL;
    }
    return str_arena(arena, raw);
}

/* "Image/PNG; x=y" -> "image/png"; what is no type is as good as none. */
static const char *clean_type(struct str raw, struct arena *arena)
{
    struct str type;
    str_cut(&raw, ';', &type);
    type = str_trim(type);
    if (type.n > TYPE_MAX_BYTES || str_find(type, '/') <= 0)
        return "";
    char *out = str_arena(arena, type);
    for (char *c = out; *c; c++) {
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
        if (*c <= ' ' || *c > '~')
            return "";
    }
    return out;
}

bool file_metadata_parse(struct str header, struct arena *arena, struct file_metadata *out)
{
    uint8_t bytes[FILE_METADATA_MAX_BYTES];
    struct str pair, key;
    size_t n;
    *out = (struct file_metadata){"", ""};
    if (header.n > FILE_METADATA_MAX_BYTES)
        return false;
    for (bool is_more = str_trim(header).n > 0; is_more;) {
        is_more = str_cut(&header, ',', &pair);
        pair = str_trim(pair);
        bool has_value = str_cut(&pair, ' ', &key);
        if (!key.n || !unbase64(has_value ? str_trim(pair) : STR(""), bytes, sizeof(bytes), &n))
            return false;
        struct str value = {(const char *)bytes, n};
        if (str_eq(key, STR("filename")))
            out->name = clean_name(value, arena);
        else if (str_eq(key, STR("filetype")))
            out->type = clean_type(value, arena);
        if (!out->name)
            return false;
    }
    return true;
}

bool file_checksum_parse(struct str header, struct file_checksum *out)
{
    struct str algorithm;
    header = str_trim(header);
    if (!str_cut(&header, ' ', &algorithm))
        return false;
    out->algorithm = algorithm;
    return unbase64(str_trim(header), out->bytes, sizeof(out->bytes), &out->n);
}

/* Names are English whatever the locale. */
void file_http_date(int64_t wall_ms, char out[FILE_DATE_SIZE])
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    snprintf(out, FILE_DATE_SIZE, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + 3 * tm.tm_wday,
             tm.tm_mday % 100, months + 3 * tm.tm_mon, (tm.tm_year + 1900) % 10000,
             tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100);
}
