/*
 * embed: turns a directory into a C table of files (see net/static.h), with brotli and gzip
 * variants made now, at their strongest, so that serving costs nothing. The bytes go into one blob
 * that the assembler includes: compiling a megabyte of numbers would take a minute.
 *
 *   embed NAME DIR OUT.c OUT.bin OUT.d
 *
 * defines `const struct static_table NAME`, and says in OUT.d which files it read. Files are
 * sorted, so the same input gives the same output. Runs at build time on trusted input, so any
 * trouble just ends it.
 */
#define _GNU_SOURCE /* memrchr */
#include <brotli/encode.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#define FILES_MAX 4096
#define MIN_PACK_BYTES 256 /* below, headers outweigh the gain */

struct entry {
    char *path; /* "/assets/app.js" */
    size_t offset[3];
    size_t n[3]; /* plain, brotli, gzip; 0: none */
    uint64_t hash;
};

static struct entry entries[FILES_MAX];
static size_t entry_count;

static void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
static void die(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("embed: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static void *must(void *p)
{
    if (!p)
        die("out of memory");
    return p;
}

static char *join(const char *a, const char *b, const char *c)
{
    char *s = must(malloc(strlen(a) + strlen(b) + strlen(c) + 1));
    strcpy(s, a);
    strcat(s, b);
    return strcat(s, c);
}

static void collect(const char *root, const char *below)
{
    char *path = join(root, below, "");
    DIR *dir = opendir(path);
    if (!dir)
        die("%s: %s", path, strerror(errno));
    for (struct dirent *d; (d = readdir(dir));) {
        if (d->d_name[0] == '.')
            continue;
        char *name = join(below, "/", d->d_name);
        char *full = join(root, name, "");
        struct stat st;
        if (stat(full, &st) != 0)
            die("%s: %s", full, strerror(errno));
        if (S_ISDIR(st.st_mode)) {
            collect(root, name);
            free(name);
        } else {
            if (entry_count == FILES_MAX)
                die("more than %d files", FILES_MAX);
            entries[entry_count++].path = name;
        }
        free(full);
    }
    closedir(dir);
    free(path);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->path, ((const struct entry *)b)->path);
}

static uint8_t *read_all(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) != 0)
        die("%s: %s", path, strerror(errno));
    *n = (size_t)ftell(f);
    rewind(f);
    uint8_t *bytes = must(malloc(*n + 1));
    if (fread(bytes, 1, *n, f) != *n)
        die("%s: cannot read", path);
    fclose(f);
    return bytes;
}

/* FNV-1a: the tag only has to change with the content. */
static uint64_t hash_of(const uint8_t *bytes, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ bytes[i]) * 0x100000001b3u;
    return h;
}

static size_t blob_n;

static void blob_add(FILE *blob, struct entry *e, int variant, const uint8_t *bytes, size_t n)
{
    if (fwrite(bytes, 1, n, blob) != n)
        die("cannot write the blob");
    e->offset[variant] = blob_n;
    e->n[variant] = n;
    blob_n += n;
}

static void add_brotli(FILE *blob, struct entry *e, const uint8_t *bytes, size_t n)
{
    size_t out_n = BrotliEncoderMaxCompressedSize(n);
    uint8_t *out = must(malloc(out_n));
    if (!BrotliEncoderCompress(BROTLI_MAX_QUALITY, BROTLI_DEFAULT_WINDOW, BROTLI_MODE_GENERIC, n,
                               bytes, &out_n, out))
        die("%s: brotli failed", e->path);
    if (out_n < n)
        blob_add(blob, e, 1, out, out_n);
    free(out);
}

static void add_gzip(FILE *blob, struct entry *e, const uint8_t *bytes, size_t n)
{
    z_stream z = {0};
    if (deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK)
        die("zlib failed");
    size_t max = deflateBound(&z, n);
    uint8_t *out = must(malloc(max));
    z.next_in = (Bytef *)bytes;
    z.avail_in = (uInt)n;
    z.next_out = out;
    z.avail_out = (uInt)max;
    if (deflate(&z, Z_FINISH) != Z_STREAM_END)
        die("%s: zlib failed", e->path);
    if (z.total_out < n)
        blob_add(blob, e, 2, out, z.total_out);
    deflateEnd(&z);
    free(out);
}

static const char *type_of(const char *path)
{
    static const char *const types[][2] = {
        {".html", "text/html; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".mjs", "text/javascript; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".json", "application/json"},
        {".webmanifest", "application/manifest+json"},
        {".map", "application/json"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".jpg", "image/jpeg"},
        {".webp", "image/webp"},
        {".ico", "image/x-icon"},
        {".woff2", "font/woff2"},
        {".wasm", "application/wasm"},
        {".mp3", "audio/mpeg"},
        {".ogg", "audio/ogg"},
        {".wav", "audio/wav"},
        {".txt", "text/plain; charset=utf-8"},
    };
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(dot, types[i][0]) == 0)
            return types[i][1];
    return "application/octet-stream";
}

/* These are packed already. */
static bool is_packable(const char *path)
{
    static const char *const packed[] = {".png", ".jpg", ".webp", ".woff2", ".mp3", ".ogg"};
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < sizeof(packed) / sizeof(packed[0]); i++)
        if (strcmp(dot, packed[i]) == 0)
            return false;
    return true;
}

/* A bundler's "name-HASH.ext": eight or more letters and digits, not all of them small letters. */
static bool is_hashed(const char *path)
{
    const char *name = strrchr(path, '/') + 1;
    const char *dot = strchr(name, '.');
    const char *dash = dot ? memrchr(name, '-', (size_t)(dot - name)) : NULL;
    if (!dash || dot - dash - 1 < 8)
        return false;
    bool is_mixed = false;
    for (const char *c = dash + 1; c < dot; c++) {
        if (!isalnum((unsigned char)*c))
            return false;
        is_mixed |= !islower((unsigned char)*c);
    }
    return is_mixed;
}

static void embed(FILE *blob, const char *root, struct entry *e)
{
    size_t n;
    char *full = join(root, e->path, "");
    uint8_t *bytes = read_all(full, &n);
    e->hash = hash_of(bytes, n);
    blob_add(blob, e, 0, bytes, n);
    if (n >= MIN_PACK_BYTES && is_packable(e->path)) {
        add_brotli(blob, e, bytes, n);
        add_gzip(blob, e, bytes, n);
    }
    free(bytes);
    free(full);
}

static void write_variant(FILE *c, const char *name, const struct entry *e, int variant)
{
    if (e->n[variant] || variant == 0)
        fprintf(c, " blob_%s + %zu, %zu,", name, e->offset[variant], e->n[variant]);
    else
        fputs(" NULL, 0,", c);
}

static void write_table(FILE *c, const char *name, const char *blob_path)
{
    fprintf(c,
            "/* Made by tools/embed.c. */\n#include \"net/static.h\"\n\n"
            "__asm__(\".section .rodata\\n.balign 16\\nblob_%s:\\n.incbin \\\"%s\\\"\\n.byte 0\\n"
            ".previous\\n\");\n"
            "extern const uint8_t blob_%s[] __attribute__((visibility(\"hidden\")));\n\n"
            "extern const struct static_table %s;\n",
            name, blob_path, name, name);
    fputs("static const struct static_file files[] = {\n", c);
    for (size_t i = 0; i < entry_count; i++) {
        const struct entry *e = &entries[i];
        fprintf(c, "    {\"%s\", \"%s\", \"\\\"%016llx\\\"\",", e->path, type_of(e->path),
                (unsigned long long)e->hash);
        for (int variant = 0; variant < 3; variant++)
            write_variant(c, name, e, variant);
        fprintf(c, " %s},\n", is_hashed(e->path) ? "true" : "false");
    }
    fprintf(c, "};\nconst struct static_table %s = {files, %zu};\n", name, entry_count);
}

static void write_depfile(const char *path, const char *target, const char *root)
{
    FILE *d = fopen(path, "w");
    if (!d)
        die("%s: %s", path, strerror(errno));
    fprintf(d, "%s:", target);
    for (size_t i = 0; i < entry_count; i++)
        fprintf(d, " \\\n %s%s", root, entries[i].path);
    fputc('\n', d);
    if (fclose(d) != 0)
        die("%s: %s", path, strerror(errno));
}

int main(int argc, char **argv)
{
    if (argc != 6)
        die("usage: embed NAME DIR OUT.c OUT.bin OUT.d");
    collect(argv[2], "");
    if (entry_count == 0)
        die("%s holds no files", argv[2]);
    qsort(entries, entry_count, sizeof(entries[0]), by_path);
    FILE *blob = fopen(argv[4], "wb");
    if (!blob)
        die("%s: %s", argv[4], strerror(errno));
    for (size_t i = 0; i < entry_count; i++)
        embed(blob, argv[2], &entries[i]);
    if (fclose(blob) != 0)
        die("%s: %s", argv[4], strerror(errno));
    char *blob_path = realpath(argv[4], NULL);
    FILE *c = fopen(argv[3], "w");
    if (!c)
        die("%s: %s", argv[3], strerror(errno));
    write_table(c, argv[1], blob_path);
    if (fclose(c) != 0)
        die("%s: %s", argv[3], strerror(errno));
    free(blob_path);
    write_depfile(argv[5], argv[3], argv[2]);
    return 0;
}
